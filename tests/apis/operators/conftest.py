"""The operators' API in process, on a registry of its own; stations are held by nobody or by a process on record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2 as httpx
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from voltroot.actors.csms.operations import Arrival
from voltroot.actors.csms.stations import Operation
from voltroot.apis.operators.door import Door
from voltroot.apis.operators.server import Server
from voltroot.serve.http import RawPath
from voltroot.store.operations import SqlOperations
from voltroot.store.operators import SqlOperators
from voltroot.store.presence import SqlPresence
from voltroot.store.stations import SqlStations
from world import World

HERE = "http://127.0.0.1:15121"


@dataclass
class Api:
    """A client that speaks JSON."""

    client: TestClient
    world: World
    stations: SqlStations
    presence: SqlPresence
    operations: SqlOperations
    operators: SqlOperators

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, bytes):
            given = {"content-type": "application/json"} | given
            return self.client.request(method, f"{HERE}{path}", content=body, headers=given)
        return self.client.request(method, f"{HERE}{path}", json=body, headers=given)

    def told(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        """The answer of a call that must be a success."""
        answer = self.call(method, path, body)
        assert answer.status_code == status, answer.text
        assert status == 204 or answer.headers["content-type"] == "application/json"
        return answer.json() if answer.content else None

    def problem(self, status: int, method: str, path: str, body: Any = None, **headers: str) -> str:
        """The detail of a problem."""
        answer = self.call(method, path, body, **headers)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
        members = answer.json()
        assert (list(members), members["status"]) == (["type", "title", "status", "detail"], status)
        detail: str = members["detail"]
        return detail

    def hold(self, *stations: str) -> int:
        """A process that stations are connected to."""
        holder = self.presence.join("host:4711")
        self.presence.settle(holder, [Arrival(each, 2, "ocpp2.1") for each in stations], [])
        return holder

    def claimed(self, holder: int) -> Operation:
        """The one operation whose turn it is."""
        (operation,) = self.operations.claim(holder, 10)
        return operation


async def _unchanged(_seconds: float) -> None:
    """Nothing happens by itself here."""


def opened(world: World, *, is_open: bool = True, changed: Any = _unchanged) -> Api:
    kinds = SqlStations, SqlPresence, SqlOperations, SqlOperators
    stations, presence, operations, operators = (kind(world.engine, world.clock) for kind in kinds)
    door = Door(operators, is_open=is_open)
    server = Server(door, stations, presence, operations, changed, world.clock, "Voltroot Test")
    application = Starlette()
    application.router.default = server
    client = TestClient(RawPath(application), raise_server_exceptions=False)
    return Api(client, world, stations, presence, operations, operators)


@pytest.fixture
def api(world: World) -> Iterator[Api]:
    made = opened(world)
    with made.client:
        yield made
