"""Keys in a device that pass as pyca's private keys: the device does what needs the secret, hashing is done here."""

from __future__ import annotations

from typing import Any, NoReturn, Protocol, Self, cast

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, padding, rsa

from voltroot.errors import Refused, UnsupportedSuite
from voltroot.pki.suites import PublicKey, Signer


class Secret(Protocol):
    """What a device does with one key. Each method raises NotFound where the key is gone, Unavailable where the device
    does not answer."""

    @property
    def label(self) -> str:
        """The key's label."""
        ...

    def sign(self, data: bytes, algorithm: hashes.HashAlgorithm | None) -> bytes:
        """Sign a digest made by the algorithm, or data as they are where there is none (Ed448); in pyca's format."""
        ...

    def exchange(self, peer: ec.EllipticCurvePublicKey) -> bytes:
        """Return the shared X coordinate, padded to the field's size."""
        ...


def signer(public: PublicKey, secret: Secret) -> Signer:
    """Return the key that signs by the device."""
    match public:
        case ec.EllipticCurvePublicKey():
            return EllipticCurveKey(public, secret)
        case rsa.RSAPublicKey():
            return RsaKey(public, secret)
        case ed448.Ed448PublicKey():
            return Ed448Key(public, secret)


class _Held:
    """What all of them have in common: nothing of a private key comes out."""

    def __init__(self, public: Any, secret: Secret) -> None:
        self._public = public
        self._secret = secret

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def private_numbers(self) -> NoReturn:
        """Refuse."""
        self._refuse()

    def private_bytes(self, *_: object) -> NoReturn:
        """Refuse."""
        self._refuse()

    def private_bytes_raw(self) -> NoReturn:
        """Refuse."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise Refused(f"the key {self._secret.label} cannot leave its device")


class EllipticCurveKey(_Held, ec.EllipticCurvePrivateKey):
    """ECDSA and ECDH."""

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Return the public key."""
        return cast(ec.EllipticCurvePublicKey, self._public)

    @property
    def curve(self) -> ec.EllipticCurve:
        """The curve."""
        return self.public_key().curve

    @property
    def key_size(self) -> int:
        """The bits of the curve's field."""
        return self.curve.key_size

    def sign(self, data: bytes, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:  # type: ignore[override]  # bytes is all that we have
        """Sign with ECDSA; the signature is DER."""
        return self._secret.sign(*_digest(data, signature_algorithm.algorithm))

    def sign_digest(self, digest: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
        """Sign what an algorithm has hashed already with ECDSA; the signature is DER."""
        return self._secret.sign(digest, algorithm)

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:
        """Return the shared secret of ECDH."""
        return self._secret.exchange(same_curve(self.public_key(), peer_public_key))


class RsaKey(_Held, rsa.RSAPrivateKey):
    """RSA with the padding of PKCS #1 v1.5, the only one that certificates here are signed with."""

    def public_key(self) -> rsa.RSAPublicKey:
        """Return the public key."""
        return cast(rsa.RSAPublicKey, self._public)

    @property
    def key_size(self) -> int:
        """The bits of the modulus."""
        return self.public_key().key_size

    def sign(self, data: bytes, padding_: padding.AsymmetricPadding, algorithm: Any) -> bytes:
        """Sign with PKCS #1 v1.5."""
        if not isinstance(padding_, padding.PKCS1v15):
            raise UnsupportedSuite("a key in a device signs with the padding of PKCS #1 v1.5 only")
        return self._secret.sign(*_digest(data, algorithm))

    def decrypt(self, ciphertext: bytes, padding_: padding.AsymmetricPadding) -> bytes:
        """Refuse: no certificate here is for RSA encryption."""
        raise UnsupportedSuite("a key in a device does not decrypt with RSA")


class Ed448Key(_Held, ed448.Ed448PrivateKey):
    """Ed448."""

    def public_key(self) -> ed448.Ed448PublicKey:
        """Return the public key."""
        return cast(ed448.Ed448PublicKey, self._public)

    def sign(self, data: bytes) -> bytes:  # type: ignore[override]  # bytes is all that we have
        """Sign with pure Ed448."""
        return self._secret.sign(data, None)


def same_curve(own: PublicKey, peer: PublicKey) -> ec.EllipticCurvePublicKey:
    """Return the peer's key, or raise UnsupportedSuite where the two cannot agree on a secret."""
    if (
        isinstance(own, ec.EllipticCurvePublicKey)
        and isinstance(peer, ec.EllipticCurvePublicKey)
        and own.curve.name == peer.curve.name
    ):
        return peer
    raise UnsupportedSuite("the two keys cannot agree on a secret: they are not of one elliptic curve")


def _digest(data: bytes, algorithm: Any) -> tuple[bytes, hashes.HashAlgorithm]:
    digest = hashes.Hash(algorithm)
    digest.update(data)
    return digest.finalize(), algorithm
