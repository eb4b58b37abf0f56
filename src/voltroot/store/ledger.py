"""The ledger on a relational database: SQLite and PostgreSQL are two dialects of the same statements."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import count
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, insert, select

from voltroot.errors import Failure, NotFound, Unavailable
from voltroot.pki.certificates import Certificate
from voltroot.pki.drafts import Draft
from voltroot.pki.ports import Credential, Entry, Reason, Revocation, Signed
from voltroot.store import pools, register, statements
from voltroot.store.engine import reading, retried, writing
from voltroot.store.prepared import execute_many, rows_of
from voltroot.store.rows import claims, entry_of, moment_of, octets, outcome_of, place_of, row_of, seconds
from voltroot.store.statements import (
    AUDIT,
    CREDENTIALS,
    FORGET,
    HELD_UNTIL,
    HOLD,
    LIST_REVOKED,
    LOCK_NAME,
    NUMBERS,
    RAISE_REVISION,
    RECORD,
    RECORDED,
    RECORDED_NOW,
    REVISION,
    REVOKE,
    SEAL,
    SETTLE,
    STATUSES,
    UNSEAL,
    VALID,
    VOID_LOST,
    VOID_THESE,
    WINNERS,
)
from voltroot.store.tables import audit, certificates, credentials, escrow, revocations


class SqlLedger:
    """A ``Ledger`` on a database whose schema is up to date; ``now`` is the clock."""

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now
        self._reserve = statements.reserve(engine.dialect.name)
        self._take = statements.claim(engine.dialect.name)
        self._keep = statements.keep(engine.dialect.name)
        self._register = register.registering(engine.dialect.name)

    @retried
    def reserve(self, drafts: Sequence[Draft], until: datetime) -> list[int | Failure]:
        """See ``Ledger.reserve``."""
        lease = seconds(until)
        with writing(self._engine) as connection:
            moment = seconds(self._now())
            self._void(connection, rows_of(connection, VOID_LOST, {"b_now": moment}))
            numbers: dict[int, int] = {}
            lost: set[int] = set()
            pending = list(drafts)
            while pending:
                taken, losers = self._take_places(connection, pending, moment, lease)
                numbers |= taken
                lost |= losers
                # A key that was refused beside an order that lost its name is free again: its order has another go.
                pending = [draft for draft in pending if draft.serial not in taken] if losers else []
            kept = [draft for draft in drafts if draft.serial in numbers.keys() - lost]
            sealed = [
                {"certificate": numbers[draft.serial], "sealed": draft.order.sealed_key}
                for draft in kept
                if draft.order.sealed_key is not None
            ]
            execute_many(connection, SEAL, sealed)
            pools.enclose(connection, kept, numbers, moment)
            asked = [
                {"certificate": numbers[draft.serial], "door": draft.order.door, "by": draft.order.by}
                | _told(draft.order.deviation.name if draft.order.deviation else "")
                for draft in kept
            ]
            self._audit(connection, "certificate.reserved", asked)
            if repeated := register.register(connection, self._register, kept, numbers):
                marks = {"numbers": [numbers[serial] for serial in repeated]}
                self._void(connection, connection.execute(VOID_THESE, marks).all())
                lost |= repeated
        return [outcome_of(draft, numbers.get(draft.serial), lost) for draft in drafts]

    @retried
    def record(self, signed: Sequence[Signed]) -> list[Entry | Failure]:
        """See ``Ledger.record``."""
        with writing(self._engine) as connection:
            contents = [{"b_number": each.number, "b_content": each.certificate} for each in signed]
            execute_many(connection, RECORD, contents)
            numbers = [each.number for each in signed]
            rows = {row.number: row for row in rows_of(connection, RECORDED_NOW, {"numbers": numbers})}
            named = [row for row in rows.values() if row.name is not None]
            places = [{"b_profile": row.profile, "b_name": row.name, "b_until": row.not_after} for row in named]
            execute_many(connection, HOLD, places)
            asked = [
                {"certificate": each.number, "door": each.door, "by": each.by} | _told(each.fault) for each in signed
            ]
            self._audit(connection, "certificate.issued", [line for line in asked if line["certificate"] in rows])
        late = Unavailable("the certificate was not recorded in time: ask again")
        return [entry_of(rows[number]) if number in rows else late for number in numbers]

    @retried
    def abandon(self, numbers: Sequence[int]) -> None:
        """See ``Ledger.abandon``."""
        with writing(self._engine) as connection:
            self._void(connection, connection.execute(VOID_THESE, {"numbers": list(numbers)}).all())

    @retried
    def take_in(self, certificate: bytes, profile: str, issuer: int | None, *, by: str = "") -> Entry:
        """See ``Ledger.take_in``."""
        read = Certificate.read(certificate)
        with writing(self._engine) as connection:
            known = select(certificates).where(certificates.c.content == certificate, RECORDED)
            row = connection.execute(known).first()
            if row is None:
                values: dict[str, Any] = {
                    "issuer": issuer,
                    "serial": octets(read.serial),
                    "profile": profile,
                    "state": VALID,
                    "subject": read.subject.key(),
                    "key": read.key_hash,
                    "end_entity": not read.is_ca,
                    "not_before": seconds(read.not_before),
                    "not_after": seconds(read.not_after),
                    "content": certificate,
                }
                row = connection.execute(insert(certificates).values(values).returning(certificates)).one()
                asked = {"certificate": row.number, "door": "pki", "by": by}
                self._audit(connection, "certificate.taken_in", [asked])
            return entry_of(row)

    def has_imported(self) -> bool:
        """See ``Ledger.has_imported``."""
        query = select(audit.c.number).where(audit.c.event == "certificate.taken_in").limit(1)
        with reading(self._engine) as connection:
            return connection.execute(query).first() is not None

    def find(
        self,
        *,
        profiles: Sequence[str] = (),
        number: int | None = None,
        name: str | None = None,
        serial: int | None = None,
        subject: str | None = None,
        issuer: int | None = None,
    ) -> list[Entry]:
        """See ``Ledger.find``."""
        table = certificates.c
        given: list[tuple[object, ColumnElement[bool]]] = [
            (profiles or None, table.profile.in_(profiles)),
            (number, table.number == number),
            (name, table.name == name),
            (serial, table.serial == octets(serial or 0)),
            (subject, table.subject == subject),
            (issuer, table.issuer == issuer),
        ]
        conditions = [condition for value, condition in given if value is not None]
        query = select(certificates).where(RECORDED, *conditions).order_by(table.number.desc())
        with reading(self._engine) as connection:
            return [entry_of(row) for row in connection.execute(query)]

    def statuses(self, issuer: int, serials: Sequence[int]) -> list[Entry | None]:
        """See ``Ledger.statuses``."""
        marks = {"b_issuer": issuer, "serials": [octets(serial) for serial in serials]}
        with reading(self._engine) as connection:
            found = {entry.serial: entry for entry in map(entry_of, connection.execute(STATUSES, marks))}
        return [found.get(serial) for serial in serials]

    @retried
    def revoke(self, numbers: Sequence[int], reason: Reason, *, door: str, by: str = "") -> list[Entry]:
        """See ``Ledger.revoke``."""
        with writing(self._engine) as connection:
            marks = {"numbers": list(numbers), "b_now": seconds(self._now()), "b_reason": reason.value}
            rows = connection.execute(REVOKE, marks).all()
            if not rows:
                return []
            connection.execute(RAISE_REVISION)
            lines = [
                {
                    "certificate": row.number,
                    "issuer": row.issuer,
                    "serial": row.serial,
                    "at": row.revoked_at,
                    "reason": row.reason,
                }
                for row in rows
                if row.issuer is not None
            ]
            execute_many(connection, LIST_REVOKED, lines)
            for row in rows:
                self._settle(connection, row)
            detail = json.dumps({"reason": reason.name.lower()})
            asked = [{"certificate": row.number, "door": door, "by": by, "detail": detail} for row in rows]
            self._audit(connection, "certificate.revoked", asked)
        return [entry_of(row) for row in rows]

    def revoked_by(self, issuer: int) -> list[Revocation]:
        """See ``Ledger.revoked_by``."""
        table = revocations.c
        query = select(table.serial, table.at, table.reason).where(table.issuer == issuer).order_by(table.number)
        with reading(self._engine) as connection:
            return [
                Revocation(int.from_bytes(serial), moment_of(at), Reason(reason))
                for serial, at, reason in connection.execute(query)
            ]

    def revision(self) -> int:
        """See ``Ledger.revision``."""
        with reading(self._engine) as connection:
            number: int = connection.execute(REVISION).scalar_one()
        return number

    def sealed_key(self, number: int) -> bytes | None:
        """See ``Ledger.sealed_key``."""
        with reading(self._engine) as connection:
            return connection.execute(select(escrow.c.sealed).where(escrow.c.certificate == number)).scalar()

    @retried
    def add_credential(self, number: int, use: str, label: str, key: str | None, *, by: str = "") -> Credential:
        """See ``Ledger.add_credential``."""
        with writing(self._engine) as connection:
            # The counter's row first: whoever adds another credential waits, and then counts this one.
            connection.execute(RAISE_REVISION)
            known = select(credentials.c.slug).where(credentials.c.certificate == number)
            if connection.execute(known).first() is None:
                taken = set(connection.execute(select(credentials.c.slug)).scalars())
                # A label may be another's slug: ocsp-ca-g2 serves the second CA, and is the second to serve the first.
                slug = next(each for each in _slugs(label) if each not in taken)
                values = {"certificate": number, "use": use, "label": label, "slug": slug, "key": key}
                connection.execute(insert(credentials).values(values))
                detail = json.dumps({"use": use, "slug": slug})
                asked = {"certificate": number, "door": "pki", "by": by, "detail": detail}
                self._audit(connection, "credential.added", [asked])
            for credential in self._credentials(connection):
                if credential.entry.number == number:
                    return credential
        raise NotFound(f"the ledger has no certificate {number}")

    def credentials(self) -> list[Credential]:
        """See ``Ledger.credentials``."""
        with reading(self._engine) as connection:
            return self._credentials(connection)

    def _audit(self, connection: Connection, event: str, rows: Sequence[dict[str, Any]]) -> None:
        common = {"at": seconds(self._now()), "event": event, "door": "authority", "by": "", "detail": "{}"}
        execute_many(connection, AUDIT, [common | row for row in rows])

    def _take_places(
        self, connection: Connection, drafts: Sequence[Draft], moment: int, lease: int
    ) -> tuple[dict[int, int], set[int]]:
        """Insert those whose key is free, and take those out again whose name is not: numbers and losers by serial."""
        # All processes take keys and names in the same order, so that none waits for another that waits for it.
        ordered = sorted(drafts, key=lambda draft: draft.order.key_hash)
        execute_many(connection, self._reserve, [row_of(draft, lease) for draft in ordered])
        found = rows_of(connection, NUMBERS, {"serials": [octets(draft.serial) for draft in drafts]})
        numbers = {int.from_bytes(serial): number for serial, number in found}
        fresh = [draft for draft in drafts if draft.serial in numbers]
        won = self._claim(connection, fresh, moment, lease)
        lost = {draft.serial for draft in fresh if claims(draft.order) and draft.serial not in won}
        execute_many(connection, FORGET, [{"b_number": numbers[serial]} for serial in lost])
        return numbers, lost

    def _claim(self, connection: Connection, drafts: Sequence[Draft], moment: int, until: int) -> set[int]:
        """Hold the names of drafts; returns the serials of those whose name was free."""
        named = sorted((draft for draft in drafts if draft.order.name is not None), key=place_of)
        for statement, chosen in (
            (self._take, [draft for draft in named if not draft.order.renewal]),
            (self._keep, [draft for draft in named if draft.order.renewal]),
        ):
            rows = [
                {
                    "profile": draft.order.profile.name,
                    "name": draft.order.name,
                    "until": until,
                    "holder": octets(draft.serial),
                }
                for draft in chosen
            ]
            execute_many(connection, statement, [row | {"b_now": moment} for row in rows])
        won = rows_of(connection, WINNERS, {"serials": [octets(draft.serial) for draft in named]})
        return {int.from_bytes(row.holder) for row in won}

    def _void(self, connection: Connection, rows: Sequence[Row[Any]]) -> None:
        for row in rows:
            self._settle(connection, row)
            # A key that nobody holds a certificate for is kept for nobody.
            connection.execute(UNSEAL, {"b_number": row.number})
            connection.execute(register.UNREGISTER, {"b_number": row.number})
            connection.execute(pools.REMOVE, {"b_number": row.number})
        self._audit(connection, "certificate.voided", [{"certificate": row.number} for row in rows])

    def _settle(self, connection: Connection, row: Row[Any]) -> None:
        if row.name is None:
            return
        place = {"b_profile": row.profile, "b_name": row.name}
        connection.execute(LOCK_NAME, place)
        until = connection.execute(HELD_UNTIL, place).scalar()
        connection.execute(SETTLE, place | {"b_until": until or 0})

    def _credentials(self, connection: Connection) -> list[Credential]:
        rows = connection.execute(CREDENTIALS)
        return [
            Credential(entry_of(row), row.use, row.label, row.slug, row._mapping[credentials.c.key]) for row in rows
        ]


def _told(fault: str) -> dict[str, str]:
    """What the audit log keeps of a certificate that the lab got wrong on purpose."""
    return {"detail": json.dumps({"fault": fault})} if fault else {}


def _slugs(label: str) -> Iterator[str]:
    yield label
    yield from (f"{label}-g{generation}" for generation in count(2))
