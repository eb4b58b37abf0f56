"""The corpus as it is being written: which lint or verdict has to catch each file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from vectors.forgery.forge import AMENDMENT_1, EDITION_2022, Break, Forged, ca, forge
from voltroot.pki.chains import Verdict
from voltroot.pki.lints import LINTS
from voltroot.pki.profiles import Profile, issuer_suite
from voltroot.pki.suites import Suite

Chain = Callable[[], Sequence[Forged]]
AT = datetime(2030, 1, 1, tzinfo=UTC)
CLAUSES = {rule.name: rule.clause for rule in LINTS}


class Bad(NamedTuple):
    """One file of the corpus: its row in the index, and its certificates."""

    row: dict[str, Any]
    chain: tuple[Forged, ...]
    issuer: Forged | None
    roots: tuple[Forged, ...] = ()


CORPUS: list[Callable[[], Bad]] = []


def caught_by(
    lint: str,
    profile: str,
    suite: Suite | None = None,
    *,
    edition_2022: bool = False,
    alone: bool = False,
    **options: Any,
) -> Callable[[Break], Break]:
    """Register a broken certificate that a lint catches; ``alone`` leaves the rules about its issuer unasked."""

    def register(broken: Break) -> Break:
        def make() -> Bad:
            name = broken.__name__
            row = (EDITION_2022 if edition_2022 else AMENDMENT_1)[profile]
            issuer = _issuer(row, suite)
            forged = forge(name, row, suite, issuer=issuer, broken=broken, **options)
            return Bad(_row(broken, row, clause=CLAUSES[lint], lint=lint, edition_2022=edition_2022), (forged,),
                       None if alone else issuer)  # fmt: skip

        CORPUS.append(make)
        return broken

    return register


def judged(verdict: Verdict, profile: str, clause: str, *, revoked: bool = False) -> Callable[[Chain], Chain]:
    """Register a chain, leaf first, that the judge of chains turns down when it trusts the CA returned last."""

    def register(made: Chain) -> Chain:
        def make() -> Bad:
            *chain, root = made()
            row = _row(made, AMENDMENT_1[profile], clause=clause, verdict=verdict.value, at=f"{AT:%Y-%m-%dT%H:%M:%SZ}",
                       revoked=revoked)  # fmt: skip
            return Bad(row, tuple(chain), None, (root,))

        CORPUS.append(make)
        return made

    return register


def _row(made: Callable[..., object], profile: Profile, *, clause: str, **expected: object) -> dict[str, Any]:
    defect = (made.__doc__ or "").strip()
    return {"file": f"{made.__name__}.pem", "profile": profile.name, "defect": defect, "clause": clause, **expected}


def _issuer(profile: Profile, suite: Suite | None) -> Forged | None:
    if profile.issuer is None:
        return None
    name = "CPO_SUB2_20" if profile.name == "OCSP_20" else "CPO_SUB2_2" if profile.issuer == "*" else profile.issuer
    return ca(name, suite and issuer_suite(AMENDMENT_1[name], suite))
