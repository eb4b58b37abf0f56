"""Signed checkpoints of the audit log, and the file outside the database that keeps them as well."""

from __future__ import annotations

import fcntl
import os
from base64 import b64encode
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from voltroot.decoding import UNREADABLE
from voltroot.errors import Malformed, Refused
from voltroot.pki import suites
from voltroot.pki.suites import P256_SHA256, PublicKey, Signer

# The label of the key that signs.
LABEL = "audit"
# What the file keeps of the hash of each leaf: enough to say which one it is, where a root says that one is wrong.
HEAD = 4
# The end of the file that holds its last line for certain.
_TAIL = 1 << 18


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The root of the log when it had ``size`` entries, in a second since 1970, signed with the audit key."""

    origin: str
    size: int
    root: bytes
    at: int
    signature: bytes = b""

    @property
    def text(self) -> str:
        """What is signed: origin, size, root in base64 and time, a line each (C2SP tlog-checkpoint)."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n{self.at}\n"

    def signed(self, signer: Signer) -> Checkpoint:
        """Return the checkpoint with its signature."""
        return replace(self, signature=suites.sign(signer, self.text.encode()))

    def is_signed_by(self, key: PublicKey) -> bool:
        """Whether just this was signed with the audit key."""
        return self.origin == origin(key) and suites.verify(key, self.signature, self.text.encode(), P256_SHA256.hash)


def origin(key: PublicKey) -> str:
    """Return the name of the log that a key signs for; no two are alike."""
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"voltroot/audit/{sha256(spki).hexdigest()[:32]}"


class Line(msgspec.Struct, frozen=True):
    """One line of the file: a checkpoint, and the heads of the leaves' hashes from entry ``first`` up to its size."""

    checkpoint: Checkpoint
    first: int
    leaves: bytes

    @classmethod
    def of(cls, checkpoint: Checkpoint, first: int, leaves: Iterable[bytes]) -> Line:
        """Return the line of a checkpoint and the hashes of the leaves that it added."""
        return cls(checkpoint, first, b"".join(leaf[:HEAD] for leaf in leaves))

    def head(self, entry: int) -> bytes | None:
        """Return the first octets of the hash of an entry's leaf, None where another line has it."""
        place = (entry - self.first) * HEAD
        return self.leaves[place : place + HEAD] or None if place >= 0 else None


def read_line(octets: bytes) -> Line:
    """Return a line of the file, or raise Malformed."""
    try:
        return msgspec.json.decode(octets, type=Line)
    except UNREADABLE as error:
        raise Malformed("this is no checkpoint of an audit log") from error


def read_lines(path: Path) -> Iterator[Line]:
    """Read a file of checkpoints, or raise Malformed; a last line that is being written is left out."""
    with path.open("rb") as file:
        for number, octets in enumerate(file, start=1):
            if octets.endswith(b"\n"):
                try:
                    yield read_line(octets)
                except Malformed as error:
                    raise Malformed(f"{path}, line {number}: {error}") from error


class Outside:
    """The file outside the database: a JSON object a line. Processes take turns at it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Open the file so that nobody else writes to it meanwhile."""
        with self._path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file

    def newest(self, file: BinaryIO) -> Checkpoint | None:
        """Return the last checkpoint; a line behind it that a crash left half written is taken away."""
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - _TAIL))
        whole, _, torn = file.read().rpartition(b"\n")
        if torn:
            file.truncate(end - len(torn))
        try:
            return read_line(whole.rpartition(b"\n")[2]).checkpoint if whole else None
        except Malformed as error:
            raise Refused(f"{self._path} cannot be continued: its last line is no checkpoint") from error

    def append(self, file: BinaryIO, lines: Iterable[Line]) -> None:
        """Write lines; they are on the disk when this returns."""
        for line in lines:
            file.write(msgspec.json.encode(line) + b"\n")
        file.flush()
        os.fsync(file.fileno())
