"""HTTP and HTTPS servers for ASGI applications, stopped together and cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from voltroot.errors import Unavailable
from voltroot.serve.tls import Handshake, Renewed, Tls

log = logging.getLogger("voltroot")

# How long a connection that was accepted when the stop came has to say what it wants, in seconds.
GRACE = 0.3


class Servers:
    """Serves applications on any number of sockets, some of them with TLS."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application
        self._servers: list[_Server] = []
        self._tls: list[Renewed] = []

    def add(
        self, listener: socket.socket, source: Callable[[], Tls] | None = None, application: ASGIApp | None = None
    ) -> None:
        """Serve on an open socket; with TLS where there is a source of certificates, which is asked again on reload."""
        tls = Renewed(lambda: _context(source())) if source is not None else None
        config = uvicorn.Config(
            RawPath(application or self._application),
            http=_Protocol,
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            # Whom a proxy may speak for is said by the API that asks who calls, not by a header from this machine.
            proxy_headers=False,
            ssl_context_factory=(lambda *_: tls.context) if tls is not None else None,
            timeout_graceful_shutdown=10,
        )
        if tls is not None:
            self._tls.append(tls)
        self._servers.append(_Server(config, [listener]))

    def reload_tls(self) -> None:
        """Take other certificates and keys; connections from now on see them. Unavailable leaves what was."""
        for tls in self._tls:
            tls.reload()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then let open requests finish."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            # Only the main thread hears signals; a test that runs elsewhere calls ``stop``.
            with contextlib.suppress(ValueError, RuntimeError):
                loop.add_signal_handler(number, self.stop)
        await asyncio.gather(*(server.serve(server.listeners) for server in self._servers))

    def stop(self) -> None:
        """Take no more connections and let open requests finish."""
        for server in self._servers:
            server.should_exit = True


def open_socket(host: str, port: int) -> socket.socket:
    """Open a listening socket, or raise Unavailable; connections wait until somebody serves it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), backlog=2048, family=family)
    except OSError as error:
        raise Unavailable(f"the address {host}:{port} cannot be used: {error.strerror}; choose another") from error
    # asyncio does so only for sockets that name their protocol; without, each answer on a kept connection waits
    # 40 ms for the client's delayed acknowledgement. What is accepted inherits it.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


class RawPath:
    """Hands applications the path still percent-encoded, so that an id with a slash in it stays one segment."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] == "http":
            scope["path"] = scope["raw_path"].decode("latin-1")
        await self._application(scope, receive, send)


class ByPath:
    """Hands each request to the application whose paths begin as its own does, and others to the last."""

    def __init__(self, applications: Mapping[str, ASGIApp], last: ASGIApp) -> None:
        self._applications = tuple(applications.items())
        self._last = last

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        path = scope.get("path", "")
        for beginning, application in self._applications:
            if path.startswith(beginning):
                return await application(scope, receive, send)
        return await self._last(scope, receive, send)


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslobject_class = Handshake
    tls.load(context)
    if tls.clients is not None:
        try:
            context.load_verify_locations(tls.clients)
        except OSError as error:
            raise Unavailable(f"the CAs of clients, {tls.clients}, cannot be used: {error}") from error
        # What is in the file is trusted, be it a root or a CA below one.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.verify_mode = ssl.CERT_REQUIRED if tls.required else ssl.CERT_OPTIONAL
    return context


class _Protocol(HttpToolsProtocol):
    """Puts the client's certificate into the state of each request's scope, and says what a lost station needs."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # TCP only
        """Look at a new connection."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        certificate = tls.getpeercert(binary_form=True) if tls is not None else None
        if certificate is not None:
            self.app_state = {**self.app_state, "peer_certificate": certificate}

    def _unsupported_upgrade_warning(self) -> None:
        # The library's own words ask for a package that would change nothing.
        log.warning("upgrade.ignored", extra={"why": "no WebSocket is spoken here: stations call the ports of [csms]"})


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, listeners: Sequence[socket.socket]) -> None:
        super().__init__(config)
        self.listeners = list(listeners)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to ``Servers``, which stops all servers at once."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nobody more, let those speak who were accepted already, then let open requests finish."""
        for server in self.servers:
            server.close()
        await asyncio.sleep(GRACE)
        await super().shutdown(sockets)
