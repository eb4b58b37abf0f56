"""The CSMS plugged together: the registry, who decides, who answers, and the ports for each security profile."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import timedelta
from functools import cached_property
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp

from voltroot.actors.ccp import Reply
from voltroot.actors.cpo import CPO
from voltroot.actors.csms.authorizing import Tokens
from voltroot.actors.csms.csms import CSMS
from voltroot.actors.csms.entrance import Entrance, Manufacturers
from voltroot.actors.csms.stations import Operation
from voltroot.actors.trust import Foreign, Trust
from voltroot.apis.ocpp.authorizing import Authorizing
from voltroot.apis.ocpp.commands import Commands
from voltroot.apis.ocpp.csms import Server
from voltroot.apis.ocpp.delivering import Delivering
from voltroot.apis.ocpp.statuses import Statuses
from voltroot.apis.ocpp.wire import hash_data
from voltroot.apis.operators.door import Door
from voltroot.apis.operators.server import Server as OperatorsServer
from voltroot.apis.pnc.client import Client
from voltroot.app.backend import Backend
from voltroot.app.config import Config
from voltroot.app.contracts import foreign
from voltroot.app.pemfiles import read_certificates, read_crl
from voltroot.errors import Failure, Malformed, Refused, UnsupportedSuite
from voltroot.pki.certificates import Certificate
from voltroot.pki.suites import P256_SHA256, RSA_SHA256
from voltroot.serve.dispatch import Dispatch
from voltroot.serve.fetch import Fetcher, Network
from voltroot.serve.http import open_socket
from voltroot.serve.tls import Tls
from voltroot.serve.websocket import Gateway
from voltroot.store.bell import Bell, bell
from voltroot.store.operations import SqlOperations
from voltroot.store.operators import SqlOperators
from voltroot.store.presence import SqlPresence
from voltroot.store.stations import SqlStations
from voltroot.v2g.exi import decode
from voltroot.v2g.iso20 import CertificateInstallationRes
from voltroot.v2g.schemas import ISO_20

log = logging.getLogger("voltroot")

KINDS = {f"csms-{profile}": profile for profile in (1, 2, 3)}
OPERATORS = "csms-operators"
# Two server certificates, for stations with ECDSA and with RSA (A00.FR.318, 421).
SUITES = (P256_SHA256, RSA_SHA256)
# How long a station whose certificate was revoked stays connected, at most.
PARTING_PERIOD = timedelta(seconds=1)


def ports(config: Config) -> dict[str, int]:
    """Return the ports that are configured, by their kind."""
    section = config.csms
    every = (section.profile_1_port, section.profile_2_port, section.profile_3_port)
    return {kind: port for kind, port in zip(KINDS, every, strict=True) if port}


def listeners(config: Config) -> list[tuple[socket.socket, str]]:
    """Open the sockets that are configured."""
    opened = [(open_socket(config.serve.host, port), kind) for kind, port in ports(config).items()]
    if has_operators(config):
        opened.append((open_socket(config.serve.operators_host, config.serve.operators_port), OPERATORS))
    return opened


def has_operators(config: Config) -> bool:
    """Tell whether the operators' API is served: where there are stations to speak to."""
    return bool(ports(config) and config.serve.operators_port)


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Csms:
    """All parts by name, each made once when it is first asked for."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._section = backend.config.csms
        self._is_open = False

    @cached_property
    def stations(self) -> SqlStations:
        """The registry."""
        return SqlStations(self._backend.database, self._backend.now)

    @cached_property
    def tokens(self) -> Tokens:
        """Who may charge."""
        return Tokens(self.stations, self._backend.ledger, self._backend.now, self._section.unknown_tokens)

    @cached_property
    def commands(self) -> Commands:
        """What operators have stations do."""
        guarded = not self._section.roots_over_profile_1
        return Commands(self.stations, self._backend.now, guarded=guarded, cas=self._every_ca)

    @cached_property
    def presence(self) -> SqlPresence:
        """Which process holds which station."""
        return SqlPresence(self._backend.database, self._backend.now)

    @cached_property
    def operations(self) -> SqlOperations:
        """What operators have asked for, whichever process does it."""
        return SqlOperations(self._backend.database, self._backend.now)

    @cached_property
    def operators(self) -> SqlOperators:
        """Who may ask over the network."""
        return SqlOperators(self._backend.database, self._backend.now)

    @cached_property
    def dispatch(self) -> Dispatch:
        """What takes this process's part of them."""
        name = f"{socket.gethostname()}:{os.getpid()}"
        return Dispatch(name, self.commands, self.presence, self.operations, self.bell(), self.sweep)

    @cached_property
    def operators_application(self) -> ASGIApp:
        """The operators' API, which has a port of its own."""
        config = self._backend.config
        door = Door(self.operators, is_open=is_loopback(config.serve.operators_host))
        parts = (self.stations, self.presence, self.operations)
        return OperatorsServer(door, *parts, self.dispatch.changed, self._backend.now, config.subject.organization)

    def operators_tls(self) -> Callable[[], Tls] | None:
        """Return where the certificate of its port comes from; on the loopback it needs none."""
        return None if is_loopback(self._backend.config.serve.operators_host) else self._backend.tls

    def recognise(self, named: Mapping[str, Any]) -> Certificate | None:
        """Return the certificate of ours that hash data mean."""
        with contextlib.suppress(Failure, ValueError, KeyError):
            meant = hash_data(named)
            for entry in self._backend.ledger.find(serial=int(meant.plain.serial_number, 16)):
                certificate, above = entry.read(), self._backend.issuers.standing().chain(entry.issuer)
                if meant.names(certificate, above[0] if above else certificate):
                    return certificate
        return None

    def bell(self) -> Bell:
        """Return what rings when another process has changed something."""
        return bell(self._backend.database)

    def sweep(self) -> list[Operation]:
        """Fail what can not be done any more; returns it."""
        return [*self.operations.sweep(), *self.stations.overdue(self._backend.now())]

    @cached_property
    def entrance(self) -> Entrance:
        """Who may connect."""
        between = [each for path in self._section.client_cas for each in read_certificates(path)]
        roots = [each for each in between if each.self_issued]
        others = Manufacturers(roots, between, tuple(map(read_crl, self._section.client_crls)))
        return Entrance(self.stations, self._backend.issuers, self._trust, self._backend.now, others)

    @cached_property
    def server(self) -> Server:
        """What answers stations."""
        backend = self._backend
        parts = (backend.profiles, backend.subjects, backend.authority)
        cpo = CPO(*parts, backend.escrow, backend.now)
        csms = CSMS(self.stations, backend.authority, cpo, backend.subjects, backend.now)
        fetcher = Fetcher([*map(_network, self._section.fetch_networks)])
        statuses = Statuses(fetcher.fetch, self._own_answer, self._own_cas, lambda: self._other_cas, backend.now)
        return Server(
            entrance=self.entrance,
            csms=csms,
            delivering=Delivering(csms, backend.desk.place),
            authorizing=Authorizing(self.tokens, self._trust, statuses),
            statuses=statuses,
            install=self._forwarded if self._section.ccp else self._installed,
            commands=self.commands,
            now=backend.now,
            interval=self._section.heartbeat_seconds,
        )

    @cached_property
    def gateway(self) -> Gateway:
        """What serves their connections."""
        return Gateway(self.server)

    def listen(self, listener: socket.socket, kind: str) -> None:
        """Serve on the open socket of a security profile."""
        self._is_open = True
        profile = KINDS[kind]
        source = self.tls if profile > 1 else None
        self.gateway.add(listener, profile, source, self._client_cas if profile == 3 else None)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve while the block runs; there is nothing to do without ports."""
        if not self._is_open:
            yield
            return
        chores = ((self.server.part, PARTING_PERIOD),)
        tasks = [asyncio.create_task(_keep(*chore)) for chore in chores]
        try:
            async with self.dispatch.running(), self.gateway.serving():
                yield
        finally:
            for task in tasks:
                task.cancel()

    def reload_tls(self) -> None:
        """Take other certificates, keys and CAs."""
        if self._is_open:
            self.gateway.reload_tls()

    def tls(self) -> list[Tls]:
        """Return the server certificates, made or renewed where due."""
        hosts = self._section.hosts or self._backend.config.serve.tls_hosts
        made = []
        for suite in SUITES:
            # A device may have no RSA keys for CAs: then there is the other certificate.
            with contextlib.suppress(UnsupportedSuite):
                made.append(self._backend.tls("CSMS_SERVER", suite, hosts))
        return made

    def _client_cas(self) -> str:
        return "".join(each.pem for each in (*self.entrance.roots, *self.entrance.between))

    def _own_answer(self, request: bytes) -> bytes:
        return self._backend.publisher.responder.answer(request).published.octets

    def _own_cas(self) -> list[Certificate]:
        return [each.certificate for each in self._backend.issuers.standing().cas.values()]

    def _every_ca(self) -> list[Certificate]:
        return [*self._own_cas(), *self._other_cas]

    @cached_property
    def _other_cas(self) -> tuple[Certificate, ...]:
        others = self._foreign
        return (*others.mo, *others.v2g, *others.oem, *others.between)

    @cached_property
    def _foreign(self) -> Foreign:
        return foreign(self._backend.config.trust)

    @cached_property
    def _trust(self) -> Trust:
        return Trust(self._backend.issuers, self._backend.ledger, self._backend.now, self._foreign)

    def _installed(self, octets: bytes, is_update: bool) -> Reply:
        ccp = self._backend.contracts.ccp
        return ccp.update(octets) if is_update else ccp.install(octets)

    @cached_property
    def _client(self) -> Client:
        roots = Path(self._section.ccp_roots) if self._section.ccp_roots else None
        return Client(self._section.ccp, roots=roots, timeout=3)

    def _forwarded(self, octets: bytes, is_update: bool) -> Reply:
        """Leave the answer to another's CCP; it is handed on as it is."""
        ask = self._client.certificate_update if is_update else self._client.certificate_installation
        answer = ask(octets)
        message = answer.octets("v2gMessage")
        return Reply(message, "", answer.message, _remaining(message))


def _remaining(message: bytes) -> int | None:
    """Return how many more contracts a CertificateInstallationRes of -20 tells of; None for anything else."""
    try:
        answer = decode(message, ISO_20).value
    except Malformed:
        return None
    return answer.RemainingContractCertificateChains if isinstance(answer, CertificateInstallationRes) else None


async def _keep(doing: Callable[[], Awaitable[None]], period: timedelta) -> None:
    while True:
        try:
            await doing()
        except Failure as failure:
            log.warning("csms.delayed", extra={"why": str(failure)})
        except Exception:
            log.exception("csms.failed")
        await asyncio.sleep(period.total_seconds())


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise Refused(f"csms.fetch_networks: {error}; write 10.1.0.0/16 or an address") from error
