"""Reading OCSP requests, tolerantly, and writing the answers (RFC 6960, nonce as in RFC 9654)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from itertools import islice
from typing import NamedTuple

from voltroot.errors import Malformed
from voltroot.pki import der, oids, suites
from voltroot.pki.certificates import Certificate
from voltroot.pki.der import Element
from voltroot.pki.drafts import key_bits, key_identifier
from voltroot.pki.ports import Entry, Reason, State
from voltroot.pki.suites import Signer

MOST_IDS = 20
LONGEST_NONCE = 128  # RFC 9654 2.1

HASHES = {
    der.oid("1.3.14.3.2.26"): "sha1",
    der.oid("2.16.840.1.101.3.4.2.1"): "sha256",
    der.oid("2.16.840.1.101.3.4.2.2"): "sha384",
    der.oid("2.16.840.1.101.3.4.2.3"): "sha512",
}

_VERSION, _REQUESTOR, _EXTENSIONS, _SIGNATURE, _SINGLE_EXTENSIONS = 0xA0, 0xA1, 0xA2, 0xA0, 0xA0
_VERSION_1 = der.integer(0)
_NONCE = der.oid(oids.OCSP_NONCE)
_GOOD, _UNKNOWN = der.implicit(0, b""), der.implicit(2, b"")


class ResponseStatus(Enum):
    """OCSPResponseStatus (RFC 6960 4.2.1)."""

    SUCCESSFUL = 0
    MALFORMED_REQUEST = 1
    INTERNAL_ERROR = 2
    TRY_LATER = 3
    UNAUTHORIZED = 6


class CertStatus(StrEnum):
    """What an answer says of one certificate (RFC 6960 2.2)."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


class IssuerHashes(NamedTuple):
    """How a CertID names a CA: the hash, and with it the CA's name and key."""

    hash: str
    name: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class CertID:
    """One certificate that is asked for; ``octets`` are as they came, ``issuer`` is None for a hash not known here."""

    octets: bytes
    issuer: IssuerHashes | None
    serial: int


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks; ``nonce`` is the value of its extension, None where it wants no answer of its own."""

    ids: tuple[CertID, ...]
    nonce: bytes | None


def issuer_hashes(certificate: Certificate) -> Iterator[IssuerHashes]:
    """Yield every way in which a CertID may name a CA (RFC 6960 4.1.1)."""
    for name in HASHES.values():
        of_name = hashlib.new(name, certificate.subject_der, usedforsecurity=False).digest()
        of_key = hashlib.new(name, key_bits(certificate.spki), usedforsecurity=False).digest()
        yield IssuerHashes(name, of_name, of_key)


def read(octets: bytes) -> Request:
    """Read an OCSPRequest of 1 to 20 certificates, or raise Malformed; an optional signature is not looked at."""
    try:
        return _read(octets)
    except (ValueError, IndexError) as error:
        raise Malformed("this is not an OCSP request") from error


def error(status: ResponseStatus) -> bytes:
    """Return an unsigned answer that says only why there is none."""
    return der.sequence(der.enumerated(status.value))


def status(entry: Entry | None) -> CertStatus:
    """Return what is to be said of a certificate on record, or of a serial number that is not."""
    if entry is None:
        return CertStatus.UNKNOWN
    return CertStatus.REVOKED if entry.state is State.REVOKED else CertStatus.GOOD


def make(
    delegate: Certificate,
    signer: Signer,
    request: Request,
    entries: Sequence[Entry | None],
    *,
    this_update: datetime,
    next_update: datetime,
) -> bytes:
    """Return the signed answer on all certificates of a request, in its order (RFC 6960 4.2.1).

    ``delegate`` is the certificate of the signer, which goes along; ``entries`` are what is on record.
    """
    algorithm = suites.suite_of(signer).algorithm
    times = der.generalized_time(this_update), der.explicit(0, der.generalized_time(next_update))
    singles = (
        der.sequence(asked.octets, _status(entry), *times) for asked, entry in zip(request.ids, entries, strict=True)
    )
    data = der.sequence(
        der.explicit(2, der.octet_string(key_identifier(delegate.spki))),
        times[0],
        der.sequence(*singles),
        b"" if request.nonce is None else der.explicit(1, der.sequence(_nonce(request.nonce))),
    )
    signature = der.bit_string(suites.sign(signer, data))
    basic = der.sequence(data, algorithm, signature, der.explicit(0, der.sequence(delegate.der)))
    content = der.sequence(der.oid(oids.OCSP_BASIC), der.octet_string(basic))
    return der.sequence(der.enumerated(ResponseStatus.SUCCESSFUL.value), der.explicit(0, content))


def _status(entry: Entry | None) -> bytes:
    match status(entry):
        case CertStatus.UNKNOWN:
            return _UNKNOWN
        case CertStatus.GOOD:
            return _GOOD
    assert entry is not None, "only what is on record can be revoked"
    assert entry.revoked_at is not None, "a revocation has its time"
    reason = entry.reason or Reason.UNSPECIFIED
    # As in CRLs, an unspecified reason is left out.
    given = b"" if reason is Reason.UNSPECIFIED else der.explicit(0, der.enumerated(reason.value))
    return der.explicit(1, der.generalized_time(entry.revoked_at), given)


def _nonce(value: bytes) -> bytes:
    return der.sequence(_NONCE, der.octet_string(value))


def _read(octets: bytes) -> Request:
    tbs, *signature = _members(der.read(octets))
    if len(signature) > 1 or any(part.tag != _SIGNATURE for part in signature):
        raise Malformed("this is not an OCSP request: something unknown follows its contents")
    parts = list(_members(tbs))
    version = _optional(parts, _VERSION)
    if version is not None and version.content != _VERSION_1:
        raise Malformed("the OCSP request is of an unknown version")
    _optional(parts, _REQUESTOR)
    requests = parts.pop(0)
    extensions = _optional(parts, _EXTENSIONS)
    if parts:
        raise Malformed("this is not an OCSP request: something unknown follows its extensions")
    ids = tuple(map(_cert_id, islice(_members(requests), MOST_IDS + 1)))
    if not 1 <= len(ids) <= MOST_IDS:
        raise Malformed(f"an OCSP request asks for 1 to {MOST_IDS} certificates")
    return Request(ids, _understood(extensions))


def _cert_id(request: Element) -> CertID:
    asked, *rest = _members(request)
    _understood(_optional(rest, _SINGLE_EXTENSIONS))
    if rest:
        raise Malformed("this is not an OCSP request: something unknown follows a CertID")
    algorithm, name, key, serial = _members(asked)
    if (name.tag, key.tag, serial.tag) != (der.OCTET_STRING, der.OCTET_STRING, der.INTEGER):
        raise Malformed("a CertID is out of shape")
    oid, *_parameters = _members(algorithm)
    hash_ = HASHES.get(oid.whole)
    issuer = IssuerHashes(hash_, name.content, key.content) if hash_ else None
    return CertID(asked.whole, issuer, der.read_integer(serial.content))


def _understood(extensions: Element | None) -> bytes | None:
    """Return the nonce among extensions; raise Malformed for a bad one, and for what is critical and unknown."""
    nonce = None
    for extension in _members(der.read(extensions.content)) if extensions else ():
        oid, *critical, value = _members(extension)
        if value.tag != der.OCTET_STRING or len(critical) > 1:
            raise Malformed("an extension is out of shape")
        if oid.whole == _NONCE and nonce is None:
            nonce = _checked_nonce(value.content)
        elif critical and critical[0].content != b"\x00":
            raise Malformed("the OCSP request has a critical extension that is not known here")
    return nonce


def _checked_nonce(value: bytes) -> bytes:
    inner = der.read(value)
    if inner.tag != der.OCTET_STRING or not 1 <= len(inner.content) <= LONGEST_NONCE:
        raise Malformed(f"a nonce has 1 to {LONGEST_NONCE} octets")
    return value


def _optional(parts: list[Element], tag: int) -> Element | None:
    return parts.pop(0) if parts and parts[0].tag == tag else None


def _members(element: Element) -> Iterator[Element]:
    if element.tag != der.SEQUENCE:
        raise Malformed("this is not an OCSP request: a SEQUENCE is missing")
    return der.children(element.content)
