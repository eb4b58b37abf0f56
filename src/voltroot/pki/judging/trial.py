"""Judging one path, or the paths that a pool has, with everything that bears on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from voltroot.pki.certificates import Certificate
from voltroot.pki.judging import crl_status, forms, iso15118, ocsp_status, rules
from voltroot.pki.judging.effort import Effort
from voltroot.pki.judging.findings import Finding, Judgement, Rule, Verdict, ask, conclude
from voltroot.pki.judging.inputs import MOST_PATHS, NOTHING, Evidence, Inputs
from voltroot.pki.judging.inquiry import Inquiry, State, Status
from voltroot.pki.judging.paths import Builder
from voltroot.pki.judging.walk import Path, Walk

UNASKED = Status(State.UNASKED, "there is no evidence")
SILENT = Status(State.SILENT, "no evidence is about it")
ON_RECORD = Status(State.REVOKED, "so says the record")


def asked(inputs: Inputs, *, is_anchor: bool, is_leaf: bool) -> tuple[Rule[Any], ...]:
    """Return the rules that a certificate is held against, in their order."""
    if is_anchor:
        of_form = forms.rules(strict=True) if inputs.strict else ()
        return (*rules.OF_ANCHORS, *of_form, *(iso15118.OF_ANCHORS if inputs.purpose else ()))
    own, standard = (rules.OF_LEAVES, iso15118.OF_LEAVES) if is_leaf else (rules.OF_CAS, iso15118.OF_CAS)
    return (*own, *forms.rules(strict=inputs.strict), *(standard if inputs.purpose else ()))


@dataclass(frozen=True, slots=True)
class Trial:
    """All that bears on a judgement but the path. ``open`` are certificates whose own status hangs on it."""

    at: datetime
    inputs: Inputs
    anchors: Sequence[Certificate]
    pool: Sequence[Certificate] = ()
    evidence: Evidence = NOTHING
    effort: Effort = field(default_factory=Effort)
    open: frozenset[bytes] = frozenset()

    def judge(self, path: Path) -> Judgement:
        """Judge a path, leaf first and its anchor last (RFC 5280 6.1)."""
        walk = Walk(path, self.at, self.inputs, self.effort, self.tell)
        findings = self._walked(walk)
        return conclude(path, findings, anchored=True, policies=walk.allowed, signatures=self.effort.signatures)

    def findings(self, path: Path) -> list[Finding]:
        """Return what is found on a path whose last certificate is not trusted, as if it were."""
        return self._walked(Walk(path, self.at, self.inputs, self.effort, self.tell))

    def search(self, leaf: Certificate) -> Judgement | None:
        """Judge the paths that there are until one holds, or else the likeliest; None where there is no path."""
        builder = Builder(self.pool, self.anchors, self.at, self.effort, self.inputs.deepest)
        likeliest = None
        for path in islice(builder.paths(leaf), MOST_PATHS):
            judgement = self.judge(path)
            if judgement.verdict is Verdict.OK:
                return judgement
            likeliest = likeliest or judgement
        return likeliest

    def tell(self, path: Path, place: int) -> Status:
        """Return what is known of the status of a certificate of a path."""
        if self.evidence is NOTHING:
            return UNASKED
        return _ask(
            Inquiry(
                path=path,
                place=place,
                at=self.at,
                evidence=self.evidence,
                pool=self.pool,
                effort=self.effort,
                inputs=self.inputs,
                vouch=self._vouch,
                ask=_ask,
                open=self.open,
            )
        )

    def _walked(self, walk: Walk) -> list[Finding]:
        strict, purpose, found = self.inputs.strict, self.inputs.purpose, _repeated(walk.path)
        case = None if purpose is None else iso15118.Case(walk, purpose)
        found += ask(rules.OF_ANCHORS, walk, walk.place, strict=strict)
        found += forms.findings(walk.certificate, walk.place, strict=True) if strict else ()
        if case is not None:
            found += ask(iso15118.OF_ANCHORS, case, walk.place, strict=strict)
        while walk.certifies:
            walk.descend()
            own, standard = (rules.OF_CAS, iso15118.OF_CAS) if walk.certifies else (rules.OF_LEAVES, iso15118.OF_LEAVES)
            found += ask(own, walk, walk.place, strict=strict)
            found += forms.findings(walk.certificate, walk.place, strict=strict)
            if case is not None:
                found += ask(standard, case, walk.place, strict=strict)
                found += iso15118.conformance(case) if strict else ()
        return found

    def _vouch(self, certificate: Certificate, inquiry: Inquiry) -> bool:
        """Whether another signer has a valid path to the same anchor (RFC 5280 6.3.3 (f))."""
        inputs = Inputs(strict=self.inputs.strict, status=self.inputs.status, deepest=self.inputs.deepest)
        nested = Trial(self.at, inputs, inquiry.path[-1:], self.pool, self.evidence, self.effort, inquiry.opened)
        judgement = nested.search(certificate)
        return judgement is not None and judgement.verdict is Verdict.OK


def _repeated(path: Path) -> list[Finding]:
    if len({each.der for each in path}) == len(path):
        return []
    text = "a certificate stands in the chain more than once"
    return [Finding(None, "once", "RFC 5280 6.1", Verdict.CHAIN_ERROR, text)]


def _ask(inquiry: Inquiry) -> Status:
    """Return the gravest that the evidence says: revoked by any of it, or else good by any."""
    own, evidence = inquiry.certificate, inquiry.evidence
    if (own.issuer_der, own.serial) in evidence.revoked:
        return ON_RECORD
    if not evidence.crls and not evidence.answers:
        return UNASKED
    told = [status for source in (ocsp_status.status, crl_status.status) if (status := source(inquiry))]
    return min(told, key=lambda status: _WEIGHT[status.state], default=SILENT)


_WEIGHT = {State.REVOKED: 0, State.GOOD: 1, State.UNCLEAR: 2}
