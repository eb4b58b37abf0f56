"""HTTP and HTTPS servers for ASGI applications, stopped together and cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from voltroot.errors import Unavailable

log = logging.getLogger("voltroot")

# How long a connection that was accepted when the stop came has to say what it wants, in seconds.
GRACE = 0.3


@dataclass(frozen=True, slots=True)
class Tls:
    """Where the server's certificate chain and key are.

    ``clients`` is a file of the CAs whose client certificates are taken; one is ``required`` or may be shown.
    """

    chain: Path
    key: Path
    password: str | None = None
    clients: Path | None = None
    required: bool = False


class Servers:
    """Serves applications on any number of sockets, some of them with TLS."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application
        self._servers: list[_Server] = []
        self._contexts: list[tuple[ssl.SSLContext, Callable[[], Tls]]] = []

    def add(
        self, listener: socket.socket, source: Callable[[], Tls] | None = None, application: ASGIApp | None = None
    ) -> None:
        """Serve on an open socket; with TLS where there is a source of certificates, which is asked again on reload."""
        tls = source() if source is not None else None
        config = uvicorn.Config(
            RawPath(application or self._application),
            http=_Protocol,
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            ssl_certfile=tls.chain if tls else None,
            ssl_keyfile=tls.key if tls else None,
            ssl_keyfile_password=tls.password if tls else None,
            timeout_graceful_shutdown=10,
        )
        config.load()
        if tls is not None and source is not None and config.ssl is not None:
            config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
            config.ssl.sslobject_class = Handshake
            if tls.clients is not None:
                config.ssl.load_verify_locations(tls.clients)
                # What is in the file is trusted, be it a root or a CA below one.
                config.ssl.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
                config.ssl.verify_mode = ssl.CERT_REQUIRED if tls.required else ssl.CERT_OPTIONAL
            self._contexts.append((config.ssl, source))
        self._servers.append(_Server(config, [listener]))

    def reload_tls(self) -> None:
        """Take other certificates and keys; connections from now on see them. Unavailable leaves what was."""
        for context, source in self._contexts:
            tls = source()
            try:
                # A chain whose key does not fit would take the place of the one before all the same.
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.chain, tls.key, tls.password)
                context.load_cert_chain(tls.chain, tls.key, tls.password)
                if tls.clients is not None:
                    context.load_verify_locations(tls.clients)
            except OSError as error:
                raise Unavailable(f"the TLS certificate {tls.chain} or its key cannot be used: {error}") from error

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


class Handshake(ssl.SSLObject):
    """Tells why a handshake failed: nobody above it ever hears."""

    def do_handshake(self) -> None:
        """Go on with the handshake."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            log.info("handshake.refused", extra={"why": getattr(error, "verify_message", "") or str(error)})
            raise


class _Protocol(HttpToolsProtocol):
    """Puts the client's certificate into the state of each request's scope."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # TCP only
        """Look at a new connection."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        certificate = tls.getpeercert(binary_form=True) if tls is not None else None
        if certificate is not None:
            self.app_state = {**self.app_state, "peer_certificate": certificate}


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
