"""A whole small PKI in one line, on real files, with a clock that a test can turn."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from pathlib import Path

import postgres
from voltroot.keys.escrow import KeyringEscrow
from voltroot.keys.software import SoftwareKeyring
from voltroot.pki import suites, vpki
from voltroot.pki.addresses import Addresses
from voltroot.pki.authority import Authority
from voltroot.pki.ceremony import CaNames, Ceremony
from voltroot.pki.certificates import Certificate
from voltroot.pki.drafts import Drafter, Order
from voltroot.pki.issuers import Issuers
from voltroot.pki.names import Name
from voltroot.pki.ports import Entry
from voltroot.pki.profiles import Profile, profiles
from voltroot.pki.revision import Revision
from voltroot.store.engine import migrate, open_engine, sqlite_url
from voltroot.store.ledger import SqlLedger
from voltroot.store.pools import SqlContractPool

BASE = "http://127.0.0.1:15118"


@dataclass
class Clock:
    """The time now, moved by whole days or seconds where a test says so."""

    offset: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def turn(self, **step: float) -> None:
        self.offset += timedelta(**step)


@dataclass
class World:
    """A PKI with all CAs of both editions in a folder of its own; ``World.bare`` has none yet."""

    folder: Path
    edition_2022: bool = False
    url: str = ""
    clock: Clock = field(default_factory=Clock)

    @classmethod
    def made(cls, folder: Path, *, edition_2022: bool = False, dialect: str = "sqlite") -> World:
        """A PKI after its ceremony, copied from one that is made once in each test process."""
        template = _template(edition_2022, dialect)
        shutil.copytree(template.folder, folder, dirs_exist_ok=True)
        if dialect == "sqlite":
            return cls(folder, edition_2022)
        database = postgres.cluster().create(template.url.rpartition("/")[2])
        return cls(folder, edition_2022, postgres.cluster().address(database))

    @classmethod
    def bare(cls, folder: Path) -> World:
        """A PKI before its ceremony."""
        world = cls(folder)
        migrate(world.engine)
        return world

    @cached_property
    def engine(self):
        return open_engine(self.url or sqlite_url(self.folder / "ledger.db"))

    @cached_property
    def profiles(self) -> dict[str, Profile]:
        return profiles(iso15118_20_2022=self.edition_2022) | vpki.profiles(vpki.Operator())

    @cached_property
    def ledger(self) -> SqlLedger:
        return SqlLedger(self.engine, self.clock)

    @cached_property
    def keyring(self) -> SoftwareKeyring:
        return SoftwareKeyring(self.folder / "keys")

    @cached_property
    def escrow(self) -> KeyringEscrow:
        return KeyringEscrow(self.keyring)

    @cached_property
    def issuers(self) -> Issuers:
        return Issuers(self.ledger, self.profiles, Revision(self.ledger, self.clock))

    @cached_property
    def pool(self) -> SqlContractPool:
        return SqlContractPool(self.engine, self.clock)

    @cached_property
    def authority(self) -> Authority:
        drafter = Drafter(Addresses(BASE), timedelta(minutes=5))
        return Authority(self.ledger, self.keyring, self.issuers, drafter, self.clock)

    @cached_property
    def ceremony(self) -> Ceremony:
        return Ceremony(self.authority, self.keyring, CaNames(subjects=vpki.Operator().subjects()), self.clock)

    def order(self, profile: str, common_name: str, suite: suites.Suite | None = None, **rest: object) -> Order:
        """An order as an actor would place it, for a key made on the spot."""
        row = self.profiles[profile]
        values = {"C": "DE", "O": "verisco GmbH", "OU": "autocrypt", "DC": row.dc, "CN": common_name}
        subject = Name.of([(part, value) for part in row.shape if (value := values[part])])
        key = suites.generate(suite or row.suites[0]).public_key()
        return Order(row, subject, key, "test", **{"name": common_name} | rest)  # type: ignore[arg-type]

    def issue(self, profile: str, common_name: str, suite: suites.Suite | None = None, **rest: object) -> Entry:
        """A certificate on record."""
        return self.authority.issue(self.order(profile, common_name, suite, **rest))

    def chain(self, entry: Entry) -> list[Certificate]:
        """The certificate and those above it, the root last."""
        return [entry.read(), *self.issuers.standing().chain(entry.issuer)]


@lru_cache
def _template(edition_2022: bool, dialect: str) -> World:
    folder = Path(tempfile.mkdtemp(prefix="voltroot-world-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    url = "" if dialect == "sqlite" else postgres.cluster().address(postgres.cluster().create())
    world = World(folder, edition_2022, url)
    migrate(world.engine)
    world.ceremony.perform()
    assert world.escrow is not None, "the escrow key is part of every PKI"
    world.engine.dispose()
    return world
