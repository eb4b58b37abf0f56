"""Building certification paths from a pool: from the leaf up to an anchor, the likeliest issuers first (RFC 4158)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from voltroot.errors import Failure
from voltroot.pki import names
from voltroot.pki.certificates import Certificate
from voltroot.pki.judging.effort import Effort
from voltroot.pki.judging.inputs import MOST_CANDIDATES
from voltroot.pki.profiles import CERTIFY

Path = tuple[Certificate, ...]


class Shelf:
    """Certificates among which issuers are looked up by name."""

    def __init__(self, certificates: Iterable[Certificate]) -> None:
        self._all = tuple(certificates)
        self._other_spellings: dict[bytes, list[Certificate]] = {}

    def issuers_of(self, certificate: Certificate, at: datetime) -> Iterator[Certificate]:
        """Yield those that are named as a certificate's issuer, the likeliest first."""
        wanted = certificate.issuer_der
        yield from _ordered(certificate, [each for each in self._all if each.subject_der == wanted], at)
        # The same name in another spelling is rare, and slow to find.
        if wanted not in self._other_spellings:
            others = (each for each in self._all if each.subject_der != wanted)
            self._other_spellings[wanted] = [each for each in others if _named(certificate, each)]
        yield from _ordered(certificate, self._other_spellings[wanted], at)


class Builder:
    """Finds paths among the certificates of a pool to one of the anchors, at most ``deepest`` below it."""

    def __init__(
        self,
        pool: Sequence[Certificate],
        anchors: Sequence[Certificate],
        at: datetime,
        effort: Effort,
        deepest: int,
    ) -> None:
        self._trusted = {anchor.der for anchor in anchors}
        self._anchors = Shelf(anchors)
        self._pool = Shelf(each for each in pool[:MOST_CANDIDATES] if each.der not in self._trusted)
        self._at = at
        self._effort = effort
        self._deepest = deepest

    def paths(self, leaf: Certificate) -> Iterator[Path]:
        """Yield paths whose names and signatures hold, leaf first and an anchor last, until the effort is spent."""
        return iter([(leaf,)]) if leaf.der in self._trusted else self._climb((leaf,))

    def _climb(self, path: Path) -> Iterator[Path]:
        top = path[-1]
        for anchor in self._anchors.issuers_of(top, self._at):
            if self._effort.step() and self._effort.objection(top.signed, anchor) is None:
                yield (*path, anchor)
        if len(path) >= self._deepest:
            return
        for issuer in self._pool.issuers_of(top, self._at):
            if not self._effort.step():
                return
            if not _stands_in(path, issuer) and self._effort.objection(top.signed, issuer) is None:
                yield from self._climb((*path, issuer))


def _ordered(certificate: Certificate, named: list[Certificate], at: datetime) -> list[Certificate]:
    return sorted(named, key=lambda each: _doubts(certificate, each, at)) if len(named) > 1 else named


def _named(certificate: Certificate, issuer: Certificate) -> bool:
    try:
        return names.same(certificate.issuer_der, issuer.subject_der)
    except (Failure, ValueError):
        return False


def _stands_in(path: Path, certificate: Certificate) -> bool:
    """Whether the same name with the same key is there already: going round in a circle proves nothing more."""
    return any(each.spki == certificate.spki and each.subject_der == certificate.subject_der for each in path)


def _doubts(certificate: Certificate, issuer: Certificate, at: datetime) -> tuple[bool, ...]:
    """What speaks against an issuer, the gravest first; nothing of it is final."""
    try:
        wanted, own = certificate.authority_key_identifier, issuer.subject_key_identifier
        return (
            None not in (wanted, own) and wanted != own,
            not issuer.is_ca or not (issuer.key_usage is None or issuer.key_usage & CERTIFY),
            not issuer.not_before <= at <= issuer.not_after,
            wanted != own,
        )
    except (Failure, ValueError, StopIteration):
        return (True, True, True, True)
