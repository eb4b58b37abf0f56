"""What every keyring promises, wherever its keys are."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import devices
from secret_search import holds_key_of
from voltroot.errors import NotFound, Refused, Unavailable, UnsupportedSuite
from voltroot.keys.escrow import KeyringEscrow
from voltroot.keys.opening import open_keyring
from voltroot.keys.software import SoftwareKeyring
from voltroot.pki import suites
from voltroot.pki.ports import Keyring
from voltroot.pki.suites import ED448, P256_SHA256, P521_SHA512, RSA_SHA256, RSA_SHA384, SUITES

LACKING = {"swtpm": {ED448.name}}
IN_A_DEVICE = ["softhsm", "swtpm"]


@dataclass
class Place:
    """Somewhere to keep keys; ``open`` is what the next program does that uses them."""

    kind: str
    folder: Path
    device: str
    pin: str

    def open(self) -> Keyring:
        return open_keyring(self.device, self.folder / "keys", lambda: self.pin)


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        match request.param:
            case "software":
                yield Place("software", tmp_path, "", "")
            case "softhsm":
                yield Place("softhsm", tmp_path, stack.enter_context(devices.token()).device, devices.PIN)
            case "swtpm":
                yield Place("swtpm", tmp_path, stack.enter_context(devices.swtpm()).device, "")


def everywhere(*kinds: str) -> Callable[..., Any]:
    marked = [pytest.param(kind, marks=() if kind == "software" else pytest.mark.slow) for kind in kinds]
    return pytest.mark.parametrize("place", marked, indirect=True)


@everywhere("software", *IN_A_DEVICE)
def test_a_key_signs_after_the_keyring_was_opened_again_and_passes_as_one_of_the_library(place: Place) -> None:
    before = {suite.name: place.open().create(suite.name.lower(), suite) for suite in place.open().suites}
    assert before.keys() == SUITES.keys() - LACKING.get(place.kind, set())
    keyring, name = place.open(), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "SECC")])
    for suite, public in ((SUITES[each], public) for each, public in before.items()):
        key: Any = keyring.signer(suite.name.lower())
        assert key.public_key() == public
        signature = suites.sign(key, b"data")
        assert suites.verify(public, signature, b"data", suite.hash), suite.name
        assert not suites.verify(public, signature, b"date", suite.hash), suite.name
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, suite.hash)  # type: ignore[arg-type]  # any hash
        assert request.is_signature_valid
        assert request.public_key() == public


@everywhere("swtpm")
def test_a_kind_of_key_that_a_device_lacks_is_refused(place: Place) -> None:
    with pytest.raises(UnsupportedSuite, match="Ed448"):
        place.open().create("ca", ED448)
    assert place.open().labels() == []


@everywhere("software", *IN_A_DEVICE)
def test_creating_twice_is_the_same_key(place: Place) -> None:
    assert place.open().create("ca", P256_SHA256) == place.open().create("ca", P256_SHA256)


@everywhere("software", *IN_A_DEVICE)
def test_many_threads_that_create_one_label_get_one_key(place: Place) -> None:
    keyring, barrier, made = place.open(), threading.Barrier(8), []

    def create() -> None:
        barrier.wait()
        made.append(keyring.create("ca", P256_SHA256))

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert all(public == made[0] for public in made)
    assert place.open().labels() == ["ca"]


@everywhere("software", *IN_A_DEVICE)
def test_an_unknown_label_is_not_found(place: Place) -> None:
    with pytest.raises(NotFound):
        place.open().signer("nobody")


@everywhere("software", *IN_A_DEVICE)
def test_what_is_no_label_is_refused(place: Place) -> None:
    keyring = place.open()
    for label in ("", "../ca", "a/b", ".hidden", "A", "a b", "a" * 122):
        with pytest.raises(Refused):
            keyring.create(label, P256_SHA256)
        with pytest.raises(Refused):
            keyring.delete(label)


@everywhere("software", *IN_A_DEVICE)
def test_a_deleted_key_is_gone_and_its_label_free(place: Place) -> None:
    keyring = place.open()
    first = keyring.create("first", P256_SHA256)
    keyring.create("second", P256_SHA256)
    assert keyring.labels() == ["first", "second"]
    keyring.delete("first")
    keyring.delete("first")
    assert keyring.labels() == ["second"]
    with pytest.raises(NotFound):
        keyring.signer("first")
    assert keyring.create("first", P256_SHA256) != first


@everywhere("software", *IN_A_DEVICE)
def test_both_sides_of_an_exchange_meet(place: Place) -> None:
    keyring = place.open()
    for suite in (P256_SHA256, P521_SHA512):
        assert suite.curve is not None
        public = keyring.create(suite.name.lower(), suite)
        assert isinstance(public, ec.EllipticCurvePublicKey)
        for _ in range(3):
            other = ec.generate_private_key(suite.curve)
            shared = keyring.exchange(suite.name.lower(), other.public_key())
            assert shared == other.exchange(ec.ECDH(), public)
    with pytest.raises(UnsupportedSuite):
        keyring.exchange("p-256", keyring.create("p-521", P521_SHA512))
    with pytest.raises(UnsupportedSuite):
        keyring.exchange("p-256", keyring.create("rsa", RSA_SHA256))


@everywhere("software", *IN_A_DEVICE)
def test_escrow_returns_keys_and_shows_nothing_of_them(place: Place) -> None:
    escrow = KeyringEscrow(place.open())
    for suite in (P256_SHA256, P521_SHA512, ED448, RSA_SHA256):
        key = suites.generate(suite)
        sealed = escrow.seal(key)
        assert KeyringEscrow(place.open()).open(sealed).public_key() == key.public_key()
        assert escrow.seal(key) != sealed
        for position in (0, 1, 40, 70, len(sealed) - 1):
            changed = bytearray(sealed)
            changed[position] ^= 1
            with pytest.raises(Unavailable):
                escrow.open(bytes(changed))


def test_what_another_escrow_sealed_does_not_open(tmp_path: Path) -> None:
    sealed = KeyringEscrow(SoftwareKeyring(tmp_path / "own")).seal(suites.generate(P256_SHA256))
    with pytest.raises(Unavailable):
        KeyringEscrow(SoftwareKeyring(tmp_path / "others")).open(sealed)


@everywhere(*IN_A_DEVICE)
def test_a_key_in_a_device_does_not_leave_it(place: Place) -> None:
    keyring = place.open()
    for suite in (P256_SHA256, P521_SHA512, RSA_SHA256):
        keyring.create(suite.name.lower(), suite)
        key = keyring.signer(suite.name.lower())
        with pytest.raises(Refused, match="cannot leave"):
            key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        with pytest.raises(Refused, match="cannot leave"):
            KeyringEscrow(keyring).seal(key)
    assert keyring.exchange("p-256", keyring.create("p-256", P256_SHA256))
    for path in place.folder.rglob("*"):
        assert not path.is_file() or not holds_key_of(path.read_bytes(), keyring.create("p-256", P256_SHA256)), path


def test_the_search_for_secrets_finds_them_where_they_are(tmp_path: Path) -> None:
    public = SoftwareKeyring(tmp_path).create("p-256", P256_SHA256)
    (path,) = tmp_path.iterdir()
    assert holds_key_of(path.read_bytes(), public)
    other = SoftwareKeyring(tmp_path).create("other", P256_SHA256)
    assert not holds_key_of(path.read_bytes(), other)


@everywhere("software", *IN_A_DEVICE)
def test_a_keyring_that_answers_says_so(place: Place) -> None:
    keyring = place.open()
    keyring.check()
    keyring.create("ca", P256_SHA256)
    keyring.check()


def test_a_key_is_never_replaced_by_another(tmp_path: Path) -> None:
    keyring = SoftwareKeyring(tmp_path)
    keyring.create("ca", RSA_SHA384)
    with pytest.raises(Refused):
        keyring.put("ca", suites.generate(P256_SHA256))


def test_only_the_owner_reads_key_files(tmp_path: Path) -> None:
    keyring = SoftwareKeyring(tmp_path / "keys")
    keyring.create("ca", P256_SHA256)
    path = keyring.path("ca")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["ca.pem"]


def test_a_passphrase_encrypts_the_files(tmp_path: Path) -> None:
    SoftwareKeyring(tmp_path, b"open sesame").create("ca", P256_SHA256)
    assert "ENCRYPTED" in (tmp_path / "ca.pem").read_text()
    assert SoftwareKeyring(tmp_path, b"open sesame").signer("ca")
    with pytest.raises(Unavailable) as refused:
        SoftwareKeyring(tmp_path, b"wrong").signer("ca")
    assert "wrong?" in str(refused.value)
    assert "sesame" not in str(refused.value)
