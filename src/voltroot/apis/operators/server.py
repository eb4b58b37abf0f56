"""The server's end of the operators' API: who calls, which call, what it asks, and the answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from voltroot.actors.csms import passwords
from voltroot.actors.csms.entrance import WITH_PASSWORD
from voltroot.actors.csms.operations import OPEN, Listed, Operations, Selection
from voltroot.actors.csms.operators import Acting
from voltroot.actors.csms.stations import Stations
from voltroot.apis.bodies import read_body
from voltroot.apis.operators import errors, openapi, views, wire
from voltroot.apis.operators.calls import CALLS, Call
from voltroot.apis.operators.door import Door
from voltroot.errors import Failure, Malformed, NotFound
from voltroot.pki.ports import Clock

log = logging.getLogger("voltroot")

READING = ("GET", "HEAD")


class Presence(Protocol):
    """Stations and their connections. Safe among threads; Unavailable when the database does not answer."""

    def listed(self, selection: Selection = ..., after: str = "", limit: int | None = None) -> list[Listed]:
        """Return stations by identity, those after one."""
        ...

    def station(self, identity: str) -> Listed:
        """Return one, or raise NotFound."""
        ...


class Asked(NamedTuple):
    """One request: by whom, what is in its path, in the question of its address and in its body."""

    by: Acting
    segment: str
    query: Any
    body: Any


class Server:
    """An ASGI application. ``changed`` waits until something may have changed, but no longer than so many seconds;
    ``organization`` is whose stations are unless it is said."""

    def __init__(
        self,
        door: Door,
        stations: Stations,
        presence: Presence,
        operations: Operations,
        changed: Callable[[float], Awaitable[None]],
        now: Clock,
        organization: str,
    ) -> None:
        self._door = door
        self._stations = stations
        self._presence = presence
        self._operations = operations
        self._changed = changed
        self._now = now
        self._organization = organization
        self._answers: dict[str, Callable[[Asked], Any]] = {
            "listStations": self._list_stations,
            "addStation": self._add_station,
            "showStation": self._show_station,
            "changeStation": self._change_station,
            "removeStation": self._remove_station,
            "showCertificates": self._show_certificates,
            "startJob": self._start_job,
            "listJobs": self._list_jobs,
            "showJob": self._show_job,
            "stopJob": self._stop_job,
            "listOperations": self._list_operations,
            "showOperation": self._show_operation,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path, by = request.scope["path"], ""
        try:
            if path == openapi.PATH and request.method in READING:
                return Response(openapi.document(), media_type=wire.JSON)
            changing = request.method not in READING
            acting = await run_in_threadpool(self._door.admit, request.headers, changing=changing)
            by = acting.name
            return await self._call(request, acting)
        except Failure as failure:
            status = errors.status(failure)
            facts = {"door": "operators", "path": path[:200], "status": status.value, "why": str(failure), "by": by}
            log.log(logging.ERROR if status >= HTTPStatus.INTERNAL_SERVER_ERROR else logging.INFO, "request.refused",
                    extra=facts)  # fmt: skip
            return _problem(status, str(failure))
        except Exception:
            log.exception("request.failed", extra={"door": "operators", "path": path[:200], "by": by})
            return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, errors.INTERNAL)

    async def _call(self, request: Request, by: Acting) -> Response:
        place, _, segment = _split(request.scope["path"])
        known = CALLS.get(place)
        if known is None:
            raise NotFound(f"there is nothing here: {openapi.PATH} says what there is")
        call = known.get("GET" if request.method == "HEAD" else request.method)
        if call is None:
            return _problem(
                HTTPStatus.METHOD_NOT_ALLOWED,
                f"the method {request.method} is not used here: use {' or '.join(known)}",
                {"Allow": ", ".join(known)},
            )
        query = wire.read_query(request.url.query, call.query)
        body = await _body(request, call)
        asked = Asked(by, segment, query, body)
        answer = await self._waited(call, asked)
        headers = {"Location": f"/v1/jobs/{answer.number}"} if isinstance(answer, views.JobView) and body else None
        content = b"" if answer is None else msgspec.json.encode(answer)
        return Response(content, call.status, headers, media_type=wire.JSON if content else None)

    async def _waited(self, call: Call, asked: Asked) -> Any:
        """Answer, as soon as what is asked for has ended if that is waited for."""
        until = time.monotonic() + getattr(asked.query, "wait", 0)
        while True:
            answer = await run_in_threadpool(self._answers[call.name], asked)
            left = until - time.monotonic()
            if left <= 0 or _has_ended(answer):
                return answer
            await self._changed(left)

    def _list_stations(self, asked: Asked) -> views.StationsPage:
        wanted = asked.query
        selection = Selection((), wanted.profile, wanted.connected, wanted.beginning)
        found = self._presence.listed(selection, wanted.after, wanted.limit + 1)
        page = [views.station(each) for each in found[: wanted.limit]]
        return views.StationsPage(stations=page, next=page[-1].identity if len(found) > len(page) else None)

    def _add_station(self, asked: Asked) -> views.NewStation:
        wanted: wire.Registration = asked.body
        made = passwords.generate() if wanted.password is None and wanted.profile in WITH_PASSWORD else None
        password = wanted.password or made
        secret = passwords.make(password) if password else None
        self._stations.add(wire.registered(wanted, self._organization, secret), asked.by)
        return views.NewStation(station=views.station(self._presence.station(wanted.identity)), password=made)

    def _show_station(self, asked: Asked) -> views.StationView:
        return views.station(self._presence.station(wire.read_identity(asked.segment)))

    def _change_station(self, asked: Asked) -> views.StationView:
        identity = wire.read_identity(asked.segment)
        members = {
            name: value
            for name in wire.Change.__struct_fields__
            if (value := getattr(asked.body, name)) is not msgspec.UNSET
        }
        if "password" in members:
            members |= {"secret": passwords.make(members.pop("password")), "next_secret": None}
        if "profile" in members:
            members["next_profile"] = None
        if members:
            self._stations.alter(identity, members, asked.by)
        return views.station(self._presence.station(identity))

    def _remove_station(self, asked: Asked) -> None:
        identity = wire.read_identity(asked.segment)
        self._presence.station(identity)
        self._stations.remove(identity, asked.by)

    def _show_certificates(self, asked: Asked) -> views.Certificates:
        identity = wire.read_identity(asked.segment)
        self._presence.station(identity)
        installed = [
            views.InstalledView(certificate_type=kind, read_at=at, certificates=content)
            for kind, at, content in self._stations.stock_taken(identity)
        ]
        return views.Certificates(station=identity, installed=installed)

    def _start_job(self, asked: Asked) -> views.JobView:
        wanted: wire.AnyAsked = asked.body
        selection, wish = wanted.selection(), wire.wish(wanted, self._now())
        patience = timedelta(seconds=wanted.patience) if wanted.patience else None
        started = self._operations.ask(wish, selection, asked.by, at_once=wanted.at_once, patience=patience)
        return views.job(started)

    def _list_jobs(self, asked: Asked) -> views.JobsPage:
        limit = asked.query.limit
        found = self._operations.jobs(asked.query.before, limit + 1)
        page = [views.job(each) for each in found[:limit]]
        return views.JobsPage(jobs=page, next=page[-1].number if len(found) > limit else None)

    def _show_job(self, asked: Asked) -> views.JobView:
        return views.job(self._operations.job(wire.read_number(asked.segment)))

    def _stop_job(self, asked: Asked) -> views.Stopped:
        return views.Stopped(stopped=self._operations.stop(wire.read_number(asked.segment), asked.by))

    def _list_operations(self, asked: Asked) -> views.OperationsPage:
        wanted: wire.OperationsQuery = asked.query
        found = self._operations.listed(
            station=wanted.station,
            job=wanted.job,
            states=(wanted.state,) if wanted.state else (),
            before=wanted.before,
            limit=wanted.limit + 1,
        )
        page = [views.operation(each) for each in found[: wanted.limit]]
        return views.OperationsPage(operations=page, next=page[-1].number if len(found) > len(page) else None)

    def _show_operation(self, asked: Asked) -> views.OperationView:
        return views.operation(self._operations.operation(wire.read_number(asked.segment)))


def _split(path: str) -> tuple[str, str, str]:
    """Return the place of a path with a star for what is in it, and that."""
    place = path.rstrip("/").split("/")
    if len(place) > 3:
        segment, place[3] = place[3], "*"
        return "/".join(place), "/", segment
    return "/".join(place), "", ""


async def _body(request: Request, call: Call) -> Any:
    if call.body is None:
        return None
    octets = await read_body(request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != wire.JSON:
        # What a page in a browser may send anywhere without asking is never this.
        raise Malformed(f"the request is {kind or 'of no type'}, not {wire.JSON}: curl sends it with --json")
    return wire.read_body(octets, call.body)


def _has_ended(answer: Any) -> bool:
    if isinstance(answer, views.JobView):
        return answer.ended
    return not (isinstance(answer, views.OperationView) and answer.state in OPEN)


def _problem(status: HTTPStatus, detail: str, headers: dict[str, str] | None = None) -> Response:
    more = {
        HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "Bearer"},
        HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": "2"},
    }
    headers = (headers or {}) | more.get(status, {})
    return Response(errors.problem(status, detail), status, headers, media_type=errors.PROBLEM)
