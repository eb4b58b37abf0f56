"""Building certification paths from a pool: from the leaf up to an anchor, the likeliest issuers first (RFC 4158)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from voltroot.errors import Failure
from voltroot.pki import names
from voltroot.pki.certificates import Certificate
from voltroot.pki.judging.effort import Effort
from voltroot.pki.judging.inputs import MOST_CANDIDATES
from voltroot.pki.profiles import CERTIFY

Path = tuple[Certificate, ...]


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
        self._anchors = anchors
        trusted = {anchor.der for anchor in anchors}
        self._pool = [each for each in pool[:MOST_CANDIDATES] if each.der not in trusted]
        self._at = at
        self._effort = effort
        self._deepest = deepest
        self._above: dict[bytes, tuple[list[Certificate], list[Certificate]]] = {}

    def paths(self, leaf: Certificate) -> Iterator[Path]:
        """Yield paths whose names and signatures hold, leaf first and an anchor last, until the effort is spent."""
        if any(anchor.der == leaf.der for anchor in self._anchors):
            return iter([(leaf,)])
        return self._climb((leaf,))

    def _climb(self, path: Path) -> Iterator[Path]:
        top = path[-1]
        if top.der not in self._above:
            self._above[top.der] = issuers_of(top, self._anchors, self._at), issuers_of(top, self._pool, self._at)
        anchors, issuers = self._above[top.der]
        for anchor in anchors:
            if self._effort.step() and self._effort.objection(top.signed, anchor) is None:
                yield (*path, anchor)
        if len(path) >= self._deepest:
            return
        for issuer in issuers:
            if not self._effort.step():
                return
            if not _stands_in(path, issuer) and self._effort.objection(top.signed, issuer) is None:
                yield from self._climb((*path, issuer))


def issuers_of(certificate: Certificate, among: Sequence[Certificate], at: datetime) -> list[Certificate]:
    """Return those that are named as a certificate's issuer, the likeliest first."""
    named = [each for each in among if _names_match(certificate, each)]
    return sorted(named, key=lambda each: _doubts(certificate, each, at)) if len(named) > 1 else named


def _names_match(certificate: Certificate, issuer: Certificate) -> bool:
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
