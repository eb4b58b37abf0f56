"""Cases measured in turns, aims, and how both are shown."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from voltroot.errors import Failure

Progress = Callable[[str], None]
Labels = dict[str, str | int]
Figures = Mapping[str, float]


@dataclass
class Case:
    """One thing to measure: ``labels`` say what it is, ``run`` measures it once for so many seconds.

    One that has ``failed`` is not measured any more.
    """

    labels: Labels
    run: Callable[[float], Figures] = lambda seconds: {}
    runs: list[Figures] = field(default_factory=list)
    failed: str = ""

    def median(self, name: str) -> float | None:
        """Return the median of a figure over all runs."""
        values = [run[name] for run in self.runs if name in run]
        return statistics.median(values) if values else None

    def document(self) -> dict[str, Any]:
        """Return labels and medians as a member of the JSON document."""
        names = dict.fromkeys(name for run in self.runs for name in run)
        medians: dict[str, Any] = {name: _rounded(self.median(name)) for name in names}
        failed = {"not_measured": self.failed} if self.failed else {}
        return self.labels | medians | {"runs": len(self.runs)} | failed


@dataclass(frozen=True, slots=True)
class Aim:
    """What was hoped for: ``measured`` at least, or at most, ``aim``; None where it could not be measured."""

    name: str
    measured: float | None
    aim: float
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether it was reached."""
        if self.measured is None:
            return None
        return self.measured >= self.aim if self.at_least else self.measured <= self.aim

    def document(self) -> dict[str, Any]:
        """Return it as a member of the JSON document."""
        bound = "at least" if self.at_least else "at most"
        return {"name": self.name, "measured": _rounded(self.measured), "aim": f"{bound} {self.aim:g}", "met": self.met}


@dataclass(frozen=True, slots=True)
class Report:
    """What a command has found."""

    title: str
    machine: Mapping[str, str | int | float]
    cases: Sequence[Case]
    aims: Sequence[Aim]
    notes: Sequence[str] = ()

    def document(self) -> dict[str, Any]:
        """Return it as one JSON object."""
        return {
            "title": self.title,
            "machine": dict(self.machine),
            "figures": [case.document() for case in self.cases],
            "aims": [aim.document() for aim in self.aims],
            "notes": list(self.notes),
        }

    def text(self) -> str:
        """Return it for people."""
        document = self.document()
        machine = ", ".join(f"{name} {value}" for name, value in document["machine"].items() if value != "")
        aims = [
            {"aim": aim["name"], "measured": aim["measured"], "wanted": aim["aim"], "met": _word(aim["met"])}
            for aim in document["aims"]
        ]
        parts = [self.title, machine, table(document["figures"]), table(aims), "\n".join(self.notes)]
        return "\n\n".join(part for part in parts if part)


def measure(cases: Sequence[Case], seconds: float, rounds: int, until: float, progress: Progress) -> None:
    """Measure the cases in turns, so that what else the machine does falls on all alike.

    A round is begun only if it is likely to end before the moment ``until`` of the monotonic clock; the first always.
    """
    took = 0.0
    for number in range(rounds):
        began = time.monotonic()
        if number and began + took > until:
            break
        for place, case in enumerate(cases):
            labels = " ".join(str(label) for label in case.labels.values() if label != "")
            progress(f"round {number + 1} of {rounds}, {place + 1}/{len(cases)}: {labels}")
            _run(case, seconds)
        took = time.monotonic() - began


def ratio(case: Case | None, other: Case | None, name: str) -> float | None:
    """Return how many times one figure is another's: the median over the rounds, each compared within itself."""
    if case is None or other is None:
        return None
    pairs = [(one[name], two[name]) for one, two in zip(case.runs, other.runs, strict=False)]
    ratios = [one / two for one, two in pairs if two]
    return statistics.median(ratios) if ratios else None


def find(cases: Iterable[Case], **labels: str | int) -> Case | None:
    """Return the first case with the given labels."""
    wanted = labels.items()
    return next((case for case in cases if wanted <= case.labels.items() and case.runs), None)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as columns of text, figures to the right."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [names, *([_cell(row.get(name, "")) for name in names] for row in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(names))]
    right = [all(not isinstance(row.get(name, 0), str) for row in rows) for name in names]
    lines = []
    for row in cells:
        columns = zip(row, widths, right, strict=True)
        lines.append("  ".join(cell.rjust(width) if r else cell.ljust(width) for cell, width, r in columns).rstrip())
    return "\n".join(lines)


def _run(case: Case, seconds: float) -> None:
    if case.failed:
        return
    try:
        case.runs.append(case.run(seconds))
    except Failure as failure:
        case.failed = str(failure)


def _word(met: bool | None) -> str:
    return "not measured" if met is None else "yes" if met else "no"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.3g}") if abs(value) < 1000 else float(round(value))
