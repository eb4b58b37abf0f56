"""One process's part in the dispatch of operations: what it tells of its stations, takes, and lets go."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from voltroot.actors.csms import wishes
from voltroot.actors.csms.operations import Arrival, Selection
from voltroot.actors.csms.operators import NOBODY
from voltroot.actors.csms.stations import Operation, OperationState, Station
from voltroot.errors import Unavailable
from voltroot.serve import dispatch
from voltroot.serve.dispatch import Dispatch
from voltroot.store.bell import bell
from voltroot.store.operations import SqlOperations
from voltroot.store.presence import SqlPresence
from voltroot.store.stations import SqlStations
from world import World

MANY = 1500


@dataclass(eq=False)
class Link:
    """A connection that only remembers how it ended."""

    identity: str
    profile: int = 2
    version: str = "ocpp2.0.1"
    ended: int = 0

    async def close(self, code: int, reason: str) -> None:
        self.ended = code


@dataclass
class Stations:
    """Connections, and operations that are done as soon as they are begun."""

    registry: SqlStations
    links: dict[str, Link] = field(default_factory=dict)
    changed: Callable[[], None] = lambda: None
    known: Callable[[Link], Awaitable[None]] | None = None
    done: list[str] = field(default_factory=list)
    here: bool = True

    def open(self, link: Link) -> Link:
        self.links[link.identity] = link
        self.changed()
        return link

    def closed(self, identity: str, link: Any) -> None:
        if self.links.get(identity) is link:
            del self.links[identity]
            self.changed()

    async def perform(self, operation: Operation) -> bool:
        if self.here:
            self.done.append(operation.station)
            await asyncio.to_thread(self.registry.end, operation.number, OperationState.DONE)
        return self.here


class Counted(SqlPresence):
    """Presence that counts its transactions, and is away where a test says so."""

    settled = 0
    away: Exception | None = None

    def settle(self, holder: int, arrived: Sequence[Arrival], left: Sequence[str]) -> None:
        self.settled += 1
        if self.away is not None:
            raise self.away
        super().settle(holder, arrived, left)


@dataclass
class Process:
    stations: Stations
    presence: Counted
    operations: SqlOperations
    dispatch: Dispatch

    def connected(self) -> list[str]:
        return [each.station.identity for each in self.presence.listed(Selection(connected=True))]


@pytest.fixture
def process(world: World, monkeypatch: pytest.MonkeyPatch) -> Process:
    monkeypatch.setattr(dispatch, "RENEWAL_PERIOD", 0.1)
    monkeypatch.setattr(dispatch, "TELLING_PERIOD", 0.05)
    monkeypatch.setattr(dispatch, "PAUSE", 0.05)
    return opened(world)


def opened(world: World) -> Process:
    registry, presence = SqlStations(world.engine, world.clock), Counted(world.engine, world.clock)
    operations, stations = SqlOperations(world.engine, world.clock), Stations(registry)
    part = Dispatch("here", stations, presence, operations, bell(world.engine), operations.sweep)
    return Process(stations, presence, operations, part)


def register(process: Process, *identities: str) -> None:
    for each in identities:
        process.stations.registry.add(Station(each, each, "CSO"))


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(is_so):
            await asyncio.sleep(0.02)


def test_many_stations_that_come_and_go_are_told_of_together(process: Process) -> None:
    async def story() -> None:
        async with process.dispatch.running():
            links = [process.stations.open(Link(f"CS{number}")) for number in range(MANY)]
            await until(lambda: process.presence.held(process.dispatch._holder) == MANY)
            for link in links[1:]:
                process.stations.closed(link.identity, link)
            await until(lambda: process.presence.held(process.dispatch._holder) == 1)
        assert process.presence.settled <= 6

    register(process, "CS0")
    asyncio.run(story())
    # When it ends none is connected any more.
    assert process.connected() == []


def test_a_process_that_was_given_up_for_dead_comes_back_with_its_stations(process: Process) -> None:
    async def story() -> None:
        async with process.dispatch.running():
            link = process.stations.open(Link("CS1"))
            await until(lambda: process.connected() == ["CS1"])
            await asyncio.to_thread(process.presence.leave, process.dispatch._holder)
            await until(lambda: process.connected() == ["CS1"])
            # However often: what is told as one who is dead is told again as one who lives.
            for _ in range(3):
                await asyncio.to_thread(process.presence.leave, process.dispatch._holder)
                await until(lambda: process.connected() == ["CS1"])
            ask(process)
            await until(lambda: process.stations.done == ["CS1"])
            assert link.ended == 0

    register(process, "CS1")
    asyncio.run(story())


def test_a_station_that_another_process_has_or_nobody_knows_any_more_is_let_go(process: Process) -> None:
    async def story() -> None:
        async with process.dispatch.running():
            links = [process.stations.open(Link(f"CS{number}")) for number in range(3)]
            await until(lambda: len(process.connected()) == 3)
            other = process.presence.join("other")
            process.presence.settle(other, [Arrival("CS1", 2, "ocpp2.1")], [])
            process.stations.registry.remove("CS2")
            await until(lambda: [each.ended for each in links] == [0, 1008, 1008])
            # And it stays where it is.
            process.stations.open(Link("CS0"))
            await until(lambda: process.presence.settled == 2)
            assert process.presence.places()["CS1"] == other

    register(process, "CS0", "CS1", "CS2")
    asyncio.run(story())


@pytest.mark.parametrize("fault", [Unavailable("the database is away"), RuntimeError("a bug")], ids=["away", "bug"])
def test_what_the_database_did_not_take_is_told_again(process: Process, fault: Exception) -> None:
    async def story() -> None:
        async with process.dispatch.running():
            process.presence.away = fault
            process.stations.open(Link("CS1"))
            await until(lambda: process.presence.settled >= 2)
            process.presence.away = None
            await until(lambda: process.connected() == ["CS1"])

    register(process, "CS1")
    asyncio.run(story())


def test_an_operation_whose_station_has_just_gone_is_given_back(process: Process) -> None:
    async def story() -> None:
        async with process.dispatch.running():
            link = process.stations.open(Link("CS1"))
            await until(lambda: process.connected() == ["CS1"])
            process.stations.here = False
            ask(process)
            await asyncio.sleep(0.2)
            process.stations.closed("CS1", link)
            await until(lambda: process.operations.operation(1).state is OperationState.FAILED)
            assert process.operations.operation(1).outcome == "the station is not connected"

    register(process, "CS1")
    asyncio.run(story())


def test_an_operation_that_was_just_taken_when_the_process_ends_is_given_back(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, claim = threading.Event(), process.operations.claim

    def slowly(holder: int, most: int) -> list[Operation]:
        if found := claim(holder, most):
            taken.set()
            time.sleep(0.2)
        return found

    async def story() -> None:
        async with process.dispatch.running():
            process.stations.open(Link("CS1"))
            await until(lambda: process.connected() == ["CS1"])
            ask(process, patience=timedelta(hours=1))
            await until(taken.is_set)
            process.stations.here = False

    monkeypatch.setattr(process.operations, "claim", slowly)
    register(process, "CS1")
    asyncio.run(story())
    assert process.operations.operation(1).state is OperationState.WAITING


def ask(process: Process, patience: timedelta | None = None) -> None:
    process.operations.ask(wishes.learn(), Selection(("CS1",)), NOBODY, at_once=1, patience=patience)
