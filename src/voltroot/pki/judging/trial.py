"""Judging one path, or the paths that a pool has, with everything that bears on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from voltroot.pki.certificates import Certificate
from voltroot.pki.judging import crl_status, forms, iso15118, ocsp_status, rules
from voltroot.pki.judging.effort import Effort
from voltroot.pki.judging.findings import Finding, Judgement, Verdict, conclude
from voltroot.pki.judging.inputs import MOST_PATHS, Evidence, Inputs
from voltroot.pki.judging.inquiry import Inquiry, State, Status
from voltroot.pki.judging.paths import Builder
from voltroot.pki.judging.rule import Rule, ask
from voltroot.pki.judging.walk import Path, Walk

UNASKED = Status(State.UNASKED, "there is no evidence")
SILENT = Status(State.SILENT, "no evidence tells whether it is revoked")


@dataclass(frozen=True, slots=True)
class Tables:
    """The rules that certificates of a path are held against, by where they stand."""

    anchor: tuple[Rule[Walk], ...]
    ca: tuple[Rule[Walk], ...]
    leaf: tuple[Rule[Walk], ...]
    forms: tuple[Rule[Certificate], ...]


def tables(inputs: Inputs) -> Tables:
    """Return the rules that are asked."""
    standard, strictly = inputs.purpose is not None, inputs.strict
    everywhere = (*rules.OF_ALL, *(iso15118.OF_ALL if standard else ()), *((iso15118.CONFORMANCE,) if standard and strictly else ()))
    return Tables(
        (*rules.OF_ANCHORS, *(iso15118.OF_ANCHORS if standard else ())),
        (*everywhere, *rules.OF_CAS),
        (*everywhere, *rules.OF_LEAVES, *(iso15118.OF_LEAVES if standard else ())),
        (*forms.FORMS, *forms.LAPSES, *((forms.ENCODING,) if strictly else ())),
    )
