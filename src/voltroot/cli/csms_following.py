"""Following a job of the CSMS on the terminal, and telling what came of it."""

from __future__ import annotations

import sys
import time
from typing import Any

import click
import msgspec

from voltroot.actors.csms.operations import Job
from voltroot.actors.csms.stations import Operation, OperationState
from voltroot.apis.operators import views
from voltroot.app.csms import Csms
from voltroot.cli.inspection.printing import printable

# So many lines are read; of more there is the sum, and what has failed.
MOST_SHOWN = 20
SWEEPING_PERIOD = 2.0
STATES = [*OperationState]
_MARKS = {OperationState.DONE: ("✓", "green"), OperationState.FAILED: ("✗", "red")}


def followed(own: Csms, job: Job) -> Job:
    """Wait until a job has ended; on a terminal its progress is shown."""
    terminal = sys.stderr.isatty()
    rings = own.bell()
    due = time.monotonic()
    try:
        while not job.ended:
            if terminal:
                click.echo(f"\r\033[K  job {job.number}: {sums(job)}", err=True, nl=False)
            rings.wait(1)
            if time.monotonic() >= due:
                # Should no process be left that does.
                own.sweep()
                due = time.monotonic() + SWEEPING_PERIOD
            job = own.operations.job(job.number)
    except KeyboardInterrupt:
        click.echo(f"\njob {job.number} goes on: 'voltroot csms follow {job.number}' or 'stop {job.number}'", err=True)
        raise click.Abort from None
    finally:
        rings.stop()
        if terminal:
            click.echo("\r\033[K", err=True, nl=False)
    return job


def finish(own: Csms, job: Job, as_json: bool) -> None:
    """Tell what came of a job; exit with 1 where something failed."""
    if as_json:
        every = own.operations.listed(job=job.number, limit=job.total)
        told = [views.operation(each) for each in reversed(every)]
        click.echo(encoded({"job": views.job(job), "operations": told}))
    else:
        states = () if job.total <= MOST_SHOWN else (OperationState.FAILED,)
        shown = own.operations.listed(job=job.number, states=states, limit=MOST_SHOWN)
        for each in reversed(shown):
            click.echo(line(each))
        left = job.counts.get(OperationState.FAILED, 0) - len(shown)
        if states and left > 0:
            click.echo(
                f"  and {left} more: voltroot csms operations --job {job.number} --state failed --limit {job.total}"
            )
        click.echo(f"job {job.number}: {sums(job)}")
    if job.counts.get(OperationState.FAILED):
        sys.exit(1)


def line(operation: Operation, verb: str = "") -> str:
    """Return a line about an operation."""
    mark, colour = _MARKS.get(operation.state, ("…", "yellow"))
    about = f"{verb:<10} {operation.station:<20}" if verb else f"{operation.station:<20}"
    said = printable(f"{about} {operation.state:<9} {operation.outcome[:200]}")
    return f"{click.style(mark, fg=colour)} {said.rstrip()}"


def sums(job: Job) -> str:
    """Return how many operations of a job are in which state."""
    said = [f"{number} {state}" for state in STATES if (number := job.counts.get(state))]
    return ", ".join(said) or "nothing to be done"


def encoded(value: Any) -> str:
    """Return an answer of the operators' API in JSON."""
    return msgspec.json.encode(value).decode()
