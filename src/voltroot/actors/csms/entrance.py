"""Who may connect to the CSMS: stations of the registry, by password or certificate, each with its own profile."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from voltroot.actors.csms import passwords
from voltroot.actors.csms.stations import Station, Stations
from voltroot.actors.registrar import claim
from voltroot.actors.trust import Trust
from voltroot.errors import Forbidden, Malformed, NotFound, ProofFailed, Untrusted
from voltroot.pki import chains, oids
from voltroot.pki.certificates import Certificate
from voltroot.pki.chains import Demand, Evidence, Inputs, Judgement, Verdict
from voltroot.pki.issuers import Issuers
from voltroot.pki.lists import Crl
from voltroot.pki.ports import Clock, Entry, State

WITH_PASSWORD = (1, 2)
# How many passwords that held are remembered, as digests under a key that dies with the process.
MOST_REMEMBERED = 50_000


class Asked(NamedTuple):
    """What a station shows before its connection is opened; ``profile`` is that of the port."""

    identity: str
    profile: int
    user: str | None = None
    password: str | None = None
    certificate: bytes | None = None


@dataclass(frozen=True, slots=True)
class Admitted:
    """A station that may come in; ``entry`` is the certificate of ours that it came with.

    It ``must_renew`` first where that is expired or not the operator's own (A00.FR.406, A00.FR.429).
    """

    station: Station
    entry: Entry | None = None
    must_renew: bool = False


@dataclass(frozen=True, slots=True)
class Manufacturers:
    """CAs whose certificates stations may have from the factory, and their CRLs."""

    roots: Sequence[Certificate] = ()
    between: Sequence[Certificate] = ()
    crls: tuple[Crl, ...] = ()


class Entrance:
    """Judges who connects. Safe among threads."""

    def __init__(
        self, stations: Stations, issuers: Issuers, trust: Trust, now: Clock, others: Manufacturers = Manufacturers()
    ) -> None:
        self._stations = stations
        self._issuers = issuers
        self._trust = trust
        self._now = now
        self._others = others
        self._key = secrets.token_bytes(32)
        self._remembered: dict[str, tuple[bytes, bytes]] = {}

    @property
    def roots(self) -> list[Certificate]:
        """The anchors of client certificates."""
        cas = self._issuers.standing().cas.values()
        return [each.certificate for each in cas if each.profile.name == "CSMS_ROOT"] + [*self._others.roots]

    @property
    def between(self) -> list[Certificate]:
        """The CAs that stand between them and stations."""
        cas = self._issuers.standing().cas.values()
        return [each.certificate for each in cas if each.profile.name == "CSMS_SUB"] + [*self._others.between]

    def admit(self, asked: Asked) -> Admitted:
        """Let a station in, or raise NotFound for one that is unknown, Forbidden for the wrong profile, ProofFailed
        for a wrong password, Untrusted for a certificate that is no good."""
        station = self._stations.find(asked.identity)
        if station is None:
            raise NotFound(f"there is no station {asked.identity!a} in the registry: add it")
        if asked.profile not in (station.profile, station.next_profile):
            # A00.FR.002, A05.FR.07
            raise Forbidden(f"{station.identity} has security profile {station.profile}, not {asked.profile}")
        if asked.profile in WITH_PASSWORD:
            return Admitted(self._with_password(station, asked))
        return self._with_certificate(station, asked.certificate)

    def _with_password(self, station: Station, asked: Asked) -> Station:
        if asked.user != station.identity or asked.password is None:
            # A00.FR.204
            raise ProofFailed(f"the user name is not {station.identity}")
        if self._holds(station, station.secret, asked.password):
            return station
        if station.next_secret is not None and self._holds(station, station.next_secret, asked.password):
            # The station took the new password, though its answer was lost: the old one ends (A01.FR.03).
            self._stations.change(station.identity, secret=station.next_secret, next_secret=None)
            return station
        raise ProofFailed(f"the password of {station.identity} is wrong")

    def _holds(self, station: Station, secret: bytes | None, password: str) -> bool:
        """Ask the slow hash once only, as long as it stays the same: a storm of reconnections repeats itself."""
        digest = hmac.digest(self._key, password.encode(), hashlib.sha256)
        kept, remembered = self._remembered.get(station.identity, (b"", b""))
        if secret is not None and kept == secret and hmac.compare_digest(remembered, digest):
            return True
        if not passwords.holds(secret, password):
            return False
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[station.identity] = (secret or b"", digest)
        return True

    def _with_certificate(self, station: Station, octets: bytes | None) -> Admitted:
        if octets is None:
            raise Untrusted("no client certificate was shown")
        try:
            certificate = Certificate.read(octets)
            name = certificate.subject
        except Malformed as error:
            raise Untrusted(str(error)) from error
        if not _is(name.get("CN"), station.serial_number):
            # A00.FR.405, 427
            raise Untrusted(f"the certificate is that of {name}, not of {station.serial_number}")
        entry = self._trust.record_of(certificate)
        own = any(_is(value, station.organization) for value in name.all("O"))
        if not own and entry is not None:
            # A00.FR.404
            raise Untrusted(f"the certificate is that of {name}, not of {station.organization}")
        if entry is not None and entry.state is not State.VALID:
            raise Untrusted("the certificate is revoked")
        expired = self._judge(certificate, expired_allowed=station.expired_allowed)
        return Admitted(station, entry, expired or not own)

    def _judge(self, certificate: Certificate, *, expired_allowed: bool) -> bool:
        """Raise Untrusted for a certificate that is no good; returns whether it has expired."""
        judgement = self._judgement(certificate, self._now())
        if judgement.verdict is Verdict.OK:
            return False
        if judgement.verdict is Verdict.EXPIRED and expired_allowed and judgement.failing == certificate:
            # Everything but the date has to be right.
            judgement = self._judgement(certificate, certificate.not_after - timedelta(seconds=1))
            if judgement.verdict is Verdict.OK:
                return True
        raise Untrusted(judgement.text)

    def _judgement(self, certificate: Certificate, moment: datetime) -> Judgement:
        inputs = Inputs(key_purpose=oids.CLIENT_AUTH, status=Demand.NONE)
        evidence = Evidence(crls=self._others.crls)
        known = self._trust.signatures
        return chains.search(
            certificate, self.between, self.roots, moment, inputs=inputs, evidence=evidence, known=known
        )


def _is(given: str | None, wanted: str) -> bool:
    return given is not None and claim(given) == claim(wanted)
