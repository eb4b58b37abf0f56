"""The answers of the operators' API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from voltroot.actors.csms.operations import Job, Listed
from voltroot.actors.csms.stations import Operation, OperationState
from voltroot.actors.csms.wishes import Wish


class _Answer(Struct, rename="camel", frozen=True, kw_only=True):
    pass


class StationView(_Answer, frozen=True, kw_only=True):
    """A station: what the registry says, what it said of itself when it started, and its newest connection."""

    identity: str
    profile: int
    next_profile: int | None
    serial_number: str
    organization: str
    secc_ids: tuple[str, ...]
    expired_allowed: bool
    longest_chain: int
    most_certificates: int | None
    about: Mapping[str, Any]
    seen: datetime | None
    connected: bool
    since: datetime | None
    version: str | None
    process: str | None


class NewStation(_Answer, frozen=True, kw_only=True):
    """A station that is now in the registry, and the password that was made for it, which is told this once."""

    station: StationView
    password: str | None


class StationsPage(_Answer, frozen=True, kw_only=True):
    """Some stations; ``next`` is what comes after them."""

    stations: list[StationView]
    next: str | None


class InstalledView(_Answer, frozen=True, kw_only=True):
    """The certificates of one type, as the station wrote them when it was last asked."""

    certificate_type: str
    read_at: datetime
    certificates: list[dict[str, Any]]


class Certificates(_Answer, frozen=True, kw_only=True):
    """What a station has installed, as last read (M03)."""

    station: str
    installed: list[InstalledView]


class JobView(_Answer, frozen=True, kw_only=True):
    """A job and how far it has come: how many of its operations are in which state."""

    number: int
    kind: str
    detail: Mapping[str, Any]
    by: str
    made: datetime
    at_once: int
    total: int
    waiting: int
    running: int
    promised: int
    done: int
    failed: int
    ended: bool


class JobsPage(_Answer, frozen=True, kw_only=True):
    """Some jobs, the newest first; ``next`` is what they have to be before to come next."""

    jobs: list[JobView]
    next: int | None


class OperationView(_Answer, frozen=True, kw_only=True):
    """What one station is to do and what came of it; by its ``deadline`` it has ended."""

    number: int
    job: int | None
    station: str
    kind: str
    detail: Mapping[str, Any]
    by: str
    state: OperationState
    outcome: str
    made: datetime
    changed: datetime | None
    deadline: datetime | None


class OperationsPage(_Answer, frozen=True, kw_only=True):
    """Some operations, the newest first; ``next`` is what they have to be before to come next."""

    operations: list[OperationView]
    next: int | None


class Stopped(_Answer, frozen=True, kw_only=True):
    """How many operations were still waiting, and will not be done."""

    stopped: int


class Problem(Struct, frozen=True, kw_only=True):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str


def station(listed: Listed) -> StationView:
    """Return a station as it is told."""
    known, presence = listed
    here = presence is not None and presence.connected
    return StationView(
        identity=known.identity,
        profile=known.profile,
        next_profile=known.next_profile,
        serial_number=known.serial_number,
        organization=known.organization,
        secc_ids=known.secc_ids,
        expired_allowed=known.expired_allowed,
        longest_chain=known.longest_chain,
        most_certificates=known.most_certificates,
        about=known.about,
        seen=known.seen,
        connected=here,
        since=presence.since if presence else None,
        version=presence.version if presence else None,
        process=presence.process if presence and here else None,
    )


def job(of: Job) -> JobView:
    """Return a job as it is told."""
    counts = {state.value: of.counts.get(state, 0) for state in OperationState}
    return JobView(
        number=of.number,
        kind=of.wish.verb,
        detail=of.wish.detail,
        by=of.by,
        made=of.made,
        at_once=of.at_once,
        total=of.total,
        ended=of.ended,
        **counts,
    )


def operation(of: Operation) -> OperationView:
    """Return an operation as it is told."""
    return OperationView(
        number=of.number,
        job=of.job,
        station=of.station,
        kind=Wish(of.kind, of.detail).verb,
        detail=of.detail,
        by=of.by,
        state=of.state,
        outcome=of.outcome,
        made=of.made,
        changed=of.changed,
        deadline=of.deadline,
    )
