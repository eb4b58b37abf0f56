"""What may be installed, and which word says why not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import lru_cache

from voltroot.actors.station.inventory import climb, issuer_of
from voltroot.actors.station.outcomes import Installation, InstallStatus, Verification, VerifyStatus
from voltroot.actors.station.ports import Authorities, LeafKind, is_root
from voltroot.errors import Failure, Malformed, TooLarge
from voltroot.pki import chains, oids
from voltroot.pki.certificates import Certificate, read_pem
from voltroot.pki.chains import Inputs, Judgement, Purpose, Verdict
from voltroot.pki.drafts import key_bits
from voltroot.pki.profiles import CERTIFY

LONGEST = 1 << 18  # characters of a chain; OCPP allows 10,000
MOST = 16  # certificates of a chain
LABELS = ("CERTIFICATE", "X509 CERTIFICATE")

INPUTS = {
    LeafKind.V2G: Inputs(purpose=Purpose.SECC),
    LeafKind.V2G20: Inputs(purpose=Purpose.SECC),
    LeafKind.CSMS: Inputs(key_purpose=oids.CLIENT_AUTH),
}
_BY_VERIFICATION = {
    VerifyStatus.VALID: InstallStatus.ACCEPTED,
    VerifyStatus.EXPIRED: InstallStatus.EXPIRED,
    VerifyStatus.INVALID_SIGNATURE: InstallStatus.INVALID_SIGNATURE,
    VerifyStatus.INVALID_LEAF_SIGNATURE: InstallStatus.INVALID_SIGNATURE,
    VerifyStatus.ISSUER_NOT_FOUND: InstallStatus.NO_ROOT,
    VerifyStatus.INVALID_CHAIN: InstallStatus.INVALID_CHAIN,
    VerifyStatus.UNKNOWN: InstallStatus.INVALID_FORMAT,
}


@lru_cache(maxsize=4096)
def read_certificate(octets: bytes) -> Certificate:
    """Read a certificate with all that listing, choosing and judging will ask of it, or raise Malformed."""
    try:
        own = Certificate.read(octets)
        _ = own.is_ca, own.key_usage, own.subject_key_identifier, own.authority_key_identifier, own.ocsp_addresses
        _ = own.subject, own.issuer, own.self_issued, key_bits(own.spki)
    except (Failure, ValueError, IndexError, StopIteration) as error:
        raise Malformed(f"this is not a usable certificate: {error or 'its parts are out of shape'}") from error
    return own


def read_certificates(text: str) -> list[Certificate]:
    """Return all certificates of a PEM text, or raise Malformed or TooLarge."""
    if len(text) > LONGEST:
        raise TooLarge(f"the text has {len(text)} characters: {LONGEST} are allowed")
    if text.count("-----BEGIN ") > 4 * MOST:  # each costs a search to the text's end
        raise Malformed(f"the PEM text has more than {4 * MOST} beginnings")
    blocks = [octets for label, octets in read_pem(text) if label in LABELS]
    if not 1 <= len(blocks) <= MOST:
        raise Malformed(f"the PEM text holds {len(blocks)} certificates: 1 to {MOST} are looked at")
    return [read_certificate(octets) for octets in blocks]


def objection_to_ca(certificate: Certificate, place: Authorities, now: datetime) -> Installation | None:
    """Return why a CA may not be installed, or None; what is taken can be listed and deleted later."""
    if not certificate.is_ca:
        return _not_a_ca("it is not the certificate of a CA (basicConstraints, RFC 5280 4.2.1.9)")
    if certificate.key_usage is not None and not certificate.key_usage & CERTIFY:
        return _not_a_ca("its key may not sign certificates (keyUsage, RFC 5280 4.2.1.3)")
    issuer = issuer_of(certificate, (), place)
    if issuer is None:
        text = f"it is no root, and its issuer {certificate.issuer} is not installed: install that first"
        return Installation(InstallStatus.NO_ROOT, text)
    if now > certificate.not_after:
        text = f"it expired on {_moment(certificate.not_after)}: is the clock right?"
        return Installation(InstallStatus.EXPIRED, text)
    if now < certificate.not_before:
        text = f"it is valid from {_moment(certificate.not_before)} on: is the clock right?"
        return Installation(InstallStatus.EXPIRED, text)
    try:
        signature = certificate.signed.objection(issuer.key)
    except (Failure, ValueError) as error:
        signature = f"its signature cannot be checked: {error}"
    return None if signature is None else Installation(InstallStatus.INVALID_SIGNATURE, signature)


def arrange(chain: Sequence[Certificate], place: Authorities) -> tuple[Certificate, ...]:
    """Return a chain in its order, leaf first and without its root, completed by what is installed."""
    given = [each for each in chain[1:] if not each.self_issued]
    path = climb(chain[0], given, place)
    return path[:-1] if len(path) > 1 and path[-1].self_issued else path


def verify(
    chain: Sequence[Certificate],
    place: Authorities,
    now: datetime,
    inputs: Inputs,
    anchors: Collection[Certificate] = (),
) -> Verification:
    """Judge a chain in whatever order against the installed roots, and against ``anchors`` that are none.

    A leaf that begins later is judged as of then.
    """
    path = arrange(chain, place)
    roots = [each for each in path[1:] if each in anchors][:1]
    if roots:
        path = path[: path.index(roots[0])]
    else:
        top = path[-1].issuer_der
        roots = [each for each in place.named(top) or place.spelled_otherwise(top) if is_root(each)]
    moment = max(now, path[0].not_before)
    judgement = chains.judge(path, roots, moment, inputs=inputs)
    status = _status(judgement, bool(roots))
    return Verification(status, judgement.text or judgement.verdict.value, judgement)


def to_installation(verification: Verification) -> Installation:
    """Return what installing has to say of a verification."""
    status = _BY_VERIFICATION[verification.status]
    return Installation(status, "" if status is InstallStatus.ACCEPTED else verification.reason)


def _status(judgement: Judgement, named: bool) -> VerifyStatus:
    rule = judgement.deciding.rule if judgement.deciding else ""
    match judgement.verdict:
        case Verdict.OK:
            return VerifyStatus.VALID
        case Verdict.EXPIRED | Verdict.NOT_YET_VALID:
            return VerifyStatus.EXPIRED
        case Verdict.UNKNOWN_ISSUER:
            return VerifyStatus.INVALID_SIGNATURE if named else VerifyStatus.ISSUER_NOT_FOUND
        case Verdict.CHAIN_ERROR if rule == "signature" and judgement.failing == judgement.path[0]:
            return VerifyStatus.INVALID_LEAF_SIGNATURE
        case Verdict.CHAIN_ERROR if rule == "signature":
            return VerifyStatus.INVALID_SIGNATURE
        case _:
            return VerifyStatus.INVALID_CHAIN


def _not_a_ca(text: str) -> Installation:
    return Installation(InstallStatus.INVALID_CHAIN, text)


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
