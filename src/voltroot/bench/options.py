"""What every measurement is told."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

# A quick command ends within 50 s: no round is begun that would end later than this.
QUICK = 44.0
QUICK_ROWS, ROWS = 100_000, 1_000_000


@dataclass(frozen=True, slots=True)
class Options:
    """``seconds`` bounds one measurement, ``rounds`` their number, ``rows`` the large ledger; None is what is usual.

    ``postgresql`` is the address of a database on a server where others may be made; without one a server is started.
    ``iso15118`` is a virtual environment with that package, ``cbv2g`` a shared library: foreign codecs to compare with.
    ``stations`` is how many are connected.
    """

    quick: bool = False
    seconds: float | None = None
    rounds: int | None = None
    rows: int | None = None
    postgresql: str = ""
    iso15118: str = ""
    cbv2g: str = ""
    stations: int | None = None
    began: float = field(default_factory=time.monotonic)

    @property
    def many(self) -> int:
        """The rows of the large ledger."""
        return self.rows or (QUICK_ROWS if self.quick else ROWS)

    @property
    def until(self) -> float:
        """When nothing more is begun, on the monotonic clock."""
        return self.began + QUICK if self.quick else math.inf

    def length(self, quick: float, usual: float) -> float:
        """Return the seconds of one measurement."""
        return self.seconds or (quick if self.quick else usual)


@contextmanager
def workshop() -> Iterator[Path]:
    """Make a folder for all that a measurement leaves; it goes with it."""
    with TemporaryDirectory(prefix="voltroot-bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)
