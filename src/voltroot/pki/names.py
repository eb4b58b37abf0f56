"""Distinguished names: parsed, printed, compared and encoded, in every dialect that the APIs use."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import NamedTuple, Self
from unicodedata import normalize

from voltroot.errors import Malformed, Refused
from voltroot.pki import der
from voltroot.pki.der import IA5_STRING, PRINTABLE_STRING, UTF8_STRING, VISIBLE_STRING

RAW = 0  # in place of a tag: the value is "#" and the DER of what is no readable string, in hexadecimal


class _Type(NamedTuple):
    keyword: str
    oid: str
    tag: int
    longest: int
    aliases: tuple[str, ...] = ()


_COUNTRY = "2.5.4.6"
_TYPES = (  # keywords of RFC 4519, bounds of X.520
    _Type("CN", "2.5.4.3", UTF8_STRING, 64, ("commonName",)),
    _Type("C", _COUNTRY, PRINTABLE_STRING, 2, ("countryName",)),
    _Type("O", "2.5.4.10", UTF8_STRING, 64, ("organizationName",)),
    _Type("OU", "2.5.4.11", UTF8_STRING, 64, ("organizationalUnitName",)),
    _Type("DC", "0.9.2342.19200300.100.1.25", IA5_STRING, 63, ("domainComponent",)),
    _Type("L", "2.5.4.7", UTF8_STRING, 128, ("localityName",)),
    _Type("ST", "2.5.4.8", UTF8_STRING, 128, ("S", "stateOrProvinceName")),
    _Type("STREET", "2.5.4.9", UTF8_STRING, 128, ("streetAddress",)),
    _Type("UID", "0.9.2342.19200300.100.1.1", UTF8_STRING, 256, ("userId",)),
    _Type("serialNumber", "2.5.4.5", PRINTABLE_STRING, 64),
    _Type("emailAddress", "1.2.840.113549.1.9.1", IA5_STRING, 255, ("E",)),
    _Type("title", "2.5.4.12", UTF8_STRING, 64, ("T",)),
    _Type("GN", "2.5.4.42", UTF8_STRING, 64, ("givenName",)),
    _Type("SN", "2.5.4.4", UTF8_STRING, 64, ("surname",)),
)
_BY_OID = {row.oid: row for row in _TYPES}
_BY_KEYWORD = {keyword.lower(): row for row in _TYPES for keyword in (row.keyword, *row.aliases)}

_CODECS = dict.fromkeys((PRINTABLE_STRING, IA5_STRING, VISIBLE_STRING, 0x12), "ascii")  # 0x12 NumericString
_CODECS |= {UTF8_STRING: "utf-8", 0x1C: "utf-32-be", 0x1E: "utf-16-be"}  # UniversalString, BMPString
_CODECS |= {0x14: "latin-1"}  # TeletexString, as the field reads it
_ALPHABETS = {PRINTABLE_STRING: re.compile(r"[A-Za-z0-9 '()+,./:=?-]*"), IA5_STRING: re.compile(r"[ -~]*")}
_TWO_LETTERS = re.compile("[A-Za-z]{2}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

_DOTTED = r"(?:[01]\.[1-3]?[0-9]|2\.(?:0|[1-9][0-9]{0,38}))(?:\.(?:0|[1-9][0-9]{0,38}))*"
_TYPE = re.compile(rf" *(?:(?:OID\.)?(?P<oid>{_DOTTED})|(?P<keyword>[A-Z][A-Z0-9-]*)) *= *", re.ASCII | re.IGNORECASE)
_PAIR = r"\\(?:[ \"#+,;<=>\\]|[0-9A-Fa-f]{2})"
_VALUE = re.compile(  # where one branch matches no other does, so that no text takes long
    r"#(?P<hex>(?:[0-9A-Fa-f]{2})+)"
    rf'|"(?P<quoted>(?:[^"\\\0\ud800-\udfff]|{_PAIR})*)"'
    rf'|(?!#)(?P<plain>(?:[^ "+,;<>\\\0\ud800-\udfff]+|{_PAIR}| +(?![ +,;]|\Z))*)'
)
_SEPARATOR = re.compile(r" *([+,;]|\Z)")
_ESCAPED = re.compile(r"((?:\\[0-9A-Fa-f]{2})+)|\\(.)")
_TO_ESCAPE = re.compile(r'[\\"+,;<>]|\A[ #]| \Z')
_TO_IGNORE = re.compile(  # what nobody sees (RFC 4518 2.2)
    "[\xad\u034f\u06dd\u070f\u1806\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2063\u206a-\u206f"
    "\ufe00-\ufe0f\ufeff\ufff9-\ufffc]"
)
_TO_KEEP_APART = re.compile(r"[\\+,]")


@dataclass(frozen=True)
class Attribute:
    """One type and value of a name; the tag is that of the value's string type in DER, or RAW.

    What is worked out of it is kept: most attributes that a CA meets are those of the certificate before.
    """

    oid: str
    value: str
    tag: int = UTF8_STRING

    @property
    def keyword(self) -> str:
        """The keyword of the type, or its dotted identifier where it has none."""
        row = _BY_OID.get(self.oid)
        return row.keyword if row else self.oid

    def __str__(self) -> str:
        if self.tag == RAW:
            return f"{self.keyword}={self.value}"
        if self.oid not in _BY_OID:  # RFC 4514 2.4: a type without a keyword has its value in hexadecimal
            return f"{self.oid}=#{self._encode_value().hex()}"
        return f"{self.keyword}=" + _TO_ESCAPE.sub(r"\\\g<0>", self.value).replace("\0", r"\00")

    @cached_property
    def encoded(self) -> bytes:
        """The AttributeTypeAndValue in DER (RFC 5280 4.1.2.4)."""
        return der.sequence(der.oid(self.oid), self._encode_value())

    @cached_property
    def folded(self) -> str:
        """The form in which pairs compare, whatever their string types (RFC 5280 7.1, X.520 caseIgnoreMatch)."""
        value = self.value
        if self.tag == RAW:
            return self.oid + value
        if value.isascii():
            folded = value.lower()
        else:
            folded = normalize("NFKC", normalize("NFKC", _TO_IGNORE.sub("", value)).casefold())
        folded = " ".join(folded.split())
        return f"{self.oid}=" + _TO_KEEP_APART.sub(r"\\\g<0>", folded)

    @cached_property
    def objection(self) -> str | None:
        """What is wrong with the value and what is allowed, if anything (X.520 upper bounds, X.680 41)."""
        row, size = _BY_OID.get(self.oid), len(self.value)
        if self.tag == RAW:
            return "the value is not a character string"
        if not self.value.strip():
            return "the value is empty"
        if _UNPRINTABLE.search(self.value):
            return "the value holds a control character or half a character"
        if self.oid == _COUNTRY and not _TWO_LETTERS.fullmatch(self.value):
            return "a country code has two letters"
        if row and size > row.longest:
            return f"the value has {size} characters; allowed are 1 to {row.longest}"
        for tag in (self.tag, row.tag if row else self.tag):
            if not _fits(self.value, tag):
                return f"the value holds a character other than {_ALPHABETS[tag].pattern}"
        return None

    def _encode_value(self) -> bytes:
        if self.tag == RAW:
            return bytes.fromhex(self.value[1:])
        return der.tlv(self.tag, self.value.encode(_CODECS[self.tag]))


@dataclass(frozen=True, slots=True)
class Name:
    """A distinguished name: its RDNs in DER order, most often the country first and the common name last."""

    rdns: tuple[tuple[Attribute, ...], ...]

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Self:
        """Return the name of (keyword, value) pairs in DER order; Refused as by check_bounds."""
        name = cls(tuple([(_attribute(_oid(keyword), value),) for keyword, value in pairs]))
        check_bounds(name)
        return name

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the name printed as RFC 4514 or RFC 2253 have it, in reversed DER order; Malformed says where not."""
        rdns: list[tuple[Attribute, ...]] = []
        rdn: list[Attribute] = []
        position, more = 0, bool(text.strip(" "))
        while more:
            attribute, separator, position = _read_pair(text, position)
            rdn.append(attribute)
            if separator != "+":
                rdns.append(tuple(sorted(rdn, key=attrgetter("encoded"))))
                rdn = []
            more = separator != ""
        return cls(tuple(reversed(rdns)))

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the name from its DER; a value that is no readable string is kept RAW; Malformed if no name."""
        return cls(tuple(map(_decode_rdn, _rdns(data))))

    def print(self) -> str:
        """Return the name as RFC 4514 has it: reversed, such as CN=secc001,DC=CPO,O=verisco GmbH,C=DE."""
        return ",".join(["+".join(map(str, rdn)) for rdn in reversed(self.rdns)])

    def __str__(self) -> str:
        return self.print()

    def encode(self) -> bytes:
        """Return the name in DER (RFC 5280 4.1.2.4)."""
        return der.sequence(*[der.set_of(*[pair.encoded for pair in rdn]) for rdn in self.rdns])

    def get(self, keyword: str) -> str | None:
        """Return the most specific value of the type, which is the last in DER order."""
        return next(reversed(self.all(keyword)), None)

    def all(self, keyword: str) -> tuple[str, ...]:
        """Return all values of the type in DER order."""
        oid = _oid(keyword)
        return tuple([pair.value for rdn in self.rdns for pair in rdn if pair.oid == oid])

    def key(self) -> str:
        """Return what is equal for equal names, even with RDNs in another order (RFC 5280 7.1 but for the order)."""
        return ",".join(sorted(map(_fold, self.rdns)))

    def matches(self, other: Name) -> bool:
        """Whether both are one name in a certification path, the order of RDNs counting (RFC 5280 7.1)."""
        return self.rdns == other.rdns or self.folded() == other.folded()

    def folded(self) -> list[str]:
        """Return the RDNs in the form in which they compare."""
        return [*map(_fold, self.rdns)]


def same(one: bytes, other: bytes) -> bool:
    """Whether two names in DER are one in a certification path (RFC 5280 7.1), decoding as little as that takes."""
    if one == other:
        return True
    left, right = _rdns(one), _rdns(other)
    pairs = [pair for pair in zip(reversed(left), reversed(right), strict=False) if pair[0].whole != pair[1].whole]
    return len(left) == len(right) and all(_fold(_decode_rdn(a)) == _fold(_decode_rdn(b)) for a, b in pairs)


def values(name: bytes, keyword: str) -> tuple[str, ...]:
    """Return all values of a type in a name in DER, as Name.all does, decoding nothing else."""
    oid = _oid(keyword)
    marked = [rdn for rdn in _rdns(name) if der.oid(oid) in rdn.content]
    return tuple([pair.value for rdn in marked for pair in _decode_rdn(rdn) if pair.oid == oid])


def check_bounds(name: Name) -> None:
    """Refuse a name that holds what no certificate may, naming the attribute (X.520 upper bounds)."""
    for rdn in name.rdns:
        for pair in rdn:
            if objection := pair.objection:
                raise Refused(f"{pair.keyword}: {objection}")


def _fold(rdn: tuple[Attribute, ...]) -> str:
    return "+".join(sorted([pair.folded for pair in rdn]))


def _oid(keyword: str) -> str:
    if row := _BY_KEYWORD.get(keyword.lower()):
        return row.oid
    raise Malformed(f"{keyword!a} is no attribute type of a name; known are {', '.join(row.keyword for row in _TYPES)}")


@lru_cache(maxsize=1024)
def _attribute(oid: str, value: str) -> Attribute:
    row = _BY_OID.get(oid)
    return Attribute(oid, value, row.tag if row and _fits(value, row.tag) else UTF8_STRING)


def _fits(value: str, tag: int) -> bool:
    return tag not in _ALPHABETS or _ALPHABETS[tag].fullmatch(value) is not None


def _read_pair(text: str, start: int) -> tuple[Attribute, str, int]:
    """Read one pair, the separator after it ("" at the end) and where the next pair starts."""
    kind = _TYPE.match(text, start)
    if kind is None or not (kind["oid"] or kind["keyword"].lower() in _BY_KEYWORD):
        raise _unreadable(text, start, "a known attribute type, or a dotted one, and =")
    value = _VALUE.match(text, kind.end())
    if value is None:
        raise _unreadable(text, kind.end(), "a value")
    separator = _SEPARATOR.match(text, value.end())
    if separator is None:
        raise _unreadable(text, value.end(), "a separator, or a backslash before a special character")
    try:
        attribute = _read_value(kind["oid"] or _oid(kind["keyword"]), value)
    except (UnicodeDecodeError, Malformed) as error:
        raise _unreadable(text, kind.end(), "a value that can be decoded") from error
    return attribute, separator[1], separator.end()


def _read_value(oid: str, value: re.Match[str]) -> Attribute:
    if value["hex"]:
        return _typed(oid, der.read(bytes.fromhex(value["hex"])))
    return _attribute(oid, _ESCAPED.sub(_unescape, value["quoted"] or value["plain"] or ""))


def _unescape(escaped: re.Match[str]) -> str:
    octets, character = escaped.groups()
    return character or bytes.fromhex(octets.replace("\\", "")).decode()


def _unreadable(text: str, at: int, wanted: str) -> Malformed:
    found = ascii(text[at : at + 16]) if at < len(text) else "the end"
    return Malformed(f"the name cannot be read at character {at + 1}: expected {wanted}, found {found}")


def _rdns(data: bytes) -> list[der.Element]:
    return list(der.children(_content(der.read(data), der.SEQUENCE)))


@lru_cache(maxsize=1024)  # most of what a CA reads is what it writes into every certificate
def _decode_rdn(rdn: der.Element) -> tuple[Attribute, ...]:
    if pairs := tuple([_decode_pair(pair) for pair in der.children(_content(rdn, der.SET))]):
        return pairs
    raise Malformed("a relative distinguished name is empty")


def _decode_pair(pair: der.Element) -> Attribute:
    match tuple(der.children(_content(pair, der.SEQUENCE))):
        case (kind, value):
            return _typed(der.read_oid(_content(kind, der.OID)), value)
        case _:
            raise Malformed("an attribute of a name is not a type and a value")


def _typed(oid: str, value: der.Element) -> Attribute:
    try:
        return Attribute(oid, value.content.decode(_CODECS[value.tag]), value.tag)
    except (KeyError, UnicodeDecodeError):
        return Attribute(oid, f"#{value.whole.hex()}", RAW)


def _content(element: der.Element, tag: int) -> bytes:
    if element.tag != tag:
        raise Malformed(f"a name holds an element of tag {element.tag:#04x} in place of {tag:#04x}")
    return element.content
