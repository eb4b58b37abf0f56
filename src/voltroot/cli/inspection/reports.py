"""What is told of a file: sections of labelled facts with findings, the same for people and for JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import click

from voltroot.cli.terminal import printable
from voltroot.errors import Failure
from voltroot.pki.certificates import Certificate
from voltroot.pki.lints import LINTS, Finding, Level
from voltroot.pki.profiles import Profile
from voltroot.pki.recognise import recognise

Json = str | int | bool | None | Sequence["Json"] | Mapping[str, "Json"]

MARKS = {Level.ERROR: ("✗", "red"), Level.WARNING: ("!", "yellow")}
PASSED = ("✓", "green")
LINT_NAMES = {rule.name for rule in LINTS}


class Fact(NamedTuple):
    """One line: member and value of the JSON document, label and text for people.

    Without a key it stands in no document, without a text it is not printed.
    """

    key: str
    value: Json
    label: str = ""
    text: str = ""


@dataclass(slots=True)
class Section:
    """What is told of one thing in a file. ``rules`` is how many rules it was held against."""

    kind: str
    title: str
    facts: list[Fact] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    rules: int = 0

    def document(self) -> dict[str, Json]:
        """Return the section as a member of the JSON document."""
        findings = [{"lint": f.lint, "level": f.level.value, "clause": f.clause, "text": f.text} for f in self.findings]
        facts = {fact.key: fact.value for fact in self.facts if fact.key}
        return {"kind": self.kind, "title": self.title, **facts, "rules": self.rules, "findings": findings}

    def lines(self) -> Iterator[str]:
        """Yield the lines of the section, styled."""
        yield click.style(self.title, bold=True)
        shown = [fact for fact in self.facts if fact.text]
        width = max((len(fact.label) for fact in shown), default=0)
        for fact in shown:
            yield f"  {click.style(fact.label.ljust(width), fg='cyan')}  {printable(fact.text)}"
        if self.rules:
            yield self._passed()
        for finding in sorted(self.findings, key=lambda each: each.level is not Level.ERROR):
            yield _finding(finding)

    def _passed(self) -> str:
        broken = len({finding.lint for finding in self.findings} & LINT_NAMES)
        words = f"all {self.rules} rules of the profile hold"
        if broken:
            words = f"{self.rules - broken} of {self.rules} rules of the profile hold"
        return f"  {click.style(PASSED[0], fg=PASSED[1])} {words}"


@dataclass(frozen=True, slots=True)
class Report:
    """What is told of one file."""

    file: str
    encoding: str
    sections: tuple[Section, ...]

    @property
    def has_errors(self) -> bool:
        """Whether a finding at error level is among them."""
        return any(finding.level is Level.ERROR for section in self.sections for finding in section.findings)

    def document(self) -> dict[str, Json]:
        """Return the report as a member of the JSON document."""
        return {
            "file": self.file,
            "encoding": self.encoding,
            "error": None,
            "items": [section.document() for section in self.sections],
        }

    def lines(self) -> Iterator[str]:
        """Yield the lines of the report, styled; click takes the styles away where they would be noise."""
        yield click.style(f"{printable(self.file)}  ({self.encoding})", dim=True)
        for section in self.sections:
            yield from section.lines()
            yield ""


@dataclass(frozen=True, slots=True)
class Sight:
    """What files are looked at with: the moment, the table, and all certificates given, in ``pool``.

    Certificates of any file may be the issuers of those of another. ``chosen`` is for the first of them.
    """

    at: datetime
    profiles: Mapping[str, Profile]
    chosen: Profile | None
    pool: tuple[Certificate, ...] = ()

    def profile_of(self, certificate: Certificate) -> Profile | None:
        """Return the profile that was chosen for the first certificate of all, or the one that a certificate means."""
        chosen = self.chosen if self.pool and certificate is self.pool[0] else None
        return chosen or recognise(certificate, self.profiles)


class Row(NamedTuple):
    """How one fact is taken from a thing; ``show`` makes its text, where the value alone does not.

    Without a label it is for JSON only.
    """

    key: str
    label: str
    take: Callable[[], Json]
    show: Callable[[], str] | None = None


def facts(rows: Iterable[Row]) -> Iterator[Fact]:
    """Yield the facts of rows; what cannot be read says so in its own line."""
    for row in rows:
        try:
            value = row.take()
            yield Fact(row.key, value, row.label, _text(row, value))
        except (Failure, ValueError) as error:
            yield Fact(row.key, None, row.label, f"cannot be read: {error}")


def error(lint: str, clause: str, text: str) -> Finding:
    """Return a finding of ours that is no lint of the table, at error level."""
    return Finding(lint, Level.ERROR, clause, text)


def warning(lint: str, clause: str, text: str) -> Finding:
    """Return a finding of ours that is no lint of the table, at warning level."""
    return Finding(lint, Level.WARNING, clause, text)


def _text(row: Row, value: Json) -> str:
    if not row.label:
        return ""
    return row.show() if row.show else _plain(value)


def _plain(value: Json) -> str:
    """Return a value's text: nothing for what is absent."""
    match value:
        case None:
            return ""
        case str() | int():
            return str(value)
        case Mapping():
            return ", ".join(f"{name} {_plain(each)}" for name, each in value.items())
        case _:
            return ", ".join(map(_plain, value))


def _finding(finding: Finding) -> str:
    mark, colour = MARKS[finding.level]
    head = click.style(f"{mark} {finding.level.value} {finding.lint}", fg=colour)
    return f"  {head}: {printable(finding.text)} {click.style(f'({finding.clause})', dim=True)}"
