"""Who signed a certificate, among those that are given."""

from __future__ import annotations

from collections.abc import Sequence

from voltroot.errors import Failure
from voltroot.pki.certificates import Certificate


def signer(certificate: Certificate, pool: Sequence[Certificate]) -> Certificate | None:
    """Return the certificate under whose key the signature holds; if need be one that goes by another name."""
    return next((other for test in (signs, _signs_nameless) for other in pool if test(other, certificate)), None)


def signs(issuer: Certificate, certificate: Certificate) -> bool:
    """Tell whether names and signature agree."""
    return names(issuer, certificate) and _holds(issuer, certificate)


def names(issuer: Certificate, certificate: Certificate) -> bool:
    """Tell whether the certificate names the other as its issuer."""
    try:
        return certificate.issuer.matches(issuer.subject)
    except (Failure, ValueError):
        return False


def name_of(certificate: Certificate | None) -> str | None:
    """Return the subject, if there is a certificate."""
    return certificate.subject.print() if certificate else None


def short_name_of(certificate: Certificate) -> str:
    """Return the common name, or what there is in its place."""
    try:
        return certificate.subject.get("CN") or certificate.subject.print() or "(no name)"
    except (Failure, ValueError):
        return "(a name that cannot be read)"


def _signs_nameless(issuer: Certificate, certificate: Certificate) -> bool:
    try:
        wanted = certificate.authority_key_identifier
        return wanted is not None and wanted == issuer.subject_key_identifier and _holds(issuer, certificate)
    except (Failure, ValueError):
        return False


def _holds(issuer: Certificate, certificate: Certificate) -> bool:
    try:
        return certificate.signed_by(issuer.public_key)
    except (Failure, ValueError):
        return False
