"""Grammar states: which events may come next, and the code of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from voltroot.v2g.exi.bits import Reader, Writer


@dataclass(slots=True, eq=False)
class Production:
    """One event that may come, which member takes its value, how that is read and written, and what comes then."""

    label: str  # "SE(Certificate)", "AT(Id)", "CH"; "EE" and "ED" have nothing to read
    member: str = ""
    name: str = ""  # in the path of a fault: "Certificate", "@Id"
    key: object = None  # what a writer looks for: the member's name, or the value's class in a substitution group
    read: Callable[[Reader], Any] | None = None
    write: Callable[[Writer, Any], None] = NotImplemented
    limit: int = 0  # 0: the member is one value; else a list, and `full` follows after so many
    next: State = field(init=False)
    full: State | None = None
    empty: Production | None = None  # what the escape means where this was due: an element without its text


def refused(label: str, why: str = "") -> Production:
    """An event that has a code and cannot be read."""

    def read(reader: Reader) -> Any:
        raise reader.fault(why or f"{label} is not allowed here")

    return Production(label, read=read)


class State:
    """A position in an element's content. The width of a code and the codes follow from the events, in their order."""

    __slots__ = ("by_key", "end", "mask", "name", "productions", "table", "width")

    def __init__(
        self, name: str, productions: Sequence[Production], *, width: int | None = None, codes: Sequence[int] = ()
    ) -> None:
        self.name = name
        # not strict: one code more than there are events, the escape to second-level codes (EXI 8.5.4.4)
        self.width = len(productions).bit_length() if width is None else width
        self.mask = (1 << self.width) - 1
        self.productions = dict(zip(codes or range(len(productions)), productions, strict=True))
        self.table = [self.productions.get(code, _UNKNOWN) for code in range(1 << self.width)]
        if not codes and width is None:
            self.table[len(productions)] = next((event.empty for event in productions if event.empty), _ESCAPE)
        self.by_key = {event.key: (code, event) for code, event in self.productions.items() if event.key is not None}
        self.end = next((code for code, event in self.productions.items() if event.label == "EE"), None)

    def label(self, code: int) -> str:
        """What a code says here."""
        return self.table[code].label


_UNKNOWN = refused("unknown", "a code that says nothing here")
_ESCAPE = refused("escape", "an event that the schema does not foresee")

END = State("end of element", [Production("EE")])
ENDED = State("after the end", [Production("EE")], width=0)
# Where an element begins, the escape leads to its end (0), or to xsi:type, xsi:nil and content that no schema foresees.
UNFORESEEN = State("what the schema does not foresee", [Production("EE")], width=3)
