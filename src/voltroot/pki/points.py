"""Where CRLs are published (cRLDistributionPoints) and what they cover (issuingDistributionPoint)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

from voltroot.errors import Malformed
from voltroot.pki import der
from voltroot.pki.extensions import DIRECTORY, GeneralName, read_names

MOST_NAMES = 32  # of one distribution point

_POINT, _FULL_NAME, _RELATIVE_NAME = 0xA0, 0xA0, 0xA1


class Reasons(IntFlag):
    """ReasonFlags (RFC 5280 4.2.1.13) as the bits of sixteen; the first is not in use."""

    NONE = 0
    ALL = 0x7F80


@dataclass(frozen=True, slots=True)
class DistributionPoint:
    """Where a CRL for a certificate may be found (RFC 5280 4.2.1.13); ``issuers`` name another issuer than the CA."""

    names: tuple[GeneralName, ...] = ()
    reasons: Reasons = Reasons.ALL
    issuers: tuple[GeneralName, ...] = ()


@dataclass(frozen=True, slots=True)
class Scope:
    """What a CRL covers (RFC 5280 5.2.5); ``names`` are None where it says nothing of its place."""

    names: tuple[GeneralName, ...] | None = None
    only_users: bool = False
    only_cas: bool = False
    only_attributes: bool = False
    reasons: Reasons = Reasons.ALL
    indirect: bool = False

    def has_place(self, point: DistributionPoint) -> bool:
        """Whether the CRL is the one for a distribution point (RFC 5280 6.3.3 (b)(2)(i))."""
        if self.names is None:
            return True
        wanted = point.names or point.issuers
        return any(own.matches(other) for own in self.names for other in wanted)


def read_points(value: bytes, issuer: bytes) -> tuple[DistributionPoint, ...]:
    """Read cRLDistributionPoints or freshestCRL of a certificate; ``issuer`` is its issuer's name."""
    return tuple(_read_point(part.content, issuer) for part in der.children(der.read_sequence(value)))


def read_scope(value: bytes, issuer: bytes) -> Scope:
    """Read the issuingDistributionPoint of a CRL; ``issuer`` is the CRL issuer's name."""
    parts = _parts(der.read_sequence(value))
    return Scope(
        names=_names(parts[_POINT], issuer) if _POINT in parts else None,
        only_users=_flag(parts.get(0x81)),
        only_cas=_flag(parts.get(0x82)),
        only_attributes=_flag(parts.get(0x85)),
        reasons=_reasons(parts.get(0x83)),
        indirect=_flag(parts.get(0x84)),
    )


def _read_point(content: bytes, issuer: bytes) -> DistributionPoint:
    parts = _parts(content)
    issuers = tuple(read_names(parts.get(0xA2, b"")))
    # A relative name is relative to the CRL issuer, which is the CA unless another is named.
    above = next((name.content for name in issuers if name.tag == DIRECTORY), issuer)
    names = _names(parts[_POINT], above) if _POINT in parts else ()
    if not names and not issuers:
        raise Malformed("a distribution point has neither a name nor an issuer")
    return DistributionPoint(names, _reasons(parts.get(0x81)), issuers)


def _names(content: bytes, issuer: bytes) -> tuple[GeneralName, ...]:
    name = der.read(content)
    if name.tag == _FULL_NAME:
        names = tuple(read_names(name.content))
        if len(names) > MOST_NAMES:
            raise Malformed(f"a distribution point has {len(names)} names, more than {MOST_NAMES}")
        return names
    if name.tag != _RELATIVE_NAME:
        raise Malformed("the name of a distribution point is out of shape")
    rdn = der.tlv(der.SET, name.content)
    return (GeneralName(DIRECTORY, der.sequence(der.read_sequence(issuer), rdn)),)


def _parts(content: bytes) -> dict[int, bytes]:
    return {tag: content for tag, content, _ in der.children(content)}


def _flag(content: bytes | None) -> bool:
    return content is not None and content != b"\x00"


def _reasons(content: bytes | None) -> Reasons:
    return Reasons.ALL if content is None else Reasons(der.read_named_bits(content)) & Reasons.ALL
