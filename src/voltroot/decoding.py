"""Why something cannot be decoded, for the person who wrote it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

# What msgspec and json raise for octets that they cannot read: broken text and bottomless nesting among them.
UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)

_ENUM = re.compile(r"Invalid enum value (?P<value>.*?) - at `(?P<path>\$.*)`")
_STEP = re.compile(r"\.(\w+)|\[[^]]*\]")


def why(error: Exception, kind: Any) -> str:
    """Return what msgspec says of something that is no ``kind``; of a value that is not allowed, also which are."""
    text = str(error)
    found = _ENUM.search(text) if isinstance(error, msgspec.ValidationError) else None
    allowed = [*_allowed(inspect.type_info(kind), _STEP.findall(found["path"]))] if found else []
    if not found or not allowed:
        return text
    choices = ", ".join(map(str, allowed))
    return f"{found['value']} is not one of {choices} - at `{found['path']}`"


def _allowed(kind: inspect.Type, steps: list[str]) -> Iterator[object]:
    """Yield the values that may stand where a path leads; a step is the name of a member, or empty for any item."""
    match kind:
        case inspect.UnionType(types):
            for each in types:
                yield from _allowed(each, steps)
        case inspect.StructType(fields=fields) if steps:
            for field in fields:
                if field.encode_name == steps[0]:
                    yield from _allowed(field.type, steps[1:])
        case inspect.CollectionType(item_type=item) if steps:
            yield from _allowed(item, steps[1:])
        case inspect.DictType(value_type=item) if steps:
            yield from _allowed(item, steps[1:])
        case inspect.LiteralType(values) if not steps:
            yield from values
        case inspect.EnumType(members) if not steps:
            yield from (each.value for each in members)
