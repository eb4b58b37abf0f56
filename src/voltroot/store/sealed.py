"""Streams sealed with a passphrase: scrypt for the key, AES-256-GCM over chunks in the STREAM construction.

A sealed file is a head, the seal of the head, and chunks, all of them full but the last:

    head    16 octets magic, version, log2 N, r and p of scrypt, 4 octets size of a chunk, 16 octets salt
    seal    16 octets, the tag of an empty message
    chunk   as many octets as the content, 16 octets tag

Everything is authenticated with the head. The nonce counts (the head's seal is number 0) and ends in 1 for the last
chunk, in 0 for all others (Hoang, Reyhanitabar, Rogaway, Vizár: "Online Authenticated-Encryption and its Nonce-Reuse
Misuse-Resistance", CRYPTO 2015): a chunk that was changed, left out, repeated or moved does not open, nor does a file
that was cut short or added to. The salt makes each file's key its own, so that no nonce is used twice with a key.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from voltroot.errors import Malformed, Refused

MAGIC = b"voltroot sealed\n"
VERSION = 1
SHORTEST = 8

_HEAD = struct.Struct(">16sBBBBI16s")
_TAG = 16
# A head that is not yet known to be genuine must not occupy more than this: 1 GiB for scrypt, 16 MiB for a chunk.
_MOST_MEMORY = 1 << 30
_MOST_PARALLEL = 4
_LARGEST_CHUNK = 1 << 24


@dataclass(frozen=True, slots=True)
class Cost:
    """What opening costs: parameters of scrypt (the default takes 128 MiB), and octets of content in a chunk."""

    log_n: int = 17
    r: int = 8
    p: int = 1
    chunk: int = 1 << 20

    @property
    def is_bearable(self) -> bool:
        """Whether it can be paid before anything is known to be genuine."""
        # RFC 7914 section 2: N is less than 2 to the power of 128 r / 8.
        possible = 1 <= self.log_n < 16 * self.r and 1 <= self.p <= _MOST_PARALLEL and 1 <= self.chunk <= _LARGEST_CHUNK
        return possible and (128 * self.r) << self.log_n <= _MOST_MEMORY


class Sealer:
    """Seals what is written to it; without ``finish`` the file does not open."""

    def __init__(self, file: BinaryIO, passphrase: str, cost: Cost = Cost()) -> None:
        if len(passphrase) < SHORTEST:
            raise Refused(f"this passphrase would protect all keys: it needs {SHORTEST} characters at least")
        salt = secrets.token_bytes(16)
        self._head = _HEAD.pack(MAGIC, VERSION, cost.log_n, cost.r, cost.p, cost.chunk, salt)
        self._cipher = _cipher(passphrase, salt, cost)
        self._file = file
        self._chunk = cost.chunk
        self._waiting = bytearray()
        self._number = 1
        file.write(self._head + self._cipher.encrypt(_nonce(0, last=False), b"", self._head))

    def write(self, octets: bytes) -> None:
        """Take in octets."""
        self._waiting += octets
        # The last chunk is known by nothing following it: a full one waits for that.
        while len(self._waiting) > self._chunk:
            self._put(last=False)

    def finish(self) -> None:
        """Write the last chunk."""
        self._put(last=True)

    def _put(self, *, last: bool) -> None:
        content = bytes(self._waiting[: self._chunk])
        del self._waiting[: self._chunk]
        self._file.write(self._cipher.encrypt(_nonce(self._number, last=last), content, self._head))
        self._number += 1


def unseal(file: BinaryIO, passphrase: str) -> Iterator[bytes]:
    """Yield the content in chunks, each genuine and in its place; Malformed or Refused for anything else.

    That the content is whole is known when the iterator has ended, and not before: keep nothing of it until then.
    """
    head = file.read(_HEAD.size)
    cost, salt = _read_head(head)
    cipher = _cipher(passphrase, salt, cost)
    try:
        cipher.decrypt(_nonce(0, last=False), file.read(_TAG), head)
    except InvalidTag:
        raise Refused("the file does not open: the passphrase is wrong, or the head of the file was changed") from None
    number, piece = 1, file.read(cost.chunk + _TAG)
    while True:
        following = file.read(cost.chunk + _TAG)
        try:
            yield cipher.decrypt(_nonce(number, last=not following), piece, head)
        except InvalidTag:
            raise Refused(f"the file was changed or cut short, at its chunk {number}: use another backup") from None
        if not following:
            return
        number, piece = number + 1, following


def _read_head(head: bytes) -> tuple[Cost, bytes]:
    if len(head) < _HEAD.size or not head.startswith(MAGIC):
        raise Malformed("this is not a backup of Voltroot")
    _, version, log_n, r, p, chunk, salt = _HEAD.unpack(head)
    cost = Cost(log_n, r, p, chunk)
    if version != VERSION:
        raise Malformed(f"this backup is of version {version}, made by a newer Voltroot: restore it with that")
    if not cost.is_bearable:
        raise Malformed("the head of the file was changed: its parameters make no sense")
    return cost, salt


def _cipher(passphrase: str, salt: bytes, cost: Cost) -> AESGCM:
    return AESGCM(Scrypt(salt, 32, 1 << cost.log_n, cost.r, cost.p).derive(passphrase.encode()))


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11) + bytes([last])
