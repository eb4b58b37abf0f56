"""Writing certificate revocation lists (RFC 5280 section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from voltroot.errors import Refused
from voltroot.pki import der, oids, suites
from voltroot.pki.drafts import Issuer, distribution_point_name
from voltroot.pki.ports import Reason, Revocation
from voltroot.pki.suites import Signer


def line(revocation: Revocation) -> bytes:
    """Return one entry of revokedCertificates (RFC 5280 5.1.2.6)."""
    return der.sequence(der.integer(revocation.serial), _time(revocation.at), _reason(revocation.reason))


def make(
    issuer: Issuer,
    signer: Signer,
    lines: Sequence[bytes],
    *,
    number: int,
    this_update: datetime,
    next_update: datetime,
    place: str | None = None,
) -> bytes:
    """Return a signed CRL of version 2 in DER, or raise Refused for a CA without cRLSign.

    ``lines`` come from ``line``. With ``place`` it is the part of the CRL for the certificates whose
    cRLDistributionPoints name that address (RFC 5280 5.2.5); without, it is complete.
    """
    if not issuer.signs_crls:
        raise Refused(f"the CA {issuer.slug} signs no CRLs: its certificate does not allow it")
    algorithm = suites.suite_of(signer).algorithm
    tbs = der.sequence(
        der.integer(1),
        algorithm,
        issuer.certificate.subject_der,
        der.time(this_update),
        der.time(next_update),
        der.sequence(*lines) if lines else b"",
        der.explicit(0, der.sequence(*_extensions(issuer, number, place))),
    )
    return der.sequence(tbs, algorithm, der.bit_string(suites.sign(signer, tbs)))


def _extensions(issuer: Issuer, number: int, place: str | None) -> list[bytes]:
    authority = der.sequence(der.implicit(0, issuer.key_identifier))
    extensions = [
        der.sequence(der.oid(oids.AUTHORITY_KEY_IDENTIFIER), der.octet_string(authority)),
        der.sequence(der.oid(oids.CRL_NUMBER), der.octet_string(der.integer(number))),
    ]
    if place is not None:
        # The very address of the certificate, or else a relying party may not use it (RFC 5280 6.3.3 (b)(2)(i)).
        point = der.octet_string(der.sequence(distribution_point_name(place)))
        extensions.append(der.sequence(der.oid(oids.ISSUING_DISTRIBUTION_POINT), der.TRUE, point))
    return extensions


@lru_cache(maxsize=4096)
def _time(moment: datetime) -> bytes:
    return der.time(moment)


@lru_cache
def _reason(reason: Reason) -> bytes:
    if reason is Reason.UNSPECIFIED:
        # RFC 5280 5.3.1: absent rather than unspecified.
        return b""
    return der.sequence(der.sequence(der.oid(oids.CRL_REASON), der.octet_string(der.enumerated(reason.value))))
