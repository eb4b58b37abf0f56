"""Opening the database, bringing its schema up to date, and transactions on it."""

from __future__ import annotations

import fcntl
import functools
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from voltroot.errors import Malformed, Unavailable

WRITE = {"voltroot_write": True}
# PostgreSQL asks to try again after these: serialization_failure and deadlock_detected.
AGAIN = frozenset({"40001", "40P01"})
ATTEMPTS = 5

P = ParamSpec("P")
R = TypeVar("R")
Self = TypeVar("Self")


def open_engine(url: str, password: str = "") -> Engine:
    """Return an engine for ``sqlite:////var/lib/voltroot/ledger.db`` or ``postgresql://user@host/database``."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise Malformed(f"{url!r} is not the address of a database") from error
    match parsed.get_backend_name():
        case "sqlite":
            return _open_sqlite(parsed)
        case "postgresql":
            return _open_postgresql(parsed, password)
    raise Malformed(f"a ledger is kept in sqlite or postgresql, not in {parsed.get_backend_name()}")


def sqlite_url(path: Path) -> str:
    """Return the address of a database file."""
    return URL.create("sqlite", database=str(path)).render_as_string()


def migrate(engine: Engine, revision: str = "head") -> None:
    """Create or upgrade the schema; does nothing where it is new."""
    with reached(), engine.connect() as connection:
        migrate_on(connection.execution_options(**WRITE), revision)


def migrate_on(connection: Connection, revision: str = "head") -> None:
    """Create or upgrade the schema in the transaction that the connection has begun, if it has."""
    # A quarter of the time that a process takes to start, and most processes find the schema made.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open one transaction that sees one state of the database."""
    with reached(), engine.begin() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open one transaction that writes; durable when the block has ended."""
    with reached(), _turn(engine), engine.connect().execution_options(**WRITE) as connection, connection.begin():
        yield connection


@contextmanager
def reached() -> Iterator[None]:
    """Turn a database that does not answer into Unavailable; a wrong statement or broken constraint is a bug."""
    try:
        yield
    except (IntegrityError, ProgrammingError, DataError):
        raise
    except (DBAPIError, PoolTimeout) as error:
        if _sqlstate(error) in AGAIN:
            raise
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise Unavailable(f"the ledger's database does not answer: {cause}") from error


def retried(method: Callable[Concatenate[Self, P], R]) -> Callable[Concatenate[Self, P], R]:
    """Run a method that is one transaction again where the database asks for it; Unavailable where it does not stop."""

    @functools.wraps(method)
    def attempt(self: Self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        for left in reversed(range(ATTEMPTS)):
            try:
                return method(self, *args, **kwargs)
            except DBAPIError as error:
                if _sqlstate(error) not in AGAIN:
                    raise
                if not left:
                    raise Unavailable(f"the ledger's database is too busy: {error.orig}") from error
        raise AssertionError("the last attempt returns or raises")

    return attempt


def _sqlstate(error: Exception) -> str | None:
    return getattr(getattr(error, "orig", None), "sqlstate", None)


def _open_sqlite(url: URL) -> Engine:
    engine = create_engine(url)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _open_postgresql(url: URL, password: str) -> Engine:
    url = url.set(drivername="postgresql+psycopg", password=password or url.password)
    try:
        # A connection that died with the server is noticed before it is used; a server that is gone is not waited for.
        return create_engine(
            url,
            pool_size=8,
            max_overflow=16,
            pool_timeout=5,
            pool_pre_ping=True,
            connect_args={"connect_timeout": 5, "application_name": "voltroot"},
        )
    except ModuleNotFoundError as error:
        raise Unavailable("PostgreSQL needs the extra: pip install 'voltroot[postgresql]'") from error


@contextmanager
def _turn(engine: Engine) -> Iterator[None]:
    """Let processes on one SQLite file take turns at writing: its own lock starves whoever sleeps longest."""
    if engine.dialect.name != "sqlite" or not engine.url.database:
        yield
        return
    file = os.open(engine.url.database + ".turn", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


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
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
