"""Which processes are alive, and which of them holds each station's connection, in the ledger's database."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, Select, and_, bindparam, delete, func, insert, or_, select, update

from voltroot.actors.csms.operations import EVERYONE, Arrival, Listed, Presence, Selection
from voltroot.errors import NotFound
from voltroot.store.bell import ring
from voltroot.store.engine import reading, retried, writing
from voltroot.store.prepared import execute_many
from voltroot.store.rows import moment_of, seconds
from voltroot.store.statements import DIALECT_INSERTS
from voltroot.store.stations import station_of
from voltroot.store.tables import connections, processes, stations

# A process that was killed is noticed after this.
LEASE = timedelta(seconds=6)

_LEAVE = (
    update(connections)
    .where(connections.c.station == bindparam("b_station"), connections.c.holder == bindparam("b_holder"))
    .values(holder=None, since=bindparam("b_since"))
)
_LISTED = (
    select(
        stations,
        connections.c.since,
        connections.c.profile.label("own_profile"),
        connections.c.version,
        processes.c.name.label("process"),
        processes.c.until,
    )
    .outerjoin(connections, connections.c.station == stations.c.identity)
    .outerjoin(processes, processes.c.number == connections.c.holder)
)


def live(now: int) -> Select[Any]:
    """Select the processes that are alive."""
    return select(processes.c.number).where(processes.c.until > now)


def meant(selection: Selection, now: int) -> list[ColumnElement[bool]]:
    """Return the conditions of a selection, but for its identities."""
    own = stations.c
    is_here = and_(connections.c.holder.is_not(None), connections.c.holder.in_(live(now)))
    given: list[tuple[object, ColumnElement[bool]]] = [
        (selection.profile, own.profile == selection.profile),
        # Not LIKE: one database minds upper and lower case and the other does not.
        (selection.beginning or None, func.substr(own.identity, 1, len(selection.beginning)) == selection.beginning),
        (selection.connected, is_here if selection.connected else or_(connections.c.holder.is_(None), ~is_here)),
    ]
    return [condition for value, condition in given if value is not None]


class SqlPresence:
    """Presence on a database whose schema is up to date; ``now`` is the clock.

    Each method is one transaction and safe to call from several threads and processes. A process has a number that no
    other ever gets, and what it says of stations that another has by now is not heard.
    """

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now
        arriving = DIALECT_INSERTS[engine.dialect.name](connections)
        columns = ("holder", "profile", "version", "since")
        self._arrive = arriving.on_conflict_do_update(
            index_elements=["station"], set_={name: arriving.excluded[name] for name in columns}
        )

    @retried
    def join(self, name: str) -> int:
        """Put a process on record as living; returns its number."""
        number = secrets.randbits(62)
        with writing(self._engine) as connection:
            connection.execute(insert(processes).values(number=number, name=name, until=self._lease()))
        return number

    @retried
    def renew(self, holder: int) -> bool:
        """Keep a process living, and forget those that are gone; returns whether it had been forgotten itself."""
        now = seconds(self._now())
        with writing(self._engine) as connection:
            renewed = update(processes).where(processes.c.number == holder).values(until=self._lease())
            is_known = connection.execute(renewed.returning(processes.c.number)).first() is not None
            dead = delete(processes).where(processes.c.until <= now).returning(processes.c.number)
            if connection.execute(dead).all():
                known = select(processes.c.number)
                orphans = connections.c.holder.is_not(None), connections.c.holder.not_in(known)
                connection.execute(update(connections).where(*orphans).values(holder=None, since=now))
                ring(connection)
        return not is_known

    @retried
    def leave(self, holder: int) -> None:
        """Forget a process that ends, and its connections."""
        with writing(self._engine) as connection:
            connection.execute(delete(processes).where(processes.c.number == holder))
            own = update(connections).where(connections.c.holder == holder)
            connection.execute(own.values(holder=None, since=seconds(self._now())))
            ring(connection)

    @retried
    def settle(self, holder: int, arrived: Sequence[Arrival], left: Sequence[str]) -> None:
        """Record which stations have come to a process, from wherever they were, and which have left it."""
        now = seconds(self._now())
        came = [
            {"station": each.station, "holder": holder, "profile": each.profile, "version": each.version, "since": now}
            for each in sorted(arrived)  # all processes take rows in the same order, so that none waits for another
        ]
        went = [{"b_station": each, "b_holder": holder, "b_since": now} for each in sorted(left)]
        with writing(self._engine) as connection:
            execute_many(connection, self._arrive, came)
            execute_many(connection, _LEAVE, went)
            ring(connection)

    def held(self, holder: int) -> int:
        """Return how many stations a process holds, as far as anybody else knows."""
        query = select(func.count()).select_from(connections).where(connections.c.holder == holder)
        with reading(self._engine) as connection:
            number: int = connection.execute(query).scalar_one()
        return number

    def places(self) -> dict[str, int | None]:
        """Return which process holds each station of the registry, None for those that nobody does."""
        query = select(stations.c.identity, connections.c.holder)
        query = query.outerjoin(connections, connections.c.station == stations.c.identity)
        with reading(self._engine) as connection:
            return {row.identity: row.holder for row in connection.execute(query)}

    def listed(self, selection: Selection = EVERYONE, after: str = "", limit: int | None = None) -> list[Listed]:
        """Return stations of the registry by identity, those ``after`` one."""
        now = seconds(self._now())
        query = _LISTED.where(stations.c.identity > after, *meant(selection, now))
        if selection.identities:
            query = query.where(stations.c.identity.in_(selection.identities))
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(stations.c.identity).limit(limit))
            return [Listed(station_of(row), _presence(row, now)) for row in rows]

    def station(self, identity: str) -> Listed:
        """Return one station, or raise NotFound."""
        for found in self.listed(Selection((identity,))):
            return found
        raise NotFound(f"there is no station {identity} in the registry")

    def _lease(self) -> int:
        return seconds(self._now() + LEASE)


def _presence(row: Row[Any], now: int) -> Presence | None:
    if row.since is None:
        return None
    is_here = row.until is not None and row.until > now
    return Presence(is_here, moment_of(row.since), row.own_profile, row.version, row.process if is_here else "")
