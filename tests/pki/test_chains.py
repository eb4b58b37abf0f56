"""Judging a given chain: each fault has its verdict."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from voltroot.pki.certificates import Certificate
from voltroot.pki.chains import Evidence, Judgement, Verdict, judge
from world import World

LEAVES = [
    "SECC_2",
    "SECC_20",
    "OEM_PROV_2",
    "OEM_PROV_20",
    "CONTRACT_2",
    "CONTRACT_20",
    "VEHICLE_20",
    "CHARGING_STATION",
]


def chain_of(world: World, profile: str = "SECC_2") -> list[Certificate]:
    return world.chain(world.issue(profile, "holder001"))


def judged(world: World, chain: list[Certificate], **rest: object) -> Judgement:
    roots = world.issuers.standing().roots
    return judge(chain, roots, world.clock(), **rest)  # type: ignore[arg-type]


@pytest.mark.parametrize("profile", LEAVES)
def test_a_good_chain_is_ok_with_and_without_its_root(world: World, profile: str) -> None:
    for suite in world.profiles[profile].suites:
        chain = world.chain(world.issue(profile, f"holder-{suite.name}", suite))
        assert judged(world, chain).verdict is Verdict.OK
        assert judged(world, chain[:-1]).verdict is Verdict.OK


def test_a_chain_in_any_other_order_is_an_error(world: World) -> None:
    leaf, sub2, sub1, root = chain_of(world)
    for wrong in ([leaf, sub1, sub2, root], [sub2, leaf, sub1, root], [root, sub1, sub2, leaf], [leaf, sub1]):
        assert judged(world, wrong).verdict in (Verdict.CHAIN_ERROR, Verdict.UNKNOWN_ISSUER)


def test_a_missing_link_is_an_unknown_issuer(world: World) -> None:
    leaf, sub2, _, _ = chain_of(world)
    assert judged(world, [leaf]).verdict is Verdict.UNKNOWN_ISSUER
    assert judged(world, [leaf, sub2]).verdict is Verdict.UNKNOWN_ISSUER
    assert judged(world, []).verdict is Verdict.CHAIN_ERROR


def test_a_root_in_the_request_is_never_an_anchor(world: World) -> None:
    chain = chain_of(world)
    others = [root for root in world.issuers.standing().roots if root.der != chain[-1].der]
    assert judge(chain, others, world.clock()).verdict is Verdict.UNKNOWN_ISSUER


def test_a_twin_root_of_the_same_name_does_not_help(world: World, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = World.bare(tmp_path / "other")
    other.ceremony.perform()
    chain = chain_of(world)
    twins = other.issuers.standing().roots
    assert any(twin.subject.matches(chain[-1].subject) for twin in twins)
    assert judge(chain, twins, world.clock()).verdict is Verdict.UNKNOWN_ISSUER
    both = [*twins, *world.issuers.standing().roots]
    assert judge(chain[:-1], both, world.clock()).verdict is Verdict.OK


def test_a_changed_octet_breaks_the_signature(world: World) -> None:
    leaf, *above = chain_of(world)
    octets = bytearray(leaf.der)
    octets[octets.index(b"holder001")] ^= 1
    judgement = judged(world, [Certificate.read(bytes(octets)), *above])
    assert judgement.verdict is Verdict.CHAIN_ERROR
    assert "signature" in judgement.text


def test_a_leaf_cannot_issue(world: World) -> None:
    leaf, *above = chain_of(world)
    judgement = judged(world, [leaf, leaf, *above])
    assert judgement.verdict is Verdict.CHAIN_ERROR


@pytest.mark.parametrize(
    ("days", "verdict"),
    [(-1, Verdict.NOT_YET_VALID), (0, Verdict.OK), (91, Verdict.EXPIRED), (20_000, Verdict.EXPIRED)],
)
def test_validity_is_judged_at_the_time_given(world: World, days: int, verdict: Verdict) -> None:
    chain = chain_of(world)
    at = world.clock() + timedelta(days=days)
    assert judge(chain, world.issuers.standing().roots, at).verdict is verdict


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_revoked_certificate_anywhere_below_the_root_revokes_the_chain(world: World, place: int) -> None:
    chain = chain_of(world)
    mark = {(chain[place].issuer_der, chain[place].serial)}
    judgement = judged(world, chain, evidence=Evidence(revoked=mark))
    assert judgement.verdict is Verdict.REVOKED
    assert str(chain[place].serial) in judgement.text


def test_revoked_weighs_more_than_expired(world: World) -> None:
    chain = chain_of(world)
    mark = {(chain[0].issuer_der, chain[0].serial)}
    late = world.clock() + timedelta(days=1000)
    judgement = judge(chain, world.issuers.standing().roots, late, evidence=Evidence(revoked=mark))
    assert judgement.verdict is Verdict.REVOKED


def test_chains_of_the_2022_edition_hold_with_their_critical_extensions(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    world = World.made(tmp_path_factory.mktemp("world-2022"), edition_2022=True)
    chain = chain_of(world, "VEHICLE_20")
    assert sum(extension.critical for extension in chain[0].extensions.values()) > 3
    assert judged(world, chain).verdict is Verdict.OK
