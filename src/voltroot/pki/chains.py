"""Judging certification paths as RFC 5280 section 6 and ISO 15118 want them, and telling why a chain is refused.

A pure function of its arguments: evidence of revocation is fetched at the edge, anchors come from configuration only,
and the work is bounded whatever the certificates are.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from voltroot.pki.certificates import Certificate
from voltroot.pki.judging import iso15118
from voltroot.pki.judging.effort import Effort, Known
from voltroot.pki.judging.findings import PRECEDENCE, Finding, Judgement, Verdict, conclude
from voltroot.pki.judging.inputs import LARGEST, NOTHING, PLAIN, Demand, Evidence, Inputs, Purpose
from voltroot.pki.judging.paths import Shelf
from voltroot.pki.judging.trial import Trial

__all__ = [
    "PRECEDENCE", "Demand", "Evidence", "Finding", "Inputs", "Judgement", "Purpose", "Verdict", "judge", "search",
]  # fmt: skip


def judge(
    chain: Sequence[Certificate],
    roots: Collection[Certificate],
    at: datetime,
    *,
    inputs: Inputs = PLAIN,
    evidence: Evidence = NOTHING,
    pool: Sequence[Certificate] = (),
    known: Known | None = None,
) -> Judgement:
    """Judge a chain as it was given, leaf first; a root at its end is trusted only if it is one of ``roots``.

    ``pool`` has certificates of those who may have signed evidence. Signatures that are ``known`` are not checked
    again. Of several faults the one that comes first in ``PRECEDENCE`` decides.
    """
    trial = _trial(roots, at, inputs, evidence, [*chain, *pool], known)
    if (fault := _out_of_bounds(chain, trial)) is not None:
        return fault
    if chain[-1].der in [root.der for root in roots]:
        return trial.judge(tuple(chain))
    top, objections, likeliest = chain[-1], [], None
    for root in Shelf(roots).issuers_of(top, at):
        if (objection := trial.effort.objection(top.signed, root)) is not None:
            objections.append(objection)
            continue
        judgement = trial.judge((*chain, root))
        if judgement.verdict is Verdict.OK:
            return judgement
        likeliest = likeliest or judgement
    if likeliest is not None:
        return replace(likeliest, signatures=trial.effort.signatures)
    findings = _unanchored(trial.findings(tuple(chain)), len(chain) - 1, objections)
    return conclude(chain, findings, signatures=trial.effort.signatures)


def search(
    leaf: Certificate,
    pool: Sequence[Certificate],
    roots: Collection[Certificate],
    at: datetime,
    *,
    inputs: Inputs = PLAIN,
    evidence: Evidence = NOTHING,
    known: Known | None = None,
) -> Judgement:
    """Judge the paths that can be built from a pool, cross-certificates included, until one of them holds."""
    trial = _trial(roots, at, inputs, evidence, pool, known)
    if (fault := _out_of_bounds([leaf], trial)) is not None:
        return fault
    judgement = trial.search(leaf)
    if judgement is None:
        judgement = conclude([leaf], [_unknown(0)])
    return replace(judgement, signatures=trial.effort.signatures)


def _trial(
    roots: Collection[Certificate],
    at: datetime,
    inputs: Inputs,
    evidence: Evidence,
    pool: Sequence[Certificate],
    known: Known | None,
) -> Trial:
    small = [each for each in pool if len(each.der) <= LARGEST]
    inputs = iso15118.inputs_for(inputs) if inputs.purpose else inputs
    return Trial(at, inputs, tuple(roots), small, evidence, Effort(known))


def _out_of_bounds(chain: Sequence[Certificate], trial: Trial) -> Judgement | None:
    """What is refused without being looked at."""
    deepest = trial.inputs.deepest
    if not 1 <= len(chain) <= deepest + 1:
        text = f"the chain has {len(chain)} certificates: 1 to {deepest + 1} are looked at"
        return conclude((), [Finding(None, "length", "ADR 10", Verdict.CHAIN_ERROR, text)])
    for place, certificate in enumerate(chain):
        if len(certificate.der) > LARGEST:
            text = f"it has {len(certificate.der)} octets: more than {LARGEST} are not looked at"
            return conclude(chain, [Finding(place, "octets", "ADR 10", Verdict.CHAIN_ERROR, text)])
    return None


def _unanchored(found: Sequence[Finding], top: int, objections: Sequence[str]) -> list[Finding]:
    """What is wrong with a chain that leads to no anchor: it is in disorder, or nobody trusted has issued its last."""
    others = [each for each in found if each.place != top or each.rule in ("not_yet_valid", "expired")]
    disorder = any(each.rule == "issuer_name" for each in others)
    return others if disorder else [_unknown(top, objections), *others]


def _unknown(place: int, objections: Sequence[str] = ()) -> Finding:
    text = "no trusted root has issued it"
    if objections:
        text += f"; one of that name is trusted, but {objections[0]}"
    return Finding(place, "anchor", "RFC 5280 6.1.1 (d), V2G2-925", Verdict.UNKNOWN_ISSUER, text)
