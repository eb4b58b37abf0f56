"""Two requests at the same instant, on two connections: exactly one wins."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from apis.pnc.conftest import csr
from backend import Answer, Backend, Client
from voltroot.pki.certificates import Certificate

pytestmark = pytest.mark.slow

SECC, BY_CSR, PROV = "/api/v2/cpo/seccCert", "/api/v2/cpo/seccCertByCsr", "/api/v2/oem/provCert"
ROUNDS = 50


@dataclass
class Pair:
    """Two open connections, each with a thread behind it."""

    clients: list[Client]
    threads: ThreadPoolExecutor
    barrier: threading.Barrier

    def race(self, path: str, first: Any, second: Any) -> list[Answer]:
        """Post two bodies as nearly together as two threads can."""
        return list(self.threads.map(self._post, self.clients, [path] * 2, [first, second]))

    def _post(self, client: Client, path: str, body: Any) -> Answer:
        self.barrier.wait(30)
        return client.call("POST", path, body)


@pytest.fixture
def racers(backend: Backend) -> Iterator[Pair]:
    """Two clients of one backend."""
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(backend.port)) for _ in range(2)]
        for client in clients:
            client.connect()
        yield Pair(clients, stack.enter_context(ThreadPoolExecutor(2)), threading.Barrier(2))


def decided(answers: list[Answer]) -> tuple[Any, str]:
    """The data of the one success, and the message of the one refusal."""
    won, lost = sorted(answers, key=lambda answer: answer.envelope["status"], reverse=True)
    return won.data, lost.refusal


@pytest.mark.parametrize(("path", "member"), [(SECC, "seccId"), (PROV, "pcid")])
def test_of_two_requests_for_one_id_at_the_same_instant_one_wins(
    racers: Pair, backend: Backend, path: str, member: str
) -> None:
    for place in range(ROUNDS):
        body = {member: f"race-{place}"}
        won, lost = decided(racers.race(path, body, body))
        assert "occupied" in lost
        assert backend.call("GET", f"{path}/race-{place}").data["serial"] == won["serial"]


def test_of_two_requests_with_one_key_at_the_same_instant_one_wins(racers: Pair, backend: Backend) -> None:
    for place in range(ROUNDS):
        names = [f"key-race-{place}-{side}" for side in "ab"]
        request = csr()
        won, lost = decided(racers.race(BY_CSR, *({"pkcs10Data": request, "cn": name} for name in names)))
        assert "key" in lost
        names.remove(won["subject"])
        assert backend.call("GET", f"{SECC}/{won['subject']}").data == won
        assert "unknown" in backend.call("GET", f"{SECC}/{names[0]}").refusal


def test_of_many_requests_for_one_key_and_many_names_each_wins_once(backend: Backend) -> None:
    requests = [csr() for _ in range(8)]

    def issue(turn: int) -> Answer:
        with Client(backend.port) as client:
            body = {"pkcs10Data": requests[turn % 8], "cn": f"crowd-{turn // 8}"}
            return client.call("POST", BY_CSR, body)

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(issue, range(64)))
    won = [answer.data for answer in answers if answer.envelope["status"] == "success"]
    names, keys = {data["subject"] for data in won}, {key(data["certificateData"]) for data in won}
    assert 0 < len(won) == len(names) == len(keys)
    assert {answer.status for answer in answers} == {200}


def key(certificate: str) -> bytes:
    """The public key in a certificate."""
    return Certificate.read(base64.b64decode(certificate)).spki
