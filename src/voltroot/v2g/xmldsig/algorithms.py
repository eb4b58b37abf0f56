"""The signature algorithms of ISO 15118-2 and -20, each with its digest and its URIs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from voltroot.errors import UnsupportedSuite
from voltroot.v2g.exi import Schema
from voltroot.v2g.schemas import ISO_2, ISO_20

CANONICAL_EXI = "http://www.w3.org/TR/canonical-exi/"

PublicKey = ec.EllipticCurvePublicKey | ed448.Ed448PublicKey
# Anything that passes as one of pyca's private keys: software, HSM and TPM keys alike.
Signer = ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A signature algorithm and the digest that goes with it; ``size`` is that of a signature, in octets."""

    signature_uri: str
    digest_uri: str
    digest: Callable[[bytes], bytes]
    key: str
    size: int
    hash: hashes.HashAlgorithm | None = None

    def sign(self, signer: Signer, octets: bytes) -> bytes:
        """Sign octets; ECDSA's r and s are written raw, one after the other."""
        if isinstance(signer, ed448.Ed448PrivateKey):
            return signer.sign(octets)
        assert self.hash is not None
        half = self.size // 2
        r, s = decode_dss_signature(signer.sign(octets, ec.ECDSA(self.hash)))
        return r.to_bytes(half, "big") + s.to_bytes(half, "big")

    def holds(self, key: PublicKey, signature: bytes, octets: bytes) -> bool:
        """Tell whether a signature over octets holds."""
        if len(signature) != self.size:
            return False
        try:
            if isinstance(key, ed448.Ed448PublicKey):
                key.verify(signature, octets)
            else:
                assert self.hash is not None
                half = self.size // 2
                r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
                key.verify(encode_dss_signature(r, s), octets, ec.ECDSA(self.hash))
        except InvalidSignature:
            return False
        return True


ECDSA_SHA256 = Algorithm(
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
    "http://www.w3.org/2001/04/xmlenc#sha256",
    lambda octets: hashlib.sha256(octets).digest(),
    "secp256r1",
    64,
    hashes.SHA256(),
)
ECDSA_SHA512 = Algorithm(
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512",
    "http://www.w3.org/2001/04/xmlenc#sha512",
    lambda octets: hashlib.sha512(octets).digest(),
    "secp521r1",
    132,
    hashes.SHA512(),
)
# [V2G20-2473] to [V2G20-2476]
ED448 = Algorithm(
    "urn:iso:std:iso:15118:-20:Security:xmldsig#Ed448",
    "urn:iso:std:iso:15118:-20:Security:xmlenc#SHAKE256",
    lambda octets: hashlib.shake_256(octets).digest(64),
    "Ed448",
    114,
)
ALGORITHMS = {ISO_2.name: (ECDSA_SHA256,), ISO_20.name: (ECDSA_SHA512, ED448)}


def algorithm_of(key: PublicKey | Signer, schema: Schema) -> Algorithm:
    """Return the algorithm that a key signs with in a schema set; UnsupportedSuite where there is none."""
    known = ALGORITHMS.get(schema.name, ())
    for algorithm in known:
        if algorithm.key == kind_of(key):
            return algorithm
    wanted = " or ".join(algorithm.key for algorithm in known)
    raise UnsupportedSuite(f"{schema.name} signs with a key of {wanted}; this one is of {kind_of(key)}")


def kind_of(key: object) -> str:
    """Return the name of a key's curve, as ``Algorithm.key`` has it."""
    match key:
        case ec.EllipticCurvePublicKey() | ec.EllipticCurvePrivateKey():
            return key.curve.name
        case ed448.Ed448PublicKey() | ed448.Ed448PrivateKey():
            return "Ed448"
    raise UnsupportedSuite("messages are signed with keys of secp256r1, secp521r1 or Ed448, not of this kind")
