"""What a station has to remember beside its certificates: how it reaches the CSMS, what it asked for, what to tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from voltroot.actors.station.ports import LeafKind
from voltroot.pki.fingerprints import HashData


@dataclass(frozen=True, slots=True)
class Network:
    """A way to a CSMS (NetworkConnectionProfileType). Identity and password are those of the station unless given."""

    url: str
    profile: int
    version: str = ""
    identity: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to sign that the CSMS has, or is to get. ``sent`` counts how often, ``typed`` whether with its type.

    ``wanted`` names the V2G root that the certificate is to stand below. ``adopted`` says that somebody else had the
    key made, and settles its fate.
    """

    kind: LeafKind
    name: str
    csr: str
    key: str
    request: int
    typed: bool = True
    wanted: HashData | None = None
    adopted: bool = False
    sent: int = 0


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    """Something that the CSMS has to be told of (A04)."""

    type: str
    at: datetime
    info: str = ""


@dataclass(frozen=True, slots=True)
class Successor:
    """A CSMS root that was signed by the one before: its SHA-256 in hexadecimal, and what OCPP calls it.

    Its issuer may be here no more. Until it was used, the one ``before`` is trusted, too, if that is none that has
    issued itself.
    """

    fingerprint: str
    about: HashData
    before: Successor | None = None


@dataclass(frozen=True, slots=True)
class State:
    """All of it. ``given`` is what the station's file said when it was last read, and ``slot`` the network in use.

    ``values`` are those of variables, and ``tokens`` what the CSMS last said of contracts.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    password: str = field(default="", repr=False)
    networks: Mapping[int, Network] = field(default_factory=dict)
    slot: int = 0
    given: Network | None = None
    given_password: str = field(default="", repr=False)
    requests: int = 0
    asked: tuple[Asked, ...] = ()
    events: tuple[SecurityEvent, ...] = ()
    successor: Successor | None = None
    tokens: Mapping[str, str] = field(default_factory=dict)


class StateBook(Protocol):
    """Where the state is kept. Unavailable where the file cannot be used."""

    def read(self) -> State:
        """Return what was kept last, or an empty state."""
        ...

    def keep(self, state: State) -> None:
        """Put this in place of what was there; durable when it returns."""
        ...


class Record:
    """The state as it is now, and on disk; for one thread at a time."""

    def __init__(self, book: StateBook) -> None:
        self._book = book
        self.state = book.read()

    def change(self, **members: Any) -> None:
        """Set members of the state and leave the others as they are; durable when it returns."""
        state = replace(self.state, **members)
        if state != self.state:
            self._book.keep(state)
            self.state = state
