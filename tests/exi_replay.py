"""What must hold for any octets: the target of exi_fuzz.py, and of the test that replays its corpus."""

from __future__ import annotations

from voltroot.v2g.exi import Kind, Unreadable, decode, encode, encode_fragment
from voltroot.v2g.schemas import SCHEMAS

_KINDS: tuple[Kind, ...] = ("document", "fragment")
WAYS = [(schema, kind) for schema in SCHEMAS.values() for kind in _KINDS]


def replay(chosen: bytes) -> None:
    """Reads an input in the way that its first octet chooses; asserts what must hold."""
    schema, kind = WAYS[(chosen[0] if chosen else 0) % len(WAYS)]
    octets = chosen[1:]
    try:
        decoded = decode(octets, schema, kind)
    except Unreadable as fault:
        if not 0 <= (fault.bit or 0) <= 8 * len(octets):
            raise AssertionError(f"a fault at bit {fault.bit} of {8 * len(octets)}") from fault
        return
    if kind == "document":
        again = encode(decoded.value, schema, facets=False)
    else:
        again = encode_fragment(decoded.element, decoded.value, schema, facets=False)
    assert decode(again, schema, kind).value == decoded.value
