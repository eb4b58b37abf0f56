"""The CSMS: certificates for charging stations, from the request to the day when the old one is revoked (A02, A03)."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from voltroot.actors.cpo import CPO
from voltroot.actors.csms.stations import (
    PENDING,
    CertificateUse,
    Operation,
    OperationState,
    Signing,
    SigningState,
    Station,
    Stations,
)
from voltroot.actors.registrar import Subjects, claim
from voltroot.errors import KeyReused, NotFound, Refused, SubjectMismatch, TooLarge
from voltroot.pki import suites
from voltroot.pki.authority import Authority
from voltroot.pki.certificates import Certificate, pem
from voltroot.pki.drafts import Order
from voltroot.pki.fingerprints import HashData
from voltroot.pki.names import Name
from voltroot.pki.ports import Clock, Entry, Reason, State
from voltroot.pki.profiles import Edition, Profile, require_suite
from voltroot.pki.requests import Request, read_named_request, request_octets
from voltroot.pki.suites import P256_SHA256, PublicKey, Suite

log = logging.getLogger("voltroot")

DOOR = "ocpp"
EDITIONS = {CertificateUse.V2G: Edition.ISO15118_2, CertificateUse.V2G_20: Edition.ISO15118_20}
PROFILES = {CertificateUse.STATION: "CHARGING_STATION", CertificateUse.V2G: "SECC_2", CertificateUse.V2G_20: "SECC_20"}
# What TriggerMessage may ask for, and which requests keep the promise.
TRIGGERS: dict[str, tuple[CertificateUse, ...]] = {
    "SignChargingStationCertificate": (CertificateUse.STATION,),
    "SignV2GCertificate": (CertificateUse.V2G, CertificateUse.V2G_20),
    "SignV2G20Certificate": (CertificateUse.V2G_20,),
    "SignCombinedCertificate": tuple(CertificateUse),
}
TRIGGER = "TriggerMessage"
# How many certificates are asked about in one query.
AT_ONCE = 500
# What a leaf has beside its key and signature, in octets, with room to spare.
_REST = 700


class Wanted(NamedTuple):
    """What a station asks to have signed: ``named`` is the type that it wrote, ``root`` the V2G root that it wants."""

    csr: str
    named: str = ""
    request: int | None = None
    root: HashData | None = None
    is_2_1: bool = False


class CSMS:
    """Decides on requests to sign and keeps them on record. Safe among threads.

    One request goes this way: ``ask`` before SignCertificate is answered; ``order`` and ``issued`` around the
    authority; ``send`` before and ``answered`` after CertificateSigned; ``came_back`` when the station has connected
    with it. Each step is on disk before the next, and may be taken again after a crash.
    """

    def __init__(self, stations: Stations, authority: Authority, cpo: CPO, subjects: Subjects, now: Clock) -> None:
        self.stations = stations
        self._authority = authority
        self._cpo = cpo
        self._subjects = subjects
        self._now = now
        self._profiles: Mapping[str, Profile] = authority.issuers.profiles

    def ask(self, station: Station, wanted: Wanted) -> Signing:
        """Write down a request that may be fulfilled; a Failure says why not. The same key is the same request."""
        request = read_named_request(wanted.csr)
        use = self._use(station, wanted, request)
        self._require_subject(station, use, request.subject)
        suite = suites.suite_of(request.key)
        profile = self._profiles[PROFILES[use]]
        require_suite(profile, suite)
        self._require_fitting(station, profile, suite, wanted.root)
        csr = pem("CERTIFICATE REQUEST", request_octets(wanted.csr))
        signing = Signing(station.identity, use, wanted.named, wanted.request, _hash(request.key), csr)
        known = self.stations.ask(signing)
        if known.station != station.identity or known.use is not use:
            raise KeyReused("the key was asked for before, for another purpose: make a new one")
        if known.state in (SigningState.REJECTED, SigningState.DISCARDED, SigningState.FAILED):
            raise KeyReused(f"the key was asked for before, and that ended: {known.why}; make a new one")
        if known.certificate is not None and not self._entry(known.certificate).is_valid(self._now()):
            raise KeyReused("the key was asked for before, and its certificate has ended; make a new one")
        return known

    def refused(self, station: Station, wanted: Wanted, why: str) -> None:
        """Record that a request which an operator was waiting for had to be refused."""
        for operation in self.stations.operations(station.identity, (OperationState.PROMISED,)):
            named = wanted.named or CertificateUse.STATION
            if named in TRIGGERS.get(str(operation.detail.get("requestedMessage")), ()):
                self.stations.end(operation.number, OperationState.FAILED, f"the station's request was refused: {why}")
                return

    def order(self, signing: Signing) -> Order | Entry:
        """Return the order for a request, or the certificate that was issued on it already."""
        if (issued := self._issued_before(signing)) is not None:
            if not issued.is_valid(self._now()):
                raise Refused("its certificate has ended before the station had it")
            return issued
        station = self._station(signing)
        request = read_named_request(signing.csr)
        if signing.use is CertificateUse.STATION:
            profile = self._profiles[PROFILES[signing.use]]
            subjects = replace(self._subjects, organization=station.organization)
            subject = subjects.name(profile, station.serial_number)
            name = claim(station.serial_number)
            return Order(profile, subject, request.key, DOOR, by=station.identity, name=name, renewal=True)
        secc_id = str(request.subject.get("CN"))
        enrolment = self._cpo.enrol_request(secc_id, signing.csr, EDITIONS[signing.use], station.identity)
        # What it has stays valid: nothing tells when it uses the new one.
        return replace(enrolment.order, renewal=True)

    def issued(self, signing: Signing, entry: Entry) -> str:
        """Record the certificate of a request; returns what CertificateSigned carries: its chain without the root."""
        station = self._station(signing)
        chain = self._chain(entry)
        if len(chain) > station.longest_chain:
            why = f"the chain has {len(chain)} characters, the station takes {station.longest_chain}"
            self._authority.revoke([entry], Reason.CESSATION_OF_OPERATION, door=DOOR, by=station.identity)
            self._end(signing, SigningState.FAILED, why)
            raise TooLarge(why)
        if signing.state is SigningState.ASKED:
            self.stations.settle(signing.number, SigningState.ISSUED, certificate=entry.number)
        return chain

    def failed(self, signing: Signing, why: str) -> None:
        """Record that no certificate can be had: the station is never told, so the operator has to be."""
        log.error("signing.failed", extra={"station": signing.station, "use": signing.use, "why": why})
        self._end(signing, SigningState.FAILED, why)

    def answered(self, signing: Signing, entry: Entry, accepted: bool, earlier: int, why: str = "") -> None:
        """Record the answer to CertificateSigned; ``earlier`` is how often it had been sent before.

        What a station rejects at first sight is revoked. One that rejects a repetition may have taken the first.
        """
        if accepted:
            self.stations.settle(signing.number, SigningState.INSTALLED)
            self._keep_promise(signing, OperationState.DONE, "the station has its certificate")
            return
        log.error("certificate.rejected", extra={"station": signing.station, "use": signing.use, "why": why})
        if earlier:
            why = f"it was sent again and rejected, though the station may have it: {why}"
        else:
            self._authority.revoke([entry], Reason.CESSATION_OF_OPERATION, door=DOOR, by=signing.station)
        self._end(signing, SigningState.REJECTED, f"the station rejects it: {why}")

    def upgraded(self, station: Station) -> None:
        """Record that a station came with the profile that it was told of: now it is its only one (A05.FR.07)."""
        self.stations.change(station.identity, profile=station.next_profile, next_profile=None)
        log.info("station.upgraded", extra={"station": station.identity, "profile": station.next_profile})

    def came_back(self, station: Station, entry: Entry) -> list[Entry]:
        """Record that a station connected with a certificate of ours; returns the older ones, now revoked."""
        open_ = (*PENDING, SigningState.INSTALLED, SigningState.REJECTED)
        for signing in self.stations.signings(station.identity, open_):
            if signing.certificate == entry.number:
                self.stations.settle(signing.number, SigningState.IN_USE)
                self._keep_promise(signing, OperationState.DONE, "the station came back with it")
        older = [each for each in self._of(station) if each.number < entry.number and each.state is State.VALID]
        return self._authority.revoke(older, Reason.SUPERSEDED, door=DOOR, by=station.identity) if older else []

    def discarded(self, station: Station, why: str) -> None:
        """Revoke the newest ChargingStationCertificate that a station has told it cannot use: it keeps the old one."""
        for signing in self.stations.signings(station.identity, (SigningState.ISSUED, SigningState.INSTALLED)):
            if signing.use is CertificateUse.STATION and signing.sent:
                log.error("certificate.discarded", extra={"station": station.identity, "why": why})
                if (entry := self._issued_before(signing)) is not None:
                    self._authority.revoke([entry], Reason.CESSATION_OF_OPERATION, door=DOOR, by=station.identity)
                self._end(signing, SigningState.DISCARDED, why)

    def revision(self) -> int:
        """Return a number that stays as long as nothing is revoked; see ``Ledger.revision``."""
        return self._authority.issuers.revision.read()

    def ended(self, entries: Iterable[Entry]) -> set[int]:
        """Return which certificates are revoked by now, by their numbers."""
        serials: dict[int, list[int]] = {}
        for entry in entries:
            if entry.issuer is not None:
                serials.setdefault(entry.issuer, []).append(entry.serial)
        ended = set()
        for issuer, every in serials.items():
            for start in range(0, len(every), AT_ONCE):
                found = self._authority.ledger.statuses(issuer, every[start : start + AT_ONCE])
                ended |= {each.number for each in found if each is not None and each.state is not State.VALID}
        return ended

    def waiting(self, identity: str) -> list[Signing]:
        """Return what a station has not got yet, the oldest first: what is to be done when it comes."""
        return self.stations.signings(identity, PENDING)[::-1]

    def _use(self, station: Station, wanted: Wanted, request: Request) -> CertificateUse:
        suite = suites.suite_of(request.key)
        if not wanted.named:
            # A02.FR.13: without a type the station has one certificate, and its name tells which.
            if _is(request.subject.get("CN"), [station.serial_number]):
                return CertificateUse.STATION
            return CertificateUse.V2G if suite is P256_SHA256 else CertificateUse.V2G_20
        use = CertificateUse(wanted.named)
        if use is CertificateUse.V2G and not wanted.is_2_1 and suite in self._profiles["SECC_20"].suites:
            # OCPP 2.0.1 has one word for both editions: the key tells which.
            return CertificateUse.V2G_20
        return use

    def _require_subject(self, station: Station, use: CertificateUse, subject: Name) -> None:
        """A00.FR.509, 511: the name is compared with the registry and never copied."""
        own = [station.serial_number] if use is CertificateUse.STATION else [*station.secc_ids]
        if not own:
            raise SubjectMismatch(f"no SeccId of {station.identity} is on record: add it to the registry")
        if not _is(subject.get("CN"), own):
            raise SubjectMismatch(f"the subject's CN is {subject.get('CN')}, not {' or '.join(own)}")
        organization = subject.get("O")
        if organization is None and use is not CertificateUse.STATION:
            return
        if not _is(organization, [station.organization]):
            raise SubjectMismatch(f"the subject's O is {organization}, not {station.organization}")

    def _require_fitting(self, station: Station, profile: Profile, suite: Suite, root: HashData | None) -> None:
        """The chain has to fit before it is made, and end in the root that the station wants (A02.FR.27)."""
        standing = self._authority.issuers.standing()
        issuer = standing.for_profile(profile, suite)
        above = standing.chain(issuer.number)
        if root is not None and not root.names(above[-1], above[-1]):
            raise NotFound("hashRootCertificate names no V2G root that certificates are issued under here")
        leaf = suite.key_bits // 4 + 200 + issuer.suite.signature_size + _REST
        size = len(_text(above[:-1])) + len(pem("CERTIFICATE", bytes(leaf)))
        if size > station.longest_chain:
            most = station.longest_chain
            raise TooLarge(f"the chain would have up to {size} characters, the station takes {most}")

    def _issued_before(self, signing: Signing) -> Entry | None:
        """Return what was issued on the key: the process may have ended before it said so."""
        if signing.certificate is not None:
            return self._entry(signing.certificate)
        subject = read_named_request(signing.csr).subject.get("CN")
        holder = self._station(signing).serial_number if signing.use is CertificateUse.STATION else str(subject)
        found = self._authority.ledger.find(profiles=[PROFILES[signing.use]], name=claim(holder))
        return next((entry for entry in found if entry.read().key_hash == signing.key), None)

    def _entry(self, number: int) -> Entry:
        (entry,) = self._authority.ledger.find(number=number)
        return entry

    def _of(self, station: Station) -> list[Entry]:
        name = claim(station.serial_number)
        return self._authority.ledger.find(profiles=[PROFILES[CertificateUse.STATION]], name=name)

    def _chain(self, entry: Entry) -> str:
        return _text([entry.read(), *self._authority.issuers.standing().chain(entry.issuer)[:-1]])

    def _station(self, signing: Signing) -> Station:
        station = self.stations.find(signing.station)
        if station is None:
            raise NotFound(f"{signing.station} is in the registry no more")
        return station

    def _end(self, signing: Signing, state: SigningState, why: str) -> None:
        self.stations.settle(signing.number, state, why=why)
        self._keep_promise(signing, OperationState.FAILED, why)

    def _keep_promise(self, signing: Signing, state: OperationState, outcome: str) -> None:
        """End the oldest operation that was waiting for such a request."""
        for operation in reversed(self.stations.operations(signing.station, (OperationState.PROMISED,))):
            if _awaits(operation, signing.use):
                self.stations.end(operation.number, state, outcome)
                return


def _awaits(operation: Operation, use: CertificateUse) -> bool:
    return operation.kind == TRIGGER and use in TRIGGERS.get(str(operation.detail.get("requestedMessage")), ())


def _is(given: str | None, wanted: list[str]) -> bool:
    return given is not None and claim(given) in map(claim, wanted)


def _hash(key: PublicKey) -> bytes:
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def _text(chain: list[Certificate]) -> str:
    return "".join(each.pem for each in chain)
