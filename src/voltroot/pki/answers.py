"""Reading OCSP answers (RFC 6960 4.2)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import islice
from typing import NamedTuple

from voltroot.errors import Malformed
from voltroot.pki import der, names, oids
from voltroot.pki.certificates import Certificate
from voltroot.pki.der import Element
from voltroot.pki.drafts import key_bits
from voltroot.pki.extensions import Extension, read_extensions
from voltroot.pki.ocsp import HASHES, CertID, CertStatus, IssuerHashes
from voltroot.pki.signatures import Signed

MOST_CERTIFICATES = 8

_STATES = {0x80: CertStatus.GOOD, 0xA1: CertStatus.REVOKED, 0x82: CertStatus.UNKNOWN}
_UNDERSTOOD = {oids.OCSP_NONCE}


class Single(NamedTuple):
    """What an answer says of one certificate."""

    id: CertID
    state: CertStatus
    revoked_at: datetime | None
    reason: int | None
    this_update: datetime
    next_update: datetime | None
    extensions: tuple[tuple[str, Extension], ...]

    def speaks_of(self, certificate: Certificate, issuer: Certificate) -> bool:
        """Whether this is about a certificate of an issuer (RFC 6960 4.1.1)."""
        return self.is_about(certificate.serial, certificate.issuer_der, issuer)

    def is_about(self, serial: int, name: bytes, issuer: Certificate) -> bool:
        """Whether this is about a serial number of an issuer, whose name the certificate writes in this way."""
        named = self.id.issuer
        if named is None or self.id.serial != serial:
            return False
        parts = ((named.name, name), (named.key, key_bits(issuer.spki)))
        return all(hashlib.new(named.hash, own, usedforsecurity=False).digest() == given for given, own in parts)


@dataclass(frozen=True)
class Answer:
    """A BasicOCSPResponse; ``responder`` is the name in DER or the SHA-1 of the key of who signed it."""

    signed: Signed
    responder_name: bytes | None
    responder_key: bytes | None
    produced_at: datetime
    singles: tuple[Single, ...]
    extensions: tuple[tuple[str, Extension], ...]
    certificate_octets: tuple[bytes, ...]

    @cached_property
    def certificates(self) -> tuple[Certificate, ...]:
        """The certificates that came along."""
        return tuple(map(Certificate.read, self.certificate_octets))

    def is_by(self, certificate: Certificate) -> bool:
        """Whether the answer names a certificate's holder as its responder."""
        if self.responder_name is not None:
            return names.same(self.responder_name, certificate.subject_der)
        return self.responder_key == hashlib.sha1(key_bits(certificate.spki), usedforsecurity=False).digest()

    def objection(self, single: Single) -> str | None:
        """Return which extension forbids the use of what is said of a certificate (RFC 6960 4.4), if any does."""
        for oid, extension in (*self.extensions, *single.extensions):
            if extension.critical and oid not in _UNDERSTOOD:
                return f"it has a critical extension that is not understood: {oid}"
        return None


def read(octets: bytes) -> Answer:
    """Read an OCSPResponse in DER; raise Malformed for anything else, and where the responder gave no answer."""
    try:
        return _read(octets)
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise Malformed("this is not an OCSP answer: its parts are out of shape") from error


def _read(octets: bytes) -> Answer:
    status, *rest = der.children(der.read_sequence(octets))
    if status.tag != der.ENUMERATED or status.content != b"\x00" or len(rest) != 1:
        raise Malformed("this is not the answer of an OCSP responder that had one")
    kind, body = der.children(der.read_sequence(rest[0].content))
    if der.read_oid(kind.content) != oids.OCSP_BASIC:
        raise Malformed("this OCSP answer is of another kind than id-pkix-ocsp-basic")
    data, algorithm, signature, *certificates = der.children(der.read_sequence(body.content))
    parts = [part for part in der.children(data.content) if part.tag != 0xA0]
    responder, produced_at, singles, *extensions = parts
    along = der.children(der.read_sequence(certificates[0].content)) if certificates else iter(())
    return Answer(
        signed=Signed(data.whole, algorithm.whole, der.read_octets(signature)),
        responder_name=responder.content if responder.tag == 0xA1 else None,
        responder_key=der.read(responder.content).content if responder.tag == 0xA2 else None,
        produced_at=der.read_time(produced_at),
        singles=tuple(_single(part) for part in der.children(singles.content)),
        extensions=tuple(read_extensions(extensions[0].content)) if extensions else (),
        certificate_octets=tuple(part.whole for part in islice(along, MOST_CERTIFICATES)),
    )


def _single(single: Element) -> Single:
    identity, status, this_update, *rest = der.children(single.content)
    optional = {part.tag: part.content for part in rest}
    at, reason = None, None
    if status.tag == 0xA1:
        moment, *given = der.children(status.content)
        at = der.read_time(moment)
        reason = der.read_integer(der.read(given[0].content).content) if given else None
    return Single(
        id=_read_id(identity),
        state=_STATES[status.tag],
        revoked_at=at,
        reason=reason,
        this_update=der.read_time(this_update),
        next_update=der.read_time(der.read(optional[0xA0])) if 0xA0 in optional else None,
        extensions=tuple(read_extensions(optional[0xA1])) if 0xA1 in optional else (),
    )


def _read_id(identity: Element) -> CertID:
    algorithm, name, key, serial = der.children(identity.content)
    oid, *_parameters = der.children(algorithm.content)
    hash_ = HASHES.get(oid.whole)
    issuer = IssuerHashes(hash_, name.content, key.content) if hash_ else None
    return CertID(identity.whole, issuer, der.read_integer(serial.content))
