"""Sections 3.3 and 3.4 of the Secondary Actor API: contracts, and what stations ask for their cars."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol, TypeVar

from starlette.concurrency import run_in_threadpool

from voltroot.actors.ccp import CCP, Reply
from voltroot.actors.cps import CPS
from voltroot.actors.lab import Lab
from voltroot.actors.mo import MO
from voltroot.apis.pnc import wire
from voltroot.contract.faults import Level
from voltroot.pki.certificates import Certificate
from voltroot.pki.drafts import Order
from voltroot.pki.judging.codes import Codes
from voltroot.pki.ports import Entry
from voltroot.pki.profiles import Edition

log = logging.getLogger("voltroot")

T = TypeVar("T")


class Run(Protocol):
    """Makes an order, has it issued together with others, and returns what is made of the certificate."""

    def __call__(self, prepare: Callable[[], Order], finish: Callable[[Order, Entry], T]) -> Awaitable[T]:
        """Await it, or raise what stands against it."""
        ...


class Contracts:
    """The calls; ``version`` is what the API calls the version of its V2G messages, ``codes`` those of 3.3.4."""

    def __init__(self, mo: MO, cps: CPS, ccp: CCP, lab: Lab, run: Run, version: str, codes: Codes) -> None:
        self.mo = mo
        self._cps = cps
        self.ccp = ccp
        self._lab = lab
        self._run = run
        self._version = version
        self._codes = codes

    async def create(self, request: wire.CreateContract, by: str) -> wire.ContractInstallation:
        """3.3.1: a contract, sealed to the car's provisioning key."""
        certificate = wire.read_certificate(request.dh_cert, "dhCert")
        made = await self._run(partial(self._ordered, self.mo.create, certificate, request, by), self._cps.first)
        return wire.ContractInstallation(self._version, wire.to_base64(made))

    async def renew(self, request: wire.RenewContract, by: str) -> wire.ContractInstallation | wire.ContractUpdate:
        """3.3.2: a further certificate of a contract; -20 has no CertificateUpdate, its car installs it anew."""
        certificate = wire.read_certificate(request.dh_cert, "dhCert")
        edition, made = await self._run(partial(self._ordered, self.mo.extend, certificate, request, by), self._renewed)
        if self.mo.at_once:
            await run_in_threadpool(self.mo.supersede)
        kind = wire.ContractUpdate if edition is Edition.ISO15118_2 else wire.ContractInstallation
        return kind(self._version, wire.to_base64(made))

    async def verify(self, request: wire.VerifyPayment) -> tuple[wire.VerifyResult, str]:
        """3.3.4: the code of a chain, and which of its certificates is at fault and why."""
        chain = [wire.read_certificate(getattr(request, member), member) for member in ("leaf", "subca2", "subca1")]
        judgement = await run_in_threadpool(self.mo.judge_payment, *chain)
        decided = judgement.deciding
        member = ("leaf", "subca2", "subca1", "root")[decided.place] if decided and decided.place is not None else ""
        return wire.VerifyResult(self._codes.of(judgement)), f"{member}: {judgement.text}" if member else judgement.text

    async def install(self, request: wire.V2gMessage) -> tuple[wire.V2gAnswer, str]:
        """3.4.1: the answer to a CertificateInstallationReq."""
        fault = self._lab.fault(request.fault, Level.MESSAGE)
        return _told(await run_in_threadpool(self.ccp.install, wire.read_message(request.v2g_message), fault))

    async def update(self, request: wire.V2gMessage) -> tuple[wire.V2gAnswer, str]:
        """3.4.2: the answer to a CertificateUpdateReq."""
        fault = self._lab.fault(request.fault, Level.MESSAGE)
        return _told(await run_in_threadpool(self.ccp.update, wire.read_message(request.v2g_message), fault))

    def _ordered(
        self, order: Callable[..., Order], certificate: Certificate, request: wire.CreateContract, by: str
    ) -> Order:
        fault = self._lab.fault(request.fault, *Level)
        made = self._lab.order(order(certificate, request.emaid, by, fault), fault)
        self._cps.require(made)
        return made

    def _renewed(self, order: Order, entry: Entry) -> tuple[Edition, bytes]:
        return order.profile.edition, self._cps.first(order, entry)


def _told(reply: Reply) -> tuple[wire.V2gAnswer, str]:
    """Return the answer, and for people why it says no."""
    log.info("contract.asked", extra={"door": "ccp", "code": reply.code, "why": reply.text})
    message = f"{reply.code}: {reply.text}" if reply.text else ""
    return wire.V2gAnswer(wire.to_base64(reply.message)), message
