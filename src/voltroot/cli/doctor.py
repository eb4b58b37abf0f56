"""``voltroot doctor``: whether a charging station's certificates do for its jobs, and what is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from voltroot.actors.station import checkup
from voltroot.actors.station.checkup import AHEAD, TITLES, Lack, Prospect, Use
from voltroot.cli.station import folder_options, open_station
from voltroot.cli.terminal import printable

WELL, NOT_NOW, NOT_LATER = 0, 1, 3


@click.command(
    epilog="""\b
Examples:
  voltroot doctor /etc/everest/certs
  voltroot doctor certs --use ocpp-2 --use pnc-2 --json"""
)
@folder_options
@click.option(
    "--use",
    "uses",
    multiple=True,
    type=click.Choice([use.value for use in Use]),
    help="Look at this use only; again for more.  [default: all]",
)
@click.pass_context
def doctor(context: click.Context, /, folder: Path, as_json: bool, uses: tuple[str, ...], **options: Any) -> None:
    """Tell for each use of the certificates in CERTS whether it would work now and in 14 days, and what is missing.

    Exit code: 0 all uses work and will, 1 one does not work, 3 one will have ceased to work in 14 days.
    """
    station = open_station(folder, **options)
    found = checkup.prospects(station, [Use(use) for use in uses] or [*Use])
    remarks = checkup.remarks(station)
    if as_json:
        click.echo(json.dumps(_document(station.now(), found, remarks), indent=2))
    else:
        for line in _lines(found, remarks):
            click.echo(line)
    context.exit(
        NOT_NOW if any(each.now for each in found) else NOT_LATER if any(each.later for each in found) else WELL
    )


def _document(now: datetime, found: Sequence[Prospect], remarks: Sequence[Lack]) -> dict[str, Any]:
    return {
        "at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "later": f"{now + AHEAD:%Y-%m-%dT%H:%M:%SZ}",
        "uses": [
            {
                "use": each.use.value,
                "title": TITLES[each.use],
                "works": not each.now,
                "worksLater": not each.later,
                "ends": f"{each.ends:%Y-%m-%dT%H:%M:%SZ}" if each.ends else None,
                "lacks": _lacks(each.now),
                "lacksLater": _lacks(each.later),
                "hints": _lacks(each.hints),
            }
            for each in found
        ],
        "remarks": _lacks(remarks),
    }


def _lacks(lacks: Sequence[Lack]) -> list[dict[str, str]]:
    return [{"text": lack.text, "do": lack.remedy} for lack in lacks]


def _lines(found: Sequence[Prospect], remarks: Sequence[Lack]) -> Iterator[str]:
    width = max(len(TITLES[each.use]) for each in found)
    for each in found:
        mark, colour, text = _summary(each)
        yield f"{click.style(mark, fg=colour)} {click.style(TITLES[each.use].ljust(width), bold=True)}  {text}"
        for lack in each.now or each.later:
            yield from _lack("✗", "red", lack)
        for hint in each.hints:
            yield from _lack("!", "yellow", hint)
    if remarks:
        yield click.style("In the folder", bold=True)
    for remark in remarks:
        yield from _lack("!", "yellow", remark)


def _summary(prospect: Prospect) -> tuple[str, str, str]:
    if prospect.now:
        return "✗", "red", "does not work" + ("" if prospect.later else ", but will in 14 days")
    if prospect.ends:
        return "!", "yellow", f"works until {prospect.ends:%Y-%m-%d %H:%M} UTC; then:"
    if prospect.hints:
        return "!", "yellow", "works now and in 14 days, but:"
    return "✓", "green", "works now and in 14 days"


def _lack(mark: str, colour: str, lack: Lack) -> Iterator[str]:
    yield f"    {click.style(mark, fg=colour)} {printable(lack.text)}"
    yield f"      {click.style('do:', dim=True)} {printable(lack.remedy)}"
