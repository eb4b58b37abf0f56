"""What a rule of the judge is: a row with its clause and its check."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

from voltroot.errors import Failure
from voltroot.pki.judging.findings import Finding, Verdict

T = TypeVar("T")


class Rule(NamedTuple, Generic[T]):
    """One rule; ``check`` returns what is wrong, or None. ``title`` says what holds where nothing is wrong.

    ``verdict`` follows from a breach: OK makes a remark of it, which is an error for a strict judge if ``strict``.
    """

    name: str
    clause: str
    title: str
    check: Callable[[T], str | None]
    verdict: Verdict = Verdict.CHAIN_ERROR
    strict: bool = False


def ask(rules: Sequence[Rule[T]], subject: T, place: int | None, *, strict: bool = False) -> Iterator[Finding]:
    """Yield what rules find; a certificate that cannot be read as a rule needs it breaks that rule."""
    for rule in rules:
        try:
            text = rule.check(subject)
        except (Failure, ValueError, IndexError, StopIteration) as error:
            text = f"it cannot be read: {error}"
        if text is not None:
            verdict = Verdict.CHAIN_ERROR if strict and rule.strict else rule.verdict
            yield Finding(place, rule.name, rule.clause, verdict, text)
