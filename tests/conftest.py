"""What all tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backend import Backend
from world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A PKI of its own for each test."""
    return World.made(tmp_path / "world")


@pytest.fixture(scope="session")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """A running backend that tests share: each uses names of its own."""
    yield from _running(Backend(tmp_path_factory.mktemp("backend")))


@pytest.fixture
def own_backend(tmp_path: Path) -> Iterator[Backend]:
    """A running backend that a test has for itself."""
    yield from _running(Backend(tmp_path / "backend"))


def _running(backend: Backend) -> Iterator[Backend]:
    try:
        yield backend.start()
        if backend.process is not None:
            backend.stop()
    finally:
        backend.discard()
