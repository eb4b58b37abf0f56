"""A keyring in a TPM 2.0: each key is made in the TPM, and a file holds it sealed so that only this TPM can open it.

The files have the form that OpenSSL's TPM providers read ("TSS2 PRIVATE KEY"), so that a TLS server can use them too.
"""

from __future__ import annotations

import base64
import struct
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from voltroot.errors import Malformed, Unavailable, UnsupportedSuite
from voltroot.keys import tpm2
from voltroot.keys.files import KeyFiles
from voltroot.keys.signers import same_curve, signer
from voltroot.keys.tpm2 import Template, Tpm, TpmError
from voltroot.pki import der
from voltroot.pki.suites import (
    P256_SHA256,
    P384_SHA384,
    P521_SHA512,
    RSA_SHA256,
    RSA_SHA384,
    SUITES,
    PublicKey,
    Signer,
    Suite,
)

T = TypeVar("T")

SUFFIX = ".tkey"
_HEAD, _FOOT = "-----BEGIN TSS2 PRIVATE KEY-----\n", "-----END TSS2 PRIVATE KEY-----\n"
_LOADABLE = "2.23.133.10.1.3"

_TEMPLATES = {
    P256_SHA256.name: Template(tpm2.ECC, curve=tpm2.P256),
    P384_SHA384.name: Template(tpm2.ECC, curve=tpm2.P384, hash=tpm2.HASHES["sha384"]),
    P521_SHA512.name: Template(tpm2.ECC, curve=tpm2.P521, hash=tpm2.HASHES["sha512"]),
    RSA_SHA256.name: Template(tpm2.RSA, bits=2048),
    RSA_SHA384.name: Template(tpm2.RSA, bits=3072, hash=tpm2.HASHES["sha384"]),
}
_CURVES: dict[int, ec.EllipticCurve] = {tpm2.P256: ec.SECP256R1(), tpm2.P384: ec.SECP384R1(), tpm2.P521: ec.SECP521R1()}

_WRONG_PIN = "the PIN is not the one that the key was made with; see keys.pin_file and VOLTROOT_PIN"
_HINTS = {
    tpm2.AUTH_FAIL: _WRONG_PIN,
    tpm2.BAD_AUTH: _WRONG_PIN,
    tpm2.OWNER_AUTH: "its owner has a password: make the storage root key at 0x81000001 first, with tpm2_createprimary "
    "and tpm2_evictcontrol",
    tpm2.INTEGRITY: "the key was made by another TPM, or before this one was cleared",
    tpm2.LOCKOUT: "it is locked after too many wrong passwords: wait, or clear the lock with tpm2_dictionarylockout",
}


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A key as its file has it: TPM2B_PRIVATE, which only its TPM can open, and TPM2B_PUBLIC."""

    public: bytes
    private: bytes = field(repr=False)
    parent: int = tpm2.STORAGE_ROOT
    with_pin: bool = False

    def write(self) -> bytes:
        """Return the TPMKey of the TSS2 key format in PEM."""
        content = der.sequence(
            der.oid(_LOADABLE),
            b"" if self.with_pin else der.explicit(0, der.TRUE),
            der.integer(self.parent),
            der.octet_string(self.public),
            der.octet_string(self.private),
        )
        return (_HEAD + "\n".join(textwrap.wrap(base64.b64encode(content).decode(), 64)) + "\n" + _FOOT).encode()

    @classmethod
    def read(cls, pem: bytes) -> SealedKey:
        """Read a file, or raise Malformed."""
        text = pem.decode("ascii", errors="replace")
        if not (text.startswith(_HEAD) and text.endswith(_FOOT)):
            raise Malformed("this is no key of a TPM in PEM")
        kind, *parts = der.children(der.read_sequence(base64.b64decode(text[len(_HEAD) : -len(_FOOT)])))
        if kind.whole != der.oid(_LOADABLE) or len(parts) < 3:
            raise Malformed("this is no key that a TPM can load")
        parent, public, private = parts[-3:]
        return cls(public.content, private.content, int.from_bytes(parent.content), len(parts) == 3)

    def public_key(self) -> PublicKey:
        """Return what is in the TPMT_PUBLIC (part 2, 12.2.4), or raise Malformed."""
        try:
            kind, policy = int.from_bytes(self.public[2:4]), int.from_bytes(self.public[10:12])
            rest = self.public[12 + policy :]
            if kind == tpm2.RSA:
                _, _, _, exponent, size = struct.unpack_from(">HHHIH", rest)
                return rsa.RSAPublicNumbers(exponent or 65537, int.from_bytes(rest[12 : 12 + size])).public_key()
            _, _, curve, _, size = struct.unpack_from(">HHHHH", rest)
            x, y = rest[10 : 10 + size], rest[12 + size :]
            return ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), _CURVES[curve]).public_key()
        except (struct.error, KeyError, ValueError) as error:
            raise Malformed("the public part of the key makes no sense") from error


class TpmKeyring:
    """A ``Keyring`` of sealed files and the TPM at a TCTI; ``pin`` is the password that its keys have, if any."""

    def __init__(self, tcti: str, folder: Path, pin: Callable[[], str] = lambda: "") -> None:
        self._tcti = tcti
        self._connect = tpm2.transport(tcti)
        self._files = KeyFiles(folder, SUFFIX)
        self._pin = pin
        self._loaded: dict[str, SealedKey] = {}
        self._turn = threading.Lock()

    def __str__(self) -> str:
        return f"the TPM at {self._tcti}"

    @property
    def suites(self) -> tuple[Suite, ...]:
        """What the TPM can make and sign with; many have no P-521, none has Ed448."""
        with self._tpm() as tpm:
            return tuple(SUITES[name] for name, template in _TEMPLATES.items() if tpm.can(template))

    def create(self, label: str, suite: Suite) -> PublicKey:
        """Make a key and sync its sealed form to disk; for a label that exists, return its public key."""
        if not self.path(label).exists():
            template, auth = _TEMPLATES.get(suite.name), self._pin().encode()
            with self._tpm() as tpm:
                if template is None or not tpm.can(template):
                    raise UnsupportedSuite(f"{self} cannot make keys of {suite.name}")
                tpm.provide_storage_root()
                private, public = tpm.create(template, auth)
            self._files.write(label, SealedKey(public, private, with_pin=bool(auth)).write())
        return self.signer(label).public_key()

    def signer(self, label: str) -> Signer:
        """Return what signs with a key in the TPM."""
        public = self._sealed(label).public_key()
        return signer(public, _TpmSecret(label, public, self))

    def exchange(self, label: str, peer: PublicKey) -> bytes:
        """Return the shared secret of ECDH, made in the TPM."""
        key = self.signer(label)
        return cast(ec.EllipticCurvePrivateKey, key).exchange(ec.ECDH(), same_curve(key.public_key(), peer))

    def labels(self) -> list[str]:
        """Return the labels of all keys."""
        return self._files.labels()

    def delete(self, label: str) -> None:
        """Remove a key's sealed file: the TPM itself keeps nothing of it."""
        self._files.delete(label)
        self._loaded.pop(label, None)

    def check(self) -> None:
        """Raise Unavailable unless the TPM answers."""
        with self._tpm() as tpm:
            tpm.can(_TEMPLATES[P256_SHA256.name])

    def path(self, label: str) -> Path:
        """Return where a key's sealed file is, for OpenSSL with a provider for TPMs."""
        return self._files.path(label)

    def use(self, label: str, task: Callable[[Tpm, int, bytes], T]) -> T:
        """Return what a task makes of the TPM, the handle of the loaded key, and its password."""
        sealed = self._sealed(label)
        auth = self._pin().encode() if sealed.with_pin else b""
        with self._tpm() as tpm:
            handle = tpm.load(sealed.parent, sealed.private, sealed.public)
            try:
                return task(tpm, handle, auth)
            finally:
                tpm.flush(handle)

    def _sealed(self, label: str) -> SealedKey:
        if (sealed := self._loaded.get(label)) is None:
            try:
                sealed = self._loaded[label] = SealedKey.read(self._files.read(label))
            except (Malformed, ValueError) as error:
                raise Unavailable(f"the file {self.path(label)} is not the key of a TPM") from error
        return sealed

    @contextmanager
    def _tpm(self) -> Iterator[Tpm]:
        """Yield the TPM for one piece of work; Unavailable says what is wrong with it."""
        try:
            with self._turn, Tpm(self._connect) as tpm:
                yield tpm
        except TpmError as error:
            raise Unavailable(f"{self} refuses ({error}): {_HINTS.get(error.code, 'see its manual')}") from error
        except OSError as error:
            raise Unavailable(
                f"{self} does not answer ({error.strerror or error}): is it there, and may we use it?"
            ) from error


@dataclass(frozen=True, slots=True)
class _TpmSecret:
    label: str
    public: PublicKey
    keyring: TpmKeyring

    def sign(self, data: bytes, algorithm: hashes.HashAlgorithm | None) -> bytes:
        """Sign as pyca's key of that kind does."""
        assert algorithm is not None, "a TPM has no Ed448"
        is_rsa = isinstance(self.public, rsa.RSAPublicKey)
        scheme, hash_ = tpm2.RSASSA if is_rsa else tpm2.ECDSA, tpm2.HASHES[algorithm.name]
        numbers = self.keyring.use(self.label, lambda tpm, key, auth: tpm.sign(key, auth, data, scheme, hash_))
        if is_rsa:
            return numbers[0]
        r, s = (int.from_bytes(number) for number in numbers)
        return encode_dss_signature(r, s)

    def exchange(self, peer: ec.EllipticCurvePublicKey) -> bytes:
        """Return the shared X coordinate, padded to the field's size."""
        size = (peer.curve.key_size + 7) // 8
        x, y = (value.to_bytes(size) for value in (peer.public_numbers().x, peer.public_numbers().y))
        shared = self.keyring.use(self.label, lambda tpm, key, auth: tpm.exchange(key, auth, x, y))
        return shared.rjust(size, b"\0")
