"""A load generator that costs little: one thread, kept connections, requests made ahead of time."""

from __future__ import annotations

import gc
import re
import select
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from voltroot.errors import Unavailable

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_LAST_CHUNK = b"0\r\n\r\n"
PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Load:
    """What one load came to: answers, how many were not ``good``, and how long each took in seconds, sorted."""

    clients: int
    seconds: float
    latencies: list[float] = field(repr=False)
    bad: int

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return (len(self.latencies) - self.bad) / self.seconds if self.seconds else 0.0

    def figures(self, cpu: float, tail: float = 0.99) -> dict[str, float]:
        """Return what a table shows; ``cpu`` is the processor time in seconds that the servers took."""
        if not self.latencies:
            raise Unavailable("more requests were needed than had been made ahead of time")
        bad = {"bad": float(self.bad)} if self.bad else {}
        shown = {"rate": self.rate, "p50_ms": self.quantile(0.5), f"p{100 * tail:.0f}_ms": self.quantile(tail)}
        return shown | {"cpu_us": 1_000_000 * cpu / len(self.latencies)} | bad

    def quantile(self, part: float) -> float:
        """How long the given part of all answers took at most, in milliseconds."""
        return 1000 * self.latencies[min(len(self.latencies) - 1, int(part * len(self.latencies)))]


def request(method: str, path: str, body: bytes = b"", content_type: str = "application/json") -> bytes:
    """Return the octets of one request on a kept connection."""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    if body:
        head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def apply(
    port: int,
    requests: Iterator[bytes],
    clients: int,
    seconds: float,
    good: bytes,
    tls: ssl.SSLContext | None = None,
) -> Load:
    """Ask from so many connections, on each again as soon as it is answered, until the time or the requests are over.

    An answer without the octets ``good`` in it counts as bad. With ``tls`` connections speak it; their handshakes are
    over before the time begins.
    """
    gc.collect()
    gc.disable()
    try:
        return _Generator(port, requests, good, tls).run(clients, seconds)
    except OSError as error:
        raise Unavailable(f"the server on port {port} does not answer: {error}") from error
    finally:
        gc.enable()


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    began: float = 0.0
    received: bytes = b""


class _Generator:
    def __init__(self, port: int, requests: Iterator[bytes], good: bytes, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._port = port
        self._requests = requests
        self._good = good
        self._latencies: list[float] = []
        self._bad = 0

    def run(self, clients: int, seconds: float) -> Load:
        """Keep so many connections busy for so long, and return what came back."""
        open_ = {connection.socket.fileno(): connection for connection in map(self._connect, range(clients))}
        poll = select.epoll()
        for number in open_:
            poll.register(number, select.EPOLLIN)
        began = time.perf_counter()
        deadline = began + seconds
        waiting = {number for number, connection in open_.items() if self._ask(connection)}
        while waiting:
            events = poll.poll(PATIENCE)
            if not events:
                raise TimeoutError(f"no answer for {PATIENCE:.0f} s")
            for number, _ in events:
                if self._answered(open_[number]) and not (time.perf_counter() < deadline and self._ask(open_[number])):
                    waiting.discard(number)
        elapsed = time.perf_counter() - began
        poll.close()
        for connection in open_.values():
            connection.socket.close()
        return Load(clients, elapsed, sorted(self._latencies), self._bad)

    def _connect(self, _number: int) -> _Connection:
        connected = socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            connected = self._tls.wrap_socket(connected, server_hostname="127.0.0.1")
        return _Connection(connected)

    def _ask(self, connection: _Connection) -> bool:
        octets = next(self._requests, None)
        if octets is None:
            return False
        connection.began = time.perf_counter()
        connection.socket.sendall(octets)
        return True

    def _answered(self, connection: _Connection) -> bool:
        octets = connection.socket.recv(65536)
        ended = time.perf_counter()
        if not octets:
            raise ConnectionError("it closed a connection")
        if connection.received:
            octets = connection.received + octets
        if not _is_whole(octets):
            connection.received = octets
            return False
        connection.received = b""
        self._latencies.append(ended - connection.began)
        if self._good not in octets:
            self._bad += 1
        return True


def _is_whole(octets: bytes) -> bool:
    end = octets.find(b"\r\n\r\n")
    if end < 0:
        return False
    length = _LENGTH.search(octets, 0, end)
    return len(octets) - end - 4 >= int(length[1]) if length else octets.endswith(_LAST_CHUNK)
