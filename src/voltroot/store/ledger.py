"""The ledger on a relational database: SQLite and PostgreSQL are two dialects of the same statements."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, case, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from voltroot.errors import Failure, KeyReused, NameTaken, NotFound, Unavailable
from voltroot.pki.certificates import Certificate
from voltroot.pki.drafts import Draft
from voltroot.pki.ports import Credential, Entry, Reason, Revocation, State
from voltroot.store.engine import reading, writing
from voltroot.store.tables import audit, certificates, credentials, escrow, holdings, revocations

RECORDED = certificates.c.state.in_((State.VALID, State.REVOKED))
INSERT: dict[str, Callable[..., Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class SqlLedger:
    """A ``Ledger`` on a database whose schema is up to date; ``now`` is the clock."""

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now
        self._insert = INSERT[engine.dialect.name]

    def reserve(self, drafts: Sequence[Draft], until: datetime) -> list[int | Failure]:
        """See ``Ledger.reserve``."""
        with writing(self._engine) as connection:
            moment = _seconds(self._now())
            self._void_lost(connection, moment)
            return [self._reserve(connection, draft, moment, _seconds(until)) for draft in drafts]

    def record(self, signed: Sequence[tuple[int, bytes]]) -> list[Entry | Failure]:
        """See ``Ledger.record``."""
        with writing(self._engine) as connection:
            return [self._record(connection, number, certificate) for number, certificate in signed]

    def abandon(self, numbers: Sequence[int]) -> None:
        """See ``Ledger.abandon``."""
        with writing(self._engine) as connection:
            self._void(connection, certificates.c.number.in_(numbers), _seconds(self._now()))

    def take_in(self, certificate: bytes, profile: str, issuer: int | None) -> Entry:
        """See ``Ledger.take_in``."""
        read = Certificate.read(certificate)
        with writing(self._engine) as connection:
            known = select(certificates).where(certificates.c.content == certificate, RECORDED)
            row = connection.execute(known).first()
            if row is None:
                values = {
                    "issuer": issuer,
                    "serial": _octets(read.serial),
                    "profile": profile,
                    "state": State.VALID,
                    "subject": read.subject.key(),
                    "key": read.key_hash,
                    "end_entity": not read.is_ca,
                    "not_before": _seconds(read.not_before),
                    "not_after": _seconds(read.not_after),
                    "content": certificate,
                }
                row = connection.execute(insert(certificates).values(values).returning(certificates)).one()
                self._audit(connection, "certificate.taken_in", row.number, door="pki")
            return _entry(row)

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
            (serial, table.serial == _octets(serial or 0)),
            (subject, table.subject == subject),
            (issuer, table.issuer == issuer),
        ]
        conditions = [condition for value, condition in given if value is not None]
        query = select(certificates).where(RECORDED, *conditions).order_by(table.number.desc())
        with reading(self._engine) as connection:
            return [_entry(row) for row in connection.execute(query)]

    def statuses(self, issuer: int, serials: Sequence[int]) -> list[Entry | None]:
        """See ``Ledger.statuses``."""
        wanted = certificates.c.serial.in_([_octets(serial) for serial in serials])
        query = select(certificates).where(certificates.c.issuer == issuer, wanted, RECORDED)
        with reading(self._engine) as connection:
            found = {entry.serial: entry for entry in map(_entry, connection.execute(query))}
        return [found.get(serial) for serial in serials]

    def revoke(self, numbers: Sequence[int], reason: Reason, *, door: str, by: str = "") -> list[Entry]:
        """See ``Ledger.revoke``."""
        with writing(self._engine) as connection:
            moment = _seconds(self._now())
            change = (
                update(certificates)
                .where(certificates.c.number.in_(numbers), certificates.c.state == State.VALID)
                .values(state=State.REVOKED, revoked_at=moment, reason=reason.value)
                .returning(certificates)
            )
            rows = connection.execute(change).all()
            for row in rows:
                if row.issuer is not None:
                    line = {"certificate": row.number, "issuer": row.issuer, "serial": row.serial}
                    connection.execute(insert(revocations).values(line | {"at": moment, "reason": reason.value}))
                self._settle(connection, row)
                detail = {"reason": reason.name.lower()}
                self._audit(connection, "certificate.revoked", row.number, door=door, by=by, detail=detail)
            return [_entry(row) for row in rows]

    def revoked_by(self, issuer: int) -> list[Revocation]:
        """See ``Ledger.revoked_by``."""
        table = revocations.c
        query = select(table.serial, table.at, table.reason).where(table.issuer == issuer).order_by(table.number)
        with reading(self._engine) as connection:
            return [
                Revocation(int.from_bytes(serial), _moment(at), Reason(reason))
                for serial, at, reason in connection.execute(query)
            ]

    def revision(self) -> int:
        """See ``Ledger.revision``."""
        with reading(self._engine) as connection:
            return connection.execute(select(func.max(revocations.c.number))).scalar() or 0

    def sealed_key(self, number: int) -> bytes | None:
        """See ``Ledger.sealed_key``."""
        with reading(self._engine) as connection:
            return connection.execute(select(escrow.c.sealed).where(escrow.c.certificate == number)).scalar()

    def add_credential(self, number: int, use: str, label: str, key: str | None) -> Credential:
        """See ``Ledger.add_credential``."""
        with writing(self._engine) as connection:
            known = select(credentials.c.slug).where(credentials.c.certificate == number)
            if connection.execute(known).first() is None:
                count = select(func.count()).select_from(credentials).where(credentials.c.label == label)
                earlier = connection.execute(count).scalar_one()
                slug = f"{label}-g{earlier + 1}" if earlier else label
                values = {"certificate": number, "use": use, "label": label, "slug": slug, "key": key}
                connection.execute(insert(credentials).values(values))
                self._audit(connection, "credential.added", number, door="pki", detail={"use": use, "slug": slug})
            for credential in self._credentials(connection):
                if credential.entry.number == number:
                    return credential
        raise NotFound(f"the ledger has no certificate {number}")

    def credentials(self) -> list[Credential]:
        """See ``Ledger.credentials``."""
        with reading(self._engine) as connection:
            return self._credentials(connection)

    def _reserve(self, connection: Connection, draft: Draft, moment: int, until: int) -> int | Failure:
        order = draft.order
        values = {
            "issuer": draft.issuer.number if draft.issuer else None,
            "serial": _octets(draft.serial),
            "profile": order.profile.name,
            "state": State.RESERVED,
            "name": order.name,
            "subject": order.subject.key(),
            "key": order.key_hash,
            "end_entity": not order.profile.is_ca,
            "not_before": _seconds(draft.not_before),
            "not_after": _seconds(draft.not_after),
            "lease": until,
            "content": draft.tbs,
        }
        row = self._insert(certificates).values(values).on_conflict_do_nothing().returning(certificates.c.number)
        number: int | None = connection.execute(row).scalar()
        if number is None:
            return KeyReused("this public key has been certified before: make a new key for each certificate")
        if order.name is not None and not self._claim(connection, draft, moment, until):
            connection.execute(certificates.delete().where(certificates.c.number == number))
            name = order.subject.get("CN")
            return NameTaken(f"{name} is already occupied by a valid certificate: renew that, or revoke it first")
        if order.sealed_key is not None:
            connection.execute(insert(escrow).values(certificate=number, sealed=order.sealed_key))
        self._audit(connection, "certificate.reserved", number, door=order.door, by=order.by)
        return number

    def _claim(self, connection: Connection, draft: Draft, moment: int, until: int) -> bool:
        order = draft.order
        claim = self._insert(holdings).values(profile=order.profile.name, name=order.name, until=until)
        longer = case((holdings.c.until > until, holdings.c.until), else_=until)
        taken = claim.on_conflict_do_update(
            index_elements=["profile", "name"],
            set_={"until": longer},
            where=None if order.renewal else holdings.c.until < moment,
        ).returning(holdings.c.name)
        return connection.execute(taken).first() is not None

    def _record(self, connection: Connection, number: int, certificate: bytes) -> Entry | Failure:
        change = (
            update(certificates)
            .where(certificates.c.number == number, certificates.c.state == State.RESERVED)
            .values(state=State.VALID, content=certificate, lease=None)
            .returning(certificates)
        )
        row = connection.execute(change).first()
        if row is None:
            return Unavailable("the certificate was not recorded in time: ask again")
        self._settle(connection, row)
        self._audit(connection, "certificate.issued", number, door="authority")
        return _entry(row)

    def _void_lost(self, connection: Connection, moment: int) -> None:
        self._void(connection, certificates.c.lease < moment, moment)

    def _void(self, connection: Connection, condition: ColumnElement[bool], moment: int) -> None:
        change = (
            update(certificates)
            .where(certificates.c.state == State.RESERVED, condition)
            .values(state=State.VOID, lease=None)
            .returning(certificates)
        )
        for row in connection.execute(change).all():
            self._settle(connection, row)
            # A key that nobody holds a certificate for is kept for nobody.
            connection.execute(escrow.delete().where(escrow.c.certificate == row.number))
            self._audit(connection, "certificate.voided", row.number, door="authority")

    def _settle(self, connection: Connection, row: Row[Any]) -> None:
        """Let a name be held exactly as long as one of its certificates is valid or reserved."""
        if row.name is None:
            return
        place = (holdings.c.profile == row.profile) & (holdings.c.name == row.name)
        connection.execute(select(holdings.c.until).where(place).with_for_update())
        table = certificates.c
        end = case((table.state == State.VALID, table.not_after), else_=table.lease)
        held = select(func.max(end)).where(
            table.name == row.name, table.profile == row.profile, table.state.in_((State.VALID, State.RESERVED))
        )
        until = connection.execute(held).scalar()
        connection.execute(update(holdings).where(place).values(until=until or 0))

    def _credentials(self, connection: Connection) -> list[Credential]:
        query = select(certificates, credentials).join(credentials, credentials.c.certificate == certificates.c.number)
        rows = connection.execute(query.order_by(certificates.c.number))
        return [Credential(_entry(row), row.use, row.label, row.slug, row._mapping[credentials.c.key]) for row in rows]

    def _audit(
        self,
        connection: Connection,
        event: str,
        certificate: int,
        *,
        door: str,
        by: str = "",
        detail: dict[str, str] | None = None,
    ) -> None:
        values = {
            "at": _seconds(self._now()),
            "event": event,
            "certificate": certificate,
            "door": door,
            "by": by,
            "detail": json.dumps(detail or {}, sort_keys=True),
        }
        connection.execute(insert(audit).values(values))


def _entry(row: Row[Any]) -> Entry:
    return Entry(
        number=row.number,
        issuer=row.issuer,
        serial=int.from_bytes(row.serial),
        profile=row.profile,
        state=State(row.state),
        not_before=_moment(row.not_before),
        not_after=_moment(row.not_after),
        certificate=row.content,
        revoked_at=_moment(row.revoked_at) if row.revoked_at is not None else None,
        reason=Reason(row.reason) if row.reason is not None else None,
    )


def _octets(serial: int) -> bytes:
    return serial.to_bytes(max(1, (serial.bit_length() + 7) // 8))


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
