"""The checks of RFC 5280 6.1.3 to 6.1.5 on each certificate of a path, in a table."""

from __future__ import annotations

from datetime import datetime

from voltroot.pki import names, oids
from voltroot.pki.judging.findings import Rule, Verdict, name_of
from voltroot.pki.judging.forms import CERT_SIGN, UNDERSTOOD, critical_by_profile
from voltroot.pki.judging.inputs import LARGEST, Demand
from voltroot.pki.judging.inquiry import State
from voltroot.pki.judging.walk import Walk

_LEAF, _REVOKED = Demand.LEAF, State.REVOKED
_OF_A_CA, _OF_A_LEAF = (State.UNCLEAR,), (State.UNCLEAR, State.SILENT)
_OF_ANY = (*_OF_A_LEAF, State.UNASKED)


def _size(walk: Walk) -> str | None:
    size = len(walk.certificate.der)
    return f"it has {size} octets: more than {LARGEST} are not looked at" if size > LARGEST else None


def _issuer_name(walk: Walk) -> str | None:
    own, issuer = walk.certificate, walk.issuer
    if names.same(own.issuer_der, issuer.subject_der):
        return None
    return f"its issuer is {own.issuer}, the next certificate is {name_of(issuer)}"


def _signature(walk: Walk) -> str | None:
    if not names.same(walk.certificate.issuer_der, walk.issuer.subject_der):
        return None  # Which is said already; another's key proves nothing.
    return walk.effort.objection(walk.certificate.signed, walk.issuer)


def _key_identifier(walk: Walk) -> str | None:
    wanted, found = walk.certificate.authority_key_identifier, walk.issuer.subject_key_identifier
    agree = wanted is None or found is None or wanted == found
    return None if agree else "its authorityKeyIdentifier is not its issuer's subjectKeyIdentifier"


def _begun(walk: Walk) -> str | None:
    begin = walk.certificate.not_before
    return f"it is valid from {_moment(begin)} on" if walk.at < begin else None


def _not_expired(walk: Walk) -> str | None:
    end = walk.certificate.not_after
    return f"it expired on {_moment(end)}" if walk.at > end else None


def _not_revoked(walk: Walk) -> str | None:
    revoked = walk.status.state is _REVOKED
    return f"it is revoked (serial {walk.certificate.serial}): {walk.status.text}" if revoked else None


def _status(walk: Walk) -> str | None:
    return _unknown(walk) if walk.status.state in _missing(walk) else None


def _status_told(walk: Walk) -> str | None:
    unknown = walk.status.state in _OF_A_LEAF
    return _unknown(walk) if unknown and walk.status.state not in _missing(walk) else None


def _unknown(walk: Walk) -> str:
    return f"whether it is revoked is not known: {walk.status.text}"


def _missing(walk: Walk) -> tuple[State, ...]:
    """The states that do not do for the certificate in turn."""
    if walk.inputs.status is _LEAF:
        return _OF_A_CA if walk.certifies else _OF_A_LEAF
    return () if walk.inputs.status is Demand.NONE else _OF_ANY


def _names(walk: Walk) -> str | None:
    if walk.certifies and walk.certificate.self_issued:
        return None
    return walk.constraints.objection(walk.certificate)


def _policies(walk: Walk) -> str | None:
    return walk.policies.objection(walk.certificate, last=not walk.certifies)


def _key_purpose(walk: Walk) -> str | None:
    wanted, own = walk.inputs.key_purpose, walk.certificate
    if wanted is None or oids.EXTENDED_KEY_USAGE not in own.extensions:
        return None
    if wanted in own.extended_key_usage or oids.ANY_PURPOSE in own.extended_key_usage:
        return None
    return f"its key is for other purposes than {oids.PURPOSE_NAMES.get(wanted, wanted)}"


def _critical(walk: Walk) -> str | None:
    own = walk.certificate
    if UNDERSTOOD.issuperset(own.critical):
        return None
    known = {*UNDERSTOOD, *critical_by_profile(own)}
    unknown = [oids.name(oid) for oid in own.critical if oid not in known]
    return f"it has a critical extension that is not understood: {', '.join(unknown)}" if unknown else None


def _critical_of_2022(walk: Walk) -> str | None:
    found = critical_by_profile(walk.certificate)
    if not found:
        return None
    named = ", ".join(map(oids.name, found))
    return f"{named}: critical as in the edition of 2022, which other programs' validators refuse"


def _is_ca(walk: Walk) -> str | None:
    own = walk.certificate
    return None if own.version == 3 and own.is_ca else "it has issued a certificate, but is not that of a CA"


def _path_length(walk: Walk) -> str | None:
    if walk.room > 0 or walk.certificate.self_issued:
        return None
    return "a CA above it allows no further CA on the way to the leaf"


def _may_certify(walk: Walk) -> str | None:
    usage = walk.certificate.key_usage
    allowed = usage is None or usage & CERT_SIGN or not walk.certifies
    return None if allowed else "it has issued a certificate, but keyCertSign is missing"


def _constraints(walk: Walk) -> str | None:
    return walk.constrain()


def _outcome(walk: Walk) -> str | None:
    walk.allowed, objection = walk.policies.outcome(walk.certificate, walk.inputs.policies)
    return objection


def _anchor_is_ca(walk: Walk) -> str | None:
    # What is older than version 3 is a CA because somebody says so (6.1.4 (k)): here, the configuration.
    own = walk.certificate
    is_ca = own.version < 3 or own.is_ca or not walk.certifies
    return None if is_ca else "it is trusted, but not the certificate of a CA"


def _anchor_constraints(walk: Walk) -> str | None:
    walk.constrain_by_anchor()
    return None


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


_OF_ALL: tuple[Rule[Walk], ...] = (
    Rule("octets", "ADR 10", "it is of a sensible size", _size),
    Rule("issuer_name", "RFC 5280 6.1.3 (a)(4)", "its issuer stands above it", _issuer_name),
    Rule("signature", "RFC 5280 6.1.3 (a)(1)", "its issuer has signed it", _signature),
    Rule("issuer_key", "RFC 5280 4.2.1.2", "it names its issuer's key", _key_identifier, Verdict.OK, strict=True),
    Rule("not_yet_valid", "RFC 5280 6.1.3 (a)(2)", "it has begun", _begun, Verdict.NOT_YET_VALID),
    Rule("expired", "RFC 5280 6.1.3 (a)(2)", "it has not expired", _not_expired, Verdict.EXPIRED),
    Rule("revoked", "RFC 5280 6.1.3 (a)(3)", "it is not revoked", _not_revoked, Verdict.REVOKED),
    Rule("status", "RFC 5280 6.3.3, RFC 6960 3.2", "its status can be told", _status),
    Rule("status_told", "RFC 5280 6.3.3, RFC 6960 3.2", "its status is told", _status_told, Verdict.OK),
    Rule("name_constraints", "RFC 5280 6.1.3 (b), (c)", "it has names that the CAs above it permit", _names),
    Rule("policies", "RFC 5280 6.1.3 (d) to (f)", "it has the policies that are demanded", _policies),
    Rule("key_purpose", "RFC 5280 4.2.1.12", "its key is for this purpose", _key_purpose),
    Rule("critical", "RFC 5280 4.2, 6.1.4 (o), 6.1.5 (f)", "every critical extension is understood", _critical),
    Rule("critical_2022", "ISO 15118-20:2022 Annex B", "other validators understand it", _critical_of_2022, Verdict.OK),
)
OF_CAS: tuple[Rule[Walk], ...] = (
    *_OF_ALL,
    Rule("ca", "RFC 5280 6.1.4 (k)", "it is the certificate of a CA", _is_ca),
    Rule("path_length", "RFC 5280 6.1.4 (l)", "the CAs above it allow a CA here", _path_length),
    Rule("key_cert_sign", "RFC 5280 6.1.4 (n)", "it may sign certificates", _may_certify),
    Rule("constraints", "RFC 5280 6.1.4 (a) to (m)", "what it says of those below it can be understood", _constraints),
)
OF_LEAVES: tuple[Rule[Walk], ...] = (
    *_OF_ALL,
    Rule("policy_outcome", "RFC 5280 6.1.5 (g)", "a policy that is demanded holds for the whole chain", _outcome),
)
# What an anchor says of itself binds as well (RFC 5937); that it is trusted is not asked here.
OF_ANCHORS: tuple[Rule[Walk], ...] = (
    *(rule for rule in _OF_ALL if rule.name in ("octets", "not_yet_valid", "expired", "critical")),
    Rule("anchor", "RFC 5280 6.1.4 (k), RFC 5937 3.2", "it is the certificate of a CA", _anchor_is_ca),
    *(rule for rule in OF_CAS if rule.name == "key_cert_sign"),
    Rule("constraints", "RFC 5937 3.2", "what it says of those below it can be understood", _anchor_constraints),
)
