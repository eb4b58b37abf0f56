"""A WebSocket server that sends everything back: what stations cost where nobody looks at what they say."""

from __future__ import annotations

import asyncio
import ssl
import sys

import uvloop
from websockets.asyncio.server import ServerConnection, serve


async def echo(connection: ServerConnection) -> None:
    """Send back what comes."""
    async for text in connection:
        await connection.send(text)


async def main(port: int, context: ssl.SSLContext | None) -> None:
    """Serve until killed."""
    async with serve(echo, "127.0.0.1", port, compression=None, ssl=context, open_timeout=60, backlog=2048) as server:
        await server.serve_forever()


def tls(chain: str, key: str, clients: str) -> ssl.SSLContext:
    """Return how a server speaks TLS that demands certificates of clients."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    context.load_verify_locations(clients)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


if __name__ == "__main__":
    own, *files = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(own), tls(*files) if files else None))
