"""A station's connection to its CSMS: opened, told apart from all that can go wrong with it, and opened again."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import socket
import ssl
from collections.abc import Awaitable, Sequence
from typing import NamedTuple, Protocol
from urllib.parse import quote, urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.typing import Subprotocol

from voltroot.actors.station.networks import Trouble
from voltroot.errors import Failure
from voltroot.ocppj.schemas import Version
from voltroot.serve.link import CIPHERS, CLOSE_WITHIN, LARGEST, Answerer, Link

log = logging.getLogger("voltroot")

REACH_WITHIN, OPEN_WITHIN = 10, 30
AFTER_A_FAULT = 10.0  # seconds
# X509_CHECK_FLAG_NO_WILDCARDS of OpenSSL.
NO_WILDCARDS = 0x2
# How OpenSSL says it.
_TOO_OLD = ("UNSUPPORTED_PROTOCOL", "WRONG_VERSION_NUMBER", "TLSV1_ALERT_PROTOCOL_VERSION", "VERSION_TOO_LOW")
_NO_CIPHER = ("SSLV3_ALERT_HANDSHAKE_FAILURE", "NO_SHARED_CIPHER", "NO_CIPHERS_AVAILABLE", "INSUFFICIENT_SECURITY")

_silent = logging.getLogger("voltroot.dialling")
_silent.propagate = False
_silent.addHandler(logging.NullHandler())


class Target(NamedTuple):
    """Where to, as whom, and how: without a context there is no TLS; ``ping`` is in seconds, 0 for never."""

    url: str
    identity: str
    profile: int
    versions: Sequence[Version]
    password: str | None = None
    context: ssl.SSLContext | None = None
    ping: int = 60


class Lost(Exception):
    """There is no connection, and why."""

    def __init__(self, trouble: Trouble, why: str) -> None:
        super().__init__(why)
        self.trouble = trouble


class Caller(Answerer, Protocol):
    """What is behind the connection."""

    def target(self) -> Awaitable[Target]:
        """Await where to connect next; raises a Failure where there is nothing to connect with."""
        ...

    def failed(self, trouble: Trouble, why: str) -> Awaitable[float]:
        """Note that it did not work; await the seconds to wait."""
        ...

    def opened(self, link: Link) -> Awaitable[None]:
        """Work over the connection until it ends or this is cancelled."""
        ...

    def closed(self, link: Link) -> Awaitable[float]:
        """Note that the connection has gone; await the seconds to wait."""
        ...


class Dialler:
    """Keeps one connection, for ever; for one event loop."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def run(self) -> None:
        """Connect and stay connected until this is cancelled."""
        while True:
            try:
                wait = await self._once()
            except Exception:
                log.exception("csms.failed")
                wait = AFTER_A_FAULT
            await asyncio.sleep(wait)

    async def _once(self) -> float:
        """Hold one connection as long as it lasts; returns how long to wait before the next."""
        try:
            target = await self._caller.target()
            connection = await _open(target)
        except Lost as lost:
            log.warning("csms.unreachable", extra={"why": f"{lost.trouble}: {lost}"})
            return await self._caller.failed(lost.trouble, str(lost))
        except Failure as failure:
            log.warning("csms.unreachable", extra={"why": str(failure)})
            return await self._caller.failed(Trouble.AWAY, str(failure))
        link = Link(connection, target.identity, target.profile, self._caller, "the CSMS")
        log.info("csms.connected", extra={"url": target.url, "version": link.version.value, "profile": link.profile})
        working = asyncio.ensure_future(self._caller.opened(link))
        try:
            await _listening(link, working)
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            await link.abandon()
            await link.close()
        log.info("csms.disconnected", extra={"url": target.url})
        return await self._caller.closed(link)


async def _listening(link: Link, working: asyncio.Future[None]) -> None:
    listening = asyncio.ensure_future(link.listen())
    try:
        done, _ = await asyncio.wait((listening, working), return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            with contextlib.suppress(ConnectionClosed):
                each.result()
    except Failure as failure:
        log.warning("csms.left", extra={"why": str(failure)})
    except Exception:
        log.exception("csms.failed")
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


def client_context() -> ssl.SSLContext:
    """Return how a station does TLS; whom it trusts and what it shows is still to be put there."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    return context


def forbid_wildcards(context: ssl.SSLContext) -> None:
    """Take no certificates whose names have wildcards (AllowCSMSTLSWildcards)."""
    # The module has a setter for one of these flags only, and passes over the others.
    context._host_flags |= NO_WILDCARDS  # type: ignore[attr-defined]


async def _open(target: Target) -> ClientConnection:
    parts = urlsplit(target.url)
    host, port = parts.hostname or "", parts.port or {"ws": 80, "wss": 443}[parts.scheme]
    headers = {}
    if target.password is not None:
        # A00.FR.204, 303
        text = f"{target.identity}:{target.password}".encode()
        headers["Authorization"] = "Basic " + base64.b64encode(text).decode()
    deflate = ClientPerMessageDeflateFactory(
        server_no_context_takeover=True, client_no_context_takeover=True, compress_settings={"memLevel": 4}
    )
    plain = await _tcp(host, port)
    try:
        connection = await connect(
            f"{target.url.rstrip('/')}/{quote(target.identity, safe='')}",
            # With a socket of ours no redirection is followed: the password is for this CSMS.
            sock=plain,
            ssl=target.context,
            server_hostname=host if target.context else None,
            proxy=None,
            subprotocols=[Subprotocol(each) for each in target.versions],
            additional_headers=headers,
            extensions=[deflate],
            compression=None,
            user_agent_header=None,
            open_timeout=OPEN_WITHIN,
            ping_interval=target.ping or None,
            ping_timeout=target.ping or None,
            close_timeout=CLOSE_WITHIN,
            max_size=LARGEST,
            logger=_silent,
        )
    except (OSError, EOFError, InvalidHandshake) as error:
        raise Lost(*_told(error)) from error
    if connection.subprotocol is None:
        await connection.close(1002)
        raise Lost(Trouble.PROTOCOL, f"it took none of {', '.join(target.versions)}")
    return connection


async def _tcp(host: str, port: int) -> socket.socket:
    """Open a plain connection: until here nothing is the CSMS's fault."""
    loop, why = asyncio.get_running_loop(), f"{host} has no address"
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Lost(Trouble.AWAY, f"{host}: {error.strerror or error}") from error
    for family, kind, protocol, _, address in found:
        plain = socket.socket(family, kind, protocol)
        plain.setblocking(False)
        try:
            await asyncio.wait_for(loop.sock_connect(plain, address), REACH_WITHIN)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return plain
        except OSError as error:
            plain.close()
            why = f"{host}:{port}: {error.strerror or error or 'no answer'}"
        except BaseException:
            plain.close()
            raise
    raise Lost(Trouble.AWAY, why)


def _told(error: Exception) -> tuple[Trouble, str]:
    """Return what went wrong after the TCP connection stood."""
    match error:
        case ssl.SSLCertVerificationError():
            return Trouble.CERTIFICATE, error.verify_message
        case ssl.SSLError(reason=str(reason)) if any(each in reason for each in _TOO_OLD):
            return Trouble.VERSION, reason
        case ssl.SSLError(reason=str(reason)) if any(each in reason for each in _NO_CIPHER):
            return Trouble.CIPHER, reason
        case InvalidStatus(response=response) if response.status_code == 401:
            return Trouble.PASSWORD, "HTTP status 401"
        case InvalidStatus(response=response) if response.status_code < 500:
            return Trouble.REFUSED, f"HTTP status {response.status_code}"
        case InvalidStatus(response=response):
            return Trouble.AWAY, f"HTTP status {response.status_code}"
        case TimeoutError():
            return Trouble.AWAY, "it does not answer"
        case ssl.SSLError(reason=str(reason)) if "ALERT" in reason:
            return Trouble.REFUSED, reason
    # A server may do so because it does not want the client's certificate, or because it is going down.
    return Trouble.ENDED, str(error) or type(error).__name__
