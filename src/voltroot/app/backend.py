"""The backend: authority, actors, APIs and publishing, put together from one configuration."""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from prometheus_client import CollectorRegistry
from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp

from voltroot.actors.cpo import CPO
from voltroot.actors.lab import Lab
from voltroot.actors.oem import OEM
from voltroot.actors.registrar import Subjects
from voltroot.actors.vpki import VehiclePKI
from voltroot.apis.pnc.contracts import Contracts
from voltroot.apis.pnc.server import Server as PncServer
from voltroot.apis.publish.publisher import Publisher
from voltroot.apis.publish.server import routes
from voltroot.apis.publish.settings import Settings
from voltroot.apis.vpki.door import Door
from voltroot.apis.vpki.server import Server as VpkiServer
from voltroot.app import keyrings, vpki
from voltroot.app.config import Config, read_secret
from voltroot.app.contracts import contracts
from voltroot.app.desk import Desk
from voltroot.app.housekeeping import Chores
from voltroot.keys.escrow import KeyringEscrow
from voltroot.keys.software import SoftwareKeyring
from voltroot.pki.addresses import Addresses
from voltroot.pki.authority import Authority
from voltroot.pki.ceremony import CaNames, Ceremony
from voltroot.pki.drafts import Drafter
from voltroot.pki.issuers import Issuers
from voltroot.pki.ports import Clock, Credential, Keyring
from voltroot.pki.profiles import Edition, Profile, profiles, slug
from voltroot.pki.revision import Revision
from voltroot.pki.suites import P256_SHA256, Suite
from voltroot.pki.vpki import Operator
from voltroot.pki.vpki import profiles as vpki_profiles
from voltroot.serve.http import ByPath
from voltroot.serve.tls import Tls
from voltroot.store.auditlog import AuditLog
from voltroot.store.engine import migrate, open_engine, sqlite_url
from voltroot.store.ledger import SqlLedger
from voltroot.store.pools import SqlContractPool
from voltroot.store.register import SqlRegister

log = logging.getLogger("voltroot")


def account() -> str:
    """Return whose process this is: who acts where nobody asked over the network."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def utc_now() -> datetime:
    """The clock of a running program."""
    return datetime.now(UTC)


@dataclass
class Backend:
    """All parts by name, each made once when it is first asked for."""

    config: Config
    now: Clock = utc_now
    progress: Callable[[str], None] = lambda label: None

    def prepare(self) -> None:
        """Bring the schema up to date and make what is missing of the PKI; several processes take turns."""
        self.config.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._alone():
            migrate(self.database)
            self.issuers.reload()
            keyrings.check_device(self.config, self.keyring, self.issuers.standing(), self.profiles)
            self.ceremony.perform()
            assert self.escrow is not None, "the escrow key is made with the PKI"
            assert self.auditlog is not None, "so is the key of the audit log"
        self.check()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one process of this folder at a time make CAs and certificates of services."""
        with (self.config.folder / "ceremony.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @property
    def is_made(self) -> bool:
        """Whether there is a PKI already; of PostgreSQL that is found out by preparing it."""
        return bool(self.config.ledger.url) or (self.config.folder / "ledger.db").exists()

    def close(self) -> None:
        """Let go of the database's connections."""
        self.database.dispose()

    def migrate(self) -> None:
        """Bring the schema up to date without making anything."""
        self.config.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._alone():
            migrate(self.database)

    def check(self) -> None:
        """Refuse to start unless every profile has an issuer, and every issuer its key."""
        keyrings.check_issuers(self.keyring, self.issuers.standing(), self.profiles)

    @cached_property
    def profiles(self) -> dict[str, Profile]:
        """The table of profiles in the configured edition, with the operator's of the vPKI."""
        short = self.config.contract.short_key_identifier
        rows = profiles(iso15118_20_2022=self.config.profiles.iso15118_20 == "2022", short_contract_20=short)
        return rows | vpki_profiles(self.operator)

    @cached_property
    def operator(self) -> Operator:
        """Whose the vPKI is."""
        vpki.check(self.config)
        return vpki.operator(self.config.vpki)

    @cached_property
    def database(self) -> Engine:
        """Where all records are."""
        ledger = self.config.ledger
        return open_engine(
            ledger.url or sqlite_url(self.config.folder / "ledger.db"), read_secret(ledger.password_file)
        )

    @cached_property
    def ledger(self) -> SqlLedger:
        """The record of everything issued."""
        return SqlLedger(self.database, self.now)

    @cached_property
    def register(self) -> SqlRegister:
        """The record of who called for certificates of the vPKI."""
        return SqlRegister(self.database, self.now)

    @cached_property
    def keyring(self) -> Keyring:
        """The keys of CAs and services."""
        return keyrings.in_device(self.config) if self.config.keys.device else self.key_files

    @cached_property
    def key_files(self) -> SoftwareKeyring:
        """Keys in files: all of them without a device, and with one that of the TLS server, which OpenSSL reads."""
        return keyrings.in_files(self.config)

    @cached_property
    def escrow(self) -> KeyringEscrow:
        """The sealing of keys that are handed out again."""
        return KeyringEscrow(self.keyring)

    @cached_property
    def auditlog(self) -> AuditLog:
        """What shows tampering with the ledger."""
        return AuditLog(self.database, self.keyring, self.config.folder / "checkpoints.jsonl", self.now)

    @cached_property
    def issuers(self) -> Issuers:
        """Which CA signs what."""
        return Issuers(self.ledger, self.profiles, Revision(self.ledger, self.now))

    @cached_property
    def addresses(self) -> Addresses:
        """Where the status of certificates is published."""
        places = {Edition.VPKI: vpki.places(self.config.vpki)}
        return Addresses(self.config.base, self.config.publish.crl_shards, places)

    @cached_property
    def authority(self) -> Authority:
        """What issues and revokes."""
        drafter = Drafter(self.addresses, self.config.backdate)
        days, lab = self.config.profiles.days, self.config.lab
        return Authority(self.ledger, self.keyring, self.issuers, drafter, self.now, days, lab=lab)

    @cached_property
    def ceremony(self) -> Ceremony:
        """What makes CAs and renews the certificates that serve them."""
        return Ceremony(self.authority, self.keyring, self.ca_names, self.now, self.progress, account())

    @cached_property
    def ca_names(self) -> CaNames:
        """What the CAs are called."""
        ca = self.config.ca
        return CaNames(ca.organization, ca.country, ca.names, self.operator.subjects())

    @cached_property
    def lab(self) -> Lab:
        """What gets things wrong on purpose."""
        return Lab(self.authority, self.keyring, self.ca_names)

    @cached_property
    def registry(self) -> CollectorRegistry:
        """The metrics of this process."""
        return CollectorRegistry()

    @cached_property
    def publisher(self) -> Publisher:
        """CA certificates, CRLs, OCSP answers, health."""
        publish = self.config.publish
        settings = Settings(
            crl_life=timedelta(days=publish.crl_days),
            ocsp_life=timedelta(hours=publish.ocsp_hours),
            ocsp_age=timedelta(seconds=publish.ocsp_max_age_seconds),
        )
        return Publisher(
            ledger=self.ledger,
            keyring=self.keyring,
            issuers=self.issuers,
            addresses=self.addresses,
            now=self.now,
            settings=settings,
            registry=self.registry,
        )

    @cached_property
    def desk(self) -> Desk:
        """Where orders wait for the authority."""
        return Desk(self.authority, self.registry)

    @cached_property
    def application(self) -> ASGIApp:
        """All APIs as one ASGI application; what no other knows belongs to the Secondary Actor API."""
        cpo = CPO(self.profiles, self.subjects, self.authority, self.escrow, self.now)
        oem = OEM(self.profiles, self.subjects, self.authority, self.escrow, self.now)
        password = read_secret(self.config.pnc.pfx_password_file, "123123")
        pnc = PncServer(cpo, oem, self.contracts, self.lab, self.desk.place, self.now, password)
        others = Starlette(routes=routes(self.publisher))
        others.router.redirect_slashes = False
        others.router.default = pnc
        return ByPath({"/api/": pnc}, others)

    @cached_property
    def subjects(self) -> Subjects:
        """What is the same in the subject of every leaf."""
        subject = self.config.subject
        return Subjects(subject.organization, subject.organizational_unit, subject.country)

    @cached_property
    def contracts(self) -> Contracts:
        """What makes contracts and hands them out."""
        pool = SqlContractPool(self.database, self.now)
        parts = (self.subjects, self.authority, self.keyring, self.escrow, pool, self.lab, self.desk, self.now)
        return contracts(self.config.contract, self.config.trust, *parts)

    @cached_property
    def vehicle_pki(self) -> VehiclePKI:
        """What issues for plants and their suppliers."""
        overlap = timedelta(hours=self.config.vpki.overlap_hours)
        return VehiclePKI(self.operator, self.authority, self.register, self.now, overlap)

    @cached_property
    def entrance(self) -> Door:
        """Who may call the vPKI API."""
        return vpki.door(self.config, self.ledger, self.issuers, self.now)

    @cached_property
    def vpki_application(self) -> ASGIApp:
        """The vPKI API, which has a port of its own."""
        return VpkiServer(self.vehicle_pki, self.profiles, self.entrance, self.desk.place)

    def vpki_tls(self) -> Tls:
        """Return the certificate and key of the vPKI API's port, and whose client certificates it takes."""
        return vpki.tls(self.config.vpki, self.tls, self.entrance, self.ledger, self.issuers)

    def tls(self, profile: str = "TLS_SERVER", suite: Suite = P256_SHA256, hosts: Sequence[str] = ()) -> Tls:
        """Return a TLS certificate of the backend's own and its key, made or renewed where due."""
        with self._alone():
            self.issuers.reload()
            hosts = hosts or self.config.serve.tls_hosts
            credential = self.ceremony.tls_server(hosts, self.key_files, profile, suite)
            chain = [credential.entry.read(), *self.issuers.standing().chain(credential.entry.issuer)[:-1]]
            path = self.config.folder / f"{slug(self.profiles[profile], suite)}.pem"
            # What reads it at this moment finds the one before, whole.
            temporary = path.with_suffix(".new")
            temporary.write_text("".join(certificate.pem for certificate in chain), encoding="ascii")
            temporary.replace(path)
        passphrase = read_secret(self.config.keys.passphrase_file)
        return Tls(path, self.key_files.path(str(credential.key)), passphrase or None)

    def renew(self) -> list[Credential]:
        """Renew the certificates that serve the CAs where they are due."""
        with self._alone():
            made = self.ceremony.renew()
        for credential in made:
            log.info("credential.renewed", extra={"label": credential.label, "not_after": credential.entry.not_after})
        return made

    @contextlib.asynccontextmanager
    async def running(self, on_renewal: Callable[[], None]) -> AsyncIterator[None]:
        """Keep what is short-lived alive while the block runs, and finish the orders that wait when it ends."""
        chores = Chores(
            renew=(self.renew, on_renewal),
            supersede=(self.vehicle_pki.supersede, self.contracts.mo.supersede),
            follow=self.auditlog.follow,
        )
        try:
            async with chores.done():
                yield
        finally:
            await self.desk.close()
            await run_in_threadpool(chores.log_changes)
