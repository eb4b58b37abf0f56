"""Documents and fragments: a header, one element by its code, and for a fragment its end."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from voltroot.v2g.exi.bits import Reader, Writer
from voltroot.v2g.exi.faults import Unreadable
from voltroot.v2g.exi.grammar import element_of, relaxed
from voltroot.v2g.exi.states import Production, State, refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voltroot.v2g.exi.declare import Model

Kind = Literal["document", "fragment"]

HEADER = 0x80  # distinguishing bits 10, no options, version 1


@dataclass(frozen=True, slots=True)
class Root:
    """An element that may stand at the top: its code among all elements of its schema set, and what it holds."""

    code: int
    model: type[Model]
    namespace: str
    relaxed: Mapping[str, tuple[int, int]] | None = None  # declared with two types: width and code of each event


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """A schema set: all its global elements and all qualified names of elements count, declared here or not."""

    name: str
    title: str
    elements: int
    qnames: int
    documents: Mapping[str, Root]
    fragments: Mapping[str, Root]


class Mark(NamedTuple):
    """An element that a signature may refer to, or its SignedInfo: its bits [start, stop) from attributes to end."""

    element: str
    value: Any
    start: int
    stop: int

    @property
    def Id(self) -> str | None:  # noqa: N802  # the standard's name
        """The name by which a Reference finds it."""
        return self.value.Id  # type: ignore[no-any-return]  # every signable model declares it


class Decoded(NamedTuple):
    """What a stream says."""

    schema: Schema
    kind: Kind
    element: str
    value: Any
    marks: tuple[Mark, ...]
    octets: bytes

    def fragment(self, mark: Mark, schema: Schema | None = None) -> bytes | None:
        """The fragment of a marked element, of the bits that were received; None if a fragment codes it otherwise."""
        within = schema or self.schema
        root = within.fragments.get(mark.element)
        if root is None or root.relaxed:
            return None
        opening = fragment_state(within)
        writer = Writer()
        writer.bits(HEADER, 8)
        writer.choose(opening, root.code)
        writer.copy(self.octets, mark.start, mark.stop)
        writer.choose(opening, within.qnames + 1)
        return writer.finish()


def decode(octets: bytes, schema: Schema, kind: Kind = "document") -> Decoded:
    """The message in a stream; Unreadable, a Malformed, with its bit and element if there is none."""
    return read(Reader(octets), octets, schema, kind)


def encode(value: Model, schema: Schema, *, facets: bool = True, writer: type[Writer] = Writer) -> bytes:
    """The document of a message; Unreadable if a part is missing or, with `facets`, too long or too short."""
    for name, root in schema.documents.items():
        if root.model is type(value):
            return _write(document_state(schema), root.code, name, value, writer(facets=facets))
    raise Unreadable(f"{type(value).__name__} is no document of {schema.title}")


def encode_fragment(
    element: str,
    value: Model,
    schema: Schema,
    *,
    facets: bool = True,
    typed: bool = False,
    writer: type[Writer] = Writer,
) -> bytes:
    """The fragment of an element: what signatures digest. `typed` codes eMAID as libcbv2g does, wrongly."""
    if element not in schema.fragments:
        raise Unreadable(f"{element} is no fragment of {schema.title}: {', '.join(schema.fragments)} are")
    code = schema.fragments[element].code
    return _write(fragment_state(schema, typed), code, element, value, writer(facets=facets), schema.qnames + 1)


def read(reader: Reader, octets: bytes, schema: Schema, kind: Kind) -> Decoded:
    """The same as decode, by a reader of one's own."""
    opening = document_state(schema) if kind == "document" else fragment_state(schema)
    path: tuple[str, ...] = ()
    try:
        if reader.bits(8) != HEADER:
            raise Unreadable(_no_header(octets), 0)
        production = opening.table[reader.choose(opening)]
        if not production.member or production.read is None:
            raise Unreadable(f"a {kind} of {schema.title} that is known here does not begin so", 8)
        path = (production.name,)
        value = production.read(reader)
        path = ()
        if kind == "fragment" and opening.label(reader.choose(opening)) != "ED":
            raise reader.fault("the fragment does not end after its element")
        reader.finish()
    except Unreadable as fault:
        if fault.bit is None:
            fault.bit = reader.pos
        fault.below(*path)
        raise
    except IndexError:
        raise reader.cut().below(*path) from None
    marks = tuple(Mark(*mark) for mark in reader.marks)
    return Decoded(schema, kind, production.name, value, marks, octets)


@cache
def document_state(schema: Schema) -> State:
    """The choice at the start of a document; the code that follows all global elements stands for any other (SE(*))."""
    roots = schema.documents
    events = [
        Production(f"SE({name})", name, name, name, *element_of(root.model, name)) for name, root in roots.items()
    ]
    return State(
        f"a document of {schema.title}",
        [*events, refused("SE(*)")],
        width=schema.elements.bit_length(),
        codes=[*(root.code for root in roots.values()), schema.elements],
    )


@cache
def fragment_state(schema: Schema, typed: bool = False) -> State:
    """The choice in a fragment: an element, any other (SE(*)), the end (ED)."""
    events = []
    for name, root in schema.fragments.items():
        codes = None if typed else root.relaxed
        access = element_of(root.model, name) if codes is None else relaxed(root.model, codes)
        events.append(Production(f"SE({name})", name, name, name, *access))
    return State(
        f"a fragment of {schema.title}",
        [*events, refused("SE(*)"), Production("ED")],
        width=(schema.qnames + 1).bit_length(),
        codes=[*(root.code for root in schema.fragments.values()), schema.qnames, schema.qnames + 1],
    )


def _write(opening: State, code: int, name: str, value: Model, writer: Writer, end: int | None = None) -> bytes:
    production = opening.productions[code]
    writer.bits(HEADER, 8)
    writer.choose(opening, code)
    try:
        production.write(writer, value)
    except Unreadable as fault:
        fault.below(name)
        raise
    if end is not None:
        writer.choose(opening, end)
    return writer.finish()


def _no_header(octets: bytes) -> str:
    if not octets:
        return "there is no stream"
    if octets.startswith(b"$EXI"):
        return "the stream begins with the EXI cookie, which ISO 15118 does not use; begin after it"
    if octets[:2] == b"\x01\xfe":
        return "this is a V2GTP message; leave out its header of 8 octets"
    return f"an EXI message of ISO 15118 begins with 80, not with {octets[0]:02x}"
