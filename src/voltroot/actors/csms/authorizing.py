"""Who may charge: what Authorize answers for a token and the contract certificate that came with it (C07)."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from voltroot.actors.csms.stations import Stations
from voltroot.actors.mo import normal
from voltroot.actors.registrar import claim
from voltroot.errors import Failure
from voltroot.pki.certificates import Certificate
from voltroot.pki.judging.findings import Verdict
from voltroot.pki.ports import Clock, Ledger, Reason, State

EMAID_KIND = "eMAID"
CONTRACTS = ("CONTRACT_2", "CONTRACT_20")
# AuthorizationStatusEnumType: with one of these a valid certificate does not help (C07.FR.13).
ENDED = frozenset({"Blocked", "Expired", "Invalid", "Unknown"})


class ChainState(Enum):
    """What came of the contract certificate."""

    VALID = auto()
    EXPIRED = auto()
    REVOKED = auto()
    INVALID = auto()


class Answer(NamedTuple):
    """AuthorizationStatus, and AuthorizeCertificateStatus where there was a certificate."""

    status: str
    certificate: str | None = None


# C07.FR.15 to 17
REFUSALS = {
    ChainState.EXPIRED: Answer("Expired", "CertificateExpired"),
    ChainState.REVOKED: Answer("Invalid", "CertificateRevoked"),
    ChainState.INVALID: Answer("Invalid", "CertChainError"),
}
STATES = {
    Verdict.OK: ChainState.VALID,
    Verdict.EXPIRED: ChainState.EXPIRED,
    Verdict.REVOKED: ChainState.REVOKED,
}


def answer(token: str, chain: ChainState | None) -> Answer:
    """Return the answer for a token's status and its certificate's."""
    if chain is None:
        return Answer(token)
    if chain is not ChainState.VALID:
        return REFUSALS[chain]
    return Answer(token, "ContractCancelled" if token in ENDED else "Accepted")


def is_named(certificate: Certificate, emaid: str) -> bool:
    """Whether a contract certificate is that of an EMAID, however either is written."""
    given = certificate.subject.get("CN")
    return given is not None and _folded(given) == _folded(emaid)


class Tokens:
    """Knows the status of tokens: those of the registry, then the contracts of this ledger, then ``unknown``."""

    def __init__(self, stations: Stations, ledger: Ledger, now: Clock, unknown: str) -> None:
        self._stations = stations
        self._ledger = ledger
        self._now = now
        self._unknown = unknown

    def status(self, token: str, kind: str) -> str:
        """Return the AuthorizationStatus of a token."""
        if not token.isprintable():
            return self._unknown
        known = self._stations.token(_folded(token) if kind == EMAID_KIND else token, kind)
        if known is None and kind == EMAID_KIND:
            known = self._contract(token)
        return known or self._unknown

    def admit(self, token: str, kind: str, status: str) -> None:
        """Put a token's status on record."""
        self._stations.admit(_folded(token) if kind == EMAID_KIND else token, kind, status)

    def _contract(self, emaid: str) -> str | None:
        found = self._ledger.find(profiles=CONTRACTS, name=claim(_folded(emaid)))
        if not found:
            return None
        now = self._now()
        if any(entry.is_valid(now) for entry in found):
            return "Accepted"
        revoked = found[0].state is State.REVOKED and found[0].reason is not Reason.SUPERSEDED
        return "Blocked" if revoked else "Expired"


def _folded(emaid: str) -> str:
    try:
        return normal(emaid)
    except Failure:
        return emaid
