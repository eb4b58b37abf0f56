"""A car's certificate for TLS (ISO 15118-20) at the station: its chain, and what the CSMS knows of its status (M07)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from voltroot.actors.station import admission
from voltroot.actors.station.outcomes import VerifyStatus
from voltroot.actors.station.ports import Authorities, CaKind
from voltroot.actors.station.station import Station
from voltroot.actors.station.variables import Variables
from voltroot.errors import Refused
from voltroot.pki import answers
from voltroot.pki.certificates import Certificate
from voltroot.pki.chains import Inputs, Purpose
from voltroot.pki.fingerprints import HashData, hash_data
from voltroot.pki.judging import ocsp_status
from voltroot.pki.judging.inquiry import State

LONGEST_KEPT = timedelta(days=7)  # M07.FR.10, whatever nextUpdate says
MOST_KEPT = 1024
_ROOTS = (CaKind.OEM, CaKind.V2G)  # V2G20-2331: an OEM's own, or V2G's
_WEB = ("http://", "https://")
LONGEST_URL = 2000


class Source(StrEnum):
    """Where a status is asked for (CertificateStatusSourceEnumType)."""

    OCSP = "OCSP"
    CRL = "CRL"


class Status(StrEnum):
    """What is known of a certificate (CertificateStatusEnumType)."""

    GOOD = "Good"
    REVOKED = "Revoked"
    UNKNOWN = "Unknown"
    FAILED = "Failed"


class Query(NamedTuple):
    """One certificate of a chain, its issuer, and where to ask about it."""

    certificate: Certificate
    issuer: Certificate
    about: HashData
    source: Source
    urls: tuple[str, ...]


class Told(NamedTuple):
    """A status, and until when it holds."""

    status: Status
    until: datetime


class Verdict(NamedTuple):
    """Whether a car's certificate will do: ``status`` is Status's word or VerifyStatus's, ``why`` there is a no."""

    accepted: bool
    status: str
    why: str = ""


class Vehicles:
    """Judges chains, and keeps what the CSMS has said, until it has an end. For one thread at a time."""

    def __init__(self, station: Station, variables: Variables) -> None:
        self._station = station
        self._variables = variables
        self._kept: dict[HashData, Told] = {}

    def look(self, text: str) -> tuple[Query, ...] | Verdict:
        """Return what to ask about a chain in PEM, leaf first, or the verdict where there is nothing to ask.

        Malformed or TooLarge where the text is no chain.
        """
        given, now = admission.read_certificates(text), self._station.now()
        if now < given[0].not_before:
            return Verdict(False, VerifyStatus.EXPIRED, "it is not valid yet: is the clock right?")
        found = (each for kind in _ROOTS for each in self._station.store.authorities(kind).certificates)
        place = Authorities(tuple(dict.fromkeys(found)))
        verification = admission.verify(given, place, now, Inputs(purpose=Purpose.VEHICLE))
        if verification.status is not VerifyStatus.VALID or verification.judgement is None:
            return Verdict(False, verification.status, verification.reason)
        queries = [self._query(*pair) for pair in itertools.pairwise(verification.judgement.path)]
        asked = tuple(each for each in queries if each.certificate.ocsp_addresses or each.certificate.crl_addresses)
        return asked or Verdict(True, VerifyStatus.VALID)

    def missing(self, asked: Sequence[Query]) -> list[Query]:
        """Return those to be asked about: of which nothing is known any more."""
        return [each for each in asked if each.urls and self._valid(each.about) is None]

    def read(self, query: Query, octets: bytes) -> Told:
        """Return what an OCSP answer says; Malformed or Refused where it says nothing."""
        answer = answers.read(octets)
        single = next((each for each in answer.singles if each.speaks_of(query.certificate, query.issuer)), None)
        if single is None:
            raise Refused("the OCSP answer is about another certificate")
        now = self._station.now()
        found = ocsp_status.told(answer, single, query.issuer, now)
        if found.state not in (State.GOOD, State.REVOKED):
            raise Refused(found.text)
        return Told(Status.GOOD if found.state is State.GOOD else Status.REVOKED, single.next_update or now)

    def decide(self, asked: Sequence[Query], told: Sequence[tuple[Query, Told]]) -> Verdict:
        """Decide by what was told just now and what is kept; the first keeps the rest of its time, a week at most."""
        fresh = {query.about: each for query, each in told}
        self._keep(fresh)
        silent = Told(Status.FAILED, self._station.now())
        found = [(each, (fresh.get(each.about) or self._valid(each.about) or silent).status) for each in asked]
        for status in (Status.REVOKED, Status.UNKNOWN, Status.FAILED):
            if bad := next((query for query, each in found if each is status), None):
                return Verdict(False, status, f"{bad.certificate.subject}: {_WHY[status]}")
        return Verdict(True, Status.GOOD)

    def _valid(self, about: HashData) -> Told | None:
        told = self._kept.get(about)
        return told if told is not None and told.until > self._station.now() else None

    def _keep(self, fresh: dict[HashData, Told]) -> None:
        """What could not be found out is asked again."""
        now = self._station.now()
        latest = now + LONGEST_KEPT
        known = {about: each for about, each in self._kept.items() if each.until > now} | {
            about: Told(each.status, min(each.until, latest))
            for about, each in fresh.items()
            if each.status is not Status.FAILED and each.until > now
        }
        self._kept = dict(sorted(known.items(), key=lambda item: item[1].until)[-MOST_KEPT:])

    def _query(self, own: Certificate, issuer: Certificate) -> Query:
        preferred = Source(self._variables.text("ISO15118Ctrlr.CertificateStatusSource"))
        addresses = {Source.OCSP: own.ocsp_addresses, Source.CRL: own.crl_addresses}
        places = {source: tuple(filter(_usable, found)) for source, found in addresses.items()}
        source = next((each for each in (preferred, *Source) if places[each]), preferred)
        return Query(own, issuer, hash_data(own, issuer), source, places[source])


def _usable(url: str) -> bool:
    return url.startswith(_WEB) and len(url) <= LONGEST_URL


_WHY = {
    Status.REVOKED: "it is revoked",
    Status.UNKNOWN: "its CA does not know it",
    Status.FAILED: "nothing tells now whether it is revoked",
}
