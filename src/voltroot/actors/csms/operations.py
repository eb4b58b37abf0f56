"""Operations on one station or on many: on which, how far they have come, and whose turn it is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from voltroot.actors.csms.operators import Acting
from voltroot.actors.csms.stations import Operation, OperationState, Station
from voltroot.actors.csms.wishes import Wish
from voltroot.errors import Malformed

# An operation that does not wait for stations that are away has its turn within this, or never.
TURN_WITHIN = timedelta(days=1)

# An identifierString that can stand in an address and in a user name: ASCII without / and : (A00.FR.204).
# The end is where no line ends either.
IDENTITY = r"^[!-.0-9;-~]([ -.0-9;-~]{0,46}[!-.0-9;-~])?$(?!\n)"
_IDENTITY = re.compile(IDENTITY)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which stations are meant: those of the ``identities`` if there are any, and of them those that are so."""

    identities: tuple[str, ...] = ()
    profile: int | None = None
    connected: bool | None = None
    beginning: str = ""


EVERYONE = Selection()


@dataclass(frozen=True, slots=True)
class Presence:
    """A station's newest connection: whether it is there, since when that is so, and in which process."""

    connected: bool
    since: datetime
    profile: int
    version: str
    process: str


class Arrival(NamedTuple):
    """A connection that has come: whose, over which security profile, in which version of OCPP."""

    station: str
    profile: int
    version: str


class Listed(NamedTuple):
    """A station of the registry, and its connection if it ever had one."""

    station: Station
    presence: Presence | None


@dataclass(frozen=True, slots=True)
class Job:
    """One wish to many stations, ``at_once`` at a time; ``counts`` says how many operations are in which state."""

    wish: Wish
    by: str
    at_once: int
    made: datetime
    number: int
    counts: Mapping[OperationState, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many operations it has."""
        return sum(self.counts.values())

    @property
    def ended(self) -> bool:
        """Whether nothing of it is going on any more."""
        return not any(self.counts.get(state) for state in OPEN)


OPEN = (OperationState.WAITING, OperationState.RUNNING, OperationState.PROMISED)


class Operations(Protocol):
    """Operations of all processes. Each method is one transaction, durable when it returns, safe to call from several
    threads and processes; each raises Unavailable when the database does not answer."""

    def ask(
        self, wish: Wish, selection: Selection, by: Acting, *, at_once: int, patience: timedelta | None = None
    ) -> Job:
        """Write down an operation for each station that is meant; NotFound where one is not in the registry.

        A station that is away fails its operation, unless there is ``patience`` to wait for it.
        """
        ...

    def claim(self, holder: int, most: int) -> list[Operation]:
        """Take operations whose turn it is for stations that a process holds: they are running, and its to end.

        Nobody else gets them, ever. Of one station there is one at a time, the oldest first; of a job as many as it
        has at once.
        """
        ...

    def release(self, number: int) -> None:
        """Give an operation back that was claimed and not begun."""
        ...

    def stop(self, job: int, by: Acting) -> int:
        """Fail what still waits in a job; returns how many that were. NotFound where there is no such job."""
        ...

    def sweep(self) -> list[Operation]:
        """Fail operations whose process is gone, and those that wait for a station that is away without patience."""
        ...

    def job(self, number: int) -> Job:
        """Return a job, or raise NotFound."""
        ...

    def jobs(self, before: int | None = None, limit: int = 100) -> list[Job]:
        """Return the newest jobs, or those before one."""
        ...

    def operation(self, number: int) -> Operation:
        """Return an operation, or raise NotFound."""
        ...

    def listed(
        self,
        *,
        station: str | None = None,
        job: int | None = None,
        states: Sequence[OperationState] = (),
        before: int | None = None,
        limit: int = 100,
    ) -> list[Operation]:
        """Return the newest operations that are so, or those before one."""
        ...


def require_identity(text: str) -> str:
    """Return what can be a station's identity, or raise Malformed."""
    if not _IDENTITY.fullmatch(text):
        raise Malformed("an identity has 1 to 48 characters of ASCII, neither : nor /, and no blank at its ends")
    return text
