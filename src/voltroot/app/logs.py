"""The log: one JSON object a line, an event's name in the past tense and its members."""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime

_encode = json.JSONEncoder(default=str, ensure_ascii=False).encode
# What a terminal obeys, and what some readers take for the end of a line, beyond the ASCII that JSON escapes by itself.
_CONTROL = re.compile(r"[\x7f-\x9f\u2028\u2029]")
_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Writes ``time``, ``level``, ``event`` and whatever ``extra`` holds."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line |= {name: value for name, value in record.__dict__.items() if name not in _OWN}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", _encode(line))


def configure(level: str) -> None:
    """Send the log to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # The server's own words on every start and stop say nothing that ours do not.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
