"""A publisher over a world, with every signature counted."""

from __future__ import annotations

import base64
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import quote

import httpx2 as httpx
from cryptography import x509
from cryptography.x509 import ocsp as pyca
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.testclient import TestClient

from voltroot.apis.publish.publisher import Publisher
from voltroot.apis.publish.server import routes
from voltroot.apis.publish.settings import Settings
from voltroot.pki.addresses import Addresses
from voltroot.pki.certificates import Certificate, read_pem
from voltroot.pki.ocsp import ResponseStatus
from voltroot.pki.ports import Entry, Keyring
from voltroot.pki.suites import PublicKey, Signer, Suite
from world import BASE, World


@dataclass
class CountingKeyring:
    """A keyring that remembers which keys it was asked to sign with."""

    keyring: Keyring
    signed: Counter[str] = field(default_factory=Counter)

    def create(self, label: str, suite: Suite) -> PublicKey:
        return self.keyring.create(label, suite)

    def signer(self, label: str) -> Signer:
        self.signed[label] += 1
        return self.keyring.signer(label)

    def exchange(self, label: str, peer: PublicKey) -> bytes:
        return self.keyring.exchange(label, peer)

    def check(self) -> None:
        self.keyring.check()


class Publishing:
    """A world's publisher, a client that asks it, and the count of its signatures."""

    def __init__(self, world: World, settings: Settings | None = None) -> None:
        self.world = world
        self.keyring = CountingKeyring(world.keyring)
        self.publisher = Publisher(
            ledger=world.ledger,
            keyring=self.keyring,
            issuers=world.issuers,
            addresses=Addresses(BASE),
            now=world.clock,
            registry=CollectorRegistry(),
            settings=settings,
        )
        self.application = Starlette(routes=routes(self.publisher))
        self.client = TestClient(self.application, base_url=BASE)

    @property
    def signatures(self) -> int:
        """How many signatures were made so far."""
        return self.keyring.signed.total()


def ask_get(client: httpx.Client, octets: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
    """Ask the responder by GET."""
    return client.get("/ocsp/" + quote(base64.b64encode(octets).decode(), safe=""), headers=headers)


def ask_post(client: httpx.Client, octets: bytes) -> httpx.Response:
    """Ask the responder by POST."""
    answer = client.post("/ocsp", content=octets, headers={"Content-Type": "application/ocsp-request"})
    assert answer.status_code == 200
    return answer


def statuses(answer: httpx.Response) -> list[pyca.OCSPCertStatus]:
    """What an answer says of each certificate."""
    return [single.certificate_status for single in pyca.load_der_ocsp_response(answer.content).responses]


def refusal(answer: httpx.Response) -> ResponseStatus:
    """Why there is no answer."""
    return ResponseStatus(pyca.load_der_ocsp_response(answer.content).response_status.value)


def fetch_crl(client: httpx.Client, path: str) -> x509.CertificateRevocationList:
    """A CRL as downloaded."""
    return x509.load_der_x509_crl(client.get(path).content)


def crl_line(client: httpx.Client, path: str, entry: Entry) -> x509.RevokedCertificate | None:
    """The line of a certificate on a CRL."""
    return fetch_crl(client, path).get_revoked_certificate_by_serial_number(entry.serial)


def pem_blocks(answer: httpx.Response) -> list[bytes]:
    """The octets of all PEM blocks in an answer."""
    assert answer.status_code == 200
    return [octets for _label, octets in read_pem(answer.text)]


def issuer_of(world: World, entry: Entry) -> Certificate:
    """The certificate of the CA that issued an entry."""
    return world.chain(entry)[1]
