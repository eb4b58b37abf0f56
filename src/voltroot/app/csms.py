"""The CSMS plugged together: the registry, who decides, who answers, and the ports for each security profile."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import cached_property
from ipaddress import ip_network
from pathlib import Path

from voltroot.actors.ccp import Reply
from voltroot.actors.cpo import CPO
from voltroot.actors.csms.authorizing import Tokens
from voltroot.actors.csms.csms import CSMS
from voltroot.actors.csms.entrance import Entrance, Manufacturers
from voltroot.actors.trust import Foreign, Trust
from voltroot.apis.ocpp.authorizing import Authorizing
from voltroot.apis.ocpp.commands import Commands
from voltroot.apis.ocpp.csms import Server
from voltroot.apis.ocpp.delivering import Delivering
from voltroot.apis.ocpp.statuses import Statuses
from voltroot.apis.pnc.client import Client
from voltroot.app.backend import Backend
from voltroot.app.config import Config
from voltroot.app.contracts import foreign
from voltroot.app.pemfiles import read_certificates, read_crl
from voltroot.errors import Failure, Refused, UnsupportedSuite
from voltroot.pki.certificates import Certificate
from voltroot.pki.suites import P256_SHA256, RSA_SHA256
from voltroot.serve.fetch import Fetcher, Network
from voltroot.serve.http import Tls, open_socket
from voltroot.serve.websocket import Gateway
from voltroot.store.stations import SqlStations

log = logging.getLogger("voltroot")

KINDS = {f"csms-{profile}": profile for profile in (1, 2, 3)}
# Two server certificates, for stations with ECDSA and with RSA (A00.FR.318, 421).
SUITES = (P256_SHA256, RSA_SHA256)
SWEEPING_PERIOD = timedelta(seconds=20)


def ports(config: Config) -> dict[str, int]:
    """Return the ports that are configured, by their kind."""
    section = config.csms
    every = (section.profile_1_port, section.profile_2_port, section.profile_3_port)
    return {kind: port for kind, port in zip(KINDS, every, strict=True) if port}


def listeners(config: Config) -> list[tuple[socket.socket, str]]:
    """Open the sockets that are configured."""
    return [(open_socket(config.serve.host, port), kind) for kind, port in ports(config).items()]


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
        return Commands(self.stations, self._backend.now, guarded=not self._section.roots_over_profile_1)

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
        sweeping = asyncio.create_task(self._keep_sweeping())
        try:
            async with self.gateway.serving():
                yield
        finally:
            sweeping.cancel()

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

    async def _keep_sweeping(self) -> None:
        while True:
            try:
                now = self._backend.now()
                for late in await asyncio.to_thread(self.stations.overdue, now):
                    log.warning("operation.failed", extra={"station": late.station, "kind": late.kind, "why": "late"})
            except Failure as failure:
                log.warning("sweeping.delayed", extra={"why": str(failure)})
            except Exception:
                log.exception("sweeping.failed")
            await asyncio.sleep(SWEEPING_PERIOD.total_seconds())

    def _client_cas(self) -> str:
        return "".join(each.pem for each in (*self.entrance.roots, *self.entrance.between))

    def _own_answer(self, request: bytes) -> bytes:
        return self._backend.publisher.responder.answer(request).published.octets

    def _own_cas(self) -> list[Certificate]:
        return [each.certificate for each in self._backend.issuers.standing().cas.values()]

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
        """Leave the answer to another's CCP, unread."""
        ask = self._client.certificate_update if is_update else self._client.certificate_installation
        answer = ask(octets)
        return Reply(answer.octets("v2gMessage"), "", answer.message)


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise Refused(f"csms.fetch_networks: {error}; write 10.1.0.0/16 or an address") from error
