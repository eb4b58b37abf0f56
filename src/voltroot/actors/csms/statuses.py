"""What OCSP and CRLs prove of a certificate that is known by its hash data only (M06, M07)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from voltroot.errors import Malformed, Refused
from voltroot.pki import answers, der
from voltroot.pki.answers import Answer
from voltroot.pki.certificates import Certificate
from voltroot.pki.drafts import key_bits
from voltroot.pki.fingerprints import HashData, issued_by
from voltroot.pki.judging import ocsp_status
from voltroot.pki.judging.inquiry import State
from voltroot.pki.lists import Crl
from voltroot.pki.ocsp import HASHES, CertStatus

# M06.FR.10, M07.FR.10: nothing is kept longer, whatever its nextUpdate.
LONGEST_KEPT = timedelta(days=7)
_OIDS = {name: oid for oid, name in HASHES.items()}
_TOLD = {State.GOOD: CertStatus.GOOD, State.REVOKED: CertStatus.REVOKED}


class Source(StrEnum):
    """Where a status is asked for (CertificateStatusSourceEnumType)."""

    OCSP = "OCSP"
    CRL = "CRL"


class Known(NamedTuple):
    """What is proved of a certificate, until when it may be kept, and the octets that prove it.

    That a responder does not know the certificate is something that it proves, too.
    """

    status: CertStatus
    until: datetime
    proof: bytes


def requests(asked: HashData, cas: Iterable[Certificate]) -> list[bytes]:
    """Return the OCSPRequests to try about a certificate, best first; Malformed for hash data that are none.

    Where the issuer is at hand, they name it as it should be named, whatever the station has hashed. Some responders
    know no hash but SHA-1: the second is for them.
    """
    serial, algorithm = _serial(asked), asked.algorithm.lower()
    if found := issuers(asked, cas):
        return [_request(each, _hashed(each, found[0]), serial) for each in (algorithm, "sha1")]
    return [_request(algorithm, map(_octets, (asked.issuer_name_hash, asked.issuer_key_hash)), serial)]


def read_answer(octets: bytes, asked: HashData, cas: Iterable[Certificate], now: datetime) -> Known:
    """Return what an OCSPResponse proves; Malformed or Refused says why it proves nothing."""
    answer, serial = answers.read(octets), _serial(asked)
    why = "the issuer's certificate is not at hand: add it to the trusted CAs"
    for issuer in issuers(asked, [*cas, *_along(answer)]):
        single = next((each for each in answer.singles if each.is_about(serial, issuer.subject_der, issuer)), None)
        if single is None:
            raise Refused("the OCSP answer is about another certificate")
        unknown = single.state is CertStatus.UNKNOWN
        # Who signed, and when, has to be right whatever is said.
        told = ocsp_status.told(answer, single._replace(state=CertStatus.GOOD) if unknown else single, issuer, now)
        if told.state in _TOLD:
            # What a responder does not know yet, it may know soon.
            until = now if unknown else min(single.next_update or now, now + LONGEST_KEPT)
            return Known(CertStatus.UNKNOWN if unknown else _TOLD[told.state], until, octets)
        why = told.text
    raise Refused(why)


def read_list(octets: bytes, asked: HashData, cas: Iterable[Certificate], now: datetime) -> Known:
    """Return what a CRL proves; Malformed or Refused says why it proves nothing."""
    crl, serial = Crl.read(octets), _serial(asked)
    why = "the issuer's certificate is not at hand: add it to the trusted CAs"
    for issuer in issuers(asked, cas):
        objection = crl.objection or _crl_objection(crl, issuer, now)
        if objection is None and crl.next_update is not None:
            status = CertStatus.GOOD if crl.find(issuer.subject_der, serial) is None else CertStatus.REVOKED
            return Known(status, min(crl.next_update, now + LONGEST_KEPT), octets)
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


def _request(algorithm: str, parts: Iterable[bytes], serial: int) -> bytes:
    hashed = der.sequence(_OIDS[algorithm], der.NULL_VALUE)
    identity = der.sequence(hashed, *map(der.octet_string, parts), der.integer(serial))
    return der.sequence(der.sequence(der.sequence(der.sequence(identity))))


def _hashed(algorithm: str, issuer: Certificate) -> list[bytes]:
    named = issuer.subject_der, key_bits(issuer.spki)
    return [hashlib.new(algorithm, each, usedforsecurity=False).digest() for each in named]


def _serial(asked: HashData) -> int:
    try:
        return int(asked.plain.serial_number, 16)
    except ValueError as error:
        raise Malformed("a serial number is written in hexadecimal digits") from error


def _octets(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise Malformed("hashes are written in hexadecimal digits") from error


def _along(answer: Answer) -> list[Certificate]:
    """Certificates that came with an answer: one of them may be the issuer, whose key the hash data prove."""
    try:
        return [*answer.certificates]
    except Malformed:
        return []
