"""Connections that clients keep open between requests."""

from __future__ import annotations

import time
from statistics import median

import pytest

from backend import Backend, Client

pytestmark = pytest.mark.slow


def test_no_answer_on_a_kept_connection_waits_for_an_acknowledgement(backend: Backend) -> None:
    # Without TCP_NODELAY each takes the 40 ms after which the client's system acknowledges the head of the answer.
    took = []
    with Client(backend.port) as client:
        for _ in range(30):
            began = time.monotonic()
            assert client.call("GET", "/health").status == 200
            took.append(time.monotonic() - began)
    assert median(took) < 0.03
