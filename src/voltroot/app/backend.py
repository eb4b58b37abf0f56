"""The backend: authority, actors, APIs and publishing, put together from one configuration."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import getpass
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from prometheus_client import CollectorRegistry
from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp

from voltroot.actors.cpo import CPO
from voltroot.actors.oem import OEM
from voltroot.actors.registrar import Subjects
from voltroot.apis.pnc.server import Server as PncServer
from voltroot.apis.publish.publisher import Publisher
from voltroot.apis.publish.server import routes
from voltroot.apis.publish.settings import Settings
from voltroot.app.config import Config, read_secret
from voltroot.app.desk import Desk
from voltroot.errors import Refused, Unavailable
from voltroot.keys.escrow import KeyringEscrow
from voltroot.keys.software import SoftwareKeyring
from voltroot.pki.authority import Authority
from voltroot.pki.ceremony import CaNames, Ceremony
from voltroot.pki.certificates import pem
from voltroot.pki.drafts import Addresses, Drafter
from voltroot.pki.issuers import Issuers
from voltroot.pki.ports import Clock, Credential
from voltroot.pki.profiles import Profile, profiles
from voltroot.pki.revision import Revision
from voltroot.serve.http import ByPath, Tls
from voltroot.store.auditlog import AuditLog
from voltroot.store.engine import migrate, open_engine, sqlite_url
from voltroot.store.ledger import SqlLedger

log = logging.getLogger("voltroot")

# Short-lived certificates are renewed with a third of their life left, so an hour sooner or later does not matter.
RENEWAL_PERIOD = timedelta(hours=1)
# What has been committed is in the audit log within a second; a database that does not answer is asked less often.
LOGGING_PERIOD, LOGGING_PAUSE = timedelta(seconds=0.5), timedelta(seconds=5)


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
            migrate(self._engine)
            self.issuers.reload()
            self.ceremony.perform()
            assert self.escrow is not None, "the escrow key is made with the PKI"
            assert self.auditlog is not None, "so is the key of the audit log"
        self.check()

    @property
    def database(self) -> Engine:
        """The ledger's database, for what carries it away as a whole."""
        return self._engine

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
        self._engine.dispose()

    def migrate(self) -> None:
        """Bring the schema up to date without making anything."""
        self.config.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._alone():
            migrate(self._engine)

    def check(self) -> None:
        """Refuse to start unless every profile has an issuer for each of its suites, and every issuer its key."""
        standing = self.issuers.standing()
        for profile in self.profiles.values():
            if profile.is_ca or profile.issuer not in self.profiles:
                continue
            for suite in profile.suites:
                issuer = standing.for_profile(profile, suite)
                if issuer.key is None or self.keyring.signer(issuer.key).public_key() != issuer.certificate.public_key:
                    raise Refused(
                        f"the key of the CA {issuer.slug} is not in the keyring: {profile.name} has no issuer"
                    )

    @cached_property
    def profiles(self) -> dict[str, Profile]:
        """The table of profiles in the configured edition."""
        return profiles(iso15118_20_2022=self.config.profiles.iso15118_20 == "2022")

    @cached_property
    def ledger(self) -> SqlLedger:
        """The record of everything issued."""
        return SqlLedger(self._engine, self.now)

    @cached_property
    def keyring(self) -> SoftwareKeyring:
        """The keys of CAs and services."""
        passphrase = read_secret(self.config.keys.passphrase_file).encode()
        return SoftwareKeyring(self.config.folder / "keys", passphrase or None)

    @cached_property
    def escrow(self) -> KeyringEscrow:
        """The sealing of keys that are handed out again."""
        return KeyringEscrow(self.keyring)

    @cached_property
    def auditlog(self) -> AuditLog:
        """What shows tampering with the ledger."""
        return AuditLog(self._engine, self.keyring, self.config.folder / "checkpoints.jsonl", self.now)

    @cached_property
    def issuers(self) -> Issuers:
        """Which CA signs what."""
        return Issuers(self.ledger, self.profiles, Revision(self.ledger, self.now))

    @cached_property
    def addresses(self) -> Addresses:
        """Where the status of certificates is published."""
        return Addresses(self.config.base, self.config.publish.crl_shards)

    @cached_property
    def authority(self) -> Authority:
        """What issues and revokes."""
        drafter = Drafter(self.addresses, self.config.backdate)
        return Authority(self.ledger, self.keyring, self.issuers, drafter, self.now, self.config.profiles.days)

    @cached_property
    def ceremony(self) -> Ceremony:
        """What makes CAs and renews the certificates that serve them."""
        ca = self.config.ca
        names = CaNames(ca.organization, ca.country, ca.names)
        return Ceremony(self.authority, self.keyring, names, self.now, self.progress, account())

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
        config = self.config
        subjects = Subjects(config.subject.organization, config.subject.organizational_unit, config.subject.country)
        cpo = CPO(self.profiles, subjects, self.authority, self.escrow, self.now)
        oem = OEM(self.profiles, subjects, self.authority, self.escrow, self.now)
        password = read_secret(config.pnc.pfx_password_file, "123123")
        pnc = PncServer(cpo, oem, self.desk.place, self.now, password)
        others = Starlette(routes=routes(self.publisher))
        others.router.redirect_slashes = False
        others.router.default = pnc
        return ByPath({"/api/": pnc}, others)

    def tls(self) -> Tls:
        """Return the backend's own TLS certificate and key, made or renewed where due."""
        with self._alone():
            self.issuers.reload()
            credential = self.ceremony.tls_server(self.config.serve.tls_hosts)
        chain = [credential.entry.read(), *self.issuers.standing().chain(credential.entry.issuer)[:-1]]
        path = self.config.folder / "tls-server.pem"
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text("".join(pem("CERTIFICATE", certificate.der) for certificate in chain), encoding="ascii")
        temporary.replace(path)
        passphrase = read_secret(self.config.keys.passphrase_file)
        return Tls(path, self.keyring.path(str(credential.key)), passphrase or None)

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
        tasks = [asyncio.create_task(self._keep_renewing(on_renewal)), asyncio.create_task(self._keep_logging())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await self.desk.close()
            await run_in_threadpool(self._log_changes)

    async def _keep_renewing(self, on_renewal: Callable[[], None]) -> None:
        while True:
            try:
                await run_in_threadpool(self.renew)
                await run_in_threadpool(on_renewal)
            except Exception:
                log.exception("renewal.failed")
            await asyncio.sleep(RENEWAL_PERIOD.total_seconds())

    async def _keep_logging(self) -> None:
        while True:
            pause = await run_in_threadpool(self._log_changes)
            await asyncio.sleep(pause.total_seconds())

    def _log_changes(self) -> timedelta:
        """Append some of what is new to the audit log; returns when to look again."""
        try:
            return timedelta(0) if self.auditlog.follow() else LOGGING_PERIOD
        except Unavailable as failure:
            log.warning("audit.delayed", extra={"why": str(failure)})
        except Exception:
            log.exception("audit.failed")
        return LOGGING_PAUSE

    @cached_property
    def _engine(self) -> Engine:
        ledger = self.config.ledger
        return open_engine(
            ledger.url or sqlite_url(self.config.folder / "ledger.db"), read_secret(ledger.password_file)
        )
