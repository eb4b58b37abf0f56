"""The station's state in one file that is replaced as a whole."""

from __future__ import annotations

from pathlib import Path

import msgspec

from voltroot.actors.station.state import State
from voltroot.decoding import UNREADABLE
from voltroot.errors import Unavailable
from voltroot.store.certdir.changes import SECRET, Journal, Write


class StateFile:
    """A ``StateBook`` in JSON; it has the station's password in it and is its owner's only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._journal = Journal(path.with_suffix(".journal"))

    def read(self) -> State:
        """Return what was kept last, or an empty state."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=State)
        except FileNotFoundError:
            return State()
        except (OSError, *UNREADABLE) as error:
            raise Unavailable(f"{self._path} cannot be read ({error}): restore it, or remove it") from error

    def keep(self, state: State) -> None:
        """Put this in place of what was there."""
        self._journal.commit([Write(self._path, msgspec.json.encode(state), SECRET)])
