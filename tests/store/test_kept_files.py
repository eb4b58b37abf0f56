"""The files in which a station keeps what it must remember: one that cannot be read is never passed over."""

from __future__ import annotations

from pathlib import Path

import pytest

from voltroot.errors import Unavailable
from voltroot.store.applications import ApplicationFile
from voltroot.store.stationstate import StateFile


@pytest.mark.parametrize(
    "content", [b"", b"{", b'"\xff"', b'{"password": "\xff"}', b'[{"id": "\xff"}]', b"[" * 100_000, b'{"a":' * 100_000]
)
def test_a_broken_file_is_named_and_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state" / "kept.json"
    path.parent.mkdir()
    path.write_bytes(content)
    for read in (StateFile(path).read, ApplicationFile(path).all):
        with pytest.raises(Unavailable, match=r"kept\.json cannot be read .*: restore it, or remove it"):
            read()
    assert path.read_bytes() == content
