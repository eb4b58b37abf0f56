"""Configuration variables over OCPP: read, set, reported (B05 to B08), and the ways to other CSMSs (B09)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from voltroot.actors.station.networks import Networks
from voltroot.actors.station.variables import Answer, Place, Row, Status, Variables
from voltroot.apis.ocpp.station import wire
from voltroot.apis.ocpp.station.link import Link, Turn
from voltroot.errors import Malformed
from voltroot.ocppj.frames import Payload
from voltroot.pki.ports import Clock

log = logging.getLogger("voltroot")

# What has to do with security is worth an event, and what changes how the station is let in another connection.
_PASSWORD = "SecurityCtrlr.BasicAuthPassword"  # noqa: S105 -- its name
_SECURITY = ("SecurityCtrlr", "NetworkConfiguration")
_CONFIGURATION = "ConfigurationInventory"
_SUMMARY = "SummaryInventory"
_SUMMARISED = ("AvailabilityState", "Problem")


class Reports:
    """Answers what is about variables; ``capacity`` is how many certificates there may be. For one event loop."""

    def __init__(self, variables: Variables, networks: Networks, turn: Turn, now: Clock, capacity: int) -> None:
        self._variables = variables
        self._networks = networks
        self._turn = turn
        self._now = now
        self._capacity = capacity

    async def get(self, payload: Payload) -> Payload:
        """Answer GetVariables."""
        results = []
        for each in payload["getVariableData"]:
            results.append(wire.result(each, await self._get(each), reading=True))
        return {"getVariableResult": results}

    async def set(self, payload: Payload) -> tuple[Payload, frozenset[str]]:
        """Answer SetVariables; returns also which of those were set that matter to connecting."""
        results, changed = [], set[str]()
        for each in payload["setVariableData"]:
            place = wire.place(each)
            if each.get("attributeType", "Actual") != "Actual":
                answer = Answer(Status.UNSUPPORTED_ATTRIBUTE)
            else:
                answer = await self._turn.take(self._variables.set, place, each["attributeValue"])
            if answer.status is Status.ACCEPTED:
                changed.add(f"{place.component}.{place.name}")
                log.info("variable.set", extra={"variable": str(place)})
            results.append(wire.result(each, answer, reading=False))
        return {"setVariableResult": results}, frozenset(changed)

    async def report(self, link: Link, payload: Payload) -> tuple[Payload, Callable[[], Awaitable[None]] | None]:
        """Answer GetReport."""
        wanted = [wire.place(each) for each in payload.get("componentVariable", ())]
        # Nothing here ever has a problem: what is asked for besides is so of everything.
        if payload.get("componentCriteria") == ["Problem"]:
            return {"status": "EmptyResultSet"}, None
        found = await self._turn.take(self._found, wanted)
        return self._reported(link, payload["requestId"], found)

    async def base_report(self, link: Link, payload: Payload) -> tuple[Payload, Callable[[], Awaitable[None]] | None]:
        """Answer GetBaseReport."""
        found = await self._turn.take(self._found, [])
        base = payload["reportBase"]
        if base == _SUMMARY:
            found = [each for each in found if each[0].name in _SUMMARISED]
        elif base == _CONFIGURATION:
            found = [each for each in found if each[1].access.value != "ReadOnly"]
        return self._reported(link, payload["requestId"], found)

    async def set_network(self, payload: Payload) -> Payload:
        """Answer SetNetworkProfile."""
        try:
            network = wire.network(payload)
        except Malformed as failure:
            return wire.said("Rejected", "InvalidValue", str(failure))
        objection = await self._turn.take(self._networks.put, payload["configurationSlot"], network)
        if objection is not None:
            log.warning("network.rejected", extra={"slot": payload["configurationSlot"], "why": objection})
            return wire.said("Rejected", "InvalidValue", objection)
        return {"status": "Accepted"}

    async def _get(self, asked: Mapping[str, object]) -> Answer:
        if asked.get("attributeType", "Actual") != "Actual":
            return Answer(Status.UNSUPPORTED_ATTRIBUTE)
        return await self._turn.take(self._variables.read, wire.place(asked))

    def _found(self, wanted: list[Place]) -> list[tuple[Place, Row, str | None]]:
        if not wanted:
            return [*self._variables.every()]
        found = (each for place in wanted for each in self._variables.every(place))
        return [*{each[0]: each for each in found}.values()]

    def _reported(
        self, link: Link, request: int, found: list[tuple[Place, Row, str | None]]
    ) -> tuple[Payload, Callable[[], Awaitable[None]] | None]:
        if not found:
            return {"status": "EmptyResultSet"}, None
        return {"status": "Accepted"}, partial(self._notify, link, request, found)

    async def _notify(self, link: Link, request: int, found: list[tuple[Place, Row, str | None]]) -> None:
        limits = {"SecurityCtrlr.CertificateEntries": self._capacity}
        for report in wire.reports(request, found, limits, self._now()):
            await link.call("NotifyReport", report)


def is_about_security(variable: str) -> bool:
    """Whether setting a variable is worth an event (ReconfigurationOfSecurityParameters)."""
    return variable.partition(".")[0] in _SECURITY


def wants_reconnection(changed: frozenset[str]) -> bool:
    """Whether the station has to come back at once: with another password (A01)."""
    return _PASSWORD in changed
