"""What the station's end needs: a connection, and turns for what blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from voltroot.ocppj.frames import Payload
from voltroot.ocppj.schemas import Version

T = TypeVar("T")


class Link(Protocol):
    """A connection."""

    identity: str
    profile: int
    version: Version

    def call(self, action: str, payload: Payload) -> Awaitable[Payload]:
        """Await the answer; Refused for a CALLERROR, Unavailable where none comes, Malformed for no payload."""
        ...


class Turn:
    """Does one piece of work that blocks at a time, in a thread; what was given is done, whether anybody waits or not.

    Who works over a connection is cancelled when it is lost, and what the peer has answered is noted down all the same.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._given: set[asyncio.Task[Any]] = set()

    async def take(self, work: Callable[..., T], *given: object) -> T:
        """Return what comes of the work."""
        task = asyncio.create_task(self._alone(work, *given))
        self._given.add(task)
        task.add_done_callback(self._given.discard)
        return await asyncio.shield(task)

    async def _alone(self, work: Callable[..., T], *given: object) -> T:
        async with self._lock:
            return await asyncio.to_thread(work, *given)
