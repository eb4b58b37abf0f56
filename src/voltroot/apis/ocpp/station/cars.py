"""What cars ask a station for: contracts (M01, M02), charging (C07), and TLS with their own certificates (M07)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from voltroot.actors.station.contracts import Contracts, Decision, Question
from voltroot.actors.station.outcomes import OcspRequest
from voltroot.actors.station.variables import Variables
from voltroot.actors.station.vehicles import Query, Told, Vehicles, Verdict
from voltroot.apis.ocpp.station import wire
from voltroot.apis.ocpp.station.link import Link, Turn
from voltroot.errors import Failure, Refused, Unavailable
from voltroot.ocppj.frames import Payload
from voltroot.ocppj.schemas import Version

log = logging.getLogger("voltroot")

# ISO 15118-2 V2G_EVCC_Msg_Timeout of CertificateInstallation is 5 s, OCPP 2.0.1 part 2, 2.7 leaves 4.5.
CONTRACT_WITHIN = 4.5
AUTHORIZE_WITHIN = 4.5
STATUS_WITHIN = 4.5  # the car waits in its handshake
_ONLY_2_1 = ("maximumContractCertificateChains", "prioritizedEMAIDs")


class Cars:
    """Asks the CSMS for cars. For one event loop."""

    def __init__(self, contracts: Contracts, vehicles: Vehicles, variables: Variables, turn: Turn) -> None:
        self._contracts = contracts
        self._vehicles = vehicles
        self._variables = variables
        self._turn = turn

    async def install(self, link: Link | None, payload: Payload) -> Payload:
        """Return the CSMS's answer to a Get15118EVCertificateRequest, which goes on as it is.

        Unavailable where the CSMS is away, Refused where installation is off, Malformed for what OCPP does not carry.
        """
        if not self._variables.is_on("ISO15118Ctrlr.ContractCertificateInstallationEnabled"):
            raise Refused("ContractCertificateInstallationEnabled is off")
        if link is None:
            raise Unavailable("the CSMS is not connected: try again later")
        if link.version is Version.V2_0_1:
            payload = {name: value for name, value in payload.items() if name not in _ONLY_2_1}
        try:
            answer = await asyncio.wait_for(link.call("Get15118EVCertificate", payload), CONTRACT_WITHIN)
        except TimeoutError:
            # The car does not wait any longer.
            answer = {"status": "Failed", "exiResponse": ""}
        log.info("contract.asked", extra={"action": payload["action"], "status": answer["status"]})
        return answer

    async def authorize(self, link: Link | None, text: str) -> Decision:
        """Decide whether a car with a contract chain in PEM may charge; Malformed where it is none."""
        found = await self._turn.take(self._contracts.look, text)
        if isinstance(found, Decision):
            decision = found
        elif link is None:
            decision = await self._turn.take(self._contracts.offline, text)
        elif len(found.chain) > (most := wire.LONGEST_CHAIN[link.version]):
            why = f"the chain has {len(found.chain)} characters, {link.version} carries {most}"
            decision = Decision(found.emaid, "Invalid", "CertChainError", why=why)
        else:
            decision = await self._ask(link, found, text)
        event = "contract.accepted" if decision.accepted else "contract.refused"
        log.info(event, extra={"emaid": decision.emaid, "status": decision.status, "why": decision.why})
        return decision

    async def admit(self, link: Link | None, text: str) -> Verdict:
        """Decide whether a car's certificate for TLS will do, by its chain in PEM; Malformed where it is none."""
        verdict = await self._turn.take(self._vehicles.look, text)
        if not isinstance(verdict, Verdict):
            asked = verdict
            missing = await self._turn.take(self._vehicles.missing, asked)
            told = await self._statuses(link, missing) if link is not None and missing else []
            verdict = await self._turn.take(self._vehicles.decide, asked, told)
        event = "vehicle.accepted" if verdict.accepted else "vehicle.refused"
        log.info(event, extra={"status": str(verdict.status), "why": verdict.why})
        return verdict

    async def _statuses(self, link: Link, asked: Sequence[Query]) -> list[tuple[Query, Told]]:
        """Return what the CSMS says of certificates; nothing of those that it cannot be asked about."""
        told: list[tuple[Query, Told]] = []
        ask = self._chain_statuses if link.version is Version.V2_1 else self._one_by_one
        try:
            await asyncio.wait_for(ask(link, asked, told), STATUS_WITHIN)
        except (Failure, TimeoutError) as error:
            log.warning("status.unknown", extra={"why": str(error) or f"no answer within {STATUS_WITHIN} s"})
        return told

    async def _chain_statuses(self, link: Link, asked: Sequence[Query], told: list[tuple[Query, Told]]) -> None:
        for begin in range(0, len(asked), wire.MOST_STATUSES):
            part = asked[begin : begin + wire.MOST_STATUSES]
            told += wire.chain_statuses(await link.call("GetCertificateChainStatus", wire.chain_status(part)), part)

    async def _one_by_one(self, link: Link, asked: Sequence[Query], told: list[tuple[Query, Told]]) -> None:
        """OCPP 2.0.1 carries OCSP only."""
        for query in asked:
            addresses = query.certificate.ocsp_addresses
            for url in [each for each in addresses if len(each) <= wire.LONGEST_URL[link.version]][:1]:
                payload = {"ocspRequestData": wire.ocsp_request(OcspRequest(query.about, url))}
                octets = wire.ocsp_answer(await link.call("GetCertificateStatus", payload))
                if octets is not None:
                    told.append((query, await self._turn.take(self._vehicles.read, query, octets)))

    async def _ask(self, link: Link, found: Question, text: str) -> Decision:
        try:
            answer = await asyncio.wait_for(link.call("Authorize", wire.authorize(found)), AUTHORIZE_WITHIN)
        except (Unavailable, TimeoutError):
            return await self._turn.take(self._contracts.offline, text)
        except Failure as failure:
            return Decision(found.emaid, "Invalid", None, True, str(failure))
        decision = wire.authorized(found.emaid, answer)
        await self._turn.take(self._contracts.told, decision)
        return decision
