"""What a running backend does by itself: renewing what is short-lived, superseding, following the audit log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from starlette.concurrency import run_in_threadpool

from voltroot.errors import Failure, Unavailable

log = logging.getLogger("voltroot")

# Short-lived certificates are renewed with a third of their life left, so an hour sooner or later does not matter.
RENEWAL_PERIOD = timedelta(hours=1)
# What has been committed is in the audit log within a second; a database that does not answer is asked less often.
LOGGING_PERIOD, LOGGING_PAUSE = timedelta(seconds=0.5), timedelta(seconds=5)
# An overlap is told in hours; where there is none, this is how long a crash may leave two certificates valid.
SUPERSEDING_PERIOD = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class Chores:
    """The chores: to ``renew`` in turn, to ``supersede`` in turn, to ``follow``, which tells whether there is more."""

    renew: Sequence[Callable[[], object]]
    supersede: Sequence[Callable[[], object]]
    follow: Callable[[], bool]

    @asynccontextmanager
    async def done(self) -> AsyncIterator[None]:
        """Do them while the block runs."""
        tasks = [asyncio.create_task(each) for each in (self._renew(), self._supersede(), self._follow())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()

    def log_changes(self) -> timedelta:
        """Append some of what is new to the audit log; returns when to look again."""
        try:
            return timedelta(0) if self.follow() else LOGGING_PERIOD
        except Unavailable as failure:
            log.warning("audit.delayed", extra={"why": str(failure)})
        except Exception:
            log.exception("audit.failed")
        return LOGGING_PAUSE

    async def _renew(self) -> None:
        while True:
            try:
                for chore in self.renew:
                    await run_in_threadpool(chore)
            except Exception:
                log.exception("renewal.failed")
            await asyncio.sleep(RENEWAL_PERIOD.total_seconds())

    async def _supersede(self) -> None:
        while True:
            try:
                for chore in self.supersede:
                    await run_in_threadpool(chore)
            except Failure as failure:
                log.warning("superseding.delayed", extra={"why": str(failure)})
            except Exception:
                log.exception("superseding.failed")
            await asyncio.sleep(SUPERSEDING_PERIOD.total_seconds())

    async def _follow(self) -> None:
        while True:
            pause = await run_in_threadpool(self.log_changes)
            await asyncio.sleep(pause.total_seconds())
