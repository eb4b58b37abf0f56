"""Fetching what others name: only where it may, and never more than it should."""

from __future__ import annotations

import asyncio
import socket
import threading
from ipaddress import ip_network

import pytest

from voltroot.errors import Failure, Refused, Unavailable
from voltroot.serve import fetch
from voltroot.serve.fetch import Fetcher

LOOPBACK = (ip_network("127.0.0.0/8"),)
OK = b"HTTP/1.1 200 OK\r\n"


class Answering:
    """A server that says the same to everybody, and counts what it was sent of it."""

    def __init__(self, said: bytes, more: bytes = b"", times: int = 0) -> None:
        self.said, self.more, self.times, self.sent = said, more, times, 0
        self.heard = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/a?b=c"
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with self._listener:
            connection, _ = self._listener.accept()
        with connection:
            self.heard = connection.recv(1 << 16)
            try:
                connection.sendall(self.said)
                for _ in range(self.times):
                    connection.sendall(self.more)
                    self.sent += len(self.more)
            except OSError:
                pass


def fetched(server: Answering, body: bytes | None = None) -> bytes:
    return asyncio.run(Fetcher(LOOPBACK).fetch(server.url, body))


@pytest.mark.parametrize(
    "said",
    [
        OK + b"Content-Length: 6\r\n\r\nanswer",
        OK + b"\r\nanswer",
        OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nans\r\n3;x=y\r\nwer\r\n0\r\n\r\n",
    ],
)
def test_what_stands_there_is_fetched_however_its_end_is_told(said: bytes) -> None:
    server = Answering(said)
    assert fetched(server) == b"answer"
    assert server.heard.startswith(b"GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:")


def test_a_body_is_posted() -> None:
    server = Answering(OK + b"Content-Length: 0\r\n\r\n")
    assert fetched(server, b"question") == b""
    assert server.heard.startswith(b"POST /a?b=c ")
    assert server.heard.endswith(b"Content-Length: 8\r\n\r\nquestion")


@pytest.mark.parametrize(
    ("said", "failure"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n", Unavailable),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Unavailable),
        (b"", Unavailable),
        (OK + b"Content-Length: 9\r\n\r\nshort", Unavailable),
        (OK + b"Content-Length: 99999999999\r\n\r\n", Refused),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFF\r\n", Refused),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", Refused),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n", Failure),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 40_000, Unavailable),
        (OK + b"Content-Length: " + b"1" * 5_000 + b"\r\n\r\n", Unavailable),
        (b"HTTP/1.1 " + b"2" * 5_000 + b" OK\r\n\r\n", Unavailable),
    ],
)
def test_what_is_no_answer_is_none(said: bytes, failure: type[Failure]) -> None:
    with pytest.raises(failure):
        fetched(Answering(said))


@pytest.mark.parametrize("head", [OK + b"\r\n", OK + b"X: "])
def test_no_more_is_read_than_an_answer_may_have(head: bytes) -> None:
    server = Answering(head, b"x" * (1 << 16), 1024)
    with pytest.raises(Failure):
        fetched(server)
    # What the network's buffers take is on its way; the rest is never sent.
    assert server.sent < 16 << 20


def test_a_server_that_drips_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "WITHIN", 0.2)
    with pytest.raises(Unavailable, match=r"does not answer within 0\.2 s"):
        fetched(_Dripping())


class _Dripping(Answering):
    def __init__(self) -> None:
        super().__init__(OK)

    def _run(self) -> None:
        with self._listener:
            connection, _ = self._listener.accept()
        with connection:
            try:
                while connection.send(b"x"):
                    threading.Event().wait(0.02)
            except OSError:
                pass


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..b", ".example"])
def test_a_name_that_no_server_can_have_is_not_answered(host: str) -> None:
    with pytest.raises(Unavailable):
        asyncio.run(Fetcher().fetch(f"http://{host}/"))


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server under somebody else's hand."""

    async def look_up(self: object, host: str, port: int, **_: object) -> list[object]:
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", look_up)


@pytest.mark.usefixtures("named")
def test_a_public_name_of_a_private_address_is_not_asked() -> None:
    with pytest.raises(Refused, match=r"ocsp\.example\.com is not asked"):
        asyncio.run(Fetcher().fetch("http://ocsp.example.com/"))
