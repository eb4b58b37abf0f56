"""The Secondary Actor API in process, on a PKI of its own."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2 as httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.testclient import TestClient

from voltroot.actors.cpo import CPO
from voltroot.actors.lab import Lab
from voltroot.actors.oem import OEM
from voltroot.actors.registrar import Subjects
from voltroot.apis.pnc.server import Server
from voltroot.app import config
from voltroot.app.contracts import contracts
from voltroot.app.desk import Desk
from voltroot.pki import suites
from voltroot.pki.ceremony import CaNames
from voltroot.serve.http import RawPath
from world import World

SUBJECTS = Subjects("verisco GmbH", "autocrypt", "DE")


@dataclass
class Api:
    """A client that speaks JSON and looks at envelopes."""

    client: TestClient
    world: World

    def call(self, method: str, path: str, body: Any = None) -> httpx.Response:
        content = body if isinstance(body, bytes | type(None)) else httpx.Request("POST", "http://x", json=body).content
        return self.client.request(method, f"http://testserver{path}", content=content)

    def data(self, method: str, path: str, body: Any = None) -> Any:
        """The data of an answer that must be a success."""
        answer = self.call(method, path, body)
        assert (answer.status_code, answer.json()["status"]) == (200, "success"), answer.text
        return answer.json()["data"]

    def refusal(self, method: str, path: str, body: Any = None) -> str:
        """The message of an answer that must be a refusal by the service."""
        answer = self.call(method, path, body)
        envelope = answer.json()
        assert (answer.status_code, envelope["status"], envelope["data"]) == (200, "error", ""), answer.text
        message: str = envelope["message"]
        return message


@pytest.fixture
def api(world: World) -> Iterator[Api]:
    cpo = CPO(world.profiles, SUBJECTS, world.authority, world.escrow, world.clock)
    oem = OEM(world.profiles, SUBJECTS, world.authority, world.escrow, world.clock)
    desk = Desk(world.authority, CollectorRegistry())
    application = Starlette()
    lab = Lab(world.authority, world.keyring, CaNames())
    parts = (SUBJECTS, world.authority, world.keyring, world.escrow, world.pool, lab, desk, world.clock)
    calls = contracts(config.Contract(), config.Trust(), *parts)
    application.router.default = Server(cpo, oem, calls, lab, desk.place, world.clock, "123123")
    with TestClient(RawPath(application), raise_server_exceptions=False) as client:
        yield Api(client, world)


def csr(suite: suites.Suite = suites.P256_SHA256, common_name: str = "anything at all") -> str:
    """A request in base64 for a key made on the spot."""
    key = suites.generate(suite)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, suite.hash)
    return base64.b64encode(request.public_bytes(Encoding.DER)).decode()
