"""Who operates the CSMS: names, and the tokens that programs show."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

# So that a token which was published by mistake can be told for what it is.
_PREFIX = "voltroot_"


class Acting(NamedTuple):
    """Who changes something, and which way they came in: for the audit log."""

    name: str
    door: str


# The program itself, and tests.
NOBODY = Acting("", "csms")


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody who has a token; one who may not change anything may look."""

    name: str
    may_change: bool
    made: datetime


def generate() -> str:
    """Return a new token: 32 octets of chance."""
    return _PREFIX + secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    """Return what is kept of a token. Nobody guesses what chance has made, so this needs neither salt nor patience."""
    return hashlib.sha256(token.encode(errors="replace")).digest()
