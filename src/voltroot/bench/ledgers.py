"""A complete PKI in a folder, with as many rows in its ledger as a measurement wants."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import msgspec
from sqlalchemy import Connection, Engine, Table, text
from sqlalchemy.engine import make_url

from voltroot.app.backend import Backend
from voltroot.app.config import Config
from voltroot.bench import servers
from voltroot.bench.materials import old_station_id
from voltroot.bench.servers import Server
from voltroot.errors import Failure
from voltroot.pki import suites
from voltroot.pki.drafts import Order
from voltroot.pki.names import Name
from voltroot.pki.ports import Entry
from voltroot.pki.suites import P256_SHA256
from voltroot.store.engine import open_engine, sqlite_url, writing
from voltroot.store.tables import audit, certificates, holdings

DATABASES = SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"
# A kind of database, and how many certificates are to be on record in it.
Wanted = tuple[str, int]
PART = 20_000
FOLLOW = "SELECT setval(pg_get_serial_sequence('certificates', 'number'), max(number)) FROM certificates"
MODEL_ID = old_station_id(10**9)


@dataclass(frozen=True, slots=True)
class Stock:
    """A PKI in a folder of its own; ``url`` is that of its database, empty for SQLite."""

    folder: Path
    url: str = ""

    def backend(self) -> Backend:
        """Return its parts in this process."""
        config = Config(data=str(self.folder / "data"))
        return Backend(msgspec.structs.replace(config, ledger=msgspec.structs.replace(config.ledger, url=self.url)))

    def serve(self, processes: int = 1, *, vpki_port: int = 0, more: str = "") -> Server:
        """Start a backend and wait until it is ready: the first of its processes; ``more`` is configuration in TOML."""
        port, tls_port, vpki_port = servers.free_port(), servers.free_port(), vpki_port or servers.free_port()
        config = self.folder / f"{port}.toml"
        ledger = f'[ledger]\nurl = "{self.url}"\n' if self.url else ""
        config.write_text(f'data = "{self.folder / "data"}"\n{ledger}{more}')
        options = {"--config": config, "--port": port, "--tls-port": tls_port, "--vpki-port": vpki_port}
        options |= {"--processes": processes, "--operators-port": 0}
        words = [str(word) for option in options.items() for word in option]
        server = servers.start("voltroot", [sys.executable, "-m", "voltroot", "serve", *words], port, self.folder)
        return server.wait(lambda: servers.answers(port, "GET", "/ready"))


class Stocks:
    """Makes stocks in a folder; ``address`` is a PostgreSQL database on whose server others may be made.

    Without one a server is started when it is first needed.
    """

    def __init__(self, folder: Path, address: str = "") -> None:
        self._folder = folder
        self._address = address
        self._server: Server | None = None
        self._made: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.stop()
            return
        for name in self._made:
            self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def make(self, wanted: Sequence[Wanted]) -> list[Stock | Failure]:
        """Make PKIs in databases of a kind with so many certificates on record each, all at once.

        The CAs' keys are the same in all of them.
        """
        made = [self._begin(kind) for kind, _ in wanted]
        with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
            filled = [
                pool.submit(_prepare, stock, rows)
                for stock, (_, rows) in zip(made, wanted, strict=True)
                if isinstance(stock, Stock)
            ]
        for each in filled:
            each.result()
        return made

    def _begin(self, kind: str) -> Stock | Failure:
        try:
            url = self._create() if kind == POSTGRESQL else ""
        except Failure as failure:
            return failure
        template = self._folder / "keys"
        if not template.exists():
            backend = Stock(self._folder / "template").backend()
            backend.prepare()
            backend.close()
            (backend.config.folder / "keys").rename(template)
        folder = self._folder / f"stock{len(list(self._folder.glob('stock*')))}"
        shutil.copytree(template, folder / "data" / "keys")
        return Stock(folder, url)

    def _create(self) -> str:
        if not self._address:
            self._server, self._address = servers.postgresql(self._folder / "postgresql")
        name = f"voltroot_bench_{os.getpid()}_{len(self._made)}"
        self._execute(f"CREATE DATABASE {name}")
        self._made.append(name)
        return make_url(self._address).set(database=name).render_as_string(hide_password=False)

    def _execute(self, statement: str) -> None:
        engine = open_engine(self._address)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(statement))
        engine.dispose()


def subject(number: int) -> str:
    """Return the distinguished name of one of the certificates that were put on record."""
    return f"CN={old_station_id(number)},DC=CPO,OU=Voltroot,O=Voltroot Test,C=DE"


@dataclass(frozen=True, slots=True)
class _Model:
    """One certificate as it was really issued, in whose image the rows are made."""

    entry: Entry
    order: Order

    def rows(self, places: range) -> dict[Table, list[dict[str, Any]]]:
        """Return what issuing so many would have left behind, by table."""
        entry, order = self.entry, self.order
        issued, expires = int(entry.not_before.timestamp()), int(entry.not_after.timestamp())
        profile, subject_key, name = entry.profile, order.subject.key(), str(order.name)
        own_id, own_serial, own_point = MODEL_ID.encode(), _octets(entry.serial), order.spki[-64:]
        rows: dict[Table, list[dict[str, Any]]] = {certificates: [], holdings: [], audit: []}
        for place in places:
            number, id_, serial, point = entry.number + 1 + place, old_station_id(place), os.urandom(20), os.urandom(64)
            folded = id_.lower()
            content = entry.certificate.replace(own_serial, serial).replace(own_point, point)
            rows[certificates].append(
                {
                    "number": number,
                    "issuer": entry.issuer,
                    "serial": serial,
                    "profile": profile,
                    "state": "valid",
                    "name": name.replace(MODEL_ID.lower(), folded),
                    "subject": subject_key.replace(MODEL_ID.lower(), folded),
                    "key": point[:32],
                    "end_entity": True,
                    "not_before": issued,
                    "not_after": expires,
                    "content": content.replace(own_id, id_.encode()),
                }
            )
            rows[holdings].append(
                {
                    "profile": profile,
                    "name": rows[certificates][-1]["name"],
                    "until": expires,
                    "holder": serial,
                }
            )
            rows[audit] += [
                {"at": issued, "event": event, "certificate": number, "door": "cpo", "by": "127.0.0.1", "detail": "{}"}
                for event in ("certificate.reserved", "certificate.issued")
            ]
        return rows


def _prepare(stock: Stock, rows: int) -> None:
    backend = stock.backend()
    backend.prepare()
    if rows:
        engine = open_engine(stock.url or sqlite_url(stock.folder / "data" / "ledger.db"))
        _fill(engine, _model(backend), rows)
        engine.dispose()
        backend.auditlog.append()
    backend.close()


def _fill(engine: Engine, model: _Model, rows: int) -> None:
    """Put so many certificates of stations on record."""
    postgresql = engine.dialect.name == "postgresql"
    put = _copy if postgresql else _insert
    for first in range(0, rows, PART):
        with writing(engine) as connection:
            for table, values in model.rows(range(first, min(first + PART, rows))).items():
                put(connection, table, values)
    if postgresql:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(FOLLOW))
            connection.execute(text("VACUUM ANALYZE"))


def _insert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    columns = ", ".join(f'"{column}"' for column in rows[0])
    places = ", ".join(f":{column}" for column in rows[0])
    connection.exec_driver_sql(f"INSERT INTO {table.name} ({columns}) VALUES ({places})", list(rows))  # noqa: S608 -- our own names


def _copy(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    columns = ", ".join(f'"{column}"' for column in rows[0])
    cursor: Any = connection.connection.cursor()
    with cursor.copy(f"COPY {table.name} ({columns}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(tuple(row.values()))


def _model(backend: Backend) -> _Model:
    profile = backend.profiles["SECC_2"]
    key = suites.generate(P256_SHA256).public_key()
    name = Name.parse(f"CN={MODEL_ID},DC=CPO,OU=Voltroot,O=Voltroot Test,C=DE")
    order = Order(profile, name, key, "bench", name=Name.of([("CN", MODEL_ID)]).key())
    return _Model(backend.authority.issue(order), order)


def _octets(serial: int) -> bytes:
    return serial.to_bytes((serial.bit_length() + 7) // 8)
