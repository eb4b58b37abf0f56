"""How long it takes from the start of the program until it is ready, with an empty and with a large ledger."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from voltroot.bench import machine
from voltroot.bench.ledgers import DATABASES, Stock, Stocks
from voltroot.bench.options import Options, workshop
from voltroot.bench.report import Aim, Case, Figures, Labels, Progress, Report, find, measure
from voltroot.errors import Failure

LONGEST = 5.0  # seconds


def run(options: Options, progress: Progress) -> Report:
    """Measure, and return the report."""
    with workshop() as folder, ExitStack() as stack:
        facts = machine.facts(folder)
        cases = list(_cases(options, folder, stack, progress))
        measure(cases, 0, options.rounds or 5, options.until, progress)
    aims = [
        Aim(f"{database}: seconds until ready with {options.many:,} rows", _median(cases, database, options), LONGEST)
        for database in DATABASES
    ]
    return Report("From exec until /ready answers 200, the PKI being made already", facts, cases, aims)


def _median(cases: list[Case], database: str, options: Options) -> float | None:
    case = find(cases, database=database, rows=options.many)
    return case.median("ready_s") if case else None


def _cases(options: Options, folder: Path, stack: ExitStack, progress: Progress) -> Iterator[Case]:
    stocks = stack.enter_context(Stocks(folder, options.postgresql))
    wanted = list(itertools.product(DATABASES, (0, options.many)))
    progress("making PKIs: " + ", ".join(f"{database} with {rows:,} rows" for database, rows in wanted))
    for (database, rows), stock in zip(wanted, stocks.make(wanted), strict=True):
        labels: Labels = {"database": database, "rows": rows}
        if isinstance(stock, Failure):
            yield Case(labels, failed=str(stock))
            continue
        for processes in (1, 2):
            yield Case(labels | {"processes": processes}, partial(_started, stock, processes))


def _started(stock: Stock, processes: int, _seconds: float) -> Figures:
    began = time.perf_counter()
    with stock.serve(processes):
        return {"ready_s": time.perf_counter() - began}
