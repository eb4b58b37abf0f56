"""How long revoking takes with few and with many certificates on record."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from voltroot.bench import load, machine, materials
from voltroot.bench.ledgers import DATABASES, Stocks, subject
from voltroot.bench.options import Options, workshop
from voltroot.bench.report import Aim, Case, Figures, Labels, Progress, Report, find, measure, ratio
from voltroot.bench.servers import Server
from voltroot.errors import Failure

FEW = 1000
# So that a thousand suffice for all rounds.
PART = 60


def run(options: Options, progress: Progress) -> Report:
    """Measure, and return the report."""
    with workshop() as folder, ExitStack() as stack:
        facts = machine.facts(folder)
        cases = list(_cases(options, folder, stack, progress))
        measure(cases, options.length(1, 2), options.rounds or FEW // PART, options.until, progress)
    aims = [
        Aim(
            f"{database}: p50 with {options.many:,} rows by that with {FEW:,}",
            ratio(
                find(cases, database=database, rows=options.many), find(cases, database=database, rows=FEW), "p50_ms"
            ),
            1.2,
        )
        for database in DATABASES
    ]
    return Report("Revoking by subject DN over HTTP, one client", facts, cases, aims)


def _cases(options: Options, folder: Path, stack: ExitStack, progress: Progress) -> Iterator[Case]:
    stocks = stack.enter_context(Stocks(folder, options.postgresql))
    wanted = list(itertools.product(DATABASES, (FEW, options.many)))
    progress("making PKIs: " + ", ".join(f"{database} with {rows:,} rows" for database, rows in wanted))
    for (database, rows), stock in zip(wanted, stocks.make(wanted), strict=True):
        labels: Labels = {"database": database, "rows": rows}
        if isinstance(stock, Failure):
            yield Case(labels, failed=str(stock))
            continue
        server = stack.enter_context(stock.serve())
        places = random.sample(range(rows), min(rows, 100_000))
        yield Case(labels, _Revoking(server, iter(places)).measured)


class _Revoking:
    def __init__(self, server: Server, places: Iterator[int]) -> None:
        self._server = server
        self._requests = (materials.revoking(subject(place)) for place in places)

    def measured(self, seconds: float) -> Figures:
        """Revoke some more."""
        """Revoke for so long, and return what it took."""
        before = self._server.cpu()
        part = itertools.islice(self._requests, PART)
        done = load.apply(self._server.port, part, 1, seconds, b'"resultCode":"4000"')
        return done.figures(self._server.cpu() - before, tail=0.95)
