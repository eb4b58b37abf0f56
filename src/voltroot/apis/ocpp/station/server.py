"""The station's end of OCPP: what it tells the CSMS by itself, and what it answers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from voltroot.actors.station.contracts import Contracts
from voltroot.actors.station.networks import Networks
from voltroot.actors.station.ports import LeafKind
from voltroot.actors.station.signings import Order, Signings
from voltroot.actors.station.state import Record
from voltroot.actors.station.station import Station
from voltroot.actors.station.succession import Succession
from voltroot.actors.station.variables import Variables
from voltroot.actors.station.vehicles import Vehicles
from voltroot.apis.ocpp.station import wire
from voltroot.apis.ocpp.station.cars import Cars
from voltroot.apis.ocpp.station.installing import Installing
from voltroot.apis.ocpp.station.link import Link, Turn
from voltroot.apis.ocpp.station.reports import Reports, is_about_security, wants_reconnection
from voltroot.apis.ocpp.station.signing import Signing
from voltroot.apis.ocpp.station.stapling import Stapling
from voltroot.apis.ocpp.station.telling import Hardware, Telling
from voltroot.errors import Failure, Refused
from voltroot.ocppj import schemas
from voltroot.ocppj.frames import Code, Payload
from voltroot.ocppj.session import Refusal

log = logging.getLogger("voltroot")

LOOK_AFTER = 60.0  # seconds between looks at what is due to be renewed
LEAST_PAUSE = 0.05

TRIGGERS = {
    "SignChargingStationCertificate": LeafKind.CSMS,
    "SignV2GCertificate": LeafKind.V2G,
    "SignV2G20Certificate": LeafKind.V2G20,
    "SignCombinedCertificate": LeafKind.CSMS,
}
# What this station does not do, in the words of each message.
PLAIN: dict[str, Payload] = {
    "CancelReservation": {"status": "Rejected"},
    "ChangeAvailability": {"status": "Rejected"},
    "ClearChargingProfile": {"status": "Unknown"},
    "ClearDisplayMessage": {"status": "Unknown"},
    "CostUpdated": {},
    "CustomerInformation": {"status": "Rejected"},
    "DataTransfer": {"status": "UnknownVendorId"},
    "GetChargingProfiles": {"status": "NoProfiles"},
    "GetCompositeSchedule": {"status": "Rejected"},
    "GetDisplayMessages": {"status": "Unknown"},
    "GetLocalListVersion": {"versionNumber": 0},
    "GetLog": {"status": "Rejected"},
    "GetMonitoringReport": {"status": "NotSupported"},
    "GetTransactionStatus": {"messagesInQueue": False},
    "PublishFirmware": {"status": "Rejected"},
    "RequestStartTransaction": {"status": "Rejected"},
    "RequestStopTransaction": {"status": "Rejected"},
    "ReserveNow": {"status": "Rejected"},
    "SendLocalList": {"status": "Failed"},
    "SetChargingProfile": {"status": "Rejected"},
    "SetDisplayMessage": {"status": "NotSupportedPriority"},
    "SetMonitoringBase": {"status": "NotSupported"},
    "SetMonitoringLevel": {"status": "Rejected"},
    "UnlockConnector": {"status": "UnknownConnector"},
    "UpdateFirmware": {"status": "Rejected"},
}

Then = Callable[[], Awaitable[None]]


class Reply(NamedTuple):
    """The answer to a call, and what is to be done once it is sent."""

    payload: Payload | Refusal
    then: Then | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """The station's actors that OCPP speaks for."""

    station: Station
    record: Record
    variables: Variables
    networks: Networks
    signings: Signings
    contracts: Contracts
    succession: Succession
    vehicles: Vehicles


class Server:
    """The station's end of its connection, which comes and goes. For one event loop."""

    def __init__(self, parts: Parts, hardware: Hardware) -> None:
        station, self._hardware, self._contracts = parts.station, hardware, parts.contracts
        self._variables = parts.variables
        self.turn = Turn()
        self.telling = Telling(parts.record, parts.variables, hardware, station.now, self.turn)
        self.signing = Signing(parts.signings, self.turn, self.telling.note)
        self.cars = Cars(parts.contracts, parts.vehicles, parts.variables, self.turn)
        self._installing = Installing(station, parts.succession, parts.networks, self.turn)
        self._stapling = Stapling(station, self.turn)
        capacity = station.rules.most_certificates
        self._reports = Reports(parts.variables, parts.networks, self.turn, station.now, capacity)
        self._leave = asyncio.Event()
        self.connected: Link | None = None
        self._handlers: Mapping[str, Callable[[Link, Payload], Awaitable[Reply]]] = {
            "CertificateSigned": self._signed,
            "ClearCache": self._clear,
            "DeleteCertificate": self._delete,
            "GetBaseReport": self._base_report,
            "GetInstalledCertificateIds": self._list,
            "GetReport": self._report,
            "GetVariables": self._get,
            "InstallCertificate": self._install,
            "Reset": self._reset,
            "SetNetworkProfile": self._set_network,
            "SetVariables": self._set,
            "TriggerMessage": self._trigger,
        }

    @property
    def link(self) -> Link | None:
        """The connection, while the CSMS has accepted the station."""
        return self.connected if self.telling.accepted else None

    async def opened(self, link: Link) -> None:
        """Work over a connection until the station has a reason to leave it."""
        self.connected, self.telling.answered = link, False
        self._leave.clear()
        working, leaving = asyncio.ensure_future(self._work(link)), asyncio.ensure_future(self._leave.wait())
        try:
            await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            for task in (working, leaving):
                task.cancel()
            await asyncio.gather(working, leaving, return_exceptions=True)

    @property
    def left(self) -> bool:
        """Whether the station has left the last connection by itself, and comes back at once."""
        return self._leave.is_set()

    def closed(self) -> None:
        """Note that the connection has gone."""
        self.connected = None
        self.telling.lost()

    async def answer(self, link: Link, action: str, payload: Payload) -> Reply:
        """Answer a call whose payload has been checked."""
        handler = self._handlers.get(action)
        if handler is not None:
            return await handler(link, payload)
        plain = PLAIN.get(action)
        if plain is None or schemas.check(link.version, action, "Response", plain) is not None:
            return Reply(Refusal(Code.NOT_SUPPORTED, f"{action} is nothing that this station does"))
        return Reply(plain)

    # What it says by itself

    async def _work(self, link: Link) -> None:
        telling = self.telling
        try:
            await telling.settle_in(link)
        except Failure as failure:
            log.warning("work.left", extra={"why": str(failure)})
            return
        looked, beaten = -LOOK_AFTER, time.monotonic()
        while True:
            telling.wake.clear()
            now, beat = time.monotonic(), self._variables.number("OCPPCommCtrlr.HeartbeatInterval")
            try:
                await telling.events(link)
                if now - looked >= LOOK_AFTER:
                    looked = now
                    await self.signing.renew()
                await self.signing.send(link)
                await self._stapling.refresh(link)
                if now - beaten >= beat:
                    beaten = now
                    await telling.beat(link)
            except Failure as failure:
                log.warning("work.left", extra={"why": str(failure)})
            until = min(beaten + beat, looked + LOOK_AFTER, self.signing.due, self._stapling.due)
            with contextlib.suppress(TimeoutError):
                # Each turn takes its time, however much is due.
                await asyncio.wait_for(telling.wake.wait(), max(LEAST_PAUSE, until - time.monotonic()))

    # What it answers

    async def _signed(self, link: Link, payload: Payload) -> Reply:
        answer, taken = await self.signing.take(payload)
        if not taken.is_good or taken.asked is None:
            return Reply(answer)
        if taken.asked.kind is LeafKind.CSMS:
            # A02.FR.08: at once, where it is shown at all.
            return Reply(answer, self._go if link.profile == 3 else None)
        self._stapling.hurry()
        return Reply(answer, self._look)

    async def _install(self, link: Link, payload: Payload) -> Reply:
        return Reply(await self._installing.install(payload))

    async def _delete(self, link: Link, payload: Payload) -> Reply:
        return Reply(await self._installing.delete(payload))

    async def _list(self, link: Link, payload: Payload) -> Reply:
        return Reply(await self._installing.inventory(payload, link.version))

    async def _get(self, link: Link, payload: Payload) -> Reply:
        return Reply(await self._reports.get(payload))

    async def _set(self, link: Link, payload: Payload) -> Reply:
        answer, changed = await self._reports.set(payload)
        if any(map(is_about_security, changed)):
            await self.telling.note("ReconfigurationOfSecurityParameters", ", ".join(sorted(changed)))
        return Reply(answer, self._go if wants_reconnection(changed) and link.profile < 3 else None)

    async def _report(self, link: Link, payload: Payload) -> Reply:
        return Reply(*await self._reports.report(link, payload))

    async def _base_report(self, link: Link, payload: Payload) -> Reply:
        return Reply(*await self._reports.base_report(link, payload))

    async def _set_network(self, link: Link, payload: Payload) -> Reply:
        return Reply(await self._reports.set_network(payload))

    async def _clear(self, link: Link, payload: Payload) -> Reply:
        await self.turn.take(self._contracts.forget)
        return Reply({"status": "Accepted"})

    async def _reset(self, link: Link, payload: Payload) -> Reply:
        if "evseId" in payload:
            return Reply(wire.said("Rejected", "UnsupportedParam", "this station resets as a whole"))
        return Reply({"status": "Accepted"}, self._restart)

    async def _trigger(self, link: Link, payload: Payload) -> Reply:
        wanted, evse = payload["requestedMessage"], payload.get("evse", {}).get("id")
        if evse is not None and not 1 <= evse <= self._hardware.evses:
            return Reply(wire.said("Rejected", "InvalidValue", f"there is no EVSE {evse}"))
        if wanted in TRIGGERS:
            try:
                orders = self.signing.orders(TRIGGERS[wanted], evse)
            except Refused as refused:
                return Reply(wire.said("Rejected", "NotEnabled", str(refused)))
            if wanted == "SignCombinedCertificate":
                # A02.FR.13: one certificate for both has no type.
                orders = [each._replace(typed=False) for each in orders]
            return Reply({"status": "Accepted"}, partial(self._begin, link, orders))
        messages: dict[str, Callable[[], Awaitable[Any]]] = {
            "BootNotification": partial(self.telling.boot, link, "Triggered"),
            "Heartbeat": partial(self.telling.beat, link),
            "StatusNotification": partial(self.telling.show, link),
        }
        if wanted not in messages:
            return Reply({"status": "NotImplemented"})
        if wanted == "BootNotification" and self.telling.accepted:
            # F06.FR.17
            return Reply(wire.said("Rejected", "NotEnabled", "the station has been accepted already"))
        return Reply({"status": "Accepted"}, messages[wanted])

    async def _begin(self, link: Link, orders: Sequence[Order]) -> None:
        await self.signing.promise(orders)
        try:
            # Not with all else that waits: it was asked for, and may be so while the station is not accepted yet.
            await self.signing.send(link)
        finally:
            self.telling.wake.set()

    async def _look(self) -> None:
        self.telling.wake.set()

    async def _go(self) -> None:
        self._leave.set()

    async def _restart(self) -> None:
        await self.telling.note("ResetOrReboot")
        self.telling.restart("RemoteReset")
        self._leave.set()
