"""Which of the station's certificates is used: every candidate is looked at, and every no has its reason."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from voltroot.actors.station.inventory import Path, paths
from voltroot.actors.station.outcomes import Candidate, Fitness
from voltroot.actors.station.ports import Authorities, Leaf, LeafKind, Leaves
from voltroot.errors import Failure
from voltroot.pki import chains
from voltroot.pki.certificates import Certificate
from voltroot.pki.chains import Verdict
from voltroot.pki.judging.iso15118 import SUITES
from voltroot.pki.suites import P256_SHA256, Suite
from voltroot.terms import SECCID

REMEMBERED = 4096
_OUT_OF_DATE = (Verdict.EXPIRED, Verdict.NOT_YET_VALID)


class Policy(StrEnum):
    """Which of several usable certificates is taken: OCPP's rule, or EVerest's."""

    NEWEST_NOT_BEFORE = "newest notBefore"
    LATEST_NOT_AFTER = "latest notAfter"


_ORDER: dict[Policy, Callable[[Certificate], tuple[datetime, datetime]]] = {
    Policy.NEWEST_NOT_BEFORE: lambda own: (own.not_before, own.not_after),
    Policy.LATEST_NOT_AFTER: lambda own: (own.not_after, own.not_before),
}


class Wish(NamedTuple):
    """What is asked for: a kind, and for several EVSEs the name of one (the CN), or a suite of the key."""

    kind: LeafKind
    holder: str | None = None
    suite: Suite | None = None


def suite_of(certificate: Certificate) -> Suite | None:
    """Return the suite of a certificate's key where ISO 15118 knows it, without reading the key."""
    return SUITES.get(certificate.key_algorithm)


def is_of_20(certificate: Certificate) -> bool:
    """Whether a certificate can only be one of ISO 15118-20: by its key."""
    return suite_of(certificate) not in (None, P256_SHA256)


class Assessor:
    """Says what each certificate is good for; the signatures of a chain are checked once, not at every question."""

    def __init__(self, policy: Policy) -> None:
        self._order = _ORDER[policy]
        self._judged: dict[Path, tuple[datetime, datetime, str | None]] = {}

    def candidates(self, wish: Wish, leaves: Leaves, place: Authorities, now: datetime) -> list[Candidate]:
        """Return every certificate of a kind with what it is good for, the best first.

        For -2 those of -20 come last, which few cars of -2 understand.
        """
        return [self._judge(each, now) for each in self._ordered(wish, leaves, place, now)]

    def one_of_each(self, wish: Wish, leaves: Leaves, place: Authorities, now: datetime) -> list[Candidate]:
        """Return the best for each root, kind of key and name that can be used: stations have several of one kind."""
        found: dict[tuple[Certificate, bytes, str | None], Candidate] = {}
        for each in self._ordered(wish, leaves, place, now):
            own = each.leaf.certificate
            which = each.path[-1], own.key_algorithm, own.subject.get("CN")
            if which not in found and (judged := self._judge(each, now)).fitness is Fitness.USABLE:
                found[which] = judged
        return [*found.values()]

    def best(self, wish: Wish, leaves: Leaves, place: Authorities, now: datetime) -> Candidate | None:
        """Return the one to be used."""
        judged = (self._judge(each, now) for each in self._ordered(wish, leaves, place, now))
        return next((each for each in judged if each.fitness is Fitness.USABLE), None)

    def _ordered(self, wish: Wish, leaves: Leaves, place: Authorities, now: datetime) -> list[Candidate]:
        """All of them, not judged yet but for what costs nothing."""
        known = paths(leaves, place)
        found = [Candidate(leaf, *_at_a_glance(leaf, wish, now), known[leaf.certificate]) for leaf in leaves.leaves]
        found.sort(key=lambda each: self._order(each.leaf.certificate), reverse=True)
        found.sort(key=lambda each: each.fitness is not Fitness.USABLE)
        if wish.kind is LeafKind.V2G:
            found.sort(key=lambda each: is_of_20(each.leaf.certificate))
        return found

    def _judge(self, candidate: Candidate, now: datetime) -> Candidate:
        if candidate.fitness not in (Fitness.USABLE, Fitness.NO_KEY):
            return candidate
        broken = self._broken(candidate.path, now)
        return candidate._replace(fitness=Fitness.BROKEN, text=broken) if broken else candidate

    def _broken(self, path: Path, now: datetime) -> str | None:
        """Return why a chain does not hold; whether its top is trusted is a matter of those to whom it is shown."""
        if len(path) == 1:
            return None
        known = self._judged.get(path)
        if known is not None and known[0] <= now <= known[1]:
            return known[2]
        judgement = chains.judge(path, path[-1:], now)
        objection = None if judgement.verdict is Verdict.OK else judgement.text
        if judgement.verdict not in _OUT_OF_DATE:
            if len(self._judged) >= REMEMBERED:
                self._judged.clear()
            within = max(each.not_before for each in path), min(each.not_after for each in path)
            self._judged[path] = *within, objection
        return objection


def _at_a_glance(leaf: Leaf, wish: Wish, now: datetime) -> tuple[Fitness, str]:
    own = leaf.certificate
    if objection := _unwanted(own, wish):
        return Fitness.OTHER, objection
    if now > own.not_after:
        return Fitness.EXPIRED, f"it expired on {_moment(own.not_after)}"
    if now < own.not_before:
        return Fitness.NOT_YET_VALID, f"it is valid from {_moment(own.not_before)} on: is the clock right?"
    if leaf.key is None:
        return Fitness.NO_KEY, "no private key of it is here, or the password for keys is wrong"
    return Fitness.USABLE, ""


def _unwanted(own: Certificate, wish: Wish) -> str | None:
    if wish.kind is LeafKind.V2G20 and not is_of_20(own):
        return "its key is not of ISO 15118-20, which knows P-521 and Ed448"
    if wish.suite is not None and suite_of(own) is not wish.suite:
        return f"its key is not of {wish.suite.name}"
    if wish.holder is not None:
        found = own.subject.get("CN") or ""
        return None if _same_holder(found, wish.holder) else f"it is for {found or 'nobody'}, not for {wish.holder}"
    return None


def _same_holder(one: str, other: str) -> bool:
    try:
        return SECCID(one) == SECCID(other)
    except Failure:
        return one == other


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
