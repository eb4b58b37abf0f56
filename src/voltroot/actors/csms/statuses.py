"""What OCSP and CRLs prove of a certificate that is known by its hash data only (M06, M07)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from voltroot.errors import Malformed, Refused
from voltroot.pki import answers, der
from voltroot.pki.answers import Answer, Single
from voltroot.pki.certificates import Certificate
from voltroot.pki.fingerprints import HashAlgorithm, HashData, issued_by
from voltroot.pki.judging import ocsp_status
from voltroot.pki.judging.inquiry import State
from voltroot.pki.lists import Crl
from voltroot.pki.ocsp import HASHES

# M06.FR.10, M07.FR.10: nothing is kept longer, whatever its nextUpdate.
LONGEST_KEPT = timedelta(days=7)
_OIDS = {HashAlgorithm(name.upper()): oid for oid, name in HASHES.items() if name != "sha1"}


class Source(StrEnum):
    """Where a status is asked for (CertificateStatusSourceEnumType)."""

    OCSP = "OCSP"
    CRL = "CRL"


class Known(NamedTuple):
    """What is proved of a certificate, until when it may be kept, and the octets that prove it."""

    revoked: bool
    until: datetime
    proof: bytes


def request(asked: HashData) -> bytes:
    """Return the OCSPRequest about a certificate; Malformed for hash data that are none."""
    try:
        parts = [bytes.fromhex(text) for text in (asked.issuer_name_hash, asked.issuer_key_hash)]
        serial = int(asked.serial_number, 16)
    except ValueError as error:
        raise Malformed("hash data are written in hexadecimal digits") from error
    algorithm = der.sequence(_OIDS[asked.algorithm], der.NULL_VALUE)
    identity = der.sequence(algorithm, *map(der.octet_string, parts), der.integer(serial))
    return der.sequence(der.sequence(der.sequence(der.sequence(identity))))


def read_answer(octets: bytes, asked: HashData, cas: Iterable[Certificate], now: datetime) -> Known:
    """Return what an OCSPResponse proves; Malformed or Refused says why it proves nothing."""
    answer = answers.read(octets)
    single = next((each for each in answer.singles if _is_about(each, asked)), None)
    if single is None:
        raise Refused("the OCSP answer is about another certificate")
    why = "the issuer's certificate is not at hand: add it to the trusted CAs"
    for issuer in issuers(asked, [*cas, *_along(answer)]):
        status = ocsp_status.told(answer, single, issuer, now)
        if status.state in (State.GOOD, State.REVOKED):
            until = min(single.next_update or now, now + LONGEST_KEPT)
            return Known(status.state is State.REVOKED, until, octets)
        why = status.text
    raise Refused(why)


def read_list(octets: bytes, asked: HashData, cas: Iterable[Certificate], now: datetime) -> Known:
    """Return what a CRL proves; Malformed or Refused says why it proves nothing."""
    crl = Crl.read(octets)
    why = "the issuer's certificate is not at hand: add it to the trusted CAs"
    for issuer in issuers(asked, cas):
        objection = crl.objection or _crl_objection(crl, issuer, now)
        if objection is None and crl.next_update is not None:
            line = crl.find(issuer.subject_der, int(asked.serial_number, 16))
            return Known(line is not None, min(crl.next_update, now + LONGEST_KEPT), octets)
        why = objection or why
    raise Refused(f"the CRL cannot be used: {why}")


def issuers(asked: HashData, cas: Iterable[Certificate]) -> list[Certificate]:
    """Return the CAs that hash data name as the issuer."""
    return [each for each in cas if issued_by(asked, each)]


def _crl_objection(crl: Crl, issuer: Certificate, now: datetime) -> str | None:
    if crl.issuer != issuer.subject_der:
        return "it is another CA's"
    if crl.base is not None or crl.scope.indirect:
        return "it is not a complete list of its CA"
    if crl.next_update is None or not crl.this_update <= now <= crl.next_update:
        return "it is not of today"
    return crl.signed.objection(issuer.key)


def _is_about(single: Single, asked: HashData) -> bool:
    named = single.id.issuer
    if named is None or named.hash != asked.algorithm.lower():
        return False
    texts = (named.name.hex(), named.key.hex(), format(single.id.serial, "x"))
    serial = asked.serial_number.lower().lstrip("0") or "0"
    return texts == (asked.issuer_name_hash.lower(), asked.issuer_key_hash.lower(), serial)


def _along(answer: Answer) -> list[Certificate]:
    """Certificates that came with an answer: one of them may be the issuer, whose key the hash data prove."""
    try:
        return [*answer.certificates]
    except Malformed:
        return []
