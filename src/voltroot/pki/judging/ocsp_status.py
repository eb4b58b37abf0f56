"""What OCSP answers say of a certificate (RFC 6960): by its CA, or by a delegate that the CA has put in charge."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from voltroot.errors import Failure
from voltroot.pki import names, oids
from voltroot.pki.answers import Answer, Single
from voltroot.pki.certificates import Certificate
from voltroot.pki.judging import forms
from voltroot.pki.judging.effort import Effort
from voltroot.pki.judging.findings import Verdict
from voltroot.pki.judging.forms import UNDERSTOOD, critical_by_profile
from voltroot.pki.judging.inputs import Evidence, Inputs
from voltroot.pki.judging.inquiry import Inquiry, State, Status
from voltroot.pki.ocsp import CertStatus
from voltroot.pki.profiles import Usage

# Without a nextUpdate there is always something newer to be had (RFC 6960 4.2.2.1): how long it does all the same.
UNBOUNDED = timedelta(days=7)
SIGNS = Usage.DIGITAL_SIGNATURE | Usage.NON_REPUDIATION
TELLS_STATUS = (oids.CRL_DISTRIBUTION_POINTS, oids.AUTHORITY_INFO_ACCESS)


def status(inquiry: Inquiry) -> Status | None:
    """Return what the OCSP answers say of a certificate; None where none is about it."""
    found = [*_weighed(inquiry)]
    for state in (State.REVOKED, State.GOOD):
        if decided := next((each for each in found if each.state is state), None):
            return decided
    return Status(State.UNCLEAR, "; ".join(dict.fromkeys(each.text for each in found))) if found else None


def told(answer: Answer, single: Single, issuer: Certificate, at: datetime) -> Status:
    """Return what one line of an answer says of a certificate of an issuer that is known by its hashes only."""
    inquiry = Inquiry(
        path=(issuer, issuer),
        place=0,
        at=at,
        evidence=Evidence(answers=(answer,)),
        pool=(),
        effort=Effort(),
        inputs=Inputs(),
        vouch=lambda certificate, inquiry: False,
        ask=lambda inquiry: Status(State.SILENT),
    )
    return _weigh(answer.objection(single) or _signer_objection(answer, inquiry), single, inquiry)


def _weighed(inquiry: Inquiry) -> Iterator[Status]:
    for answer in inquiry.evidence.answers:
        about = [each for each in answer.singles if each.speaks_of(inquiry.certificate, inquiry.issuer)]
        objection = _signer_objection(answer, inquiry) if about else None
        yield from (_weigh(answer.objection(each) or objection, each, inquiry) for each in about)


def _weigh(objection: str | None, single: Single, inquiry: Inquiry) -> Status:
    if objection is None and single.revoked_at is not None and single.revoked_at <= inquiry.at:
        # However old the answer: what was revoked stays so.
        return Status(State.REVOKED, f"an OCSP answer says that it was revoked on {_moment(single.revoked_at)}")
    objection = objection or _age_objection(single, inquiry) or _STATES[single.state]
    return Status(State.UNCLEAR, f"an OCSP answer cannot be used: {objection}") if objection else Status(State.GOOD)


_STATES = {
    CertStatus.GOOD: None,
    CertStatus.REVOKED: "it speaks of a revocation in the future",
    CertStatus.UNKNOWN: "the responder does not know the certificate",
}


def _age_objection(single: Single, inquiry: Inquiry) -> str | None:
    at, oldest = inquiry.at, inquiry.inputs.oldest_answer
    if at < single.this_update:
        return f"it speaks of {_moment(single.this_update)}, which is later"
    if single.next_update is not None and at > single.next_update:
        return f"it should have been replaced on {_moment(single.next_update)}"
    if single.next_update is None and oldest is None:
        oldest = UNBOUNDED
    if oldest is not None and at - single.this_update > oldest:
        return f"it speaks of {_moment(single.this_update)}, more than {oldest.days} days earlier"
    return None


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _signer_objection(answer: Answer, inquiry: Inquiry) -> str | None:
    objection: str | None = "its responder is neither the CA nor anybody whose certificate is at hand"
    if answer.is_by(inquiry.issuer):
        objection = inquiry.effort.objection(answer.signed, inquiry.issuer)
    others = (each for each in (*_along(answer), *inquiry.pool) if each.der != inquiry.issuer.der)
    for delegate in (each for each in others if _is_by(answer, each)) if objection else ():
        failed = _delegate_objection(delegate, inquiry)
        objection = failed or inquiry.effort.objection(answer.signed, delegate)
        if objection is None:
            break
    return objection


def _along(answer: Answer) -> tuple[Certificate, ...]:
    try:
        return answer.certificates
    except Failure:
        return ()


def _is_by(answer: Answer, delegate: Certificate) -> bool:
    try:
        return answer.is_by(delegate)
    except (Failure, ValueError):
        return False


def _delegate_objection(delegate: Certificate, inquiry: Inquiry) -> str | None:
    """Return why somebody may not answer for the CA (RFC 6960 4.2.2.2), or None."""
    try:
        return next(filter(None, (check(delegate, inquiry) for check in _DELEGATION)), None)
    except (Failure, ValueError, StopIteration) as error:
        return f"its signer's certificate cannot be read: {error}"


def _of_the_ca(delegate: Certificate, inquiry: Inquiry) -> str | None:
    if not names.same(delegate.issuer_der, inquiry.issuer.subject_der):
        return "its signer was not put in charge by the CA of the certificate"
    failed = inquiry.effort.objection(delegate.signed, inquiry.issuer)
    return f"its signer was not put in charge by the CA of the certificate: {failed}" if failed else None


def _for_this(delegate: Certificate, inquiry: Inquiry) -> str | None:
    if oids.OCSP_SIGNING not in delegate.extended_key_usage:
        return "its signer's certificate does not name OCSPSigning as its purpose"
    usage = delegate.key_usage
    return None if usage is None or usage & SIGNS else "its signer's certificate does not allow signing"


def _in_time(delegate: Certificate, inquiry: Inquiry) -> str | None:
    within = delegate.not_before <= inquiry.at <= delegate.not_after
    return None if within else "its signer's certificate is not valid at the time"


def _understood(delegate: Certificate, inquiry: Inquiry) -> str | None:
    known = {*UNDERSTOOD, oids.OCSP_NOCHECK, *critical_by_profile(delegate)}
    unknown = [oid for oid in delegate.critical if oid not in known]
    return f"its signer's certificate has a critical extension that is unknown: {unknown[0]}" if unknown else None


def _well_formed(delegate: Certificate, inquiry: Inquiry) -> str | None:
    found = forms.findings(delegate, 0, strict=inquiry.inputs.strict)
    wrong = next((each.text for each in found if each.verdict is not Verdict.OK), None)
    return f"of its signer's certificate, {wrong}" if wrong else None


def _not_revoked(delegate: Certificate, inquiry: Inquiry) -> str | None:
    """RFC 6960 4.2.2.2.1: never asked, or asked where the certificate says, or left to us where it says nothing."""
    if oids.OCSP_NOCHECK in delegate.extensions:
        return None
    if delegate.der in inquiry.opened:
        return "its signer tells of itself"
    told = inquiry.ask(inquiry.about(delegate))
    if told.state is State.REVOKED:
        return f"its signer's certificate is revoked: {told.text}"
    if told.state is not State.GOOD and any(oid in delegate.extensions for oid in TELLS_STATUS):
        return "nothing tells whether its signer's certificate is revoked"
    return None


_DELEGATION = (_of_the_ca, _for_this, _in_time, _understood, _well_formed, _not_revoked)
