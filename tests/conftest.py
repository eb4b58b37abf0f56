"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A PKI of its own for each test."""
    return World.made(tmp_path / "world")
