"""Two processes of one backend on each database: operators reach a station through either, whichever holds it."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx2 as httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from backend import VOLTROOT, Backend, free_port, run
from stations import OCPP_2_0_1, PASSWORD, Line, Station
from voltroot.actors.csms import passwords
from voltroot.actors.csms.stations import Station as Registered
from voltroot.store.stations import SqlStations
from world import World

pytestmark = pytest.mark.slow

CROWD = 200
AT_ONCE = 25
NOTHING = {"status": "NotFound"}
_SECRET = passwords.make(PASSWORD)


@dataclass
class Process:
    """One process: where stations connect, and where operators ask."""

    backend: Backend
    stations: int
    config: Path
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.backend.operators_port}", timeout=30)

    def ask(self, kind: str, *stations: str, **members: Any) -> Any:
        """A job that was begun."""
        answer = self.client.post("/v1/jobs", json={"kind": kind, "stations": stations, **members})
        assert answer.status_code == 202, answer.text
        assert answer.headers["location"] == f"/v1/jobs/{answer.json()['number']}"
        return answer.json()

    def ended(self, job: Any) -> list[Any]:
        """Its operations, once all have ended."""
        until = time.monotonic() + 30
        while not (seen := self.client.get(f"/v1/jobs/{job['number']}", params={"wait": 8}).json())["ended"]:
            assert time.monotonic() < until, seen
        return self.operations(job=job["number"])

    def operations(self, **which: Any) -> list[Any]:
        answer = self.client.get("/v1/operations", params={"limit": 1000, **which})
        operations: list[Any] = answer.json()["operations"]
        return operations

    def is_connected(self, identity: str) -> bool:
        return bool(self.client.get(f"/v1/stations/{identity}").json()["connected"])

    def typed(self, *words: str) -> str:
        return run(VOLTROOT, "csms", *words, "--config", self.config, "--data", self.backend.data)


@dataclass
class Pair:
    """Two processes, and the registry that they share."""

    one: Process
    other: Process
    registry: SqlStations

    def register(self, *identities: str) -> None:
        for each in identities:
            self.registry.add(Registered(each, each, "Voltroot Test", profile=1, secret=_SECRET))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    world = World.made(folder / "one" / "data", dialect=request.param)
    with ExitStack() as stack:
        made = []
        for name in ("one", "other"):
            place, port = folder / name, free_port()
            place.mkdir(exist_ok=True)
            if made:
                (place / "data").symlink_to(folder / "one" / "data")
            config = place / "voltroot.toml"
            config.write_text(f'[ledger]\nurl = "{world.url}"\n[csms]\nprofile_1_port = {port}\n')
            backend = Backend(place, ("--config", str(config)))
            stack.callback(backend.discard)
            made.append(Process(backend, port, config))
            backend.spawn()
        for each in made:
            until = time.monotonic() + 60
            while not each.backend.is_ready():
                assert time.monotonic() < until, each.backend.log.read_text()
                time.sleep(0.05)
        yield Pair(*made, SqlStations(world.engine, world.clock))
        for each in made:
            each.client.close()
            each.backend.stop()
        world.engine.dispose()


@contextmanager
def connected(port: int, identity: str) -> Iterator[Station]:
    """A connection with security profile 1."""
    line = Line(f"ws://127.0.0.1:{port}/ocpp/{identity}", **told(identity))
    try:
        yield Station(line)
    finally:
        line.close()


def told(identity: str) -> dict[str, Any]:
    """What a station says when it connects."""
    credentials = base64.b64encode(f"{identity}:{PASSWORD}".encode()).decode()
    return {"subprotocols": [OCPP_2_0_1], "additional_headers": {"Authorization": f"Basic {credentials}"}}


@contextmanager
def at(process: Process, identity: str) -> Iterator[Station]:
    """A station that is connected to a process, and known to be."""
    with connected(process.stations, identity) as station:
        eventually(lambda: process.is_connected(identity))
        yield station


def test_a_station_is_reached_through_a_process_that_does_not_hold_it(pair: Pair) -> None:
    pair.register("FAR")
    with at(pair.one, "FAR") as station:
        for asks in (pair.other, pair.one):
            job = asks.ask("inventory", "FAR")
            assert station.expect("GetInstalledCertificateIds", NOTHING) == {}
            (operation,) = asks.ended(job)
            assert (operation["state"], operation["outcome"], operation["by"]) == (
                "done", "NotFound", "anybody on this machine",
            )  # fmt: skip
        job = pair.other.ask("call", "FAR", action="ClearCache")
        station.expect("ClearCache", {"status": "Accepted"})
        assert pair.other.ended(job)[0]["outcome"] == '{"status": "Accepted"}'
        waiting = threading.Thread(target=station.expect, args=("GetInstalledCertificateIds", NOTHING))
        waiting.start()
        printed = json.loads(pair.other.typed("inventory", "FAR", "--json"))
        waiting.join()
        assert [each["state"] for each in printed["operations"]] == ["done"]
    eventually(lambda: not pair.other.is_connected("FAR"))
    assert pair.one.ask("learn", "FAR")["failed"] == 1


def test_of_two_connections_to_two_processes_the_later_one_stays(pair: Pair) -> None:
    pair.register("TWICE")
    with at(pair.one, "TWICE") as first, connected(pair.other.stations, "TWICE") as second:
        with pytest.raises(ConnectionClosed):
            first.receive(5)
        assert first.connection.close_code == 1008
        job = pair.one.ask("inventory", "TWICE")
        second.expect("GetInstalledCertificateIds", NOTHING)
        assert pair.one.ended(job)[0]["state"] == "done"
        assert pair.one.client.delete("/v1/stations/TWICE").status_code == 204
        with pytest.raises(ConnectionClosed):
            second.receive(5)


def test_hundreds_of_stations_do_as_one_job_says_so_many_at_once(pair: Pair) -> None:
    names = [f"CROWD{number}" for number in range(CROWD)]
    pair.register(*names)
    with Crowd({name: (pair.one, pair.other)[place % 2].stations for place, name in enumerate(names)}) as crowd:
        where = {"beginning": "CROWD", "connected": True}
        eventually(
            lambda: len(pair.one.client.get("/v1/stations", params=where | {"limit": 1000}).json()["stations"]) == CROWD
        )
        answer = pair.other.client.post("/v1/jobs", json={"kind": "inventory", "where": where, "atOnce": AT_ONCE})
        operations = pair.one.ended(answer.json())
        assert {(each["state"], each["outcome"]) for each in operations} == {("done", "NotFound")}
        assert sorted(crowd.asked) == sorted(names)
        assert 2 <= crowd.most <= AT_ONCE


def test_what_a_killed_process_was_doing_has_failed_and_is_not_done_again(pair: Pair) -> None:
    pair.register("KILLED", "PATIENT")
    with at(pair.one, "KILLED") as station:
        asked = pair.other.ask("inventory", "KILLED")
        behind = pair.other.ask("learn", "KILLED")
        later = pair.other.ask("inventory", "PATIENT", patience=60)
        station.expect("GetInstalledCertificateIds")
        pair.one.backend.kill()
        (operation,) = pair.other.ended(asked)
        assert operation["state"] == "failed"
        assert operation["outcome"].startswith("the process that was doing it ended")
        assert pair.other.ended(behind)[0]["outcome"] == "the station is not connected"
        assert not pair.other.is_connected("KILLED")
    with at(pair.other, "KILLED") as station, connected(pair.other.stations, "PATIENT") as patient:
        patient.expect("GetInstalledCertificateIds", NOTHING)
        assert pair.other.ended(later)[0]["state"] == "done"
        assert station.is_quiet()
    pair.one.backend.start()


class Crowd:
    """Stations in a loop of their own, each with a port, that have no certificates and take a moment to say so."""

    def __init__(self, ports: dict[str, int]) -> None:
        self.asked: list[str] = []
        self.most = 0
        self._now = 0
        self._ports = ports
        self._up = threading.Semaphore(0)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._all(),))

    def __enter__(self) -> Self:
        self._thread.start()
        for _ in self._ports:
            assert self._up.acquire(timeout=30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    async def _all(self) -> None:
        self._stop = asyncio.Event()
        stations = [asyncio.create_task(self._one(*each)) for each in self._ports.items()]
        await self._stop.wait()
        for each in stations:
            each.cancel()
        await asyncio.gather(*stations, return_exceptions=True)

    async def _one(self, name: str, port: int) -> None:
        options = {"proxy": None, "open_timeout": 30, **told(name)}
        async with connect(f"ws://127.0.0.1:{port}/ocpp/{name}", **options) as connection:
            self._up.release()
            async for text in connection:
                self._now += 1
                self.most = max(self.most, self._now)
                self.asked.append(name)
                await asyncio.sleep(0.01)
                self._now -= 1
                await connection.send(json.dumps([3, json.loads(text)[1], NOTHING]))


def eventually(is_so: Any, seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.05)
