"""A broker for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import mosquitto
from mosquitto import Mosquitto


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with mosquitto.mosquitto(tmp_path_factory.mktemp("broker")) as made:
        yield made
