"""The station's local door: what it takes, and what it says to everything else."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2 as httpx
import msgspec
import pytest

from voltroot import errors as failures
from voltroot.actors.station.contracts import Decision
from voltroot.actors.station.outcomes import Installation, InstallStatus
from voltroot.actors.station.vehicles import Verdict
from voltroot.apis.car import errors
from voltroot.apis.car.server import Server

JSON = {"Content-Type": "application/json"}


class Desk:
    """Answers with what it was asked, or raises what the test wants."""

    failure: Exception | None = None

    def status(self) -> dict[str, Any]:
        return {"connected": True}

    async def install(self, payload: dict[str, Any]) -> dict[str, Any]:
        if self.failure is not None:
            raise self.failure
        return payload

    async def authorize(self, chain: str) -> Decision:
        return Decision(chain, "Accepted", "Accepted", True)

    async def admit(self, chain: str) -> Verdict:
        return Verdict(False, "Revoked", chain)

    async def certify(self, csr: str) -> Installation:
        return Installation(InstallStatus.NO_ROOT, csr)

    async def renew(self, type_: str, evse: int | None) -> Installation:
        return Installation(InstallStatus.ACCEPTED, f"{type_} {evse}")


def ask(method: str, path: str, body: bytes | None = None, *, failure: Exception | None = None, **headers: str) -> Any:
    desk = Desk()
    desk.failure = failure

    async def call() -> httpx.Response:
        transport = httpx.ASGITransport(app=Server(desk))
        async with httpx.AsyncClient(transport=transport, base_url="http://station") as client:
            return await client.request(method, path, content=body, headers=JSON | headers)

    answer = asyncio.run(call())
    return answer.status_code, answer.json()


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        ("/installation", {"action": "Install"}, {"action": "Install"}),
        ("/certification", {"csr": "x"}, {"status": "NoRootCertificateInstalled", "reason": "x"}),
        ("/vehicle", {"chain": "x"}, {"accepted": False, "status": "Revoked", "why": "x"}),
        ("/key", {"type": "V2GCertificate"}, {"status": "Accepted", "reason": "V2GCertificate None"}),
        ("/key", {"type": "V2GCertificate", "evse": 2}, {"status": "Accepted", "reason": "V2GCertificate 2"}),
    ],
)
def test_each_call_has_its_answer(path: str, body: dict[str, Any], answer: dict[str, Any]) -> None:
    assert ask("POST", path, msgspec.json.encode(body)) == (200, answer)
    assert ask("GET", "/status") == (200, {"connected": True})


def test_an_authorization_says_all_that_there_is_to_say() -> None:
    status, answer = ask("POST", "/authorization", b'{"chain": "DE8AA1A2B3C4D5"}')
    assert status == 200
    assert answer == {
        "accepted": True,
        "emaid": "DE8AA1A2B3C4D5",
        "idTokenStatus": "Accepted",
        "certificateStatus": "Accepted",
        "online": True,
        "why": "",
    }


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/key", None, 404),
        ("POST", "/status", b"{}", 404),
        ("POST", "/nothing", b"{}", 404),
        ("POST", "/authorization", b"{}", 400),
        ("POST", "/authorization", b'{"chain": 7}', 400),
        ("POST", "/installation", b"[]", 400),
        ("POST", "/installation", b"\xff", 400),
        ("POST", "/installation", b'{"a":' * 10_000, 400),
        ("POST", "/installation", b" " * (1 << 17), 413),
    ],
)
def test_what_is_no_call_is_refused(method: str, path: str, body: bytes | None, status: int) -> None:
    assert ask(method, path, body)[0] == status


def test_a_page_in_a_browser_cannot_ask() -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        assert ask("POST", "/key", b'{"type": "V2GCertificate"}', **{"Content-Type": kind})[0] == 400
    assert ask("OPTIONS", "/key")[0] == 404


def every(above: type) -> list[type]:
    """The kinds of failures that everybody knows."""
    return [kind for kind in vars(failures).values() if isinstance(kind, type) and issubclass(kind, above)]


def test_every_failure_has_a_status_and_a_bug_tells_nothing() -> None:
    for kind in every(failures.Failure):
        failure = kind("member", "text") if kind is failures.MissingField else kind("text")
        status, answer = ask("POST", "/installation", b"{}", failure=failure)
        assert status == errors.status(failure)
        assert "text" in answer["why"]
        assert status == 500 or kind is not failures.Failure
    assert {errors.status(kind("x")) for kind in every(failures.Refused)} == {409, 413}
    assert ask("POST", "/installation", b"{}", failure=ValueError("secret")) == (500, {"why": "internal error"})
