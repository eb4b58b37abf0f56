"""What every ledger promises, whatever it stands on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from voltroot.errors import KeyReused, NameTaken, Unavailable
from voltroot.pki import suites
from voltroot.pki.drafts import Draft, Order
from voltroot.pki.ports import Entry, Reason, Signed, State
from voltroot.store.engine import reading
from voltroot.store.tables import audit
from world import World

LEASE = timedelta(seconds=10)


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A PKI on each database."""
    made = World.made(tmp_path / "world", dialect=request.param)
    yield made
    made.engine.dispose()


def draft(world: World, order: Order) -> Draft:
    return world.authority._draft(order)


def reserve(world: World, *orders: Order) -> list[object]:
    return list(world.ledger.reserve([draft(world, order) for order in orders], world.clock() + LEASE))


def events(world: World, number: int) -> list[str]:
    with reading(world.engine) as connection:
        query = select(audit.c.event).where(audit.c.certificate == number).order_by(audit.c.number)
        return list(connection.execute(query).scalars())


def test_what_is_recorded_is_found_by_each_of_its_marks(world: World) -> None:
    entry = world.issue("SECC_2", "secc001")
    subject = entry.read().subject.key()
    for marks in (
        {"number": entry.number},
        {"name": "secc001", "profiles": ["SECC_2"]},
        {"serial": entry.serial},
        {"subject": subject},
        {"issuer": entry.issuer, "profiles": ["SECC_2"]},
    ):
        assert world.ledger.find(**marks) == [entry]
    assert world.ledger.find(name="secc001", profiles=["SECC_20"]) == []
    assert world.ledger.statuses(entry.issuer or 0, [1, entry.serial]) == [None, entry]


def test_a_reserved_certificate_is_not_found_before_it_is_recorded(world: World) -> None:
    order = world.order("SECC_2", "secc001")
    (number,) = reserve(world, order)
    assert isinstance(number, int)
    assert world.ledger.find(name="secc001") == []
    (entry,) = world.ledger.record([Signed(number, b"\x30\x00")])
    assert isinstance(entry, Entry)
    assert world.ledger.find(name="secc001") == [entry]


def test_in_one_batch_the_first_of_two_equal_names_wins(world: World) -> None:
    first, second = reserve(world, world.order("SECC_2", "secc001"), world.order("SECC_2", "secc001"))
    assert isinstance(first, int)
    assert isinstance(second, NameTaken)


def test_in_one_batch_the_first_of_two_equal_keys_wins(world: World) -> None:
    order = world.order("SECC_2", "secc001")
    first, second = reserve(world, order, replace(order, name="secc002"))
    assert isinstance(first, int)
    assert isinstance(second, KeyReused)


def test_a_name_that_lost_leaves_its_key_free(world: World) -> None:
    world.issue("SECC_2", "secc001")
    order = world.order("SECC_2", "secc001")
    with pytest.raises(NameTaken):
        world.authority.issue(order)
    assert world.authority.issue(replace(order, name="secc002")).state is State.VALID


def test_a_key_is_certified_once_over_all_profiles_and_after_revocation(world: World) -> None:
    key = suites.generate(suites.P256_SHA256).public_key()
    entry = world.authority.issue(replace(world.order("SECC_2", "secc001"), public_key=key))
    world.authority.revoke([entry], Reason.UNSPECIFIED, door="test")
    with pytest.raises(KeyReused):
        world.authority.issue(replace(world.order("OEM_PROV_2", "pcid001"), public_key=key))


def test_a_reservation_that_nobody_records_is_void_after_its_lease(world: World) -> None:
    order = replace(world.order("SECC_2", "secc001"), sealed_key=b"sealed")
    (number,) = reserve(world, order)
    assert isinstance(number, int)
    with pytest.raises(NameTaken):
        world.issue("SECC_2", "secc001")
    world.clock.turn(seconds=12)
    entry = world.authority.issue(order)
    assert entry.state is State.VALID
    assert events(world, number) == ["certificate.reserved", "certificate.voided"]
    assert world.ledger.sealed_key(number) is None
    (late,) = world.ledger.record([Signed(number, b"\x30\x00")])
    assert isinstance(late, Unavailable)


def test_abandoning_frees_name_and_key_at_once(world: World) -> None:
    order = world.order("SECC_2", "secc001")
    (number,) = reserve(world, order)
    assert isinstance(number, int)
    world.ledger.abandon([number])
    assert world.authority.issue(order).state is State.VALID


def test_a_failed_renewal_leaves_the_name_held(world: World) -> None:
    world.issue("SECC_2", "secc001")
    (number,) = reserve(world, world.order("SECC_2", "secc001", renewal=True))
    assert isinstance(number, int)
    world.ledger.abandon([number])
    with pytest.raises(NameTaken):
        world.issue("SECC_2", "secc001")


def test_a_name_is_held_until_the_last_of_its_certificates_is_gone(world: World) -> None:
    first = world.issue("SECC_2", "secc001")
    world.clock.turn(days=60)
    second = world.issue("SECC_2", "secc001", renewal=True)
    world.authority.revoke([second], Reason.SUPERSEDED, door="test")
    with pytest.raises(NameTaken):
        world.issue("SECC_2", "secc001")
    world.authority.revoke([first], Reason.SUPERSEDED, door="test")
    assert world.issue("SECC_2", "secc001").state is State.VALID


def test_revoking_is_told_once_with_time_and_reason(world: World) -> None:
    entry = world.issue("SECC_2", "secc001")
    before = world.ledger.revision()
    (revoked,) = world.authority.revoke([entry], Reason.KEY_COMPROMISE, door="test", by="somebody")
    assert (revoked.state, revoked.reason) == (State.REVOKED, Reason.KEY_COMPROMISE)
    assert world.ledger.revision() > before
    (line,) = world.ledger.revoked_by(entry.issuer or 0)
    assert (line.serial, line.reason) == (entry.serial, Reason.KEY_COMPROMISE)
    assert world.authority.revoke([entry], Reason.UNSPECIFIED, door="test") == []
    assert world.ledger.find(serial=entry.serial) == [revoked]


def test_each_change_has_its_audit_row(world: World) -> None:
    entry = world.issue("SECC_2", "secc001")
    world.authority.revoke([entry], Reason.UNSPECIFIED, door="test")
    assert events(world, entry.number) == ["certificate.reserved", "certificate.issued", "certificate.revoked"]


def test_the_sealed_key_is_kept_with_its_certificate(world: World) -> None:
    entry = world.issue("SECC_2", "secc001", sealed_key=b"sealed")
    assert world.ledger.sealed_key(entry.number) == b"sealed"


def test_a_ca_from_elsewhere_is_one_entry_however_often_it_comes(world: World) -> None:
    root = world.issuers.standing().roots[0]
    first = world.ledger.take_in(root.der, "V2G_ROOT_2", None)
    assert world.ledger.take_in(root.der, "V2G_ROOT_2", None) == first


def test_of_many_threads_that_want_one_name_exactly_one_gets_it(world: World) -> None:
    outcomes: list[str] = []
    barrier = threading.Barrier(8)

    def want() -> None:
        order = world.order("SECC_2", "secc001")
        barrier.wait()
        try:
            world.authority.issue(order)
            outcomes.append("won")
        except NameTaken:
            outcomes.append("lost")

    threads = [threading.Thread(target=want) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["lost"] * 7 + ["won"]


def test_a_key_whose_order_lost_its_name_is_free_for_another_in_the_same_batch(world: World) -> None:
    world.issue("SECC_2", "secc001")
    loser = world.order("SECC_2", "secc001")
    first, second = world.authority.issue_all([loser, replace(loser, name="secc002")])
    assert isinstance(first, NameTaken)
    assert isinstance(second, Entry)


def test_credentials_that_are_added_at_once_get_names_of_their_own(world: World) -> None:
    entries = [world.issue("TLS_SERVER", f"host{n}", alternative_names=("localhost",)) for n in range(8)]
    slugs: list[str] = []
    barrier = threading.Barrier(8)

    def add(number: int) -> None:
        barrier.wait()
        slugs.append(world.ledger.add_credential(number, "tls", "tls", None).slug)

    threads = [threading.Thread(target=add, args=(entry.number,)) for entry in entries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(slugs) == ["tls", *(f"tls-g{n}" for n in range(2, 9))]
