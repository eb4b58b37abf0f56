"""Finding certificates in a file, each by itself, so that what is wrong with one hides no other."""

from __future__ import annotations

import binascii
import threading
from collections.abc import Iterator
from typing import NamedTuple

from voltroot.actors.station.admission import read_certificate
from voltroot.errors import Malformed
from voltroot.pki.certificates import Certificate

MOST = 10_000  # certificates that are looked at in one file
_BEGIN = b"-----BEGIN "
_LABELS = (b"CERTIFICATE", b"X509 CERTIFICATE")
_SPACE = b" \t\r\n\x0b\x0c"


class Block(NamedTuple):
    """One certificate and the octets of the file that it takes, or what is wrong there."""

    start: int
    end: int
    certificate: Certificate | None
    fault: str = ""


def is_der(octets: bytes) -> bool:
    """Whether a file is one in DER, which holds one certificate."""
    return octets[:1] == b"\x30" and _BEGIN not in octets


def blocks(octets: bytes) -> Iterator[Block]:
    """Yield every certificate of a file in PEM, or the one of a file in DER, as they are asked for."""
    if is_der(octets):
        yield _read(0, len(octets), octets)
        return
    if octets.strip() and not any(_BEGIN + label in octets for label in _LABELS):
        yield Block(0, 0, None, "it holds no certificate")
        return
    position = 0
    for number in range(MOST + 1):
        start = octets.find(_BEGIN, position)
        if start < 0:
            return
        if number == MOST:
            yield Block(start, len(octets), None, f"it holds more than {MOST} certificates: the rest is not read")
            return
        head = octets.find(b"-----", start + len(_BEGIN), start + len(_BEGIN) + 100)
        label = octets[start + len(_BEGIN) : head]
        tail = b"-----END " + label + b"-----"
        # No further than to the next beginning, so that the work grows with the file and not with its square.
        following = octets.find(_BEGIN, start + 1)
        end = octets.find(tail, head, following if following >= 0 else len(octets)) if head >= 0 else -1
        if end < 0:
            if label in _LABELS or head < 0:
                yield Block(start, start + len(_BEGIN), None, "a certificate in it does not end")
            position = start + len(_BEGIN)
            continue
        position = end + len(tail)
        if label in _LABELS:
            yield _decode(start, position, octets[head + 5 : end])


class Blocks:
    """The certificates of a file, read as far as somebody has asked for them, and kept. Safe among threads."""

    def __init__(self, octets: bytes) -> None:
        self.is_der = is_der(octets)
        self._waiting: Iterator[Block] | None = blocks(octets)
        self._read: list[Block] = []
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Block]:
        place = 0
        while place < len(self._read) or self._more(place):
            yield self._read[place]
            place += 1

    def _more(self, place: int) -> bool:
        with self._lock:
            if place >= len(self._read) and self._waiting is not None:
                following = next(self._waiting, None)
                if following is None:
                    self._waiting = None
                else:
                    self._read.append(following)
            return place < len(self._read)


def without(octets: bytes, gone: list[Block]) -> bytes:
    """Return a file's octets without some of its certificates, and all else as it was."""
    kept, position = [], 0
    for block in gone:
        kept.append(octets[position : block.start])
        position = block.end
        if octets[position : position + 1] == b"\n":
            position += 1
    return b"".join((*kept, octets[position:]))


def joined(octets: bytes, certificate: Certificate) -> bytes:
    """Return a file's octets with one more certificate at the end; a file in DER becomes one in PEM."""
    if is_der(octets):
        octets = "".join(block.certificate.pem for block in blocks(octets) if block.certificate).encode()
    gap = b"" if not octets or octets.endswith(b"\n") else b"\n"
    return octets + gap + certificate.pem.encode()


def _decode(start: int, end: int, body: bytes) -> Block:
    try:
        octets = binascii.a2b_base64(body.translate(None, _SPACE), strict_mode=True)
    except (binascii.Error, ValueError):
        return Block(start, end, None, "a certificate in it is not base64")
    return _read(start, end, octets)


def _read(start: int, end: int, octets: bytes) -> Block:
    try:
        return Block(start, end, read_certificate(octets))
    except Malformed as failure:
        return Block(start, end, None, f"a certificate in it cannot be read: {failure}")
