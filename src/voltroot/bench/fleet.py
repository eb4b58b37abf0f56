"""Charging stations that cost little: raw frames over as many connections as the machine allows, in one thread."""

from __future__ import annotations

import base64
import gc
import itertools
import multiprocessing
import random
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from heapq import heappop, heappush
from multiprocessing.managers import BaseManager
from pathlib import Path
from typing import NamedTuple, cast

from voltroot.bench.load import Load
from voltroot.bench.sayings import BOOT, CLOSE, MIX, PING, PONG, TEXT, call, framed, installed, unframed
from voltroot.errors import Unavailable

PASSWORD = "the same for all, 40 characters in length"  # noqa: S105 -- of nobody
PATIENCE = 60.0
AGAIN = 1.0  # seconds until a station whose connection failed tries again, give or take
_KEY = base64.b64encode(bytes(16)).decode()


class Door(NamedTuple):
    """Where stations go: what their identities begin with, and the folder of their certificates, None without TLS.

    An ``echo`` sends everything back.
    """

    port: int
    prefix: str
    certificates: Path | None = None
    echo: bool = False

    def identity(self, number: int) -> str:
        """Return the identity of a station."""
        return f"{self.prefix}{number:05}"


class Came(NamedTuple):
    """How long it took until all had said what they had to say, how many calls were never answered, and how many
    connections are open at the end."""

    seconds: float
    unanswered: int
    held: int


@dataclass(slots=True)
class _Station:
    number: int
    calls: Iterator[str]
    socket: socket.socket | None = None
    step: Callable[[_Station], None] | None = None
    received: bytes = b""
    action: str = ""  # of the call that is open
    sent: int = 0
    began: float = 0.0


class Fleet:
    """Stations that connect, speak and answer while one of the methods runs."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # What is work for real stations is to cost this machine as little as it may.
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        self._good = b'[2,"' if door.echo else b'[3,"'
        self._poll = select.epoll()
        self._open: dict[int, _Station] = {}
        self._later: list[tuple[float, int, _Station]] = []
        self._next: Iterator[_Station] = iter(())
        self._then: Callable[[_Station], None] = self._speak
        self._numbers = itertools.count(1)
        self._latencies: list[float] = []
        self._working: set[int] = set()
        self._answers = self._bad = 0
        gc.disable()

    def bring(self, numbers: Iterable[int], calls: Iterable[str], at_once: int) -> Came:
        """Connect stations, so many at a time, and have each say something; one that is cut off tries again."""
        stations = [_Station(number, iter([*calls])) for number in numbers]
        began = self._begin(self._speak, iter(stations), at_once)
        self._working = {station.number for station in stations}
        self._run(lambda: not self._working, PATIENCE + len(stations) / 20)
        left = [station for station in stations if station.number in self._working]
        unanswered = sum(1 + len([*station.calls]) for station in left)
        return Came(time.perf_counter() - began, unanswered + self._bad, len(self._open))

    def storm(self, calls: Iterable[str]) -> Came:
        """Cut all connections, and have all stations come back at once."""
        numbers = [station.number for station in self._open.values()]
        self.drop()
        return self.bring(numbers, calls, len(numbers))

    def talk(self, clients: int, seconds: float) -> Load:
        """Have so many of the connected stations speak, each again as soon as it is answered."""
        self._begin(self._speak, iter(()), 0)
        began = time.perf_counter()
        chosen = list(self._open.values())[:clients]
        for station in chosen:
            station.calls = itertools.takewhile(lambda _: time.perf_counter() < began + seconds, itertools.cycle(MIX))
        self._working = {station.number for station in chosen}
        for station in chosen:
            self._speak(station)
        self._run(lambda: not self._working, seconds + PATIENCE)
        return self._load(clients, time.perf_counter() - began)

    def churn(self, numbers: Iterable[int], clients: int, seconds: float) -> Load:
        """Open connections until they can be spoken over, so many at a time, and drop them again."""
        until = time.perf_counter() + seconds
        cycle = itertools.takewhile(lambda _: time.perf_counter() < until, itertools.cycle([*numbers]))
        began = self._begin(self._leave, (_Station(number, iter(())) for number in cycle), clients)
        self._run(lambda: time.perf_counter() >= until and not self._working, seconds + PATIENCE)
        return self._load(clients, time.perf_counter() - began)

    def attend(self, answers: int, seconds: float) -> int:
        """Answer what is asked until so many answers were given or the time is over; returns how many were."""
        self._begin(self._speak, iter(()), 0)
        self._run(lambda: self._answers >= answers, seconds)
        return self._answers

    def drop(self) -> None:
        """Cut all connections, as if the network were gone."""
        for station in [*self._open.values()]:
            self._cut(station)

    def _begin(self, then: Callable[[_Station], None], stations: Iterator[_Station], at_once: int) -> float:
        self._then, self._next = then, stations
        self._latencies = []
        self._working, self._later = set(), []
        self._answers = self._bad = 0
        began = time.perf_counter()
        for station in itertools.islice(stations, at_once):
            self._connect(station)
        return began

    def _load(self, clients: int, seconds: float) -> Load:
        return Load(clients, seconds, sorted(self._latencies), self._bad)

    def _run(self, done: Callable[[], bool], patience: float) -> None:
        deadline = time.perf_counter() + patience
        while not done() and time.perf_counter() < deadline:
            for number, _ in self._poll.poll(0.05):
                station = self._open.get(number)
                if station is None:
                    continue
                assert station.step is not None
                try:
                    station.step(station)
                except OSError:
                    self._retry(station, AGAIN)
            while self._later and self._later[0][0] <= time.perf_counter():
                self._connect(heappop(self._later)[2])

    def _connect(self, station: _Station) -> None:
        self._working.add(station.number)
        station.began = time.perf_counter()
        station.received = b""
        opened = socket.socket()
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Nothing is left in TIME_WAIT.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        opened.connect_ex(("127.0.0.1", self.door.port))
        station.socket, station.step = opened, self._connected
        self._open[opened.fileno()] = station
        self._poll.register(opened, select.EPOLLOUT)

    def _connected(self, station: _Station) -> None:
        assert station.socket is not None
        if error := station.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, "it cannot be reached")
        self._poll.modify(station.socket, select.EPOLLIN)
        if self.door.certificates is None:
            self._ask(station)
            return
        # What the context has then goes into the connection: one does for all stations.
        self._context.load_cert_chain(self.door.certificates / f"{self.door.identity(station.number)}.pem")
        station.socket = self._context.wrap_socket(station.socket, do_handshake_on_connect=False)
        station.step = self._shake
        self._shake(station)

    def _shake(self, station: _Station) -> None:
        try:
            cast(ssl.SSLSocket, station.socket).do_handshake()
        except ssl.SSLWantReadError:
            return
        self._ask(station)

    def _ask(self, station: _Station) -> None:
        assert station.socket is not None
        identity = self.door.identity(station.number)
        basic = base64.b64encode(f"{identity}:{PASSWORD}".encode()).decode()
        authorization = "" if self.door.certificates else f"Authorization: Basic {basic}\r\n"
        station.socket.send(
            f"GET /ocpp/{identity} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {_KEY}\r\n"
            f"Sec-WebSocket-Protocol: ocpp2.0.1\r\n{authorization}\r\n".encode()
        )
        station.step = self._opened

    def _opened(self, station: _Station) -> None:
        station.received += _octets(station)
        head, found, rest = station.received.partition(b"\r\n\r\n")
        if not found:
            return
        if b" 503 " in head[:20]:
            after = next((line.split(b":")[1] for line in head.split(b"\r\n") if line.startswith(b"Retry-After")), b"1")
            self._retry(station, float(after))
            return
        if b" 101 " not in head[:20]:
            raise Unavailable(f"{self.door.identity(station.number)} is not let in: {head[:80]!r}")
        station.received, station.step = rest, self._hear
        self._then(station)
        if (another := next(self._next, None)) is not None:
            self._connect(another)

    def _leave(self, station: _Station) -> None:
        self._latencies.append(time.perf_counter() - station.began)
        self._working.discard(station.number)
        self._cut(station)

    def _speak(self, station: _Station) -> None:
        station.action = next(station.calls, "")
        if not station.action:
            self._working.discard(station.number)
            return
        station.sent = next(self._numbers)
        station.began = time.perf_counter()
        self._send(station, call(station.sent, station.action))

    def _hear(self, station: _Station) -> None:
        received = station.received + _octets(station)
        while (frame := unframed(received)) is not None:
            opcode, content, received = frame
            if opcode == TEXT:
                self._heard(station, content)
            elif opcode == PING:
                self._send(station, content, PONG)
            elif opcode == CLOSE:
                raise ConnectionResetError("it was closed")
        station.received = received

    def _heard(self, station: _Station, text: bytes) -> None:
        if station.action and text.startswith(b'%s%d"' % (self._good, station.sent)):
            self._latencies.append(time.perf_counter() - station.began)
            self._speak(station)
        elif not self.door.echo and text.startswith(b"[2,"):
            self._answers += 1
            self._send(station, installed(text))
        else:
            self._bad += 1

    def _send(self, station: _Station, content: bytes, opcode: int = TEXT) -> None:
        assert station.socket is not None
        station.socket.send(framed(content, opcode))

    def _retry(self, station: _Station, seconds: float) -> None:
        """Come back later; a call that was not answered is said again, once the station has booted."""
        self._cut(station)
        if station.action:
            booting = [] if station.action in BOOT else [*BOOT]
            station.calls, station.action = itertools.chain(booting, [station.action], station.calls), ""
        elif station.number not in self._working:
            return
        moment = time.perf_counter() + seconds * random.uniform(0.75, 1.25)  # noqa: S311 -- no secret
        heappush(self._later, (moment, station.number, station))

    def _cut(self, station: _Station) -> None:
        assert station.socket is not None
        del self._open[station.socket.fileno()]
        station.socket.close()
        station.socket = None


class _Elsewhere(BaseManager):
    pass


_Elsewhere.register("Fleet", Fleet)


@contextmanager
def elsewhere(door: Door) -> Iterator[Fleet]:
    """Make a fleet in a process of its own, for as long as the block runs."""
    with _Elsewhere(ctx=multiprocessing.get_context("spawn")) as process:
        yield process.Fleet(door)  # type: ignore[attr-defined] # what ``register`` adds


def _octets(station: _Station) -> bytes:
    assert station.socket is not None
    try:
        octets = station.socket.recv(16384)
    except (BlockingIOError, ssl.SSLWantReadError):
        return b""
    # What OpenSSL holds already makes no event.
    while octets and isinstance(station.socket, ssl.SSLSocket) and station.socket.pending():
        octets += station.socket.recv(16384)
    if not octets:
        raise ConnectionResetError("it was closed")
    return octets
