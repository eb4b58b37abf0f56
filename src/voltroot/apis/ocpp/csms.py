"""What the CSMS answers its stations, and what follows from what they say."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple, Protocol

from voltroot.actors.ccp import Reply as Contract
from voltroot.actors.csms.csms import CSMS
from voltroot.actors.csms.entrance import Admitted, Asked, Entrance
from voltroot.actors.csms.stations import OperationState
from voltroot.actors.csms.statuses import Source
from voltroot.apis.ocpp import errors, wire
from voltroot.apis.ocpp.authorizing import Authorizing
from voltroot.apis.ocpp.commands import Commands
from voltroot.apis.ocpp.delivering import Delivering
from voltroot.apis.ocpp.statuses import Statuses
from voltroot.errors import Failure, Forbidden, NotFound, Refused, Unavailable, Untrusted
from voltroot.ocppj import schemas
from voltroot.ocppj.frames import Code, Payload
from voltroot.ocppj.schemas import Version
from voltroot.ocppj.session import Refusal
from voltroot.pki.ocsp import CertStatus
from voltroot.pki.ports import Clock

log = logging.getLogger("voltroot")

# What a car waits for the answer is 4.5 s (OCPP 2.0.1 part 2, 2.7): the rest is the station's and the line's.
CONTRACT_WITHIN = 3.5
MAKERS = 8
# GetCertificateChainStatus has to say until when, also where nothing could be found out.
ASK_AGAIN = timedelta(minutes=5)
SEEN_EVERY = timedelta(hours=1)

# Events that say that the station cannot use its newest certificate, and goes on with the one before (A02.FR.07, 29).
DISCARDING = {"InvalidChargingStationCertificate", "DiscardedRenewedClientCertificate"}
# What a station may send that was told to wait: what it is asked for, and nothing else (B01.FR.10, B02.FR.09).
WHILE_PENDING = {"BootNotification", "SignCertificate", "NotifyReport"}
# What has nothing to do with certificates, and has no empty answer.
PLAIN: dict[str, Payload] = {
    "DataTransfer": {"status": "UnknownVendorId"},
    "NotifyEVChargingNeeds": {"status": "Rejected"},
    "NotifyEVChargingSchedule": {"status": "Accepted"},
    "OpenPeriodicEventStream": {"status": "Rejected"},
    "PullDynamicScheduleUpdate": {"status": "Rejected"},
}
# CertificateStatusEnumType
STATUSES = {CertStatus.GOOD: "Good", CertStatus.REVOKED: "Revoked", CertStatus.UNKNOWN: "Unknown"}
# What ends an update of the firmware (FirmwareStatusEnumType); all else is a step on the way.
UPDATED = "Installed"
NOT_UPDATED = {"DownloadFailed", "InstallationFailed", "InstallVerificationFailed", "InvalidSignature"}


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


class Reply(NamedTuple):
    """The answer to a call, and what is to be done once it is sent."""

    payload: Payload | Refusal
    then: Callable[[], Awaitable[None]] | None = None


@dataclass(slots=True)
class Present:
    """A station that is connected; it has ``spoken`` once it was answered, and is ``pending`` once it was told to wait.
    What it came with was valid as of ``revision``."""

    link: Link
    admitted: Admitted
    spoken: bool = False
    pending: bool = False
    revision: int | None = None


class Server:
    """The CSMS's end of all connections of one process. ``install`` is the CCP: an EXI request, and whether it is an
    update. For one event loop."""

    def __init__(
        self,
        entrance: Entrance,
        csms: CSMS,
        delivering: Delivering,
        authorizing: Authorizing,
        statuses: Statuses,
        install: Callable[[bytes, bool], Contract],
        commands: Commands,
        now: Clock,
        interval: int,
    ) -> None:
        self._entrance = entrance
        self._csms = csms
        self._delivering = delivering
        self._authorizing = authorizing
        self._statuses = statuses
        self._install = install
        # Threads of their own: another's pool that hangs must not keep everything else waiting.
        self._makers = ThreadPoolExecutor(MAKERS, thread_name_prefix="contracts")
        self.commands = commands
        self._now = now
        self._interval = interval
        self._present: dict[Link, Present] = {}
        # With which certificate a station has come back already: what follows from it follows once.
        self._came_with: dict[str, int] = {}
        self._handlers: Mapping[str, Callable[[Present, Payload], Awaitable[Reply]]] = {
            "BootNotification": self._boot,
            "Heartbeat": self._heartbeat,
            "NotifyReport": self._report,
            "NotifyCustomerInformation": self._customer,
            "FirmwareStatusNotification": self._firmware,
            "SecurityEventNotification": self._event,
            "SignCertificate": self._sign,
            "GetCertificateStatus": self._status,
            "GetCertificateChainStatus": self._chain_status,
            "Get15118EVCertificate": self._contract,
            "Authorize": self._authorize,
            "TransactionEvent": self._transaction,
        }

    def admit(self, asked: Asked) -> Admitted:
        """Let a station in or raise a Failure; blocks, and may be called from several threads."""
        try:
            return self._entrance.admit(asked)
        except Untrusted as failure:
            # A00.FR.408
            members = {"station": asked.identity, "type": "InvalidChargingStationCertificate", "info": str(failure)}
            log.warning("station.security_event", extra=members)
            raise

    async def arrive(self, profile: int, admitted: Admitted) -> None:
        """Settle what a station proves by connecting, before it is heard."""
        if profile == admitted.station.next_profile:
            await asyncio.to_thread(self._csms.upgraded, admitted.station)
        entry, identity = admitted.entry, admitted.station.identity
        if entry is not None and self._came_with.get(identity) != entry.number:
            await asyncio.to_thread(self._csms.came_back, admitted.station, entry)
            self._came_with[identity] = entry.number

    def opened(self, link: Link, admitted: Admitted) -> None:
        """A station is connected."""
        self._present[link] = Present(link, admitted)
        self.commands.opened(link.identity, link)

    def closed(self, link: Link) -> None:
        """A station is gone, or has another connection."""
        del self._present[link]
        self.commands.closed(link.identity, link)

    async def part(self) -> None:
        """End the connections of those whose certificate was revoked since they came (A00.FR.407)."""
        shown = [(each, entry) for each in self._present.values() if (entry := each.admitted.entry) is not None]
        if not shown:
            return
        revision = await asyncio.to_thread(self._csms.revision)
        asked = [(each, entry) for each, entry in shown if each.revision != revision]
        ended = await asyncio.to_thread(self._csms.ended, [entry for _, entry in asked])
        for each, _ in asked:
            each.revision = revision
        leaving = [each.link for each, entry in asked if entry.number in ended]
        for link in leaving:
            log.warning("station.refused", extra={"station": link.identity, "why": "its certificate is revoked"})
        await asyncio.gather(*(link.close(1008, "the certificate is revoked") for link in leaving))

    async def answer(self, link: Link, action: str, payload: Payload) -> Reply:
        """Answer a call whose payload has been checked."""
        present = self._present[link]
        if present.pending and action not in WHILE_PENDING:
            return Reply(Refusal(Code.SECURITY_ERROR, "wait until BootNotification is accepted"))
        handler = self._handlers.get(action, partial(self._plain, action))
        try:
            reply = await handler(present, payload)
        except Failure as failure:
            log.warning("call.refused", extra={"station": link.identity, "action": action, "why": str(failure)})
            text = "try again later" if isinstance(failure, Unavailable) else str(failure)
            return Reply(Refusal(errors.code(failure), text))
        if present.spoken:
            return reply
        present.spoken = True
        # Whoever has seen a station start may ask something of it at once, anywhere.
        await self.commands.known(link)
        return Reply(reply.payload, partial(self._begin, present, reply.then))

    async def _begin(self, present: Present, then: Callable[[], Awaitable[None]] | None) -> None:
        """A station that came back gets what it has not got yet, or has to get another certificate first."""
        link = present.link
        if then is not None:
            await then()
        if present.admitted.must_renew:
            await self.commands.trigger(link.identity, "SignChargingStationCertificate")
            return
        for signing in await asyncio.to_thread(self._csms.waiting, link.identity):
            await self._delivering.deliver(link, signing)

    async def _plain(self, action: str, present: Present, payload: Payload) -> Reply:
        answer = PLAIN.get(action, {})
        if schemas.check(present.link.version, action, "Response", answer) is not None:
            raise NotFound(f"{action} is nothing that this CSMS does")
        return Reply(answer)

    async def _boot(self, present: Present, payload: Payload) -> Reply:
        station = present.admitted.station
        about = {**payload["chargingStation"], "reason": payload["reason"], "version": present.link.version.value}
        now = self._now()
        if about != dict(station.about) or station.seen is None or now - station.seen > SEEN_EVERY:
            await asyncio.to_thread(self._csms.stations.change, station.identity, about=about, seen=now)
        serial = about.get("serialNumber")
        if serial is not None and serial != station.serial_number:
            log.warning("station.another_serial", extra={"station": station.identity, "serial": serial})
        # A00.FR.406, 429: another certificate before anything else.
        present.pending = present.admitted.must_renew
        status = "Pending" if present.pending else "Accepted"
        log.info("station.booted", extra={"station": station.identity, "status": status})
        answer: Payload = {"currentTime": wire.moment(now), "interval": self._interval, "status": status}
        return Reply(answer)

    async def _heartbeat(self, present: Present, payload: Payload) -> Reply:
        return Reply({"currentTime": wire.moment(self._now())})

    async def _report(self, present: Present, payload: Payload) -> Reply:
        if found := wire.limits(payload):
            await asyncio.to_thread(partial(self._csms.stations.change, present.link.identity, **found))
        return Reply({})

    async def _customer(self, present: Present, payload: Payload) -> Reply:
        state = OperationState.PROMISED if payload.get("tbc") else OperationState.DONE
        told = "CustomerInformation", payload["requestId"], payload["data"], state
        await self.commands.told(present.link.identity, *told)
        return Reply({})

    async def _firmware(self, present: Present, payload: Payload) -> Reply:
        status = payload["status"]
        state = OperationState.DONE if status == UPDATED else OperationState.PROMISED
        if status in NOT_UPDATED:
            log.warning("firmware.failed", extra={"station": present.link.identity, "status": status})
            state = OperationState.FAILED
        told = "UpdateFirmware", payload.get("requestId"), f"{status} ", state
        await self.commands.told(present.link.identity, *told)
        return Reply({})

    async def _event(self, present: Present, payload: Payload) -> Reply:
        members = {"station": present.link.identity, "type": payload["type"], "info": payload.get("techInfo", "")}
        log.warning("station.security_event", extra=members)
        if payload["type"] in DISCARDING:
            why = f"the station reports {payload['type']}"
            await asyncio.to_thread(self._csms.discarded, present.admitted.station, why)
        return Reply({})

    async def _sign(self, present: Present, payload: Payload) -> Reply:
        link, wanted = present.link, wire.wanted(payload, present.link.version)
        station = await asyncio.to_thread(self._csms.stations.find, link.identity)
        if station is None:
            raise Forbidden(f"{link.identity} is in the registry no more")
        try:
            signing = await asyncio.to_thread(self._csms.ask, station, wanted)
        except Unavailable:
            raise
        except Failure as failure:
            log.warning("signing.refused", extra={"station": link.identity, "why": str(failure)})
            await asyncio.to_thread(self._csms.refused, station, wanted, str(failure))
            return Reply({"status": "Rejected", "statusInfo": errors.status_info(failure, "InvalidCSR")})
        return Reply({"status": "Accepted"}, partial(self._delivering.deliver, link, signing))

    async def _status(self, present: Present, payload: Payload) -> Reply:
        asked = wire.question(payload["ocspRequestData"])
        try:
            known = await self._statuses.ask(*asked)
            result = wire.to_base64(known.proof)
            if len(result) > wire.LONGEST_OCSP_RESULT[present.link.version]:
                raise Refused(f"the OCSP answer has {len(result)} characters, more than OCPP carries")
        except Failure as failure:
            log.warning("status.unknown", extra={"station": present.link.identity, "why": str(failure)})
            return Reply({"status": "Failed"})
        return Reply({"status": "Accepted", "ocspResult": result})

    async def _chain_status(self, present: Present, payload: Payload) -> Reply:
        asked = [self._one_status(present, each) for each in payload["certificateStatusRequests"]]
        return Reply({"certificateStatus": await asyncio.gather(*asked)})

    async def _one_status(self, present: Present, asked: Mapping[str, Any]) -> Payload:
        status, until = "Failed", self._now() + ASK_AGAIN
        try:
            named = wire.hash_data(asked["certificateHashData"])
            known = await self._statuses.ask(named, asked["urls"], Source(asked["source"]))
            status, until = STATUSES[known.status], max(known.until, until)
        except Failure as failure:
            log.warning("status.unknown", extra={"station": present.link.identity, "why": str(failure)})
        echo = {"certificateHashData": asked["certificateHashData"], "source": asked["source"]}
        return {**echo, "status": status, "nextUpdate": wire.moment(until)}

    async def _contract(self, present: Present, payload: Payload) -> Reply:
        version = present.link.version
        try:
            octets = wire.exi(payload["exiRequest"])
            asked = partial(self._install, octets, payload["action"] == "Update")
            making = asyncio.get_running_loop().run_in_executor(self._makers, asked)
            made = await asyncio.wait_for(making, CONTRACT_WITHIN)
            text = wire.to_base64(made.message)
            if len(text) > wire.LONGEST_EXI_RESPONSE[version]:
                raise Refused(f"the answer has {len(text)} characters, more than OCPP carries")
        except (Failure, TimeoutError) as error:
            why = error if isinstance(error, Failure) else Unavailable(f"no contract within {CONTRACT_WITHIN} s")
            log.warning("contract.failed", extra={"station": present.link.identity, "why": str(why)})
            # The schema wants exiResponse even where there is none.
            return Reply({"status": "Failed", "exiResponse": "", "statusInfo": errors.status_info(why)})
        log.info("contract.asked", extra={"door": "ocpp", "code": made.code, "why": made.text})
        answer: Payload = {"status": "Accepted", "exiResponse": text}
        if version is Version.V2_1 and made.remaining is not None:
            answer["remainingContracts"] = made.remaining
        return Reply(answer)

    async def _authorize(self, present: Present, payload: Payload) -> Reply:
        answer = await self._authorizing.authorize(present.link.identity, payload)
        told: Payload = {"idTokenInfo": {"status": answer.status}}
        if answer.certificate is not None:
            told["certificateStatus"] = answer.certificate
        return Reply(told)

    async def _transaction(self, present: Present, payload: Payload) -> Reply:
        token = payload.get("idToken")
        if token is None:
            return Reply({})
        return Reply({"idTokenInfo": {"status": await self._authorizing.status(token)}})
