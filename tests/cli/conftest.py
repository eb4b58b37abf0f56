"""What the tests of the command line share."""

from __future__ import annotations

import pytest

from inspecting import Samples
from world import World


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    """Made once: the tests only look."""
    made = Samples(World.made(tmp_path_factory.mktemp("samples") / "world"))
    made.chain  # noqa: B018
    return made
