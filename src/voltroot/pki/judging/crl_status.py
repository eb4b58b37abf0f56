"""What CRLs say of a certificate: RFC 5280 6.3.3, with distribution points, indirect and delta CRLs, and reasons."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from voltroot.errors import Failure
from voltroot.pki import names, oids
from voltroot.pki.certificates import Certificate
from voltroot.pki.extensions import DIRECTORY, GeneralName
from voltroot.pki.judging.inquiry import Inquiry, State, Status
from voltroot.pki.lists import REMOVE_FROM_CRL, Crl, Line, reason_name
from voltroot.pki.points import DistributionPoint, Reasons, read_points
from voltroot.pki.profiles import REVOKE

MOST_POINTS = 32  # of a certificate, that are looked at


def status(inquiry: Inquiry) -> Status | None:
    """Return what the CRLs say of a certificate; None where none is about it."""
    covered, objections = Reasons.NONE, []
    signers: dict[tuple[int, bool], tuple[Certificate | None, str]] = {}
    newest_first = sorted(inquiry.evidence.crls, key=lambda crl: crl.this_update, reverse=True)
    for point in _points(inquiry.certificate):
        for number, crl in enumerate(newest_first):
            reasons = point.reasons & crl.scope.reasons
            if crl.base is not None or not reasons & ~covered or not _covers(crl, point, inquiry.certificate):
                continue
            place = number, bool(point.issuers)
            if place not in signers:
                signers[place] = _signer(crl, inquiry, indirect=bool(point.issuers))
            signer, objection = signers[place]
            if signer is None:
                objections.append(objection)
                continue
            line, current = _look_up(crl, signer, inquiry), _is_current(crl, inquiry)
            if line is not None and (current or line.at <= inquiry.at):
                # However old the CRL: what was revoked stays so.
                return Status(State.REVOKED, _words(line))
            if not current:
                objections.append(f"the CRL of {crl.this_update:%Y-%m-%d} is not in force at the time")
                continue
            covered |= reasons
    if covered == Reasons.ALL:
        return Status(State.GOOD)
    if covered:
        objections.append("the CRLs at hand leave reasons of revocation open")
    return Status(State.UNCLEAR, "; ".join(dict.fromkeys(objections))) if objections else None


def _points(certificate: Certificate) -> Iterator[DistributionPoint]:
    extension = certificate.extensions.get(oids.CRL_DISTRIBUTION_POINTS)
    if extension is not None:
        yield from islice(read_points(extension.value, certificate.issuer_der), MOST_POINTS)
    # 6.3.3: CRLs of the CA itself that no distribution point names.
    yield DistributionPoint(names=(GeneralName(DIRECTORY, certificate.issuer_der),))


def _covers(crl: Crl, point: DistributionPoint, certificate: Certificate) -> bool:
    """Whether the certificate is in the CRL's scope (6.3.3 (b))."""
    if point.issuers:
        by_right_issuer = crl.scope.indirect and GeneralName(DIRECTORY, crl.issuer)
        if not by_right_issuer or not any(by_right_issuer.matches(name) for name in point.issuers):
            return False
    elif not names.same(crl.issuer, certificate.issuer_der):
        return False
    left_out = crl.scope.only_users if certificate.is_ca else crl.scope.only_cas
    return not left_out and crl.scope.has_place(point)


def _is_current(crl: Crl, inquiry: Inquiry) -> bool:
    return crl.this_update <= inquiry.at and (crl.next_update is None or inquiry.at <= crl.next_update)


def _signer(crl: Crl, inquiry: Inquiry, *, indirect: bool) -> tuple[Certificate | None, str]:
    """Return whose key has signed the CRL, if it may be believed, or else why not (6.3.3 (f) and (g))."""
    objection = _objection(crl, inquiry)
    candidates = () if objection else (*inquiry.path[inquiry.place + 1 :], *inquiry.pool)
    for candidate in candidates:
        if _may_sign(candidate, crl):
            failed = inquiry.effort.objection(crl.signed, candidate)
            # A CRL may tell of its own signer where the CA that has certified the signer says so.
            chosen = candidate.der == inquiry.certificate.der and indirect
            if failed is None and (chosen or inquiry.may_trust(candidate)):
                return candidate, ""
            objection = failed or "its signer is not trusted"
    return None, f"a CRL cannot be used: {objection or 'nobody known here may have signed it'}"


def _objection(crl: Crl, inquiry: Inquiry) -> str | None:
    try:
        return crl.objection or (crl.lapse if inquiry.inputs.strict else None)
    except (Failure, ValueError) as error:
        return f"it cannot be read: {error}"


def _may_sign(candidate: Certificate, crl: Crl) -> bool:
    try:
        usage = candidate.key_usage
        return names.same(candidate.subject_der, crl.issuer) and (usage is None or bool(usage & REVOKE))
    except (Failure, ValueError):
        return False


def _look_up(crl: Crl, signer: Certificate, inquiry: Inquiry) -> Line | None:
    """Return the line on the certificate, that of the newest delta CRL first (6.3.3 (i) to (k))."""
    own = inquiry.certificate
    for each in (*_deltas(crl, signer, inquiry), crl):
        line = each.find(own.issuer_der, own.serial)
        if line is not None:
            return None if line.reason == REMOVE_FROM_CRL else line
    return None


def _deltas(crl: Crl, signer: Certificate, inquiry: Inquiry) -> list[Crl]:
    """Return the newest delta CRL that adds to a complete one (6.3.3 (c) and (h))."""
    number = crl.number
    found = [
        delta
        for delta in inquiry.evidence.crls
        if number is not None
        and delta.base is not None
        and delta.base <= number < (delta.number or 0)
        and names.same(delta.issuer, crl.issuer)
        and delta.extensions.get(oids.ISSUING_DISTRIBUTION_POINT) == crl.extensions.get(oids.ISSUING_DISTRIBUTION_POINT)
        and delta.authority_key_identifier == crl.authority_key_identifier
        and _is_current(delta, inquiry)
        and _objection(delta, inquiry) is None
    ]
    found.sort(key=lambda delta: delta.number or 0, reverse=True)
    return [*islice((delta for delta in found if inquiry.effort.objection(delta.signed, signer) is None), 1)]


def _words(line: Line) -> str:
    reason = "" if line.reason is None else f", {reason_name(line.reason)}"
    return f"a CRL says that it was revoked on {line.at:%Y-%m-%d %H:%M:%S} UTC{reason}"
