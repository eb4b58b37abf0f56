"""What operators have a station do about its certificates, each an operation on record (M03 to M05, A01, A05, F06)."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple, Protocol

from voltroot.actors.csms import passwords, roots, wishes
from voltroot.actors.csms.csms import TRIGGER
from voltroot.actors.csms.stations import Operation, OperationState, Station, Stations
from voltroot.apis.ocpp import wire
from voltroot.errors import Failure, NotFound, Refused, Unavailable
from voltroot.ocppj.frames import Payload
from voltroot.ocppj.schemas import Version
from voltroot.pki.certificates import Certificate
from voltroot.pki.ports import Clock

log = logging.getLogger("voltroot")

# How long a station has for what it promised: making an RSA key takes some of them minutes.
PROMISED_FOR = timedelta(minutes=10)
# How long its messages take at most: what is still running then, ran in a process that was killed.
LONGEST = timedelta(minutes=5)
MESSAGE_TIMEOUT = 30
# What a station tells of later, and within how long; a firmware may be installed at night only.
TOLD_WITHIN = {"CustomerInformation": PROMISED_FOR, "UpdateFirmware": timedelta(days=2)}
MOST_TOLD = 100_000  # characters
_VERSIONS = {Version.V2_0_1: "OCPP20", Version.V2_1: "OCPP21"}
_PASSWORD = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
_PRIORITY = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "NetworkConfigurationPriority"}}
# What stations answer where they do what they were asked to, each to its own messages; "answered" where they only tell.
GOOD = ("Accepted", "AcceptedCanceled", "Scheduled", "answered")
_LIMITS = [*wishes.LIMITS]


class Link(Protocol):
    """A connection to a station."""

    identity: str
    profile: int
    version: Version

    def call(self, action: str, payload: Payload) -> Awaitable[Payload]:
        """Await the answer; Refused for a CALLERROR, Unavailable where none comes."""
        ...

    def close(self, code: int, reason: str) -> Awaitable[None]:
        """Await the connection's end."""
        ...


class Outcome(NamedTuple):
    """What came of an operation: its number on record, its state, and the status in the station's words."""

    number: int
    state: OperationState
    status: str
    detail: Mapping[str, Any] = {}


class _Ended(NamedTuple):
    state: OperationState
    status: str
    detail: Mapping[str, Any] = {}


class Commands:
    """Operations on the stations that are connected to this process, which ``links`` has by identity.

    ``guarded`` refuses to send roots that matter over security profile 1; ``cas`` are the CAs that are known here. For
    one event loop.
    """

    def __init__(
        self,
        stations: Stations,
        now: Clock,
        *,
        guarded: bool = True,
        cas: Callable[[], Sequence[Certificate]] = lambda: (),
    ) -> None:
        self.links: dict[str, Link] = {}
        # Hears that the links have changed.
        self.changed: Callable[[], None] = lambda: None
        # Waits until every process knows of a link.
        self.known: Callable[[Link], Awaitable[None]] = _at_once
        self._stations = stations
        self._now = now
        self._guarded = guarded
        self._cas = cas

    def opened(self, identity: str, link: Link) -> None:
        """A station is connected."""
        self.links[identity] = link
        self.changed()

    def closed(self, identity: str, link: Link) -> None:
        """A connection is gone; the station may have another already."""
        if self.links.get(identity) is link:
            del self.links[identity]
            self.changed()

    async def perform(self, operation: Operation) -> bool:
        """Do what an operator has asked for and record what came of it; False where the station is not here."""
        if operation.station not in self.links:
            return False
        perform = _perform_call if "payload" in operation.detail else _PERFORMED[operation.kind]
        try:
            await perform(self, operation, operation.detail)
        except Failure as failure:
            await asyncio.to_thread(self._stations.end, operation.number, OperationState.FAILED, str(failure))
        return True

    async def trigger(
        self, identity: str, message: str, evse: int | None = None, *, on: Operation | None = None
    ) -> Outcome:
        """F06: have a station ask for a certificate; an accepted trigger is a promise with a deadline."""
        payload = dict(wishes.trigger(message, evse).detail)

        async def work(link: Link, station: Station) -> _Ended:
            answer = await link.call(TRIGGER, payload)
            return _ended(answer)

        # On record as promised before it is sent: the request may come sooner than the answer.
        return await self._run(identity, TRIGGER, payload, work, promise=PROMISED_FOR, on=on)

    async def install(self, identity: str, kind: str, certificate: str, *, on: Operation | None = None) -> Outcome:
        """M05: install one root, as it is written; then see what the station has."""
        payload = {"certificateType": kind, "certificate": certificate}

        async def work(link: Link, station: Station) -> _Ended:
            installed = sum(map(len, (await asyncio.to_thread(self._stations.stock, identity)).values()))
            roots.require_root(certificate, self._now(), wire.LONGEST_CERTIFICATE[link.version])
            roots.require_place(station, kind, installed, guarded=self._guarded)
            answer = await link.call("InstallCertificate", payload)
            return await self._changed(identity, link, answer)

        return await self._run(identity, "InstallCertificate", payload, work, on=on)

    async def inventory(self, identity: str, kinds: Sequence[str] = (), *, on: Operation | None = None) -> Outcome:
        """M03: read which certificates of some types, or of all, a station has."""

        async def work(link: Link, station: Station) -> _Ended:
            return await self._take_stock(identity, link, kinds)

        return await self._run(identity, "GetInstalledCertificateIds", {"certificateType": [*kinds]}, work, on=on)

    async def delete(
        self, identity: str, wanted: Mapping[str, Any], issuer: str = "", *, on: Operation | None = None
    ) -> Outcome:
        """M04: delete a certificate by its hash data, which go back exactly as the station wrote them (M04.FR.07).

        ``issuer`` is its CA in PEM, which need not be known here.
        """

        async def work(link: Link, station: Station) -> _Ended:
            wire.require_hash_data(wanted, link.version)
            known = await asyncio.to_thread(self._stations.stock, identity)
            listed = [each["certificateHashData"] for group in known.values() for each in group]
            cas = [roots.read_one(issuer)] if issuer else await asyncio.to_thread(self._cas)
            own = next((each for each in listed if wire.same(each, wanted, cas)), dict(wanted))
            answer = await link.call("DeleteCertificate", {"certificateHashData": own})
            return await self._changed(identity, link, answer)

        return await self._run(identity, "DeleteCertificate", {"certificateHashData": dict(wanted)}, work, on=on)

    async def set_password(self, identity: str, password: str, *, on: Operation | None = None) -> Outcome:
        """A01: give a station another password; the old one ends when it accepts (A01.FR.03, 04)."""
        secret = await asyncio.to_thread(passwords.make, password)

        async def work(link: Link, station: Station) -> _Ended:
            # Should its answer be lost, both hold until it comes back with one of them.
            await asyncio.to_thread(self._stations.change, identity, next_secret=secret)
            status = await self._set(link, {**_PASSWORD, "attributeValue": password})
            if status == "Accepted":
                await asyncio.to_thread(self._stations.change, identity, secret=secret, next_secret=None)
            elif status != "RebootRequired":
                await asyncio.to_thread(self._stations.change, identity, next_secret=None)
            return _ended({"status": status}, "Accepted", "RebootRequired")

        return await self._run(identity, "SetVariables", {"variable": "BasicAuthPassword"}, work, on=on)

    async def upgrade(
        self, identity: str, profile: int, url: str, slot: int, *, on: Operation | None = None
    ) -> Outcome:
        """A05: have a station come back with a higher security profile; once it has, the lower ones are refused."""

        async def work(link: Link, station: Station) -> _Ended:
            if not station.profile < profile <= 3:
                raise Refused(f"{identity} has security profile {station.profile}: choose a higher one, up to 3")
            network = {
                "ocppVersion": _VERSIONS[link.version],
                "ocppTransport": "JSON",
                "ocppCsmsUrl": url,
                "messageTimeout": MESSAGE_TIMEOUT,
                "securityProfile": profile,
                "ocppInterface": "Wired0",
            }
            answer = await link.call("SetNetworkProfile", {"configurationSlot": slot, "connectionData": network})
            if answer["status"] != "Accepted":
                return _ended(answer)
            others = await self._get(link, _PRIORITY) or ""
            order = [str(slot), *(each.strip() for each in others.split(",") if each.strip() not in ("", str(slot)))]
            status = await self._set(link, {**_PRIORITY, "attributeValue": ",".join(order)})
            if status not in ("Accepted", "RebootRequired"):
                return _ended({"status": status})
            await asyncio.to_thread(self._stations.change, identity, next_profile=profile)
            answer = await link.call("Reset", {"type": "OnIdle"})
            return _ended(answer, "Accepted", "Scheduled")

        return await self._run(identity, "SetNetworkProfile", {"securityProfile": profile, "slot": slot}, work, on=on)

    async def learn(self, identity: str, request: int = 1, *, on: Operation | None = None) -> Outcome:
        """Have a station report how large a chain and how many certificates it takes; NotifyReport brings it."""
        wanted = [{"component": {"name": "SecurityCtrlr"}, "variable": {"name": name}} for name in _LIMITS]

        async def work(link: Link, station: Station) -> _Ended:
            return _ended(await link.call("GetReport", {"requestId": request, "componentVariable": wanted}))

        return await self._run(identity, "GetReport", {"variables": _LIMITS}, work, on=on)

    async def call(self, identity: str, action: str, payload: Payload, *, on: Operation | None = None) -> Outcome:
        """Have a station do what there is no command for: the payload goes out as it is, its answer comes back."""
        payload, within = wishes.call(action, payload).detail["payload"], TOLD_WITHIN.get(action)

        async def work(link: Link, station: Station) -> _Ended:
            answer = await link.call(action, payload)
            ended = _ended({"status": "answered", **answer}, *GOOD)._replace(detail=answer)
            # Whoever reads the record wants the whole answer.
            return ended if on is None else ended._replace(status=json.dumps(answer)[:MOST_TOLD])

        request = {"requestId": payload["requestId"]} if "requestId" in payload else {}
        return await self._run(identity, action, request, work, promise=within, on=on)

    async def told(self, identity: str, kind: str, request: int | None, text: str, state: OperationState) -> None:
        """Note what a station tells of something that it was asked to do; any state but PROMISED ends it."""
        for each in await asyncio.to_thread(self._stations.operations, identity, (OperationState.PROMISED,)):
            if (each.kind, each.detail.get("requestId")) == (kind, request):
                deadline = each.deadline if state is OperationState.PROMISED else None
                await asyncio.to_thread(
                    self._stations.end, each.number, state, (each.outcome + text)[:MOST_TOLD], deadline
                )
                return

    async def _run(
        self,
        identity: str,
        kind: str,
        detail: Mapping[str, Any],
        work: Callable[[Link, Station], Awaitable[_Ended]],
        promise: timedelta | None = None,
        on: Operation | None = None,
    ) -> Outcome:
        station = await asyncio.to_thread(self._stations.find, identity)
        if station is None:
            raise NotFound(f"there is no station {identity!a} in the registry: add it")
        link = self.links.get(identity)
        if link is None:
            raise Unavailable(f"{identity} is not connected to this process")
        made = self._now()
        begun = OperationState.PROMISED if promise else OperationState.RUNNING
        if on is None:
            operation = Operation(identity, kind, detail, begun, made, made + (promise or LONGEST))
            number = await asyncio.to_thread(self._stations.begin, operation)
        else:
            number = on.number
            if promise:
                await asyncio.to_thread(self._stations.end, number, begun, deadline=made + promise)
        try:
            ended = await work(link, station)
        except Failure as failure:
            await asyncio.to_thread(self._stations.end, number, OperationState.FAILED, str(failure))
            log.warning("operation.failed", extra={"station": identity, "kind": kind, "why": str(failure)})
            raise
        if promise and ended.state is OperationState.DONE:
            ended = ended._replace(state=OperationState.PROMISED)
        else:
            await asyncio.to_thread(self._stations.end, number, ended.state, ended.status)
        log.info("operation.answered", extra={"station": identity, "kind": kind, "status": ended.status})
        return Outcome(number, *ended)

    async def _changed(self, identity: str, link: Link, answer: Payload) -> _Ended:
        """What a station did may have done more than was asked: look again."""
        ended = _ended(answer)
        if ended.state is OperationState.DONE:
            try:
                stock = await self._take_stock(identity, link, ())
                ended = ended._replace(detail=stock.detail)
            except (Refused, Unavailable) as failure:
                log.warning("inventory.unread", extra={"station": identity, "why": str(failure)})
        return ended

    async def _take_stock(self, identity: str, link: Link, kinds: Sequence[str]) -> _Ended:
        answer = await link.call("GetInstalledCertificateIds", {"certificateType": [*kinds]} if kinds else {})
        found = wire.inventory(answer, kinds or wire.KINDS[link.version])
        await asyncio.to_thread(self._stations.take_stock, identity, found)
        return _Ended(OperationState.DONE, answer["status"], found)

    async def _set(self, link: Link, variable: Payload) -> str:
        answer = await link.call("SetVariables", {"setVariableData": [variable]})
        return str(answer["setVariableResult"][0]["attributeStatus"])

    async def _get(self, link: Link, variable: Payload) -> str | None:
        try:
            answer = await link.call("GetVariables", {"getVariableData": [variable]})
        except Refused:
            return None
        value = answer["getVariableResult"][0].get("attributeValue")
        return None if value is None else str(value)


async def _at_once(link: Link) -> None:
    """There is no other process."""


def _ended(answer: Payload, *good: str) -> _Ended:
    status = str(answer["status"])
    info = answer.get("statusInfo") or {}
    said = " ".join(filter(None, (status, info.get("reasonCode"), info.get("additionalInfo"))))
    return _Ended(OperationState.DONE if status in (good or ("Accepted",)) else OperationState.FAILED, said)


def _perform_call(commands: Commands, operation: Operation, detail: Mapping[str, Any]) -> Awaitable[Outcome]:
    return commands.call(operation.station, operation.kind, detail["payload"], on=operation)


# How an operation that is on record is done: its detail is all that has to be known. A password is made here.
_PERFORMED: dict[str, Callable[[Commands, Operation, Mapping[str, Any]], Awaitable[Outcome]]] = {
    TRIGGER: lambda commands, on, detail: commands.trigger(
        on.station, detail["requestedMessage"], detail.get("evse", {}).get("id"), on=on
    ),
    wishes.INSTALL: lambda commands, on, detail: commands.install(
        on.station, detail["certificateType"], detail["certificate"], on=on
    ),
    wishes.INVENTORY: lambda commands, on, detail: commands.inventory(on.station, detail["certificateType"], on=on),
    wishes.DELETE: lambda commands, on, detail: commands.delete(
        on.station, detail["certificateHashData"], detail.get("issuer", ""), on=on
    ),
    wishes.PASSWORD: lambda commands, on, detail: commands.set_password(on.station, passwords.generate(), on=on),
    wishes.UPGRADE: lambda commands, on, detail: commands.upgrade(
        on.station, detail["securityProfile"], detail["url"], detail["slot"], on=on
    ),
    wishes.LEARN: lambda commands, on, detail: commands.learn(on.station, on=on),
}
