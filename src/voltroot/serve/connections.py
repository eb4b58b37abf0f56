"""Thousands of connections with stations that are mostly silent: what each costs, and who is still there (ADR 29)."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import resource
from collections.abc import Sequence
from typing import Any

from websockets.asyncio.server import Server, ServerConnection

from voltroot.serve.tls import Handshake

PING_EVERY, PING_WITHIN = 60, 60  # seconds of silence: whose connection is half open is noticed after both
# A TLS record has no more (RFC 8446 5.1), so whoever reads more at once gets no more.
RECORD = 1 << 14
M_MMAP_THRESHOLD = -3  # malloc.h of glibc
# Of the 256 KiB that uvloop keeps for each TLS connection a page or two are touched. As a mapping of its own a buffer
# costs these; on the heap, where glibc moves buffers once it has seen one freed, it costs what lay there before.
OWN_MAPPING = 1 << 17
MANY = 200  # connections: opening them leaves holes in memory
MOST = 10_000  # that are opened before it is given back, however busy it is


class Record(Handshake):
    """A TLS connection that makes room for one record when it is read, whatever it is asked for."""

    def read(self, len: int = 1024, buffer: Any = None) -> Any:
        """Read octets."""
        return super().read(min(len, RECORD), buffer)


class Connection(ServerConnection):
    """One that knows when it was last heard, so that a single task can look after all of them."""

    heard = asked = 0.0

    def data_received(self, data: bytes) -> None:
        """Take in octets."""
        self.heard = self.loop.time()
        super().data_received(data)

    def look_after(self, now: float) -> None:
        """Ask a silent station whether it is there; cut one off that has not answered."""
        if self.asked > self.heard:
            if now - self.asked >= PING_WITHIN:
                self.transport.abort()
        elif now - self.heard >= PING_EVERY:
            self.asked = now
            try:
                # Without waiting until it is sent, as the library's own broadcast does it.
                self.protocol.send_ping(b"")
                self.send_data()
            except Exception:
                self.transport.abort()

    def forget_opening(self) -> None:
        """Let go of what only the opening needed: it would stay for as long as the connection."""
        assert self.request is not None, "it is open"
        assert self.response is not None, "it is open"
        self.request.headers.clear()
        self.response.headers.clear()


def make_room() -> None:
    """Let this process hold as many connections as the machine allows, and keep in memory what they touch."""
    # Each station is an open file, and what is usual are 1,024.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, OWN_MAPPING)


class Upkeep:
    """Looks after all connections of some servers in one task, and gives back what only their openings needed."""

    def __init__(self) -> None:
        self._opened = 0

    def opened(self, connection: Connection) -> None:
        """Note that one more is open."""
        connection.forget_opening()
        self._opened += 1

    async def run(self, servers: Sequence[Server]) -> None:
        """Look after the connections until this is cancelled."""
        loop, opened = asyncio.get_running_loop(), 0
        while True:
            await asyncio.sleep(min(PING_EVERY, PING_WITHIN) / 10)
            for server in servers:
                for connection in server.connections:
                    assert isinstance(connection, Connection)
                    connection.look_after(loop.time())
            calm, opened, self._opened = self._opened == 0, opened + self._opened, 0
            if opened >= (MANY if calm else MOST):
                # The storm is over: what only the openings needed goes back to the system.
                opened = 0
                await asyncio.to_thread(_give_back)


def _give_back() -> None:
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
