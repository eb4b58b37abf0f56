"""What is wrong with a stream or a value, and where."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from voltroot.errors import Malformed


class Unreadable(Malformed):
    """A stream that cannot be read, or a value that cannot be written: `path` names the elements from the root down."""

    def __init__(self, why: str, bit: int | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.bit = bit
        self.path: tuple[str, ...] = ()

    def below(self, *names: str) -> Unreadable:
        """The same fault, seen from further up."""
        self.path = (*filter(None, names), *self.path)
        return self

    def __str__(self) -> str:
        places = [f"bit {self.bit}"] if self.bit is not None else []
        places += ["/".join(self.path)] if self.path else []
        return ": ".join([", ".join(places), self.why]) if places else self.why


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Adds an element to the path of what goes wrong in it."""
    try:
        yield
    except Unreadable as fault:
        fault.below(name)
        raise
