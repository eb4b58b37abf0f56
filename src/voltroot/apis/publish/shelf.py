"""The signed CRLs of one CA, and the lines that they are made of."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from voltroot.apis.publish.published import Published
from voltroot.pki import crls
from voltroot.pki.addresses import Addresses
from voltroot.pki.ports import Revocation


@dataclass(frozen=True, slots=True)
class SignedList:
    """One signed CRL with ``lines`` lines, found complete at ``revision`` and left in peace for ``rest`` from then."""

    published: Published
    lines: int
    revision: int
    checked_at: datetime
    rest: timedelta
    made_at: datetime
    renew_at: datetime
    next_update: datetime

    def is_current(self, revision: int, moment: datetime) -> bool:
        """Whether it needs nothing."""
        # The age is negative where the clock was set back: that is no rest.
        rests = timedelta(0) <= moment - self.checked_at < self.rest
        return not self.is_due(moment) and (revision == self.revision or rests)

    def is_due(self, moment: datetime) -> bool:
        """Whether it is to be signed again: from a part of its life on, and where the clock was ahead when it was."""
        return not self.made_at <= moment < self.renew_at


@dataclass(slots=True)
class Shelf:
    """All CRLs of one CA, with their lines in DER; what changes it holds ``lock``."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    signed: dict[int | None, SignedList] = field(default_factory=dict)
    revision: int = -1
    number: int = 0
    _lines: dict[int | None, list[bytes]] = field(default_factory=dict)
    _taken: dict[int, int] = field(default_factory=dict)

    def current(self, shard: int | None, revision: int, moment: datetime) -> SignedList | None:
        """Return a CRL that needs nothing."""
        signed = self.signed.get(shard)
        return signed if signed is not None and signed.is_current(revision, moment) else None

    def lines(self, shard: int | None) -> list[bytes]:
        """Return the lines of one CRL."""
        return self._lines.get(shard, [])

    def take(self, issuer: int, revocations: Sequence[Revocation], addresses: Addresses) -> None:
        """Add the revocations of one CA that are new: the ledger only ever adds to them."""
        for revocation in revocations[self._taken.get(issuer, 0) :]:
            line = crls.line(revocation)
            for shard in (None, addresses.shard(revocation.serial)):
                self._lines.setdefault(shard, []).append(line)
        self._taken[issuer] = len(revocations)

    def next_number(self, moment: datetime) -> int:
        """Return a CRLNumber that is greater than all before, also before a restart (RFC 5280 5.2.3)."""
        self.number = max(self.number + 1, int(moment.timestamp() * 1_000_000))
        return self.number
