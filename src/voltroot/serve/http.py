"""HTTP and HTTPS servers for ASGI applications, stopped together and cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from voltroot.errors import Unavailable

# How long a connection that was accepted when the stop came has to say what it wants, in seconds.
GRACE = 0.3


@dataclass(frozen=True, slots=True)
class Tls:
    """Where the server's certificate chain and key are."""

    chain: Path
    key: Path
    password: str | None = None


class Servers:
    """Serves one application on any number of sockets, some of them with TLS."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = RawPath(application)
        self._servers: list[_Server] = []
        self._contexts: list[ssl.SSLContext] = []

    def add(self, listener: socket.socket, tls: Tls | None = None) -> None:
        """Serve on an open socket, with TLS where a certificate is given."""
        config = uvicorn.Config(
            self._application,
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
        if tls is not None and config.ssl is not None:
            config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
            self._contexts.append(config.ssl)
        self._servers.append(_Server(config, [listener]))

    def reload_tls(self, tls: Tls) -> None:
        """Take another certificate and key; connections from now on see them."""
        for context in self._contexts:
            context.load_cert_chain(tls.chain, tls.key, tls.password)

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
