"""A station's requests to sign on their way: sent, sent again with growing patience, answered (A02, A03)."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable

from voltroot.actors.station.outcomes import Installation, InstallStatus
from voltroot.actors.station.ports import Key, LeafKind
from voltroot.actors.station.signings import PASSING, Order, Signings, Taken
from voltroot.actors.station.state import Asked
from voltroot.apis.ocpp.station import wire
from voltroot.apis.ocpp.station.link import Link, Turn
from voltroot.errors import Failure, Refused, Unavailable
from voltroot.ocppj.frames import Payload

log = logging.getLogger("voltroot")

AFTER_A_FAULT = 2.0  # seconds: the disk may have room again

INVALID = "InvalidChargingStationCertificate"
DEVICE_AGAIN = 10.0  # seconds until a device that was away is asked for a key once more

Tell = Callable[[str, str], Awaitable[None]]


class Signing:
    """Sends what waits, and takes what comes. ``tell`` reports a security event. For one event loop."""

    def __init__(self, signings: Signings, turn: Turn, tell: Tell) -> None:
        self._signings = signings
        self._turn = turn
        self._tell = tell
        self._next: dict[int, float] = {}
        self._waiting: dict[int, asyncio.Future[Installation]] = {}
        self._owed: list[Order] = []
        self._owed_until = math.inf

    def orders(self, kind: LeafKind, evse: int | None = None) -> list[Order]:
        """Return what is wanted of a kind; Refused says why nothing is."""
        return self._signings.orders(kind, evse)

    async def begin(self, order: Order) -> Asked:
        """Make a key and a request; it goes out with the next ``send``."""
        asked = await self._turn.take(self._signings.begin, order)
        log.info("signing.begun", extra={"kind": asked.kind.value, "subject": asked.name, "request": asked.request})
        return asked

    async def adopt(self, kind: LeafKind, name: str, csr: str, key: Key) -> Asked:
        """Send a request on whose key somebody else had made here."""
        return await self._turn.take(self._signings.adopt, kind, name, csr, key)

    async def outcome(self, asked: Asked) -> Installation:
        """Wait for what comes of a request."""
        waiting = self._waiting.setdefault(asked.request, asyncio.get_running_loop().create_future())
        try:
            return await asyncio.shield(waiting)
        finally:
            self._waiting.pop(asked.request, None)

    async def promise(self, orders: Iterable[Order]) -> None:
        """Begin what is wanted; what has no key because the device is away is begun with a later ``send``."""
        for order in orders:
            try:
                await self.begin(order)
            except Failure as failure:
                log.warning("signing.failed", extra={"subject": order.name, "why": str(failure)})
                if isinstance(failure, Unavailable):
                    self._owed += [order] if order not in self._owed else []
                    self._owed_until = time.monotonic() + DEVICE_AGAIN

    async def renew(self) -> None:
        """Begin what is due."""
        due = await self._turn.take(self._signings.due)
        await self.promise(each for each in due if each not in self._owed)

    @property
    def due(self) -> float:
        """When ``send`` is wanted next, on the monotonic clock."""
        return min((self._owed_until, *(self._next.get(each.request, 0.0) for each in self._signings.asked)))

    async def send(self, link: Link) -> None:
        """Send all requests that are due, and note when they are due again."""
        if self._owed_until <= time.monotonic():
            owed, self._owed, self._owed_until = self._owed, [], math.inf
            await self.promise(owed)
        for asked in self._signings.asked:
            if self._next.get(asked.request, 0.0) > time.monotonic():
                continue
            # Whoever else comes here meanwhile passes it over.
            self._next[asked.request] = math.inf
            if asked.sent and self._signings.patience(asked) is None:
                continue
            try:
                sent = await self._turn.take(self._signings.sent, asked)
            except BaseException:
                self._next[asked.request] = time.monotonic() + AFTER_A_FAULT
                raise
            await self._send(link, sent)

    async def take(self, payload: Payload) -> tuple[Payload, Taken]:
        """Answer CertificateSigned."""
        text, kind, request = wire.signed(payload)
        if len(text) > (most := self._signings.longest):
            # A02.FR.16
            why = f"the chain has {len(text)} characters: {most} are taken"
            return wire.said("Rejected", "TooLargeElement", why), Taken(Installation(InstallStatus.FULL, why))
        taken = await self._turn.take(self._signings.take, text, kind, request)
        status, why = taken.installation
        if taken.is_good:
            log.info("certificate.installed", extra={"kind": taken.asked.kind.value if taken.asked else "again"})
        else:
            log.warning("certificate.rejected", extra={"status": status.value, "why": why})
            self._stop(kind)
            if status not in PASSING:
                await self._tell(INVALID, why)
        if taken.asked is not None:
            self._settle(taken.asked, taken.installation)
        return wire.taken(taken.installation), taken

    async def _send(self, link: Link, asked: Asked) -> None:
        patience = self._signings.patience(asked)
        self._next[asked.request] = math.inf if patience is None else time.monotonic() + patience
        try:
            answer = await link.call("SignCertificate", wire.sign_certificate(asked, link.version))
        except Refused as refused:
            # A CALLERROR: it may be the version, or a fault that passes.
            log.warning("signing.unanswered", extra={"subject": asked.name, "why": str(refused)})
            return
        if answer["status"] == "Rejected":
            why = " ".join(map(str, (answer.get("statusInfo") or {}).values()))
            log.warning("signing.refused", extra={"subject": asked.name, "why": why})
            await self._turn.take(self._signings.refused, asked)
            self._settle(asked, Installation(InstallStatus.INVALID_CHAIN, f"the CSMS refuses the request: {why}"))

    def _stop(self, kind: LeafKind | None) -> None:
        """After a bad certificate nothing is asked again by itself (A02.FR.20)."""
        for asked in self._signings.asked:
            if kind is None or asked.kind is kind:
                self._next[asked.request] = math.inf

    def _settle(self, asked: Asked, installation: Installation) -> None:
        waiting = self._waiting.get(asked.request)
        if waiting is not None and not waiting.done():
            waiting.set_result(installation)
