"""OCSP requests as clients write them, and as none should."""

from __future__ import annotations

import hashlib

from voltroot.pki import der, oids
from voltroot.pki.certificates import Certificate
from voltroot.pki.drafts import key_bits

HASH_OIDS = {
    "sha1": "1.3.14.3.2.26",
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
}


def cert_id(issuer: Certificate, serial: int, hash_: str = "sha1", parameters: bytes = der.NULL_VALUE) -> bytes:
    """A CertID (RFC 6960 4.1.1)."""
    return der.sequence(
        der.sequence(der.oid(HASH_OIDS[hash_]), parameters),
        der.octet_string(hashlib.new(hash_, issuer.subject_der).digest()),
        der.octet_string(hashlib.new(hash_, key_bits(issuer.spki)).digest()),
        der.integer(serial),
    )


def extension(oid: str, value: bytes, *, critical: bool = False) -> bytes:
    """An Extension (RFC 5280 4.1)."""
    return der.sequence(der.oid(oid), der.TRUE if critical else b"", der.octet_string(value))


def nonce(octets: bytes) -> bytes:
    """The nonce extension (RFC 9654 2.1)."""
    return extension(oids.OCSP_NONCE, der.octet_string(octets))


def request(
    *ids: bytes, extensions: bytes = b"", single: bytes = b"", head: bytes = b"", signature: bytes = b""
) -> bytes:
    """An OCSPRequest; ``single`` are extensions of each certificate's own, ``head`` goes before the list."""
    own = der.explicit(0, der.sequence(single)) if single else b""
    tail = der.explicit(2, der.sequence(extensions)) if extensions else b""
    tbs = der.sequence(head, der.sequence(*(der.sequence(each, own) for each in ids)), tail)
    return der.sequence(tbs, signature)
