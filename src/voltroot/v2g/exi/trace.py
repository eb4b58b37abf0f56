"""Explaining a stream: every event and value with its bits, for those who look for the fault of a codec."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from voltroot.v2g.exi.bits import Reader
from voltroot.v2g.exi.codec import Decoded, Kind, Schema, read
from voltroot.v2g.exi.faults import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable

    from voltroot.v2g.exi.states import State

T = TypeVar("T")


class Event(NamedTuple):
    """Some bits: an event code, or, where `code` is None, a value."""

    start: int
    width: int
    code: int | None
    label: str  # "SE(Body)", "AT(Id)", "CH", "EE", "ED", "escape", "unknown"; "value", "header", "padding"
    path: tuple[str, ...]  # the elements that are open, this one included
    value: object = None


class Explanation(NamedTuple):
    """All events up to the end or the fault."""

    events: tuple[Event, ...]
    decoded: Decoded | None
    fault: Unreadable | None


def explain(octets: bytes, schema: Schema, kind: Kind = "document") -> Explanation:
    """What each bit of a stream says; a fault is told, not raised."""
    try:
        tracer = _Tracer(octets)
    except Unreadable as fault:
        return Explanation((), None, fault)
    try:
        decoded = read(tracer, octets, schema, kind)
    except Unreadable as fault:
        return Explanation(tuple(tracer.events), None, fault)
    return Explanation(tuple(tracer.events), decoded, None)


class _Tracer(Reader):
    """Reads as a Reader does and writes down what it read; a value that is read in parts is one event."""

    __slots__ = ("_open", "_within", "events")

    def __init__(self, octets: bytes) -> None:
        super().__init__(octets)
        self.events: list[Event] = []
        self._open: list[str] = []
        self._within = False

    def choose(self, state: State) -> int:
        """Notes an event code, and which elements are open."""
        start = self.pos
        code = super().choose(state)
        if not state.width:
            return code
        label = state.label(code)
        if label.startswith("SE("):
            self._open.append(label[3:-1])
        self.events.append(Event(start, state.width, code, label, tuple(self._open)))
        if label == "EE":
            self._open.pop()
        return code

    def bits(self, width: int) -> int:
        """Notes an n-bit integer."""
        return self._value(lambda: super(_Tracer, self).bits(width))

    def unsigned(self) -> int:
        """Notes an Unsigned Integer."""
        return self._value(super().unsigned)

    def integer(self) -> int:
        """Notes an Integer."""
        return self._value(super().integer)

    def binary(self) -> bytes:
        """Notes a Binary."""
        return self._value(super().binary)

    def string(self, name: object) -> str:
        """Notes a String."""
        return self._value(lambda: super(_Tracer, self).string(name))

    def _value(self, take: Callable[[], T]) -> T:
        if self._within:
            return take()
        self._within = True
        start = self.pos
        value = take()
        self._within = False
        if self.pos > start:
            label = "value" if self._open else "padding" if self.events else "header"
            self.events.append(Event(start, self.pos - start, None, label, tuple(self._open), value))
        return value
