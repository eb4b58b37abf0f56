"""Where the operators' API is served, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from voltroot.app.backend import Backend
from voltroot.app.config import Config, Serve
from voltroot.app.config import Csms as Section
from voltroot.app.csms import Csms, has_operators, is_loopback


@pytest.mark.parametrize(
    ("serve", "section", "served"),
    [
        ({}, {}, False),
        ({}, {"profile_3_port": 15123}, True),
        ({"operators_port": 0}, {"profile_3_port": 15123}, False),
    ],
)
def test_operators_are_served_where_stations_are(
    serve: dict[str, Any], section: dict[str, Any], *, served: bool
) -> None:
    assert has_operators(Config(serve=Serve(**serve), csms=Section(**section))) is served


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "csms.example.com"])
def test_beyond_the_loopback_they_are_served_with_tls(host: str, tmp_path: Path) -> None:
    assert not is_loopback(host)
    config = Config(data=str(tmp_path), serve=Serve(operators_host=host))
    backend = Backend(config)
    assert Csms(backend).operators_tls() == backend.tls


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "127.8.0.1", "localhost"])
def test_on_the_loopback_they_are_served_without(host: str, tmp_path: Path) -> None:
    config = Config(data=str(tmp_path), serve=Serve(operators_host=host))
    assert Csms(Backend(config)).operators_tls() is None
