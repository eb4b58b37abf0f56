"""A publisher and a client that asks it."""

from __future__ import annotations

import httpx2 as httpx
import pytest

from publishing import Publishing
from world import World


@pytest.fixture
def publishing(world: World) -> Publishing:
    """What is published of a world."""
    return Publishing(world)


@pytest.fixture
def client(publishing: Publishing) -> httpx.Client:
    """A client of it."""
    return publishing.client
