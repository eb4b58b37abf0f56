"""Who comes to a WebSocket: read from the request that opens it, judged beside the loop, let in or sent away."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote, urlsplit
from weakref import WeakKeyDictionary

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from voltroot.actors.csms.entrance import Admitted, Asked
from voltroot.errors import Failure, Malformed, NotFound, ProofFailed, Unavailable

log = logging.getLogger("voltroot")

MOST_ARRIVING = 10_000  # connections that wait to be judged; the next are told to come later
JUDGES = 4
RETRY_AFTER = "10"


class Arrivals:
    """Has stations judged by ``admit``, which blocks, and is called from several threads."""

    def __init__(self, admit: Callable[[Asked], Admitted]) -> None:
        self._admit = admit
        self._threads = ThreadPoolExecutor(JUDGES, thread_name_prefix="judges")
        self._judging = 0
        self._admitted: WeakKeyDictionary[ServerConnection, tuple[Asked, Admitted]] = WeakKeyDictionary()

    async def judge(self, connection: ServerConnection, request: Request, profile: int) -> Response | None:
        """Let a station in, or return what it is told: nobody learns more than that."""
        if self._judging >= MOST_ARRIVING:
            response = connection.respond(503, "too many stations come at once\n")
            response.headers["Retry-After"] = RETRY_AFTER
            return response
        self._judging += 1
        try:
            asked = _asked(connection, request, profile)
            admitted = await asyncio.get_running_loop().run_in_executor(self._threads, self._admit, asked)
        except Failure as failure:
            log.warning("station.refused", extra={"path": request.path[:200], "profile": profile, "why": str(failure)})
            return _refusal(connection, failure)
        except Exception:
            log.exception("station.unjudged", extra={"path": request.path[:200]})
            return connection.respond(500, "internal error\n")
        finally:
            self._judging -= 1
        self._admitted[connection] = asked, admitted
        return None

    def take(self, connection: ServerConnection) -> tuple[Asked, Admitted]:
        """Return what was found out about a station that was let in, once: it is forgotten here."""
        return self._admitted.pop(connection)

    def stop(self) -> None:
        """Let nobody in any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _asked(connection: ServerConnection, request: Request, profile: int) -> Asked:
    identity = unquote(urlsplit(request.path).path.rpartition("/")[2])
    if not identity.isprintable() or ":" in identity or not 1 <= len(identity) <= 48:
        raise NotFound("the address ends in no identity of a station: /ocpp/IDENTITY")
    tls = connection.transport.get_extra_info("ssl_object")
    certificate = tls.getpeercert(binary_form=True) if tls is not None else None
    user, password = _credentials(request)
    return Asked(identity, profile, user, password, certificate)


def _credentials(request: Request) -> tuple[str | None, str | None]:
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None, None
    try:
        user, _, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Malformed("the Authorization header cannot be read") from error
    return user, password


def _refusal(connection: ServerConnection, failure: Failure) -> Response:
    if isinstance(failure, NotFound):
        # OCPP 2.0.1 part 4, 3.1.1
        return connection.respond(404, "unknown\n")
    if isinstance(failure, ProofFailed):
        response = connection.respond(401, "unauthorized\n")
        response.headers["WWW-Authenticate"] = 'Basic realm="OCPP", charset="UTF-8"'
        return response
    if isinstance(failure, Unavailable):
        response = connection.respond(503, "try again later\n")
        response.headers["Retry-After"] = RETRY_AFTER
        return response
    return connection.respond(400 if isinstance(failure, Malformed) else 403, "refused\n")
