"""TPMs: what is sealed for one, and what happens when it is switched off, crowded or exchanged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import devices
from backend import run
from devices import Swtpm
from voltroot.errors import Malformed, NotFound, Unavailable
from voltroot.keys import tpm2
from voltroot.keys.tpm import SealedKey, TpmKeyring
from voltroot.keys.tpm2 import Tpm
from voltroot.pki import suites
from voltroot.pki.suites import P256_SHA256, RSA_SHA256, PublicKey


@pytest.fixture
def tpm() -> Iterator[Swtpm]:
    with devices.swtpm() as made:
        yield made


def signs(keyring: TpmKeyring, public: PublicKey, label: str = "secc") -> bool:
    return suites.verify(public, suites.sign(keyring.signer(label), b"data"), b"data", P256_SHA256.hash)


@pytest.mark.parametrize("tcti", ["", "tabrmd", "swtpm:port=x", "swtpm:path=/a,port=1", "swtpm:host=a,color=red"])
def test_a_tcti_that_leads_nowhere_is_refused(tcti: str, tmp_path: Path) -> None:
    with pytest.raises(Malformed, match="leads to no TPM"):
        TpmKeyring(tcti, tmp_path)


@pytest.mark.parametrize("tcti", ["device:/nowhere/tpm", "swtpm:path=/nowhere/tpm", "swtpm:host=localhost,port=1"])
def test_a_tpm_that_is_not_there_is_unavailable(tcti: str, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        TpmKeyring(tcti, tmp_path).create("secc", P256_SHA256)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "-----BEGIN PRIVATE KEY-----\n", "-----BEGIN TSS2 PRIVATE KEY-----\nAAAA\n"])
def test_a_file_that_is_no_sealed_key_is_told(content: str, tmp_path: Path) -> None:
    keyring = TpmKeyring("device:/nowhere/tpm", tmp_path)
    keyring.path("secc").write_text(content)
    with pytest.raises(Unavailable, match=r"secc\.tkey is not the key of a TPM"):
        keyring.signer("secc")


@pytest.mark.slow
def test_a_tpm_that_was_switched_off_works_again_once_it_is_on(tpm: Swtpm, tmp_path: Path) -> None:
    keyring = TpmKeyring(tpm.tcti, tmp_path)
    public = keyring.create("secc", P256_SHA256)
    # Six unclean ends: more than the four after which a key that is not exempt from the lock would be locked.
    for _ in range(6):
        assert signs(keyring, public)
        tpm.take_away()
        with pytest.raises(Unavailable, match="does not answer"):
            signs(keyring, public)
        with pytest.raises(Unavailable):
            keyring.check()
        tpm.put_back()
    assert signs(keyring, public)


@pytest.mark.slow
def test_what_killed_programs_left_in_a_tpm_is_in_nobodys_way(tpm: Swtpm, tmp_path: Path) -> None:
    keyring = TpmKeyring(tpm.tcti, tmp_path)
    public = keyring.create("secc", P256_SHA256)
    sealed = SealedKey.read(keyring.path("secc").read_bytes())
    with Tpm(tpm2.transport(tpm.tcti)) as connected:
        for _ in range(3):
            connected.load(sealed.parent, sealed.private, sealed.public)
    assert signs(keyring, public)


@pytest.mark.slow
def test_a_key_file_is_worth_nothing_with_another_tpm(tpm: Swtpm, tmp_path: Path) -> None:
    own = TpmKeyring(tpm.tcti, tmp_path)
    own.create("secc", P256_SHA256)
    with devices.swtpm() as second:
        other = TpmKeyring(second.tcti, tmp_path)
        other.create("made-there", P256_SHA256)
        with pytest.raises(Unavailable, match="made by another TPM"):
            suites.sign(other.signer("secc"), b"data")


@pytest.mark.slow
def test_a_key_with_a_pin_signs_with_that_pin_only(tpm: Swtpm, tmp_path: Path) -> None:
    public = TpmKeyring(tpm.tcti, tmp_path, lambda: "314159").create("secc", P256_SHA256)
    for wrong in ("271828", "") * 20:  # more often than the lock would allow
        with pytest.raises(Unavailable, match="PIN") as refused:
            signs(TpmKeyring(tpm.tcti, tmp_path, lambda wrong=wrong: wrong), public)
        assert "271828" not in str(refused.value)
    assert signs(TpmKeyring(tpm.tcti, tmp_path, lambda: "314159"), public)


@pytest.mark.slow
def test_an_owner_with_a_password_is_asked_to_make_the_storage_root(tpm: Swtpm, tmp_path: Path) -> None:
    # TPM2_Startup, TPM2_HierarchyChangeAuth
    for command in ("8001 0000000c 00000144 0000", "8002 00000023 00000129 40000001 00000009 40000009 0000 00 0000"
                    "0006 736563726574"):  # fmt: skip
        connection = tpm2.transport(tpm.tcti)()
        assert connection.transmit(bytes.fromhex(command))[6:10] == bytes(4)
        connection.close()
    with pytest.raises(Unavailable, match="0x81000001"):
        TpmKeyring(tpm.tcti, tmp_path).create("secc", P256_SHA256)


@pytest.mark.slow
def test_a_deleted_key_is_gone_for_other_programs_too(tpm: Swtpm, tmp_path: Path) -> None:
    TpmKeyring(tpm.tcti, tmp_path).create("secc", P256_SHA256)
    TpmKeyring(tpm.tcti, tmp_path).delete("secc")
    with pytest.raises(NotFound):
        TpmKeyring(tpm.tcti, tmp_path).signer("secc")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("suite", [P256_SHA256, RSA_SHA256], ids=lambda suite: suite.name)
def test_openssl_signs_with_the_key_file(suite: suites.Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with devices.swtpm(tcp=True) as tpm:
        keyring = TpmKeyring(tpm.tcti, tmp_path)
        public = keyring.create("secc", suite)
        monkeypatch.setenv("TPM2OPENSSL_TCTI", tpm.tcti)
        provider = ("-provider", "tpm2", "-provider", "default", "-propquery", "?provider=tpm2")
        request = tmp_path / "secc.csr"
        run("openssl", "req", "-new", *provider, "-key", keyring.path("secc"), "-subj", "/CN=SECC", "-out", request)
        assert "verify OK" in run("openssl", "req", "-in", request, "-verify", "-noout")
        spki = run("openssl", "req", "-in", request, "-pubkey", "-noout")
        assert suites.verify(public, suites.sign(keyring.signer("secc"), b"data"), b"data", suite.hash)
        assert spki == public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
