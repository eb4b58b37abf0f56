"""The station's end of OCPP plugged together: who is behind it, its local door, and the thread in which it waits."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from voltroot.actors.station.applications import Applications
from voltroot.actors.station.contracts import Contracts, Decision
from voltroot.actors.station.networks import PRIORITY, Networks
from voltroot.actors.station.outcomes import Installation, InstallStatus
from voltroot.actors.station.ports import LeafKind, is_root
from voltroot.actors.station.signings import Names, Signings
from voltroot.actors.station.state import Network, Record
from voltroot.actors.station.station import Station
from voltroot.actors.station.succession import Succession
from voltroot.actors.station.variables import Variables
from voltroot.actors.station.vehicles import Vehicles, Verdict
from voltroot.apis.car.server import Server as CarServer
from voltroot.apis.ocpp.station import wire
from voltroot.apis.ocpp.station.server import Parts, Server
from voltroot.apis.ocpp.station.telling import Hardware
from voltroot.app.config import read_secret
from voltroot.app.pemfiles import read_certificates
from voltroot.app.station_calling import Calling
from voltroot.app.station_config import StationConfig
from voltroot.errors import Failure, Malformed, Refused, Unavailable
from voltroot.ocppj.frames import Payload
from voltroot.pki.certificates import Certificate
from voltroot.pki.ports import Keyring
from voltroot.serve.dialling import Dialler
from voltroot.serve.http import Servers, open_socket
from voltroot.store.stationstate import StateFile

log = logging.getLogger("voltroot")

STOP_WITHIN = 15  # seconds
CERTIFY_WITHIN = 60.0  # seconds until a program that waits for a certificate is told to look later


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
        record = Record(StateFile(state))
        networks = Networks(record, station, downgrade=table.allow_downgrade)
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
        variables = Variables(record, evses, given, computed, checks)
        in_device = table.device_keys and keyring is not None
        wants = [wire.USES[each] for each in table.wants]
        names = Names(serial, table.country, evses)
        v2g = _roots(table.v2g_root) if table.v2g_root else []
        signings = Signings(station, record, variables, names, device=in_device, wants=wants, v2g=v2g)
        contracts = Contracts(station, record, variables)
        checked = "SecurityCtrlr.AdditionalRootCertificateCheck"
        succession = Succession(record, station, lambda: variables.is_on(checked))
        vehicles = Vehicles(station, variables)
        self.parts = Parts(station, record, variables, networks, signings, contracts, succession, vehicles)
        self.server = Server(self.parts, Hardware(table.model, table.vendor, serial, table.firmware, evses))
        self._calling = Calling(table, self.parts, self.server, keyring, key_password)
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
            "profile": self.parts.networks.active.profile,
            "url": self.parts.networks.active.url,
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
        try:
            kind, name, key = await self.server.turn.take(lambda: self._applications().read(csr))
            await self.server.signing.adopt(kind, name, csr, key)
        except Failure as failure:
            # Josev has had its answer; nobody else would hear of it.
            log.warning("certificate.not_forwarded", extra={"why": str(failure)})
            return
        self.server.telling.wake.set()

    def _open_door(self) -> Any:
        host, _, port = self._config.car.listen.rpartition(":")
        return open_socket(host.strip("[]"), int(port)) if host else None

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        self._up.set()
        await self.server.telling.note("StartupOfTheDevice")
        tasks = [asyncio.ensure_future(Dialler(self._calling).run())]
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
