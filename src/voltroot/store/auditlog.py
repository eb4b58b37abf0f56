"""The audit log: committed audit rows become the leaves of a Merkle log, and its roots are signed.

A leaf is a JSON array without spaces, in UTF-8: the whole audit row, and what its certificate's row must say for ever;
octets stand in lower-case hexadecimal.
"""

from __future__ import annotations

import fcntl
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import chain, count, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Integer,
    Row,
    and_,
    cast,
    exists,
    func,
    insert,
    or_,
    select,
    text,
    type_coerce,
)
from sqlalchemy.types import NullType

from voltroot.errors import Malformed, Refused
from voltroot.pki import der
from voltroot.pki.merkle import Frontier, leaf_hash
from voltroot.pki.ports import Clock, Keyring
from voltroot.pki.suites import P256_SHA256
from voltroot.store.checkpoints import LABEL, Checkpoint, Line, Outside, origin
from voltroot.store.engine import reading, retried, writing
from voltroot.store.statements import RESERVED, VOID
from voltroot.store.tables import audit, certificates, credentials, log_checkpoints, log_entries

VERSION = "voltroot audit 1"
# The numbers that one transaction looks at: their rows are held in memory.
BATCH = 4000
# A number that is missing is being committed, or never will be: no transaction lives this long.
PATIENCE = timedelta(minutes=10)
# Numbers below the newest that may be on their way when a process begins.
RECENT = 20_000
# So many ranges of numbers go into one statement.
_RANGES = 100
# PostgreSQL tells advisory locks apart by their number: "voltroot".
_LOCK = 0x766F6C74726F6F74

_own, _credential = certificates.c, credentials.c
# What every leaf says of the audit row and of its certificate's, octets last.
_ALWAYS = (
    *(audit.c.number, audit.c.at, audit.c.event, audit.c.certificate, audit.c.door, audit.c.by, audit.c.detail),
    *(_own.issuer, _own.profile, _own.name, _own.subject, cast(_own.end_entity, Integer).label("end_entity")),
    *(_own.not_before, _own.not_after),
)
# What the facts of single events are made of.
_SOMETIMES = (
    *(_own.state, _own.content, _own.revoked_at, _own.reason),
    *(_credential.use, _credential.label, _credential.slug, _credential.key.label("own_key")),
)
_COLUMNS = (*_ALWAYS, _own.serial, _own.key, *_SOMETIMES)
# As the driver gives them: a database that was tampered with may hold values of any type.
LEAF_COLUMNS: tuple[ColumnElement[Any], ...] = tuple(
    type_coerce(column, NullType()).label(column.name) for column in _COLUMNS
)
LEAF_TABLES = audit.outerjoin(certificates, _own.number == audit.c.certificate).outerjoin(
    credentials, and_(audit.c.event == "credential.added", _credential.certificate == audit.c.certificate)
)
LOGGED = exists().where(log_entries.c.audit == audit.c.number)
CHECKPOINTS = select(log_checkpoints).order_by(log_checkpoints.c.size)
_INTO = "INSERT INTO log_entries (sequence, audit, leaf)"
_ARRAYS = " SELECT * FROM unnest(CAST(%s AS bigint[]), CAST(%s AS bigint[]), CAST(%s AS bytea[]))"
_NEWEST = select(func.max(audit.c.number))
NEWEST_CHECKPOINT = select(log_checkpoints).order_by(log_checkpoints.c.size.desc()).limit(1)


def encode(row: Row[Any]) -> bytes:
    """Return the leaf of a row that begins with ``LEAF_COLUMNS``."""
    facts = _FACTS.get(row.event, _no_facts)(row)
    return msgspec.json.encode((VERSION, *row[: len(_ALWAYS)], _hex(row.serial), _hex(row.key), *facts))


def checkpoint_of(row: Row[Any]) -> Checkpoint:
    """Return a row of ``log_checkpoints`` as a value."""
    return Checkpoint(row.origin, row.size, row.root, row.at, row.signature)


class Numbers(NamedTuple):
    """A range of numbers of audit rows, and since when it is looked for."""

    first: int
    last: int
    since: datetime


class AuditLog:
    """The sequencer: in one transaction it appends what was committed and signs the new root.

    Any number of threads, processes and machines may do so, they take turns. PostgreSQL commits out of order: a number
    that is smaller and comes later is appended later. None is skipped: numbers that were missing are looked for again,
    and a new process looks for all.
    """

    def __init__(self, engine: Engine, keyring: Keyring, outside: Path, now: Clock) -> None:
        self._engine = engine
        self._keyring = keyring
        self._key = keyring.create(LABEL, P256_SHA256)
        self._outside = Outside(outside)
        self._now = now
        # All rows up to the floor are in the log, but for what is missing below it.
        self._floor: int | None = None
        self._missing: list[Numbers] = []

    def follow(self) -> bool:
        """Append some of what is new and return whether there is more; where nothing is new it costs one question."""
        if self._floor is not None:
            with reading(self._engine) as connection:
                newest = connection.execute(_NEWEST).scalar() or 0
                late = next(_rows(connection, [audit.c.number], self._missing, ~LOGGED), None)
            if newest <= self._floor and late is None:
                return False
        with _turn(self._engine):
            _, more = self._append_batch()
            self._publish()
        return more

    def append(self) -> int:
        """Append all that was committed before the call and return how many rows: durable, outside as well."""
        total, more = 0, True
        with _turn(self._engine):
            while more:
                appended, more = self._append_batch()
                total += appended
            self._publish()
        return total

    @retried
    def _append_batch(self) -> tuple[int, bool]:
        with reading(self._engine) as connection:
            head = connection.execute(NEWEST_CHECKPOINT).first()
            newest = connection.execute(_NEWEST).scalar() or 0
            if self._floor is None:
                self._floor, self._missing = self._begin(connection, newest)
            top = min(newest, self._floor + BATCH)
            wanted = [*self._missing, Numbers(self._floor + 1, top, self._now())]
            # What is missing is found out before the rows are read: what is committed in between is read at least.
            missing = [each for each in _missing(connection, wanted) if self._now() - each.since < PATIENCE]
            rows = sorted(_rows(connection, LEAF_COLUMNS, wanted, ~LOGGED), key=itemgetter(0))
        if rows:
            self._write(head, rows)
        self._floor, self._missing = top, missing
        return len(rows), top < newest

    def _begin(self, connection: Connection, newest: int) -> tuple[int, list[Numbers]]:
        """Return what a process that knows nothing begins with: the floor, and the numbers missing below it."""
        recent = Numbers(max(1, newest - RECENT), newest, self._now())
        missing = _missing(connection, [recent])
        first = connection.execute(select(func.min(audit.c.number)).where(~LOGGED)).scalar()
        floor = newest if first is None else first - 1
        return floor, [each._replace(last=min(each.last, floor)) for each in missing if each.first <= floor]

    def _write(self, head: Row[Any] | None, rows: Sequence[Row[Any]]) -> None:
        frontier = self._frontier(head)
        leaves = [leaf_hash(encode(row)) for row in rows]
        entries = list(zip(count(frontier.size), (row.number for row in rows), leaves, strict=False))
        frontier = frontier.extend(leaves)
        checkpoint = Checkpoint(origin(self._key), frontier.size, frontier.root(), int(self._now().timestamp()))
        values = asdict(checkpoint.signed(self._keyring.signer(LABEL))) | {"frontier": b"".join(frontier.subtrees)}
        with writing(self._engine) as connection:
            _insert(connection, entries)
            connection.execute(insert(log_checkpoints).values(values))

    def _frontier(self, head: Row[Any] | None) -> Frontier:
        """Return what the next leaves are appended to; nothing is signed on top of what was not signed here."""
        if head is None:
            return Frontier()
        frontier = Frontier.decode(head.size, head.frontier)
        if not checkpoint_of(head).is_signed_by(self._key) or frontier is None or frontier.root() != head.root:
            raise Refused("the last checkpoint of the audit log was changed: run 'voltroot db audit'")
        return frontier

    def _publish(self) -> None:
        """Let the file outside follow the database, whoever signed what it lacks."""
        with self._outside.opened() as file, reading(self._engine) as connection:
            newest = self._outside.newest(file)
            size = newest.size if newest else 0
            known = connection.execute(select(log_checkpoints.c.root).where(log_checkpoints.c.size == size)).scalar()
            if newest and known != newest.root:
                raise Refused("the audit log was changed or cut off since its last checkpoint: run 'voltroot db audit'")
            lines = []
            for row in connection.execute(CHECKPOINTS.where(log_checkpoints.c.size > size)).all():
                between = log_entries.c.sequence.between(size, row.size - 1)
                leaves = connection.execute(
                    select(log_entries.c.leaf).where(between).order_by(log_entries.c.sequence)
                ).scalars()
                lines.append(Line.of(checkpoint_of(row), size, leaves))
                size = row.size
            self._outside.append(file, lines)


def _insert(connection: Connection, entries: Sequence[tuple[int, int, bytes]]) -> None:
    """Insert entries with one statement: the writer's turn is short, and no other thread comes in between."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_INTO + _ARRAYS, tuple(map(list, zip(*entries, strict=True))))
    else:
        places = ", ".join(["(?, ?, ?)"] * len(entries))
        connection.exec_driver_sql(f"{_INTO} VALUES {places}", tuple(chain.from_iterable(entries)))


def _missing(connection: Connection, wanted: Sequence[Numbers]) -> list[Numbers]:
    """Return which of the numbers no audit row has."""
    present = sorted(row.number for row in _rows(connection, [audit.c.number], wanted))
    missing = []
    for first, last, since in wanted:
        inside = present[bisect_left(present, first) : bisect_right(present, last)]
        for below, above in pairwise((first - 1, *inside, last + 1)):
            if above > below + 1:
                missing.append(Numbers(below + 1, above - 1, since))
    return missing


def _rows(
    connection: Connection, columns: Sequence[ColumnElement[Any]], wanted: Sequence[Numbers], *conditions: Any
) -> Iterator[Row[Any]]:
    """Yield the rows that have one of the numbers."""
    for place in range(0, len(wanted), _RANGES):
        ranges = [audit.c.number.between(each.first, each.last) for each in wanted[place : place + _RANGES]]
        query = select(*columns).select_from(LEAF_TABLES).where(or_(*ranges), *conditions)
        yield from connection.execute(query)


@contextmanager
def _turn(engine: Engine) -> Iterator[None]:
    """Keep all other sequencers out, but nobody who issues."""
    if engine.dialect.name == "postgresql":
        with reading(engine) as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
            yield
        return
    with Path(f"{engine.url.database}.sequencer").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _hex(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value


def _octets(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _digest(value: object) -> str:
    return sha256(_octets(value)).hexdigest()


def _to_be_signed(row: Row[Any]) -> bytes:
    """Return what was reserved, also where its signature stands around it by now."""
    content = _octets(row.content)
    if row.state in (RESERVED, VOID):
        return content
    try:
        return next(der.children(der.read(content).content)).whole
    except (Malformed, StopIteration):
        return content


def _no_facts(_row: Row[Any]) -> tuple[object, ...]:
    return ()


# What single events say of their certificate for ever.
_FACTS: dict[str, Callable[[Row[Any]], tuple[object, ...]]] = {
    "certificate.reserved": lambda row: (_digest(_to_be_signed(row)),),
    "certificate.issued": lambda row: (_digest(row.content),),
    "certificate.taken_in": lambda row: (_digest(row.content),),
    "certificate.revoked": lambda row: (row.revoked_at, row.reason),
    "credential.added": lambda row: (row.use, row.label, row.slug, row.own_key),
}
