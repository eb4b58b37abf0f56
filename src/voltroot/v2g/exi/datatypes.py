"""Simple datatypes: how a value is coded, which facets it must keep, and how it is spelled in XML."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from voltroot.v2g.exi.bits import MAX_CODE_POINTS, MAX_GROUPS, MAX_OCTETS, Reader, Writer, forbidden
from voltroot.v2g.exi.faults import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable

_SMALL = 4096  # a range of at most so many integers is coded in as many bits as it needs (EXI 7.1.5)


class Datatype(Protocol):
    """A simple datatype; `name` is the qname whose values a string may repeat."""

    empty: Any  # the value of an element without content; None if it must have some

    def reader(self, name: object) -> Callable[[Reader], Any]:
        """What reads a value."""
        ...

    def writer(self, name: object) -> Callable[[Writer, Any], None]:
        """What writes a value; Unreadable if it is none."""
        ...

    def text(self, value: Any) -> str:
        """The lexical form."""
        ...

    def __str__(self) -> str: ...


@dataclass(frozen=True, slots=True)
class String:
    """xs:string, xs:ID, xs:anyURI."""

    shortest: int = 0
    longest: int = MAX_CODE_POINTS
    xml: str = "string"
    empty = ""

    def reader(self, name: object) -> Callable[[Reader], str]:
        """Reads a String."""
        return lambda reader: reader.string(name)

    def writer(self, name: object) -> Callable[[Writer, str], None]:
        """Writes a String within its lengths."""
        shortest, longest = self.shortest, self.longest

        def write(writer: Writer, value: str) -> None:
            if not isinstance(value, str):
                raise Unreadable(f"a string belongs here, not {_kind(value)}")
            size = len(value)
            if size > MAX_CODE_POINTS or (writer.facets and not shortest <= size <= longest):
                raise Unreadable(f"{size} characters, where {_span(shortest, longest)} belong")
            if not value.isprintable() and (wrong := forbidden(value)) is not None:
                raise Unreadable(f"U+{wrong:04X} is no XML character")
            writer.string(value, name)

        return write

    def text(self, value: str) -> str:
        """The string itself."""
        return value

    def __str__(self) -> str:
        whole = (self.shortest, self.longest) == (0, MAX_CODE_POINTS)
        return self.xml if whole else f"{self.xml} of {_span(self.shortest, self.longest)}"


@dataclass(frozen=True, slots=True)
class Binary:
    """xs:base64Binary or xs:hexBinary; `sizes`, where it is given, lists the only sizes that are allowed."""

    longest: int = MAX_OCTETS
    sizes: tuple[int, ...] = ()
    hexadecimal: bool = False
    empty = b""

    def reader(self, name: object) -> Callable[[Reader], bytes]:
        """Reads a Binary."""
        return lambda reader: reader.binary()

    def writer(self, name: object) -> Callable[[Writer, bytes], None]:
        """Writes a Binary within its sizes."""
        longest, sizes = self.longest, self.sizes

        def write(writer: Writer, value: bytes) -> None:
            if not isinstance(value, bytes):
                raise Unreadable(f"octets belong here, not {_kind(value)}")
            size = len(value)
            if writer.facets and (size > longest or (sizes and size not in sizes)):
                raise Unreadable(f"{size} octets, where {self._sizes()} belong")
            writer.binary(value)

        return write

    def text(self, value: bytes) -> str:
        """Upper-case hexadecimal, or base64."""
        return value.hex().upper() if self.hexadecimal else base64.b64encode(value).decode()

    def parse(self, text: str) -> bytes:
        """The octets of a lexical form; Unreadable if it has none."""
        try:
            return bytes.fromhex(text) if self.hexadecimal else base64.b64decode(text, validate=True)
        except ValueError as error:
            raise Unreadable("this is not hexadecimal" if self.hexadecimal else "this is not base64") from error

    def __str__(self) -> str:
        xml = "hexBinary" if self.hexadecimal else "base64Binary"
        return xml if self.longest == MAX_OCTETS and not self.sizes else f"{xml} of {self._sizes()}"

    def _sizes(self) -> str:
        return " or ".join(map(str, self.sizes)) if self.sizes else f"at most {self.longest}"


@dataclass(frozen=True, slots=True)
class Integer:
    """An integer; its code follows from the bounds. `facet` is a narrower upper one, kept in writing only."""

    least: int | None = None
    most: int | None = None
    facet: int | None = None
    empty = None

    @property
    def width(self) -> int | None:
        """The bits of a small range; None where groups of seven bits are used."""
        if self.least is None or self.most is None or self.most - self.least >= _SMALL:
            return None
        return (self.most - self.least).bit_length()

    def reader(self, name: object) -> Callable[[Reader], int]:
        """Reads an n-bit, Unsigned or signed Integer within the bounds."""
        width, least, unsigned = self.width, self.least or 0, self._unsigned

        def read(reader: Reader) -> int:
            if width is not None:
                value = least + reader.bits(width)
            else:
                value = reader.unsigned() if unsigned else reader.integer()
            if not self._holds(value):
                raise reader.fault(self._wrong(value))
            return value

        return read

    def writer(self, name: object) -> Callable[[Writer, int], None]:
        """Writes an integer within the bounds."""
        width, least, unsigned = self.width, self.least or 0, self._unsigned

        def write(writer: Writer, value: int) -> None:
            if not isinstance(value, int) or isinstance(value, bool):
                raise Unreadable(f"an integer belongs here, not {_kind(value)}")
            if not self._holds(value) or (writer.facets and self.facet is not None and value > self.facet):
                raise Unreadable(self._wrong(value))
            if width is not None:
                writer.bits(value - least, width)
            elif unsigned:
                writer.unsigned(value)
            else:
                writer.integer(value)

        return write

    def text(self, value: int) -> str:
        """Decimal."""
        return str(value)

    def __str__(self) -> str:
        if self.least is None and self.most is None:
            return "an integer"
        return f"an integer from {self.least} to {self.most if self.facet is None else self.facet}"

    @property
    def _unsigned(self) -> bool:
        return self.least is not None and self.least >= 0

    def _holds(self, value: int) -> bool:
        within = (self.least is None or value >= self.least) and (self.most is None or value <= self.most)
        return within and (~value if value < 0 else value).bit_length() <= 7 * MAX_GROUPS

    def _wrong(self, value: int) -> str:
        return f"{self} belongs here, not {value if value.bit_length() <= 64 else f'one of {value.bit_length()} bits'}"


@dataclass(frozen=True, slots=True)
class Boolean:
    """xs:boolean."""

    empty = None

    def reader(self, name: object) -> Callable[[Reader], bool]:
        """Reads a bit."""
        return lambda reader: reader.bits(1) == 1

    def writer(self, name: object) -> Callable[[Writer, bool], None]:
        """Writes a bit."""

        def write(writer: Writer, value: bool) -> None:
            if not isinstance(value, bool):
                raise Unreadable(f"true or false belongs here, not {_kind(value)}")
            writer.bits(value, 1)

        return write

    def text(self, value: bool) -> str:
        """true or false."""
        return "true" if value else "false"

    def __str__(self) -> str:
        return "boolean"


@dataclass(frozen=True, slots=True)
class Enumeration:
    """One of some words, coded by its place in the schema (EXI 7.2)."""

    words: tuple[str, ...]
    empty = None

    @property
    def width(self) -> int:
        """The bits of a place."""
        return (len(self.words) - 1).bit_length()

    def reader(self, name: object) -> Callable[[Reader], str]:
        """Reads a word's place."""
        words, width = self.words, self.width

        def read(reader: Reader) -> str:
            index = reader.bits(width)
            if index >= len(words):
                raise reader.fault(f"the value {index} of an enumeration that has {len(words)}")
            return words[index]

        return read

    def writer(self, name: object) -> Callable[[Writer, str], None]:
        """Writes a word's place."""
        places, width = {word: place for place, word in enumerate(self.words)}, self.width

        def write(writer: Writer, value: str) -> None:
            if not isinstance(value, str) or value not in places:
                raise Unreadable(self._wrong(value))
            writer.bits(places[value], width)

        return write

    def text(self, value: str) -> str:
        """The word itself."""
        return value

    def parse(self, text: str) -> str:
        """The word itself; Unreadable if it is none of them."""
        if text not in self.words:
            raise Unreadable(self._wrong(text))
        return text

    def __str__(self) -> str:
        return f"one of {len(self.words)} words"

    def _wrong(self, value: object) -> str:
        shown = f"{value[:40]!r}" if isinstance(value, str) else _kind(value)
        return f"{shown} is none of the {len(self.words)} words that may stand here: {', '.join(self.words)}"


def _kind(value: object) -> str:
    return "nothing" if value is None else type(value).__name__


def _span(least: int, most: int) -> str:
    return f"{least}" if least == most else f"at most {most}" if not least else f"{least} to {most}"
