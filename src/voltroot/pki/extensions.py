"""Reading the extensions of certificates, CRLs and OCSP messages (RFC 5280 4.1)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from voltroot.errors import Malformed
from voltroot.pki import der

USUAL = 128  # octets: hardly any extension has more


class Extension(NamedTuple):
    """One extension as it stands in the certificate: criticality and the octets of its value."""

    critical: bool
    value: bytes


def read_extensions(octets: bytes) -> Iterator[tuple[str, Extension]]:
    """Read the Extensions of a certificate, CRL or OCSP message (RFC 5280 4.1), in order."""
    for extension in der.children(der.read(octets).content):
        read = _read_again if len(extension.content) <= USUAL else _read
        yield read(extension.content)


def _read(content: bytes) -> tuple[str, Extension]:
    oid, *critical, value = der.children(content)
    if value.tag != der.OCTET_STRING or len(critical) > 1:
        raise Malformed("an extension is out of shape")
    return der.read_oid(oid.content), Extension(bool(critical) and critical[0].content != b"\x00", value.content)


# Most extensions of a certificate are those of the one before.
_read_again = lru_cache(maxsize=1024)(_read)
