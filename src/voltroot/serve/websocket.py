"""WebSockets with charging stations: a port for each security profile, and one connection for each station."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Protocol

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request, Response

from voltroot.actors.csms.entrance import Admitted, Asked
from voltroot.errors import Failure
from voltroot.ocppj.schemas import Version
from voltroot.serve.arrivals import Arrivals
from voltroot.serve.connections import Connection, Record, Upkeep, make_room
from voltroot.serve.link import CIPHERS, CLOSE_WITHIN, LARGEST, Answerer, Link
from voltroot.serve.tls import Renewed, Tls

log = logging.getLogger("voltroot")

MOST_QUEUED = 4  # messages read ahead of the one that is worked on
OPEN_WITHIN = 60  # what is left half-way costs its whole handshake again
# Connections that the kernel keeps until they are taken, up to a limit of its own; it drops the next ones, and their
# stations try again later and later.
MOST_WAITING = 10_000

# X509_V_FLAG_NO_CHECK_TIME: whether an expired certificate will do is the registry's to say (A00.FR.429).
NO_CHECK_TIME = 0x200000

# What goes wrong with a connection is told by our own lines.
_silent = logging.getLogger("voltroot.websocket")
_silent.propagate = False
_silent.addHandler(logging.NullHandler())


class Hub(Answerer, Protocol):
    """What is behind the connections of a CSMS."""

    def admit(self, asked: Asked) -> Admitted:
        """Let a station in or raise a Failure; blocks, and is called from several threads."""
        ...

    def arrive(self, profile: int, admitted: Admitted) -> Awaitable[None]:
        """Await what a station proves by connecting."""
        ...

    def opened(self, link: Link, admitted: Admitted) -> None:
        """A station is connected; its messages come next."""
        ...

    def closed(self, link: Link) -> None:
        """The connection is gone."""
        ...


class Gateway:
    """Serves stations on any number of sockets, one for each security profile."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._doors: list[tuple[socket.socket, int, ssl.SSLContext | None]] = []
        self._tls: list[Renewed] = []
        self._links: dict[str, Link] = {}
        self._arrivals = Arrivals(hub.admit)
        self._upkeep = Upkeep()
        self._closing: set[asyncio.Task[None]] = set()

    def add(
        self,
        listener: socket.socket,
        profile: int,
        source: Callable[[], Sequence[Tls]] | None = None,
        clients: Callable[[], str] | None = None,
    ) -> None:
        """Serve a security profile on an open socket; with TLS where there is a source of certificates, one for each
        kind of key, and with client certificates where there are their CAs in PEM. Both are asked again on reload."""
        tls = (
            Renewed(lambda: _context(source(), clients() if clients is not None else ""))
            if source is not None
            else None
        )
        if tls is not None:
            self._tls.append(tls)
        self._doors.append((listener, profile, tls.context if tls is not None else None))

    def reload_tls(self) -> None:
        """Take other certificates, keys and CAs; connections from now on see them."""
        for tls in self._tls:
            tls.reload()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve while the block runs, then send all stations away."""
        make_room()
        servers = [await self._serve(*door) for door in self._doors]
        looking_after = asyncio.create_task(self._upkeep.run(servers))
        try:
            yield
        finally:
            looking_after.cancel()
            for server in servers:
                server.close(code=1001, reason="the CSMS stops")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2 * CLOSE_WITHIN):
                    await asyncio.gather(*(server.wait_closed() for server in servers))
            self._arrivals.stop()

    async def _serve(self, listener: socket.socket, profile: int, context: ssl.SSLContext | None) -> Server:
        async def judge(connection: ServerConnection, request: Request) -> Response | None:
            return await self._arrivals.judge(connection, request, profile)

        deflate = ServerPerMessageDeflateFactory(
            server_no_context_takeover=True,
            client_no_context_takeover=True,
            compress_settings={"memLevel": 4},
        )
        return await serve(
            self._station,
            sock=listener,
            backlog=MOST_WAITING,
            ssl=context,
            process_request=judge,
            select_subprotocol=_subprotocol,
            compression=None,
            extensions=[deflate],
            server_header=None,
            open_timeout=OPEN_WITHIN,
            ping_interval=None,
            close_timeout=CLOSE_WITHIN,
            max_size=LARGEST,
            max_queue=MOST_QUEUED,
            logger=_silent,
            create_connection=Connection,
        )

    async def _station(self, connection: ServerConnection) -> None:
        assert isinstance(connection, Connection)
        asked, admitted = self._arrivals.take(connection)
        self._upkeep.opened(connection)
        if connection.subprotocol is None:
            # OCPP 2.0.1 part 4, 3.1.2: the connection is opened without one, and closed.
            log.warning("station.refused", extra={"station": asked.identity, "why": "no subprotocol that is known"})
            await connection.close(1002, "the subprotocols are ocpp2.0.1 and ocpp2.1")
            return
        link = Link(connection, asked.identity, asked.profile, self._hub)
        # Neither password nor certificate stays for as long as the connection.
        del asked
        earlier = self._links.get(link.identity)
        self._links[link.identity] = link
        try:
            if earlier is not None:
                log.info("station.replaced", extra={"station": link.identity})
                await earlier.abandon()
                closing = asyncio.create_task(earlier.close(1008, "another connection has taken over"))
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)
            await self._hub.arrive(link.profile, admitted)
            if self._links.get(link.identity) is not link:
                return
            self._hub.opened(link, admitted)
            log.info("station.connected", extra={"station": link.identity, "version": link.version.value})
            try:
                await link.listen()
            finally:
                self._hub.closed(link)
        except ConnectionClosed as closed:
            log.info("station.lost", extra={"station": link.identity, "why": str(closed)})
        except Failure as failure:
            log.warning("station.refused", extra={"station": link.identity, "why": str(failure)})
        except Exception:
            log.exception("station.failed", extra={"station": link.identity})
        finally:
            if self._links.get(link.identity) is link:
                del self._links[link.identity]
            await link.abandon()
            await link.close()
            log.info("station.disconnected", extra={"station": link.identity})


def _context(every: Sequence[Tls], clients: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    # A00.FR.321, 424: no compression in TLS.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 1
    context.sslobject_class = Record
    for tls in every:
        tls.load(context)
    if clients:
        context.load_verify_locations(cadata=clients)
        context.verify_mode = ssl.CERT_REQUIRED
        # A sub-CA of ours is known to be good: what is above it is not checked again for each station.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | NO_CHECK_TIME
    return context


def _subprotocol(connection: ServerConnection, offered: Sequence[Any]) -> Any:
    """Choose what the station likes best among what is known; None opens without one."""
    return next((each for each in offered if each in [*Version]), None)
