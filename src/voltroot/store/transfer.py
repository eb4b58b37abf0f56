"""Carrying the rows of a ledger to another database, whichever dialect either speaks."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from alembic.migration import MigrationContext
from msgspec import Struct
from sqlalchemy import Connection, Engine, delete, func, inspect, select, table, text
from sqlalchemy.engine import make_url

from voltroot.errors import Malformed, Refused
from voltroot.store.engine import migrate_on, open_engine, reached, sqlite_url, writing
from voltroot.store.tables import metadata

Value = bytes | str | bool | int | None

BATCH = 2000


class Batch(Struct, frozen=True, array_like=True, tag=True):
    """Some rows of one table, in the order of its primary key; a table without rows is one batch without any."""

    table: str
    columns: tuple[str, ...]
    rows: list[tuple[Value, ...]]


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that sees one state of the ledger from its first statement on, and keeps nobody waiting."""
    # SQLite reads like this by itself; a log that grows meanwhile is worked off by the first commit afterwards.
    options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with reached(), engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execution_options(**options)
        with connection.begin():
            connection.execute(text("SELECT count(*) FROM alembic_version"))
            yield connection


def revision(connection: Connection) -> str:
    """Return which migration the schema is at."""
    return str(MigrationContext.configure(connection).get_current_revision())


def counts(connection: Connection) -> dict[str, int]:
    """Return how many rows each table has."""
    return {
        name: connection.execute(select(func.count()).select_from(rows)).scalar_one()
        for name, rows in ((each.name, each) for each in metadata.sorted_tables)
    }


def dump(connection: Connection) -> Iterator[Batch]:
    """Yield all rows of all tables, so that what is referred to comes first."""
    for each in metadata.sorted_tables:
        columns = tuple(column.name for column in each.columns)
        # A CA has a lower number than what it issued: in the order of their keys rows refer to earlier ones only.
        query = select(each).order_by(*each.primary_key).execution_options(yield_per=BATCH)
        empty = True
        for rows in connection.execute(query).partitions():
            empty = False
            yield Batch(each.name, columns, [tuple(row) for row in rows])
        if empty:
            yield Batch(each.name, columns, [])
