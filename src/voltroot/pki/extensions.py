"""Reading extensions and what they hold (RFC 5280 4.2): whatever has another shape than its own is Malformed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple, TypeVar

from voltroot.errors import Malformed
from voltroot.pki import der, names

USUAL = 128  # octets: hardly any extension has more
T = TypeVar("T")

EMAIL, DNS, URI, IP, DIRECTORY = 0x81, 0x82, 0x86, 0x87, 0xA4
WORDS = {EMAIL: "e-mail address", DNS: "DNS name", URI: "URI", IP: "IP address", DIRECTORY: "directory name"}
# otherName, x400Address, ediPartyName and registeredID are names too, which nothing here looks into.
_FORMS = {0xA0, EMAIL, DNS, 0xA3, DIRECTORY, 0xA5, URI, IP, 0x88}


class Extension(NamedTuple):
    """One extension as it stands in the certificate: criticality and the octets of its value."""

    critical: bool
    value: bytes


class GeneralName(NamedTuple):
    """One name (RFC 5280 4.2.1.6): its tag, and its content as it stands; of a directory name the DER of the name."""

    tag: int
    content: bytes

    def matches(self, other: GeneralName) -> bool:
        """Whether both are one name, directory names compared as RFC 5280 7.1 has it."""
        if self.tag == other.tag == DIRECTORY:
            return names.same(self.content, other.content)
        return self == other


def remembering(read: Callable[[bytes], T]) -> Callable[[bytes], T]:
    """Make a reader of octets remember what it has read: most extensions of a certificate are those of the last one."""
    again = lru_cache(maxsize=1024)(read)
    return lambda octets: again(octets) if len(octets) <= USUAL else read(octets)


def read_extensions(octets: bytes) -> Iterator[tuple[str, Extension]]:
    """Read the Extensions of a certificate, CRL or OCSP message (RFC 5280 4.1), in order."""
    return (_read(extension.content) for extension in der.children(der.read_sequence(octets)))


@remembering
def read_basic_constraints(value: bytes) -> tuple[bool, int | None]:
    """Return cA and pathLenConstraint (RFC 5280 4.2.1.9)."""
    parts = [*der.children(der.read_sequence(value))]
    is_ca = read_boolean(parts.pop(0)) if parts and parts[0].tag == der.BOOLEAN else False
    length = der.read_integer(parts.pop(0).content) if parts and parts[0].tag == der.INTEGER else None
    if parts or (length or 0) < 0:
        raise Malformed("basicConstraints are out of shape")
    return is_ca, length


@remembering
def read_key_usage(value: bytes) -> int:
    """Return keyUsage as a 16-bit value, digitalSignature the highest bit (RFC 5280 4.2.1.3)."""
    return der.read_named_bits(_of(der.BIT_STRING, value))


@remembering
def read_purposes(value: bytes) -> tuple[str, ...]:
    """Return the purposes of an extKeyUsage (RFC 5280 4.2.1.12)."""
    return tuple([read_oid(part) for part in _some(der.read_sequence(value))])


def read_subject_key_identifier(value: bytes) -> bytes:
    """Return the octets of a subjectKeyIdentifier (RFC 5280 4.2.1.2)."""
    return _of(der.OCTET_STRING, value)


@remembering
def read_authority_key_identifier(value: bytes) -> bytes | None:
    """Return the keyIdentifier of an authorityKeyIdentifier, if it has one (RFC 5280 4.2.1.1)."""
    parts = {part.tag: part.content for part in der.children(der.read_sequence(value))}
    if parts.keys() - {0x80, 0xA1, 0x82}:
        raise Malformed("an authorityKeyIdentifier is out of shape")
    return parts.get(0x80)


def read_names(content: bytes) -> list[GeneralName]:
    """Return the names that follow one another in the content of GeneralNames, each of a known form."""
    return [read_name(part) for part in der.children(content)]


def read_alternative_names(value: bytes) -> list[GeneralName]:
    """Return the names of a subjectAltName (RFC 5280 4.2.1.6)."""
    found = [read_name(part) for part in _some(der.read_sequence(value))]
    for tag, content in found:
        if not content or (tag == IP and len(content) not in (4, 16)):
            raise Malformed(f"a {WORDS.get(tag, 'name')} has {len(content)} octets")
        if tag == DIRECTORY:
            names.Name.decode(content)
    return found


@remembering
def read_access(value: bytes) -> tuple[tuple[str, GeneralName], ...]:
    """Return methods and locations of an authorityInfoAccess (RFC 5280 4.2.2.1)."""
    pairs = (der.children(der.read_sequence(part.whole)) for part in _some(der.read_sequence(value)))
    return tuple([(read_oid(method), read_name(location)) for method, location in pairs])


def read_name(part: der.Element) -> GeneralName:
    """Return a GeneralName, of one of the forms that there are."""
    tag, content, _ = part
    if tag not in _FORMS:
        raise Malformed(f"an element of tag {tag:#04x} stands in place of a name")
    if tag in (EMAIL, DNS, URI) and not content.isascii():
        raise Malformed(f"a {WORDS[tag]} is not ASCII")
    return GeneralName(tag, content)


def read_oid(element: der.Element) -> str:
    """Return the dotted form of an OBJECT IDENTIFIER."""
    if element.tag != der.OID:
        raise Malformed(f"an element of tag {element.tag:#04x} stands in place of an object identifier")
    return der.read_oid(element.content)


def read_boolean(element: der.Element) -> bool:
    """Return a BOOLEAN, every octet but 0 of which is TRUE."""
    if element.tag != der.BOOLEAN or len(element.content) != 1:
        raise Malformed("a BOOLEAN is out of shape")
    return element.content != b"\x00"


def _some(content: bytes) -> list[der.Element]:
    if parts := [*der.children(content)]:
        return parts
    raise Malformed("it is empty, where at least one element stands")


def _of(tag: int, value: bytes) -> bytes:
    element = der.read(value)
    if element.tag != tag:
        raise Malformed(f"an element of tag {element.tag:#04x} stands in place of {tag:#04x}")
    return element.content


@remembering
def _read(content: bytes) -> tuple[str, Extension]:
    oid, *critical, value = der.children(content)
    if value.tag != der.OCTET_STRING or len(critical) > 1:
        raise Malformed("an extension is out of shape")
    return read_oid(oid), Extension(bool(critical) and read_boolean(critical[0]), value.content)
