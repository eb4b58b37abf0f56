"""Authorize: the contract certificate's status from its hash data or its chain, and the token's (C07)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from voltroot.actors.csms import authorizing
from voltroot.actors.csms.authorizing import EMAID_KIND, STATES, Answer, ChainState, Tokens
from voltroot.actors.trust import Trust
from voltroot.apis.ocpp import wire
from voltroot.apis.ocpp.statuses import Statuses
from voltroot.errors import Failure, Unavailable
from voltroot.ocppj.frames import Payload
from voltroot.pki.certificates import Certificate
from voltroot.pki.chains import Judgement, Purpose, Verdict
from voltroot.pki.fingerprints import hash_data
from voltroot.pki.ocsp import CertStatus

log = logging.getLogger("voltroot")


class Authorizing:
    """Answers Authorize: a certificate whose status cannot be found out is no good (C07.FR.05, 17)."""

    def __init__(self, tokens: Tokens, trust: Trust, statuses: Statuses) -> None:
        self._tokens = tokens
        self._trust = trust
        self._statuses = statuses

    async def authorize(self, identity: str, payload: Payload) -> Answer:
        """Return what is to be answered."""
        token = payload["idToken"]
        state = None
        if token["type"] == EMAID_KIND:
            state, why = await self._state(token["idToken"], payload)
            if state not in (None, ChainState.VALID):
                log.warning("contract.refused", extra={"station": identity, "token": token["idToken"], "why": why})
        return authorizing.answer(await self.status(token), state)

    async def status(self, token: Mapping[str, Any]) -> str:
        """Return the AuthorizationStatus of an idToken."""
        return await asyncio.to_thread(self._tokens.status, token["idToken"], token["type"])

    async def _state(self, emaid: str, payload: Payload) -> tuple[ChainState | None, str]:
        try:
            if text := payload.get("certificate"):
                return await self._of_chain(wire.chain(text), emaid)
            if given := payload.get("iso15118CertificateHashData"):
                return await self._of_statuses([wire.question(each) for each in given])
        except Unavailable:
            raise
        except Failure as failure:
            return ChainState.INVALID, str(failure)
        return None, ""

    async def _of_chain(self, chain: Sequence[Certificate], emaid: str) -> tuple[ChainState, str]:
        leaf, others = chain[0], [each for each in chain[1:] if not each.self_issued]
        if not authorizing.is_named(leaf, emaid):
            return ChainState.INVALID, f"the certificate is that of {leaf.subject}, not of {emaid}"
        judgement = await asyncio.to_thread(self._judge, leaf, others)
        if judgement.verdict is not Verdict.OK:
            return STATES.get(judgement.verdict, ChainState.INVALID), judgement.text
        pairs = zip(judgement.path, judgement.path[1:], strict=False)
        # A CA without a responder was judged by CRLs; a leaf without one is what nobody can vouch for.
        named = [(own, issuer) for own, issuer in pairs if own.ocsp_addresses or own == leaf]
        asked = [wire.Question(hash_data(own, issuer), own.ocsp_addresses) for own, issuer in named]
        return await self._of_statuses(asked)

    async def _of_statuses(self, asked: Sequence[wire.Question]) -> tuple[ChainState, str]:
        told = await asyncio.gather(*(self._statuses.ask_afresh(*each) for each in asked), return_exceptions=True)
        failed = [each for each in told if isinstance(each, BaseException)]
        said = {each.status for each in told if not isinstance(each, BaseException)}
        # What is revoked is so, whatever is not known beside it.
        if CertStatus.REVOKED in said:
            return ChainState.REVOKED, "an OCSP answer says so"
        for each in failed:
            if not isinstance(each, Failure):
                raise each
            return ChainState.INVALID, str(each)
        if CertStatus.UNKNOWN in said:
            return ChainState.INVALID, "the responder does not know the certificate"
        return ChainState.VALID, ""

    def _judge(self, leaf: Certificate, others: Sequence[Certificate]) -> Judgement:
        return self._trust.search(leaf, self._trust.record_of(leaf), Purpose.CONTRACT, others)
