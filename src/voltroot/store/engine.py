"""Opening the database, and bringing its schema up to date."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from voltroot.errors import Unavailable

WRITE = {"voltroot_write": True}


def open_engine(url: str) -> Engine:
    """Return an engine for a database address such as ``sqlite:////var/lib/voltroot/ledger.db``."""
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def sqlite_url(path: Path) -> str:
    """Return the address of a database file."""
    return make_url("sqlite://").set(database=str(path)).render_as_string()


def migrate(engine: Engine) -> None:
    """Create or upgrade the schema to the newest; does nothing where it is new."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with reached(), engine.connect() as connection:
        config.attributes["connection"] = connection.execution_options(**WRITE)
        command.upgrade(config, "head")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open one transaction that sees one state of the database."""
    with reached(), engine.begin() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open one transaction that writes; durable when the block has ended."""
    with reached(), engine.connect().execution_options(**WRITE) as connection, connection.begin():
        yield connection


@contextmanager
def reached() -> Iterator[None]:
    """Turn a database that does not answer into Unavailable; a broken constraint is a bug and passes."""
    try:
        yield
    except DBAPIError as error:
        if isinstance(error.orig, sqlite3.IntegrityError) and not error.connection_invalidated:
            raise
        raise Unavailable(f"the ledger's database does not answer: {error.orig}") from error


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    # The driver must not begin transactions by itself: each savepoint would become a commit.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout = 20000")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the lock at once: upgrading a read transaction could fail for ever under load.
    write = connection.get_execution_options().get("voltroot_write")
    connection.execute(text("BEGIN IMMEDIATE" if write else "BEGIN"))
