"""A charging station or a CSMS by the PyPI package ``ocpp``, told what to say as ``ocpp-rpc/peer.js`` is."""

from __future__ import annotations

import asyncio
import base64
import importlib
import json
import logging
import ssl
import sys
import threading
from dataclasses import fields, is_dataclass
from http import HTTPStatus
from typing import Any

from ocpp.charge_point import snake_to_camel_case
from ocpp.exceptions import OCPPError
from ocpp.routing import on
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

CALL, RESULT = 2, 3
VERSIONS = {"ocpp2.0.1": "v201", "ocpp2.1": "v21"}


def say(what: Any) -> None:
    print(json.dumps(what), flush=True)


class Complaints(logging.Handler):
    """What the package logs as an error: nobody else hears of a message that it does not take."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else ""
        say({"violation": f"{record.getMessage()}: {error!r}"})


class Program:
    """One peer, whichever end it is, and the connection that was opened last."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        package = VERSIONS[options["version"]]
        self.calls = importlib.import_module(f"ocpp.{package}.call")
        self.results = importlib.import_module(f"ocpp.{package}.call_result")
        self.kind = self._kind(importlib.import_module(f"ocpp.{package}").ChargePoint)
        self.asked: dict[str, asyncio.Future[Any]] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.peer: Any = None

    async def run(self) -> None:
        lines = asyncio.Queue[str]()
        threading.Thread(target=_read, args=(asyncio.get_running_loop(), lines), daemon=True).start()
        if self.options["role"] == "station":
            await self._connect()
        else:
            await self._listen()
        while line := await lines.get():
            self._start(self._tell(*json.loads(line)))
        if self.peer is not None:
            await self.peer._connection.close()

    async def follow(self, identity: str, connection: Any) -> None:
        """Hear a connection until it ends; a call that waits for its answer keeps nothing else waiting."""
        self.peer = self.kind(identity, connection)
        try:
            async for message in connection:
                self._start(self.peer.route_message(message))
        except ConnectionClosed:
            pass
        say({"closed": connection.close_code})

    async def _connect(self) -> None:
        given = self.options
        context = ssl.create_default_context(cafile=given["ca"])
        if given.get("certificate"):
            context.load_cert_chain(given["certificate"])
        headers = {}
        if given.get("password"):
            credentials = base64.b64encode(f"{given['identity']}:{given['password']}".encode()).decode()
            headers["Authorization"] = f"Basic {credentials}"
        url = f"{given['url']}/{given['identity']}"
        try:
            connection = await connect(
                url, ssl=context, subprotocols=[given["version"]], additional_headers=headers, proxy=None
            )
        except InvalidStatus as refused:
            say({"refused": str(refused.response.status_code)})
            return
        self._start(self.follow(given["identity"], connection))
        say({"connected": connection.subprotocol})

    async def _listen(self) -> None:
        given = self.options
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=given["ca"])
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_cert_chain(given["certificate"])

        def credentials(connection: Any) -> tuple[str | None, str | None]:
            shown = connection.transport.get_extra_info("peercert") or {}
            holder = dict(pair for group in shown.get("subject", ()) for pair in group).get("commonName")
            header = connection.request.headers.get("Authorization", "Basic ").removeprefix("Basic ")
            return holder, base64.b64decode(header).decode().partition(":")[2] or None

        def admit(connection: Any, request: Any) -> Any:
            holder, password = credentials(connection)
            if holder is None and password != given["password"]:
                return connection.respond(HTTPStatus.UNAUTHORIZED, "")
            return None

        async def hear(connection: Any) -> None:
            holder, password = credentials(connection)
            identity = connection.request.path.rpartition("/")[2]
            following = asyncio.ensure_future(self.follow(identity, connection))
            await asyncio.sleep(0)
            say({"connected": connection.subprotocol, "identity": identity, "holder": holder, "password": password})
            await following

        self.server = await serve(
            hear, "127.0.0.1", given["port"], ssl=context, subprotocols=[given["version"]], process_request=admit
        )
        say({"listening": self.server.sockets[0].getsockname()[1]})

    async def _tell(self, kind: int, id_: str, *rest: Any) -> None:
        if kind == RESULT:
            self.asked.pop(id_).set_result(rest[0])
            return
        action, payload = rest
        try:
            result = await self.peer.call(_made(self.calls, action, payload), suppress=False)
        except (OCPPError, ConnectionClosed) as error:
            say({"violation": repr(error)})
        else:
            say([RESULT, id_, _told(result)])

    def _kind(self, base: Any) -> Any:
        """The package's class with a handler for every action."""
        actions = [name for name, value in vars(self.results).items() if is_dataclass(value)]
        return type("Peer", (base,), {f"on_{action}": self._handler(action) for action in actions})

    def _handler(self, action: str) -> Any:
        async def hear(_: Any, call_unique_id: str, **given: Any) -> Any:
            self.asked[call_unique_id] = asyncio.get_running_loop().create_future()
            say([CALL, call_unique_id, action, snake_to_camel_case(given)])
            return _made(self.results, action, await self.asked[call_unique_id])

        hear.__name__ = f"on_{action}"
        return on(action)(hear)

    def _start(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


def _made(module: Any, action: str, payload: dict[str, Any]) -> Any:
    """The package's class for a payload: some of its members' names are not what the package itself makes of them."""
    kind = getattr(module, action)
    names = {next(iter(snake_to_camel_case({field.name: None}))): field.name for field in fields(kind)}
    return kind(**{names[member]: value for member, value in payload.items()})


def _told(result: Any) -> dict[str, Any]:
    members = {field.name: getattr(result, field.name) for field in fields(result)}
    told: dict[str, Any] = snake_to_camel_case({name: value for name, value in members.items() if value is not None})
    return told


def _read(loop: asyncio.AbstractEventLoop, lines: asyncio.Queue[str]) -> None:
    for line in sys.stdin:
        loop.call_soon_threadsafe(lines.put_nowait, line)
    loop.call_soon_threadsafe(lines.put_nowait, "")


if __name__ == "__main__":
    logging.getLogger("ocpp").addHandler(Complaints(logging.ERROR))
    logging.getLogger("ocpp").propagate = False
    asyncio.run(Program(json.loads(sys.argv[1])).run())
