"""The station's local door: JSON over HTTP, for the program that speaks to cars and for the command line."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from voltroot.actors.station.contracts import Decision
from voltroot.actors.station.outcomes import Installation
from voltroot.actors.station.vehicles import Verdict
from voltroot.apis.bodies import read_body
from voltroot.apis.car import errors
from voltroot.decoding import UNREADABLE, why
from voltroot.errors import Failure, Malformed, NotFound

log = logging.getLogger("voltroot")

JSON = "application/json"


class Chain(Struct, frozen=True):
    """A car's certificate, for a contract or for TLS, with those above it in PEM, leaf first."""

    chain: str


class Csr(Struct, frozen=True):
    """A certification request in PEM whose key is in the store."""

    csr: str


class Key(Struct, frozen=True):
    """A certificate that the station is to ask for with a new key: its type as OCPP names it, and for which EVSE."""

    type: str
    evse: int | None = None


class Desk(Protocol):
    """What is behind the door. Each raises Unavailable where the CSMS is away."""

    def status(self) -> dict[str, Any]:
        """Return how the station stands."""
        ...

    def install(self, payload: dict[str, Any]) -> Awaitable[dict[str, Any]]:
        """Return Get15118EVCertificateResponse for the request."""
        ...

    def authorize(self, chain: str) -> Awaitable[Decision]:
        """Decide whether a car may charge."""
        ...

    def admit(self, chain: str) -> Awaitable[Verdict]:
        """Decide whether a car's certificate for TLS will do."""
        ...

    def certify(self, csr: str) -> Awaitable[Installation]:
        """Have the CSMS sign a request, and install the certificate."""
        ...

    def renew(self, type_: str, evse: int | None) -> Awaitable[Installation]:
        """Have the CSMS sign a new key of the station's, and install the certificate."""
        ...


class Server:
    """An ASGI application."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._calls: dict[tuple[str, str], Callable[[bytes], Awaitable[Any]]] = {
            ("GET", "/status"): self._status,
            ("POST", "/installation"): self._install,
            ("POST", "/authorization"): self._authorize,
            ("POST", "/certification"): self._certify,
            ("POST", "/key"): self._renew,
            ("POST", "/vehicle"): self._admit,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = request.scope["path"]
        try:
            call = self._calls.get((request.method, path))
            if call is None:
                raise NotFound(f"there is no {request.method} {path[:100]}")
            if request.method == "POST" and request.headers.get("content-type") != JSON:
                # A page in a browser on this machine cannot send this without being asked whether it may.
                raise Malformed(f"the content type has to be {JSON}")
            return _json(200, await call(await read_body(request)))
        except Failure as failure:
            log.info("request.refused", extra={"door": "car", "path": path[:100], "why": str(failure)})
            return _json(errors.status(failure), {"why": str(failure)})
        except Exception:
            log.exception("request.failed", extra={"door": "car", "path": path[:100]})
            return _json(500, {"why": "internal error"})

    async def _status(self, body: bytes) -> Any:
        return self._desk.status()

    async def _install(self, body: bytes) -> Any:
        return await self._desk.install(_read(body, dict[str, Any]))

    async def _authorize(self, body: bytes) -> Any:
        decision = await self._desk.authorize(_read(body, Chain).chain)
        return {
            "accepted": decision.accepted,
            "emaid": decision.emaid,
            "idTokenStatus": decision.status,
            "certificateStatus": decision.certificate,
            "online": decision.online,
            "why": decision.why,
        }

    async def _admit(self, body: bytes) -> Any:
        verdict = await self._desk.admit(_read(body, Chain).chain)
        return {"accepted": verdict.accepted, "status": verdict.status, "why": verdict.why}

    async def _certify(self, body: bytes) -> Any:
        return _told(await self._desk.certify(_read(body, Csr).csr))

    async def _renew(self, body: bytes) -> Any:
        wanted = _read(body, Key)
        return _told(await self._desk.renew(wanted.type, wanted.evse))


def _told(installation: Installation) -> Any:
    return {"status": installation.status.value, "reason": installation.reason}


def _read(body: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE as error:
        raise Malformed(f"the request cannot be read: {why(error, kind)}") from error


def _json(status: int, content: Any) -> Response:
    return Response(msgspec.json.encode(content), status, media_type=JSON)
