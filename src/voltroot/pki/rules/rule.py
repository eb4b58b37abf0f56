"""What a rule is, and what it looks at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from voltroot.pki.certificates import Certificate
from voltroot.pki.profiles import Profile


class Level(StrEnum):
    """How grave a finding is: nothing with an ERROR is signed."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Case:
    """What a lint looks at; without an issuer the rules about the issuer are not asked."""

    certificate: Certificate
    profile: Profile
    issuer: Certificate | None = None


class Lint(NamedTuple):
    """One rule: its check returns what is wrong, or None."""

    name: str
    clause: str
    check: Callable[[Case], str | None]
    level: Level = Level.ERROR
