"""Judging a given certification path (RFC 5280 section 6, without policies and name constraints)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from voltroot.errors import Failure
from voltroot.pki import oids
from voltroot.pki.certificates import Certificate
from voltroot.pki.profiles import CERTIFY

UNDERSTOOD = frozenset(
    {
        oids.BASIC_CONSTRAINTS,
        oids.KEY_USAGE,
        oids.EXTENDED_KEY_USAGE,
        oids.SUBJECT_ALTERNATIVE_NAME,
        oids.CERTIFICATE_POLICIES,
        # ISO 15118-20:2022 marks these critical; they constrain nothing.
        oids.SUBJECT_KEY_IDENTIFIER,
        oids.AUTHORITY_KEY_IDENTIFIER,
        oids.AUTHORITY_INFO_ACCESS,
        oids.CRL_DISTRIBUTION_POINTS,
    }
)
LONGEST = 8


class Verdict(StrEnum):
    """What a chain is worth."""

    OK = "OK"
    CHAIN_ERROR = "CHAIN_ERROR"
    EXPIRED = "EXPIRED"
    NOT_YET_VALID = "NOT_YET_VALID"
    REVOKED = "REVOKED"
    UNKNOWN_ISSUER = "UNKNOWN_ISSUER"


class Judgement(NamedTuple):
    """A verdict, with the certificate and the rule that decided it in words."""

    verdict: Verdict
    text: str = ""


def judge(
    chain: Sequence[Certificate],
    roots: Collection[Certificate],
    at: datetime,
    revoked: Collection[tuple[bytes, int]] = (),
) -> Judgement:
    """Judge a chain given leaf first; a root at its end is looked at only if it is one of ``roots``.

    ``revoked`` holds pairs of the issuer's name in DER and a serial number. Of several faults the one that weighs most
    decides, in this order: unknown issuer, chain error, revoked, not yet valid, expired.
    """
    try:
        return _judge(chain, roots, at, revoked)
    except (Failure, ValueError, StopIteration) as error:
        return Judgement(Verdict.CHAIN_ERROR, f"a certificate in the chain cannot be read: {error}")


def _judge(
    chain: Sequence[Certificate],
    roots: Collection[Certificate],
    at: datetime,
    revoked: Collection[tuple[bytes, int]],
) -> Judgement:
    if not chain or len(chain) > LONGEST:
        return Judgement(Verdict.CHAIN_ERROR, f"the chain has {len(chain)} certificates")
    anchors = {root.der: root for root in roots}
    path = list(chain)
    anchor = anchors.get(path[-1].der)
    if anchor is not None:
        path.pop()
    else:
        top = path[-1]
        candidates = [root for root in roots if top.issuer.matches(root.subject)]
        anchor = next((root for root in candidates if top.signed_by(root.public_key)), None)
        if anchor is None:
            return Judgement(Verdict.UNKNOWN_ISSUER, f"no trusted root has issued {top.subject}")
    whole = [*path, anchor]
    for place in range(len(path)):
        if fault := _link(whole, place):
            return Judgement(Verdict.CHAIN_ERROR, f"{whole[place].subject}: {fault}")
    for certificate in path:
        if (certificate.issuer_der, certificate.serial) in revoked:
            return Judgement(Verdict.REVOKED, f"{certificate.subject} (serial {certificate.serial}) is revoked")
    for certificate in whole:
        if at < certificate.not_before:
            text = f"{certificate.subject} is valid from {certificate.not_before:%Y-%m-%d %H:%M:%S} UTC on"
            return Judgement(Verdict.NOT_YET_VALID, text)
    for certificate in whole:
        if at > certificate.not_after:
            text = f"{certificate.subject} expired on {certificate.not_after:%Y-%m-%d %H:%M:%S} UTC"
            return Judgement(Verdict.EXPIRED, text)
    return Judgement(Verdict.OK)


def _link(whole: Sequence[Certificate], place: int) -> str | None:
    """What is wrong between a certificate and its issuer, the next one in the chain."""
    certificate, issuer = whole[place], whole[place + 1]
    if not certificate.issuer.matches(issuer.subject):
        return f"its issuer is {certificate.issuer}, the next certificate is {issuer.subject}"
    if not certificate.signed_by(issuer.public_key):
        return "its signature does not hold under its issuer's key"
    unknown = [oid for oid, ext in certificate.extensions.items() if ext.critical and oid not in UNDERSTOOD]
    if unknown:
        return f"it has a critical extension that is unknown: {', '.join(unknown)}"
    if issuer.version != 3 or not issuer.is_ca:
        return "its issuer is not a CA"
    if issuer.key_usage is not None and not issuer.key_usage & CERTIFY:
        return "its issuer may not sign certificates: keyCertSign is missing"
    below = sum(1 for each in whole[1 : place + 1] if not each.self_issued)
    if issuer.path_length is not None and below > issuer.path_length:
        return f"its issuer allows {issuer.path_length} CAs below itself, there are {below}"
    return None
