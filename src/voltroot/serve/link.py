"""One WebSocket between a charging station and a CSMS, at either end: its OCPP session, and what goes on over it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import uuid4

from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed

from voltroot.errors import Failure, Refused, Unavailable
from voltroot.ocppj import session
from voltroot.ocppj.frames import Code, Payload
from voltroot.ocppj.schemas import Version
from voltroot.ocppj.session import Called, Event, Refusal, Session

log = logging.getLogger("voltroot")

ANSWER_WITHIN = session.PATIENCE
SEND_WITHIN, CLOSE_WITHIN = 20, 5
LARGEST = 1 << 18  # octets of a message
# A00.FR.318, 421: the four that a CSMS has to have, two of each certificate, and two that keep yesterday secret.
CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:AES128-GCM-SHA256:AES256-GCM-SHA384"
)

Then = Callable[[], Awaitable[None]]
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class Answerer(Protocol):
    """What answers the peer's calls."""

    def answer(self, link: Link, action: str, payload: Payload) -> Awaitable[tuple[Payload | Refusal, Then | None]]:
        """Await the answer to a call, and what is to be done once it is sent."""
        ...


class Link:
    """One connection of a station, with the ``profile`` of its security; ``peer`` is what the other end is called."""

    def __init__(self, connection: Connection, identity: str, profile: int, answerer: Answerer, peer: str = "") -> None:
        self.identity = identity
        self.profile = profile
        self.version = Version(str(connection.subprotocol))
        self._connection = connection
        self._answerer = answerer
        self._peer = peer or identity
        self._session = Session(self.version, lambda: str(uuid4()), ANSWER_WITHIN)
        self._answers: dict[str, asyncio.Future[Payload]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def call(self, action: str, payload: Payload) -> Payload:
        """Return the peer's answer; Refused for a CALLERROR, Unavailable where none comes, Malformed for a payload
        that is none."""
        id_, events = self._session.call(action, payload, _now())
        answer: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()
        self._answers[id_] = answer
        await self._do(events)
        try:
            return await answer
        finally:
            self._answers.pop(id_, None)

    async def listen(self) -> None:
        """Take in what comes until the connection ends."""
        async for text in self._connection:
            await self._do(self._session.receive(text, _now()))

    async def abandon(self) -> None:
        """Leave off all that is going on over the connection; who waits for an answer hears that none will come."""
        if self._timer is not None:
            self._timer.cancel()
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for id_ in [event.id for event in self._session.lost() if isinstance(event, session.TimedOut)]:
            self._settle(id_, Unavailable(f"{self._peer} is gone"))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection, which takes a while where nobody is there any more."""
        with contextlib.suppress(ConnectionClosed, TimeoutError):
            async with asyncio.timeout(CLOSE_WITHIN):
                await self._connection.close(code, reason)

    async def _do(self, events: Sequence[Event]) -> None:
        for event in events:
            match event:
                case session.Text(text):
                    await self._send(text)
                case Called():
                    self._start(self._answer(event))
                case session.Answered(id_, _, payload):
                    self._settle(id_, payload)
                case session.Refused(id_, action, code, description):
                    self._settle(id_, Refused(f"{self._peer} refuses {action}: {code} {description}".strip()))
                case session.TimedOut(id_, action):
                    self._settle(id_, Unavailable(f"{self._peer} does not answer {action}"))
                case session.Dropped(why):
                    log.info("frame.dropped", extra={"station": self.identity, "why": why})
                case session.Told():
                    pass
        self._arm()

    async def _send(self, text: str) -> None:
        try:
            async with asyncio.timeout(SEND_WITHIN):
                await self._connection.send(text)
        except TimeoutError:
            log.warning("peer.too_slow", extra={"station": self.identity})
            self._connection.transport.abort()
        except ConnectionClosed:
            pass

    async def _answer(self, called: Called) -> None:
        then: Then | None = None
        try:
            answer, then = await self._answerer.answer(self, called.action, called.payload)
            if isinstance(answer, Refusal):
                events = self._session.refuse(called.id, *answer)
            else:
                events = self._session.reply(called.id, answer)
        except Exception:
            log.exception("call.failed", extra={"station": self.identity, "action": called.action})
            events = self._session.refuse(called.id, Code.INTERNAL_ERROR, "internal error: try again later")
        await self._do(events)
        if then is not None:
            self._start(self._follow(then))

    async def _follow(self, then: Then) -> None:
        try:
            await then()
        except Failure as failure:
            log.warning("work.left", extra={"station": self.identity, "why": str(failure)})
        except Exception:
            log.exception("call.failed", extra={"station": self.identity})

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _settle(self, id_: str, outcome: Payload | Failure) -> None:
        answer = self._answers.get(id_)
        if answer is None or answer.done():
            return
        if isinstance(outcome, Failure):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)

    def _arm(self) -> None:
        deadline = self._session.deadline
        if deadline is None or (self._timer is not None and not self._timer.cancelled()):
            return
        wait = max(0.0, (deadline - _now()).total_seconds())
        self._timer = asyncio.get_running_loop().call_later(wait, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._start(self._do(self._session.tick(_now())))


def _now() -> datetime:
    """A clock that nobody sets: time-outs are the same whatever the time of day is believed to be."""
    return _EPOCH + timedelta(seconds=asyncio.get_running_loop().time())
