"""Judgements as people read them: the chain from its root down, each check with its mark and reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import click

from voltroot.cli.inspection.chains import short_name_of
from voltroot.cli.inspection.reports import Json
from voltroot.cli.inspection.values import iso, moment, serial
from voltroot.cli.terminal import printable
from voltroot.pki.certificates import Certificate
from voltroot.pki.chains import Evidence, Finding, Inputs, Judgement, Verdict
from voltroot.pki.judging.codes import CODES
from voltroot.pki.judging.findings import Rule, name_of
from voltroot.pki.judging.forms import rules as form_rules
from voltroot.pki.judging.trial import asked
from voltroot.pki.profiles import profiles
from voltroot.pki.recognise import recognise

HOLDS, FAILS, REMARK, UNASKED = ("✓", "green"), ("✗", "red"), ("!", "yellow"), ("–", "bright_black")
UNSPOKEN = ("octets", "issuer_key", "critical_2022")  # not worth a line unless broken
ADVICE = {
    "issuer_name": "Give the leaf first, and after each certificate its issuer; or the CAs with --pool, in any order.",
    "anchor": "If its root is to be trusted, name it with --roots; if a CA is missing in between, add it to the chain.",
    "status": "Give newer CRLs or OCSP answers with --crl and --ocsp, and their signers with --pool; or use --status.",
}
OF_LIMITS = ("length", "octets")  # what breaks one is not looked at further
ON_STATUS = ("revoked", "status", "status_told")


class Check(NamedTuple):
    """One check of one certificate, its mark, and what is said of it."""

    mark: tuple[str, str]
    rule: str
    clause: str
    text: str

    def document(self) -> dict[str, Json]:
        """Return it as a member of the JSON document; ``holds`` is null where it was not asked, or is only a remark."""
        holds = {HOLDS: True, FAILS: False}.get(self.mark)
        return {"rule": self.rule, "clause": self.clause, "holds": holds, "text": self.text}


@dataclass(frozen=True, slots=True)
class Report:
    """A judgement with what it was made by."""

    judgement: Judgement
    inputs: Inputs
    evidence: Evidence
    at: datetime

    def lines(self, *, brief: bool) -> Iterator[str]:
        """Yield the lines of the report, styled."""
        judgement = self.judgement
        colour = "green" if judgement.verdict is Verdict.OK else "red"
        reason = judgement.text or f"the chain is good on {moment(self.at)}"
        yield f"{click.style(judgement.verdict, fg=colour, bold=True)}  {printable(reason)}"
        if judgement.deciding and (advice := ADVICE.get(judgement.deciding.rule)):
            yield click.style(f"→ {advice}", fg="cyan")
        yield from (_line(_found(each)) for each in judgement.findings if each.place is None)
        for place in reversed(range(len(judgement.path))):
            depth = len(judgement.path) - 1 - place
            yield from () if brief else ("",)
            yield f"{'   ' * (depth - 1)}{'└─ ' if depth else ''}{self._head(place)}"
            for check in self._shown(place, brief=brief):
                yield "   " * depth + _line(check)

    def document(self) -> dict[str, Json]:
        """Return the report as one JSON document."""
        judgement = self.judgement
        return {
            "verdict": judgement.verdict.value,
            "text": judgement.text,
            "at": iso(self.at),
            "purpose": self.inputs.purpose and self.inputs.purpose.value,
            "codes": {name: codes.of(judgement) for name, codes in CODES.items()},
            "deciding": judgement.deciding and _document(judgement.deciding),
            "findings": [_document(each) for each in judgement.findings],
            "policies": sorted(judgement.policies),
            "signatures": judgement.signatures,
            "chain": [self._certificate(place) for place in range(len(judgement.path))],
        }

    def checks(self, place: int) -> Iterator[Check]:
        """Yield what was checked of a certificate, and what came of it."""
        findings = {each.rule: each for each in self._at(place)}
        for rule in self._rules(place):
            if rule.name in findings:
                yield _found(findings.pop(rule.name))
            elif rule.name == "signature" and any(each.rule == "issuer_name" for each in self._at(place)):
                yield Check(UNASKED, rule.name, rule.clause, "not asked: its issuer does not stand above it")
            elif rule.name not in ON_STATUS:
                yield _holding(rule)
            elif rule.name == "revoked" and not findings.keys() & set(ON_STATUS):
                yield self._status(rule)
        yield from map(_found, findings.values())

    def _shown(self, place: int, *, brief: bool) -> Iterator[Check]:
        """What people are shown: of the many rules on a certificate's form that hold, only how many they are."""
        checks, forms = [*self.checks(place)], {rule.name for rule in form_rules(strict=self.inputs.strict)}
        holding = [check for check in checks if check.mark is HOLDS and check.rule in forms]
        for check in checks:
            if check.mark in (FAILS, REMARK) or not (brief or check in holding or check.rule in UNSPOKEN):
                yield check
        if holding and not brief:
            yield Check(HOLDS, "form", "RFC 5280 section 4", f"{len(holding)} of {len(forms)} rules on its form hold")

    def _at(self, place: int) -> list[Finding]:
        return [each for each in self.judgement.findings if each.place == place]

    def _rules(self, place: int) -> tuple[Rule[Any], ...]:
        judgement = self.judgement
        if judgement.anchored:
            return asked(self.inputs, is_anchor=self._is_top(place), is_leaf=place == 0)
        # Those below one that nobody trusted has issued are judged as if it were trusted.
        beyond = self._is_top(place) or any(each.rule in OF_LIMITS for each in judgement.findings)
        return () if beyond else asked(self.inputs, is_anchor=False, is_leaf=place == 0)

    def _status(self, rule: Rule[Any]) -> Check:
        if self.evidence.crls or self.evidence.answers:
            return _holding(rule)
        return Check(UNASKED, rule.name, rule.clause, "whether it is revoked was not asked: there is no evidence")

    def _head(self, place: int) -> str:
        own = self.judgement.path[place]
        trusted = ["trusted"] if self.judgement.anchored and self._is_top(place) else []
        facts = ", ".join([*filter(None, [_kind(own)]), f"until {moment(own.not_after)}", *trusted])
        return f"{click.style(printable(short_name_of(own)), bold=True)}  {click.style(facts, dim=True)}"

    def _is_top(self, place: int) -> bool:
        return place == len(self.judgement.path) - 1

    def _certificate(self, place: int) -> dict[str, Json]:
        own = self.judgement.path[place]
        return {
            "subject": name_of(own),
            "profile": _kind(own),
            "serial": serial(own.serial),
            "notBefore": iso(own.not_before),
            "notAfter": iso(own.not_after),
            "fingerprint": own.fingerprint.hex(),
            "trusted": self.judgement.anchored and self._is_top(place),
            "checks": [check.document() for check in self.checks(place)],
        }


def _kind(certificate: Certificate) -> str | None:
    profile = recognise(certificate, profiles())
    return profile.name if profile else None


def _holding(rule: Rule[Any]) -> Check:
    return Check(HOLDS, rule.name, rule.clause, rule.title)


def _found(finding: Finding) -> Check:
    mark = REMARK if finding.verdict is Verdict.OK else FAILS
    return Check(mark, finding.rule, finding.clause, finding.text)


def _line(check: Check) -> str:
    mark, colour = check.mark
    words = click.style(f"{mark} {check.rule.ljust(16)}", fg=colour)
    return f"   {words} {printable(check.text)} {click.style(f'({check.clause})', dim=True)}"


def _document(finding: Finding) -> dict[str, Json]:
    return {
        "place": finding.place,
        "rule": finding.rule,
        "clause": finding.clause,
        "verdict": finding.verdict.value,
        "text": finding.text,
    }
