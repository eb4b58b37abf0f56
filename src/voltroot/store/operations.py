"""Operations of all processes in the ledger's database: asked for by one, done by the one that holds the station."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, and_, delete, func, insert, or_, select, update

from voltroot.actors.csms.operations import TURN_WITHIN, Job, Selection
from voltroot.actors.csms.operators import Acting
from voltroot.actors.csms.stations import Operation, OperationState
from voltroot.actors.csms.wishes import READING, Wish
from voltroot.errors import NotFound, Refused
from voltroot.store.bell import ring
from voltroot.store.engine import reading, retried, writing
from voltroot.store.prepared import execute_many
from voltroot.store.presence import live, meant
from voltroot.store.rows import moment_of, seconds
from voltroot.store.stations import READ, audit, operation_of
from voltroot.store.tables import connections, jobs, operations, stations

# How long the messages of one take at most, in a process that lives.
LONGEST = timedelta(minutes=5)
# How long jobs are on record; the audit log has them for ever.
KEPT_FOR = timedelta(days=180)

WAITING, RUNNING, FAILED = (
    state.value for state in (OperationState.WAITING, OperationState.RUNNING, OperationState.FAILED)
)
_ASK = insert(operations)
NOT_CONNECTED = "the station is not connected"
LOST = "the process that was doing it ended: whether the station has done it is not known"


class SqlOperations:
    """``Operations`` on a database whose schema is up to date; ``now`` is the clock."""

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now

    @retried
    def ask(
        self, wish: Wish, selection: Selection, by: Acting, *, at_once: int, patience: timedelta | None = None
    ) -> Job:
        """See ``Operations.ask``."""
        now = seconds(self._now())
        deadline = now + int((patience or TURN_WITHIN).total_seconds())
        with writing(self._engine) as connection:
            identities = _chosen(connection, selection, now)
            values = {
                "kind": wish.kind,
                "detail": json.dumps(wish.detail),
                "by": by.name,
                "at_once": at_once,
                "made": now,
            }
            job: int = connection.execute(insert(jobs).values(values).returning(jobs.c.number)).scalar_one()
            common = {
                "kind": wish.kind, "detail": "{}", "state": WAITING, "made": now, "changed": now, "deadline": deadline,
                "outcome": "", "job": job, "patient": patience is not None,
            }  # fmt: skip
            execute_many(connection, _ASK, [common | {"station": each} for each in identities])
            self._fail(connection, and_(operations.c.job == job, _is_absent(now)), NOT_CONNECTED)
            if wish.verb not in READING:
                told = {"job": job, "kind": wish.verb, "stations": len(identities)}
                audit(connection, now, "operation.asked", by, told)
            _forget(connection, now - int(KEPT_FOR.total_seconds()))
            ring(connection)
            return _job(connection, connection.execute(select(jobs).where(jobs.c.number == job)).one())

    def claim(self, holder: int, most: int) -> list[Operation]:
        """See ``Operations.claim``."""
        with reading(self._engine) as connection:
            # Nearly always there is nothing, and whoever only reads keeps nobody waiting.
            if most <= 0 or connection.execute(_turns(holder, 1)).first() is None:
                return []
        return self._claim(holder, most)

    @retried
    def _claim(self, holder: int, most: int) -> list[Operation]:
        now = self._now()
        with writing(self._engine) as connection:
            turns = connection.execute(_turns(holder, most)).all()
            room = _room(connection, {row.job for row in turns if row.job is not None})
            chosen = []
            for row in turns:
                if row.job is None or room[row.job] > 0:
                    room[row.job] -= 1
                    chosen.append(row.number)
            values = {
                "state": RUNNING, "holder": holder, "deadline": seconds(now + LONGEST), "changed": seconds(now),
            }  # fmt: skip
            # Whoever was faster has it.
            mine = operations.c.number.in_(chosen), operations.c.state == WAITING
            claimed = connection.execute(update(operations).where(*mine).values(values).returning(operations.c.number))
            return _read(connection, claimed.scalars().all())

    @retried
    def release(self, number: int) -> None:
        """See ``Operations.release``."""
        with writing(self._engine) as connection:
            deadline = seconds(self._now() + TURN_WITHIN)
            which = operations.c.number == number, operations.c.state == RUNNING
            connection.execute(update(operations).where(*which).values(state=WAITING, holder=None, deadline=deadline))

    @retried
    def stop(self, job: int, by: Acting) -> int:
        """See ``Operations.stop``."""
        with writing(self._engine) as connection:
            if connection.execute(select(jobs.c.number).where(jobs.c.number == job)).first() is None:
                raise NotFound(f"there is no job {job}")
            which = and_(operations.c.job == job, operations.c.state == WAITING)
            stopped = len(self._fail(connection, which, f"stopped by {by.name}"))
            audit(connection, seconds(self._now()), "operation.stopped", by, {"job": job, "stations": stopped})
        return stopped

    def sweep(self) -> list[Operation]:
        """See ``Operations.sweep``."""
        now = seconds(self._now())
        reasons = ((_is_lost(now), LOST), (_is_absent(now), NOT_CONNECTED))
        with reading(self._engine) as connection:
            query = select(operations.c.number).where(or_(*(which for which, _ in reasons))).limit(1)
            if connection.execute(query).first() is None:
                return []
        return self._sweep(reasons)

    @retried
    def _sweep(self, reasons: Sequence[tuple[ColumnElement[bool], str]]) -> list[Operation]:
        with writing(self._engine) as connection:
            numbers = [number for which, why in reasons for number in self._fail(connection, which, why)]
            return _read(connection, numbers)

    def job(self, number: int) -> Job:
        """See ``Operations.job``."""
        with reading(self._engine) as connection:
            row = connection.execute(select(jobs).where(jobs.c.number == number)).first()
            if row is None:
                raise NotFound(f"there is no job {number}")
            return _job(connection, row)

    def jobs(self, before: int | None = None, limit: int = 100) -> list[Job]:
        """See ``Operations.jobs``."""
        query = select(jobs).order_by(jobs.c.number.desc()).limit(limit)
        if before is not None:
            query = query.where(jobs.c.number < before)
        with reading(self._engine) as connection:
            return [_job(connection, row) for row in connection.execute(query).all()]

    def operation(self, number: int) -> Operation:
        """See ``Operations.operation``."""
        with reading(self._engine) as connection:
            for operation in _read(connection, [number]):
                return operation
        raise NotFound(f"there is no operation {number}")

    def listed(
        self,
        *,
        station: str | None = None,
        job: int | None = None,
        states: Sequence[OperationState] = (),
        before: int | None = None,
        limit: int = 100,
    ) -> list[Operation]:
        """See ``Operations.listed``."""
        own = operations.c
        given: list[tuple[object, ColumnElement[bool]]] = [
            (station, own.station == station),
            (job, own.job == job),
            (states or None, own.state.in_([state.value for state in states])),
            (before, own.number < (before or 0)),
        ]
        conditions = [condition for value, condition in given if value is not None]
        query = READ.where(*conditions).order_by(own.number.desc()).limit(limit)
        with reading(self._engine) as connection:
            return [*map(operation_of, connection.execute(query))]

    def _fail(self, connection: Connection, which: ColumnElement[bool], why: str) -> Sequence[int]:
        failed = update(operations).where(which).values(state=FAILED, outcome=why, changed=seconds(self._now()))
        numbers = connection.execute(failed.returning(operations.c.number)).scalars().all()
        if numbers:
            ring(connection)
        return numbers


def _forget(connection: Connection, before: int) -> None:
    old = select(jobs.c.number).where(jobs.c.made < before)
    connection.execute(delete(operations).where(operations.c.job.in_(old)))
    connection.execute(delete(jobs).where(jobs.c.made < before))


def _is_absent(now: int) -> ColumnElement[bool]:
    here = select(connections.c.station).where(connections.c.holder.in_(live(now)))
    return and_(operations.c.state == WAITING, ~operations.c.patient, operations.c.station.not_in(here))


def _is_lost(now: int) -> ColumnElement[bool]:
    holder = operations.c.holder
    return and_(operations.c.state == RUNNING, holder.is_not(None), holder.not_in(live(now)))


def _turns(holder: int, most: int) -> Select[Any]:
    """The oldest open operation of each station that a process holds, where it waits and its job has room."""
    other = operations.alias("other")
    ahead = (
        select(func.min(other.c.number))
        .where(other.c.station == operations.c.station, other.c.state.in_((WAITING, RUNNING)))
        .scalar_subquery()
    )
    full = (
        select(operations.c.job)
        .join(jobs, jobs.c.number == operations.c.job)
        .where(operations.c.state == RUNNING)
        .group_by(operations.c.job, jobs.c.at_once)
        .having(func.count() >= jobs.c.at_once)
    )
    return (
        select(operations.c.number, operations.c.job)
        .join(connections, connections.c.station == operations.c.station)
        .where(operations.c.state == WAITING, connections.c.holder == holder, operations.c.number == ahead)
        .where(or_(operations.c.job.is_(None), operations.c.job.not_in(full)))
        .order_by(operations.c.number)
        .limit(most)
    )


def _room(connection: Connection, numbers: set[int]) -> Counter[int | None]:
    """Return how many more of each job may be running; until the transaction ends nobody else takes any of them."""
    locked = select(jobs.c.number, jobs.c.at_once).where(jobs.c.number.in_(numbers)).order_by(jobs.c.number)
    room: Counter[int | None] = Counter()
    for number, at_once in connection.execute(locked.with_for_update()):
        room[number] = at_once
    running = select(operations.c.job, func.count()).where(operations.c.job.in_(numbers), operations.c.state == RUNNING)
    for number, count in connection.execute(running.group_by(operations.c.job)):
        room[number] -= count
    return room


def _chosen(connection: Connection, selection: Selection, now: int) -> list[str]:
    known = connection.execute(select(stations.c.identity)).scalars() if selection.identities else ()
    if missing := set(selection.identities).difference(known):
        raise NotFound(f"there is no station {min(missing)} in the registry")
    query = select(stations.c.identity).outerjoin(connections, connections.c.station == stations.c.identity)
    found = connection.execute(query.where(*meant(selection, now)).order_by(stations.c.identity)).scalars().all()
    wanted = set(selection.identities)
    chosen = [each for each in found if not wanted or each in wanted]
    if not chosen:
        raise Refused("no station in the registry is so: nothing is to be done")
    return chosen


def _read(connection: Connection, numbers: Sequence[int]) -> list[Operation]:
    query = READ.where(operations.c.number.in_(numbers)).order_by(operations.c.number)
    return [*map(operation_of, connection.execute(query))] if numbers else []


def _job(connection: Connection, row: Row[Any]) -> Job:
    counted = (
        select(operations.c.state, func.count()).where(operations.c.job == row.number).group_by(operations.c.state)
    )
    counts = {OperationState(state): number for state, number in connection.execute(counted)}
    wish = Wish(row.kind, json.loads(row.detail))
    return Job(wish, row.by, row.at_once, moment_of(row.made), row.number, counts)
