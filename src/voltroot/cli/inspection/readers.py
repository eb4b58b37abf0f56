"""What a file holds: PEM, DER or base64, told apart by looking, become typed values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from voltroot.cli.inspection import documents
from voltroot.cli.inspection.documents import (
    CertificateBag,
    CertificationRequest,
    OcspAnswer,
    Password,
    Pfx,
    PublicHalf,
)
from voltroot.errors import Malformed, Refused
from voltroot.pki import der, ocsp
from voltroot.pki.certificates import Certificate, read_base64
from voltroot.pki.der import SEQUENCE
from voltroot.pki.lists import Crl

Item = Certificate | CertificationRequest | PublicHalf | Pfx | CertificateBag | Crl | OcspAnswer | ocsp.Request

NOTHING_KNOWN = "it is neither PEM nor DER nor base64 of anything known here"


class Contents(NamedTuple):
    """The items of one file, in its order, and how they were written."""

    encoding: str
    items: tuple[Item, ...]

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        """All certificates of the file in its order, those in containers too."""
        return tuple(certificate for item in self.items for certificate in _certificates(item))


def read(data: bytes, passwords: Sequence[Password]) -> Contents:
    """Return what a file holds; Malformed or Refused says in one line why that cannot be told."""
    if not data.strip():
        raise Malformed("it is empty")
    encoding, blocks = _blocks(data)
    items = tuple(_read_item(block, passwords) for block in blocks)
    if not items:
        raise Malformed("it holds no PEM block of a kind known here")
    return Contents(encoding, items)


def _certificates(item: Item) -> Sequence[Certificate]:
    match item:
        case Certificate():
            return (item,)
        case Pfx() | CertificateBag():
            return item.certificates
        case _:
            return ()


def _blocks(data: bytes) -> tuple[str, list[bytes]]:
    """The DER elements of a file, and the name of the encoding that they were found in."""
    text = _text(data)
    if text is None:
        return "DER", _elements(data)
    if "-----BEGIN" in text:
        return "PEM", list(_pem_blocks(text))
    octets = _base64(text)
    if octets.lstrip().startswith(b"-----BEGIN"):  # as in a Kubernetes secret
        return "PEM in base64", list(_pem_blocks(octets.decode("latin-1")))
    return "base64", _elements(octets)


def _elements(octets: bytes) -> list[bytes]:
    if octets[0] != SEQUENCE:  # as all begin that is read here
        raise Malformed(NOTHING_KNOWN)
    try:
        return [element.whole for element in der.children(octets)]
    except Malformed as error:
        raise Malformed(f"its DER cannot be read: {error}") from error


_BYTE_ORDER_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))
_CONTROL = re.compile("[\0-\x08\x0e-\x1f\x7f]")


def _text(data: bytes) -> str | None:
    """The file as text, unwrapped from JSON's quotes and escapes; None where it is none."""
    encoding = next((encoding for mark, encoding in _BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return None
    if _CONTROL.search(text):
        return None
    return _unquoted(text.strip()).replace("\\r", "").replace("\\n", "\n")


def _unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text
    try:
        value = json.loads(text.rstrip(","))
    except ValueError:
        return text.strip('",')
    return value if isinstance(value, str) else text


_BEGIN = re.compile("-----BEGIN ([^-\n]*)-----")


def _pem_blocks(text: str) -> Iterator[bytes]:
    for begin in _BEGIN.finditer(text):
        label, start = begin[1], begin.end()
        end = text.find(f"-----END {label}-----", start)
        if end < 0:
            raise Malformed(f"the PEM block {label[:40]!a} has no END line of its own")
        body = text[start:end]
        if "DEK-Info:" in body:  # RFC 1421, as OpenSSL once wrote it
            raise Refused("this private key is encrypted in the old form: rewrite it with openssl pkcs8 -topk8")
        if label != "EC PARAMETERS":  # openssl ecparam writes one before the key that it belongs to
            yield _one(read_base64(_without_headers(body), f"the PEM block {label}"), label)


def _without_headers(body: str) -> str:
    return "\n".join(line for line in body.splitlines() if ":" not in line)


def _one(octets: bytes, label: str) -> bytes:
    # What follows the first element is OpenSSL's own, in a TRUSTED CERTIFICATE.
    return next(der.children(octets)).whole if label == "TRUSTED CERTIFICATE" and octets else octets


def _base64(text: str) -> bytes:
    compact = "".join(text.split()).translate(str.maketrans("-_", "+/")).rstrip("=")
    if not re.fullmatch("[A-Za-z0-9+/]{4,}", compact) or len(compact) % 4 == 1:
        raise Malformed(NOTHING_KNOWN)
    return read_base64(compact + "=" * (-len(compact) % 4), "the text")


def _read_item(octets: bytes, passwords: Sequence[Password]) -> Item:
    """Read one DER element by the tags of its parts: no two kinds share them."""
    outer = der.read(octets)
    if outer.tag != SEQUENCE:
        raise Malformed("it is no certificate, request, key, PFX, PKCS#7, CRL or OCSP message")
    tags = tuple(part.tag for part in der.children(outer.content))
    match tags:
        case (0x30, 0x30, 0x03):
            return _read_signed(octets)
        case (0x0A, *_):
            return documents.read_ocsp_answer(octets)
        case (0x06, 0xA0):
            return documents.read_bag(octets)
        case (0x02, 0x30) | (0x02, 0x30, 0x30):
            return documents.read_pfx(octets, passwords)
        case (0x02, *_) | (0x30, 0x04):
            return documents.read_private(octets, passwords)
        case (0x30, 0x03):
            return documents.read_public(octets)
        case (0x30,) | (0x30, 0xA0):
            return ocsp.read(octets)
        case _:
            raise Malformed("it is no certificate, request, key, PFX, PKCS#7, CRL or OCSP message")


def _read_signed(octets: bytes) -> Item:
    """Certificates, requests and CRLs look alike from outside: the tags inside what is signed tell."""
    tbs = next(der.children(der.read(octets).content))
    tags = tuple(part.tag for part in der.children(tbs.content))
    match tags:
        case (0x02, 0x30, 0x30) | (0x02, 0x30, 0x30, 0xA0):
            return documents.read_request(octets)
        case (0x02, 0x30, 0x30, 0x17 | 0x18, *_) | (0x30, 0x30, 0x17 | 0x18, *_):
            return Crl.read(octets)
        case _:
            return Certificate.read(octets)
