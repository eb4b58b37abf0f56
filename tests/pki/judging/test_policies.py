"""Policies beyond NIST's cases: the graph does not explode, and its outcome is told."""

from __future__ import annotations

from typing import Any

import pytest

from pathing import NOW, chain, make, mappings, policies, policy_constraints, trio
from voltroot.pki import der, oids
from voltroot.pki.chains import Inputs, Judgement, Verdict, judge
from voltroot.pki.judging import policies as policies_module
from voltroot.pki.judging.policies import Node
from voltroot.pki.oids import ANY_POLICY

ONE, TWO, THREE = "1.3.6.1.4.1.99999.1.1", "1.3.6.1.4.1.99999.1.2", "1.3.6.1.4.1.99999.1.3"


def judged(*levels: dict[str, Any], **inputs: Any) -> Judgement:
    """Judge a chain of so many levels below a root, the extensions of each given top down."""
    made = [make("root")]
    for place, extensions in enumerate(levels):
        last = place == len(levels) - 1
        made.append(made[-1].issue("leaf" if last else f"ca {place}", ca=not last, extensions=extensions))
    return judge(chain(*reversed(made[1:])), chain(made[0]), NOW, inputs=Inputs(**inputs))


def having(*wanted: str, **rest: Any) -> dict[str, Any]:
    return {
        oids.CERTIFICATE_POLICIES: policies(*wanted),
        **{getattr(oids, name): value for name, value in rest.items()},
    }


def test_the_policies_of_the_whole_path_are_told() -> None:
    assert judged(having(ONE, TWO), having(TWO, THREE)).policies == {TWO}
    assert judged(having(ANY_POLICY), having(ONE)).policies == {ONE}
    assert judged(having(ANY_POLICY), having(ANY_POLICY)).policies == {ANY_POLICY}
    assert judged(having(ANY_POLICY), having(ANY_POLICY), policies=frozenset({ONE})).policies == {ONE}
    assert judged(having(ONE), {}).policies == frozenset()


def test_a_mapped_policy_is_told_in_the_terms_of_the_anchors_domain() -> None:
    mapped = having(ONE, POLICY_MAPPINGS=mappings((ONE, TWO)))
    assert judged(mapped, having(TWO)).policies == {ONE}
    assert judged(mapped, having(ONE)).policies == frozenset()
    assert judged(mapped, having(TWO), inhibit_mapping=True).policies == frozenset()


def test_without_a_demand_a_path_needs_no_policy() -> None:
    assert judged(having(ONE), having(TWO)).verdict is Verdict.OK
    refused = judged(having(ONE), having(TWO), explicit_policy=True)
    assert refused.deciding is not None
    assert refused.deciding.rule == "policies"


@pytest.mark.parametrize("skipped", [0, 1, 2, 3])
def test_a_ca_may_demand_policies_further_down(skipped: int) -> None:
    first = having(ONE) | {oids.POLICY_CONSTRAINTS: policy_constraints(explicit=skipped)}
    verdict = judged(first, {}, {}).verdict
    assert (verdict is Verdict.OK) is (skipped == 3)


def test_an_anchor_may_demand_policies() -> None:
    demanding = {"extensions": {oids.POLICY_CONSTRAINTS: policy_constraints(explicit=0)}}
    assert judge(trio(root=demanding).path, trio(root=demanding).roots, NOW).verdict is Verdict.CHAIN_ERROR


def test_any_policy_can_be_inhibited() -> None:
    inhibiting = having(ONE) | {oids.INHIBIT_ANY_POLICY: (True, der.integer(0))}
    assert judged(inhibiting, having(ANY_POLICY), explicit_policy=True).verdict is Verdict.CHAIN_ERROR
    assert judged(inhibiting, having(ONE), explicit_policy=True).verdict is Verdict.OK
    assert (
        judged(having(ONE), having(ANY_POLICY), explicit_policy=True, inhibit_any=True).verdict is Verdict.CHAIN_ERROR
    )


@pytest.mark.parametrize(
    "broken",
    [
        {oids.POLICY_MAPPINGS: mappings((ANY_POLICY, ONE))},
        {oids.POLICY_MAPPINGS: mappings((ONE, ANY_POLICY))},
        {oids.CERTIFICATE_POLICIES: policies(ONE, ONE)},
        {oids.INHIBIT_ANY_POLICY: (True, der.integer(-1))},
        {oids.CERTIFICATE_POLICIES: (True, der.sequence(der.sequence(der.oid(ONE), der.sequence(der.sequence()))))},
    ],
)
def test_what_must_not_be_is_refused(broken: dict[str, Any]) -> None:
    assert judged(having(ONE) | broken, having(ONE)).verdict is Verdict.CHAIN_ERROR


@pytest.mark.parametrize(("qualifier", "critical", "verdict"), [
    ("1.3.6.1.5.5.7.2.1", True, Verdict.OK),
    ("1.3.6.1.4.1.99999.4", False, Verdict.OK),
    ("1.3.6.1.4.1.99999.4", True, Verdict.CHAIN_ERROR),
])  # fmt: skip
def test_a_critical_policy_is_understood_with_its_qualifier(qualifier: str, critical: bool, verdict: Verdict) -> None:
    """RFC 5280 4.2.1.4."""
    written = der.sequence(der.sequence(der.oid(qualifier), der.tlv(der.IA5_STRING, b"http://cps.test")))
    value = der.sequence(der.sequence(der.oid(ONE), written))
    assert judged({oids.CERTIFICATE_POLICIES: (critical, value)}, {}).verdict is verdict


def test_policies_that_would_make_a_tree_explode_end_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 9618 1.2: every policy mapped to every other at each level, which is exponential in a tree."""
    many = [f"1.3.6.1.4.1.99999.3.{number}" for number in range(24)]
    level = {
        oids.CERTIFICATE_POLICIES: policies(*many),
        oids.POLICY_MAPPINGS: mappings(*((one, other) for one in many for other in many)),
    }
    nodes: list[Node] = []
    monkeypatch.setattr(policies_module, "Node", lambda *parts: nodes.append(Node(*parts)) or nodes[-1])
    judgement = judged(*[level] * 9, having(*many), explicit_policy=True)
    assert judgement.verdict is Verdict.OK, judgement.text
    assert judgement.policies == {*many}
    assert len(nodes) <= 10 * len(many) + 1
