"""Checking signatures of every algorithm that certification paths may use: a table by AlgorithmIdentifier.

Issuing knows fewer (``suites``): what this PKI never makes it may still have to judge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa

from voltroot.errors import Failure, Malformed, UnsupportedSuite
from voltroot.pki import der

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey | rsa.RSAPublicKey
CURVES = ("secp256r1", "secp384r1", "secp521r1")
RSA_BITS = range(2048, 8193)  # longer ones cost more time than any chain is worth

_EC, _RSA, _PSS = "1.2.840.10045.4.3.", "1.2.840.113549.1.1.", "1.2.840.113549.1.1.10"
_MGF1 = "1.2.840.113549.1.1.8"
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "2.16.840.1.101.3.4.2.1": hashes.SHA256(),
    "2.16.840.1.101.3.4.2.2": hashes.SHA384(),
    "2.16.840.1.101.3.4.2.3": hashes.SHA512(),
}


class Pss(NamedTuple):
    """The parameters of RSASSA-PSS (RFC 4055 3.1): both hashes by name, and the salt's length."""

    hash: str
    mask_hash: str
    salt: int


@dataclass(frozen=True, slots=True)
class Key:
    """A public key that signatures are checked with; ``only`` says that it is good for RSASSA-PSS alone (RFC 4055 1.2).

    Its salt is then the least that a signature has.
    """

    public: PublicKey
    for_pss: bool = False
    only: Pss | None = None


class Algorithm(NamedTuple):
    """One signature algorithm: the kind of key that it needs, and the check, which raises InvalidSignature."""

    kind: type
    check: Callable[[Any, bytes, bytes], None]
    pss: Pss | None = None


class Signed(NamedTuple):
    """Octets with the AlgorithmIdentifier of the signature over them, and the signature."""

    contents: bytes
    algorithm: bytes
    signature: bytes

    def objection(self, key: Key) -> str | None:
        """Return why the signature does not hold under a key, or None where it holds."""
        algorithm = _algorithm(self.algorithm)
        if algorithm is None:
            return "its signature algorithm is not one that is accepted here"
        if not isinstance(key.public, algorithm.kind) or not _allows(key, algorithm.pss):
            return "its signature algorithm does not go with its issuer's key"
        try:
            algorithm.check(key.public, self.signature, self.contents)
        except (InvalidSignature, ValueError):
            return "its signature does not hold under its issuer's key"
        return None


def read_key(spki: bytes) -> Key:
    """Read a SubjectPublicKeyInfo; raise Malformed, or UnsupportedSuite for a key that proves nothing here."""
    try:
        public = serialization.load_der_public_key(spki)
    except UnsupportedAlgorithm as error:
        raise UnsupportedSuite("the public key is of a kind or on a curve that is not known here") from error
    except (ValueError, TypeError) as error:
        raise Malformed("the public key cannot be read") from error
    algorithm, _bits = der.children(der.read_sequence(spki))
    oid, *parameters = der.children(algorithm.content)
    match public:
        case ec.EllipticCurvePublicKey():
            if public.curve.name not in CURVES:
                raise UnsupportedSuite(f"the curve {public.curve.name} is not accepted")
            if parameters[0].tag != der.OID:  # RFC 5480 2.1.1: specifiedCurve must not be used
                raise UnsupportedSuite("a curve that is written out instead of named is not accepted")
            return Key(public)
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            return Key(public)
        case rsa.RSAPublicKey():
            if public.key_size not in RSA_BITS:
                raise UnsupportedSuite(f"an RSA key of {public.key_size} bits is not accepted")
            if der.read_oid(oid.content) != _PSS:
                return Key(public)
            return Key(public, for_pss=True, only=_read_pss(parameters[0]) if parameters else None)
    raise UnsupportedSuite("the public key is of no kind that signs")


def _allows(key: Key, used: Pss | None) -> bool:
    if not key.for_pss:
        return True
    only = key.only
    return used is not None and (only is None or (used[:2] == only[:2] and used.salt >= only.salt))


def _ecdsa(hash_: hashes.HashAlgorithm) -> Algorithm:
    scheme = ec.ECDSA(hash_)
    return Algorithm(ec.EllipticCurvePublicKey, lambda key, signature, data: key.verify(signature, data, scheme))


def _pkcs1(hash_: hashes.HashAlgorithm) -> Algorithm:
    scheme = padding.PKCS1v15()
    return Algorithm(rsa.RSAPublicKey, lambda key, signature, data: key.verify(signature, data, scheme, hash_))


def _edwards(kind: type) -> Algorithm:
    return Algorithm(kind, lambda key, signature, data: key.verify(signature, data))


def _pss(parameters: Pss) -> Algorithm:
    hash_ = _HASHES[parameters.hash]
    scheme = padding.PSS(padding.MGF1(_HASHES[parameters.mask_hash]), parameters.salt)
    return Algorithm(
        rsa.RSAPublicKey, lambda key, signature, data: key.verify(signature, data, scheme, hash_), parameters
    )


_SHA2 = (hashes.SHA256(), hashes.SHA384(), hashes.SHA512())
# ECDSA and EdDSA have no parameters (RFC 5758 3.2, RFC 8410 3); RSA has NULL, or none (RFC 4055 5).
_TABLE: dict[bytes, Algorithm] = {
    **{der.sequence(der.oid(f"{_EC}{arc}")): _ecdsa(hash_) for arc, hash_ in enumerate(_SHA2, 2)},
    **{
        der.sequence(der.oid(f"{_RSA}{arc}"), null): _pkcs1(hash_)
        for arc, hash_ in enumerate(_SHA2, 11)
        for null in (der.NULL_VALUE, b"")
    },
    der.sequence(der.oid("1.3.101.112")): _edwards(ed25519.Ed25519PublicKey),
    der.sequence(der.oid("1.3.101.113")): _edwards(ed448.Ed448PublicKey),
}
_PSS_HEAD = der.oid(_PSS)


def _algorithm(identifier: bytes) -> Algorithm | None:
    return _TABLE.get(identifier) or (_pss_algorithm(identifier) if _PSS_HEAD in identifier[:16] else None)


@lru_cache(maxsize=64)
def _pss_algorithm(identifier: bytes) -> Algorithm | None:
    try:
        oid, parameters = der.children(der.read(identifier).content)
        return _pss(_read_pss(parameters)) if oid.whole == _PSS_HEAD else None
    except (Failure, ValueError, KeyError):
        return None


def _read_pss(parameters: der.Element) -> Pss:
    """Read RSASSA-PSS-params; what is left away means SHA-1 (RFC 4055 3.1), which is not accepted."""
    if parameters.tag != der.SEQUENCE:
        raise Malformed("the parameters of RSASSA-PSS are out of shape")
    parts = {part.tag: der.read(part.content) for part in der.children(parameters.content)}
    if not {0xA0, 0xA1} <= parts.keys() <= {0xA0, 0xA1, 0xA2, 0xA3}:
        raise UnsupportedSuite("RSASSA-PSS with SHA-1 is not accepted")
    mask, mask_hash = der.children(parts[0xA1].content)
    trailer = der.read_integer(parts[0xA3].content) if 0xA3 in parts else 1
    salt = der.read_integer(parts[0xA2].content) if 0xA2 in parts else 20
    own, other = map(_oid_of, (parts[0xA0], mask_hash))
    if der.read_oid(mask.content) != _MGF1 or trailer != 1 or not 0 <= salt <= 512 or {own, other} - _HASHES.keys():
        raise UnsupportedSuite("these parameters of RSASSA-PSS are not accepted")
    return Pss(own, other, salt)


def _oid_of(algorithm: der.Element) -> str:
    oid, *_parameters = der.children(algorithm.content)
    return der.read_oid(oid.content)
