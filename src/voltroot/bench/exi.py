"""How long it takes to encode and decode messages, beside EXICodec.jar and a codec in C, where they are at hand."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from voltroot.bench import codecs, machine
from voltroot.bench.josev import timed
from voltroot.bench.messages import FEW, MANY, TYPICAL, Message, messages
from voltroot.bench.options import Options, workshop
from voltroot.bench.report import Aim, Case, Figures, Labels, Progress, Report, find, measure, ratio
from voltroot.errors import Unavailable
from voltroot.v2g import forms, iso2, iso20, xmldsig
from voltroot.v2g.exi import decode, encode
from voltroot.v2g.schemas import ISO_2, ISO_20

OURS, IN_JSON, JAR, C = "voltroot", "voltroot, JSON", "EXICodec.jar", "C"
LEAST, LENGTH = "least_us", (0.1, 0.5)  # what is compared; the seconds of a measurement, quick and usual
# A virtual machine takes seconds to warm up, and is asked for longer, since one answer of it takes longer.
WARMING, PATIENCE = 80, 4
ENCODE, DECODE, SIGN, VERIFY = "encode", "decode", "sign", "verify"
FASTER, SLOWER, LINEAR = 60, 3, 11
NAMESPACES = {ISO_2.name: iso2.D, ISO_20.name: iso20.CM}


def run(options: Options, progress: Progress) -> Report:
    """Measure, and return the report."""
    progress("making messages")
    with workshop() as folder, ExitStack() as stack:
        facts = machine.facts(folder)
        cases = list(_cases(options, stack, progress))
        measure(cases, options.length(*LENGTH), options.rounds or 7, options.until, progress)
    return Report("Messages encoded and decoded, one after the other", facts, cases, list(_aims(cases)), NOTES)


NOTES = (
    "us: microseconds for one message by the clock, the median; least_us: the quickest, which other work on the machine"
    " touches least: aims are held against it. voltroot goes from a typed value to octets and back; its line with"
    " JSON goes from text and to text, as the jar does, which is called through py4j as the package iso15118 calls it,"
    " warm. C goes from the struct of a shared library and back.",
)


def _aims(cases: Sequence[Case]) -> Iterator[Aim]:
    for do in (ENCODE, DECODE):
        of = partial(find, cases, message=TYPICAL, do=do)
        times = ratio(of(system=JAR), of(system=OURS), LEAST)
        yield Aim(f"{do}: times faster than the jar", times, FASTER, at_least=True)
    for do in (ENCODE, DECODE):
        of = partial(find, cases, message=TYPICAL, do=do)
        yield Aim(f"{do}: times a codec in C", ratio(of(system=OURS), of(system=C), LEAST), SLOWER)
    for do in (ENCODE, DECODE):
        few, many = (find(cases, message=name, do=do, system=OURS) for name in (FEW, MANY))
        yield Aim(f"{do}: times longer, with ten times as many elements", ratio(many, few, LEAST), LINEAR)


def _cases(options: Options, stack: ExitStack, progress: Progress) -> Iterator[Case]:
    peers = list(_peers(options, stack, progress))
    for message in messages():
        octets = message.octets
        labels: Labels = {"message": message.name, "edition": message.schema.name, "octets": len(octets)}
        for do, system, once in _ours(message, octets):
            yield Case(labels | {"do": do, "system": system}, partial(_measured, once))
        if message.name in (FEW, MANY):
            continue
        for system, codec, missing in peers:
            if codec is not None and message.name == TYPICAL and message.schema is ISO_2:
                progress(f"warming up {system}")
                _warm(codec, message, octets, WARMING * options.length(*LENGTH))
            for do in (ENCODE, DECODE):
                own = labels | {"do": do, "system": system}
                if codec is not None:
                    yield Case(own, partial(_asked, codec, _question(do, message, octets), octets))
                elif message.name == TYPICAL and message.schema is ISO_2:
                    yield Case(own, failed=missing)


def _warm(codec: codecs.Codec, message: Message, octets: bytes, seconds: float) -> None:
    with contextlib.suppress(Unavailable):
        for do in (ENCODE, DECODE):
            codec.ask(**_question(do, message, octets), seconds=seconds / 2)


def _question(do: str, message: Message, octets: bytes) -> dict[str, Any]:
    namespace = NAMESPACES[message.schema.name]
    return {"do": do, "namespace": namespace, "exi": octets.hex(), "json": message.json}


def _ours(message: Message, octets: bytes) -> Iterator[tuple[str, str, Callable[[], object]]]:
    schema, value, element = message.schema, message.value, message.element
    yield ENCODE, OURS, lambda: encode(value, schema)
    yield DECODE, OURS, lambda: decode(octets, schema)
    if message.name != TYPICAL:
        return
    text = json.dumps(message.json)
    yield ENCODE, IN_JSON, lambda: encode(forms.from_json(json.loads(text), schema)[1], schema)
    yield DECODE, IN_JSON, lambda: json.dumps(forms.to_json(element, decode(octets, schema).value))
    received, public = decode(octets, schema), message.signer.public_key()
    yield SIGN, OURS, lambda: xmldsig.sign(value, message.signer)
    yield VERIFY, OURS, lambda: xmldsig.verify(received, public)


def _peers(options: Options, stack: ExitStack, progress: Progress) -> Iterator[tuple[str, codecs.Codec | None, str]]:
    start: list[tuple[str, str, Callable[[Path], codecs.Codec], str]] = [
        (JAR, options.iso15118, codecs.jar, "name a virtual environment that has the package: --iso15118 DIR"),
        (C, options.cbv2g, codecs.library, "name a shared library with the interface of libcbv2g: --cbv2g FILE"),
    ]
    for system, path, codec, advice in start:
        if not path:
            yield system, None, advice
            continue
        progress(f"starting {system}")
        try:
            yield system, stack.enter_context(codec(Path(path))), ""
        except Unavailable as failure:
            yield system, None, str(failure)


def _measured(once: Callable[[], object], seconds: float) -> Figures:
    once()
    return timed(once, seconds)


def _asked(codec: codecs.Codec, asked: dict[str, Any], octets: bytes, seconds: float) -> Figures:
    answer = codec.ask(**asked)
    if asked["do"] == ENCODE and bytes.fromhex(answer["exi"]) != octets:
        raise Unavailable("it writes other octets")
    return codec.ask(**asked, seconds=PATIENCE * seconds)
