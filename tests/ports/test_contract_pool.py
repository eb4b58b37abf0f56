"""What every contract pool promises, whatever it stands on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from voltroot.actors.mo import Kept
from voltroot.pki.drafts import Order
from voltroot.pki.enclosures import Enclosure
from voltroot.pki.ports import Entry, Reason, State
from voltroot.store.engine import reading
from voltroot.store.tables import packages
from world import World

CAR, OTHER = b"a hash of a car's key", b"a hash of another's"


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A PKI on each database."""
    made = World.made(tmp_path / "world", dialect=request.param)
    yield made
    made.engine.dispose()


def order(world: World, emaid: str = "emaid001", receiver: bytes = CAR, **rest: object) -> Order:
    enclosure = Enclosure(emaid, b"certificate", receiver, b"point", b"secret", **rest)  # type: ignore[arg-type]
    made = world.order("CONTRACT_2", emaid, renewal=enclosure.supersedes)
    return replace(made, enclosure=enclosure)


def issued(world: World, *given: object, **rest: object) -> Entry:
    return world.authority.issue(order(world, *given, **rest))  # type: ignore[arg-type]


def rows(world: World) -> int:
    with reading(world.engine) as connection:
        count: int = connection.execute(select(func.count()).select_from(packages)).scalar_one()
    return count


def numbers(found: list[Kept]) -> list[int]:
    return [kept.entry.number for kept in found]


def test_what_is_sealed_to_a_key_is_found_by_it_newest_first(world: World) -> None:
    first, second, _ = issued(world), issued(world, "emaid002"), issued(world, "emaid003", OTHER)
    found = world.pool.sealed_to(CAR)
    assert numbers(found) == [second.number, first.number]
    (kept,) = (each for each in found if each.entry == first)
    assert (kept.emaid, kept.holder, tuple(kept.sealed)) == ("emaid001", b"certificate", (b"point", b"secret"))
    assert (kept.supersedes, kept.delivered, kept.session) == (False, False, None)
    assert world.pool.of(second.number) == found[0]
    assert world.pool.of(world.issue("SECC_2", "secc001").number) is None


def test_a_package_is_seen_with_its_recorded_certificate_and_gone_with_a_void_one(world: World) -> None:
    draft = world.authority._draft(order(world))
    (number,) = world.ledger.reserve([draft], world.clock() + timedelta(seconds=10))
    assert isinstance(number, int)
    assert rows(world) == 1
    assert world.pool.sealed_to(CAR) == []
    assert world.pool.of(number) is None
    world.ledger.abandon([number])
    assert rows(world) == 0


def test_a_package_whose_name_was_taken_is_not_kept(world: World) -> None:
    issued(world)
    (outcome,) = world.authority.issue_all([order(world)])
    assert not isinstance(outcome, Entry)
    assert rows(world) == 1


def test_handing_out_is_noted_with_its_session_and_consumes_nothing(world: World) -> None:
    first, second = issued(world), issued(world, "emaid002")
    world.pool.deliver(first.number, b"one")
    world.pool.deliver(second.number, b"one")
    world.pool.deliver(first.number, b"two", again=[second.number])
    found = {kept.entry.number: kept for kept in world.pool.sealed_to(CAR)}
    assert [found[each.number].session for each in (first, second)] == [b"two", None]
    assert all(kept.delivered for kept in found.values())


def test_a_revoked_contract_is_still_known(world: World) -> None:
    entry = issued(world)
    world.ledger.revoke([entry.number], Reason.UNSPECIFIED, door="test")
    (kept,) = world.pool.sealed_to(CAR)
    assert (kept.entry.state, kept.entry.reason) == (State.REVOKED, Reason.UNSPECIFIED)


def test_a_delivered_renewal_supersedes_what_is_older_until_that_is_settled(world: World) -> None:
    old, _ = issued(world), issued(world, "emaid002")
    between, new = (issued(world, supersedes=True) for _ in range(2))
    assert world.pool.superseded() == []
    world.pool.deliver(new.number, b"session")
    ((number, older),) = world.pool.superseded()
    assert (number, sorted(each.number for each in older)) == (new.number, [old.number, between.number])
    world.ledger.revoke([old.number, between.number], Reason.SUPERSEDED, door="test")
    assert world.pool.superseded() == [(new.number, [])]
    world.pool.settle([new.number])
    assert world.pool.superseded() == []
    kept = world.pool.of(new.number)
    assert kept is not None
    assert (kept.supersedes, kept.delivered) == (False, True)


def test_a_renewal_may_be_delivered_from_the_first(world: World) -> None:
    old = issued(world)
    new = issued(world, supersedes=True, delivered=True)
    assert world.pool.superseded() == [(new.number, [old])]
