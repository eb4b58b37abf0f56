"""Carrying all rows of a ledger to another database, whichever dialect either speaks."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic.migration import MigrationContext
from alembic.util import CommandError
from msgspec import Struct
from sqlalchemy import Connection, Engine, func, inspect, select, table, text
from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError

from voltroot.errors import Malformed, Refused
from voltroot.store.engine import migrate_on, open_engine, reached, sqlite_url, writing
from voltroot.store.tables import metadata

# Hears how many rows of how many are done.
Progress = Callable[[int, int], None]

BATCH = 2000

_PLACEHOLDERS = {"sqlite": "?", "postgresql": "%s"}


class Batch(Struct, frozen=True, array_like=True, tag=True):
    """Some rows of one table in the order of its primary key; a table without rows is one batch without any."""

    table: str
    columns: tuple[str, ...]
    # Octets, text, booleans, integers, None.
    rows: list[tuple[Any, ...]]


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that sees one state of the ledger, that of this moment, and keeps nobody waiting."""
    with reached(), engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with connection.begin():
            # On both dialects it is the first query that chooses the state, not BEGIN.
            schema(connection)
            yield connection


def schema(connection: Connection) -> str:
    """Return which migration the database is at."""
    return str(MigrationContext.configure(connection).get_current_revision())


def counts(connection: Connection, tables: Iterable[str] = tuple(metadata.tables)) -> dict[str, int]:
    """Return how many rows each table has."""
    queries = {name: select(func.count()).select_from(table(name)) for name in tables}
    return {name: connection.execute(query).scalar_one() for name, query in queries.items()}


def dump(connection: Connection) -> Iterator[Batch]:
    """Yield all rows of all tables, what is referred to before what refers to it."""
    for each in metadata.sorted_tables:
        name, columns = str(each.name), tuple(str(column.name) for column in each.columns)
        yield Batch(name, columns, [])
        # A CA has a lower number than what it issued, so within a table rows refer to earlier ones only.
        query = select(each).order_by(*each.primary_key).execution_options(yield_per=BATCH)
        for rows in connection.execute(query).partitions():
            yield Batch(name, columns, [tuple(row) for row in rows])


def watched(batches: Iterable[Batch], total: int, progress: Progress) -> Iterator[Batch]:
    """Yield the same batches; tells of each once it was taken care of."""
    done = 0
    for batch in batches:
        yield batch
        done += len(batch.rows)
        progress(done, total)


@contextmanager
def filling(url: str, password: str = "") -> Iterator[Connection]:
    """Open the one transaction that fills an empty database: when the block has ended all is there, or nothing is.

    Refused where the database is not empty or does not take what it is given.
    """
    engine = open_engine(url, password)
    database = _new_file(engine) if engine.dialect.name == "sqlite" else _empty_database(engine)
    with database as connection:
        try:
            yield connection
        except (ProgrammingError, DataError, IntegrityError) as error:
            raise Refused(f"the database does not take the ledger: {str(error.orig).splitlines()[0]}") from error


def copy(source: Engine, url: str, password: str, progress: Progress) -> dict[str, int]:
    """Copy a ledger into an empty database; returns how many rows of each table are in both.

    Refused where the ledger went on meanwhile: nobody would miss what is in the old one only until it is needed.
    """
    with snapshot(source) as connection, filling(url, password) as target:
        rows = counts(connection)
        copied = load(target, schema(connection), watched(dump(connection), sum(rows.values()), progress))
        with snapshot(source) as present:
            # Whatever changes has an audit row, so the numbers of rows tell.
            if counts(present) != rows:
                raise Refused("the ledger went on while it was copied: stop all backends, then copy again")
        if copied != rows:
            raise Refused(f"the copy has other rows than the ledger, {copied} instead of {rows}: nothing was kept")
    return rows


def load(connection: Connection, revision: str, batches: Iterable[Batch]) -> dict[str, int]:
    """Make the schema of a migration, fill it and bring it up to date; returns how many rows each table was given."""
    try:
        migrate_on(connection, revision)
    except CommandError as error:
        raise Malformed("this ledger is of a newer Voltroot: use that one") from error
    filled: set[str] = set()
    for batch in batches:
        if batch.table not in filled:
            # Migrations put first rows into some tables.
            connection.execute(table(batch.table).delete())
            filled.add(batch.table)
        _put(connection, batch)
    there = counts(connection, filled)
    migrate_on(connection)
    if connection.dialect.name == "postgresql":
        _settle(connection)
    return there


def sync(path: Path) -> None:
    """Bring a file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _new_file(engine: Engine) -> Iterator[Connection]:
    if not engine.url.database:
        raise Malformed("this address names no file: write sqlite:////absolute/path/ledger.db")
    path = Path(engine.url.database)
    if path.exists():
        raise Refused(f"{path} is there already: a ledger is only put where none is")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".ledger-") as folder:
        part = Path(folder) / path.name
        engine = open_engine(sqlite_url(part))
        try:
            with writing(engine) as connection:
                yield connection
        finally:
            # The last connection to go works off the write-ahead log.
            engine.dispose()
        part.chmod(0o600)
        # Linking refuses to replace what somebody else put there meanwhile.
        os.link(part, path)
    sync(path.parent)


@contextmanager
def _empty_database(engine: Engine) -> Iterator[Connection]:
    try:
        with writing(engine) as connection:
            if tables := inspect(connection).get_table_names():
                name = engine.url.database
                raise Refused(f"the database {name} is not empty ({', '.join(tables[:3])} ...): create a new one")
            yield connection
    finally:
        engine.dispose()


def _put(connection: Connection, batch: Batch) -> None:
    if batch.rows:
        quote = connection.dialect.identifier_preparer.quote
        columns = ", ".join(map(quote, batch.columns))
        values = ", ".join([_PLACEHOLDERS[connection.dialect.name]] * len(batch.columns))
        statement = f"INSERT INTO {quote(batch.table)} ({columns}) VALUES ({values})"  # noqa: S608 -- quoted names
        # Past SQLAlchemy's own statements, which take twice the time.
        connection.exec_driver_sql(statement, batch.rows)


def _settle(connection: Connection) -> None:
    """Let sequences go on after the numbers that rows came with, and the planner know what there is."""
    for each in metadata.sorted_tables:
        if (column := each.autoincrement_column) is not None:
            sequence = func.pg_get_serial_sequence(each.name, column.name)
            connection.execute(select(func.setval(sequence, func.max(column))))
        connection.execute(text(f"ANALYZE {each.name}"))
