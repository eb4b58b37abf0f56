"""From an accepted SignCertificate to the answer to CertificateSigned, as often as it takes (A02, A03)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from voltroot.actors.csms.csms import CSMS
from voltroot.actors.csms.stations import Signing
from voltroot.apis.ocpp import wire
from voltroot.errors import Failure, KeyReused, Refused, Unavailable
from voltroot.ocppj.frames import Payload
from voltroot.pki.drafts import Order
from voltroot.pki.ports import Entry

log = logging.getLogger("voltroot")

# How long to wait after each failure that may pass, in seconds; the last one again and again while it is connected.
PAUSES = (2, 10, 60, 600)
# Somebody else may be issuing on the key this very moment, in a process that was killed: its lease is ten seconds.
MOST_REUSED = 3


class Caller(Protocol):
    """What a certificate is delivered through."""

    identity: str

    def call(self, action: str, payload: Payload) -> Awaitable[Payload]:
        """Await the answer."""
        ...


class Delivering:
    """Delivers each certificate once at a time. For one event loop."""

    def __init__(self, csms: CSMS, place: Callable[[Order], Awaitable[Entry]]) -> None:
        self._csms = csms
        self._place = place
        self._busy: set[int] = set()

    async def deliver(self, link: Caller, signing: Signing) -> None:
        """Issue what a station asked for and bring it there; what passes is tried again until the connection ends."""
        if signing.number in self._busy:
            return
        self._busy.add(signing.number)
        try:
            await self._persist(link, signing)
        finally:
            self._busy.discard(signing.number)

    async def _persist(self, link: Caller, signing: Signing) -> None:
        reused, attempt = 0, 0
        while True:
            try:
                return await self._once(link, signing)
            except KeyReused as failure:
                reused += 1
                if reused > MOST_REUSED:
                    return await asyncio.to_thread(self._csms.failed, signing, str(failure))
                why: Failure = failure
            except Unavailable as failure:
                why = failure
            except Failure as failure:
                return await asyncio.to_thread(self._csms.failed, signing, str(failure))
            log.warning("signing.delayed", extra={"station": link.identity, "why": str(why)})
            await asyncio.sleep(PAUSES[min(attempt, len(PAUSES) - 1)])
            attempt += 1

    async def _once(self, link: Caller, signing: Signing) -> None:
        placed = await asyncio.to_thread(self._csms.order, signing)
        entry = placed if isinstance(placed, Entry) else await self._place(placed)
        chain = await asyncio.to_thread(self._csms.issued, signing, entry)
        earlier = await asyncio.to_thread(self._csms.stations.send, signing.number)
        try:
            answer = await link.call("CertificateSigned", wire.certificate_signed(signing, chain))
            accepted, why = answer["status"] == "Accepted", _why(answer)
        except Refused as failure:
            accepted, why = False, str(failure)
        await asyncio.to_thread(self._csms.answered, signing, entry, accepted, earlier, why)


def _why(answer: Payload) -> str:
    info = answer.get("statusInfo") or {}
    return " ".join(filter(None, (info.get("reasonCode"), info.get("additionalInfo")))) or str(answer.get("status"))
