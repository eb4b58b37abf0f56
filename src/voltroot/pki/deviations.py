"""How a certificate for the lab departs from its profile, and which rules are waived for that: a recorded exception."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Deviation:
    """One departure, by the name that the audit log keeps; only a lab's authority takes orders that have one.

    It ``waives`` exactly the lints named. ``begins`` counts from now, ``lasts`` from there. ``path_length`` stands in a
    CA's basicConstraints, ``padding`` octets make it large. What is ``forged`` was signed by another key than the
    issuer's: no CA key is used at all. What is ``revoked`` is so as soon as it is on record.
    """

    name: str
    waives: frozenset[str] = frozenset()
    begins: timedelta = timedelta(0)
    lasts: timedelta | None = None
    path_length: int | None = None
    padding: int = 0
    forged: bool = False
    revoked: bool = False
