"""Charging stations as the CSMS knows them: who they are, what they asked to have signed, what they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from voltroot.actors.csms.operators import NOBODY, Acting

# The most that the schema of CertificateSigned allows (OCPP 2.0.1 2.36, certificateChain).
LONGEST_CHAIN = 10_000


class CertificateUse(StrEnum):
    """What a station has a certificate for (CertificateSigningUseEnumType of OCPP 2.1; 2.0.1 lacks the last)."""

    STATION = "ChargingStationCertificate"
    V2G = "V2GCertificate"
    V2G_20 = "V2G20Certificate"


class SigningState(StrEnum):
    """The life of a request to sign; the last four are its ends."""

    ASKED = "asked"
    ISSUED = "issued"
    INSTALLED = "installed"
    IN_USE = "in use"
    REJECTED = "rejected"
    DISCARDED = "discarded"
    FAILED = "failed"


# What still waits for the station or for us.
PENDING = (SigningState.ASKED, SigningState.ISSUED)


class OperationState(StrEnum):
    """The life of what an operator has a station do: WAITING for its turn or for the station to come, PROMISED where
    the station said that it will, and has not yet."""

    WAITING = "waiting"
    RUNNING = "running"
    PROMISED = "promised"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Station:
    """A station in the registry.

    ``identity`` is its name in the address, ``serial_number`` the CN of its ChargingStationCertificate (A00.FR.511);
    ``secc_ids`` are those of its V2G certificates, ``organization`` the O of both. ``profile`` is the only security
    profile that it may connect with, but for the ``next_profile`` that it was told of (A05). ``expired_allowed`` lets
    it in with an expired certificate, to get another (A00.FR.429). ``about`` is what it said when it started.
    """

    identity: str
    serial_number: str
    organization: str
    secc_ids: tuple[str, ...] = ()
    profile: int = 2
    next_profile: int | None = None
    secret: bytes | None = field(default=None, repr=False)
    next_secret: bytes | None = field(default=None, repr=False)
    expired_allowed: bool = False
    longest_chain: int = LONGEST_CHAIN
    most_certificates: int | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    seen: datetime | None = None


@dataclass(frozen=True, slots=True)
class Signing:
    """A request to sign. ``named`` is the type as the station wrote it, if it did; ``request`` its requestId.

    ``key`` is the SHA-256 of its SubjectPublicKeyInfo. ``sent`` counts the CertificateSigned.
    """

    station: str
    use: CertificateUse
    named: str
    request: int | None
    key: bytes
    csr: str
    state: SigningState = SigningState.ASKED
    certificate: int | None = None
    sent: int = 0
    why: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class Operation:
    """What an operator has a station do: its kind is the name of its first message. ``by`` is who asked, ``job`` what
    it is part of; ``changed`` is when it came into its state."""

    station: str
    kind: str
    detail: Mapping[str, Any]
    state: OperationState
    made: datetime
    deadline: datetime | None = None
    outcome: str = ""
    number: int = 0
    job: int | None = None
    by: str = ""
    changed: datetime | None = field(default=None, compare=False)


class Stations(Protocol):
    """The registry. Each method is one transaction, durable when it returns, safe to call from several threads and
    processes; each raises Unavailable when the database does not answer."""

    def add(self, station: Station, by: Acting = NOBODY) -> None:
        """Put a station on record; NameTaken if its identity is there already."""
        ...

    def remove(self, identity: str, by: Acting = NOBODY) -> None:
        """Forget a station and all about it; nothing is to be done for one that is not there."""
        ...

    def find(self, identity: str) -> Station | None:
        """Return a station."""
        ...

    def every(self) -> list[Station]:
        """Return all stations, by identity."""
        ...

    def change(self, identity: str, /, **members: object) -> None:
        """Set members of a station and leave the others as they are."""
        ...

    def alter(self, identity: str, members: Mapping[str, object], by: Acting) -> None:
        """Do as ``change`` does for somebody who is put on record; NotFound where there is no such station."""
        ...

    def ask(self, signing: Signing) -> Signing:
        """Write a request down before it is answered; one of the same key is returned as it is on record.

        Of the same station it takes the type and requestId of this one, for the answer.
        """
        ...

    def settle(self, number: int, state: SigningState, *, certificate: int | None = None, why: str = "") -> None:
        """Move a request on; what is in use stays so, as a station may come back before its answer was worked on."""
        ...

    def send(self, number: int) -> int:
        """Count one more CertificateSigned, before it is sent; returns how many there were."""
        ...

    def signings(self, identity: str, states: Sequence[SigningState]) -> list[Signing]:
        """Return a station's requests in some states, newest first."""
        ...

    def begin(self, operation: Operation) -> int:
        """Write an operation down before its first message; returns its number."""
        ...

    def end(self, number: int, state: OperationState, outcome: str = "", deadline: datetime | None = None) -> None:
        """Move an operation on."""
        ...

    def operations(self, identity: str | None = None, states: Sequence[OperationState] = ()) -> list[Operation]:
        """Return operations, newest first; without states those in all of them."""
        ...

    def overdue(self, moment: datetime) -> list[Operation]:
        """Fail the operations whose deadline has passed; returns them."""
        ...

    def take_stock(self, identity: str, content: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Replace what is known of a station's certificates, for each type that is given."""
        ...

    def stock(self, identity: str) -> dict[str, list[dict[str, Any]]]:
        """Return what is known of a station's certificates, by type, as the station wrote it."""
        ...

    def stock_taken(self, identity: str) -> list[tuple[str, datetime, list[dict[str, Any]]]]:
        """Return the same by type, with when it was read."""
        ...

    def admit(self, token: str, kind: str, status: str) -> None:
        """Put a token's AuthorizationStatus on record."""
        ...

    def token(self, token: str, kind: str) -> str | None:
        """Return a token's AuthorizationStatus."""
        ...
