"""What has been applied for, in one file that is replaced as a whole."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from voltroot.actors.station.applications import Application
from voltroot.decoding import UNREADABLE
from voltroot.errors import Unavailable
from voltroot.store.certdir.changes import SECRET, Journal, Write, make_folder


class ApplicationFile:
    """An ``ApplicationBook`` in JSON."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._journal = Journal(path.with_suffix(".journal"))
        self._known: tuple[Application, ...] | None = None

    def hold(self) -> None:
        """Keep other programs from answering in our place as long as this one lives; Unavailable where one does."""
        make_folder(self._path.parent)
        self._lock = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, SECRET)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Unavailable(f"another station runs on {self._path.parent.parent}: stop it first") from error

    def all(self) -> Sequence[Application]:
        """Return all, oldest first."""
        if self._known is None:
            try:
                self._known = msgspec.json.decode(self._path.read_bytes(), type=tuple[Application, ...])
            except FileNotFoundError:
                self._known = ()
            except (OSError, *UNREADABLE) as error:
                raise Unavailable(f"{self._path} cannot be read ({error}): restore it, or remove it") from error
        return self._known

    def keep(self, applications: Sequence[Application]) -> None:
        """Put these in place of all."""
        self._journal.commit([Write(self._path, msgspec.json.encode(applications), SECRET)])
        self._known = tuple(applications)
