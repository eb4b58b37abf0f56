"""Lines on a terminal, whatever stands in them and whatever it can show."""

from __future__ import annotations

import sys

import click


def printable(text: str) -> str:
    """Return text in which nothing moves a terminal's cursor: control characters are written out."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def echo(line: str, *, err: bool = False) -> None:
    """Print a line; a terminal that cannot show a character gets its escape."""
    encoding = (sys.stderr if err else sys.stdout).encoding or "utf-8"
    click.echo(line.encode(encoding, "backslashreplace").decode(encoding), err=err)
