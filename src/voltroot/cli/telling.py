"""Telling a story on the terminal: its steps in order, each with what came of it, until one is not as it should be."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import click

from voltroot.cli.terminal import printable
from voltroot.errors import Failure

WIDTH = 100  # columns of the narration


class Told(NamedTuple):
    """What a step came to: a line, and below it what was looked at."""

    text: str
    details: Sequence[str] = ()


class Step(NamedTuple):
    """One step of the story: who does what, and how; a Failure says that it is not as it should be."""

    title: str
    act: Callable[[], Told]


@dataclass
class Done:
    """A step that was made."""

    iso: str
    title: str
    text: str
    milliseconds: float
    good: bool
    details: Sequence[str] = ()


def tell(iso: str, steps: Iterable[Step], say: Callable[[str], None]) -> list[Done]:
    """Go through the story of an edition until something is not as it should be."""
    say(click.style(f"ISO 15118-{iso}".ljust(WIDTH), underline=True))
    done: list[Done] = []
    for number, step in enumerate(steps, 1):
        begun = time.perf_counter()
        try:
            told, good = step.act(), True
        except Failure as failure:
            told, good = Told(str(failure)), False
        milliseconds = round(1000 * (time.perf_counter() - begun), 1)
        done.append(Done(iso, step.title, told.text, milliseconds, good, told.details))
        for line in _lines(number, done[-1]):
            say(line)
        if not good:
            break
    say("")
    return done


def _lines(number: int, done: Done) -> Iterable[str]:
    mark = click.style("✓", fg="green") if done.good else click.style("✗", fg="red")
    yield f"{number:3} {done.title.ljust(WIDTH - 12)}{done.milliseconds:5.0f} ms"
    first, *rest = textwrap.wrap(printable(done.text), WIDTH - 6)
    yield f"    {mark} {first}"
    for line in (*rest, *done.details):
        for part in textwrap.wrap(printable(line), WIDTH - 6, drop_whitespace=False) or [""]:
            yield click.style(f"      {part}", dim=True)
