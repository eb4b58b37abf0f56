"""What the commands of ``voltroot exi`` are given: a stream in hexadecimal digits, base64 or binary."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar, cast, get_args

import click

from voltroot.cli.files import read_octets, unreadable
from voltroot.errors import Failure, Malformed
from voltroot.v2g.exi import Explanation, Kind, Schema, explain
from voltroot.v2g.schemas import SCHEMAS, XMLDSIG

LARGEST = 1 << 20  # octets of a file; a stream has 32 KiB at most
F = TypeVar("F", bound=Callable[..., Any])


class Look(NamedTuple):
    """A stream and the reading of it that leads furthest."""

    octets: bytes
    schema: Schema
    kind: Kind
    explanation: Explanation

    @property
    def failure(self) -> str:
        """Why it cannot be read, and what to do."""
        read_as = f"read as a {self.kind} of {self.schema.name}"
        return f"{read_as}: {self.explanation.fault} ('voltroot exi explain' shows what leads there)"


def given_as(command: F) -> F:
    """Add FILE, ``--kind`` and ``--schema``."""
    kinds, schemas = click.Choice(get_args(Kind)), click.Choice(list(SCHEMAS))
    for option in (
        click.option("--schema", type=schemas, help="Schema set of FILE.  [default: found by trying]"),
        click.option("--kind", type=kinds, help="What FILE is.  [default: found by trying]"),
        click.argument("file", default="-", metavar="[FILE]"),
    ):
        command = option(command)
    return command


def look(file: str, schema: str | None, kind: Kind | None) -> Look:
    """Read FILE by all schema sets that come into question; ends the program where there is no stream in it."""
    try:
        octets = stream(read_octets(file, LARGEST))
    except Failure as failure:
        unreadable("exi", file, str(failure))
    looks = [Look(octets, *each, explain(octets, *each)) for each in ways(schema, kind)]
    return max(looks, key=lambda each: _reach(each.explanation))


def ways(schema: str | None, kind: Kind | None) -> Iterator[tuple[Schema, Kind]]:
    """Yield the schema sets and kinds in question, xmldsig first: SignedInfo belongs to it ([V2G20-1449])."""
    sets = sorted(SCHEMAS.values(), key=lambda each: each is not XMLDSIG)
    for each in (kind,) if kind else cast(tuple[Kind, ...], get_args(Kind)):
        for within in (SCHEMAS[schema],) if schema else sets:
            yield within, each


def stream(data: bytes) -> bytes:
    """Return the EXI stream, whatever it is written in, without the V2GTP header that may stand before it."""
    octets = data if data[:1] in (b"\x80", b"\x01", b"$") else _from_text(data)
    return octets[8:] if octets.startswith(b"\x01\xfe") else octets


def _from_text(data: bytes) -> bytes:
    # As it is copied from logs, dissectors and JSON.
    text = re.sub(r'[\s:"]', "", data.decode("ascii", "replace"))
    if not text:
        raise Malformed("it is empty: give an EXI stream, binary, in hexadecimal digits or in base64")
    digits = re.sub("0x", "", text, flags=re.IGNORECASE)
    if re.fullmatch("(80|01fe)[0-9a-f]*", digits, re.IGNORECASE):
        if len(digits) % 2:
            raise Malformed(f"it has {len(digits)} hexadecimal digits: one is missing")
        return bytes.fromhex(digits)
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise Malformed(
            "it is no EXI stream: neither binary nor hexadecimal digits that begin with 80, nor base64 of that"
        ) from None


def _reach(explanation: Explanation) -> float:
    fault = explanation.fault
    return float("inf") if fault is None else fault.bit or 0
