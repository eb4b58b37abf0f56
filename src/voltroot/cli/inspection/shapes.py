"""Taking DER apart by shape: what all readers of this package share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from voltroot.errors import Malformed
from voltroot.pki import der
from voltroot.pki.der import Element

P = ParamSpec("P")
R = TypeVar("R")


def reads(what: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a reader raise Malformed that names what the octets are not, whatever goes wrong in them."""

    def decorate(reader: Callable[P, R]) -> Callable[P, R]:
        @wraps(reader)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return reader(*args, **kwargs)
            except Malformed as error:
                raise Malformed(f"this is not {what}: {error}") from error
            except (ValueError, IndexError, TypeError) as error:
                raise Malformed(f"this is not {what}: its parts are out of shape") from error

        return guarded

    return decorate


def parts(element: Element) -> list[Element]:
    """Return the elements inside a constructed element."""
    return list(der.children(element.content))


def inside(element: Element) -> Element:
    """Return the one element inside an explicit tag or an OCTET STRING."""
    return der.read(element.content)


def take(elements: list[Element], *tags: int) -> Element | None:
    """Remove and return the first element if it has one of the tags: what is OPTIONAL."""
    return elements.pop(0) if elements and elements[0].tag in tags else None


def want(elements: list[Element], *tags: int) -> Element:
    """Remove and return the first element, which has one of the tags."""
    if found := take(elements, *tags):
        return found
    raise Malformed(f"a part with the tag {tags[0]:#04x} is missing")


def read_octets(bits: Element) -> bytes:
    """Return the octets of a BIT STRING without unused bits."""
    if bits.tag != der.BIT_STRING or bits.content[:1] != b"\x00":
        raise Malformed("a signature or key is not a BIT STRING of whole octets")
    return bits.content[1:]
