"""What cars ask a station for: contracts by Get15118EVCertificate (M01, M02), and charging by Authorize (C07)."""

from __future__ import annotations

import asyncio
import logging

from voltroot.actors.station.contracts import Contracts, Decision, Question
from voltroot.actors.station.variables import Variables
from voltroot.apis.ocpp.station import wire
from voltroot.apis.ocpp.station.link import Link, Turn
from voltroot.errors import Failure, Refused, Unavailable
from voltroot.ocppj.frames import Payload
from voltroot.ocppj.schemas import Version

log = logging.getLogger("voltroot")

# ISO 15118-2 V2G_EVCC_Msg_Timeout of CertificateInstallation is 5 s, OCPP 2.0.1 part 2, 2.7 leaves 4.5.
CONTRACT_WITHIN = 4.5
AUTHORIZE_WITHIN = 4.5
_ONLY_2_1 = ("maximumContractCertificateChains", "prioritizedEMAIDs")


class Cars:
    """Asks the CSMS for cars. For one event loop."""

    def __init__(self, contracts: Contracts, variables: Variables, turn: Turn) -> None:
        self._contracts = contracts
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
