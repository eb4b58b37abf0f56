"""Asking for a certificate's status: what is needed for it, and what may come of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto
from typing import NamedTuple

from voltroot.pki.certificates import Certificate
from voltroot.pki.judging.effort import Effort
from voltroot.pki.judging.inputs import Evidence, Inputs

MOST_NESTED = 4  # certificates whose status hangs on one another's


class State(Enum):
    """What evidence says of a certificate.

    UNCLEAR where some is about it, but cannot be used; SILENT where none is; UNASKED where there is none at all.
    """

    GOOD = auto()
    REVOKED = auto()
    UNCLEAR = auto()
    SILENT = auto()
    UNASKED = auto()


class Status(NamedTuple):
    """A state, and why in words."""

    state: State
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """One certificate's status being asked: that at ``place`` of ``path``, whose issuer stands next.

    ``pool`` has those who may have signed evidence; ``vouch`` tells whether one of them has a valid path to the anchor
    of this one, ``ask`` what a further inquiry says. ``open`` are the certificates whose status is being asked already:
    no evidence proves itself.
    """

    path: tuple[Certificate, ...]
    place: int
    at: datetime
    evidence: Evidence
    pool: Sequence[Certificate]
    effort: Effort
    inputs: Inputs
    vouch: Callable[[Certificate, Inquiry], bool]
    ask: Callable[[Inquiry], Status]
    open: frozenset[bytes] = frozenset()

    @property
    def certificate(self) -> Certificate:
        """The certificate that is asked about."""
        return self.path[self.place]

    @property
    def issuer(self) -> Certificate:
        """Its issuer."""
        return self.path[self.place + 1]

    def about(self, certificate: Certificate) -> Inquiry:
        """Return the inquiry about another certificate of the same issuer."""
        return replace(self, path=(certificate, *self.path[self.place + 1 :]), place=0, open=self.opened)

    @property
    def opened(self) -> frozenset[bytes]:
        """The certificates whose status is being asked, this one among them."""
        return self.open | {self.certificate.der}

    def may_trust(self, certificate: Certificate) -> bool:
        """Whether somebody other than the issuer may be believed: one with a valid path to the same anchor."""
        if certificate.der in self.opened or len(self.open) >= MOST_NESTED:
            return False
        return any(certificate.der == each.der for each in self.path[self.place + 1 :]) or self.vouch(certificate, self)
