"""What operators have a station do about its certificates, each an operation on record (M03 to M05, A01, A05, F06)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple, Protocol

from voltroot.actors.csms import passwords, roots
from voltroot.actors.csms.csms import TRIGGER, TRIGGERS
from voltroot.actors.csms.stations import Operation, OperationState, Station, Stations
from voltroot.apis.ocpp import wire
from voltroot.errors import Failure, NotFound, Refused, Unavailable
from voltroot.ocppj.frames import Payload
from voltroot.ocppj.schemas import Version
from voltroot.pki.ports import Clock

log = logging.getLogger("voltroot")

# How long a station has for what it promised: making an RSA key takes some of them minutes.
PROMISED_FOR = timedelta(minutes=10)
# How long its messages take at most: what is still running then, ran in a process that was killed.
LONGEST = timedelta(minutes=5)
MESSAGE_TIMEOUT = 30
_VERSIONS = {Version.V2_0_1: "OCPP20", Version.V2_1: "OCPP21"}
_PASSWORD = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
_PRIORITY = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "NetworkConfigurationPriority"}}
_LIMITS = ["MaxCertificateChainSize", "CertificateEntries"]


class Link(Protocol):
    """A connection to a station."""

    version: Version

    def call(self, action: str, payload: Payload) -> Awaitable[Payload]:
        """Await the answer; Refused for a CALLERROR, Unavailable where none comes."""
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

    ``guarded`` refuses to send roots that matter over security profile 1. For one event loop.
    """

    def __init__(self, stations: Stations, now: Clock, *, guarded: bool = True) -> None:
        self.links: dict[str, Link] = {}
        self._stations = stations
        self._now = now
        self._guarded = guarded

    async def trigger(self, identity: str, message: str, evse: int | None = None) -> Outcome:
        """F06: have a station ask for a certificate; an accepted trigger is a promise with a deadline."""
        if message not in TRIGGERS:
            raise Refused(f"{message} asks for no certificate: choose one of {', '.join(TRIGGERS)}")
        payload: Payload = {"requestedMessage": message}
        if evse is not None:
            payload["evse"] = {"id": evse}

        async def work(link: Link, station: Station) -> _Ended:
            answer = await link.call(TRIGGER, payload)
            return _ended(answer)

        # On record as promised before it is sent: the request may come sooner than the answer.
        return await self._run(identity, TRIGGER, payload, work, promise=PROMISED_FOR)

    async def install(self, identity: str, kind: str, certificate: str) -> Outcome:
        """M05: install one root, as it is written; then see what the station has."""
        payload = {"certificateType": kind, "certificate": certificate}

        async def work(link: Link, station: Station) -> _Ended:
            installed = sum(map(len, (await asyncio.to_thread(self._stations.stock, identity)).values()))
            roots.require_root(certificate, self._now(), wire.LONGEST_CERTIFICATE[link.version])
            roots.require_place(station, kind, installed, guarded=self._guarded)
            answer = await link.call("InstallCertificate", payload)
            return await self._changed(identity, link, answer)

        return await self._run(identity, "InstallCertificate", payload, work)

    async def inventory(self, identity: str, kinds: Sequence[str] = ()) -> Outcome:
        """M03: read which certificates of some types, or of all, a station has."""

        async def work(link: Link, station: Station) -> _Ended:
            return await self._take_stock(identity, link, kinds)

        return await self._run(identity, "GetInstalledCertificateIds", {"certificateType": [*kinds]}, work)

    async def delete(self, identity: str, wanted: Mapping[str, Any]) -> Outcome:
        """M04: delete a certificate by its hash data, which go back exactly as the station wrote them (M04.FR.07)."""

        async def work(link: Link, station: Station) -> _Ended:
            known = await asyncio.to_thread(self._stations.stock, identity)
            listed = (each["certificateHashData"] for group in known.values() for each in group)
            own = next((each for each in listed if wire.same(each, wanted)), dict(wanted))
            answer = await link.call("DeleteCertificate", {"certificateHashData": own})
            return await self._changed(identity, link, answer)

        return await self._run(identity, "DeleteCertificate", {"certificateHashData": dict(wanted)}, work)

    async def set_password(self, identity: str, password: str) -> Outcome:
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

        return await self._run(identity, "SetVariables", {"variable": "BasicAuthPassword"}, work)

    async def upgrade(self, identity: str, profile: int, url: str, slot: int) -> Outcome:
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

        return await self._run(identity, "SetNetworkProfile", {"securityProfile": profile, "slot": slot}, work)

    async def learn(self, identity: str, request: int = 1) -> Outcome:
        """Have a station report how large a chain and how many certificates it takes; NotifyReport brings it."""
        wanted = [{"component": {"name": "SecurityCtrlr"}, "variable": {"name": name}} for name in _LIMITS]

        async def work(link: Link, station: Station) -> _Ended:
            return _ended(await link.call("GetReport", {"requestId": request, "componentVariable": wanted}))

        return await self._run(identity, "GetReport", {"variables": _LIMITS}, work)

    async def _run(
        self,
        identity: str,
        kind: str,
        detail: Mapping[str, Any],
        work: Callable[[Link, Station], Awaitable[_Ended]],
        promise: timedelta | None = None,
    ) -> Outcome:
        station = await asyncio.to_thread(self._stations.find, identity)
        if station is None:
            raise NotFound(f"there is no station {identity!a} in the registry: add it")
        link = self.links.get(identity)
        if link is None:
            raise Unavailable(f"{identity} is not connected to this process")
        made = self._now()
        begun = OperationState.PROMISED if promise else OperationState.RUNNING
        operation = Operation(identity, kind, detail, begun, made, made + (promise or LONGEST))
        number = await asyncio.to_thread(self._stations.begin, operation)
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


def _ended(answer: Payload, *good: str) -> _Ended:
    status = str(answer["status"])
    info = answer.get("statusInfo") or {}
    said = " ".join(filter(None, (status, info.get("reasonCode"), info.get("additionalInfo"))))
    return _Ended(OperationState.DONE if status in (good or ("Accepted",)) else OperationState.FAILED, said)
