"""What must hold for a draft before it may be signed, and what is wrong with a certificate from elsewhere."""

from __future__ import annotations

from typing import NamedTuple

from voltroot.errors import Failure, PolicyViolation
from voltroot.pki.certificates import Certificate
from voltroot.pki.profiles import Profile
from voltroot.pki.rules import contents, extensions
from voltroot.pki.rules.contents import IDENTIFIERS
from voltroot.pki.rules.rule import Case, Level, Lint

__all__ = ["IDENTIFIERS", "LINTS", "Finding", "Level", "lint", "require"]

LINTS = (*contents.RULES, *extensions.RULES)
ERRORS = tuple(rule for rule in LINTS if rule.level is Level.ERROR)


class Finding(NamedTuple):
    """One rule that does not hold: the lint's name, its level, its clause, and what was found."""

    lint: str
    level: Level
    clause: str
    text: str

    def __str__(self) -> str:
        return f"{self.lint}: {self.text} ({self.clause})"


def lint(certificate: Certificate, profile: Profile, issuer: Certificate | None = None) -> list[Finding]:
    """Return all findings on a certificate that means to be of a profile, in the order of the table."""
    case = Case(certificate, profile, issuer)
    return [Finding(rule.name, rule.level, rule.clause, text) for rule in LINTS if (text := _ask(rule, case))]


def require(
    certificate: Certificate,
    profile: Profile,
    issuer: Certificate | None = None,
    waived: frozenset[str] = frozenset(),
) -> None:
    """Raise PolicyViolation for the errors among the findings: a CA key signs only what passed here.

    ``waived`` are names of rules that a lab's certificate may break, and no others.
    """
    case = Case(certificate, profile, issuer)
    asked = [rule for rule in ERRORS if rule.name not in waived] if waived else ERRORS
    errors = [f"{rule.name}: {text} ({rule.clause})" for rule in asked if (text := _ask(rule, case))]
    if errors:
        raise PolicyViolation(f"the {profile.title} would break its profile: " + "; ".join(errors))


def _ask(rule: Lint, case: Case) -> str | None:
    try:
        return rule.check(case)
    except (Failure, ValueError, StopIteration) as error:
        return f"cannot be read: {error}"
