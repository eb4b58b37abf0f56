"""Finding out the status of certificates for stations: from our own record, from memory, or from their responders."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from voltroot.actors.csms import statuses
from voltroot.actors.csms.statuses import Known, Source
from voltroot.errors import Failure, Unavailable
from voltroot.pki.certificates import Certificate
from voltroot.pki.fingerprints import HashData
from voltroot.pki.ports import Clock

MOST_KEPT = 10_000
MOST_AT_ONCE = 32
# A car that pays waits 1.5 s (OCPP 2.0.1 part 2, 2.7): so long for news of what is known from before.
NEWS_WITHIN = 1.0
_Place = tuple[Source, HashData, tuple[str, ...]]
_READERS = {Source.OCSP: statuses.read_answer, Source.CRL: statuses.read_list}


class Fetch(Protocol):
    """Asks a server that somebody else has named: a POST where there is a body, Unavailable or Refused where not."""

    def __call__(self, url: str, body: bytes | None = None) -> Awaitable[bytes]:
        """Await what it answers."""
        ...


class Statuses:
    """Asks once for what many stations want to know. ``own`` answers OCSP requests about our own CAs; ``own_cas`` and
    ``others`` are the CAs whose answers can be proved. For one event loop."""

    def __init__(
        self,
        fetch: Fetch,
        own: Callable[[bytes], bytes],
        own_cas: Callable[[], Sequence[Certificate]],
        others: Callable[[], Sequence[Certificate]],
        now: Clock,
    ) -> None:
        self._fetch = fetch
        self._own = own
        self._own_cas = own_cas
        self._others = others
        self._now = now
        self._kept: dict[tuple[Source, HashData], Known] = {}
        self._asking: dict[_Place, asyncio.Task[Known]] = {}
        self._places = asyncio.Semaphore(MOST_AT_ONCE)

    async def ask(self, asked: HashData, urls: Sequence[str], source: Source = Source.OCSP) -> Known:
        """Return what is proved of a certificate, or raise a Failure that says why nothing is."""
        kept = self._remembered(source, asked)
        return kept if kept is not None else await self._ask(asked, urls, source)

    async def ask_afresh(self, asked: HashData, urls: Sequence[str]) -> Known:
        """Do as ``ask`` does where what was proved before will do only if nobody can be asked now."""
        kept = self._remembered(Source.OCSP, asked)
        try:
            async with asyncio.timeout(NEWS_WITHIN if kept is not None else None):
                return await self._ask(asked, urls, Source.OCSP)
        except (Unavailable, TimeoutError):
            if kept is None:
                raise
            return kept

    def _remembered(self, source: Source, asked: HashData) -> Known | None:
        kept = self._kept.get((source, asked))
        return kept if kept is not None and self._now() < kept.until else None

    async def _ask(self, asked: HashData, urls: Sequence[str], source: Source) -> Known:
        # Not beside somebody who has named another responder: a bad address is nobody else's loss.
        place = source, asked, tuple(urls)
        if place not in self._asking:
            self._asking[place] = asyncio.create_task(self._find(asked, urls, source))
            self._asking[place].add_done_callback(lambda task: self._done(place, task))
        # Whoever waits first may go away; the others still want to know.
        return await asyncio.shield(self._asking[place])

    def _done(self, place: _Place, task: asyncio.Task[Known]) -> None:
        del self._asking[place]
        # The exception is looked at here too: those who asked may all be gone.
        if task.cancelled() or task.exception() is not None or task.result().until <= self._now():
            return
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[place[:2]] = task.result()

    async def _find(self, asked: HashData, urls: Sequence[str], source: Source) -> Known:
        # In a thread: the ledger may have to be asked who our CAs are.
        if (known := await asyncio.to_thread(self._known_here, asked)) is not None:
            return known
        # A CRL is had by GET.
        bodies = statuses.requests(asked, self._others()) if source is Source.OCSP else [None]
        why: Failure = Unavailable("nobody is named who knows the status of this certificate")
        for url in urls:
            for body in bodies:
                try:
                    async with self._places:
                        octets = await self._fetch(url, body)
                    return await asyncio.to_thread(_READERS[source], octets, asked, self._others(), self._now())
                except Unavailable as failure:
                    why = failure
                    break
                except Failure as failure:
                    why = failure
        raise why

    def _known_here(self, asked: HashData) -> Known | None:
        """Tell of our own certificates, and only until now: our record is at hand, and changes at once."""
        own = self._own_cas()
        if not statuses.issuers(asked, own):
            return None
        answer = self._own(statuses.requests(asked, own)[0])
        known = statuses.read_answer(answer, asked, own, self._now())
        return known._replace(until=self._now())
