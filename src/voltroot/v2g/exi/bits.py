"""Bits: reading and writing event codes and the built-in datatypes of EXI 1.0 (section 7), bit-packed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voltroot.v2g.exi.faults import Unreadable

if TYPE_CHECKING:
    from voltroot.v2g.exi.states import State

MAX_OCTETS = 32 * 1024
MAX_CODE_POINTS = 1024
MAX_GROUPS = 80  # 560 bits; a certificate's serial number of 20 octets takes 23 groups

EVERYWHERE = None  # the global partition of the string table

_LAST = [(1 << width) - 1 for width in range(8)]  # the mask of so many bits
_PAD = b"\0\0"  # so that a code may be looked for at the very end
_MISSES = 2  # a string's length is written plus two: 0 and 1 announce hits in the string table


class Reader:
    """Reads a stream of at most 32 KiB; every fault is an Unreadable with its bit, and IndexError beyond the end."""

    __slots__ = ("_data", "_end", "_strings", "marks", "pos")

    def __init__(self, octets: bytes) -> None:
        if len(octets) > MAX_OCTETS:
            raise Unreadable(f"the stream has {len(octets)} octets; at most {MAX_OCTETS} are read")
        self._data = octets + _PAD
        self._end = 8 * len(octets)
        self._strings: dict[object, list[str]] = {EVERYWHERE: []}  # the string table: values of each qname, and of all
        self.marks: list[tuple[str, Any, int, int]] = []
        self.pos = 0

    def choose(self, state: State) -> int:
        """The event code that stands here."""
        pos = self.pos
        at = pos >> 3
        width = state.width
        self.pos = pos + width
        return (self._data[at] << 8 | self._data[at + 1]) >> (16 - width - (pos & 7)) & state.mask

    def bits(self, width: int) -> int:
        """An unsigned integer of at most 12 bits."""
        pos = self.pos
        at = pos >> 3
        self.pos = pos + width
        word = int.from_bytes(self._data[at : at + 3].ljust(3, b"\0"))
        return word >> (24 - width - (pos & 7)) & ((1 << width) - 1)

    def unsigned(self) -> int:
        """An Unsigned Integer (7.1.6): groups of seven bits, the least significant first, not always minimal."""
        data = self._data
        pos = self.pos
        value = shift = 0
        while True:
            at = pos >> 3
            octet = (data[at] << 8 | data[at + 1]) >> (8 - (pos & 7)) & 0xFF
            pos += 8
            if octet < 0x80:
                self.pos = pos
                return value | octet << shift if shift else octet
            value |= (octet & 0x7F) << shift
            shift += 7
            if shift >= 7 * MAX_GROUPS:
                raise self.fault(f"an integer has more than {MAX_GROUPS} groups")

    def integer(self) -> int:
        """An Integer (7.1.5): a sign, then the magnitude, less one if it is negative."""
        negative = self.bits(1)
        magnitude = self.unsigned()
        return -magnitude - 1 if negative else magnitude

    def binary(self) -> bytes:
        """A Binary (7.1.1): a length, then octets at any bit."""
        return self._octets(self.unsigned())

    def string(self, name: object) -> str:
        """A String (7.1.10, 7.3.3); `name` is the qname whose local values it may repeat."""
        length = self.unsigned() - _MISSES
        if length < 0:
            return self._repeated(name if length == -2 else EVERYWHERE)
        if length > MAX_CODE_POINTS:
            raise self.fault(f"a string has {length} code points; at most {MAX_CODE_POINTS} are read")
        start = self.pos
        octets = self._octets(length)  # a code point takes an octet or more
        if octets.isascii():
            text = octets.decode("ascii")
        else:
            self.pos = start
            text = self._text(length)
        if not text.isprintable() and (wrong := forbidden(text)) is not None:
            raise self.fault(f"U+{wrong:04X} is no XML character")
        if text:
            self._strings.setdefault(name, []).append(text)
            self._strings[EVERYWHERE].append(text)
        return text

    def finish(self) -> None:
        """The stream has nothing left but zero bits up to its last octet."""
        if self.pos > self._end:
            raise self.cut()
        if self._end - self.pos >= 8:
            raise self.fault(f"{(self._end - self.pos) >> 3} octets follow the end of the message")
        if self.bits(self._end - self.pos):
            raise self.fault("the bits that fill up the last octet are not zero")

    def mark(self, element: str, value: Any, start: int) -> None:
        """Remembers the bits of an element that a signature may refer to."""
        self.marks.append((element, value, start, self.pos))

    def fault(self, why: str) -> Unreadable:
        """What is wrong here."""
        return Unreadable(why, min(self.pos, self._end))

    def cut(self) -> Unreadable:
        """What is wrong where an IndexError arose: there are no more bits."""
        return self.fault(f"the stream ends too early, after {self._end >> 3} octets")

    def _octets(self, count: int) -> bytes:
        start = self.pos
        stop = start + 8 * count
        if stop > self._end:
            raise self.fault(f"{count} octets are announced, {(self._end - start) >> 3} are left")
        self.pos = stop
        offset = start & 7
        if not offset:
            return self._data[start >> 3 : stop >> 3]
        whole = int.from_bytes(self._data[start >> 3 : (stop >> 3) + 1])
        return (whole >> (8 - offset)).to_bytes(count + 1)[1:]

    def _text(self, length: int) -> str:
        points = [self.unsigned() for _ in range(length)]
        if wrong := [point for point in points if point > 0x10FFFF]:
            raise self.fault(f"{wrong[0]:#x} is no code point")
        return "".join(map(chr, points))

    def _repeated(self, partition: object) -> str:
        """A hit in the string table: we never write one, but a peer that keeps value partitions may."""
        known = self._strings.get(partition, [])
        index = self.bits(max(len(known) - 1, 0).bit_length())
        if index >= len(known):
            raise self.fault("a string repeats one that was never there")
        return known[index]


def forbidden(text: str) -> int | None:
    """The first code point that XML 1.0 does not allow (production 2)."""
    for point in map(ord, text):
        if (point < 0x20 and point not in (0x9, 0xA, 0xD)) or 0xD800 <= point <= 0xDFFF or point in (0xFFFE, 0xFFFF):
            return point
    return None


class Writer:
    """Writes a stream, minimal in every integer and without string table; subclass it to write faults on purpose."""

    __slots__ = ("_done", "_pending", "_width", "facets")

    def __init__(self, *, facets: bool = True) -> None:
        self.facets = facets
        self._done = bytearray()
        self._pending = 0  # bits that are not in an octet yet
        self._width = 0

    def choose(self, state: State, code: int) -> None:
        """An event code; `state.label(code)` says which."""
        self._pending = self._pending << state.width | code
        self._width += state.width

    def bits(self, value: int, width: int) -> None:
        """An unsigned integer of a known width."""
        self._pending = self._pending << width | value
        self._width += width

    def unsigned(self, value: int) -> None:
        """An Unsigned Integer in as few groups of seven bits as it takes."""
        while value > 0x7F:
            self.bits(value & 0x7F | 0x80, 8)
            value >>= 7
        self.bits(value, 8)

    def integer(self, value: int) -> None:
        """An Integer."""
        self.bits(value < 0, 1)
        self.unsigned(-value - 1 if value < 0 else value)

    def binary(self, octets: bytes) -> None:
        """A Binary."""
        self.unsigned(len(octets))
        self.octets(octets)

    def string(self, text: str, name: object) -> None:
        """A String, always in full."""
        self.unsigned(len(text) + _MISSES)
        if text.isascii():
            self.octets(text.encode("ascii"))
        else:
            for point in map(ord, text):
                self.unsigned(point)

    def octets(self, octets: bytes) -> None:
        """Octets as they are, at any bit."""
        width = self._width
        rest = width & 7
        begun = int.from_bytes(self._pending.to_bytes((width + 7) >> 3) + octets)
        self._done += (begun >> rest).to_bytes((width >> 3) + len(octets))
        self._pending = begun & _LAST[rest]
        self._width = rest

    def flush(self) -> None:
        """Puts away the octets that are full."""
        self.octets(b"")

    def copy(self, octets: bytes, start: int, stop: int) -> None:
        """The bits [start, stop) of another stream."""
        whole = int.from_bytes(octets[start >> 3 : (stop + 7) >> 3]) >> (-stop & 7)
        width = stop - start
        self.bits(whole & ((1 << width) - 1), width)

    def finish(self) -> bytes:
        """The whole stream, filled up with zero bits."""
        self.bits(0, -self._width & 7)
        self.flush()
        return bytes(self._done)
