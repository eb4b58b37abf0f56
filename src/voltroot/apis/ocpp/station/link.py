"""What the station's end needs: a connection, and turns for what blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

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
    """Does one piece of work that blocks at a time, in a thread."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def take(self, work: Callable[..., T], *given: object) -> T:
        """Return what comes of the work."""
        async with self._lock:
            return await asyncio.to_thread(work, *given)
