"""What a program of ours wrote to its log: one JSON object a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def events(log: Path, name: str = "") -> list[dict[str, Any]]:
    """The events in a log, or those of one name.

    A line can be cut where a page ends: by SIGKILL, and then the next one follows right there, or because it is just
    being written. Such a line is passed over.
    """
    lines = _lines(log) if log.exists() else []
    whole = [line[line.rfind('{"time": ') :] for line in lines if line.startswith("{") and line.endswith("}")]
    return [event for event in map(json.loads, whole) if name in ("", event["event"])]


def faults(log: Path) -> list[str]:
    """The lines that are errors, have a trace, or are none of ours."""
    lines = _lines(log)
    return [line for line in lines if not line.startswith("{") or '"trace"' in line or '"level": "error"' in line]


def _lines(log: Path) -> list[str]:
    with log.open(newline="\n") as file:
        return [line.removesuffix("\n") for line in file]
