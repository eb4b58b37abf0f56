"""Changing several files at once: all of it or nothing, whenever the program or the machine stops.

New contents are written beside their places and synced. Then a journal says which of them take their places and what
goes; once it has its name, the change has happened, and whoever comes next finishes it. A change of a single file needs
no journal: the renaming is the change.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from voltroot.errors import Unavailable

NEW = ".voltroot-new"
SECRET, PUBLIC = 0o600, 0o644
PATIENCE = 30.0  # seconds that a lock is waited for


class Write(NamedTuple):
    """A file to be there with these octets."""

    path: Path
    octets: bytes
    mode: int = PUBLIC


class Lock:
    """Keeps writers apart, in this process and in others, by a lock on a file; the system frees it when one dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = threading.RLock()
        self._depth = 0
        self._file: int | None = None

    @contextlib.contextmanager
    def held(self, *, to_write: bool = True) -> Iterator[bool]:
        """Hold the lock; whoever only reads goes on without it where nobody has written yet, or where they may not."""
        if not self._threads.acquire(timeout=PATIENCE):
            raise Unavailable("the certificate store is busy: a change takes too long")
        try:
            if self._depth == 0:
                self._file = self._open(to_write)
            self._depth += 1
            try:
                yield self._file is not None
            finally:
                self._depth -= 1
                if self._depth == 0 and self._file is not None:
                    os.close(self._file)
                    self._file = None
        finally:
            self._threads.release()

    def _open(self, to_write: bool) -> int | None:
        try:
            if to_write:
                make_folder(self._path.parent)
            file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if to_write else 0), SECRET)
        except OSError as error:
            if to_write:
                raise Unavailable(f"{self._path.parent} cannot be written to: {error.strerror}") from error
            return None
        until, pause = time.monotonic() + PATIENCE, 0.0005
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return file
            except OSError as error:
                if time.monotonic() > until:
                    os.close(file)
                    raise Unavailable(f"another program holds {self._path}") from error
                time.sleep(pause)
                pause = min(2 * pause, 0.02)


class Journal:
    """The file that says what is under way. All its methods want the lock held but ``is_there``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._name = os.fspath(path)

    @property
    def is_there(self) -> bool:
        """Whether a change is under way, or was when its program died."""
        return os.path.exists(self._name)  # noqa: PTH110 - asked at every question

    def finish(self) -> None:
        """Bring to its end what was under way."""
        try:
            content = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            raise Unavailable(f"{self._path} cannot be read: what it says has to be finished first") from error
        self._apply([(Path(new), Path(path)) for new, path in content["place"]], [Path(each) for each in content["go"]])
        self._path.unlink()
        sync(self._path.parent)

    def commit(self, writes: Sequence[Write], gone: Sequence[Path] = ()) -> None:
        """Make all the changes, or raise Unavailable and leave everything as it was."""
        if not writes and not gone:
            return
        self.finish()
        try:
            placed = [(_prepare(write), write.path) for write in writes]
            for folder in {write.path.parent for write in writes}:
                sync(folder)
            if len(writes) + len(gone) > 1:
                self._announce(placed, gone)
        except OSError as error:
            for write in writes:
                with contextlib.suppress(OSError):
                    _beside(write.path).unlink()
            raise Unavailable(f"{error.filename or self._path.parent} cannot be written: {error.strerror}") from error
        if len(writes) + len(gone) > 1:
            self.finish()
        else:
            self._apply(placed, gone)

    def _announce(self, placed: Sequence[tuple[Path, Path]], gone: Sequence[Path]) -> None:
        content = {"place": [[str(new), str(path)] for new, path in placed], "go": [*map(str, gone)]}
        new = _prepare(Write(self._path, json.dumps(content).encode(), SECRET))
        new.replace(self._path)
        sync(self._path.parent)

    def _apply(self, placed: Sequence[tuple[Path, Path]], gone: Sequence[Path]) -> None:
        try:
            for new, path in placed:
                # Done already, if this is the second try.
                with contextlib.suppress(FileNotFoundError):
                    new.replace(path)
            for path in gone:
                path.unlink(missing_ok=True)
            for folder in {path.parent for path in (*(path for _, path in placed), *gone)}:
                sync(folder)
        except OSError as error:
            raise Unavailable(f"{error.filename} cannot be changed: {error.strerror}") from error


def make_folder(folder: Path, mode: int = 0o700) -> None:
    """Make a folder with those above it, synced; one that is there stays as it is."""
    if folder.is_dir():
        return
    make_folder(folder.parent, 0o755)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=mode)
        sync(folder.parent)


def sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def clear(folder: Path) -> None:
    """Remove what was written beside its place and never took it; wants the lock held, and no journal."""
    for path in folder.glob(f".*{NEW}") if folder.is_dir() else ():
        path.unlink(missing_ok=True)


def _prepare(write: Write) -> Path:
    """Write octets beside their place, on disk before this returns."""
    make_folder(write.path.parent)
    new = _beside(write.path)
    new.unlink(missing_ok=True)
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, write.mode)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(handle, write.mode)
        file.write(write.octets)
        file.flush()
        os.fsync(handle)
    return new


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}{NEW}")
