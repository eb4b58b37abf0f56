"""Who signed a certificate, among those that are given."""

from __future__ import annotations

from collections.abc import Sequence

from voltroot.errors import Failure
from voltroot.pki.certificates import Certificate


def signer(certificate: Certificate, pool: Sequence[Certificate]) -> Certificate | None:
    """Return the certificate under whose key the signature holds; of several the first."""
    return next((other for other in pool if signs(other, certificate)), None)


def signs(issuer: Certificate, certificate: Certificate) -> bool:
    """Tell whether names and signature agree."""
    try:
        return names(issuer, certificate) and certificate.signed_by(issuer.public_key)
    except (Failure, ValueError):
        return False


def names(issuer: Certificate, certificate: Certificate) -> bool:
    """Tell whether the certificate names the other as its issuer."""
    try:
        return certificate.issuer.matches(issuer.subject)
    except (Failure, ValueError):
        return False


def name_of(certificate: Certificate | None) -> str | None:
    """Return the subject, if there is a certificate."""
    return certificate.subject.print() if certificate else None
