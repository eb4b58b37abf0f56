"""XML signatures of ISO 15118-2 and -20 over EXI fragments; SignedInfo is coded under xmldsig's schema alone."""

from voltroot.v2g.xmldsig.algorithms import (
    CANONICAL_EXI,
    ECDSA_SHA256,
    ECDSA_SHA512,
    ED448,
    Algorithm,
    PublicKey,
    Signer,
    algorithm_of,
)
from voltroot.v2g.xmldsig.signing import Part, digest, parts, reference, sign, signature, signed_info
from voltroot.v2g.xmldsig.verifying import Check, Fault, Outcome, verify

__all__ = [
    "CANONICAL_EXI",
    "ECDSA_SHA256",
    "ECDSA_SHA512",
    "ED448",
    "Algorithm",
    "Check",
    "Fault",
    "Outcome",
    "Part",
    "PublicKey",
    "Signer",
    "algorithm_of",
    "digest",
    "parts",
    "reference",
    "sign",
    "signature",
    "signed_info",
    "verify",
]
