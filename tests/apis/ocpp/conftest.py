"""One CSMS for all tests that take one as it is; each uses stations of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stations import Office
from voltroot.app.config import Csms
from world import World


@pytest.fixture(scope="session")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """A CSMS on a PKI of its own."""
    world = World.made(tmp_path_factory.mktemp("csms"))
    with Office(world, csms=Csms(fetch_networks=("127.0.0.1",), hosts=("localhost", "127.0.0.1"))) as office:
        yield office
