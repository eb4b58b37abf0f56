"""Writing and reading DER (ITU-T X.690): the few types that certificates, CRLs and OCSP answers are made of."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from voltroot.errors import Malformed

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, NULL, OID = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
ENUMERATED, UTF8_STRING, SEQUENCE, SET = 0x0A, 0x0C, 0x30, 0x31
PRINTABLE_STRING, IA5_STRING, UTC_TIME, GENERALIZED_TIME, VISIBLE_STRING = 0x13, 0x16, 0x17, 0x18, 0x1A

DEEPEST = 32  # elements within elements that are looked at

TRUE = b"\x01\x01\xff"
NULL_VALUE = b"\x05\x00"


def tlv(tag: int, *parts: bytes) -> bytes:
    """Return one element with the given identifier octet around the joined parts."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def sequence(*parts: bytes) -> bytes:
    """Return a SEQUENCE of encoded elements."""
    return tlv(SEQUENCE, *parts)


def set_of(*parts: bytes) -> bytes:
    """Return a SET OF, its elements in DER order (X.690 11.6)."""
    return tlv(SET, *sorted(parts))


def explicit(number: int, *parts: bytes) -> bytes:
    """Return a constructed context-specific element."""
    return tlv(0xA0 | number, *parts)


def implicit(number: int, content: bytes) -> bytes:
    """Return a primitive context-specific element."""
    return tlv(0x80 | number, content)


def integer(value: int) -> bytes:
    """Return an INTEGER in the least number of octets (X.690 8.3.2)."""
    size = (value if value >= 0 else ~value).bit_length() // 8 + 1
    return tlv(INTEGER, value.to_bytes(size, "big", signed=True))


def enumerated(value: int) -> bytes:
    """Return an ENUMERATED of a small value."""
    return bytes((ENUMERATED, 1, value))


def octet_string(content: bytes) -> bytes:
    """Return an OCTET STRING."""
    return tlv(OCTET_STRING, content)


def bit_string(content: bytes, unused: int = 0) -> bytes:
    """Return a BIT STRING whose last octet has the given number of unused bits."""
    return tlv(BIT_STRING, bytes((unused,)), content)


def named_bits(value: int) -> bytes:
    """Return a BIT STRING of named bits, bit 0 the highest of a 16-bit value, trailing zeros cut (X.690 11.2.2)."""
    content = value.to_bytes(2, "big").rstrip(b"\x00")
    unused = (content[-1] & -content[-1]).bit_length() - 1 if content else 0
    return bit_string(content, unused)


@lru_cache(maxsize=512)
def oid(dotted: str) -> bytes:
    """Return an OBJECT IDENTIFIER from its dotted form."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    return tlv(OID, *(_base128(arc) for arc in (first * 40 + second, *rest)))


@lru_cache(maxsize=128)  # certificates of one second have their times in common
def time(moment: datetime, *, generalized_only: bool = False) -> bytes:
    """Return a Time to the second: UTCTime before 2050, GeneralizedTime from then on (RFC 5280 4.1.2.5)."""
    moment = moment.astimezone(UTC)
    if moment.year < 2050 and not generalized_only:
        return tlv(UTC_TIME, moment.strftime("%y%m%d%H%M%SZ").encode())
    return generalized_time(moment)


def generalized_time(moment: datetime) -> bytes:
    """Return a GeneralizedTime to the second."""
    moment = moment.astimezone(UTC)
    return tlv(GENERALIZED_TIME, f"{moment.year:04}{moment:%m%d%H%M%SZ}".encode())


class Element(NamedTuple):
    """One element as read: its identifier octet, its content, and the octets of the whole."""

    tag: int
    content: bytes
    whole: bytes


def read(data: bytes) -> Element:
    """Read the one element that the octets hold, or raise Malformed."""
    size = len(data) - 2
    if 0 <= size < 0x80 and data[1] == size:  # as most are
        return Element(data[0], data[2:], data)
    element, end = _element(data, 0)
    if end != len(data):
        raise Malformed(f"{len(data) - end} octets follow the end of the ASN.1 element")
    return element


def read_sequence(data: bytes) -> bytes:
    """Return the content of the one SEQUENCE that the octets hold, or raise Malformed."""
    element = read(data)
    if element.tag != SEQUENCE:
        raise Malformed(f"an element of tag {element.tag:#04x} stands in place of a SEQUENCE")
    return element.content


def children(content: bytes) -> Iterator[Element]:
    """Read the elements that follow one another in the content of a constructed element."""
    offset, end = 0, len(content)
    while offset < end:
        # Most elements have a tag and a length of one octet each.
        start = offset + 2
        if start <= end and (size := content[offset + 1]) < 0x80 and (stop := start + size) <= end:
            yield Element(content[offset], content[start:stop], content[offset:stop])
            offset = stop
        else:
            element, offset = _element(content, offset)
            yield element


@lru_cache(maxsize=1024)
def read_oid(content: bytes) -> str:
    """Return the dotted form of an OBJECT IDENTIFIER's content."""
    if not content or content[-1] & 0x80:
        raise Malformed("an object identifier breaks off")
    if len(content) > 64:
        raise Malformed("an object identifier is longer than any that is in use")
    arcs, value = [], 0
    for octet in content:
        if octet == 0x80 and not value:
            raise Malformed("an object identifier is padded")
        value = value << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def read_integer(content: bytes) -> int:
    """Return the value of an INTEGER's content."""
    if not content:
        raise Malformed("an integer has no octets")
    if len(content) > 128:  # the number could not be printed
        raise Malformed("an integer is longer than any that is in use")
    return int.from_bytes(content, "big", signed=True)


def read_named_bits(content: bytes) -> int:
    """Return a BIT STRING of named bits as a 16-bit value, bit 0 the highest."""
    if not content or content[0] > (7 if len(content) > 1 else 0):
        raise Malformed("a bit string is out of shape")
    used = int.from_bytes(content[1:], "big") >> content[0] << content[0]  # What is not in use says nothing.
    return used >> 8 * (len(content) - 3) if len(content) > 3 else used << 8 * (3 - len(content))


def read_octets(element: Element) -> bytes:
    """Return the octets of a BIT STRING; none where it is not one of whole octets, as every signature and key is."""
    return element.content[1:] if element.tag == BIT_STRING and element.content[:1] == b"\x00" else b""


@lru_cache(maxsize=1024)
def read_time(element: Element) -> datetime:
    """Return a UTCTime or GeneralizedTime of the forms that RFC 5280 4.1.2.5 allows."""
    tag, content, _ = element
    if tag == UTC_TIME:
        content = (b"19" if content >= b"50" else b"20") + content
    elif tag != GENERALIZED_TIME:
        raise Malformed(f"a time has the tag {tag:#04x}")
    try:
        if len(content) != 15 or content[14:] != b"Z" or not content[:14].isdigit():
            raise ValueError
        text = content.decode("ascii")
        return datetime.fromisoformat(f"{text[:8]}T{text[8:]}")
    except ValueError as error:
        raise Malformed("a time is not in the form YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ") from error


def deviation(data: bytes, depth: int = 0) -> str | None:
    """Return how elements depart from DER, or None where they do not (X.690 8.3.2, 10.1, 11.1, 11.2)."""
    if depth > DEEPEST:
        return "elements are nested too deeply"
    place = 0
    while place < len(data):
        start, end = extent(data, place)
        tag, content, size = data[place], data[start:end], end - start
        if start - place != 2 + (0 if size < 0x80 else (size.bit_length() + 7) // 8):
            return "a length has more octets than it needs"
        found = deviation(content, depth + 1) if tag & 0x20 else _lapse(tag, content)
        if found:
            return found
        place = end
    return None


def _lapse(tag: int, content: bytes) -> str | None:
    if tag == BOOLEAN and content != b"\xff":
        # Every BOOLEAN of a certificate is FALSE by default, and what is default is left away (X.690 11.5).
        return "a BOOLEAN is written in another way than as TRUE"
    if tag in (INTEGER, ENUMERATED) and len(content) > 1 and content[0] == (0x00, 0xFF)[content[1] >> 7]:
        return "an INTEGER has more octets than it needs"
    if tag == BIT_STRING and content[-1] & (1 << content[0]) - 1 & 0xFF:
        return "a BIT STRING has unused bits that are set"
    return None


def extent(data: bytes, start: int) -> tuple[int, int]:
    """Return where the content of the element at ``start`` begins and ends, or raise Malformed."""
    try:
        tag, size = data[start], data[start + 1]
        offset = start + 2
        if size >= 0x80:
            count = size & 0x7F
            if not 1 <= count <= 4 or tag & 0x1F == 0x1F:
                raise Malformed("an ASN.1 length or tag is of a form that certificates do not use")
            offset += count
            if offset > len(data):
                raise IndexError
            size = int.from_bytes(data[offset - count : offset], "big")
    except IndexError as error:
        raise Malformed("an ASN.1 element breaks off in its head") from error
    if offset + size > len(data):
        raise Malformed("an ASN.1 element breaks off before its end")
    return offset, offset + size


def _element(data: bytes, start: int) -> tuple[Element, int]:
    offset, end = extent(data, start)
    return Element(data[start], data[offset:end], data[start:end]), end


def _base128(value: int) -> bytes:
    octets = [value & 0x7F]
    while value := value >> 7:
        octets.append(0x80 | value & 0x7F)
    return bytes(reversed(octets))
