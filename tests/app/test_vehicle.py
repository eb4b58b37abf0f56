"""A car's folder: what it keeps is there after a power cut."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from voltroot.app import vehicle


def test_what_a_car_keeps_is_on_the_disk_under_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, fsync, names = tmp_path / "contracts/1.pem", os.fsync, {}

    def watched(handle: int) -> None:
        fsync(handle)
        synced = Path(f"/proc/self/fd/{handle}").readlink()
        names[synced] = sorted(each.name for each in synced.iterdir()) if synced.is_dir() else synced.read_text()

    monkeypatch.setattr(os, "fsync", watched)
    vehicle._write(path, b"key and chain")
    assert "key and chain" in names.values()
    assert names[path.parent] == ["1.pem"]
    assert names[tmp_path] == ["contracts"]


def test_what_the_disk_does_not_take_leaves_no_key_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        vehicle._write(tmp_path / "1.pem", b"key and chain")
    assert list(tmp_path.iterdir()) == []
