"""The HTTP servers: what an application learns of who calls."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator

import httpx2 as httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from voltroot.serve.http import Servers, open_socket


async def who_calls(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope)
    assert request.client is not None
    await PlainTextResponse(f"{request.url.scheme} {request.client.host}")(scope, receive, send)


@pytest.fixture
def address() -> Iterator[str]:
    """Where who_calls is served."""
    servers = Servers(who_calls)
    listener = open_socket("127.0.0.1", 0)
    servers.add(listener)
    thread = threading.Thread(target=lambda: asyncio.run(servers.run()))
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    servers.stop()
    thread.join(10)


def test_nobody_calls_by_another_address_because_a_header_says_so(address: str) -> None:
    said = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    assert httpx.get(address, headers=said, trust_env=False).text == "http 127.0.0.1"


def test_a_station_that_calls_the_wrong_port_is_told_from_the_log(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    assert httpx.get(address, headers=wanted, trust_env=False).status_code == 200
    assert [(each.message, getattr(each, "why", "")) for each in caplog.records if each.levelno >= logging.WARNING] == [
        ("upgrade.ignored", "no WebSocket is spoken here: stations call the ports of [csms]")
    ]
