"""The registry of charging stations in the ledger's database."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, bindparam, case, delete, insert, select, update

from voltroot.actors.csms.operators import NOBODY, Acting
from voltroot.actors.csms.stations import (
    CertificateUse,
    Operation,
    OperationState,
    Signing,
    SigningState,
    Station,
)
from voltroot.errors import NameTaken, NotFound
from voltroot.store.bell import ring
from voltroot.store.engine import reading, retried, writing
from voltroot.store.rows import moment_of, seconds
from voltroot.store.statements import AUDIT, DIALECT_INSERTS
from voltroot.store.tables import connections, inventories, jobs, operations, signings, stations, tokens

# One of a job has the job's detail and is asked for by whoever asked for that.
_DETAIL = case((operations.c.job.is_(None), operations.c.detail), else_=jobs.c.detail)
READ = select(operations, _DETAIL.label("all_of_it"), jobs.c.by).outerjoin(jobs, jobs.c.number == operations.c.job)

# What each station that comes is looked up with: built once, it takes a third of the time.
FIND = select(stations).where(stations.c.identity == bindparam("wanted"))
SIGNINGS = (
    select(signings)
    .where(signings.c.station == bindparam("wanted"), signings.c.state.in_(bindparam("states", expanding=True)))
    .order_by(signings.c.number.desc())
)

_OPEN = (OperationState.WAITING.value, OperationState.RUNNING.value, OperationState.PROMISED.value)


class SqlStations:
    """A ``Stations`` on a database whose schema is up to date; ``now`` is the clock."""

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now
        self._insert = DIALECT_INSERTS[engine.dialect.name]

    @retried
    def add(self, station: Station, by: Acting = NOBODY) -> None:
        """See ``Stations.add``."""
        members = {name: getattr(station, name) for name in Station.__dataclass_fields__}
        statement = self._insert(stations).values(_columns(members)).on_conflict_do_nothing()
        with writing(self._engine) as connection:
            if not connection.execute(statement.returning(stations.c.identity)).all():
                raise NameTaken(f"{station.identity} is in the registry already: change it instead")
            told = {"station": station.identity, "profile": station.profile}
            audit(connection, seconds(self._now()), "station.added", by, told)

    @retried
    def remove(self, identity: str, by: Acting = NOBODY) -> None:
        """See ``Stations.remove``."""
        with writing(self._engine) as connection:
            for table in (signings, operations, inventories, connections):
                connection.execute(delete(table).where(table.c.station == identity))
            gone = delete(stations).where(stations.c.identity == identity).returning(stations.c.identity)
            if connection.execute(gone).first() is not None:
                audit(connection, seconds(self._now()), "station.removed", by, {"station": identity})
            ring(connection)

    def find(self, identity: str) -> Station | None:
        """See ``Stations.find``."""
        with reading(self._engine) as connection:
            row = connection.execute(FIND, {"wanted": identity}).first()
        return station_of(row) if row else None

    def every(self) -> list[Station]:
        """See ``Stations.every``."""
        with reading(self._engine) as connection:
            return [*map(station_of, connection.execute(select(stations).order_by(stations.c.identity)))]

    @retried
    def change(self, identity: str, /, **members: object) -> None:
        """See ``Stations.change``."""
        with writing(self._engine) as connection:
            connection.execute(update(stations).where(stations.c.identity == identity).values(_columns(members)))

    @retried
    def alter(self, identity: str, members: Mapping[str, object], by: Acting) -> None:
        """See ``Stations.alter``."""
        with writing(self._engine) as connection:
            altered = update(stations).where(stations.c.identity == identity).values(_columns(members))
            if connection.execute(altered.returning(stations.c.identity)).first() is None:
                raise NotFound(f"there is no station {identity} in the registry")
            told = {"station": identity, "changed": sorted(members)}
            audit(connection, seconds(self._now()), "station.changed", by, told)

    @retried
    def ask(self, signing: Signing) -> Signing:
        """See ``Stations.ask``."""
        values = {
            "station": signing.station,
            "kind": signing.use.value,
            "named": signing.named,
            "request": signing.request,
            "key": signing.key,
            "csr": signing.csr,
            "state": signing.state.value,
            "sent": 0,
            "changed": seconds(self._now()),
            "why": "",
        }
        with writing(self._engine) as connection:
            statement = self._insert(signings).values(values)
            new = statement.excluded
            again = statement.on_conflict_do_update(
                index_elements=["key"],
                set_={"named": new.named, "request": new.request},
                where=signings.c.station == new.station,
            )
            connection.execute(again)
            return _signing(connection.execute(select(signings).where(signings.c.key == signing.key)).one())

    @retried
    def settle(self, number: int, state: SigningState, *, certificate: int | None = None, why: str = "") -> None:
        """See ``Stations.settle``."""
        values: dict[str, Any] = {"state": state.value, "why": _storable(why), "changed": seconds(self._now())}
        if certificate is not None:
            values["certificate"] = certificate
        unfinished = signings.c.number == number, signings.c.state != SigningState.IN_USE.value
        with writing(self._engine) as connection:
            connection.execute(update(signings).where(*unfinished).values(values))

    @retried
    def send(self, number: int) -> int:
        """See ``Stations.send``."""
        counted = update(signings).where(signings.c.number == number).values(sent=signings.c.sent + 1)
        with writing(self._engine) as connection:
            sent: int = connection.execute(counted.returning(signings.c.sent)).scalar_one()
        return sent - 1

    def signings(self, identity: str, states: Sequence[SigningState]) -> list[Signing]:
        """See ``Stations.signings``."""
        with reading(self._engine) as connection:
            rows = connection.execute(SIGNINGS, {"wanted": identity, "states": [state.value for state in states]})
            return [*map(_signing, rows)]

    @retried
    def begin(self, operation: Operation) -> int:
        """See ``Stations.begin``."""
        values = {
            "station": operation.station,
            "kind": operation.kind,
            "detail": json.dumps(operation.detail),
            "state": operation.state.value,
            "made": seconds(operation.made),
            "changed": seconds(operation.made),
            "deadline": seconds(operation.deadline) if operation.deadline else None,
            "outcome": operation.outcome,
        }
        with writing(self._engine) as connection:
            number: int = connection.execute(
                insert(operations).values(values).returning(operations.c.number)
            ).scalar_one()
        return number

    @retried
    def end(self, number: int, state: OperationState, outcome: str = "", deadline: datetime | None = None) -> None:
        """See ``Stations.end``."""
        values = {"deadline": seconds(deadline) if deadline else None}
        with writing(self._engine) as connection:
            # What has ended has ended: its process may have been given up for dead in the meantime.
            which = (operations.c.number == number) & operations.c.state.in_(_OPEN)
            self._move(connection, which, state, outcome, values)

    def operations(self, identity: str | None = None, states: Sequence[OperationState] = ()) -> list[Operation]:
        """See ``Stations.operations``."""
        query = READ.order_by(operations.c.number.desc())
        if identity is not None:
            query = query.where(operations.c.station == identity)
        if states:
            query = query.where(operations.c.state.in_([state.value for state in states]))
        with reading(self._engine) as connection:
            return [*map(operation_of, connection.execute(query))]

    @retried
    def overdue(self, moment: datetime) -> list[Operation]:
        """See ``Stations.overdue``."""
        late = operations.c.state.in_(_OPEN) & (operations.c.deadline < seconds(moment))
        why = "it was not done in time: the station did not come, or did not do what it promised, or this program ended"
        with reading(self._engine) as connection:
            # Nearly always there is none, and whoever only reads keeps nobody waiting.
            if connection.execute(select(operations.c.number).where(late).limit(1)).first() is None:
                return []
        with writing(self._engine) as connection:
            numbers = self._move(connection, late, OperationState.FAILED, why, {})
            return [*map(operation_of, connection.execute(READ.where(operations.c.number.in_(numbers))))]

    @retried
    def take_stock(self, identity: str, content: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """See ``Stations.take_stock``."""
        at = seconds(self._now())
        with writing(self._engine) as connection:
            for kind, items in content.items():
                connection.execute(
                    delete(inventories).where(inventories.c.station == identity, inventories.c.kind == kind)
                )
                row = {"station": identity, "kind": kind, "content": json.dumps(items), "at": at}
                connection.execute(insert(inventories).values(row))

    def stock(self, identity: str) -> dict[str, list[dict[str, Any]]]:
        """See ``Stations.stock``."""
        return {kind: content for kind, _, content in self.stock_taken(identity)}

    def stock_taken(self, identity: str) -> list[tuple[str, datetime, list[dict[str, Any]]]]:
        """See ``Stations.stock_taken``."""
        query = select(inventories).where(inventories.c.station == identity).order_by(inventories.c.kind)
        with reading(self._engine) as connection:
            return [(row.kind, moment_of(row.at), json.loads(row.content)) for row in connection.execute(query)]

    @retried
    def admit(self, token: str, kind: str, status: str) -> None:
        """See ``Stations.admit``."""
        statement = self._insert(tokens).values(token=token, kind=kind, status=status)
        statement = statement.on_conflict_do_update(index_elements=["token", "kind"], set_={"status": status})
        with writing(self._engine) as connection:
            connection.execute(statement)

    def token(self, token: str, kind: str) -> str | None:
        """See ``Stations.token``."""
        query = select(tokens.c.status).where(tokens.c.token == token, tokens.c.kind == kind)
        with reading(self._engine) as connection:
            return connection.execute(query).scalar()

    def _move(
        self, connection: Connection, which: Any, state: OperationState, outcome: str, values: Mapping[str, Any]
    ) -> Sequence[int]:
        moved = {"state": state.value, "outcome": _storable(outcome), "changed": seconds(self._now()), **values}
        ring(connection)
        return connection.execute(
            update(operations).where(which).values(moved).returning(operations.c.number)
        ).scalars().all()  # fmt: skip


_PACKED: dict[str, Callable[[Any], Any]] = {"secc_ids": json.dumps, "about": json.dumps, "seen": seconds}


def _columns(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _PACKED.get(name, _as_it_is)(value) if value is not None else None for name, value in members.items()}


def _storable(said: str) -> str:
    """What stations say may have characters that a database does not take."""
    return said.replace("\0", "").encode(errors="replace").decode()


def _as_it_is(value: Any) -> Any:
    return value


def station_of(row: Row[Any]) -> Station:
    """Return a row that has all columns of ``stations`` as a value."""
    members = {name: row._mapping[stations.c[name]] for name in Station.__dataclass_fields__}
    members["secc_ids"] = tuple(json.loads(members["secc_ids"]))
    members["about"] = json.loads(members["about"])
    members["seen"] = moment_of(members["seen"]) if members["seen"] is not None else None
    return Station(**members)


def operation_of(row: Row[Any]) -> Operation:
    """Return a row of ``READ`` as a value."""
    return Operation(
        station=row.station,
        kind=row.kind,
        detail=json.loads(row.all_of_it),
        state=OperationState(row.state),
        made=moment_of(row.made),
        deadline=moment_of(row.deadline) if row.deadline is not None else None,
        outcome=row.outcome,
        number=row.number,
        job=row.job,
        by=row.by or "",
        changed=moment_of(row.changed),
    )


def _signing(row: Row[Any]) -> Signing:
    return Signing(
        station=row.station,
        use=CertificateUse(row.kind),
        named=row.named,
        request=row.request,
        key=row.key,
        csr=row.csr,
        state=SigningState(row.state),
        certificate=row.certificate,
        sent=row.sent,
        why=row.why,
        number=row.number,
    )


def audit(connection: Connection, now: int, event: str, by: Acting, detail: dict[str, Any]) -> None:
    """Write down who changed something, in the transaction that changes it."""
    row = {"at": now, "event": event, "certificate": None, "door": by.door, "by": by.name, "detail": json.dumps(detail)}
    connection.execute(AUDIT, row)
