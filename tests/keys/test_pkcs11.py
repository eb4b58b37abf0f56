"""PKCS#11 tokens: addresses, PINs, and what happens when one is taken away."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

import devices
from backend import run
from devices import PIN, SOFTHSM, Token
from voltroot.errors import Malformed, NotFound, Unavailable
from voltroot.keys import cryptoki, sessions
from voltroot.keys.cryptoki import Cryptoki, CryptokiError
from voltroot.keys.pkcs11 import Pkcs11Keyring
from voltroot.keys.pkcs11_uri import TokenAddress
from voltroot.pki import der, suites
from voltroot.pki.suites import P256_SHA256


@pytest.fixture
def token() -> Iterator[Token]:
    with devices.token() as made:
        yield made


def opened(token: Token) -> Pkcs11Keyring:
    return Pkcs11Keyring(token.device, lambda: PIN)


def after_a_pause() -> None:
    time.sleep(sessions.PAUSE + 0.1)


def elsewhere(token: Token, program: str) -> str:
    """Run a program in a process of its own, where nobody has logged in; ``keyring(pin)`` opens the token."""
    prelude = f"""
        import os, threading
        from voltroot.errors import *
        from voltroot.keys.pkcs11 import Pkcs11Keyring
        from voltroot.pki import suites
        from voltroot.pki.suites import P256_SHA256
        keyring = lambda pin: Pkcs11Keyring({token.device!r}, pin)
    """
    text = textwrap.dedent(prelude) + textwrap.dedent(program)
    return subprocess.run([sys.executable, "-c", text], check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.mark.parametrize(
    "uri",
    [
        "pkcs11:token=voltroot",
        "pkcs11:?module-path=/module.so",
        "pkcs12:token=voltroot?module-path=/module.so",
        "pkcs11:token=voltroot;object=key?module-path=/module.so",
        "pkcs11:token=voltroot?module-path=/module.so&pin-value=1234",
        "pkcs11:token=voltroot?module-path=/module.so&pin-source=/pin",
    ],
)
def test_an_address_that_is_none_of_a_token_is_refused_and_no_pin_is_shown(uri: str) -> None:
    with pytest.raises(Malformed) as refused:
        TokenAddress.read(uri)
    assert "1234" not in str(refused.value)


def test_an_address_names_a_token_by_what_it_says_of_itself() -> None:
    address = TokenAddress.read("pkcs11:token=our%20token;serial=17?module-path=/module.so")
    assert address.module == "/module.so"
    assert address.matches(cryptoki.TokenInfo("our token", "maker", "model", "17"))
    assert not address.matches(cryptoki.TokenInfo("our token", "maker", "model", "18"))
    assert str(address) == "the token our token, serial 17"


@pytest.mark.parametrize("module", ["/nowhere/module.so", "/etc/hostname", "libc.so.6"])
def test_a_file_that_is_no_module_is_unavailable(module: str) -> None:
    with pytest.raises(Unavailable, match="no PKCS#11 module"):
        Pkcs11Keyring(f"pkcs11:token=voltroot?module-path={module}", lambda: PIN).labels()


@pytest.mark.slow
def test_a_token_that_is_not_there_is_unavailable(token: Token) -> None:
    with pytest.raises(Unavailable, match="does not have it"):
        Pkcs11Keyring(f"pkcs11:token=other?module-path={SOFTHSM}", lambda: PIN).labels()
    assert opened(token).labels() == []


@pytest.mark.slow
def test_a_token_that_was_taken_away_is_unavailable_and_works_again_once_it_is_back(token: Token) -> None:
    keyring = opened(token)
    public = keyring.create("ca", P256_SHA256)
    signer = keyring.signer("ca")
    for _ in range(2):
        token.take_away()
        for attempt in (lambda: suites.sign(signer, b"data"), keyring.check, lambda: keyring.signer("other")):
            with pytest.raises(Unavailable, match="does not answer"):
                attempt()
        token.put_back()
        after_a_pause()
        assert suites.verify(public, suites.sign(signer, b"data"), b"data", P256_SHA256.hash)
        keyring.check()


@pytest.mark.slow
def test_of_a_token_that_is_away_again_every_key_is_unavailable(token: Token) -> None:
    keyring = opened(token)
    labels = ("first", "second")
    signers = [keyring.signer(label) for label in labels if keyring.create(label, P256_SHA256)]
    for signer in signers:
        token.take_away()
        for each in (signer, *signers):
            with pytest.raises(Unavailable, match="does not answer"):
                suites.sign(each, b"data")
        token.put_back()
        after_a_pause()
        suites.sign(signers[0], b"data")


@pytest.mark.slow
def test_a_key_is_not_taken_for_destroyed_while_its_token_is_away(token: Token) -> None:
    keyring = opened(token)
    keyring.create("ca", P256_SHA256)
    keyring.delete("unknown")
    for _ in range(2):
        token.take_away()
        with pytest.raises(Unavailable):
            keyring.delete("ca")
        token.put_back()
        after_a_pause()
        assert keyring.labels() == ["ca"]
    keyring.delete("ca")
    assert keyring.labels() == []


@pytest.mark.slow
def test_a_device_that_is_gone_is_left_alone_for_a_moment(token: Token) -> None:
    keyring = opened(token)
    keyring.create("ca", P256_SHA256)
    token.take_away()
    with pytest.raises(Unavailable):
        keyring.check()
    token.put_back()
    with pytest.raises(Unavailable):
        keyring.check()
    after_a_pause()
    keyring.check()


@pytest.mark.slow
def test_a_token_that_is_missed_while_another_process_logs_in_is_looked_for_again(
    token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, missed = Cryptoki.slots, iter(range(3))
    monkeypatch.setattr(Cryptoki, "slots", lambda module: look(module) if next(missed, None) is None else [])
    assert opened(token).labels() == []


@pytest.mark.slow
def test_one_token_that_is_taken_away_leaves_another_one_of_the_module_working(token: Token) -> None:
    with devices.token() as second:
        lost, kept = opened(token), opened(second)
        lost.create("ca", P256_SHA256)
        public = kept.create("ca", P256_SHA256)
        token.take_away()
        with pytest.raises(Unavailable):
            lost.check()
        assert suites.verify(public, suites.sign(kept.signer("ca"), b"data"), b"data", P256_SHA256.hash)


@pytest.mark.slow
def test_a_key_that_somebody_deleted_is_not_found(token: Token) -> None:
    keyring = opened(token)
    keyring.create("ca", P256_SHA256)
    signer = keyring.signer("ca")
    opened(token).delete("ca")
    with pytest.raises(NotFound):
        suites.sign(signer, b"data")


@pytest.mark.slow
def test_a_key_that_somebody_replaced_does_not_sign_for_the_old_one(token: Token) -> None:
    keyring = opened(token)
    keyring.create("ca", P256_SHA256)
    signer = keyring.signer("ca")
    other = opened(token)
    other.delete("ca")
    other.create("ca", P256_SHA256)
    with pytest.raises(Unavailable, match="another key"):
        suites.sign(signer, b"data")


@pytest.mark.slow
def test_of_two_keys_with_one_label_none_is_chosen(token: Token) -> None:
    keyring = opened(token)
    keyring.create("ca", P256_SHA256)
    make_pair(token, "ca")
    with pytest.raises(Unavailable, match="2 keys ca"):
        opened(token).signer("ca")


@pytest.mark.slow
def test_half_a_pair_that_was_never_finished_is_not_taken_for_the_public_key(token: Token) -> None:
    make_pair(token, "ca", with_private=False)
    made = opened(token).create("ca", P256_SHA256)
    keyring = opened(token)
    assert keyring.signer("ca").public_key() == made
    assert suites.verify(made, suites.sign(keyring.signer("ca"), b"data"), b"data", P256_SHA256.hash)
    keyring.delete("ca")
    assert opened(token).create("ca", P256_SHA256) != made


@pytest.mark.slow
def test_a_private_key_without_its_public_key_is_told(token: Token) -> None:
    make_pair(token, "ca", with_public=False)
    with pytest.raises(Unavailable, match="without its public key"):
        opened(token).signer("ca")


@pytest.mark.slow
def test_a_wrong_pin_is_tried_once_and_not_shown(token: Token) -> None:
    said = elsewhere(
        token,
        f"""
        pins = ["90210", "90210", "{PIN}"]
        own = keyring(lambda: pins[0])
        for _ in range(3):
            try:
                own.labels()
                print("open")
            except Unavailable as failure:
                print(failure)
            pins.pop(0)
        """,
    ).splitlines()
    assert "the PIN is wrong" in said[0]
    assert "pin_file" in said[0]
    assert "90210" not in said[0]
    assert said == [said[0], said[0], "open"]
    # Had it been tried twice, the token would have it as the right one now: it was made so in between.
    changed = elsewhere(
        token,
        f"""
        import subprocess
        own = keyring(lambda: "90210")
        for _ in range(2):
            try:
                own.labels()
                print("open")
            except Unavailable as failure:
                print("refused")
            subprocess.run(["pkcs11-tool", "--module", {SOFTHSM!r}, "--token-label", {token.label!r}, "--login",
                            "--pin", {PIN!r}, "--change-pin", "--new-pin", "90210"], capture_output=True)
        """,
    )
    assert changed.split() == ["refused", "refused"]
    assert elsewhere(token, 'print(keyring(lambda: "90210").labels())') == "[]\n"


@pytest.mark.slow
def test_a_locked_token_works_again_once_it_is_unlocked(token: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*_: object) -> None:
        raise CryptokiError("Login", 0xA4)

    keyring = opened(token)
    with monkeypatch.context() as patched:
        patched.setattr(Cryptoki, "login", locked)
        for _ in range(2):
            with pytest.raises(Unavailable, match="PIN is locked"):
                keyring.labels()
    after_a_pause()
    assert keyring.labels() == []


@pytest.mark.slow
def test_without_a_pin_the_device_is_not_even_asked(token: Token) -> None:
    said = elsewhere(
        token,
        """
        try:
            keyring(lambda: "").labels()
        except Unavailable as failure:
            print(failure)
        """,
    )
    assert "there is no PIN" in said


@pytest.mark.slow
def test_a_child_that_was_forked_while_its_parent_signs_signs_too(token: Token) -> None:
    said = elsewhere(
        token,
        f"""
        own = keyring(lambda: {PIN!r})
        public = own.create("ca", P256_SHA256)
        signer = own.signer("ca")
        def holds():
            return suites.verify(public, suites.sign(signer, b"data"), b"data", P256_SHA256.hash)
        assert holds()
        child = os.fork()
        if not child:
            os._exit(17 if holds() else 1)
        assert holds()
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """,
    )
    assert said.split() == ["17"]


@pytest.mark.slow
def test_a_key_that_was_brought_by_other_tools_signs(token: Token, tmp_path: Path) -> None:
    run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", tmp_path / "key.pem")
    for form in ("", "-pubout"):
        run("openssl", "ec", *form.split(), "-in", tmp_path / "key.pem", "-outform", "DER", "-out",
            tmp_path / f"key{form}.der")  # fmt: skip
    tool = ["pkcs11-tool", "--module", SOFTHSM, "--token-label", token.label, "--login", "--pin", PIN]
    for kind, file in (("privkey", "key.der"), ("pubkey", "key-pubout.der")):
        run(*tool, "--write-object", tmp_path / file, "--type", kind, "--label", "imported", "--usage-sign")
    key = opened(token).signer("imported")
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signature = key.sign(b"data", ec.ECDSA(P256_SHA256.hash or pytest.fail("P-256 has a hash")))
    (tmp_path / "data").write_bytes(b"data")
    (tmp_path / "signature").write_bytes(signature)
    run("openssl", "dgst", "-sha256", "-prverify", tmp_path / "key.pem", "-signature", tmp_path / "signature",
        tmp_path / "data")  # fmt: skip


@pytest.mark.slow
def test_the_token_itself_refuses_to_show_a_key(token: Token) -> None:
    keyring = opened(token)
    keyring.create("ca", P256_SHA256)
    module, session = by_hand(token)
    (key,) = module.find(session, {cryptoki.CLASS: cryptoki.PRIVATE_KEY})
    assert module.attribute(session, key, cryptoki.SENSITIVE) == b"\1"
    assert module.attribute(session, key, cryptoki.EXTRACTABLE) == b"\0"
    assert not module.attribute(session, key, cryptoki.VALUE)
    module.close_session(session)


def by_hand(token: Token) -> tuple[Cryptoki, int]:
    module = Cryptoki(SOFTHSM)
    module.initialize()
    (slot,) = (slot for slot in module.slots() if module.token(slot).label == token.label)
    session = module.open_session(slot)
    module.login(session, PIN)
    return module, session


def make_pair(token: Token, label: str, *, with_public: bool = True, with_private: bool = True) -> None:
    """Make a key pair past the keyring, as another program may do."""
    opened(token).labels()
    module, session = by_hand(token)
    common: dict[int, cryptoki.Value] = {cryptoki.LABEL: label.encode()}
    curve = der.oid("1.2.840.10045.3.1.7")
    public = {**common, cryptoki.TOKEN: with_public, cryptoki.EC_PARAMS: curve}
    module.generate_pair(session, cryptoki.EC_GENERATE, public, {**common, cryptoki.TOKEN: with_private})
    module.close_session(session)
