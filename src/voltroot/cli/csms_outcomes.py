"""``voltroot csms jobs``, ``follow`` and so on: how far stations are with what they are to do, and what came of it."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click
import msgspec

from voltroot.actors.csms.operations import Job
from voltroot.actors.csms.operators import Acting
from voltroot.actors.csms.stations import Operation, OperationState
from voltroot.actors.csms.wishes import Wish
from voltroot.apis.operators import views
from voltroot.app.backend import account
from voltroot.app.csms import Csms
from voltroot.cli.options import backend_options, existing_backend
from voltroot.cli.terminal import printable

# So many lines are read; of more there is the sum, and what has failed.
MOST_SHOWN = 20
SWEEPING_PERIOD = 2.0
STATES = [*OperationState]
_MARKS = {OperationState.DONE: ("✓", "green"), OperationState.FAILED: ("✗", "red")}


@click.command(epilog="Example:  voltroot csms installed CS001")
@click.argument("identity")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@backend_options
def installed(identity: str, as_json: bool, config: Path | None, data: str | None) -> None:
    """Show the certificates that a station has, as last read; 'voltroot csms inventory' reads them."""
    backend = existing_backend(config, data)
    own = Csms(backend)
    own.presence.station(identity)
    stock = own.stations.stock_taken(identity)
    if as_json:
        told = [views.InstalledView(certificate_type=kind, read_at=at, certificates=found) for kind, at, found in stock]
        click.echo(encoded(views.Certificates(station=identity, installed=told)))
        return
    if not stock:
        click.echo(f"nothing was read from {identity} yet: 'voltroot csms inventory {identity}' does")
    for kind, at, found in stock:
        click.echo(f"{kind}, read {at:%Y-%m-%d %H:%M}: {len(found) or 'none'}")
        for each in found:
            own_data = each["certificateHashData"]
            below = f", and {len(more)} above it" if (more := each.get("childCertificateHashData")) else ""
            ours = own.recognise(own_data)
            text = f"serial {own_data['serialNumber']}, issuer's key {own_data['issuerKeyHash']}"
            name = f"{ours.subject}, until {ours.not_after:%Y-%m-%d}" if ours else "not one of ours"
            click.echo(printable(f"  {name}{below}"))
            click.echo(printable(f"      {own_data['hashAlgorithm']}, {text}"))


@click.command(epilog="Example:  voltroot csms operations --job 7 --state failed")
@click.option("--station", metavar="IDENTITY", help="Only of this station.")
@click.option("--job", type=click.IntRange(1), help="Only of this job.")
@click.option("--state", type=click.Choice([state.value for state in STATES]), help="Only those in this state.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=MOST_SHOWN, show_default=True, help="At most so many."
)
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@backend_options
def operations(
    station: str | None, job: int | None, state: str | None, limit: int, as_json: bool, config: Path | None,
    data: str | None,
) -> None:  # fmt: skip
    """List operations, the newest first."""
    own = Csms(existing_backend(config, data))
    states = (OperationState(state),) if state else ()
    found = own.operations.listed(station=station, job=job, states=states, limit=limit)
    if as_json:
        click.echo(encoded([*map(views.operation, found)]))
        return
    for each in found:
        shown = f"{each.number:>6}  {f'job {each.job}' if each.job else '':<9} {each.made:%Y-%m-%d %H:%M}  "
        click.echo(shown + line(each, Wish(each.kind, each.detail).verb))


@click.command(epilog="Example:  voltroot csms jobs")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=MOST_SHOWN, show_default=True, help="At most so many."
)
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@backend_options
def jobs(limit: int, as_json: bool, config: Path | None, data: str | None) -> None:
    """List jobs, the newest first."""
    found = Csms(existing_backend(config, data)).operations.jobs(limit=limit)
    if as_json:
        click.echo(encoded([*map(views.job, found)]))
        return
    for each in found:
        about = f"{each.number:>6}  {each.made:%Y-%m-%d %H:%M}  {each.wish.verb:<10} {each.by:<20}"
        click.echo(printable(f"{about} {sums(each)}"))


@click.command(epilog="Example:  voltroot csms follow 7")
@click.argument("job", type=click.IntRange(1))
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@backend_options
def follow(job: int, as_json: bool, config: Path | None, data: str | None) -> None:
    """Wait until a job has ended, and tell what came of it."""
    own = Csms(existing_backend(config, data))
    finish(own, followed(own, own.operations.job(job)), as_json)


@click.command(epilog="Example:  voltroot csms stop 7")
@click.argument("job", type=click.IntRange(1))
@backend_options
def stop(job: int, config: Path | None, data: str | None) -> None:
    """Stop a job: what has not begun will not be done."""
    stopped = Csms(existing_backend(config, data)).operations.stop(job, Acting(account(), "cli"))
    click.echo(f"job {job}: {stopped} were waiting and will not be done")


COMMANDS = (installed, operations, jobs, follow, stop)


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
