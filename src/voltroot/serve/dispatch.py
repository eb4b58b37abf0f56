"""Stations and operations across processes: telling which stations this one holds, and doing what is wanted of them.

A thread keeps this process alive on record and hears when another has written something. The loop writes down who has
come and gone, many at a time, takes the operations whose turn it is, and has them done (ADR 28).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from voltroot.actors.csms.operations import Arrival
from voltroot.actors.csms.stations import Operation
from voltroot.errors import Failure

log = logging.getLogger("voltroot")

# In seconds. A process is given up for dead after three renewals that are not there.
RENEWAL_PERIOD = 2.0
LOOKING_PERIOD = 1.0  # for what nobody has told of
TELLING_PERIOD = 0.25  # who comes and goes, so that a storm of reconnections is a few transactions
PAUSE = 1.0  # when the database does not answer
MOST_AT_ONCE = 200  # operations of one process
END_WITHIN = 5.0
KNOWN_WITHIN = 2.0  # a station is answered then, whether or not all know that it is here

# Where stations are that nobody knows.
ELSEWHERE = -1


class Link(Protocol):
    """A connection to a station."""

    identity: str
    profile: int

    @property
    def version(self) -> str:
        """Of OCPP."""
        ...

    def close(self, code: int, reason: str) -> Awaitable[None]:
        """End it."""
        ...


class Stations(Protocol):
    """The connections of this process."""

    changed: Callable[[], None]
    known: Callable[[Any], Awaitable[None]]

    @property
    def links(self) -> Mapping[str, Link]:
        """By identity."""
        ...

    def closed(self, identity: str, link: Any) -> None:
        """Forget a connection, if it is the one of a station."""
        ...

    def perform(self, operation: Operation) -> Awaitable[bool]:
        """Do what is on record, and record what came of it; returns False where the station is not here any more."""
        ...


class Presence(Protocol):
    """Which process holds which station, of all processes; see ``SqlPresence``. Safe among threads, each method is one
    transaction, Unavailable when the database does not answer."""

    def join(self, name: str) -> int:
        """Begin to live; returns the number of this process."""
        ...

    def renew(self, holder: int) -> bool:
        """Go on living; returns whether this process had been given up for dead."""
        ...

    def leave(self, holder: int) -> None:
        """End, with all connections."""
        ...

    def settle(self, holder: int, arrived: Sequence[Arrival], left: Sequence[str]) -> None:
        """Record who has come here, from wherever they were, and who has left."""
        ...

    def held(self, holder: int) -> int:
        """Return how many stations are here, as far as is on record."""
        ...

    def places(self) -> dict[str, int | None]:
        """Return where each station of the registry is, None for nowhere."""
        ...


class Queue(Protocol):
    """Operations that wait; see ``Operations``."""

    def claim(self, holder: int, most: int) -> list[Operation]:
        """Take operations whose turn it is for stations that are here."""
        ...

    def release(self, number: int) -> None:
        """Give one back."""
        ...


class Bell(Protocol):
    """Rings when another process may have changed something."""

    def wait(self, seconds: float) -> bool:
        """Wait for that, but no longer."""
        ...

    def stop(self) -> None:
        """Let whoever waits go."""
        ...


class Dispatch:
    """One process's part, under the ``name`` that operators see. ``sweep`` fails what can not be done any more, and
    returns it. For one event loop."""

    def __init__(
        self,
        name: str,
        stations: Stations,
        presence: Presence,
        queue: Queue,
        bell: Bell,
        sweep: Callable[[], Iterable[Operation]],
    ) -> None:
        self._name = name
        self._stations = stations
        self._presence = presence
        self._queue = queue
        self._bell = bell
        self._sweep = sweep
        self._holder = 0
        self._told: dict[str, Link] = {}
        self._told_at = 0.0
        self._has_changed = True
        self._awake = asyncio.Event()
        self._news = asyncio.Event()
        self._told_all = asyncio.Event()
        self._busy: set[asyncio.Task[None]] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._is_ending = False
        self._stopping = threading.Event()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take part while the block runs. When it ends no station is connected any more."""
        self._holder = await asyncio.to_thread(self._presence.join, self._name)
        self._stations.changed = self._change
        self._stations.known = self._known
        loop = asyncio.get_running_loop()
        beating = threading.Thread(target=self._beat, args=(loop,), name="dispatch", daemon=True)
        beating.start()
        looking = asyncio.create_task(self._keep_looking())
        try:
            yield
        finally:
            # Not cancelled: what it is just taking would be nobody's.
            self._is_ending = True
            self._awake.set()
            await looking
            if self._busy:
                await asyncio.wait(self._busy, timeout=END_WITHIN)
            self._stopping.set()
            self._bell.stop()
            await asyncio.to_thread(beating.join)
            try:
                await asyncio.to_thread(self._presence.leave, self._holder)
                await asyncio.to_thread(self._sweep)
            except Failure as failure:
                log.warning("dispatch.delayed", extra={"why": str(failure)})

    async def changed(self, seconds: float) -> None:
        """Wait until something may have changed, but no longer than that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()

    def _change(self) -> None:
        """A station has come or gone."""
        self._has_changed = True
        self._wake()

    async def _known(self, link: Link) -> None:
        """Wait until every process knows of a connection: what operators ask of its station from then on reaches it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KNOWN_WITHIN):
                while self._told.get(link.identity) is not link:
                    await self._told_all.wait()

    def _wake(self) -> None:
        self._awake.set()
        self._news.set()
        self._news = asyncio.Event()

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        """Renew, sweep and listen: in a thread, so that a loop with its hands full is not given up for dead."""
        due = time.monotonic() + RENEWAL_PERIOD
        while not self._stopping.is_set():
            try:
                self._bell.wait(min(LOOKING_PERIOD, max(0.0, due - time.monotonic())))
            except Exception:
                log.exception("dispatch.failed")
                self._stopping.wait(PAUSE)
            if time.monotonic() >= due:
                self._renew(loop)
                due = time.monotonic() + RENEWAL_PERIOD
            if not self._stopping.is_set():
                loop.call_soon_threadsafe(self._wake)

    def _renew(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            if self._presence.renew(self._holder):
                log.warning("dispatch.rejoined", extra={"why": "this process was given up for dead"})
                loop.call_soon_threadsafe(self._begin_again, self._presence.join(self._name))
            for late in self._sweep():
                facts = {"station": late.station, "kind": late.kind, "why": late.outcome}
                log.warning("operation.failed", extra=facts)
        except Failure as failure:
            log.warning("dispatch.delayed", extra={"why": str(failure)})
        except Exception:
            log.exception("dispatch.failed")

    def _begin_again(self, holder: int) -> None:
        """Go on as another process, of whose stations nobody knows yet."""
        self._holder = holder
        self._told.clear()
        self._change()

    async def _keep_looking(self) -> None:
        while True:
            await self._awake.wait()
            if self._is_ending:
                return
            self._awake.clear()
            try:
                await self._tell()
                await self._take()
                await self._let_go()
            except Failure as failure:
                log.warning("dispatch.delayed", extra={"why": str(failure)})
                await asyncio.sleep(PAUSE)
            except Exception:
                log.exception("dispatch.failed")
                await asyncio.sleep(PAUSE)

    async def _tell(self) -> None:
        """Write down who has come and who has gone since the last time."""
        if not self._has_changed:
            return
        loop = asyncio.get_running_loop()
        if (early := self._told_at + TELLING_PERIOD - loop.time()) > 0:
            loop.call_later(early, self._awake.set)
            return
        self._has_changed = False
        links = self._stations.links
        arrived = {name: link for name, link in links.items() if self._told.get(name) is not link}
        left = [name for name in self._told if name not in links]
        if not arrived and not left:
            return
        came = [Arrival(link.identity, link.profile, str(link.version)) for link in arrived.values()]
        self._told_at, holder = loop.time(), self._holder
        try:
            await asyncio.to_thread(self._presence.settle, holder, came, left)
        except BaseException:
            self._has_changed = True
            raise
        if holder != self._holder:
            # Told in the name of a process that is none any more.
            self._has_changed = True
            return
        self._told |= arrived
        for name in left:
            self._told.pop(name, None)
        self._told_all.set()
        self._told_all = asyncio.Event()

    async def _take(self) -> None:
        """Begin the operations whose turn it is."""
        room = MOST_AT_ONCE - len(self._busy)
        for operation in await asyncio.to_thread(self._queue.claim, self._holder, room):
            task = asyncio.create_task(self._perform(operation))
            self._busy.add(task)
            task.add_done_callback(self._done)

    async def _perform(self, operation: Operation) -> None:
        try:
            if not await self._stations.perform(operation):
                await asyncio.to_thread(self._queue.release, operation.number)
        except Failure as failure:
            log.warning("operation.unrecorded", extra={"station": operation.station, "why": str(failure)})
        except Exception:
            log.exception("operation.failed", extra={"station": operation.station, "kind": operation.kind})

    def _done(self, task: asyncio.Task[None]) -> None:
        self._busy.discard(task)
        self._wake()

    async def _let_go(self) -> None:
        """Close connections of stations that have another in another process by now, or are in the registry no more."""
        holder = self._holder
        if self._has_changed or await asyncio.to_thread(self._presence.held, holder) == len(self._told):
            return
        places = await asyncio.to_thread(self._presence.places)
        if self._has_changed or holder != self._holder:
            return
        for name in [name for name in self._told if places.get(name, ELSEWHERE) != holder]:
            link = self._told.pop(name)
            if places.get(name, ELSEWHERE) is None:
                # This process was given up for dead: all is told again.
                self._has_changed = True
            elif self._stations.links.get(name) is link:
                # Not to be told of again, which would take the station back.
                self._stations.closed(name, link)
                log.info("station.replaced", extra={"station": name})
                ending = asyncio.create_task(_end(link))
                self._ending.add(ending)
                ending.add_done_callback(self._ending.discard)


async def _end(link: Link) -> None:
    await link.close(1008, "another connection has taken over, or the station was removed")
