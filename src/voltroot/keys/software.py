"""A keyring of files: one PKCS#8 file for each key, readable by its owner only."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import cast

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from voltroot.errors import Malformed, Refused, Unavailable
from voltroot.keys.files import KeyFiles
from voltroot.keys.signers import same_curve
from voltroot.pki import suites
from voltroot.pki.suites import SUITES, PublicKey, Signer, Suite


class SoftwareKeyring:
    """A ``Keyring`` in a folder; with a passphrase each file is encrypted (PBES2)."""

    def __init__(self, folder: Path, passphrase: bytes | None = None) -> None:
        self._files = KeyFiles(folder, ".pem")
        self._passphrase = passphrase
        self._loaded: dict[str, Signer] = {}
        self._lock = threading.Lock()

    @property
    def suites(self) -> tuple[Suite, ...]:
        """All of them."""
        return tuple(SUITES.values())

    def create(self, label: str, suite: Suite) -> PublicKey:
        """Make a key and sync it to disk; for a label that exists, return its public key."""
        if not self.path(label).exists():
            key = suites.generate(suite)
            if self._write(label, key):
                with self._lock:
                    return self._loaded.setdefault(label, key).public_key()
        return self.signer(label).public_key()

    def put(self, label: str, key: Signer) -> None:
        """Take in a key that was made elsewhere; refuses to replace another key."""
        if not self._write(label, key) and self.signer(label).public_key() != key.public_key():
            raise Refused(f"the keyring holds another key under {label}")

    def signer(self, label: str) -> Signer:
        """Return the private key, read once and kept."""
        with self._lock:
            if label not in self._loaded:
                self._loaded[label] = self._load(label)
            return self._loaded[label]

    def exchange(self, label: str, peer: PublicKey) -> bytes:
        """Return the shared secret of ECDH with the key."""
        key = self.signer(label)
        return cast(ec.EllipticCurvePrivateKey, key).exchange(ec.ECDH(), same_curve(key.public_key(), peer))

    def labels(self) -> list[str]:
        """Return the labels of all keys."""
        return self._files.labels()

    def delete(self, label: str) -> None:
        """Remove a key's file."""
        with self._lock:
            self._files.delete(label)
            self._loaded.pop(label, None)

    def check(self) -> None:
        """Files answer always."""

    def path(self, label: str) -> Path:
        """Return where a key's file is, for programs such as OpenSSL that read it themselves."""
        return self._files.path(label)

    def _write(self, label: str, key: Signer) -> bool:
        encryption = BestAvailableEncryption(self._passphrase) if self._passphrase else NoEncryption()
        return self._files.write(label, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))

    def _load(self, label: str) -> Signer:
        try:
            return read_private_key(self._files.read(label), self._passphrase)
        except Malformed as error:
            raise Unavailable(f"the key {label} cannot be read: is its file or the passphrase wrong?") from error


def read_private_key(pem: bytes, passphrase: bytes | None = None) -> Signer:
    """Read a private key in PEM, or raise Malformed without a word of its content."""
    try:
        try:
            key = load_pem_private_key(pem, passphrase)
        except TypeError:
            # A passphrase was given for a key that is not encrypted, or is missing for one that is.
            key = load_pem_private_key(pem, None)
        suites.suite_of(key)
    except (ValueError, TypeError):
        raise Malformed("this is not a private key in PEM, or its passphrase is wrong or missing") from None
    return cast(Signer, key)
