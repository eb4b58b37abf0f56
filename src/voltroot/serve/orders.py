"""One worker for all orders: what waits is issued together, so that one commit serves many."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


def attempt(work: Callable[..., Answer], *given: Any) -> Answer | Exception:
    """Return what comes of one thing among many: its answer, or the exception that is for its caller alone."""
    try:
        return work(*given)
    except Exception as error:
        return error


class Batches(Generic[Asked, Answer]):
    """Gathers what is asked while the worker is busy and hands it over in one call.

    ``work`` runs in a thread of its own and returns one answer, or exception to raise, for each thing asked.
    """

    def __init__(self, work: Callable[[Sequence[Asked]], Sequence[Answer | Exception]], most: int = 256) -> None:
        self._work = work
        self._most = most
        self._waiting: list[tuple[Asked, asyncio.Future[Answer]]] = []
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="orders")
        self._running: asyncio.Task[None] | None = None

    async def place(self, asked: Asked) -> Answer:
        """Wait for the answer; a caller that goes away does not undo what was asked."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await future

    async def close(self) -> None:
        """Finish what was asked, then stop the worker."""
        if self._running is not None:
            await self._running
        self._worker.shutdown()

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._answer(batch)
        finally:
            self._running = None

    async def _answer(self, batch: Sequence[tuple[Asked, asyncio.Future[Answer]]]) -> None:
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.run_in_executor(self._worker, self._work, [asked for asked, _ in batch])
        except Exception as error:
            answers = [error] * len(batch)
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
