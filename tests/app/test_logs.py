"""The log's lines."""

from __future__ import annotations

import json
import logging

from voltroot.app.logs import JsonLines


def test_a_line_holds_nothing_that_ends_a_line_or_moves_a_cursor_and_is_read_as_it_was_said() -> None:
    said = "".join(map(chr, [*range(0x20), *range(0x7E, 0xA1)])) + "\u2028\u2029 한국어"
    record = logging.makeLogRecord({"levelname": "INFO", "msg": "request.refused", "why": said})
    line = JsonLines().format(record)
    assert line.isprintable() or line.replace("\xa0", "").isprintable()
    assert len(line.splitlines()) == 1
    assert "한국어" in line
    assert json.loads(line)["why"] == said
