"""A codec to measure beside: a shared library with the interface of libcbv2g, asked by lines of JSON as ``josev`` is.

Run as a process of its own, since C may end it.
"""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any

from voltroot.bench.josev import say, timed

# The struct of a message is not looked into: decoding fills it, encoding reads it. The largest has 320 kB.
STRUCT, STREAM, LARGEST = 1 << 20, 256, 1 << 16
FUNCTIONS = {
    "urn:iso:15118:2:2013:MsgDef": ("decode_iso2_exiDocument", "encode_iso2_exiDocument"),
    "urn:iso:std:iso:15118:-20:CommonMessages": ("decode_iso20_exiDocument", "encode_iso20_exiDocument"),
}


class Codec:
    """A message on its way through the library and back."""

    def __init__(self, library: Any, namespace: str, octets: bytes) -> None:
        decode, encode = FUNCTIONS[namespace]
        self._library = library
        self._decode, self._encode = getattr(library, decode), getattr(library, encode)
        self._received = ctypes.create_string_buffer(octets, len(octets))
        self._written = ctypes.create_string_buffer(LARGEST)
        self._stream = ctypes.create_string_buffer(STREAM)
        self._struct = ctypes.create_string_buffer(STRUCT)

    def decode(self) -> None:
        """Decode the octets into the struct."""
        self._begin(self._received)
        _require(self._decode(self._stream, self._struct), "decoding")

    def encode(self) -> bytes:
        """Encode the struct, once it was decoded."""
        self._begin(self._written)
        _require(self._encode(self._stream, self._struct), "encoding")
        return ctypes.string_at(self._written, self._library.exi_bitstream_get_length(self._stream))

    def _begin(self, buffer: ctypes.Array[ctypes.c_char]) -> None:
        size, offset = ctypes.c_size_t(len(buffer)), ctypes.c_size_t(0)
        self._library.exi_bitstream_init(self._stream, buffer, size, offset, None)


def answer(library: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """Answer one question; both ways begin with ``exi``, since there is no other way into the struct."""
    codec = Codec(library, asked["namespace"], bytes.fromhex(asked["exi"]))
    codec.decode()
    if "seconds" in asked:
        return timed(codec.encode if asked["do"] == "encode" else codec.decode, asked["seconds"])
    return {"exi": codec.encode().hex()}


def main(path: str) -> None:
    """Load the library and answer lines until there are none."""
    library = ctypes.CDLL(path)
    library.exi_bitstream_get_length.restype = ctypes.c_size_t
    say({"name": "C", "version": ""})
    for line in sys.stdin:
        try:
            say(answer(library, json.loads(line)))
        except (KeyError, AttributeError, OSError) as error:
            say({"error": f"the library cannot do it: {error}"})


def _require(status: int, what: str) -> None:
    if status:
        raise OSError(f"{what} fails with {status}")


if __name__ == "__main__":
    main(sys.argv[1])
