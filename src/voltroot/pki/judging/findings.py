"""What a rule of the judge is, what it finds, and what follows: a verdict, what decided it, and all else in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Generic, NamedTuple, TypeVar

from voltroot.errors import Failure
from voltroot.pki.certificates import Certificate

T = TypeVar("T")


class Verdict(StrEnum):
    """What a chain is worth."""

    OK = "OK"
    CHAIN_ERROR = "CHAIN_ERROR"
    EXPIRED = "EXPIRED"
    NOT_YET_VALID = "NOT_YET_VALID"
    REVOKED = "REVOKED"
    UNKNOWN_ISSUER = "UNKNOWN_ISSUER"


# Of several faults the first of these decides. What anybody can forge weighs most: a date or a revocation means
# something only in a chain that holds. Expiry weighs least, because it is the one fault that a renewal mends.
PRECEDENCE = (
    Verdict.UNKNOWN_ISSUER,
    Verdict.CHAIN_ERROR,
    Verdict.REVOKED,
    Verdict.NOT_YET_VALID,
    Verdict.EXPIRED,
    Verdict.OK,
)


class Finding(NamedTuple):
    """One thing found: at which certificate (0 is the leaf, None the chain as a whole), by which rule and clause.

    The verdict is what follows from it alone; OK marks a remark, which refuses nothing.
    """

    place: int | None
    rule: str
    clause: str
    verdict: Verdict
    text: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.text} ({self.clause})"


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


def ask(rules: Sequence[Rule[T]], subject: T, place: int | None, *, strict: bool = False) -> list[Finding]:
    """Return what rules find; a certificate that cannot be read as a rule needs it breaks that rule."""
    found = []
    for rule in rules:
        try:
            text = rule.check(subject)
        except (Failure, ValueError, IndexError, StopIteration) as error:
            text = f"it cannot be read: {error}"
        if text is not None:
            verdict = Verdict.CHAIN_ERROR if strict and rule.strict else rule.verdict
            found.append(Finding(place, rule.name, rule.clause, verdict, text))
    return found


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on a chain. ``path`` is what was judged, leaf first; ``anchored`` says that an anchor stands last.

    ``findings`` go from the anchor down, as RFC 5280 6.1 walks; ``policies`` are those that hold for the whole path;
    ``signatures`` is how many were checked.
    """

    verdict: Verdict
    text: str = ""
    findings: tuple[Finding, ...] = ()
    path: tuple[Certificate, ...] = ()
    anchored: bool = False
    policies: frozenset[str] = frozenset()
    signatures: int = 0

    @property
    def deciding(self) -> Finding | None:
        """The finding that decided, which is the first of those that weigh most; None where all is well."""
        if self.verdict is Verdict.OK:
            return None
        return next((each for each in self.findings if each.verdict is self.verdict), None)

    @property
    def failing(self) -> Certificate | None:
        """The first certificate that failed."""
        decided = self.deciding
        return None if decided is None or decided.place is None else self.path[decided.place]

    @property
    def others(self) -> tuple[Finding, ...]:
        """Every other finding, in order."""
        decided = self.deciding
        return tuple(each for each in self.findings if each is not decided)


def conclude(path: Sequence[Certificate], findings: Iterable[Finding], **rest: Any) -> Judgement:
    """Return the judgement that follows from findings; ``rest`` are further members of it."""
    found = tuple(findings)
    if not found:
        return Judgement(Verdict.OK, path=tuple(path), **rest)
    verdict = min((each.verdict for each in found), key=PRECEDENCE.index)
    judgement = Judgement(verdict, findings=found, path=tuple(path), **rest)
    decided, failing = judgement.deciding, judgement.failing
    if decided is None:
        return judgement
    return replace(judgement, text=decided.text if failing is None else f"{name_of(failing)}: {decided.text}")


def name_of(certificate: Certificate) -> str:
    """Return the subject for people, also where it cannot be read."""
    try:
        return certificate.subject.print() or "(no name)"
    except (Failure, ValueError):
        return "(a name that cannot be read)"
