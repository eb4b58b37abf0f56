"""Reports as people read them: aligned labels, marks for what holds and what does not, colour where it is shown."""

from __future__ import annotations

from collections.abc import Iterator

import click

from voltroot.cli.inspection.reports import Report, Section
from voltroot.cli.terminal import printable
from voltroot.pki.lints import LINTS, Finding, Level

MARKS = {Level.ERROR: ("✗", "red"), Level.WARNING: ("!", "yellow")}
PASSED = ("✓", "green")
LINT_NAMES = {rule.name for rule in LINTS}


def lines(report: Report) -> Iterator[str]:
    """Yield the lines of a report, styled; click takes the styles away where they would be noise."""
    yield click.style(f"{printable(report.file)}  ({report.encoding})", dim=True)
    for section in report.sections:
        yield from _section(section)
        yield ""


def _section(section: Section) -> Iterator[str]:
    yield click.style(section.title, bold=True)
    shown = [fact for fact in section.facts if fact.text]
    width = max((len(fact.label) for fact in shown), default=0)
    for fact in shown:
        yield f"  {click.style(fact.label.ljust(width), fg='cyan')}  {printable(fact.text)}"
    if section.rules:
        yield _passed(section)
    for finding in sorted(section.findings, key=lambda each: each.level is not Level.ERROR):
        yield _finding(finding)


def _passed(section: Section) -> str:
    broken = len({finding.lint for finding in section.findings} & LINT_NAMES)
    words = f"all {section.rules} rules of the profile hold"
    if broken:
        words = f"{section.rules - broken} of {section.rules} rules of the profile hold"
    return f"  {click.style(PASSED[0], fg=PASSED[1])} {words}"


def _finding(finding: Finding) -> str:
    mark, colour = MARKS[finding.level]
    head = click.style(f"{mark} {finding.level.value} {finding.lint}", fg=colour)
    return f"  {head}: {printable(finding.text)} {click.style(f'({finding.clause})', dim=True)}"
