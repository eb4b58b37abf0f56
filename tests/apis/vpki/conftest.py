"""The vPKI API in process, on a PKI of its own, and the requests of plants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

import httpx2 as httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.testclient import TestClient

from voltroot.actors.vpki import VehiclePKI
from voltroot.apis.vpki.door import Door
from voltroot.apis.vpki.server import Server
from voltroot.app.desk import Desk
from voltroot.app.vpki import LOOPBACK
from voltroot.pki import suites
from voltroot.pki.certificates import Certificate, pem, read_pem
from voltroot.pki.suites import P256_SHA256, P521_SHA512, Suite
from voltroot.pki.vpki import Operator
from voltroot.serve.http import RawPath
from voltroot.store.register import SqlRegister
from world import World

CODES = {"unitCode": "C001", "tierCode": "P001", "vehicleCode": "SX2", "localCode": "KR", "brandCode": "HMC"}


class Product(NamedTuple):
    """What a test has to know of a product: its path, its keys, the first RDN of its names, a common name."""

    path: str
    suite: Suite
    head: tuple[str, str]
    holder: str

    def subject(self, holder: str = "", unit: str = "C001", tier: str = "P001") -> list[tuple[str, str]]:
        """The name of a request in DER order."""
        return [
            self.head, ("O", "HKMC"), ("OU", "ECC"), ("OU", unit), ("OU", tier), ("CN", holder or self.holder),
        ]  # fmt: skip

    def dn(self, holder: str = "") -> str:
        """The same name as the definition prints it."""
        return ",".join(f"{kind.lower()}={value}" for kind, value in reversed(self.subject(holder)))


PRODUCTS = (
    Product("v1/prov", P256_SHA256, ("DC", "OEM"), "KM8P2844A9TD84HR91"),
    Product("v2/prov", P521_SHA512, ("DC", "OEM20"), "KM7P2E4Z95N5TGQ178"),
    Product("v2/vehicle", P521_SHA512, ("DC", "EV"), "KM7V200DA343BEMZEG80"),
    Product("v1/est", P256_SHA256, ("C", "KR"), "test20230207091007.com"),
    Product("v2/est", P521_SHA512, ("C", "KR"), "test20230207105921.com"),
)
PROV = PRODUCTS[0]
OIDS = {
    "DC": NameOID.DOMAIN_COMPONENT,
    "C": NameOID.COUNTRY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "CN": NameOID.COMMON_NAME,
}


@dataclass
class Api:
    """A client that speaks JSON."""

    client: TestClient
    world: World
    vpki: VehiclePKI
    server: Server
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json; charset=UTF-8"})

    def call(self, path: str, body: Any, method: str = "POST", **headers: str) -> httpx.Response:
        content = body if isinstance(body, bytes) else httpx.Request("POST", "http://x", json=body).content
        named = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.request(method, f"http://testserver/api/{path}", content=content, headers=named)

    def ask(self, path: str, body: Any, **headers: str) -> tuple[int, dict[str, str]]:
        """Status and JSON of an answer."""
        answer = self.call(path, body, **headers)
        return answer.status_code, answer.json()

    def issued(self, path: str, body: Any, **headers: str) -> Certificate:
        """The certificate of an answer that must be a success."""
        status, answer = self.ask(path, body, **headers)
        assert (status, list(answer)) == (200, ["cert"]), answer
        return certificate(answer["cert"])

    def states(self, product: Product) -> list[str]:
        """The states of all certificates of a product, oldest first."""
        profile = self.server._products[product.path].name
        return [entry.state.value for entry in reversed(self.world.ledger.find(profiles=[profile]))]


def certificate(text: str) -> Certificate:
    ((_, octets),) = read_pem(text)
    return Certificate.read(octets)


@pytest.fixture
def api(world: World) -> Iterator[Api]:
    with Opened(world) as (made, _):
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def dialected(request: pytest.FixtureRequest, tmp_path: Any) -> Any:
    """A PKI on each database."""
    made = World.made(tmp_path / "world", dialect=request.param)
    yield made
    made.engine.dispose()


class Opened:
    """The API on a world; a context manager."""

    def __init__(self, world: World, callers: Sequence[Any] = (LOOPBACK,), overlap: float = 0, **rest: Any) -> None:
        register = SqlRegister(world.engine, world.clock)
        vpki = VehiclePKI(Operator(), world.authority, register, world.clock, timedelta(hours=overlap))
        self._desk = Desk(world.authority, CollectorRegistry())
        peer = (rest.pop("peer", "127.0.0.1"), 50000)
        server = Server(vpki, world.profiles, Door(callers, world.clock, **rest), self._desk.place)
        application = Starlette()
        application.router.default = server
        self._client = TestClient(RawPath(application), raise_server_exceptions=False, client=peer)
        self._api = Api(self._client, world, vpki, server)

    def __enter__(self) -> tuple[Api, Desk]:
        self._client.__enter__()
        return self._api, self._desk

    def __exit__(self, *_: object) -> None:
        self._client.__exit__(None, None, None)


def name_of(pairs: Sequence[tuple[str, str]], types: dict[str, _ASN1Type] | None = None) -> x509.Name:
    """A name in DER order, its strings of other types where a test says so."""
    types = types or {}
    return x509.Name([x509.NameAttribute(OIDS[kind], value, types.get(kind)) for kind, value in pairs])


def csr(product: Product, subject: Any = None, key: Any = None, suite: Suite | None = None) -> str:
    """A request in PEM."""
    suite = suite or product.suite
    own = key or suites.generate(suite)
    name = subject if isinstance(subject, x509.Name) else name_of(subject or product.subject())
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(own, suite.hash)  # type: ignore[arg-type]
    return pem("CERTIFICATE REQUEST", request.public_bytes(Encoding.DER))


def enrol(request: str, **codes: str | None) -> dict[str, Any]:
    """The body of issue and reissue."""
    return {"csr": request} | {name: value for name, value in (CODES | codes).items() if value is not None}
