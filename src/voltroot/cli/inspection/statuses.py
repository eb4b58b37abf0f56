"""What says whether certificates are revoked, as values: CRLs (RFC 5280 5) and OCSP answers (RFC 6960)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple, TypeVar

from voltroot.cli.inspection.shapes import inside, parts, read_extensions, read_octets, reads, take, want
from voltroot.errors import Malformed
from voltroot.pki import der, oids, suites
from voltroot.pki.certificates import SIGNATURE_HASHES, Certificate
from voltroot.pki.der import ENUMERATED, GENERALIZED_TIME, INTEGER, SEQUENCE, UTC_TIME, Element
from voltroot.pki.names import Name
from voltroot.pki.ocsp import HASHES, CertID, IssuerHashes

V = TypeVar("V")

REASONS = (
    "unspecified", "keyCompromise", "cACompromise", "affiliationChanged", "superseded", "cessationOfOperation",
    "certificateHold", "", "removeFromCRL", "privilegeWithdrawn", "aACompromise",
)  # fmt: skip
DELTA_CRL = "2.5.29.27"


class Signed(NamedTuple):
    """Octets with the signature over them."""

    tbs: bytes
    oid: str
    signature: bytes

    def by(self, key: suites.PublicKey) -> bool:
        """Whether the signature holds under a key."""
        known = self.oid in SIGNATURE_HASHES
        return known and suites.verify(key, self.signature, self.tbs, SIGNATURE_HASHES[self.oid])


class Revoked(NamedTuple):
    """One line of a CRL."""

    serial: int
    at: datetime
    reason: str | None


@dataclass(frozen=True, slots=True)
class Crl:
    """A certificate revocation list; ``scope`` is what its issuing distribution point says in words."""

    signed: Signed
    issuer: Name
    this_update: datetime
    next_update: datetime | None
    revoked: tuple[Revoked, ...]
    number: int | None
    authority_key_identifier: bytes | None
    addresses: tuple[str, ...]
    scope: tuple[str, ...]
    delta: bool


class Single(NamedTuple):
    """What an OCSP answer says of one certificate."""

    id: CertID
    status: str
    revoked_at: datetime | None
    reason: str | None
    this_update: datetime
    next_update: datetime | None


class OcspStatus(IntEnum):
    """How the responder fared (RFC 6960 4.2.1)."""

    SUCCESSFUL = 0
    MALFORMED_REQUEST = 1
    INTERNAL_ERROR = 2
    TRY_LATER = 3
    SIG_REQUIRED = 5
    UNAUTHORIZED = 6


@dataclass(frozen=True, slots=True)
class OcspBody:
    """A BasicOCSPResponse: ``responder`` is its name or the SHA-1 of its key."""

    signed: Signed
    responder: Name | bytes
    produced_at: datetime
    singles: tuple[Single, ...]
    nonce: bool
    certificates: tuple[Certificate, ...]


@dataclass(frozen=True, slots=True)
class OcspAnswer:
    """An OCSP response; only a successful one has a body."""

    status: OcspStatus
    body: OcspBody | None


@reads("a CRL")
def read_crl(octets: bytes) -> Crl:
    """Read a CertificateList in DER, or raise Malformed."""
    tbs, algorithm, signature = parts(der.read(octets))
    fields = parts(tbs)
    take(fields, INTEGER)
    want(fields, SEQUENCE)
    issuer, this_update = want(fields, SEQUENCE), want(fields, UTC_TIME, GENERALIZED_TIME)
    next_update = take(fields, UTC_TIME, GENERALIZED_TIME)
    revoked, extensions = take(fields, SEQUENCE), take(fields, 0xA0)
    values = read_extensions(inside(extensions)) if extensions else {}
    addresses, scope = _read_scope(values.get(oids.ISSUING_DISTRIBUTION_POINT))
    return Crl(
        signed=_signed(tbs, algorithm, signature),
        issuer=Name.decode(issuer.whole),
        this_update=der.read_time(this_update),
        next_update=der.read_time(next_update) if next_update else None,
        revoked=tuple(map(_read_revoked, der.children(revoked.content))) if revoked else (),
        number=_maybe(values.get(oids.CRL_NUMBER), lambda value: der.read_integer(der.read(value).content)),
        authority_key_identifier=_maybe(values.get(oids.AUTHORITY_KEY_IDENTIFIER), _read_key_identifier),
        addresses=addresses,
        scope=scope,
        delta=DELTA_CRL in values,
    )


@reads("an OCSP answer")
def read_ocsp_answer(octets: bytes) -> OcspAnswer:
    """Read an OCSPResponse in DER, or raise Malformed."""
    fields = parts(der.read(octets))
    status = OcspStatus(der.read_integer(want(fields, ENUMERATED).content))
    answer = take(fields, 0xA0)
    if answer is None:
        if status is OcspStatus.SUCCESSFUL:
            raise Malformed("it claims success and holds no answer")
        return OcspAnswer(status, None)
    kind, body = parts(inside(answer))
    if der.read_oid(kind.content) != oids.OCSP_BASIC:
        raise Malformed("its answer is of a kind other than id-pkix-ocsp-basic")
    return OcspAnswer(status, _read_body(inside(body)))


def _read_body(basic: Element) -> OcspBody:
    data, algorithm, signature, *rest = parts(basic)
    fields = parts(data)
    take(fields, 0xA0)
    responder = want(fields, 0xA1, 0xA2)
    produced_at, singles, extensions = want(fields, GENERALIZED_TIME), want(fields, SEQUENCE), take(fields, 0xA1)
    certificates = parts(inside(rest[0])) if rest else []
    return OcspBody(
        signed=_signed(data, algorithm, signature),
        responder=Name.decode(responder.content) if responder.tag == 0xA1 else inside(responder).content,
        produced_at=der.read_time(produced_at),
        singles=tuple(map(_read_single, parts(singles))),
        nonce=extensions is not None and oids.OCSP_NONCE in read_extensions(inside(extensions)),
        certificates=tuple(Certificate.read(certificate.whole) for certificate in certificates),
    )


def _read_single(single: Element) -> Single:
    fields = parts(single)
    identity, status = want(fields, SEQUENCE), want(fields, 0x80, 0xA1, 0x82)
    this_update, next_update = want(fields, GENERALIZED_TIME), take(fields, 0xA0)
    at, reason = None, None
    if status.tag == 0xA1:
        moment, *given = parts(status)
        at = der.read_time(moment)
        reason = _reason(inside(given[0]).content) if given else None
    return Single(
        id=_read_id(identity),
        status={0x80: "good", 0xA1: "revoked", 0x82: "unknown"}[status.tag],
        revoked_at=at,
        reason=reason,
        this_update=der.read_time(this_update),
        next_update=der.read_time(inside(next_update)) if next_update else None,
    )


def _read_id(identity: Element) -> CertID:
    algorithm, name, key, serial = parts(identity)
    hash_ = HASHES.get(parts(algorithm)[0].whole)
    issuer = IssuerHashes(hash_, name.content, key.content) if hash_ else None
    return CertID(identity.whole, issuer, der.read_integer(serial.content))


def _read_revoked(line: Element) -> Revoked:
    serial, at, *extensions = parts(line)
    reason = read_extensions(extensions[0]).get(oids.CRL_REASON) if extensions else None
    return Revoked(
        der.read_integer(serial.content),
        der.read_time(at),
        _maybe(reason, lambda value: _reason(der.read(value).content)),
    )


def _read_scope(value: bytes | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if value is None:
        return (), ()
    words = {0x81: "user certificates only", 0x82: "CA certificates only", 0x83: "some reasons only", 0x84: "indirect"}
    fields = parts(der.read(value))
    point = take(fields, 0xA0)
    names = parts(inside(point)) if point else []
    addresses = tuple(name.content.decode("ascii", "replace") for name in names if name.tag == 0x86)
    return addresses, tuple(words[part.tag] for part in fields if part.tag in words and part.content != b"\x00")


def _read_key_identifier(value: bytes) -> bytes | None:
    return next((part.content for part in parts(der.read(value)) if part.tag == 0x80), None)


def _reason(content: bytes) -> str:
    return REASONS[der.read_integer(content)]


def _signed(tbs: Element, algorithm: Element, signature: Element) -> Signed:
    return Signed(tbs.whole, der.read_oid(parts(algorithm)[0].content), read_octets(signature))


def _maybe(value: bytes | None, read: Callable[[bytes], V]) -> V | None:
    return None if value is None else read(value)
