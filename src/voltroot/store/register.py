"""Who called for which certificate: written by the ledger as it reserves, answered and counted from here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Insert,
    and_,
    bindparam,
    case,
    delete,
    func,
    or_,
    select,
    update,
)

from voltroot.actors.vpki import Line, Registered
from voltroot.pki.drafts import Draft
from voltroot.pki.ports import Entry
from voltroot.pki.registrations import Registration
from voltroot.store.engine import reading, retried, writing
from voltroot.store.prepared import execute_many, rows_of
from voltroot.store.rows import entry_of, seconds
from voltroot.store.statements import DIALECT_INSERTS, RECORDED, REVOKED, VALID
from voltroot.store.tables import certificates, registrations

UNREGISTER = delete(registrations).where(registrations.c.certificate == bindparam("b_number"))
_WRITTEN = select(registrations.c.certificate).where(
    registrations.c.certificate.in_(bindparam("numbers", expanding=True))
)
_SETTLED = update(registrations).where(registrations.c.certificate == bindparam("b_number")).values(due=None)

# What a report can be grouped and searched by.
MEMBERS: dict[str, ColumnElement[Any]] = {
    "profile": certificates.c.profile,
    **{name: registrations.c[name] for name in ("caller", "unit", "tier", "vehicle", "local", "brand")},
}
_JOINED = registrations.join(certificates, certificates.c.number == registrations.c.certificate)


def registering(dialect: str) -> Insert:
    """Insert registrations; one whose request has another certificate already is left out."""
    statement = DIALECT_INSERTS[dialect](registrations)
    inserted: Insert = statement.on_conflict_do_nothing(index_elements=["caller", "request"])
    return inserted


def register(
    connection: Connection, statement: Insert, drafts: Sequence[Draft], numbers: Mapping[int, int]
) -> set[int]:
    """Write down who called for drafts; returns the serials of those whose request was named before."""
    rows = {
        draft.serial: _row(draft.order.registration, numbers[draft.serial])
        for draft in drafts
        if draft.order.registration is not None
    }
    if not rows:
        return set()
    execute_many(connection, statement, list(rows.values()))
    named = {serial: numbers[serial] for serial, row in rows.items() if row["request"] is not None}
    if not named:
        return set()
    written = {row.certificate for row in rows_of(connection, _WRITTEN, {"numbers": list(named.values())})}
    return {serial for serial, number in named.items() if number not in written}


class SqlRegister:
    """A ``Register`` on the ledger's database; ``now`` is the clock."""

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now

    def find(self, caller: str, request: str) -> Registered | None:
        """See ``Register.find``."""
        query = (
            select(registrations.c.digest, certificates)
            .select_from(_JOINED)
            .where(registrations.c.caller == caller, registrations.c.request == request)
        )
        with reading(self._engine) as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        if row.state in (VALID, REVOKED):
            return Registered(row.digest, entry_of(row))
        # A lease that is over holds nobody up: whoever reserves next makes it void.
        return Registered(row.digest, None) if row.lease >= seconds(self._now()) else None

    def superseded(self) -> tuple[list[int], list[Entry]]:
        """See ``Register.superseded``."""
        moment = seconds(self._now())
        with reading(self._engine) as connection:
            due = connection.execute(
                select(certificates.c.number, certificates.c.profile, certificates.c.name)
                .select_from(_JOINED)
                .where(registrations.c.due <= moment, RECORDED)
            ).all()
            found: list[Entry] = []
            for profile, name in {(row.profile, row.name) for row in due}:
                found += self._older(connection, profile, name, moment)
        return [row.number for row in due], found

    @retried
    def settle(self, numbers: Sequence[int]) -> None:
        """See ``Register.settle``."""
        with writing(self._engine) as connection:
            execute_many(connection, _SETTLED, [{"b_number": number} for number in numbers])

    def count(
        self,
        by: Sequence[str],
        where: Mapping[str, str],
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[Line]:
        """See ``Register.count``."""
        columns = [MEMBERS[member] for member in by]
        moment, state = seconds(self._now()), certificates.c.state
        lives = and_(state == VALID, certificates.c.not_after >= moment)
        query = (
            select(
                *columns,
                func.count(),
                func.sum(case((lives, 1), else_=0)),
                func.sum(case((state == REVOKED, 1), else_=0)),
            )
            .select_from(_JOINED)
            .where(RECORDED, *_conditions(where, since, until))
            .group_by(*columns)
            .order_by(*columns)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return [Line(tuple(row[: len(by)]), row[-3], row[-2] or 0, row[-1] or 0) for row in rows if row[-3]]

    def search(self, where: Mapping[str, str], subject: str | None, most: int) -> list[tuple[Entry, dict[str, str]]]:
        """See ``Register.search``."""
        conditions = _conditions(where, None, None)
        if subject is not None:
            conditions.append(certificates.c.subject == subject)
        query = (
            select(certificates, *(MEMBERS[name] for name in MEMBERS if name != "profile"))
            .select_from(_JOINED)
            .where(RECORDED, *conditions)
            .order_by(certificates.c.number.desc())
            .limit(most)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return [(entry_of(row), {name: getattr(row, name) for name in MEMBERS}) for row in rows]

    def _older(self, connection: Connection, profile: str, name: str, moment: int) -> list[Entry]:
        """The valid certificates of a name that are older than its newest one, those aside that still overlap."""
        table = certificates.c
        own = and_(table.profile == profile, table.name == name, table.state == VALID)
        begun = or_(registrations.c.due.is_(None), registrations.c.due <= moment)
        both = certificates.outerjoin(registrations, registrations.c.certificate == table.number)
        newest = select(func.max(table.number)).select_from(both).where(own, begun).scalar_subquery()
        return [entry_of(row) for row in connection.execute(select(certificates).where(own, table.number < newest))]


def _row(registration: Registration, number: int) -> dict[str, Any]:
    return {
        "certificate": number,
        "caller": registration.caller,
        "request": registration.request,
        "digest": registration.digest,
        "due": seconds(registration.due) if registration.due is not None else None,
        **registration.codes._asdict(),
    }


def _conditions(where: Mapping[str, str], since: datetime | None, until: datetime | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [MEMBERS[name] == value for name, value in where.items()]
    if since is not None:
        conditions.append(certificates.c.not_before >= seconds(since))
    if until is not None:
        conditions.append(certificates.c.not_before < seconds(until))
    return conditions
