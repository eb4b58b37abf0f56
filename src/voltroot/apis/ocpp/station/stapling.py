"""OCSP answers for the chains that the station shows to cars, fetched through the CSMS (M06)."""

from __future__ import annotations

import logging
import math
import time
from datetime import datetime, timedelta

from voltroot.actors.station.outcomes import OcspRequest
from voltroot.actors.station.station import Station
from voltroot.apis.ocpp.station import wire
from voltroot.apis.ocpp.station.link import Link, Turn
from voltroot.errors import Failure, Refused, Unavailable
from voltroot.pki import answers

log = logging.getLogger("voltroot")

# M06.FR.10; and sooner where the answers end sooner.
LONGEST, SHORTEST = timedelta(days=7), timedelta(minutes=10)
AGAIN = timedelta(hours=1)  # after a failure


class Stapling:
    """Keeps the answers fresh. For one event loop."""

    def __init__(self, station: Station, turn: Turn) -> None:
        self._station = station
        self._turn = turn
        self._known: dict[OcspRequest, float] = {}
        self._hurried = True

    def hurry(self) -> None:
        """Ask about all of it: another certificate was installed (M06.FR.07)."""
        self._known.clear()
        self._hurried = True

    @property
    def due(self) -> float:
        """When ``refresh`` is wanted next, on the monotonic clock."""
        return 0.0 if self._hurried else min(self._known.values(), default=math.inf)

    async def refresh(self, link: Link) -> None:
        """Ask about every certificate whose answer is missing or grows old."""
        if self.due > time.monotonic():
            return
        self._hurried = False
        wanted = await self._turn.take(self._station.stapling.requests)
        self._known = {each: self._known.get(each, 0.0) for each in wanted}
        for asked in wanted:
            # Meanwhile somebody may be in a hurry.
            if self._known.get(asked, 0.0) <= time.monotonic():
                # Should the connection be lost meanwhile, it is asked for after the next.
                self._known[asked] = time.monotonic() + (await self._fetched(link, asked)).total_seconds()

    async def _fetched(self, link: Link, asked: OcspRequest) -> timedelta:
        """Fetch one answer; returns when it is to be fetched again."""
        if len(asked.url) > wire.LONGEST_URL[link.version]:
            return LONGEST
        try:
            payload = {"ocspRequestData": wire.ocsp_request(asked)}
            octets = wire.ocsp_answer(await link.call("GetCertificateStatus", payload))
            if octets is None:
                raise Refused("the CSMS has none")
            await self._turn.take(self._station.stapling.keep, asked.about, octets)
        except Unavailable:
            raise
        except Failure as failure:
            log.warning("status.unknown", extra={"serial": asked.about.serial_number, "why": str(failure)})
            return AGAIN
        log.info("status.kept", extra={"serial": asked.about.serial_number})
        return _half(answers.read(octets), self._station.now())


def _half(answer: answers.Answer, now: datetime) -> timedelta:
    """Return half of the time that an answer still holds."""
    ends = [each.next_update for each in answer.singles if each.next_update is not None]
    return max(SHORTEST, min(LONGEST, (min(ends) - now) / 2)) if ends else LONGEST
