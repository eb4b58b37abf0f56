"""Knowing whether anything has changed, without asking the ledger for each request."""

from __future__ import annotations

import threading
from datetime import timedelta

from voltroot.pki.ports import Clock, Ledger


class Revision:
    """The ledger's revision as of less than ``period`` ago. Safe among threads."""

    def __init__(self, ledger: Ledger, now: Clock, period: timedelta = timedelta(seconds=0.5)) -> None:
        self._ledger = ledger
        self._now = now
        self._period = period
        self._lock = threading.Lock()
        self._read: tuple[int, float] | None = None

    def known(self) -> int | None:
        """Return the revision, or None where the ledger has to be asked; never blocks."""
        if self._read is None:
            return None
        revision, asked_at = self._read
        # A clock that was set back makes the age negative: ask.
        age = self._now().timestamp() - asked_at
        return revision if 0 <= age < self._period.total_seconds() else None

    def forget(self) -> None:
        """Ask the ledger at the next read."""
        self._read = None

    def read(self) -> int:
        """Return the revision, asking the ledger where it has to be asked; of several threads one does."""
        with self._lock:
            revision = self.known()
            if revision is None:
                asked_at = self._now().timestamp()
                revision = self._ledger.revision()
                self._read = revision, asked_at
            return revision
