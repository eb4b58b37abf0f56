"""The server's end of the Secondary Actor API: one table of paths and methods, each call one function."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from voltroot.actors.cpo import CPO
from voltroot.actors.lab import Lab
from voltroot.actors.oem import OEM
from voltroot.actors.registrar import Enrolment, Outcome, Registrar
from voltroot.apis.bodies import read_body
from voltroot.apis.pnc import errors, openapi, wire
from voltroot.apis.pnc.contracts import Contracts
from voltroot.contract.faults import Level
from voltroot.errors import Failure, MissingField
from voltroot.pki.drafts import Order
from voltroot.pki.judging.codes import SECONDARY_ACTOR
from voltroot.pki.ports import Entry, Reason

log = logging.getLogger("voltroot")

ANY = "*"

Place = Callable[[Order], Awaitable[Entry]]
Call = Callable[["Asked"], Awaitable[bytes]]
R = TypeVar("R", bound=wire.Request)

RESULT_CODES = {
    Outcome.REVOKED: ("4000", "the certificate is revoked"),
    Outcome.ALREADY: ("4002", "the certificate was revoked already"),
    Outcome.NEVER: ("4003", "no certificate exists for this subject DN"),
}


class Asked:
    """One request: its body, the last segment of its path, its query, and who asks."""

    def __init__(self, request: Request, body: bytes, last: str) -> None:
        self.body = body
        self.last = last
        self.by = request.client.host if request.client else ""
        self._request = request

    def read(self, kind: type[R]) -> R:
        """Return the body as a request of a kind."""
        return wire.read(self.body, kind)

    @property
    def edition(self) -> wire.IsoEdition:
        """The optional query parameter ``edition`` of the calls that have no body."""
        try:
            return wire.IsoEdition(self._request.query_params.get("edition", wire.IsoEdition.ISO15118_2.value))
        except ValueError as error:
            raise MissingField("edition", "is neither ISO15118-2 nor ISO15118-20") from error


class Server:
    """An ASGI application; ``place`` hands an order to the authority and awaits what it issued."""

    def __init__(
        self,
        cpo: CPO,
        oem: OEM,
        contracts: Contracts,
        lab: Lab,
        place: Place,
        now: Callable[[], datetime],
        pfx_password: str,
    ) -> None:
        self._cpo = cpo
        self._oem = oem
        self._contracts = contracts
        self._lab = lab
        self._place = place
        self._now = now
        self._pfx_password = pfx_password
        self._calls: dict[tuple[str, ...], dict[str, Call]] = {
            ("cpo", "seccCert"): {"POST": self._issue_secc, "PUT": self._renew_secc, "DELETE": self._revoke_secc},
            ("cpo", "seccCertByCsr"): {"POST": self._issue_secc_by_csr},
            ("cpo", "seccCert", ANY): {"GET": self._download_secc},
            ("cpo", "downloadSeccCert"): {"POST": self._download_pfx},
            ("oem", "provCert"): {"POST": self._issue_prov, "PUT": self._renew_prov, "DELETE": self._revoke_prov},
            ("oem", "provCert", ANY): {"GET": self._download_prov},
            ("oem", "verifyByPcid", ANY): {"GET": self._verify_prov},
            ("mo", "contract"): {
                "POST": self._create_contract,
                "PUT": self._renew_contract,
                "DELETE": self._revoke_contract,
            },
            ("mo", "paymentDetail"): {"POST": self._verify_payment},
            ("ccp", "certificateInstallation"): {"POST": self._install_certificate},
            ("ccp", "certificateUpdate"): {"POST": self._update_certificate},
            ("openapi.json",): {"GET": self._describe},
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        segments = split(request.scope["path"])
        calls = self._find(segments)
        if calls is None:
            return _json(404, wire.error(f"there is nothing at {request.scope['path']}"))
        allow = ", ".join(sorted({*calls, *({"HEAD"} if "GET" in calls else ())}))
        call = calls.get("GET" if request.method == "HEAD" else request.method)
        if call is None:
            return _json(405, wire.error(f"the method {request.method} is not used here: use {allow}"), allow)
        try:
            return _json(200, await call(Asked(request, await read_body(request), segments[-1])))
        except Failure as failure:
            status, message = errors.answer(failure)
            log.log(
                logging.ERROR if status == 500 else logging.INFO,
                "request.refused",
                extra={"door": "pnc", "path": request.scope["path"], "status": status, "why": str(failure)},
            )
            return _json(status, wire.error(message), allow)
        except Exception:
            log.exception("request.failed", extra={"door": "pnc", "path": request.scope["path"]})
            return _json(500, wire.error(errors.INTERNAL))

    def _find(self, segments: tuple[str, ...]) -> dict[str, Call] | None:
        if segments[:2] != ("api", "v2"):
            return None
        return self._calls.get(segments[2:]) or self._calls.get((*segments[2:-1], ANY))

    async def _issue_secc(self, asked: Asked) -> bytes:
        request = asked.read(wire.IssueSecc)
        suite = wire.read_suite(request.suite)
        enrolment = self._cpo.enrol(request.secc_id, request.edition.edition, suite, asked.by)
        entry, pfx = await self._issued(self._cpo, enrolment, request)
        return wire.success(wire.secc_certificate(entry, pfx, self._now()))

    async def _issue_secc_by_csr(self, asked: Asked) -> bytes:
        request = asked.read(wire.IssueSeccByCsr)
        enrolment = self._cpo.enrol_request(request.cn, request.pkcs10_data, request.edition.edition, asked.by)
        entry = await self._placed(enrolment.order, request)
        return wire.success(wire.plain_certificate(entry, enrolment.order.subject))

    async def _download_secc(self, asked: Asked) -> bytes:
        entry = await run_in_threadpool(self._cpo.newest, asked.last, asked.edition.edition)
        return wire.success(wire.plain_certificate(entry, entry.read().subject))

    async def _renew_secc(self, asked: Asked) -> bytes:
        request = asked.read(wire.RenewSecc)
        enrolment = await self._renewal(self._cpo, request.secc_id, request, asked.by)
        entry, pfx = await self._issued(self._cpo, enrolment, request)
        return wire.success(wire.secc_certificate(entry, pfx, self._now()))

    async def _revoke_secc(self, asked: Asked) -> bytes:
        return await self._revoke(self._cpo, asked)

    async def _download_pfx(self, asked: Asked) -> bytes:
        request = asked.read(wire.DownloadPfx)
        pfx = await run_in_threadpool(self._cpo.pfx_from_escrow, request.serial, request.password)
        return wire.success(wire.PfxResult(wire.to_base64(pfx)))

    async def _issue_prov(self, asked: Asked) -> bytes:
        request = asked.read(wire.IssueProv)
        suite, edition, csr = wire.read_suite(request.suite), request.edition.edition, request.pkcs10_data
        if csr is None:
            enrolment = self._oem.enrol(request.pcid, edition, suite, asked.by)
        else:
            enrolment = self._oem.enrol_request(request.pcid, csr, edition, asked.by)
        entry, pfx = await self._issued(self._oem, enrolment, request)
        return wire.success(wire.prov_certificate(entry, pfx, self._now()))

    async def _download_prov(self, asked: Asked) -> bytes:
        entry = await run_in_threadpool(self._oem.newest, asked.last, asked.edition.edition)
        return wire.success(wire.prov_certificate(entry, b"", self._now()))

    async def _renew_prov(self, asked: Asked) -> bytes:
        request = asked.read(wire.RenewProv)
        enrolment = await self._renewal(self._oem, request.pcid, request, asked.by)
        entry, pfx = await self._issued(self._oem, enrolment, request)
        return wire.success(wire.prov_certificate(entry, pfx, self._now()))

    async def _revoke_prov(self, asked: Asked) -> bytes:
        return await self._revoke(self._oem, asked)

    async def _verify_prov(self, asked: Asked) -> bytes:
        judgement = await run_in_threadpool(self._oem.verify, asked.last, asked.edition.edition)
        return wire.success(wire.VerifyResult(SECONDARY_ACTOR.of(judgement)), judgement.text)

    async def _create_contract(self, asked: Asked) -> bytes:
        return wire.success(await self._contracts.create(asked.read(wire.CreateContract), asked.by))

    async def _renew_contract(self, asked: Asked) -> bytes:
        return wire.success(await self._contracts.renew(asked.read(wire.RenewContract), asked.by))

    async def _revoke_contract(self, asked: Asked) -> bytes:
        return await self._revoke(self._contracts.mo, asked)

    async def _verify_payment(self, asked: Asked) -> bytes:
        return wire.success(*await self._contracts.verify(asked.read(wire.VerifyPayment)))

    async def _install_certificate(self, asked: Asked) -> bytes:
        return wire.success(*await self._contracts.install(asked.read(wire.V2gMessage)))

    async def _update_certificate(self, asked: Asked) -> bytes:
        return wire.success(*await self._contracts.update(asked.read(wire.V2gMessage)))

    async def _describe(self, asked: Asked) -> bytes:
        return openapi.document()

    async def _renewal(
        self, registrar: Registrar, holder: str, request: wire.RenewSecc | wire.RenewProv, by: str
    ) -> Enrolment:
        suite = wire.read_suite(request.suite)
        edition = request.edition.edition
        return await run_in_threadpool(registrar.renew, holder, edition, suite, request.pkcs10_data, by)

    async def _placed(self, order: Order, request: wire.Making) -> Entry:
        if request.fault is None:
            return await self._place(order)
        fault = self._lab.fault(request.fault, Level.CERTIFICATE)
        return await self._place(await run_in_threadpool(self._lab.order, order, fault))

    async def _issued(self, registrar: Registrar, enrolment: Enrolment, request: wire.Making) -> tuple[Entry, bytes]:
        entry = await self._placed(enrolment.order, request)
        if enrolment.key is None:
            return entry, b""
        return entry, await run_in_threadpool(registrar.pfx, entry, enrolment.key, self._pfx_password)

    async def _revoke(self, registrar: Registrar, asked: Asked) -> bytes:
        request = asked.read(wire.Revoke)
        edition = request.edition.edition if request.edition else None
        revoked = await run_in_threadpool(registrar.revoke, request.subject_dn, edition, Reason.UNSPECIFIED, asked.by)
        code, message = RESULT_CODES[revoked.outcome]
        serial = str(revoked.newest.serial) if revoked.newest else ""
        return wire.success(wire.RevokeResult(code, message, serial))


def split(path: str) -> tuple[str, ...]:
    """Return the segments of a percent-encoded path; repeated slashes are one, as the manual's examples want."""
    return tuple(unquote(segment) for segment in path.split("/") if segment)


def _json(status: int, body: bytes, allow: str = "") -> Response:
    headers = {"Allow": allow} if status == 405 else {}
    return Response(body, status, headers, media_type="application/json")
