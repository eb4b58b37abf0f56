"""Reading the extensions of certificates, CRLs and OCSP messages (RFC 5280 4.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple, TypeVar

from voltroot.errors import Malformed
from voltroot.pki import der

USUAL = 128  # octets: hardly any extension has more
T = TypeVar("T")


class Extension(NamedTuple):
    """One extension as it stands in the certificate: criticality and the octets of its value."""

    critical: bool
    value: bytes


def remembering(read: Callable[[bytes], T]) -> Callable[[bytes], T]:
    """Make a reader of octets remember what it has read: most extensions of a certificate are those of the last one."""
    again = lru_cache(maxsize=1024)(read)
    return lambda octets: again(octets) if len(octets) <= USUAL else read(octets)


def read_extensions(octets: bytes) -> Iterator[tuple[str, Extension]]:
    """Read the Extensions of a certificate, CRL or OCSP message (RFC 5280 4.1), in order."""
    return (_read(extension.content) for extension in der.children(der.read(octets).content))


@remembering
def read_basic_constraints(value: bytes) -> tuple[bool, int | None]:
    """Return cA and pathLenConstraint (RFC 5280 4.2.1.9)."""
    is_ca, length = False, None
    for tag, content, _ in der.children(der.read(value).content):
        if tag == der.BOOLEAN:
            is_ca = content != b"\x00"
        elif tag == der.INTEGER:
            length = der.read_integer(content)
    return is_ca, length


@remembering
def read_key_usage(value: bytes) -> int:
    """Return keyUsage as a 16-bit value, digitalSignature the highest bit (RFC 5280 4.2.1.3)."""
    return der.read_named_bits(der.read(value).content)


@remembering
def read_authority_key_identifier(value: bytes) -> bytes | None:
    """Return the keyIdentifier of an authorityKeyIdentifier, if it has one (RFC 5280 4.2.1.1)."""
    return next((part.content for part in der.children(der.read(value).content) if part.tag == 0x80), None)


@remembering
def _read(content: bytes) -> tuple[str, Extension]:
    oid, *critical, value = der.children(content)
    if value.tag != der.OCTET_STRING or len(critical) > 1:
        raise Malformed("an extension is out of shape")
    return der.read_oid(oid.content), Extension(bool(critical) and critical[0].content != b"\x00", value.content)
