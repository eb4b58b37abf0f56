"""Key and signature suites: which keys ISO 15118 and OCPP allow, and how each of them signs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, padding, rsa

from voltroot.errors import UnsupportedSuite
from voltroot.pki import der

PublicKey = ec.EllipticCurvePublicKey | ed448.Ed448PublicKey | rsa.RSAPublicKey
# Anything that passes as one of pyca's private keys: software, HSM and TPM keys alike.
Signer = ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Suite:
    """One kind of key with the signature algorithm that it is used with.

    ``name`` is how configuration, logs and the APIs' optional members spell it; ``java_name`` is the spelling of
    Java's providers that the Secondary Actor API prints; ``key_bits`` is the least size for RSA.
    """

    name: str
    java_name: str
    signature_oid: str
    hash: hashes.HashAlgorithm | None
    curve: ec.EllipticCurve | None = None
    key_bits: int = 0

    @property
    def algorithm(self) -> bytes:
        """The AlgorithmIdentifier of a signature (RFC 5758: no parameters for ECDSA; RFC 4055: NULL for RSA)."""
        return _algorithm(self.signature_oid, bool(self.key_bits))

    @property
    def kind(self) -> str:
        """The kind of key: the name of its curve, or RSA of whatever size."""
        return "RSA" if self.key_bits else self.name

    @property
    def can_agree(self) -> bool:
        """Whether the key can do Diffie-Hellman, so that keyAgreement makes sense."""
        return self.curve is not None

    @property
    def signature_size(self) -> int:
        """The greatest size of a signature in octets; ECDSA's varies with its two integers."""
        if self.curve is not None:
            scalar = (self.curve.key_size + 7) // 8
            # P-521 leaves seven spare bits at the top, so that no sign octet is ever added.
            content = 2 * (2 + scalar + (1 if self.curve.key_size % 8 == 0 else 0))
            return content + (2 if content < 0x80 else 3)
        return 114 if not self.key_bits else self.key_bits // 8


P256_SHA256 = Suite("P-256", "SHA256WITHECDSA", "1.2.840.10045.4.3.2", hashes.SHA256(), ec.SECP256R1())
# A00.FR.502 lets a charging station have any curve of 224 bits and more; this is the one that devices have besides.
P384_SHA384 = Suite("P-384", "SHA384WITHECDSA", "1.2.840.10045.4.3.3", hashes.SHA384(), ec.SECP384R1())
P521_SHA512 = Suite("P-521", "SHA512WITHECDSA", "1.2.840.10045.4.3.4", hashes.SHA512(), ec.SECP521R1())
ED448 = Suite("Ed448", "ED448", "1.3.101.113", None)
RSA_SHA256 = Suite("RSA-SHA256", "SHA256WITHRSA", "1.2.840.113549.1.1.11", hashes.SHA256(), key_bits=2048)
RSA_SHA384 = Suite("RSA-SHA384", "SHA384WITHRSA", "1.2.840.113549.1.1.12", hashes.SHA384(), key_bits=3072)

_ON_CURVES = (P256_SHA256, P384_SHA384, P521_SHA512)
SUITES = {suite.name: suite for suite in (*_ON_CURVES, ED448, RSA_SHA256, RSA_SHA384)}


def suite_of(key: object) -> Suite:
    """Return the suite that a public or private key belongs to, or raise UnsupportedSuite."""
    match key:
        case ec.EllipticCurvePublicKey() | ec.EllipticCurvePrivateKey():
            for suite in _ON_CURVES:
                if suite.curve is not None and suite.curve.name == key.curve.name:
                    return suite
            raise UnsupportedSuite(f"the curve {key.curve.name} is not allowed: use secp256r1, secp384r1 or secp521r1")
        case ed448.Ed448PublicKey() | ed448.Ed448PrivateKey():
            return ED448
        case rsa.RSAPublicKey() | rsa.RSAPrivateKey():
            if key.key_size < RSA_SHA256.key_bits:
                raise UnsupportedSuite(f"an RSA key of {key.key_size} bits is too short: use 2048 or more")
            return RSA_SHA384 if key.key_size >= RSA_SHA384.key_bits else RSA_SHA256
    raise UnsupportedSuite("the key is of no supported kind: use secp256r1, secp384r1, secp521r1, Ed448 or RSA")


def generate(suite: Suite) -> Signer:
    """Make a new private key in memory."""
    if suite.curve is not None:
        return ec.generate_private_key(suite.curve)
    if suite.key_bits:
        return rsa.generate_private_key(public_exponent=65537, key_size=suite.key_bits)
    return ed448.Ed448PrivateKey.generate()


def sign(signer: Signer, data: bytes) -> bytes:
    """Sign with the hash that belongs to the signer's own key, whatever is signed (RFC 5280 4.1.1.2)."""
    suite = suite_of(signer)
    match signer:
        case ec.EllipticCurvePrivateKey():
            assert suite.hash is not None
            return signer.sign(data, ec.ECDSA(suite.hash))
        case rsa.RSAPrivateKey():
            assert suite.hash is not None
            return signer.sign(data, padding.PKCS1v15(), suite.hash)
        case _:
            return signer.sign(data)


@cache
def _algorithm(oid: str, with_null: bool) -> bytes:
    return der.sequence(der.oid(oid), der.NULL_VALUE if with_null else b"")


def verify(key: PublicKey, signature: bytes, data: bytes, hash_: hashes.HashAlgorithm | None) -> bool:
    """Tell whether a signature over data holds; the hash comes from the signature's own AlgorithmIdentifier."""
    try:
        match key:
            case ec.EllipticCurvePublicKey() if hash_ is not None:
                key.verify(signature, data, ec.ECDSA(hash_))
            case rsa.RSAPublicKey() if hash_ is not None:
                key.verify(signature, data, padding.PKCS1v15(), hash_)
            case ed448.Ed448PublicKey() if hash_ is None:
                key.verify(signature, data)
            case _:
                return False
    except InvalidSignature:
        return False
    return True
