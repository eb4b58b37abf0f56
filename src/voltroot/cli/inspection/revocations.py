"""What is told of CRLs, OCSP answers and OCSP requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from voltroot.cli.inspection.certificates import title
from voltroot.cli.inspection.chains import name_of, signs
from voltroot.cli.inspection.documents import OcspAnswer
from voltroot.cli.inspection.reports import Fact, Json, Row, Section, Sight, error, facts, warning
from voltroot.cli.inspection.values import iso, moment, serial, serial_text
from voltroot.errors import Failure
from voltroot.pki import lists, ocsp, oids
from voltroot.pki.answers import Answer, Single
from voltroot.pki.certificates import Certificate
from voltroot.pki.extensions import URI
from voltroot.pki.lints import Finding
from voltroot.pki.lists import Crl, Line
from voltroot.pki.names import Name
from voltroot.pki.ocsp import CertID, issuer_hashes
from voltroot.pki.points import Reasons, Scope
from voltroot.pki.recognise import recognise
from voltroot.pki.signatures import Signed

FIRST = 5  # so many lines of a CRL are shown
WEEK = timedelta(days=7)


def crl_section(crl: Crl, sight: Sight) -> Section:
    """Tell whose CRL it is, which part of it, how fresh, and what stands in it first."""
    issuer, revoked, addresses = Name.decode(crl.issuer), list(crl.entries()), _addresses(crl.scope)
    is_delta = oids.DELTA_CRL_INDICATOR in crl.extensions
    signer = _signer_of(crl.signed, issuer, sight.pool)
    rows = (
        Row("issuer", "issuer", issuer.print),
        Row("signedBy", "signed by", lambda: name_of(signer), lambda: _given(signer)),
        Row("number", "number", lambda: crl.number),
        Row("thisUpdate", "this update", lambda: iso(crl.this_update), lambda: moment(crl.this_update)),
        Row("nextUpdate", "next update", lambda: iso(crl.next_update), lambda: _until(crl.next_update, sight.at)),
        Row("delta", "", lambda: is_delta),
        Row("distributionPoint", "part", lambda: addresses),
        Row("scope", "scope", lambda: _scope(crl.scope)),
        Row("count", "revoked", lambda: len(revoked)),
    )
    section = Section("crl", "Delta CRL" if is_delta else "Part of a CRL" if addresses else "CRL")
    section.facts += facts(rows)
    section.facts.append(Fact("revoked", [_revoked(line) for line in revoked[:FIRST]]))
    section.facts += [Fact("", None, "", _revoked_text(line)) for line in revoked[:FIRST]]
    if len(revoked) > FIRST:
        section.facts.append(Fact("", None, "", f"and {len(revoked) - FIRST} more"))
    section.findings += _crl_findings(crl, sight, signer)
    return section


def answer_section(answer: OcspAnswer, sight: Sight) -> Section:
    """Tell what an OCSP answer says of which certificates, who signed it, and whether it may still be used."""
    status = answer.status.name.lower()
    section = Section("ocspAnswer", "OCSP answer")
    section.facts.append(Fact("status", status, "status", status.replace("_", " ")))
    body = answer.body
    if body is None:
        section.findings.append(error("ocsp_status", "RFC 6960 4.2.1", f"the responder gave no answer: {status}"))
        return section
    delegate, has_nonce = _delegate(body, sight), any(oid == oids.OCSP_NONCE for oid, _ in body.extensions)
    rows = (
        Row("responder", "responder", lambda: _responder(body)),
        Row("signedBy", "signed by", lambda: name_of(delegate), lambda: _delegate_text(delegate, sight)),
        Row("producedAt", "produced", lambda: iso(body.produced_at), lambda: moment(body.produced_at)),
        Row("nonce", "nonce", lambda: has_nonce, lambda: "yes" if has_nonce else "no"),
    )  # fmt: skip
    section.facts += facts(rows)
    section.facts.append(Fact("answers", [_single(single) for single in body.singles]))
    for single in body.singles:
        section.facts += [Fact("", None, *line) for line in _single_lines(single, sight)]
        section.findings += _single_findings(single, delegate, sight)
    section.findings += _signer_findings(body, delegate)
    return section


def request_section(request: ocsp.Request, sight: Sight) -> Section:
    """Tell which certificates an OCSP request asks for."""
    section = Section("ocspRequest", "OCSP request")
    asked: list[Json] = [serial(each.serial) for each in request.ids]
    section.facts += [
        Fact("asks", asked),
        Fact("nonce", request.nonce is not None, "nonce", "yes" if request.nonce else "no"),
        *(Fact("", None, *line) for each in request.ids for line in _asked_lines("asks for", each, sight)),
    ]
    return section


def _signer_of(signed: Signed, name: Name, pool: Sequence[Certificate]) -> Certificate | None:
    return next((each for each in pool if each.subject.matches(name) and _holds(signed, each)), None)


def _holds(signed: Signed, certificate: Certificate) -> bool:
    try:
        return signed.objection(certificate.key) is None
    except (Failure, ValueError):
        return False


def _given(signer: Certificate | None) -> str:
    return f"{signer.subject.get('CN')}, given here" if signer else ""


def _until(next_update: datetime | None, at: datetime) -> str:
    if next_update is None:
        return "not promised"
    return moment(next_update) + (", over" if at > next_update else f", in {str(next_update - at).split('.')[0]}")


def _addresses(scope: Scope) -> tuple[str, ...]:
    return tuple(name.content.decode("ascii", "replace") for name in scope.names or () if name.tag == URI)


def _scope(scope: Scope) -> tuple[str, ...]:
    words = {
        "user certificates only": scope.only_users,
        "CA certificates only": scope.only_cas,
        "attribute certificates only": scope.only_attributes,
        "some reasons only": scope.reasons != Reasons.ALL,
        "indirect": scope.indirect,
    }
    return tuple(word for word, holds in words.items() if holds)


def _revoked(line: Line) -> Json:
    return {"serial": serial(line.serial), "at": iso(line.at), "reason": _reason(line.reason)}


def _revoked_text(line: Line) -> str:
    return f"{line.serial}  {moment(line.at)}  {_reason(line.reason) or 'unspecified'}"


def _reason(code: int | None) -> str | None:
    return None if code is None else lists.reason_name(code)


def _crl_findings(crl: Crl, sight: Sight, signer: Certificate | None) -> Iterator[Finding]:
    if crl.next_update is None:
        yield error("next_update", "RFC 5280 5.1.2.5", "nextUpdate is absent")
    elif sight.at > crl.next_update:
        yield error("stale", "RFC 5280 6.3.3 (a)", f"it should have been replaced on {moment(crl.next_update)}")
    if sight.at < crl.this_update:
        yield error("not_yet_valid", "RFC 5280 5.1.2.4", f"it was made later, on {moment(crl.this_update)}")
    if crl.number is None:
        yield warning("crl_number", "RFC 5280 5.2.3", "cRLNumber is absent")
    if signer is None and any(each.subject.matches(Name.decode(crl.issuer)) for each in sight.pool):
        yield error("signature", "RFC 5280 6.3.3 (g)", "the signature does not hold under its issuer's key")


def _delegate(body: Answer, sight: Sight) -> Certificate | None:
    return next((each for each in (*body.certificates, *sight.pool) if _holds(body.signed, each)), None)


def _responder(body: Answer) -> str:
    if body.responder_name is not None:
        return Name.decode(body.responder_name).print()
    return f"key {(body.responder_key or b'').hex()}"


def _delegate_text(delegate: Certificate | None, sight: Sight) -> str:
    if delegate is None:
        return ""
    return f"{delegate.subject.get('CN')}: {title(delegate, recognise(delegate, sight.profiles))}"


def _single(single: Single) -> Json:
    return {
        "serial": serial(single.id.serial),
        "status": single.state,
        "revokedAt": iso(single.revoked_at),
        "reason": _reason(single.reason),
        "thisUpdate": iso(single.this_update),
        "nextUpdate": iso(single.next_update),
    }


def _single_lines(single: Single, sight: Sight) -> Iterator[tuple[str, str]]:
    yield from _asked_lines(single.state, single.id, sight)
    if single.revoked_at is not None:
        yield "", f"since {moment(single.revoked_at)}, {_reason(single.reason) or 'unspecified'}"
    yield "", f"from {moment(single.this_update)} to {_until(single.next_update, sight.at)}"


def _asked_lines(label: str, asked: CertID, sight: Sight) -> Iterator[tuple[str, str]]:
    yield label, serial_text(asked.serial)
    issuer = _issuer_of(asked, sight)
    if issuer is None:
        return
    own = next((each for each in sight.pool if each.serial == asked.serial and signs(issuer, each)), None)
    yield "", str(own.subject) if own else f"of {issuer.subject}"


def _issuer_of(asked: CertID, sight: Sight) -> Certificate | None:
    return next((each for each in sight.pool if asked.issuer in set(issuer_hashes(each))), None)


def _single_findings(single: Single, delegate: Certificate | None, sight: Sight) -> Iterator[Finding]:
    issuer = _issuer_of(single.id, sight)
    if issuer and delegate and issuer.spki != delegate.spki and not signs(issuer, delegate):
        text = f"{delegate.subject} signed it, but was not put in charge by {issuer.subject}"
        yield error("ocsp_signer", "RFC 6960 4.2.2.2", text)
    if single.next_update is not None and sight.at > single.next_update:
        yield error("stale", "RFC 6960 4.2.2.1", f"it should have been replaced on {moment(single.next_update)}")
    elif sight.at - single.this_update > WEEK:
        yield error("stale", "V2G20-1021", f"it is more than a week old: it speaks of {moment(single.this_update)}")
    if sight.at < single.this_update:
        yield error("not_yet_valid", "RFC 6960 4.2.2.1", f"it was made later, on {moment(single.this_update)}")


def _signer_findings(body: Answer, delegate: Certificate | None) -> Iterator[Finding]:
    if delegate is None:
        if body.certificates:
            yield error("signature", "RFC 6960 3.2", "the signature does not hold under the key of its own certificate")
    elif delegate in body.certificates and not _may_answer(delegate):
        yield error("ocsp_signer", "RFC 6960 4.2.2.2", f"{delegate.subject} may not sign OCSP answers")


def _may_answer(delegate: Certificate) -> bool:
    try:
        return oids.OCSP_SIGNING in delegate.extended_key_usage
    except (Failure, ValueError):
        return False
