"""One process or many that serve the same sockets; each builds its own backend."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Sequence
from multiprocessing.context import SpawnProcess
from types import FrameType

from voltroot.app import logs
from voltroot.app.backend import Backend
from voltroot.app.config import Config
from voltroot.serve.http import Servers

log = logging.getLogger("voltroot")

Listeners = Sequence[tuple[socket.socket, bool]]


def serve(config: Config, listeners: Listeners) -> None:
    """Serve until SIGTERM or SIGINT; ``listeners`` are open sockets and whether each speaks TLS."""
    backend = Backend(config)
    backend.check()
    servers = Servers(backend.application)
    for listener, tls in listeners:
        servers.add(listener, backend.tls() if tls else None)
    asyncio.run(_run(backend, servers))


def serve_with(count: int, config: Config, listeners: Listeners) -> None:
    """Serve with many processes until SIGTERM or SIGINT; one that dies is replaced."""
    stopping = threading.Event()
    spawn = multiprocessing.get_context("spawn")

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    def start() -> SpawnProcess:
        child = spawn.Process(target=_child, args=(config, listeners))
        child.start()
        return child

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    children = [start() for _ in range(count)]
    while not stopping.wait(0.2):
        for place, child in enumerate(children):
            if not child.is_alive():
                log.error("process.died", extra={"exit_code": child.exitcode})
                # A process that cannot start is not started again in a hurry.
                stopping.wait(1)
                children[place] = start()
    for child in children:
        child.terminate()
    for child in children:
        child.join()


def _child(config: Config, listeners: Listeners) -> None:
    logs.configure(config.log.level)
    threading.Thread(target=_follow_parent, daemon=True).start()
    serve(config, listeners)


def _follow_parent() -> None:
    """Stop when the parent is gone, however it went: its sockets must not be served by orphans."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "only a child runs this"
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


async def _run(backend: Backend, servers: Servers) -> None:
    async with backend.running(lambda: servers.reload_tls(backend.tls())):
        await servers.run()
