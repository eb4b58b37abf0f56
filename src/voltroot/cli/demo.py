"""``voltroot demo``: the whole story of a contract on one machine, every step a real message."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from voltroot.app.vehicle import EDITIONS
from voltroot.cli import staging
from voltroot.cli.demo_contract import Story
from voltroot.cli.demo_ocpp import StationStory
from voltroot.cli.telling import Done, tell
from voltroot.errors import Refused


@click.command(
    epilog="""\b
Examples:
  voltroot demo
  voltroot demo --ocpp
  voltroot demo --keep story --iso 20"""
)
@click.option("--ocpp", is_flag=True, help="Tell how it goes at a charging station that speaks OCPP.")
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Write every message and certificate to DIR, for study.")  # fmt: skip
@click.option("--iso", type=click.Choice([*EDITIONS]), help="Tell one story only.  [default: both]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")
def demo(ocpp: bool, keep: Path | None, iso: str | None, as_json: bool) -> None:
    """Tell the story of a contract: PKI, car, order, installation, payment, renewal, revocation, refusal.

    A backend is started in a temporary folder with a PKI of its own, and two cars speak to it: one of ISO 15118-2, one
    of ISO 15118-20. With --ocpp a charging station is between them, which gets certificates for itself first. Exit
    code: 0 if everything went as it should.
    """
    begun = time.perf_counter()
    say = _quiet if as_json else click.echo
    with _folder(keep) as folder, contextlib.ExitStack() as stack:
        say(click.style("Voltroot: a contract for a car, from the order to the charge", bold=True))
        say("")
        office = stack.enter_context(staging.backend(folder, say, csms=ocpp))
        site = stack.enter_context(staging.station(folder, office, say)) if ocpp else None
        say("")
        done: list[Done] = []
        for each in [iso] if iso else EDITIONS:
            place = folder / f"iso{each}"
            story = StationStory(each, office.api, place, site=site) if site else Story(each, office.api, place)
            done += tell(each, story.steps(), say)
            if not done[-1].good:
                break
        seconds = time.perf_counter() - begun
        good = all(step.good for step in done)
        if as_json:
            steps = [{name: getattr(step, name) for name in step.__dataclass_fields__} for step in done]
            click.echo(json.dumps({"good": good, "seconds": round(seconds, 2), "steps": steps}, indent=2))
        else:
            outcome = "everything went as it should" if good else "the story stops here"
            say(click.style(f"{len(done)} steps in {seconds:.1f} s: {outcome}.", bold=True))
            if keep is not None:
                say(f"Every message and certificate is in {keep}.")
    click.get_current_context().exit(0 if good else 1)


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="voltroot-demo-", ignore_cleanup_errors=True) as name:
            yield Path(name)
        return
    if keep.exists() and any(keep.iterdir()):
        raise Refused(f"{keep} is not empty: name a folder that is, or is not there yet")
    keep.mkdir(parents=True, exist_ok=True)
    yield keep


def _quiet(line: str) -> Any:
    """Say nothing: the JSON comes at the end."""
