"""Chains as messages carry them: read, judged for what they are shown for, and told in a line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from voltroot.errors import Malformed
from voltroot.pki.certificates import Certificate
from voltroot.pki.chains import Demand, Evidence, Inputs, Judgement, Purpose, Verdict, judge
from voltroot.v2g import iso2

MOST_SUB_CAS = 2  # [V2G2-656]; below a root stand three certificates [V2G2-009]


class Stopped(Exception):
    """The car goes no further: what is wrong, by name."""

    def __init__(self, fault: str, text: str, clause: str = "") -> None:
        super().__init__(text)
        self.fault = fault
        self.clause = clause


def read(chain: Any) -> list[Certificate]:
    """Return the chain of any of the messages, leaf first, or raise Stopped; sizes are seen before contents."""
    subs = tuple(chain.SubCertificates.Certificate) if chain.SubCertificates is not None else ()
    largest = 800 if isinstance(chain, iso2.CertificateChainType) else 1600
    for place, octets in enumerate((chain.Certificate, *subs)):
        if len(octets) > largest:
            text = f"certificate {place + 1} has {len(octets):,} octets, {largest:,} are allowed"
            raise Stopped("size", text, clause="V2G2-010" if largest == 800 else "ISO 15118-20 certificateType")
    try:
        return [Certificate.read(octets) for octets in (chain.Certificate, *subs)]
    except Malformed as error:
        raise Stopped("certificate", str(error)) from error


def judged(
    chain: Sequence[Certificate], roots: Sequence[Certificate], purpose: Purpose, now: datetime, evidence: Evidence
) -> Judgement:
    """Return the judgement on a chain that is good, or raise Stopped."""
    judgement = judge(chain, roots, now, inputs=Inputs(purpose=purpose, status=Demand.NONE), evidence=evidence)
    if judgement.verdict is not Verdict.OK:
        decided = judgement.deciding
        rule, clause = (decided.rule, decided.clause) if decided else ("chain", "")
        raise Stopped(rule, judgement.text, clause=clause)
    if len(chain) > 1 + MOST_SUB_CAS:
        text = f"{len(chain) - 1} sub-CAs stand above the leaf, {MOST_SUB_CAS} are allowed"
        raise Stopped("depth", text, clause="V2G2-009, V2G2-656")
    return judgement


def told(chain: Sequence[Certificate]) -> str:
    """Return the leaf's name, how many stand above it, and how large they are."""
    subs = len(chain) - 1
    sizes = " + ".join(str(len(each.der)) for each in chain)
    return f"{name(chain)} and {subs} sub-CA{'s' if subs != 1 else ''} ({sizes} octets)"


def name(chain: Sequence[Certificate]) -> str:
    """Return the common name of a chain's first certificate."""
    return (chain[0].subject.get("CN") or "") if chain else ""
