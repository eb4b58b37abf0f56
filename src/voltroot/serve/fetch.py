"""Asking servers that somebody else has named, within limits: which addresses, how many octets, how long.

Whoever names an address must not make this program speak to machines that only it can reach.
"""

from __future__ import annotations

import asyncio
import http.client
import io
import ssl
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from urllib.parse import urlsplit

from voltroot.errors import Malformed, Refused, Unavailable

LARGEST_HEAD, LARGEST_BODY = 1 << 14, 1 << 20
WITHIN = 3.0
Network = IPv4Network | IPv6Network
_PORTS = {"http": 80, "https": 443}


class Fetcher:
    """Fetches by HTTP from public addresses, and from those in ``allowed``; follows no redirection.

    What is refused is Refused, what does not answer Unavailable.
    """

    def __init__(self, allowed: Sequence[Network] = ()) -> None:
        self._allowed = allowed
        self._context = ssl.create_default_context()

    async def fetch(self, url: str, body: bytes | None = None) -> bytes:
        """Return what stands at an address: a POST where there is a body, else a GET."""
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS.get(parts.scheme, 0)
        except ValueError as error:
            raise Refused(f"{url[:200]!a} is no address") from error
        if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None or not url.isascii():
            raise Refused(f"{url[:200]!a} is not asked: write http://HOST/PATH")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if any(ord(character) <= 0x20 for character in parts.netloc + target):
            raise Refused(f"{url[:200]!a} is no address")
        head = [f"{'POST' if body is not None else 'GET'} {target} HTTP/1.1", f"Host: {parts.netloc}"]
        head += ["Accept: */*", "Connection: close"]
        if body is not None:
            head += ["Content-Type: application/ocsp-request", f"Content-Length: {len(body)}"]
        request = "\r\n".join([*head, "", ""]).encode() + (body or b"")
        try:
            async with asyncio.timeout(WITHIN):
                address = await self._address(parts.hostname, port)
                return await self._exchange(address, port, parts.hostname, parts.scheme == "https", request)
        except TimeoutError as error:
            raise Unavailable(f"{parts.netloc} does not answer within {WITHIN:g} s") from error
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError, http.client.HTTPException) as error:
            # A name's label, a line or a number that is too long is a ValueError.
            raise Unavailable(f"{parts.netloc} does not answer: {error or type(error).__name__}") from error

    async def _address(self, host: str, port: int) -> str:
        """Return an address of a host that may be asked: looked up once, so that it is the one that is connected to."""
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=1)
        for _, _, _, _, (text, *_rest) in found:
            address = ip_address(str(text).partition("%")[0])
            address = getattr(address, "ipv4_mapped", None) or address
            allowed = any(address in network for network in self._allowed if network.version == address.version)
            if allowed or (address.is_global and not address.is_multicast):
                return str(address)
        raise Refused(f"{host} is not asked: it has no public address, and csms.fetch_networks does not have it")

    async def _exchange(self, address: str, port: int, host: str, is_tls: bool, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(
            address,
            port,
            limit=LARGEST_HEAD,
            ssl=self._context if is_tls else None,
            server_hostname=host if is_tls else None,
        )
        try:
            writer.write(request)
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            status, headers = _head(head)
            if status != 200:
                raise Unavailable(f"{host} answers with status {status}")
            return await _body(reader, headers)
        finally:
            writer.transport.abort()


def _head(octets: bytes) -> tuple[int, http.client.HTTPMessage]:
    line, _, rest = octets.partition(b"\r\n")
    words = line.split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise Unavailable("the server does not speak HTTP")
    return int(words[1]), http.client.parse_headers(io.BytesIO(rest))


async def _body(reader: asyncio.StreamReader, headers: http.client.HTTPMessage) -> bytes:
    if headers.get("Transfer-Encoding", "").lower() == "chunked":
        return await _chunks(reader)
    length = headers.get("Content-Length", "")
    if length.isdecimal():
        if int(length) > LARGEST_BODY:
            raise Refused(f"the answer has more than {LARGEST_BODY} octets")
        return await reader.readexactly(int(length))
    return await _all(reader, LARGEST_BODY)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while True:
        size = (await reader.readline()).partition(b";")[0].strip()
        try:
            length = int(size, 16)
        except ValueError as error:
            raise Malformed("the answer's chunks are out of shape") from error
        if not 0 <= length <= LARGEST_BODY - len(body):
            raise Refused(f"the answer has more than {LARGEST_BODY} octets")
        if length == 0:
            return bytes(body)
        body += await reader.readexactly(length)
        await reader.readline()


async def _all(reader: asyncio.StreamReader, most: int) -> bytes:
    body = bytearray()
    while octets := await reader.read(1 << 16):
        body += octets
        if len(body) > most:
            raise Refused(f"the answer has more than {most} octets")
    return bytes(body)
