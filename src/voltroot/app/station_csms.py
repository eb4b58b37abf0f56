"""The station's way to its CSMS plugged together: who is behind it, and the thread in which it waits."""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from voltroot.actors.station.applications import Applications
from voltroot.actors.station.contracts import Contracts, Decision
from voltroot.actors.station.networks import PRIORITY, Attempts, Networks, Trouble
from voltroot.actors.station.outcomes import Installation, InstallStatus
from voltroot.actors.station.ports import Leaf, LeafKind, is_root
from voltroot.actors.station.presenting import Presenting
from voltroot.actors.station.signings import Names, Signings
from voltroot.actors.station.state import Network, Record
from voltroot.actors.station.station import Station
from voltroot.actors.station.succession import Succession
from voltroot.actors.station.variables import Variables
from voltroot.actors.station.vehicles import Vehicles, Verdict
from voltroot.apis.car.server import Server as CarServer
from voltroot.apis.ocpp.station import wire
from voltroot.apis.ocpp.station.link import Link
from voltroot.apis.ocpp.station.server import Parts, Reply, Server
from voltroot.apis.ocpp.station.telling import Hardware
from voltroot.app.config import read_secret
from voltroot.app.pemfiles import read_certificates
from voltroot.app.station_config import StationConfig
from voltroot.errors import Malformed, Refused, Unavailable
from voltroot.keys.tls import lend
from voltroot.ocppj.frames import Payload
from voltroot.ocppj.schemas import Version
from voltroot.pki.certificates import Certificate
from voltroot.pki.ports import Keyring
from voltroot.serve.dialling import Dialler, Target, client_context, forbid_wildcards
from voltroot.serve.http import Servers, open_socket
from voltroot.store.stationstate import StateFile

log = logging.getLogger("voltroot")

STOP_WITHIN = 15  # seconds
MOST_ENDED = 2  # connections that just end, until that is taken for a refusal of the certificate
CERTIFY_WITHIN = 60.0  # seconds until a program that waits for a certificate is told to look later
# What each trouble is called among the security events (OCPP 2.0.1 appendix 1).
EVENTS = {
    Trouble.CERTIFICATE: "InvalidCsmsCertificate",
    Trouble.VERSION: "InvalidTLSVersion",
    Trouble.CIPHER: "InvalidTLSCipherSuite",
    Trouble.PASSWORD: "FailedToAuthenticateAtCsms",
    Trouble.REFUSED: "FailedToAuthenticateAtCsms",
}


class StationCsms:
    """What stands between the station and its CSMS, in a thread of its own from ``start`` to ``stop``."""

    def __init__(
        self,
        config: StationConfig,
        station: Station,
        applications: Callable[[], Applications],
        state: Path,
        keyring: Keyring | None,
        key_password: str,
    ) -> None:
        self._config = config
        self._table = table = config.csms
        self._station = station
        self._applications = applications
        self._keyring = keyring
        self._key_password = key_password
        self._record = record = Record(StateFile(state))
        networks = self._networks = Networks(record, station, downgrade=table.allow_downgrade)
        networks.take(Network(table.url, table.profile), read_secret(table.password_file))
        serial = table.serial_number or table.identity
        evses = max(1, len(table.secc_ids))
        computed: dict[str, Callable[[], str]] = {
            "SecurityCtrlr.SecurityProfile": lambda: str(networks.active.profile),
            "SecurityCtrlr.Identity": lambda: table.identity,
            "SecurityCtrlr.CertificateEntries": lambda: str(station.store.size().certificates),
            "SecurityCtrlr.AllowSecurityProfileDowngrade": lambda: str(table.allow_downgrade).lower(),
            "SecurityCtrlr.AllowCSMSTLSWildcards": lambda: str(table.allow_wildcards).lower(),
            "OCPPCommCtrlr.ActiveNetworkProfile": lambda: str(record.state.slot),
            PRIORITY: lambda: networks.priority,
            "ClockCtrlr.DateTime": lambda: f"{station.now():%Y-%m-%dT%H:%M:%SZ}",
            "ChargingStation.Model": lambda: table.model,
            "ChargingStation.VendorName": lambda: table.vendor,
            "ChargingStation.SerialNumber": lambda: serial,
        }
        given = {
            "SecurityCtrlr.OrganizationName": table.organization,
            "ISO15118Ctrlr.OrganizationName": table.organization,
            "ISO15118Ctrlr.CountryName": table.country,
            **{f"ISO15118Ctrlr.SeccId#{number}": each for number, each in enumerate(table.secc_ids, 1)},
            **table.variables,
        }
        checks = {PRIORITY: networks.objection_to_priority}
        variables = self._variables = Variables(record, evses, given, computed, checks)
        self._attempts = Attempts(networks, variables)
        self._presenting = Presenting(station)
        in_device = table.device_keys and keyring is not None
        wants = [wire.USES[each] for each in table.wants]
        names = Names(serial, table.country, evses)
        v2g = _roots(table.v2g_root) if table.v2g_root else []
        signings = Signings(station, record, variables, names, device=in_device, wants=wants, v2g=v2g)
        contracts = Contracts(station, record, variables)
        self._succession = Succession(
            record, station, lambda: variables.is_on("SecurityCtrlr.AdditionalRootCertificateCheck")
        )
        parts = Parts(
            station, record, variables, networks, signings, contracts, self._succession, Vehicles(station, variables)
        )
        self.server = Server(parts, Hardware(table.model, table.vendor, serial, table.firmware, evses))
        self._shown: Leaf | None = None
        self._slot = self._trusting = self._ended = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending: asyncio.Event | None = None
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ocpp", daemon=True)

    # For other threads

    def start(self) -> None:
        """Connect, and stay connected."""
        self._listener = self._open_door()
        self._thread.start()
        self._up.wait()

    def stop(self) -> None:
        """Leave the CSMS, and end."""
        if self._loop is not None and self._ending is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(STOP_WITHIN)

    def forward(self, csr: str) -> None:
        """Have the CSMS sign a request, as soon as it is connected; do not wait."""
        if self._loop is not None:
            asyncio.run_coroutine_threadsafe(self._forwarded(csr), self._loop)

    # What the dialler asks

    async def target(self) -> Target:
        """Return where to connect next."""
        return await self.server.turn.take(self._target)

    async def failed(self, trouble: Trouble, why: str) -> float:
        """Note that it did not work; returns the seconds to wait."""
        if trouble is Trouble.CERTIFICATE and self._trusting + 1 < len(self._succession.trusted()):
            # M05.FR.13: the root before this one may still do.
            self._trusting += 1
            return 0.0
        self._trusting = 0
        if (event := EVENTS.get(trouble)) is not None:
            await self.server.telling.note(event, why, once=True)
        self._ended = self._ended + 1 if trouble is Trouble.ENDED else 0
        refused = trouble is Trouble.REFUSED or self._ended > MOST_ENDED
        if refused and self._shown is not None and self._presenting.refused(self._shown):
            # A02.FR.28: the certificate before this one may still do.
            self._ended = 0
            return 0.0
        return self._attempts.failed()

    async def opened(self, link: Link) -> None:
        """Work over the connection."""
        discarded = await self.server.turn.take(self._connected)
        if discarded is not None:
            await self.server.telling.note("DiscardedRenewedClientCertificate", f"serial {discarded.serial:x}")
        await self.server.opened(link)

    async def closed(self, link: Link) -> float:
        """Note that the connection has gone; returns the seconds to wait."""
        self.server.closed()
        if self.server.telling.answered:
            self._attempts.restart()
        return 0.0 if self.server.left else self._attempts.failed()

    def answer(self, link: Link, action: str, payload: Payload) -> Awaitable[Reply]:
        """Answer a call of the CSMS's."""
        return self.server.answer(link, action, payload)

    # What the door asks

    def status(self) -> dict[str, Any]:
        """Return how the station stands."""
        link, station = self.server.connected, self._station
        infos = {kind: station.leaf(kind).info for kind in (LeafKind.CSMS, LeafKind.V2G, LeafKind.V2G20)}
        names = {kind.value: info.leaf.certificate.subject.get("CN") if info else None for kind, info in infos.items()}
        return {
            "identity": self._table.identity,
            "connected": link is not None,
            "accepted": self.server.link is not None,
            "version": link.version.value if link else None,
            "profile": self._networks.active.profile,
            "url": self._networks.active.url,
            "leaves": names,
        }

    def install(self, payload: Payload) -> Awaitable[Payload]:
        """Return Get15118EVCertificateResponse for the request."""
        return self.server.cars.install(self.server.link, payload)

    def authorize(self, chain: str) -> Awaitable[Decision]:
        """Decide whether a car may charge."""
        return self.server.cars.authorize(self.server.link, chain)

    def admit(self, chain: str) -> Awaitable[Verdict]:
        """Decide whether a car's certificate for TLS will do."""
        return self.server.cars.admit(self.server.link, chain)

    async def certify(self, csr: str) -> Installation:
        """Have the CSMS sign a request whose key is here; one that is answered already is not asked again."""
        kind, name, key = await self.server.turn.take(lambda: self._applications().read(csr))
        if any(leaf.certificate.key_hash == key.key_hash for leaf in self._station.store.leaves(kind).leaves):
            return Installation(InstallStatus.ACCEPTED)
        return await self._outcome(await self.server.signing.adopt(kind, name, csr, key))

    async def renew(self, type_: str, evse: int | None) -> Installation:
        """Have the CSMS sign a new key."""
        if type_ not in wire.USES:
            raise Malformed(f"type: {type_[:50]!a} is none of {', '.join(wire.USES)}")
        orders = self.server.signing.orders(wire.USES[type_], evse)
        return await self._outcome(await self.server.signing.begin(orders[0]))

    # How

    async def _outcome(self, asked: Any) -> Installation:
        self.server.telling.wake.set()
        try:
            return await asyncio.wait_for(self.server.signing.outcome(asked), CERTIFY_WITHIN)
        except TimeoutError as error:
            why = "the CSMS has not answered yet: the certificate is installed when it comes"
            raise Unavailable(why) from error

    async def _forwarded(self, csr: str) -> None:
        kind, name, key = await self.server.turn.take(lambda: self._applications().read(csr))
        await self.server.signing.adopt(kind, name, csr, key)
        self.server.telling.wake.set()

    def _target(self) -> Target:
        table, number = self._table, self._variables.number
        self._slot = self._attempts.slot
        network = self._record.state.networks[self._slot]
        offered = [each for each in table.versions if network.version in ("", each)] or table.versions
        context = None
        self._shown = self._presenting.leaf() if network.profile == 3 else None
        if network.profile > 1:
            context = self._context(self._shown, network)
        password = None if network.profile == 3 else network.password or self._record.state.password
        identity = network.identity or table.identity
        ping = number("OCPPCommCtrlr.WebSocketPingInterval")
        return Target(network.url, identity, network.profile, [*map(Version, offered)], password, context, ping)

    def _context(self, shown: Leaf | None, network: Network) -> ssl.SSLContext:
        context = client_context()
        trusted = self._succession.trusted()
        if not trusted:
            raise Unavailable("no CSMS root is installed that is valid: put one into ca/csms of the store")
        roots = trusted[self._trusting % len(trusted)]
        context.load_verify_locations(cadata="".join(each.pem for each in roots))
        # A root that took over has not issued itself.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        if not self._table.allow_wildcards:
            forbid_wildcards(context)
        if network.profile == 3:
            if shown is None:
                raise Unavailable("no ChargingStationCertificate is installed: security profile 3 needs one")
            self._show(context, shown)
        return context

    def _show(self, context: ssl.SSLContext, leaf: Leaf) -> None:
        path = leaf.chain_file or leaf.single_file
        assert path is not None, "a leaf stands in some file"
        assert leaf.key is not None, "it was chosen for its key"
        try:
            if leaf.key.label is None:
                context.load_cert_chain(path, leaf.key.path, self._key_password)
            elif self._keyring is not None:
                # A device that is away is not taken for a CSMS that refuses the certificate.
                self._keyring.check()
                lend(context, path, self._keyring.signer(leaf.key.label))
        except (OSError, ValueError) as error:
            raise Unavailable(f"the certificate {path} or its key cannot be used: {error}") from error

    def _connected(self) -> Certificate | None:
        self._networks.used(self._slot)
        if self._networks.active.profile > 1:
            self._succession.worked(self._trusting)
        self._trusting = self._ended = 0
        return self._presenting.worked(self._shown) if self._shown is not None else None

    def _open_door(self) -> Any:
        host, _, port = self._config.car.listen.rpartition(":")
        return open_socket(host.strip("[]"), int(port)) if host else None

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        self._up.set()
        await self.server.telling.note("StartupOfTheDevice")
        tasks = [asyncio.ensure_future(Dialler(self).run())]
        door = None
        if self._listener is not None:
            door = Servers(CarServer(self))
            door.add(self._listener)
            tasks.append(asyncio.ensure_future(door.run()))
        ending = asyncio.ensure_future(self._ending.wait())
        await asyncio.wait((*tasks, ending), return_when=asyncio.FIRST_COMPLETED)
        if door is not None:
            door.stop()
        tasks[0].cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                log.error("ocpp.failed", exc_info=outcome)


def _roots(path: str) -> list[Certificate]:
    found = read_certificates(path)
    if not all(map(is_root, found)):
        raise Refused(f"csms.v2g_root: {path} holds a certificate that is no root")
    return found
