"""Backups: one sealed file with all that a backend keeps, and a backend made of such a file.

What is sealed is a sequence of frames, each 4 octets of length and a msgpack array: a Head, then Pieces of files (keys,
configuration, checkpoints of the audit log) and Batches of rows, the same whatever database the ledger is in.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, select

from voltroot import __version__
from voltroot.app.backend import Backend
from voltroot.errors import Malformed, Refused
from voltroot.store.engine import sqlite_url
from voltroot.store.sealed import Sealer, unseal
from voltroot.store.tables import credentials
from voltroot.store.transfer import Batch, Progress, counts, dump, filling, load, schema, snapshot, sync, watched

# What a backup has beside the rows, named as in the data folder.
KEYS, CHECKPOINTS, CONFIGURATION = "keys", "checkpoints.jsonl", "voltroot.toml"

_PIECE = 1 << 18


class Head(Struct, frozen=True, array_like=True, tag=True):
    """The ledger as of a moment: what schema it has, by its migration, and how many rows in each table."""

    voltroot: str
    moment: datetime
    schema: str
    rows: dict[str, int]


class Piece(Struct, frozen=True, array_like=True, tag=True):
    """The next octets of a file."""

    name: str
    octets: bytes


Frame = Head | Piece | Batch


@dataclass(frozen=True, slots=True)
class Contents:
    """What went into a backup or came out of one.

    ``missing`` keys are those that only the ledger knows; those in a ``device`` cannot leave it.
    """

    head: Head
    files: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    device: str = ""

    @property
    def keys(self) -> int:
        """How many private keys."""
        return sum(name.startswith(f"{KEYS}/") for name in self.files)

    @property
    def rows(self) -> int:
        """How many rows in all tables."""
        return sum(self.head.rows.values())


def back_up(
    backend: Backend, target: Path, passphrase: str, configuration: Path | None, progress: Progress
) -> Contents:
    """Write a backup while backends go on; the file is there once it is whole and on the disk.

    Refused where there are no keys.
    """
    # The order makes the parts fit. A checkpoint is in the database before it is in its file, so what the file says
    # now the ledger will know. A key is in the keyring before the ledger has anything signed or sealed with it, and
    # is never replaced, so a keyring that is looked at after the ledger's state was chosen has them all.
    checkpoints = backend.config.folder / CHECKPOINTS
    sources = {CHECKPOINTS: (checkpoints, said)} if (said := _whole_lines(checkpoints)) else {}
    if configuration:
        sources[CONFIGURATION] = configuration, configuration.stat().st_size
    moment = backend.now()
    with _written(target) as file, snapshot(backend.database) as connection:
        sealer = Sealer(file, passphrase)
        head = Head(__version__, moment, schema(connection), counts(connection))
        contents = Contents(head, device=backend.config.keys.device)
        _write(sealer, contents.head)
        keys = _keys(backend)
        contents.missing.update(_named(connection) - {path.stem for path, _ in keys})
        for name, (path, size) in (sources | {f"{KEYS}/{path.name}": (path, size) for path, size in keys}).items():
            contents.files.add(name)
            for octets in _octets(path, size):
                _write(sealer, Piece(name, octets))
        for batch in watched(dump(connection), contents.rows, progress):
            _write(sealer, batch)
        sealer.finish()
    return contents


def restore(source: Path, passphrase: str, folder: Path, url: str, password: str, progress: Progress) -> Contents:
    """Make an empty folder, and an empty database if ``url`` names one, what the backed-up ones were, or leave both.

    Refused or Malformed where they are not empty, or where the file does not open from its first to its last octet.
    """
    with source.open("rb") as file:
        frames = _read(file, passphrase)
        head = next(frames, None)
        if not isinstance(head, Head):
            raise Malformed("this is not a backup of Voltroot")
        contents = Contents(head)
        # Without its ledger a folder is no PKI, so that comes last: its commit, or the name of its file.
        with _empty(folder) as aside, filling(url or sqlite_url(folder / "ledger.db"), password) as connection:
            batches = watched(_batches(frames, aside, contents), contents.rows, progress)
            if load(connection, head.schema, batches) != head.rows:
                raise Malformed("the backup does not hold the rows that it says it holds: use another one")
            _place(aside, folder)
    return contents


def _keys(backend: Backend) -> list[tuple[Path, int]]:
    """Return the file of each key, also of those that are sealed by a TPM, and how long it is."""
    folder = backend.config.folder / KEYS
    paths = [path for path in folder.glob("[!.]*") if path.suffix in (".pem", ".tkey")]
    if not paths and not backend.config.keys.device:
        raise Refused(f"there are no keys in {folder}: is that the folder of this ledger?")
    return [(path, path.stat().st_size) for path in paths]


def _named(connection: Connection) -> set[str]:
    """Return the labels of the keys that credentials need."""
    return set(connection.execute(select(credentials.c.key).where(credentials.c.key.is_not(None))).scalars())


def _write(sealer: Sealer, frame: Frame) -> None:
    octets = msgspec.msgpack.encode(frame)
    sealer.write(len(octets).to_bytes(4) + octets)


def _read(file: BinaryIO, passphrase: str) -> Iterator[Frame]:
    decoder: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)
    waiting = bytearray()
    for chunk in unseal(file, passphrase):
        waiting += chunk
        while len(waiting) >= (end := 4 + int.from_bytes(waiting[:4])) > 4:
            try:
                yield decoder.decode(waiting[4:end])
            except msgspec.MsgspecError as error:
                raise Malformed("the backup is of a newer Voltroot, or of none: its contents make no sense") from error
            del waiting[:end]
    if waiting:
        raise Malformed("the backup ends in the middle of its contents")


def _batches(frames: Iterator[Frame], aside: Path, contents: Contents) -> Iterator[Batch]:
    """Yield the rows, and write down the files that come between them."""
    for frame in frames:
        match frame:
            case Batch():
                yield frame
            case Piece(name, octets):
                _append(aside, name, octets)
                contents.files.add(name)
            case Head():
                raise Malformed("the backup has two heads")


def _append(folder: Path, name: str, octets: bytes) -> None:
    place = PurePosixPath(name)
    if name not in (CHECKPOINTS, CONFIGURATION) and place.parts != (KEYS, place.name):
        raise Malformed(f"the backup holds a file that is none of ours: {name!r}")
    path = folder / place
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as file:  # noqa: PTH123 -- its mode
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())


def _place(aside: Path, folder: Path) -> None:
    for entry in aside.iterdir():
        if entry.is_dir():
            sync(entry)
        entry.rename(folder / entry.name)
    sync(folder)


@contextmanager
def _empty(folder: Path) -> Iterator[Path]:
    """Make a folder, or take an empty one, and yield a place aside in it; what fails leaves it as it was."""
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if any(folder.iterdir()):
        raise Refused(f"{folder} is not empty: restore into a new folder")
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".restoring-") as aside:
            yield Path(aside)
    except BaseException:
        shutil.rmtree(folder / KEYS, ignore_errors=True)
        for name in (CHECKPOINTS, CONFIGURATION):
            (folder / name).unlink(missing_ok=True)
        if is_new:
            folder.rmdir()
        raise


@contextmanager
def _written(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that gets its name once it is whole and on the disk."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(handle)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


def _whole_lines(path: Path) -> int:
    """Return how many octets of a file that others append to are whole lines; 0 where there is none."""
    if not path.exists():
        return 0
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        start = file.seek(max(0, end - _PIECE))
        return end - len(file.read(end - start).rpartition(b"\n")[2])


def _octets(path: Path, size: int) -> Iterator[bytes]:
    """Yield so many octets of a file in pieces, one of them at least."""
    with path.open("rb") as file:
        yield file.read(min(size, _PIECE))
        while (left := size - file.tell()) > 0 and (octets := file.read(min(left, _PIECE))):
            yield octets
