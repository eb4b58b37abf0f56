"""What all tests share."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings

from backend import Backend
from world import World

# How long an example takes says how busy the machine is.
settings.register_profile("voltroot", deadline=None)
settings.load_profile("voltroot")


@pytest.hookimpl(wrapper=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """One worker more than there are processors: many stories wait, for a lease to end or a process to start."""
    return (yield) + 1


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A PKI of its own for each test."""
    return World.made(tmp_path / "world")


@pytest.fixture(scope="session")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """A running backend that tests share: each uses names of its own."""
    yield from _running(Backend(tmp_path_factory.mktemp("backend")))


@pytest.fixture(scope="session")
def made_backend(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    """A backend that has been started and stopped once: its PKI is made."""
    made = Backend(tmp_path_factory.mktemp("made")).start()
    made.stop()
    return made


@pytest.fixture
def own_backend(made_backend: Backend, tmp_path: Path) -> Iterator[Backend]:
    """A running backend that a test has for itself: a copy, on the same ports, which stand in its certificates."""
    own = replace(made_backend, folder=tmp_path / "backend")
    shutil.copytree(made_backend.data, own.data)
    yield from _running(own)


def _running(backend: Backend) -> Iterator[Backend]:
    try:
        yield backend.start()
        if backend.process is not None:
            backend.stop()
    finally:
        backend.discard()
