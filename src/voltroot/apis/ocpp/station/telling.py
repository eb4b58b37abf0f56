"""What a station tells its CSMS by itself: that it is there, and what matters to security (A04, B01 to B04)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from voltroot.actors.station.state import Record, SecurityEvent
from voltroot.actors.station.variables import Variables
from voltroot.apis.ocpp.station.link import Link, Turn
from voltroot.apis.ocpp.wire import moment
from voltroot.errors import Failure, Refused
from voltroot.pki.ports import Clock

log = logging.getLogger("voltroot")

MOST_EVENTS = 200
LONGEST_INFO = 255
SAME_EVENT = timedelta(minutes=10)  # within which one is not told twice
BOOT_AGAIN = 30.0  # seconds, where the CSMS does not say when
LONGEST_INTERVAL = 86_400


@dataclass(frozen=True, slots=True)
class Hardware:
    """What BootNotification says, and how many EVSEs there are, each with one connector."""

    model: str
    vendor: str
    serial_number: str
    firmware: str
    evses: int = 1


class Telling:
    """Tells, and knows whether the CSMS has ``accepted`` the station, and ``answered`` on this connection.

    ``wake`` is set when there is something new to tell. For one event loop.
    """

    def __init__(self, record: Record, variables: Variables, hardware: Hardware, now: Clock, turn: Turn) -> None:
        self._record = record
        self._variables = variables
        self._hardware = hardware
        self._now = now
        self._turn = turn
        self._reason = "PowerUp"
        self._lost_at: float | None = None
        self.accepted = False
        self.answered = False
        self.wake = asyncio.Event()

    async def note(self, type_: str, info: str = "", *, once: bool = False) -> None:
        """Keep a security event: on disk before it is sent, and until it is answered (A04.FR.01, 02).

        ``once`` passes over the same event for a while: attempts to connect fail again and again.
        """
        now, events, info = self._now(), self._record.state.events, info[:LONGEST_INFO]
        log.warning("security.event", extra={"type": type_, "info": info})
        latest = next((each for each in reversed(events) if each.type == type_), None)
        if not once or latest is None or latest.info != info or now - latest.at > SAME_EVENT:
            event = SecurityEvent(type_, now, info)
            await self._turn.take(partial(self._record.change, events=(*events, event)[-MOST_EVENTS:]))
        self.wake.set()

    def restart(self, reason: str) -> None:
        """Boot anew on the next connection."""
        self.accepted, self._reason = False, reason

    def lost(self) -> None:
        """Note that the connection is gone."""
        self._lost_at = time.monotonic()

    async def settle_in(self, link: Link) -> None:
        """Boot where that is due, else show that the station is there again (B01 to B04)."""
        begun = not self.accepted
        while not self.accepted:
            until = time.monotonic() + await self.boot(link, self._reason)
            # Meanwhile the CSMS may have the station boot, and accept it (B02.FR.05).
            while not self.accepted and (left := until - time.monotonic()) > 0:
                self.wake.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.wake.wait(), left)
        away = time.monotonic() - self._lost_at if self._lost_at is not None else 0.0
        if begun or away > self._variables.number("OCPPCommCtrlr.OfflineThreshold"):
            await self.show(link)
        else:
            await self.beat(link)
        self.answered = True

    async def boot(self, link: Link, reason: str) -> float:
        """Send BootNotification; returns how long to wait before the next."""
        own = self._hardware
        about = {"model": own.model, "vendorName": own.vendor, "serialNumber": own.serial_number}
        about |= {"firmwareVersion": own.firmware} if own.firmware else {}
        try:
            answer = await link.call("BootNotification", {"reason": reason, "chargingStation": about})
        except Failure as failure:
            log.warning("boot.failed", extra={"why": str(failure)})
            return BOOT_AGAIN
        self.answered, self.accepted = True, answer["status"] == "Accepted"
        self.wake.set()
        log.info("station.booted", extra={"status": answer["status"], "interval": answer["interval"]})
        interval = int(answer["interval"])
        if self.accepted and interval > 0:
            beat = {"OCPPCommCtrlr.HeartbeatInterval": str(min(interval, LONGEST_INTERVAL))}
            await self._turn.take(partial(self._record.change, values={**self._record.state.values, **beat}))
        return float(interval) or BOOT_AGAIN

    async def beat(self, link: Link) -> None:
        """Send Heartbeat."""
        await link.call("Heartbeat", {})

    async def show(self, link: Link) -> None:
        """Send StatusNotification for each connector."""
        for evse in range(1, self._hardware.evses + 1):
            told = {"timestamp": moment(self._now()), "connectorStatus": "Available", "evseId": evse, "connectorId": 1}
            await link.call("StatusNotification", told)

    async def events(self, link: Link) -> None:
        """Send the security events that wait, oldest first."""
        while events := self._record.state.events:
            event = events[0]
            told = {"type": event.type, "timestamp": moment(event.at)} | (
                {"techInfo": event.info} if event.info else {}
            )
            try:
                await link.call("SecurityEventNotification", told)
            except Refused as refused:
                # It has been told, and wants none of it.
                log.warning("security.event_refused", extra={"type": event.type, "why": str(refused)})
            await self._turn.take(self._told, event)

    def _told(self, event: SecurityEvent) -> None:
        self._record.change(events=tuple(each for each in self._record.state.events if each != event))
