"""WebSockets with charging stations: opening, judging who comes, frames in and out, and ending."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote, urlsplit
from weakref import WeakKeyDictionary

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request, Response

from voltroot.actors.csms.entrance import Admitted, Asked
from voltroot.errors import Failure, Malformed, NotFound, ProofFailed, Unavailable
from voltroot.ocppj.schemas import Version
from voltroot.serve.connections import Connection, Record, Upkeep, make_room
from voltroot.serve.link import CIPHERS, CLOSE_WITHIN, LARGEST, Hub, Link
from voltroot.serve.tls import Renewed, Tls

log = logging.getLogger("voltroot")

MOST_QUEUED = 4  # messages read ahead of the one that is worked on
OPEN_WITHIN = 60  # what is left half-way costs its whole handshake again
# Connections that the kernel keeps until they are taken, up to a limit of its own; it drops the next ones, and their
# stations try again later and later.
MOST_WAITING = 10_000
MOST_ARRIVING = 10_000  # connections that wait to be judged; the next are told to come later
JUDGES = 4
RETRY_AFTER = "10"

# X509_V_FLAG_NO_CHECK_TIME: whether an expired certificate will do is the registry's to say (A00.FR.429).
NO_CHECK_TIME = 0x200000

# What goes wrong with a connection is told by our own lines.
_silent = logging.getLogger("voltroot.websocket")
_silent.propagate = False
_silent.addHandler(logging.NullHandler())


class Gateway:
    """Serves stations on any number of sockets, one for each security profile."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._doors: list[tuple[socket.socket, int, ssl.SSLContext | None]] = []
        self._tls: list[Renewed] = []
        self._links: dict[str, Link] = {}
        self._judges = ThreadPoolExecutor(JUDGES, thread_name_prefix="judges")
        self._arriving: WeakKeyDictionary[ServerConnection, tuple[Asked, Admitted]] = WeakKeyDictionary()
        self._judging = 0
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
            self._judges.shutdown(wait=False, cancel_futures=True)

    async def _serve(self, listener: socket.socket, profile: int, context: ssl.SSLContext | None) -> Server:
        async def judge(connection: ServerConnection, request: Request) -> Response | None:
            return await self._judge(connection, request, profile)

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

    async def _judge(self, connection: ServerConnection, request: Request, profile: int) -> Response | None:
        """Let a station in, or return what it is told: nobody learns more than that."""
        if self._judging >= MOST_ARRIVING:
            response = connection.respond(503, "too many stations come at once\n")
            response.headers["Retry-After"] = RETRY_AFTER
            return response
        self._judging += 1
        try:
            asked = _asked(connection, request, profile)
            admitted = await asyncio.get_running_loop().run_in_executor(self._judges, self._hub.admit, asked)
        except Failure as failure:
            log.warning("station.refused", extra={"path": request.path[:200], "profile": profile, "why": str(failure)})
            return _refusal(connection, failure)
        except Exception:
            log.exception("station.unjudged", extra={"path": request.path[:200]})
            return connection.respond(500, "internal error\n")
        finally:
            self._judging -= 1
        self._arriving[connection] = asked, admitted
        return None

    async def _station(self, connection: ServerConnection) -> None:
        assert isinstance(connection, Connection)
        asked, admitted = self._arriving.pop(connection)
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


def _asked(connection: ServerConnection, request: Request, profile: int) -> Asked:
    identity = unquote(urlsplit(request.path).path.rpartition("/")[2])
    if not identity.isprintable() or ":" in identity or not 1 <= len(identity) <= 48:
        raise NotFound("the address ends in no identity of a station: /ocpp/IDENTITY")
    tls = connection.transport.get_extra_info("ssl_object")
    certificate = tls.getpeercert(binary_form=True) if tls is not None else None
    user, password = _credentials(request)
    return Asked(identity, profile, user, password, certificate)


def _credentials(request: Request) -> tuple[str | None, str | None]:
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None, None
    try:
        user, _, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Malformed("the Authorization header cannot be read") from error
    return user, password


def _refusal(connection: ServerConnection, failure: Failure) -> Response:
    if isinstance(failure, NotFound):
        # OCPP 2.0.1 part 4, 3.1.1
        return connection.respond(404, "unknown\n")
    if isinstance(failure, ProofFailed):
        response = connection.respond(401, "unauthorized\n")
        response.headers["WWW-Authenticate"] = 'Basic realm="OCPP", charset="UTF-8"'
        return response
    if isinstance(failure, Unavailable):
        response = connection.respond(503, "try again later\n")
        response.headers["Retry-After"] = RETRY_AFTER
        return response
    return connection.respond(400 if isinstance(failure, Malformed) else 403, "refused\n")


def _subprotocol(connection: ServerConnection, offered: Sequence[Any]) -> Any:
    """Choose what the station likes best among what is known; None opens without one."""
    return next((each for each in offered if each in [*Version]), None)
