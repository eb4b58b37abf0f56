"""Reading CRLs (RFC 5280 section 5) of any size: what a list says of one certificate costs one pass over its octets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

from voltroot.errors import Malformed
from voltroot.pki import der, names, oids
from voltroot.pki.extensions import Extension, read_extensions
from voltroot.pki.points import Scope, read_scope
from voltroot.pki.signatures import Signed

REMOVE_FROM_CRL = 8
REASONS = (
    "unspecified", "keyCompromise", "cACompromise", "affiliationChanged", "superseded", "cessationOfOperation",
    "certificateHold", "", "removeFromCRL", "privilegeWithdrawn", "aACompromise",
)  # fmt: skip

_UNDERSTOOD = {
    oids.AUTHORITY_KEY_IDENTIFIER,
    oids.CRL_NUMBER,
    oids.DELTA_CRL_INDICATOR,
    oids.ISSUING_DISTRIBUTION_POINT,
    oids.FRESHEST_CRL,
}
# RFC 5280 5.2.1, 5.2.3 to 5.2.6
_CRITICAL = dict.fromkeys(_UNDERSTOOD, False) | {oids.DELTA_CRL_INDICATOR: True, oids.ISSUING_DISTRIBUTION_POINT: True}
_TRUE = re.compile(rb"\x01\x01[^\x00]")  # in whatever octets
_UNDERSTOOD_IN_LINES = {oids.CRL_REASON, oids.CERTIFICATE_ISSUER, oids.INVALIDITY_DATE}


class Line(NamedTuple):
    """One entry: ``issuer`` is the name of the certificate's issuer, where that is not the CRL's."""

    serial: int
    at: datetime
    reason: int | None
    issuer: bytes


@dataclass(frozen=True)
class Crl:
    """A certificate revocation list: its head read, its lines as octets.

    ``number`` is its cRLNumber (RFC 5280 5.2.3), ``base`` that of the list which a delta CRL adds to (5.2.4), None for
    a complete one; ``scope`` is what it covers.
    """

    signed: Signed
    version: int
    inner_algorithm: bytes
    issuer: bytes
    this_update: datetime
    next_update: datetime | None
    time_tags: tuple[int, ...]
    lines: bytes
    extension_list: tuple[tuple[str, Extension], ...]
    number: int | None
    base: int | None
    scope: Scope

    @classmethod
    def read(cls, octets: bytes) -> Crl:
        """Read a CertificateList in DER; raise Malformed for anything else. Its lines are not looked at."""
        try:
            return _read(octets)
        except (ValueError, IndexError, StopIteration) as error:
            raise Malformed("this is not a CRL: its parts are out of shape") from error

    @cached_property
    def extensions(self) -> dict[str, Extension]:
        """The extensions by OID."""
        return dict(self.extension_list)

    @property
    def authority_key_identifier(self) -> bytes | None:
        """The octets of the authorityKeyIdentifier."""
        extension = self.extensions.get(oids.AUTHORITY_KEY_IDENTIFIER)
        return extension.value if extension else None

    @cached_property
    def objection(self) -> str | None:
        """Why the list must not be used, whoever signed it; None where nothing speaks against it."""
        if self.inner_algorithm != self.signed.algorithm:
            return "its signature algorithm is another inside than outside"
        if self.version not in (1, 2):
            return f"its version is {self.version}, which there is not"
        if self.version == 1 and self.extension_list:
            return "it has extensions, but is not of version 2"
        if len(self.extensions) != len(self.extension_list):
            return "an extension stands there twice"
        if self.next_update is None:
            return "it does not say when the next one will be made"
        if self.scope.only_attributes:
            return "it is about attribute certificates"
        unknown = [oid for oid, each in self.extension_list if each.critical and oid not in _UNDERSTOOD]
        unknown += self._odd_lines()
        return f"it has a critical extension that is not understood: {unknown[0]}" if unknown else None

    @property
    def lapse(self) -> str | None:
        """What RFC 5280 section 5 demands of those who issue CRLs, and the list lacks; None where it lacks nothing."""
        for oid, critical in _CRITICAL.items():
            if oid in self.extensions and self.extensions[oid].critical is not critical:
                return f"{oids.name(oid)} {'has to be' if critical else 'must not be'} critical"
        for oid in (oids.AUTHORITY_KEY_IDENTIFIER, oids.CRL_NUMBER):
            if oid not in self.extensions:
                return f"it has no {oids.name(oid)}"
        for tag, moment in zip(self.time_tags, (self.this_update, self.next_update), strict=False):
            if tag == der.GENERALIZED_TIME and moment and moment.year < 2050:
                return f"{moment:%Y-%m-%d} is a GeneralizedTime"
        return None

    def find(self, issuer: bytes, serial: int) -> Line | None:
        """Return what the list says of a certificate, or None."""
        if der.integer(serial)[2:] not in self.lines:
            # The octets of the number stand nowhere in most lists, and looking for them is fast.
            return None
        if not self.scope.indirect:
            return self._find_own(serial) if names.same(self.issuer, issuer) else None
        mine = (line for line in self.entries() if line.serial == serial and names.same(line.issuer, issuer))
        return max(mine, key=lambda line: line.at, default=None)

    def entries(self) -> Iterator[Line]:
        """Yield all lines."""
        issuer = self.issuer
        for start, stop in self._spans():
            line = self._read_line(start, stop, issuer)
            issuer = line.issuer
            yield line

    def _find_own(self, serial: int) -> Line | None:
        for start, stop in self._spans():
            if der.read_integer(self.lines[slice(*der.extent(self.lines, start))]) == serial:
                return self._read_line(start, stop, self.issuer)
        return None

    def _spans(self) -> Iterator[tuple[int, int]]:
        place, end = 0, len(self.lines)
        while place < end:
            start, place = der.extent(self.lines, place)
            yield start, place

    def _read_line(self, start: int, stop: int, issuer: bytes) -> Line:
        serial, at, *rest = der.children(self.lines[start:stop])
        reason = None
        for oid, extension in read_extensions(rest[0].whole) if rest else ():
            if oid == oids.CRL_REASON:
                reason = der.read_integer(der.read(extension.value).content)
            elif oid == oids.CERTIFICATE_ISSUER:
                issuer = _directory_name(extension.value)
        return Line(der.read_integer(serial.content), der.read_time(at), reason, issuer)

    def _odd_lines(self) -> Iterator[str]:
        """Critical extensions of lines that are not understood: a list that has one tells nothing (RFC 5280 5.3)."""
        for start, stop in self._spans() if _TRUE.search(self.lines) else ():
            _serial, _at, *rest = der.children(self.lines[start:stop])
            for oid, extension in read_extensions(rest[0].whole) if rest else ():
                if extension.critical and oid not in _UNDERSTOOD_IN_LINES:
                    yield oid


def reason_name(code: int) -> str:
    """Return the name of a CRLReason (RFC 5280 5.3.1)."""
    return REASONS[code] if 0 <= code < len(REASONS) and REASONS[code] else f"reason {code}"


def _read(octets: bytes) -> Crl:
    tbs, algorithm, signature = der.children(der.read_sequence(octets))
    parts = list(der.children(tbs.content))
    version = der.read_integer(parts.pop(0).content) + 1 if parts[0].tag == der.INTEGER else 1
    inner, issuer, this_update, *rest = parts
    times = (der.UTC_TIME, der.GENERALIZED_TIME)
    next_update = rest.pop(0) if rest and rest[0].tag in times else None
    lines = rest.pop(0) if rest and rest[0].tag == der.SEQUENCE else None
    extensions = rest.pop(0) if rest and rest[0].tag == 0xA0 else None
    if rest:
        raise Malformed("this is not a CRL: its parts are out of shape")
    extension_list = tuple(read_extensions(extensions.content)) if extensions else ()
    values = {oid: extension.value for oid, extension in extension_list}
    scope = values.get(oids.ISSUING_DISTRIBUTION_POINT)
    return Crl(
        signed=Signed(tbs.whole, algorithm.whole, der.read_octets(signature)),
        version=version,
        inner_algorithm=inner.whole,
        issuer=issuer.whole,
        this_update=der.read_time(this_update),
        next_update=der.read_time(next_update) if next_update else None,
        time_tags=tuple(each.tag for each in (this_update, next_update) if each),
        lines=lines.content if lines else b"",
        extension_list=extension_list,
        number=_number(values.get(oids.CRL_NUMBER)),
        base=_number(values.get(oids.DELTA_CRL_INDICATOR)),
        scope=read_scope(scope, issuer.whole) if scope is not None else Scope(),
    )


def _number(value: bytes | None) -> int | None:
    return None if value is None else der.read_integer(der.read(value).content)


def _directory_name(value: bytes) -> bytes:
    for tag, content, _ in der.children(der.read_sequence(value)):
        if tag == 0xA4:
            return content
    raise Malformed("a line of the CRL names no issuer")
