"""The server's end of the vPKI API: five products, three verbs, one door.

The order in which a request is looked at: who calls and how often, the path and whether this caller may ask for the
product, the method, the size, the JSON, the members in the definition's order, the caller's tiers, the form of an
Idempotency-Key, the CSR (read, signature, curve), its DN against the codes, for reissue a certificate on the DN, the
profile's rules, the request's recorded answer, the same key, a valid certificate on the DN.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from voltroot.actors.registrar import Outcome
from voltroot.actors.vpki import Call, Registered, VehiclePKI
from voltroot.apis.bodies import read_body
from voltroot.apis.vpki import errors, openapi, wire
from voltroot.apis.vpki.door import Caller, Door, peer_certificate
from voltroot.errors import Failure, Forbidden, KeyReused, Malformed, NameTaken, NotFound
from voltroot.pki.drafts import Order
from voltroot.pki.names import Name
from voltroot.pki.ports import Entry
from voltroot.pki.profiles import Profile

log = logging.getLogger("voltroot")

LONGEST_KEY = 255
DESCRIPTION = "api/openapi.json"

Place = Callable[[Order], Awaitable[Entry]]


class Server:
    """An ASGI application; ``place`` hands an order to the authority and awaits what it issued."""

    def __init__(self, vpki: VehiclePKI, profiles: Mapping[str, Profile], door: Door, place: Place) -> None:
        self._vpki = vpki
        self._products = {path: profiles[name] for path, name in wire.PRODUCTS.items()}
        self._door = door
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        scope, path = request.scope, request.scope["path"]
        peer = scope["client"][0] if scope.get("client") else ""
        caller = ""
        try:
            admitted = self._door.admit(peer, scope["headers"], peer_certificate(scope.get("state", {})))
            caller = admitted.name
            return await self._call(request, admitted)
        except Failure as failure:
            status, message = errors.answer(failure)
            facts = {"door": "vpki", "path": path, "status": status, "why": str(failure), "by": caller, "peer": peer}
            log.log(logging.ERROR if status == 500 else logging.INFO, "request.refused", extra=facts)
            if isinstance(failure, Forbidden):
                return Response(status_code=status, headers={"Connection": "close"})
            return _json(status, wire.refusal(message), {"Retry-After": "1"} if status == 429 else None)
        except Exception:
            log.exception("request.failed", extra={"door": "vpki", "path": path, "by": caller})
            return _json(500, wire.refusal(errors.INTERNAL))

    async def _call(self, request: Request, caller: Caller) -> Response:
        # Repeated slashes are one.
        path = "/".join(filter(None, request.scope["path"].split("/")))
        if path == DESCRIPTION:
            return _json(200, openapi.document())
        place, _, verb = path.rpartition("/")
        product = place.removeprefix("api/")
        if product == place or product not in self._products or verb not in wire.VERBS:
            raise NotFound(f"there is nothing at /{path}")
        caller.require_product(product)
        if request.method != "POST":
            return _json(
                405, wire.refusal(f"the method {request.method} is not used here: use POST"), {"Allow": "POST"}
            )
        body = await read_body(request)
        profile = self._products[product]
        if verb == wire.REVOKE:
            return await self._revoke(profile, wire.read_revoke(body), caller)
        return await self._enrol(profile, product, verb, body, caller, request.headers.get("idempotency-key"))

    async def _enrol(
        self, profile: Profile, product: str, verb: str, body: bytes, caller: Caller, key: str | None
    ) -> Response:
        asked = wire.read_enrol(body)
        caller.require_tier(asked.codes.tier)
        if key is not None and not (1 <= len(key) <= LONGEST_KEY and key.isprintable()):
            raise Malformed(f"the Idempotency-Key is not 1 to {LONGEST_KEY} printable characters")
        call = Call(caller.name, asked.codes, key, wire.digest(f"{product}/{verb}", asked))
        try:
            if verb == wire.ISSUE:
                order = self._vpki.issue(profile, asked.csr, call)
            else:
                order = await run_in_threadpool(self._vpki.reissue, profile, asked.csr, call)
            entry = await self._place(order)
        except (KeyReused, NameTaken):
            # A request that came before, or comes twice at once, meets itself here: nothing is looked up for new ones.
            if (told := await self._told(call)) is not None:
                return told
            raise
        if verb == wire.REISSUE:
            await self._supersede()
        return _json(200, wire.certificate(entry.certificate))

    async def _told(self, call: Call) -> Response | None:
        """Return the answer that a request of this name has had before."""
        if call.request is None:
            return None
        registered: Registered | None = await run_in_threadpool(self._vpki.registered, call)
        if registered is None:
            return None
        if registered.digest != call.digest:
            return _json(422, wire.refusal(errors.OTHER_REQUEST))
        if registered.entry is None:
            return _json(409, wire.refusal(errors.IN_PROGRESS), {"Retry-After": "1"})
        return _json(200, wire.certificate(registered.entry.certificate))

    async def _supersede(self) -> None:
        """Revoke what was reissued; what fails here the backend does later, for the certificate is on record."""
        try:
            await run_in_threadpool(self._vpki.supersede)
        except Failure as failure:
            log.warning("superseding.delayed", extra={"door": "vpki", "why": str(failure)})

    async def _revoke(self, profile: Profile, dn: str, caller: Caller) -> Response:
        missing = NotFound(f"no cert exists on dn {dn}")
        try:
            name = Name.parse(dn)
        except Malformed as error:
            # The definition has no other answer for it, and there is none: the log says what cannot be read.
            log.info("dn.unreadable", extra={"door": "vpki", "why": str(error)})
            raise missing from error
        match await run_in_threadpool(self._vpki.revoke, profile, name, caller.name, caller.require_tier):
            case Outcome.REVOKED:
                return _json(200, wire.done())
            case Outcome.ALREADY:
                return _json(403, wire.refusal(errors.ALREADY_REVOKED))
            case _:
                raise missing


def _json(status: int, body: bytes, headers: dict[str, str] | None = None) -> Response:
    return Response(body, status, headers, media_type=wire.JSON)
