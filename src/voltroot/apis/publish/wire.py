"""The forms in which CA certificates are handed out: JSON, PEM and PKCS #7."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from voltroot.pki import der
from voltroot.pki.addresses import Addresses
from voltroot.pki.certificates import Certificate
from voltroot.pki.drafts import Issuer

SIGNED_DATA, DATA = "1.2.840.113549.1.7.2", "1.2.840.113549.1.7.1"


class CaAddresses(Struct, frozen=True, rename="camel", omit_defaults=True):
    """Where to fetch what belongs to a CA; a CA that signs no CRLs has no ``crl``."""

    cer: str
    pem: str
    chain: str
    ocsp: str
    crl: str = ""


class Ca(Struct, frozen=True, rename="camel"):
    """One CA; the fingerprint is SHA-256 of its certificate in hexadecimal digits."""

    slug: str
    title: str
    edition: str
    suite: str
    subject: str
    issuer: str
    fingerprint: str
    not_after: str
    addresses: CaAddresses


def listing(issuers: Iterable[Issuer], addresses: Addresses) -> bytes:
    """Return all CAs as a JSON array."""
    return msgspec.json.encode([_ca(issuer, addresses) for issuer in issuers])


def pem(certificates: Iterable[Certificate]) -> bytes:
    """Return certificates one after another in PEM (RFC 7468)."""
    return "".join(certificate.pem for certificate in certificates).encode()


def certs_only(certificates: Iterable[Certificate]) -> bytes:
    """Return certificates as a degenerate SignedData without content and signers (RFC 5652 5.1, RFC 5280 4.2.2.1)."""
    data = der.sequence(
        der.integer(1),
        der.set_of(),
        der.sequence(der.oid(DATA)),
        der.explicit(0, *sorted(certificate.der for certificate in certificates)),
        der.set_of(),
    )
    return der.sequence(der.oid(SIGNED_DATA), der.explicit(0, data))


def _ca(issuer: Issuer, addresses: Addresses) -> Ca:
    certificate = issuer.certificate
    place = f"{addresses.base}/ca/{issuer.slug}"
    crl = f"{addresses.base}/crl/{issuer.slug}.crl" if issuer.signs_crls else ""
    return Ca(
        slug=issuer.slug,
        title=issuer.profile.title,
        edition=issuer.profile.edition,
        suite=issuer.suite.name,
        subject=str(certificate.subject),
        issuer=str(certificate.issuer),
        fingerprint=certificate.fingerprint.hex(),
        not_after=f"{certificate.not_after:%Y-%m-%dT%H:%M:%SZ}",
        addresses=CaAddresses(f"{place}.cer", f"{place}.pem", f"{place}/chain.pem", addresses.ocsp(issuer), crl),
    )
