"""Hearing that another process has written something about stations or operations (ADR 28)."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import suppress
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, PoolProxiedConnection, text
from sqlalchemy.exc import SQLAlchemyError

CHANNEL = "voltroot_csms"
# How often a database that tells nothing is looked at, in seconds; a look costs some microseconds.
LOOKING_PERIOD = 0.05
# How soon a stop is noticed where the database tells.
NOTICING_PERIOD = 0.25


class Bell(Protocol):
    """Rings when something may have changed, but not all the time. ``wait`` is for one thread, ``stop`` for any."""

    def wait(self, seconds: float) -> bool:
        """Wait until something may have changed, or so long; returns whether it may."""
        ...

    def stop(self) -> None:
        """Let whoever waits go, now and from now on."""
        ...


def ring(connection: Connection) -> None:
    """Have every process look again once this transaction is there. On SQLite they see so by themselves."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"NOTIFY {CHANNEL}"))


def bell(engine: Engine) -> Bell:
    """Return what rings when anybody changes the database."""
    return _OnPostgresql(engine) if engine.dialect.name == "postgresql" else _OnSqlite(str(engine.url.database))


class _OnSqlite:
    """Looks at the number that SQLite raises with each commit of another connection: no lock, no transaction."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._stopped = threading.Event()
        self._version = 0

    def wait(self, seconds: float) -> bool:
        """See ``Bell.wait``."""
        until = time.monotonic() + seconds
        while not self._stopped.wait(LOOKING_PERIOD):
            if self._has_changed():
                return True
            if time.monotonic() >= until:
                return False
        self._close()
        return False

    def stop(self) -> None:
        """See ``Bell.stop``."""
        self._stopped.set()

    def _has_changed(self) -> bool:
        try:
            if self._connection is None:
                self._connection = sqlite3.connect(self._path, isolation_level=None)
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error:
            # Busy, or away: whoever looks will find out.
            self._close()
            return True
        before, self._version = self._version, version
        return bool(before != version)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _OnPostgresql:
    """Listens on a connection of its own; while there is none, everybody just looks once a second."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: PoolProxiedConnection | None = None
        self._error: type[Exception] = engine.dialect.loaded_dbapi.Error
        self._stopped = threading.Event()

    def wait(self, seconds: float) -> bool:
        """See ``Bell.wait``."""
        until = time.monotonic() + seconds
        self._stopped.wait(LOOKING_PERIOD)
        while not self._stopped.is_set():
            left = until - time.monotonic()
            if left <= 0:
                return False
            try:
                if self._connection is None:
                    self._connection = self._listening()
                    # What was told before nobody has heard.
                    return True
                for _ in self._of(self._connection).notifies(timeout=min(left, NOTICING_PERIOD), stop_after=1):
                    return True
            except (SQLAlchemyError, self._error):
                self._close()
                self._stopped.wait(min(left, 1))
                return True
        self._close()
        return False

    def stop(self) -> None:
        """See ``Bell.stop``."""
        self._stopped.set()

    def _listening(self) -> PoolProxiedConnection:
        own = self._engine.raw_connection()
        # It never goes back to the pool.
        own.detach()
        own.rollback()
        self._of(own).autocommit = True
        self._of(own).execute(f"LISTEN {CHANNEL}")
        return own

    def _of(self, connection: PoolProxiedConnection) -> Any:
        return connection.dbapi_connection

    def _close(self) -> None:
        if self._connection is not None:
            with suppress(SQLAlchemyError, self._error):
                self._connection.close()
            self._connection = None
