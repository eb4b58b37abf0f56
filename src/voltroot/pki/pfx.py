"""A private key with its certificate chain in one protected file (PKCS#12, RFC 7292)."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import PrivateFormat, pkcs12

from voltroot.pki.certificates import Certificate
from voltroot.pki.suites import Signer

# The least that RFC 8018 4.2 recommends: the test APIs' passwords are public, and stations are slow.
ITERATIONS = 2048


def make_pfx(key: Signer, chain: Sequence[Certificate], password: str) -> bytes:
    """Return the key, its certificate and those above it, encrypted with AES-256 under the password."""
    encryption = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(ITERATIONS)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(hashes.SHA256())
        .build(password.encode())
    )
    own, *above = (x509.load_der_x509_certificate(certificate.der) for certificate in chain)
    name = (chain[0].subject.get("CN") or "").encode()
    return pkcs12.serialize_key_and_certificates(name, key, own, above, encryption)
