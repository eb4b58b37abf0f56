"""The frames of OCPP-J as values and as text (OCPP 2.1 Part 4, 4.2; 2.0.1 has the first three)."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from voltroot.decoding import UNREADABLE
from voltroot.errors import Malformed

LONGEST_ID = 36
LONGEST_DESCRIPTION = 255
# Answers a frame whose own id could not be read (Part 4, 4.2.3).
NO_ID = "-1"

Payload = dict[str, Any]


class Code(StrEnum):
    """What went wrong with a frame (Part 4, 4.3)."""

    FORMAT_VIOLATION = "FormatViolation"
    GENERIC_ERROR = "GenericError"
    INTERNAL_ERROR = "InternalError"
    MESSAGE_TYPE_NOT_SUPPORTED = "MessageTypeNotSupported"
    NOT_IMPLEMENTED = "NotImplemented"
    NOT_SUPPORTED = "NotSupported"
    OCCURRENCE_CONSTRAINT_VIOLATION = "OccurrenceConstraintViolation"
    PROPERTY_CONSTRAINT_VIOLATION = "PropertyConstraintViolation"
    PROTOCOL_ERROR = "ProtocolError"
    RPC_FRAMEWORK_ERROR = "RpcFrameworkError"
    SECURITY_ERROR = "SecurityError"
    TYPE_CONSTRAINT_VIOLATION = "TypeConstraintViolation"


class Call(NamedTuple):
    """CALL: asks for an action."""

    id: str
    action: str
    payload: Payload


class CallResult(NamedTuple):
    """CALLRESULT: answers a CALL."""

    id: str
    payload: Payload


class CallError(NamedTuple):
    """CALLERROR: says why a CALL is not answered; the code may be one that no standard names."""

    id: str
    code: str
    description: str
    details: Payload


class CallResultError(NamedTuple):
    """CALLRESULTERROR of OCPP 2.1: says why a CALLRESULT was not understood."""

    id: str
    code: str
    description: str
    details: Payload


class Send(NamedTuple):
    """SEND of OCPP 2.1: tells something that nobody answers."""

    id: str
    action: str
    payload: Payload


Frame = Call | CallResult | CallError | CallResultError | Send

KINDS: dict[int, type[Frame]] = {2: Call, 3: CallResult, 4: CallError, 5: CallResultError, 6: Send}
_NUMBERS = {kind: number for number, kind in KINDS.items()}


class Unreadable(Malformed):
    """A text that is no frame: ``id`` is its own as far as it could be read, ``number`` its message type."""

    def __init__(self, why: str, code: Code, id_: str = NO_ID, number: int | None = None) -> None:
        super().__init__(why)
        self.code = code
        self.id = id_
        self.number = number


def read(text: str | bytes) -> Frame:
    """Return the frame that a text holds, or raise Unreadable."""
    try:
        parts = msgspec.json.decode(text)
    except UNREADABLE as error:
        raise Unreadable("this is not JSON", Code.RPC_FRAMEWORK_ERROR) from error
    if not isinstance(parts, list) or len(parts) < 2:
        raise Unreadable("a frame is an array that begins with type and id", Code.RPC_FRAMEWORK_ERROR)
    number, id_, *rest = parts
    if not isinstance(id_, str) or not 1 <= len(id_) <= LONGEST_ID:
        raise Unreadable(f"a message id is a text of 1 to {LONGEST_ID} characters", Code.RPC_FRAMEWORK_ERROR)
    kind = KINDS.get(number) if type(number) is int else None
    if kind is None:
        raise Unreadable("there is no such message type", Code.MESSAGE_TYPE_NOT_SUPPORTED, id_)
    members = list(kind.__annotations__)[1:]
    if rest and rest[-1] is None:
        # Part 4, 4.1.5: nothing to say may be written as null, too.
        rest[-1] = {}
    if [type(part) for part in rest] != [_TYPES[member] for member in members]:
        why = f"{kind.__name__.upper()} has the members {', '.join(['type', 'id', *members])}"
        raise Unreadable(why, Code.RPC_FRAMEWORK_ERROR, id_, number)
    return kind(id_, *rest)


def write(frame: Frame) -> str:
    """Return the text of a frame."""
    return msgspec.json.encode((_NUMBERS[type(frame)], *frame)).decode()


_TYPES: dict[str, type] = {"action": str, "payload": dict, "code": str, "description": str, "details": dict}
