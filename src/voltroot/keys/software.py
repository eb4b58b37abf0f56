"""A keyring of files: one PKCS#8 file for each key, readable by its owner only."""

from __future__ import annotations

import os
import re
import tempfile
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

from voltroot.errors import Malformed, NotFound, Refused, Unavailable
from voltroot.pki import suites
from voltroot.pki.suites import PublicKey, Signer, Suite

_LABEL = re.compile(r"[a-z0-9][a-z0-9._-]{0,120}")


class SoftwareKeyring:
    """A ``Keyring`` in a folder; with a passphrase each file is encrypted (PBES2)."""

    def __init__(self, folder: Path, passphrase: bytes | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        self._folder = folder
        self._passphrase = passphrase
        self._loaded: dict[str, Signer] = {}
        self._lock = threading.Lock()

    def create(self, label: str, suite: Suite) -> PublicKey:
        """Make a key and sync it to disk; for a label that exists, return its public key."""
        path = self.path(label)
        if not path.exists():
            self.put(label, suites.generate(suite))
        return self.signer(label).public_key()

    def put(self, label: str, key: Signer) -> None:
        """Take in a key that was made elsewhere; refuses to replace another key."""
        path = self.path(label)
        encryption = BestAvailableEncryption(self._passphrase) if self._passphrase else NoEncryption()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        # The name appears only once the content is on disk, and never replaces another key.
        handle, temporary = tempfile.mkstemp(dir=self._folder, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(pem)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(temporary, path)
            except FileExistsError:
                if self.signer(label).public_key() != key.public_key():
                    raise Refused(f"the keyring holds another key under {label}") from None
        finally:
            Path(temporary).unlink()
        _sync_folder(self._folder)

    def signer(self, label: str) -> Signer:
        """Return the private key, read once and kept."""
        with self._lock:
            if label not in self._loaded:
                self._loaded[label] = self._load(label)
            return self._loaded[label]

    def exchange(self, label: str, peer: PublicKey) -> bytes:
        """Return the shared secret of ECDH with the key."""
        key = cast(ec.EllipticCurvePrivateKey, self.signer(label))
        return key.exchange(ec.ECDH(), cast(ec.EllipticCurvePublicKey, peer))

    def labels(self) -> list[str]:
        """Return the labels of all keys."""
        return sorted(path.stem for path in self._folder.glob("[!.]*.pem"))

    def path(self, label: str) -> Path:
        """Return where a key's file is, for programs such as OpenSSL that read it themselves."""
        if not _LABEL.fullmatch(label):
            raise Refused(f"{label!r} is no label for a key: use lower-case letters, digits, '.', '_' and '-'")
        return self._folder / f"{label}.pem"

    def _load(self, label: str) -> Signer:
        path = self.path(label)
        try:
            return read_private_key(path.read_bytes(), self._passphrase)
        except FileNotFoundError as error:
            raise NotFound(f"the keyring has no key {label}") from error
        except (OSError, Malformed) as error:
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


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
