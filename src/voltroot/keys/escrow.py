"""Escrow under a key of the keyring: sealing needs its public half only, opening asks the keyring.

ECIES: an ephemeral P-256 key, ECDH, HKDF-SHA256 over both public points, AES-256-GCM.
Sealed form: one octet version, 65 octets ephemeral point, ciphertext with tag over the PKCS#8 octets.
"""

from __future__ import annotations

from typing import cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from voltroot.errors import Unavailable
from voltroot.pki.ports import Keyring
from voltroot.pki.suites import P256_SHA256, Signer

LABEL = "escrow"
_VERSION = b"\x01"
_POINT = 65
# Each message has a key of its own, so one fixed nonce is never used twice with a key.
_NONCE = bytes(12)


class KeyringEscrow:
    """An ``Escrow`` whose P-256 key lives in a keyring."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._public = cast(ec.EllipticCurvePublicKey, keyring.create(LABEL, P256_SHA256))

    def seal(self, key: Signer) -> bytes:
        """Return the key, encrypted to the escrow key."""
        ephemeral = ec.generate_private_key(ec.SECP256R1())
        point = _point(ephemeral.public_key())
        secret = ephemeral.exchange(ec.ECDH(), self._public)
        plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return _VERSION + point + self._cipher(secret, point).encrypt(_NONCE, plain, _VERSION)

    def open(self, sealed: bytes) -> Signer:
        """Return a sealed key; Unavailable if it was sealed under another escrow key or was changed."""
        point, cipher = sealed[1 : 1 + _POINT], sealed[1 + _POINT :]
        try:
            peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
            plain = self._cipher(self._keyring.exchange(LABEL, peer), point).decrypt(_NONCE, cipher, sealed[:1])
        except (InvalidTag, ValueError):
            raise Unavailable("a key in escrow cannot be opened: it was sealed under another escrow key") from None
        return cast(Signer, load_der_private_key(plain, None))

    def _cipher(self, secret: bytes, point: bytes) -> AESGCM:
        info = b"voltroot escrow 1" + point + _point(self._public)
        return AESGCM(HKDF(hashes.SHA256(), 32, None, info).derive(secret))


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
