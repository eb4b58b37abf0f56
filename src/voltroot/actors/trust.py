"""Whom the market roles trust: the roots of each role, the CAs between, and what is known of revocations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voltroot.pki.certificates import Certificate
from voltroot.pki.chains import Demand, Evidence, Inputs, Judgement, Purpose, Verdict, judge, search
from voltroot.pki.issuers import Issuers, Standing
from voltroot.pki.judging.effort import Known
from voltroot.pki.lists import Crl
from voltroot.pki.ports import Clock, Entry, Ledger, State
from voltroot.pki.signatures import Signed

# Whose roots may stand above a leaf that is shown for a purpose, by the first word of the root's profile.
ANCHORS = {Purpose.PROVISIONING: ("OEM", "V2G"), Purpose.CONTRACT: ("MO", "V2G")}
# Evidence may revoke; that there is none about a certificate of another branch says nothing against it.
_INPUTS = {purpose: Inputs(purpose=purpose, status=Demand.NONE) for purpose in ANCHORS}


@dataclass(frozen=True, slots=True)
class Foreign:
    """What is trusted beside the CAs of this program: roots by role, sub-CAs under whatever root, and CRLs."""

    oem: tuple[Certificate, ...] = ()
    mo: tuple[Certificate, ...] = ()
    v2g: tuple[Certificate, ...] = ()
    between: tuple[Certificate, ...] = ()
    crls: tuple[Crl, ...] = ()


class Trust:
    """Judges chains that others show, against configured roots, the ledger and CRLs. Safe among threads."""

    def __init__(self, issuers: Issuers, ledger: Ledger, now: Clock, foreign: Foreign = Foreign()) -> None:
        self._issuers = issuers
        self._ledger = ledger
        self._now = now
        self._foreign = foreign
        self._known: tuple[Standing, _Known] | None = None
        self._signatures: dict[tuple[Signed, bytes], str | None] = {}

    @property
    def signatures(self) -> Known:
        """The signatures of the own CAs, which need not be checked again."""
        self._current()
        return self._signatures

    def record_of(self, certificate: Certificate) -> Entry | None:
        """Return the entry of a certificate that was issued here."""
        for number in self._current().cas.get(certificate.issuer_der, ()):
            (entry,) = self._ledger.statuses(number, [certificate.serial])
            if entry is not None and entry.certificate == certificate.der:
                return entry
        return None

    def search(
        self, leaf: Certificate, record: Entry | None, purpose: Purpose, given: Sequence[Certificate] = ()
    ) -> Judgement:
        """Judge a leaf by the paths that there are among what was given with it and what is known."""
        known, now = self._current(), self._now()
        inputs, evidence = self._of(leaf, record, purpose, known)
        if record is not None:
            # What was issued here has its chain on record: another is looked for only where that one fails.
            own = [leaf, *self._issuers.standing().chain(record.issuer)]
            judgement = judge(own, known.roots[purpose], now, inputs=inputs, evidence=evidence, known=self._signatures)
            if judgement.verdict is Verdict.OK:
                return judgement
        pool = [*given, *known.between]
        return search(leaf, pool, known.roots[purpose], now, inputs=inputs, evidence=evidence)

    def judge(self, chain: Sequence[Certificate], record: Entry | None, purpose: Purpose) -> Judgement:
        """Judge a chain as it was given, leaf first."""
        known = self._current()
        inputs, evidence = self._of(chain[0], record, purpose, known)
        return judge(chain, known.roots[purpose], self._now(), inputs=inputs, evidence=evidence, pool=known.between)

    def _of(self, leaf: Certificate, record: Entry | None, purpose: Purpose, known: _Known) -> tuple[Inputs, Evidence]:
        revoked = known.revoked
        if record is not None and record.state is State.REVOKED:
            revoked = revoked | {(leaf.issuer_der, leaf.serial)}
        return _INPUTS[purpose], Evidence(crls=self._foreign.crls, revoked=revoked)

    def _current(self) -> _Known:
        standing = self._issuers.standing()
        if self._known is None or self._known[0] is not standing:
            self._signatures = self._checked(standing)
            self._known = standing, _Known.of(standing, self._foreign)
        return self._known[1]

    def _checked(self, standing: Standing) -> dict[tuple[Signed, bytes], str | None]:
        """Check the signatures of the own CAs, each but once: they stand in the chain of every car."""
        checked = {}
        for number in standing.cas:
            own, *above = standing.chain(number)
            issuer = above[0] if above else own
            place = own.signed, issuer.spki
            known = place in self._signatures
            checked[place] = self._signatures[place] if known else own.signed.objection(issuer.key)
        return checked


@dataclass(frozen=True, slots=True)
class _Known:
    """What follows from the credentials of one moment."""

    roots: dict[Purpose, tuple[Certificate, ...]]
    between: tuple[Certificate, ...]
    revoked: frozenset[tuple[bytes, int]]
    cas: dict[bytes, list[int]]

    @classmethod
    def of(cls, standing: Standing, foreign: Foreign) -> _Known:
        """Sort the credentials by what they are asked for."""
        configured = {"OEM": foreign.oem, "MO": foreign.mo, "V2G": foreign.v2g}
        own = {
            role: [each.certificate for each in standing.cas.values() if each.profile.name.startswith(f"{role}_ROOT")]
            for role in configured
        }
        roots = {
            purpose: tuple(root for role in roles for root in (*own[role], *configured[role]))
            for purpose, roles in ANCHORS.items()
        }
        cas: dict[bytes, list[int]] = {}
        for issuer in standing.cas.values():
            cas.setdefault(issuer.certificate.subject_der, []).append(issuer.number)
        revoked = [each.entry for each in standing.credentials if each.entry.state is State.REVOKED]
        return cls(
            roots=roots,
            between=(
                *(each.certificate for each in standing.cas.values() if not each.certificate.self_issued),
                *foreign.between,
            ),
            revoked=frozenset((each.read().issuer_der, each.serial) for each in revoked),
            cas=cas,
        )
