"""A codec to measure beside: EXICodec.jar as the PyPI package ``iso15118`` calls it, asked by lines of JSON.

Run by the Python of an environment that has that package; so nothing of Voltroot is imported here.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any


def main() -> None:
    """Say the version, then answer lines until there are none.

    ``{"do": "encode", "namespace": ..., "json": ...}`` is answered with ``exi``, in hexadecimal digits; ``decode`` is
    asked with ``exi`` and answered with ``json``. With ``seconds`` it is done again and again for so long, and answered
    with what one took (``us`` and ``least_us``). Whatever goes wrong is answered with ``error``.
    """
    from iso15118.shared.exificient_exi_codec import (  # type: ignore[import-not-found] # it is at home elsewhere
        ExificientEXICodec,
    )

    codec = ExificientEXICodec()
    say({"name": "EXICodec.jar", "version": str(codec.get_version())})
    for line in sys.stdin:
        try:
            say(_answer(codec, json.loads(line)))
        except Exception as error:  # what it throws is its answer
            say({"error": " ".join(str(error).split())[:300] or type(error).__name__})


def _answer(codec: Any, asked: dict[str, Any]) -> dict[str, Any]:
    once = _once(codec, asked)
    if "seconds" in asked:
        return timed(once, asked["seconds"])
    said = once()
    return {"exi": bytes(said).hex()} if asked["do"] == "encode" else {"json": json.loads(said)}


def _once(codec: Any, asked: dict[str, Any]) -> Callable[[], Any]:
    namespace = asked["namespace"]
    if asked["do"] == "encode":
        text = json.dumps(asked["json"])
        return lambda: codec.encode(text, namespace)
    octets = bytes.fromhex(asked["exi"])
    return lambda: codec.decode(octets, namespace)


def timed(once: Callable[[], object], seconds: float) -> dict[str, float]:
    """Do something again and again for so long, at least once; return microseconds: the median, and the least."""
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while not taken or time.perf_counter() < end:
        began = time.perf_counter()
        once()
        taken.append(time.perf_counter() - began)
    return {"us": 1e6 * statistics.median(taken), "least_us": 1e6 * min(taken)}


def say(answer: dict[str, Any]) -> None:
    """Write a line of JSON."""
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
