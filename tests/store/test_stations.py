"""What every registry of stations promises, on each database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from voltroot.actors.csms.stations import (
    CertificateUse,
    Operation,
    OperationState,
    Signing,
    SigningState,
    Station,
)
from voltroot.errors import Refused
from voltroot.store.stations import SqlStations
from world import World

STATION = Station(
    "CS1", "SN1", "CSO", ("secc1", "secc2"), 3, secret=b"hash", expired_allowed=True, about={"model": "One"}
)
SIGNING = Signing("CS1", CertificateUse.V2G, "V2GCertificate", 7, b"key", "csr")


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A PKI on each database."""
    made = World.made(tmp_path / "world", dialect=request.param)
    yield made
    made.engine.dispose()


@pytest.fixture
def stations(world: World) -> SqlStations:
    made = SqlStations(world.engine, world.clock)
    made.add(STATION)
    return made


def test_a_station_is_what_it_was_put_on_record_as(world: World, stations: SqlStations) -> None:
    assert stations.find("CS1") == STATION
    assert stations.find("CS2") is None
    with pytest.raises(Refused, match="CS1 is in the registry already"):
        stations.add(STATION)
    stations.add(replace(STATION, identity="CS0"))
    assert [each.identity for each in stations.every()] == ["CS0", "CS1"]
    now = world.clock().replace(microsecond=0)
    stations.change("CS1", seen=now, about={"model": "Two"}, next_profile=2, secret=None)
    changed = replace(STATION, seen=now, about={"model": "Two"}, next_profile=2, secret=None)
    assert stations.find("CS1") == changed


def test_a_key_is_asked_for_once_and_the_last_request_is_answered(stations: SqlStations) -> None:
    first = stations.ask(SIGNING)
    assert replace(first, number=0) == SIGNING
    again = stations.ask(replace(SIGNING, request=8, named="", csr="another"))
    assert again == replace(first, request=8, named="")
    stations.add(replace(STATION, identity="CS2"))
    assert stations.ask(replace(SIGNING, station="CS2", request=9)) == again


def test_a_request_moves_on(world: World, stations: SqlStations) -> None:
    number = stations.ask(SIGNING).number
    entry = world.issue("SECC_2", "secc1")
    assert [stations.send(number), stations.send(number)] == [0, 1]
    stations.settle(number, SigningState.ISSUED, certificate=entry.number)
    stations.settle(number, SigningState.REJECTED, why="no place")
    (settled,) = stations.signings("CS1", [SigningState.REJECTED])
    assert (settled.certificate, settled.sent, settled.why) == (entry.number, 2, "no place")
    assert stations.signings("CS1", [SigningState.ISSUED]) == []


def test_an_operation_whose_deadline_has_passed_has_failed(world: World, stations: SqlStations) -> None:
    made = world.clock().replace(microsecond=0)
    kept = Operation("CS1", "TriggerMessage", {"evse": 1}, OperationState.PROMISED, made, made + timedelta(hours=1))
    numbers = [stations.begin(each) for each in (kept, replace(kept, deadline=made + timedelta(seconds=5)), kept)]
    stations.end(numbers[2], OperationState.DONE, "it has it")
    assert stations.overdue(made) == []
    (late,) = stations.overdue(made + timedelta(minutes=1))
    assert (late.number, late.state) == (numbers[1], OperationState.FAILED)
    assert stations.overdue(made + timedelta(minutes=1)) == []
    listed = [(each.number, each.state) for each in stations.operations("CS1")]
    states = [OperationState.DONE, OperationState.FAILED, OperationState.PROMISED]
    assert listed == list(zip(numbers[::-1], states, strict=True))
    assert stations.operations("CS1", [OperationState.PROMISED]) == [replace(kept, number=numbers[0])]
    assert stations.operations("CS2") == []


def test_stock_is_replaced_type_by_type(stations: SqlStations) -> None:
    stations.take_stock("CS1", {"A": [{"x": "1"}], "B": [{"x": "2"}, {"x": "3"}]})
    stations.take_stock("CS1", {"B": []})
    assert stations.stock("CS1") == {"A": [{"x": "1"}], "B": []}


def test_a_tokens_last_status_is_its_status(stations: SqlStations) -> None:
    stations.admit("DE1", "eMAID", "Accepted")
    stations.admit("DE1", "eMAID", "Blocked")
    assert (stations.token("DE1", "eMAID"), stations.token("DE1", "Central")) == ("Blocked", None)


def test_a_station_that_is_removed_leaves_nothing(stations: SqlStations) -> None:
    stations.ask(SIGNING)
    stations.take_stock("CS1", {"A": []})
    stations.remove("CS1")
    stations.remove("CS1")
    assert stations.every() == []
    stations.add(STATION)
    assert stations.stock("CS1") == {}
