"""Key files: whose public key belongs to them, wherever the private one lives."""

from __future__ import annotations

import hashlib
import re
import struct
from pathlib import Path
from typing import cast

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from voltroot.actors.station.ports import Fault, Key
from voltroot.errors import Failure
from voltroot.pki import der
from voltroot.pki.certificates import pem, read_pem
from voltroot.pki.suites import PublicKey, Signer

LARGEST = 1 << 16
TPM = "TSS2 PRIVATE KEY"
_LABEL = re.compile(rb"^Voltroot-Keyring-Label: ([a-z0-9][a-z0-9._-]{0,120})$", re.MULTILINE)
_CURVES: dict[int, ec.EllipticCurve] = {3: ec.SECP256R1(), 4: ec.SECP384R1(), 5: ec.SECP521R1()}  # TPM_ECC_CURVE


def read(path: Path, octets: bytes | OSError, password: bytes | None) -> Key | Fault:
    """Return which key a file holds or refers to, or why it cannot be used; no secret is kept."""
    if isinstance(octets, OSError):
        return Fault(path, f"the key cannot be read: {octets.strerror}")
    if len(octets) > LARGEST:
        return Fault(path, f"a key file of more than {LARGEST} octets is not read")
    try:
        label = _LABEL.search(octets)
        spki = _spki(octets, password)
        exposed = label is None and bool(path.stat().st_mode & 0o077)
    except (Failure, ValueError, TypeError, IndexError, struct.error, OSError) as error:
        return Fault(path, f"the key cannot be used: {error if isinstance(error, Failure) else _doubt(octets)}")
    return Key(path, hashlib.sha256(spki).digest(), label[1].decode() if label else None, exposed)


def write(key: Signer, password: bytes | None) -> bytes:
    """Return a private key in PKCS#8, encrypted only if there is a password."""
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def write_reference(label: str, spki: bytes, reference: str) -> bytes:
    """Return what stands for a key in a keyring: PEM that OpenSSL may find it by, its label and its public key."""
    return f"{reference}Voltroot-Keyring-Label: {label}\n{pem('PUBLIC KEY', spki)}".encode()


def spki_of(key: PublicKey) -> bytes:
    """Return a public key as certificates hold it."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _spki(octets: bytes, password: bytes | None) -> bytes:
    if b"-----BEGIN " not in octets:
        raise ValueError("no PEM")
    if b"-----BEGIN PUBLIC KEY-----" in octets:
        return next(block for label, block in read_pem(octets.decode()) if label == "PUBLIC KEY")
    if f"-----BEGIN {TPM}-----".encode() in octets:
        return _of_tpm(next(block for label, block in read_pem(octets.decode()) if label == TPM))
    try:
        key = load_pem_private_key(octets, password or None)
    except TypeError:
        # One password is configured for all keys; those that are not encrypted need none.
        key = load_pem_private_key(octets, None)
    return spki_of(cast(PublicKey, key.public_key()))


def _of_tpm(octets: bytes) -> bytes:
    """Read the public part of a TPM's key file: a TPM2B_PUBLIC within TSS2 PRIVATE KEY (TPM 2.0 part 2, 12.2.4)."""
    strings = [part.content for part in der.children(der.read_sequence(octets)) if part.tag == der.OCTET_STRING]
    public = strings[0][2:]
    kind, _hash, _attributes, policy = struct.unpack_from(">HHIH", public)
    rest = public[10 + policy :]
    (symmetric,) = struct.unpack_from(">H", rest)
    rest = rest[2 if symmetric == 0x0010 else 6 :]  # TPM_ALG_NULL has neither size nor mode
    (scheme,) = struct.unpack_from(">H", rest)
    rest = rest[2 if scheme == 0x0010 else 4 :]
    if kind == 0x0001:  # TPM_ALG_RSA
        _bits, exponent = struct.unpack_from(">HI", rest)
        modulus, _ = _sized(rest[6:])
        return spki_of(rsa.RSAPublicNumbers(exponent or 65537, int.from_bytes(modulus)).public_key())
    curve, derivation = struct.unpack_from(">HH", rest)
    x, rest = _sized(rest[4 if derivation == 0x0010 else 6 :])
    y, _ = _sized(rest)
    numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), _CURVES[curve])
    return spki_of(numbers.public_key())


def _sized(octets: bytes) -> tuple[bytes, bytes]:
    (size,) = struct.unpack_from(">H", octets)
    return octets[2 : 2 + size], octets[2 + size :]


def _doubt(octets: bytes) -> str:
    if b"ENCRYPTED" in octets:
        return "it is encrypted, and the password is missing or wrong"
    return "it is no private key in PEM"
