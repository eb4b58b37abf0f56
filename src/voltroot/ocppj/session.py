"""One connection: which call is open, what waits for it, what an answer belongs to, and when patience ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from voltroot.errors import Malformed, Unavailable
from voltroot.ocppj import schemas
from voltroot.ocppj.frames import (
    LONGEST_DESCRIPTION,
    Call,
    CallError,
    CallResult,
    CallResultError,
    Code,
    Frame,
    Payload,
    Send,
    Unreadable,
    read,
    write,
)
from voltroot.ocppj.schemas import Version

PATIENCE = timedelta(seconds=30)
MOST_WAITING = 100  # calls of ours that wait for the open one
MOST_ASKED = 8  # calls of the peer's that are not answered yet: one is allowed, some send more


class Text(NamedTuple):
    """A text to be sent."""

    text: str


class Called(NamedTuple):
    """The peer asks for an action: ``reply`` or ``refuse`` answers."""

    id: str
    action: str
    payload: Payload


class Refusal(NamedTuple):
    """Why a call of the peer's is refused: what a CALLERROR says."""

    code: Code
    description: str


class Told(NamedTuple):
    """The peer tells something that nobody answers."""

    action: str
    payload: Payload


class Answered(NamedTuple):
    """Our call was answered."""

    id: str
    action: str
    payload: Payload


class Refused(NamedTuple):
    """Our call was refused, or its answer cannot be read."""

    id: str
    action: str
    code: str
    description: str


class TimedOut(NamedTuple):
    """Nobody answered our call in time; what comes later is dropped."""

    id: str
    action: str


class Dropped(NamedTuple):
    """Something came that belongs to nothing: for the log."""

    why: str


Event = Text | Called | Told | Answered | Refused | TimedOut | Dropped


class _Open(NamedTuple):
    call: Call
    until: datetime


class Session:
    """Both directions of one connection; every method returns what is to be done, in order.

    One call of ours is open at a time (Part 4, 4.1.1); others wait. Every payload is checked against its schema, in and
    out. ``new_id`` makes message ids of at most 36 characters that are never used twice.
    """

    def __init__(self, version: Version, new_id: Callable[[], str], patience: timedelta = PATIENCE) -> None:
        self.version = version
        self._new_id = new_id
        self._patience = patience
        self._open: _Open | None = None
        self._waiting: deque[Call] = deque()
        self._asked: dict[str, str] = {}

    @property
    def deadline(self) -> datetime | None:
        """When ``tick`` is wanted next."""
        return self._open.until if self._open else None

    def call(self, action: str, payload: Payload, now: datetime) -> tuple[str, list[Event]]:
        """Ask for an action, now or when its turn comes; the id tells its answer from others.

        Raises Malformed for a payload that the schema does not allow, Unavailable where too many calls wait.
        """
        self._require(action, "Request", payload)
        if len(self._waiting) >= MOST_WAITING:
            raise Unavailable(f"{MOST_WAITING} calls wait for this peer's answer: ask later")
        call = Call(self._new_id(), action, payload)
        self._waiting.append(call)
        return call.id, self._next(now)

    def tell(self, action: str, payload: Payload) -> list[Event]:
        """Tell something that nobody answers (OCPP 2.1); raises Malformed as ``call`` does."""
        self._require(action, None, payload)
        return [Text(write(Send(self._new_id(), action, payload)))]

    def reply(self, id_: str, payload: Payload) -> list[Event]:
        """Answer a call of the peer's; raises Malformed for what the schema does not allow: it is open still."""
        self._require(self._asked[id_], "Response", payload)
        del self._asked[id_]
        return [Text(write(CallResult(id_, payload)))]

    def refuse(self, id_: str, code: Code, description: str = "", details: Payload | None = None) -> list[Event]:
        """Answer a call of the peer's with a CALLERROR."""
        del self._asked[id_]
        return [_error(id_, code, description, details)]

    def receive(self, text: str | bytes, now: datetime) -> list[Event]:
        """Take in a text that came."""
        try:
            frame = read(text)
        except Unreadable as unreadable:
            return self._unreadable(unreadable, now)
        if isinstance(frame, CallResultError | Send) and self.version is Version.V2_0_1:
            why = f"{self.version} has no such message type"
            return [_error(frame.id, Code.MESSAGE_TYPE_NOT_SUPPORTED, why)]
        match frame:
            case Call():
                return self._called(frame)
            case Send():
                violation = schemas.check(self.version, frame.action, None, frame.payload)
                return [Dropped(violation.text) if violation else Told(frame.action, frame.payload)]
            case CallResultError():
                return [Dropped(f"an answer of ours was not understood: {frame.code} {frame.description}")]
            case CallResult() | CallError():
                return self._answered(frame, now)

    def tick(self, now: datetime) -> list[Event]:
        """Notice that time has passed."""
        if self._open is None or now < self._open.until:
            return []
        call = self._close()
        return [TimedOut(call.id, call.action), *self._next(now)]

    def lost(self) -> list[Event]:
        """The connection is gone: nobody will answer what is open or waits."""
        calls = [*([self._close()] if self._open else []), *self._waiting]
        self._waiting.clear()
        self._asked.clear()
        return [TimedOut(call.id, call.action) for call in calls]

    def _called(self, call: Call) -> list[Event]:
        if call.id in self._asked:
            # Part 4, 4.2.3
            return [_error(call.id, Code.RPC_FRAMEWORK_ERROR, "a call with this id is being worked on")]
        if len(self._asked) >= MOST_ASKED:
            return [_error(call.id, Code.RPC_FRAMEWORK_ERROR, "wait for the answers to your calls before the next")]
        violation = schemas.check(self.version, call.action, "Request", call.payload)
        if violation:
            return [_error(call.id, violation.code, violation.text)]
        self._asked[call.id] = call.action
        return [Called(*call)]

    def _answered(self, frame: CallResult | CallError, now: datetime) -> list[Event]:
        if self._open is None or self._open.call.id != frame.id:
            return [Dropped(f"an answer to {frame.id}, which nobody waits for")]
        call = self._close()
        if isinstance(frame, CallError):
            return [Refused(call.id, call.action, frame.code, frame.description), *self._next(now)]
        payload = frame.payload
        violation = schemas.check(self.version, call.action, "Response", payload)
        if violation:
            payload = schemas.mended(call.action, payload)
            violation = schemas.check(self.version, call.action, "Response", payload)
        if violation:
            return [*self._misunderstood(call, *violation), *self._next(now)]
        return [Answered(call.id, call.action, payload), *self._next(now)]

    def _misunderstood(self, call: Call, code: Code, why: str) -> list[Event]:
        """Our call was answered, but not in a way that can be read: OCPP 2.1 lets the peer know."""
        told = CallResultError(call.id, code, _short(why), {})
        events: list[Event] = [] if self.version is Version.V2_0_1 else [Text(write(told))]
        return [*events, Refused(call.id, call.action, code, why)]

    def _unreadable(self, unreadable: Unreadable, now: datetime) -> list[Event]:
        kind = unreadable.number
        if kind in (3, 4) and self._open is not None and self._open.call.id == unreadable.id:
            call, why = self._close(), str(unreadable)
            if kind == 4:
                return [Refused(call.id, call.action, unreadable.code, why), *self._next(now)]
            return [*self._misunderstood(call, unreadable.code, why), *self._next(now)]
        if kind in (None, 2):
            return [_error(unreadable.id, unreadable.code, str(unreadable))]
        return [Dropped(str(unreadable))]

    def _next(self, now: datetime) -> list[Event]:
        if self._open is not None or not self._waiting:
            return []
        call = self._waiting.popleft()
        self._open = _Open(call, now + self._patience)
        return [Text(write(call))]

    def _close(self) -> Call:
        assert self._open is not None
        call, self._open = self._open.call, None
        return call

    def _require(self, action: str, part: schemas.Part | None, payload: Payload) -> None:
        if violation := schemas.check(self.version, action, part, payload):
            raise Malformed(f"{action}{part or ''}: {violation.text}")


def _error(id_: str, code: Code, description: str, details: Payload | None = None) -> Text:
    frame: Frame = CallError(id_, code, _short(description), details or {})
    return Text(write(frame))


def _short(description: str) -> str:
    return description[:LONGEST_DESCRIPTION]
