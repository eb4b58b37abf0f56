"""The registry of charging stations in the ledger's database."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, insert, select, update

from voltroot.actors.csms.stations import (
    CertificateUse,
    Operation,
    OperationState,
    Signing,
    SigningState,
    Station,
)
from voltroot.errors import Refused
from voltroot.store.engine import reading, retried, writing
from voltroot.store.rows import moment_of, seconds
from voltroot.store.statements import DIALECT_INSERTS
from voltroot.store.tables import inventories, operations, signings, stations, tokens

_OPEN = (OperationState.RUNNING.value, OperationState.PROMISED.value)


class SqlStations:
    """A ``Stations`` on a database whose schema is up to date; ``now`` is the clock."""

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now
        self._insert = DIALECT_INSERTS[engine.dialect.name]

    @retried
    def add(self, station: Station) -> None:
        """See ``Stations.add``."""
        members = {name: getattr(station, name) for name in Station.__dataclass_fields__}
        statement = self._insert(stations).values(_columns(members)).on_conflict_do_nothing()
        with writing(self._engine) as connection:
            if not connection.execute(statement.returning(stations.c.identity)).all():
                raise Refused(f"{station.identity} is in the registry already: change it instead")

    @retried
    def remove(self, identity: str) -> None:
        """See ``Stations.remove``."""
        with writing(self._engine) as connection:
            for table in (signings, operations, inventories):
                connection.execute(delete(table).where(table.c.station == identity))
            connection.execute(delete(stations).where(stations.c.identity == identity))

    def find(self, identity: str) -> Station | None:
        """See ``Stations.find``."""
        with reading(self._engine) as connection:
            row = connection.execute(select(stations).where(stations.c.identity == identity)).first()
        return _station(row) if row else None

    def every(self) -> list[Station]:
        """See ``Stations.every``."""
        with reading(self._engine) as connection:
            return [*map(_station, connection.execute(select(stations).order_by(stations.c.identity)))]

    @retried
    def change(self, identity: str, /, **members: object) -> None:
        """See ``Stations.change``."""
        with writing(self._engine) as connection:
            connection.execute(update(stations).where(stations.c.identity == identity).values(_columns(members)))

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
        with writing(self._engine) as connection:
            connection.execute(update(signings).where(signings.c.number == number).values(values))

    @retried
    def send(self, number: int) -> int:
        """See ``Stations.send``."""
        counted = update(signings).where(signings.c.number == number).values(sent=signings.c.sent + 1)
        with writing(self._engine) as connection:
            sent: int = connection.execute(counted.returning(signings.c.sent)).scalar_one()
        return sent - 1

    def signings(self, identity: str, states: Sequence[SigningState]) -> list[Signing]:
        """See ``Stations.signings``."""
        wanted = signings.c.station == identity, signings.c.state.in_([state.value for state in states])
        with reading(self._engine) as connection:
            rows = connection.execute(select(signings).where(*wanted).order_by(signings.c.number.desc()))
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
            self._move(connection, operations.c.number == number, state, outcome, values)

    def operations(self, identity: str | None = None, states: Sequence[OperationState] = ()) -> list[Operation]:
        """See ``Stations.operations``."""
        query = select(operations).order_by(operations.c.number.desc())
        if identity is not None:
            query = query.where(operations.c.station == identity)
        if states:
            query = query.where(operations.c.state.in_([state.value for state in states]))
        with reading(self._engine) as connection:
            return [*map(_operation, connection.execute(query))]

    @retried
    def overdue(self, moment: datetime) -> list[Operation]:
        """See ``Stations.overdue``."""
        late = operations.c.state.in_(_OPEN) & (operations.c.deadline < seconds(moment))
        why = "it was not done in time: the station did not keep its promise, or this program ended"
        with reading(self._engine) as connection:
            # Nearly always there is none, and whoever only reads keeps nobody waiting.
            if connection.execute(select(operations.c.number).where(late).limit(1)).first() is None:
                return []
        with writing(self._engine) as connection:
            return [*map(_operation, self._move(connection, late, OperationState.FAILED, why, {}))]

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
        query = select(inventories.c.kind, inventories.c.content).where(inventories.c.station == identity)
        with reading(self._engine) as connection:
            return {kind: json.loads(content) for kind, content in connection.execute(query.order_by("kind"))}

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
    ) -> Sequence[Row[Any]]:
        moved = {"state": state.value, "outcome": _storable(outcome), "changed": seconds(self._now()), **values}
        return connection.execute(update(operations).where(which).values(moved).returning(operations)).all()


_PACKED: dict[str, Callable[[Any], Any]] = {"secc_ids": json.dumps, "about": json.dumps, "seen": seconds}


def _columns(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _PACKED.get(name, _as_it_is)(value) if value is not None else None for name, value in members.items()}


def _storable(said: str) -> str:
    """What stations say may have characters that a database does not take."""
    return said.replace("\0", "").encode(errors="replace").decode()


def _as_it_is(value: Any) -> Any:
    return value


def _station(row: Row[Any]) -> Station:
    members = dict(row._mapping)
    members["secc_ids"] = tuple(json.loads(members["secc_ids"]))
    members["about"] = json.loads(members["about"])
    members["seen"] = moment_of(members["seen"]) if members["seen"] is not None else None
    return Station(**members)


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


def _operation(row: Row[Any]) -> Operation:
    return Operation(
        station=row.station,
        kind=row.kind,
        detail=json.loads(row.detail),
        state=OperationState(row.state),
        made=moment_of(row.made),
        deadline=moment_of(row.deadline) if row.deadline is not None else None,
        outcome=row.outcome,
        number=row.number,
    )
