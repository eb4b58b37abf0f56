"""Connections as clients treat them: kept open between requests, or lost within one."""

from __future__ import annotations

import socket
import time
from operator import attrgetter
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
    assert median(took) < 0.04


@pytest.mark.parametrize(
    ("door", "port", "path"),
    [
        ("pnc", "port", "/api/v2/cpo/seccCertByCsr"),
        ("vpki", "vpki_port", "/api/v1/prov/issue"),
        ("publish", "port", "/ocsp"),
    ],
)
def test_who_goes_within_a_request_is_noted_as_that_and_is_no_fault_of_ours(
    backend: Backend, door: str, port: str, path: str
) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    with socket.create_connection(("127.0.0.1", attrgetter(port)(backend))) as connection:
        connection.sendall(head.encode() + b'{"half')
    deadline = time.monotonic() + 10
    while not (told := _told(backend, door)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert {line["level"] for line in told} == {"info"}
    assert backend.faults() == []


def _told(backend: Backend, door: str) -> list[dict[str, str]]:
    refused = backend.events("request.refused")
    return [each for each in refused if each["door"] == door and "ended within the request" in each["why"]]
