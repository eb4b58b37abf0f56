"""How many certificates a second, beside cfssl and beside what checking and signing alone cost."""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

from voltroot.bench import cfssl, load, machine, materials, servers
from voltroot.bench.floor import Floor
from voltroot.bench.ledgers import POSTGRESQL, SQLITE, Stock, Stocks
from voltroot.bench.options import Options, workshop
from voltroot.bench.report import Aim, Case, Figures, Labels, Progress, Report, find, measure, ratio
from voltroot.bench.servers import Server
from voltroot.errors import Failure
from voltroot.pki.suites import P256_SHA256, P521_SHA512, SUITES

VOLTROOT, CFSSL, CFSSL_KEEPING = "voltroot", "cfssl, keeping nothing", "cfssl, SQLite"
FLOOR, GENERATOR = "floor: check and sign", "load generator alone"
P256, P521 = P256_SHA256.name, P521_SHA512.name
# Certificates a second, more than will be reached.
FASTEST = {P256: 5000, P521: 1500}
CLIENTS, MOST = (1, 8, 32, 64), 32  # the aims are at 32


class Combination(NamedTuple):
    """One way to ask for certificates."""

    curve: str
    database: str
    rows: int
    processes: int
    clients: int


def combinations(options: Options) -> list[Combination]:
    """Return what is measured; of the same database together."""
    many = options.many
    if options.quick:
        return [
            Combination(P256, SQLITE, 0, 1, 1),
            Combination(P256, SQLITE, 0, 1, MOST),
            Combination(P256, SQLITE, 0, 2, MOST),
            Combination(P521, SQLITE, 0, 2, MOST),
            Combination(P256, SQLITE, many, 2, MOST),
            Combination(P256, POSTGRESQL, 0, 2, MOST),
        ]
    databases = itertools.product((SQLITE, POSTGRESQL), (0, many), (1, 2))
    return [
        Combination(curve, database, rows, processes, clients)
        for database, rows, processes in databases
        for curve in (P256, P521)
        for clients in CLIENTS
    ]


def run(options: Options, progress: Progress) -> Report:
    """Measure, and return the report."""
    with workshop() as folder, ExitStack() as stack:
        facts = machine.facts(folder)
        cases = list(_Bench(options, folder, stack, progress).cases())
        measure(cases, options.length(0.5, 1.5), options.rounds or (9 if options.quick else 3), options.until, progress)
    return Report("Certificates a second: seccCertByCsr over HTTP", facts, cases, list(_aims(options, cases)), NOTES)


NOTES = (
    "rate: certificates a second. p50_ms, p99_ms: what one client waits. cpu_us: processor time of the serving"
    " processes for one certificate, the database server's not included. Medians of the runs.",
)


class _Bench:
    """Starts what is measured; a stack keeps it running."""

    def __init__(self, options: Options, folder: Path, stack: ExitStack, progress: Progress) -> None:
        self._options = options
        self._folder = folder
        self._stack = stack
        self._progress = progress
        self._wanted = combinations(options)
        self._seconds = options.length(0.5, 1.5)

    def cases(self) -> Iterator[Case]:
        """Yield all cases, ready to be measured."""
        self._progress("making keys and requests")
        stations = {curve: materials.stations(SUITES[curve], self._needed(curve)) for curve in FASTEST}
        yield self._generator()
        for curve, made in stations.items():
            yield from self._floor(curve, [station.csr for station in made[:500]])
            yield from self._cfssl(curve, [materials.issuing_by_cfssl(station) for station in made[:2000]])
        asks = {curve: [materials.issuing(one, SUITES[curve]) for one in made] for curve, made in stations.items()}
        stocks = self._stack.enter_context(Stocks(self._folder, self._options.postgresql))
        places = list(dict.fromkeys((one.database, one.rows) for one in self._wanted))
        self._progress("making PKIs: " + ", ".join(f"{database} with {rows:,} rows" for database, rows in places))
        for (database, rows), stock in zip(places, stocks.make(places), strict=True):
            if isinstance(stock, Failure):
                yield Case(_labels(VOLTROOT, database=database, rows=rows), failed=str(stock))
                continue
            here = [one for one in self._wanted if (one.database, one.rows) == (database, rows)]
            yield from self._voltroot(stock, here, asks)

    def _needed(self, curve: str) -> int:
        """Return how many requests one ledger may be asked for: none of them serves twice."""
        ledgers = Counter((one.database, one.rows) for one in self._wanted if one.curve == curve)
        seconds = max(ledgers.values()) * self._seconds * (self._options.rounds or 3)
        return int(FASTEST[curve] * seconds) + 1000

    def _generator(self) -> Case:
        port = servers.free_port()
        command = [sys.executable, "-m", "voltroot.bench.trivial", str(port)]
        server = self._kept(servers.start("trivial", command, port, self._folder))
        server.wait(lambda: servers.listens(port))
        requests = itertools.repeat(load.request("POST", "/", bytes(600)))
        return self._loaded(server, requests, b"200 OK", _labels(GENERATOR, clients=MOST))

    def _floor(self, curve: str, csrs: list[bytes]) -> Iterator[Case]:
        floor = self._stack.enter_context(Floor(SUITES[curve], csrs))
        for processes in sorted({1, floor.processors}):
            yield Case(_labels(FLOOR, curve=curve, processes=processes), partial(floor.figures, processes))

    def _cfssl(self, curve: str, asks: list[bytes]) -> Iterator[Case]:
        for system in (CFSSL, CFSSL_KEEPING):
            try:
                server = self._kept(cfssl.serve(self._folder, SUITES[curve], keeping=system == CFSSL_KEEPING))
            except Failure as failure:
                yield Case(_labels(system, curve=curve), failed=str(failure))
                continue
            for clients in (MOST,) if self._options.quick else CLIENTS:
                labels = _labels(system, curve=curve, clients=clients)
                yield self._loaded(server, itertools.cycle(asks), materials.CFSSL_GOOD, labels)

    def _voltroot(self, stock: Stock, wanted: list[Combination], asks: dict[str, list[bytes]]) -> Iterator[Case]:
        requests = {curve: iter(octets) for curve, octets in asks.items()}
        for processes, group in itertools.groupby(wanted, lambda one: one.processes):
            server = self._kept(stock.serve(processes))
            for one in group:
                yield self._loaded(server, requests[one.curve], materials.GOOD, _labels(VOLTROOT, **one._asdict()))

    def _kept(self, server: Server) -> Server:
        return self._stack.enter_context(server)

    def _loaded(self, server: Server, requests: Iterator[bytes], good: bytes, labels: Labels) -> Case:
        clients = int(labels["clients"])

        def measured(seconds: float) -> Figures:
            before = server.cpu()
            done = load.apply(server.port, requests, clients, seconds, good)
            return done.figures(server.cpu() - before)

        return Case(labels, measured)


def _aims(options: Options, cases: list[Case]) -> Iterator[Aim]:
    floors = [case for case in cases if case.labels["system"] == FLOOR and case.labels["curve"] == P256]
    bare, keeping = (find(cases, system=system, curve=P256, clients=MOST) for system in (CFSSL, CFSSL_KEEPING))
    for database in (SQLITE, POSTGRESQL):
        place: Labels = {"system": VOLTROOT, "curve": P256, "database": database, "processes": 2, "clients": MOST}
        empty, full = (find(cases, rows=rows, **place) for rows in (0, options.many))
        yield Aim(f"{database}: times cfssl with its database", ratio(empty, keeping, "rate"), 5, at_least=True)
        yield Aim(f"{database}: times cfssl keeping nothing", ratio(empty, bare, "rate"), 0.6, at_least=True)
        yield Aim(f"{database}: CPU time per certificate by the floor's", ratio(empty, floors[-1], "cpu_us"), 2.5)
        name = f"{database}: rate with {options.many:,} rows by that of an empty ledger"
        yield Aim(name, ratio(full, empty, "rate"), 0.9, at_least=True)


def _labels(system: str, **rest: str | int) -> Labels:
    """Return the labels of a case in the order of the table's columns."""
    return {"system": system} | {name: rest.get(name, "") for name in Combination._fields}
