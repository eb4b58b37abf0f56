"""``voltroot exi``: the messages of a car read, written, verified and explained."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import click

from voltroot.cli.exi_input import LARGEST, given_as, look, ways
from voltroot.cli.exi_verify import verify
from voltroot.cli.files import read_octets, unreadable
from voltroot.cli.terminal import echo, printable
from voltroot.errors import Failure, Malformed, NotFound
from voltroot.v2g import forms
from voltroot.v2g.exi import Event, Kind, encode, encode_fragment, grammar, type_names
from voltroot.v2g.schemas import ISO_2, SCHEMAS
from voltroot.v2g.xml import xml


@click.group("exi")
def exi() -> None:
    """Read, write, verify and explain EXI messages of ISO 15118-2 and ISO 15118-20.

    FILE is a stream in hexadecimal digits, base64 or binary, with or without V2GTP header; none or - is standard input.
    Whether it is a document or a fragment, and of which schema set, is found by trying, unless it is told.

    \b
    Examples:
      echo 80040152510c40829b7b6b2902930b73237b6902230ba309e8 | voltroot exi decode
      voltroot exi decode request.exi | voltroot exi encode --base64
      voltroot exi verify response.exi --roots v2g-root.pem
      voltroot exi explain response.exi
      voltroot exi grammar CertificateChainType
    """


exi.add_command(verify)


@exi.command("decode")
@click.option("--xml", "as_xml", is_flag=True, help="Print XML instead of JSON.")
@given_as
def decode_command(file: str, kind: Kind | None, schema: str | None, as_xml: bool) -> None:
    """Print a message as JSON, in the form that users of EXICodec.jar know.

    \b
    Examples:
      voltroot exi decode request.exi
      voltroot exi decode --kind fragment --schema iso2 --xml < element.hex
    """
    seen = look(file, schema, kind)
    message = seen.explanation.decoded
    if message is None:
        unreadable("exi", file, seen.failure)
    if as_xml:
        echo(xml(message))
    else:
        click.echo(json.dumps(forms.to_json(message.element, message.value), indent=2))


@exi.command("encode")
@click.option("--base64", "as_base64", is_flag=True, help="Print base64.")
@click.option("--binary", "as_binary", is_flag=True, help="Write the octets themselves.")
@click.option("--no-facets", is_flag=True, help="Let lengths and ranges pass that the schema does not allow.")
@given_as
def encode_command(
    file: str, kind: Kind | None, schema: str | None, as_base64: bool, as_binary: bool, no_facets: bool
) -> None:
    """Encode a message that is given as JSON, and print it in hexadecimal digits.

    An element that is signed, such as DHpublickey, becomes a fragment: what its digest is made of.

    \b
    Examples:
      voltroot exi encode request.json
      echo '{"eMAID": {"Id": "id4", "value": "DEABCC12345678"}}' | voltroot exi encode --binary | sha256sum
    """
    try:
        octets = _encoded(read_octets(file, LARGEST), schema, kind, facets=not no_facets)
    except Failure as failure:
        unreadable("exi", file, str(failure))
    if as_binary:
        click.echo(octets, nl=False)
    else:
        click.echo(base64.b64encode(octets).decode() if as_base64 else octets.hex())


@exi.command("explain")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@given_as
@click.pass_context
def explain_command(context: click.Context, file: str, kind: Kind | None, schema: str | None, as_json: bool) -> None:
    """Print every event of a stream: its bits, its code and width, its element, up to the end or the fault.

    Exit code: 0 it can be read, 2 it cannot.

    \b
    Examples:
      voltroot exi explain --kind fragment < element.hex
      voltroot exi explain response.exi --json
    """
    seen = look(file, schema, kind)
    events, _, fault = seen.explanation
    bits = "".join(f"{octet:08b}" for octet in seen.octets)
    if as_json:
        document = {
            "schema": seen.schema.name,
            "kind": seen.kind,
            "events": [_document(event, bits) for event in events],
            "fault": None if fault is None else {"bit": fault.bit, "path": "/".join(fault.path), "why": fault.why},
        }
        click.echo(json.dumps(document, indent=2))
    else:
        click.echo(f"{seen.schema.title}, {seen.kind}, {len(seen.octets)} octets\n")
        for line in _lines(events, bits):
            echo(printable(line))
        if fault is not None:
            echo(printable(str(fault)))
    context.exit(0 if fault is None else 2)


@exi.command("grammar")
@click.argument("name", required=False, metavar="[TYPE]")
@click.option("--schema", type=click.Choice(list(SCHEMAS)), default=ISO_2.name, show_default=True, help="Schema set.")
def grammar_command(name: str | None, schema: str) -> None:
    """Print the states of a TYPE with the code and the width of every event; without TYPE, all that are known.

    "document" and "fragment" are how a stream begins.

    \b
    Examples:
      voltroot exi grammar CertificateInstallationRes
      voltroot exi grammar fragment --schema xmldsig
    """
    if name is None:
        click.echo("\n".join(["document", "fragment", *type_names(SCHEMAS[schema])]))
        return
    try:
        click.echo(grammar(SCHEMAS[schema], name))
    except NotFound as failure:
        raise click.BadParameter(str(failure), param_hint="TYPE") from failure


def _encoded(data: bytes, schema: str | None, kind: Kind | None, *, facets: bool) -> bytes:
    try:
        given = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"it is no JSON: {error}") from error
    faults: list[Failure] = []
    for within, each in ways(schema, kind):
        try:
            element, value = forms.from_json(given, within, each)
        except Malformed as failure:
            faults.append(failure)
            continue
        if each == "document":
            return encode(value, within, facets=facets)
        return encode_fragment(element, value, within, facets=facets)
    # What goes deepest into the JSON is nearest to what was meant.
    raise max(faults, key=lambda failure: len(getattr(failure, "path", ())))


def _document(event: Event, bits: str) -> dict[str, Any]:
    return {
        "bit": event.start,
        "bits": bits[event.start : event.start + event.width],
        "width": event.width,
        "code": event.code,
        "event": event.label,
        "element": "/".join(event.path),
        "value": _plain(event.value),
    }


def _lines(events: tuple[Event, ...], bits: str) -> Iterator[str]:
    yield f"{'bit':>6} {'width':>6} {'code':>5}  {'bits':<26} event"
    for event in events:
        code = "" if event.code is None else str(event.code)
        own = bits[event.start : event.start + event.width]
        shown = own if len(own) <= 24 else f"{own[:21]}..."
        # An element's start and end stand under each other, and what it holds between them.
        deep = len(event.path) - event.label.startswith(("SE(", "EE")) + (event.label == "value")
        what = _short(event.value) if event.label == "value" else event.label
        yield f"{event.start:>6} {event.width:>6} {code:>5}  {shown:<26} {'  ' * deep}{what}"


def _short(value: object) -> str:
    text = str(_plain(value))
    return text if len(text) <= 60 else f"{text[:57]}..."


def _plain(value: object) -> Any:
    return value.hex() if isinstance(value, bytes) else value
