"""Knowing what stands in a folder without reading it again: files are read when their name, time, size or inode change.

A folder is looked at by one stat; its files, which other programs may write in place, are looked at once a second.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")
RESTAT = 1.0  # seconds
# The clock of file systems ticks slowly: what has just changed may change again without a new time.
TICK = 50_000_000  # nanoseconds
MOST_FILES = 20_000
LARGEST = 50 << 20

Stamp = tuple[int, int, int]
Reader = Callable[[Path, bytes | OSError], T]


class Found(Generic[T]):
    """One file: read when it is first asked for. What is gone by then has the value None."""

    __slots__ = ("_read", "_value", "is_read", "name", "stamp")

    def __init__(self, name: str, stamp: Stamp, read: Reader[T]) -> None:
        self.name = name
        self.stamp = stamp
        self.is_read = False
        self._read = read
        self._value: T | None = None

    @property
    def path(self) -> Path:
        """Where it is."""
        return Path(self.name)

    @property
    def value(self) -> T | None:
        """What the file holds."""
        if not self.is_read:
            octets = _octets(self.name)
            self._value = None if isinstance(octets, FileNotFoundError) else self._read(self.path, octets)
            self.is_read = True
        return self._value


class _Seen(NamedTuple, Generic[T]):
    files: tuple[Found[T], ...]
    places: dict[str, Stamp | None]
    settled: bool
    checked: float


class Watch(Generic[T]):
    """The files of a place with the given suffixes, in the order of their names; the place may itself be a file."""

    def __init__(
        self,
        place: Path,
        suffixes: tuple[str, ...],
        read: Reader[T],
        *,
        deep: bool = False,
        restat: float = RESTAT,
    ) -> None:
        self.place = place
        self._suffixes = suffixes
        self._read = read
        self._deep = deep
        self._restat = restat
        self._seen: _Seen[T] = _Seen((), {}, False, 0.0)

    @property
    def is_folder(self) -> bool:
        """Whether the place is a folder, not a bundle."""
        return self.place.is_dir()

    @property
    def stamp(self) -> Stamp | None:
        """What the place itself says of its last change."""
        return _stamp(os.fspath(self.place))

    @property
    def is_fresh(self) -> bool:
        """Whether what was seen last still stands, as far as a few stats tell."""
        seen = self._seen
        if not seen.settled or time.monotonic() - seen.checked >= self._restat:
            return False
        return all(_stamp(place) == stamp for place, stamp in seen.places.items())

    def files(self) -> tuple[Found[T], ...]:
        """Return what was seen last: the same tuple for as long as nothing has changed."""
        return self._seen.files

    def look(self) -> tuple[Found[T], ...]:
        """Look now, unless what was seen is fresh."""
        if not self.is_fresh:
            self._scan()
        return self._seen.files

    def _scan(self) -> None:
        began, wall = time.monotonic(), time.time_ns()
        known = {found.name: found for found in self._seen.files}
        places: dict[str, Stamp | None] = {}
        files = []
        for name, stamp in sorted(self._listed(places).items()):
            old = known.get(name)
            files.append(old if old and old.stamp == stamp else Found(name, stamp, self._read))
        times = [stamp[0] for stamp in (*places.values(), *(found.stamp for found in files)) if stamp]
        settled = all(abs(wall - each) > TICK for each in times)
        kept = self._seen.files if files == [*self._seen.files] else tuple(files)
        self._seen = _Seen(kept, places, settled, began)

    def _listed(self, places: dict[str, Stamp | None]) -> dict[str, Stamp]:
        """Return the files by name; of several names of one file the first that is no link."""
        found: dict[str, Stamp] = {}
        links: dict[str, Stamp] = {}
        waiting = [os.fspath(self.place)]
        while waiting:
            folder = waiting.pop()
            places[folder] = own = _stamp(folder)
            try:
                entries = [*os.scandir(folder)] if own else []
            except NotADirectoryError:
                return {folder: own} if own and Path(folder).is_file() else {}
            except OSError:
                continue
            if self._deep:
                waiting += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
            for entry in entries:
                if entry.name.endswith(self._suffixes) and len(found) < MOST_FILES:
                    try:
                        status = entry.stat()
                    except OSError:
                        continue
                    if stat.S_ISREG(status.st_mode):
                        stamp = status.st_mtime_ns, status.st_size, status.st_ino
                        (links if entry.is_symlink() else found)[entry.path] = stamp
        inodes = {stamp[2] for stamp in found.values()} if links else set()
        return found | {name: stamp for name, stamp in links.items() if stamp[2] not in inodes}


def _octets(name: str) -> bytes | OSError:
    try:
        file = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        return error
    try:
        size = os.fstat(file).st_size
        if size > LARGEST:
            return OSError(errno.EFBIG, f"files of more than {LARGEST >> 20} MiB are not read")
        parts = [os.read(file, size + 1)]
        while parts[-1]:
            parts.append(os.read(file, LARGEST))
        return b"".join(parts)
    except OSError as error:
        return error
    finally:
        os.close(file)


def _stamp(place: str) -> Stamp | None:
    try:
        status = os.stat(place)  # noqa: PTH116 - paths cost more than the call, and this is called at every question
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
