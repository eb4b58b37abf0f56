"""One process or many that serve the same sockets; each builds its own backend."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import multiprocessing
import os
import queue
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnProcess

import uvloop

from voltroot.apis.publish.metrics import TOGETHER
from voltroot.app import logs
from voltroot.app.backend import Backend
from voltroot.app.config import Config
from voltroot.app.csms import KINDS, OPERATORS, Csms
from voltroot.app.vpki import has_tls
from voltroot.errors import Failure
from voltroot.serve.http import Servers

log = logging.getLogger("voltroot")

Load = Callable[[], Config]
# An open socket and what is served there.
Listeners = Sequence[tuple[socket.socket, str]]
HTTP, HTTPS, VPKI = "http", "https", "vpki"

# How long a child may take to come up, and how often it is looked whether it has, in seconds.
READY_WITHIN, LOOKING_PERIOD = 30.0, 0.1


def serve(load: Load, listeners: Listeners, ready: Callable[[], None] = lambda: None) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP takes the log level and the TLS certificates anew."""
    backend = Backend(load())
    backend.check()
    servers = Servers(backend.application)
    csms = Csms(backend)
    for listener, what in listeners:
        if what in KINDS:
            csms.listen(listener, what)
        elif what == OPERATORS:
            servers.add(listener, csms.operators_tls(), csms.operators_application)
        elif what == VPKI:
            source = backend.vpki_tls if has_tls(backend.config.vpki) else None
            servers.add(listener, source, backend.vpki_application)
        else:
            servers.add(listener, backend.tls if what == HTTPS else None)

    def reload_tls() -> None:
        servers.reload_tls()
        csms.reload_tls()

    async def run() -> None:
        with contextlib.suppress(ValueError, RuntimeError):
            # Only the main thread hears signals.
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _reload, load, reload_tls)
            hear_hangups()
        async with backend.running(reload_tls), csms.serving():
            # What stands by now stays: without looking through it a certificate takes a tenth less processor time.
            gc.collect()
            gc.freeze()
            # Each look through all that lives takes longer the more stations there are: in a storm a fifth of the time.
            gc.set_threshold(50_000)
            ready()
            await servers.run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def serve_with(count: int, load: Load, listeners: Listeners) -> None:
    """Serve with many processes until SIGTERM or SIGINT; one that dies is replaced.

    SIGHUP replaces them one after the other, each with the configuration as it is then, unless that one does not come
    up; no connection is refused.
    """
    wanted: list[int] = []
    # A signal may come at any moment, and this may be put to at any; to set an Event may then take for ever.
    heard: queue.SimpleQueue[None] = queue.SimpleQueue()

    def hear(number: int, _frame: object) -> None:
        wanted.append(number)
        heard.put(None)

    def is_ending() -> bool:
        return not {signal.SIGTERM, signal.SIGINT}.isdisjoint(wanted)

    def wait(seconds: float) -> None:
        with contextlib.suppress(queue.Empty):
            heard.get(timeout=seconds)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, hear)
    hear_hangups()
    with tempfile.TemporaryDirectory(prefix="voltroot-metrics-") as folder:
        # Children read it when they start.
        os.environ[TOGETHER] = folder
        children = [_start(load, listeners) for _ in range(count)]
        while not is_ending():
            if signal.SIGHUP in wanted:
                wanted.remove(signal.SIGHUP)
                _replace(children, load, listeners, is_ending)
            for place, child in enumerate(children):
                if not child.is_alive():
                    log.error("process.died", extra={"exit_code": child.exitcode})
                    # One that cannot start is not started again in a hurry.
                    wait(1)
                    children[place] = _start(load, listeners)
            wait(0.2)
        for child in children:
            child.terminate()
        for child in children:
            child.join()


def hold_hangups() -> None:
    """Let SIGHUP wait until somebody hears it: one that comes while a backend starts would end it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})


def hear_hangups() -> None:
    """Hear the SIGHUP that has waited, and those to come."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


def _replace(children: list[SpawnProcess], load: Load, listeners: Listeners, is_ending: Callable[[], bool]) -> None:
    try:
        logs.configure(load().log.level)
    except Failure as failure:
        log.error("reload.refused", extra={"why": str(failure)})
        return
    for place, child in enumerate(children):
        up = multiprocessing.get_context("spawn").Event()
        successor = _start(load, listeners, up)
        until = time.monotonic() + READY_WITHIN
        while not up.wait(LOOKING_PERIOD):
            if is_ending():
                children.append(successor)
                return
            if not successor.is_alive() or time.monotonic() > until:
                successor.kill()
                successor.join()
                log.error("reload.refused", extra={"why": "a process does not come up with it: the others go on"})
                return
        children[place] = successor
        child.terminate()
        child.join()
    log.info("configuration.reloaded")


def _start(load: Load, listeners: Listeners, up: object = None) -> SpawnProcess:
    child = multiprocessing.get_context("spawn").Process(target=_child, args=(load, listeners, up))
    # Starting it ends with hearing Ctrl-C again.
    resource_tracker.ensure_running()
    # A terminal tells everybody of Ctrl-C. A child, which goes on with this mask, hears only what we tell it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    child.start()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return child


def _child(load: Load, listeners: Listeners, up: threading.Event | None) -> None:
    threading.Thread(target=_follow_parent, daemon=True).start()
    logs.configure("info")
    try:
        logs.configure(load().log.level)
        serve(load, listeners, up.set if up is not None else lambda: None)
    except Failure as failure:
        # The parent tries again with another one.
        log.error("process.failed", extra={"why": str(failure)})
        sys.exit(1)


def _follow_parent() -> None:
    """Stop when the parent is gone, however it went: its sockets must not be served by orphans."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "only a child runs this"
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _reload(load: Load, reload_tls: Callable[[], None]) -> None:
    try:
        logs.configure(load().log.level)
        reload_tls()
    except Failure as failure:
        log.error("reload.refused", extra={"why": str(failure)})
        return
    log.info("configuration.reloaded")
