"""What every keyring promises."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from voltroot.errors import NotFound, Refused, Unavailable
from voltroot.keys.escrow import KeyringEscrow
from voltroot.keys.software import SoftwareKeyring
from voltroot.pki import suites
from voltroot.pki.suites import ED448, P256_SHA256, P521_SHA512, RSA_SHA256, Suite

SUITES = [P256_SHA256, P521_SHA512, ED448, RSA_SHA256]
IDS = [suite.name for suite in SUITES]


@pytest.fixture
def keyring(tmp_path: Path) -> SoftwareKeyring:
    return SoftwareKeyring(tmp_path / "keys")


@pytest.mark.parametrize("suite", SUITES, ids=IDS)
def test_a_key_signs_after_the_keyring_was_opened_again(keyring: SoftwareKeyring, tmp_path: Path, suite: Suite) -> None:
    public = keyring.create("ca", suite)
    again = SoftwareKeyring(tmp_path / "keys")
    signature = suites.sign(again.signer("ca"), b"data")
    assert suites.verify(public, signature, b"data", suite.hash)
    assert not suites.verify(public, signature, b"date", suite.hash)


def test_creating_twice_is_the_same_key(keyring: SoftwareKeyring) -> None:
    assert keyring.create("ca", P256_SHA256) == keyring.create("ca", P256_SHA256)


def test_a_key_is_never_replaced_by_another(keyring: SoftwareKeyring) -> None:
    keyring.create("ca", P256_SHA256)
    with pytest.raises(Refused):
        keyring.put("ca", suites.generate(P256_SHA256))


def test_an_unknown_label_is_not_found(keyring: SoftwareKeyring) -> None:
    with pytest.raises(NotFound):
        keyring.signer("nobody")


@pytest.mark.parametrize("label", ["", "../ca", "a/b", ".hidden", "A", "a b"])
def test_a_label_never_leaves_the_folder(keyring: SoftwareKeyring, label: str) -> None:
    with pytest.raises(Refused):
        keyring.create(label, P256_SHA256)


def test_only_the_owner_reads_keys(keyring: SoftwareKeyring) -> None:
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


def test_both_sides_of_an_exchange_meet(keyring: SoftwareKeyring) -> None:
    public = keyring.create("escrow", P256_SHA256)
    other = ec.generate_private_key(ec.SECP256R1())
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert keyring.exchange("escrow", other.public_key()) == other.exchange(ec.ECDH(), public)


@pytest.mark.parametrize("suite", SUITES, ids=IDS)
def test_escrow_returns_the_key_and_shows_nothing_of_it(keyring: SoftwareKeyring, suite: Suite) -> None:
    escrow = KeyringEscrow(keyring)
    key = suites.generate(suite)
    sealed = escrow.seal(key)
    assert escrow.open(sealed).public_key() == key.public_key()
    assert escrow.seal(key) != sealed


def test_a_sealed_key_that_was_changed_or_is_anothers_does_not_open(keyring: SoftwareKeyring, tmp_path: Path) -> None:
    escrow = KeyringEscrow(keyring)
    sealed = escrow.seal(suites.generate(P256_SHA256))
    for place in (0, 1, 40, 70, len(sealed) - 1):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(Unavailable):
            escrow.open(bytes(changed))
    with pytest.raises(Unavailable):
        KeyringEscrow(SoftwareKeyring(tmp_path / "others")).open(sealed)
