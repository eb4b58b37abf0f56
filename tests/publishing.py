"""A publisher over a world, with every signature counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.testclient import TestClient

from voltroot.apis.publish.publisher import Publisher
from voltroot.apis.publish.server import routes
from voltroot.apis.publish.settings import Settings
from voltroot.pki.drafts import Addresses
from voltroot.pki.ports import Keyring
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
