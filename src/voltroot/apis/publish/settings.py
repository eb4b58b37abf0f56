"""How long what is published holds, and how soon it is looked after."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Settings:
    """Lives are from thisUpdate to nextUpdate, ages what HTTP caches are granted.

    ``crl_age`` with ``longest_rest`` stays below the minute within which a revocation is visible everywhere, and
    ``ocsp_age`` near the second. ``longest_rest`` is the most that a CRL which takes long to make is left as it is.
    """

    crl_life: timedelta = timedelta(days=7)
    crl_age: timedelta = timedelta(seconds=30)
    longest_rest: timedelta = timedelta(seconds=20)
    ocsp_life: timedelta = timedelta(hours=24)
    ocsp_age: timedelta = timedelta(seconds=1)
    unknown_life: timedelta = timedelta(minutes=1)
    cached_answers: int = 50_000
