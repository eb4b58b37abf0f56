"""A CSMS that speaks raw frames, and charging stations of ours that come to it, each in a thread of its own."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import queue
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from backend import free_port
from stations import ORGANIZATION, PASSWORD, PATIENCE, Station, certificates, from_factory
from voltroot.actors.registrar import claim
from voltroot.actors.station.ports import CaKind, LeafKind
from voltroot.apis.car.client import Client
from voltroot.app.backend import Backend
from voltroot.app.config import Config
from voltroot.app.config import Csms as Section
from voltroot.app.csms import Csms
from voltroot.app.station import StationMachine
from voltroot.app.station_config import Car, CsmsTable, Everest, Josev, KeyTable, StationConfig, Store
from voltroot.pki import suites
from voltroot.pki.certificates import Certificate
from voltroot.pki.names import Name
from voltroot.pki.requests import read_named_request
from voltroot.pki.suites import PublicKey
from voltroot.serve.http import open_socket
from world import World

# As quickly as a test wants it.
AT_ONCE = {
    "OCPPCommCtrlr.RetryBackOffWaitMinimum": "0",
    "OCPPCommCtrlr.RetryBackOffRandomRange": "0",
    "SecurityCtrlr.CertSigningWaitMinimum": "1",
}
ACCEPTED = {"status": "Accepted"}
BOOTED = {"currentTime": "2026-11-20T12:00:00Z", "interval": 300, "status": "Accepted"}


class Line:
    """One connection of a station, for one thread: what ``stations.Station`` speaks through."""

    def __init__(self, connection: ServerConnection, loop: asyncio.AbstractEventLoop) -> None:
        self._connection = connection
        self._loop = loop
        request = connection.request
        assert request is not None
        self.path, self.headers = request.path, request.headers
        self.version = connection.subprotocol
        self.certificate = _certificate(connection)

    @property
    def password(self) -> str:
        text = base64.b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode()
        return text.partition(":")[2]

    def recv(self, timeout: float = PATIENCE) -> str:
        return str(self._run(asyncio.wait_for(self._connection.recv(), timeout), timeout + 5))

    def send(self, text: str) -> None:
        self._run(self._connection.send(text), PATIENCE)

    def close(self) -> None:
        self._run(self._connection.close(), PATIENCE)

    def is_closed(self) -> bool:
        """Wait until the station has gone."""
        self._run(self._connection.wait_closed(), PATIENCE)
        return True

    def _run(self, work: Any, timeout: float) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)


@dataclass
class Session(Station):
    """One connection at the CSMS's end, and the station that came."""

    connection: Line  # type: ignore[assignment] # the same from the other end
    running: Any = None


class RawCsms:
    """Ports for what a test wants; who connects waits in ``arrivals``.

    ``judge`` has by port the HTTP status for whoever shows a certificate, None to let them in.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.backend = Backend(Config(data=str(world.folder), csms=Section(hosts=("localhost",))), now=world.clock)
        self._tls = Csms(self.backend).tls()
        self.arrivals: dict[int, queue.Queue[Line]] = {}
        self.judge: dict[int, Callable[[Certificate | None], int | None]] = {}
        self._servers: list[Server] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()
        self.backend.close()

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        await asyncio.gather(*(server.wait_closed() for server in self._servers))

    def listen(self, profile: int, context: ssl.SSLContext | None = None) -> int:
        """Open a port for a security profile; returns its number."""
        port = free_port()
        self.arrivals[port] = queue.Queue()
        if profile > 1:
            context = context or self.context(profile)

        async def arrived(connection: ServerConnection) -> None:
            self.arrivals[port].put(Line(connection, self._loop))
            await connection.wait_closed()

        async def judge(connection: ServerConnection, request: Request) -> Response | None:
            status = self.judge.get(port, lambda certificate: None)(_certificate(connection))
            return connection.respond(status, "no\n") if status else None

        async def begin() -> None:
            server = await serve(
                arrived, sock=open_socket("127.0.0.1", port), ssl=context, process_request=judge,
                subprotocols=["ocpp2.1", "ocpp2.0.1"], ping_interval=None, close_timeout=1,
            )  # fmt: skip
            self._servers.append(server)

        asyncio.run_coroutine_threadsafe(begin(), self._loop).result(PATIENCE)
        return port

    def context(self, profile: int) -> ssl.SSLContext:
        """TLS as the profile wants it, with certificates below the CSMS root."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        for tls in self._tls:
            context.load_cert_chain(tls.chain, tls.key, tls.password)
        if profile == 3:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=self.root("csms-root").pem)
        return context

    def accept(self, port: int) -> Session:
        """The next station that connects."""
        return Session(self.arrivals[port].get(timeout=PATIENCE))

    def accept_booted(self, port: int) -> Session:
        """The next one, after everything that a station tells when it has started."""
        session = self.accept(port)
        booted(session)
        return session

    def root(self, label: str) -> Certificate:
        return self.world.issuers.standing().current(label).certificate

    def sign(self, csr: str, profile: str = "CHARGING_STATION", key: PublicKey | None = None) -> str:
        """The chain in PEM for a request, leaf first and without the root; for another key where one is given."""
        request = read_named_request(csr)
        name = request.subject.get("CN") or ""
        return self.issue(name, profile, key or request.key)

    def issue(self, name: str, profile: str, key: PublicKey, *, ends_in: float = 0, **rest: Any) -> str:
        """A chain as ``sign`` makes it; it may end so many seconds from now."""
        if ends_in:
            shift = {"days": -self.world.profiles[profile].days, "seconds": ends_in}
            self.world.clock.turn(**shift)
            try:
                return self.issue(name, profile, key, **rest)
            finally:
                self.world.clock.turn(**{unit: -number for unit, number in shift.items()})
        order = self.world.order(profile, name, **{"name": claim(name), "renewal": True} | rest)
        row = order.profile
        parts = {"C": "DE", "O": ORGANIZATION, "DC": row.dc, "CN": name}
        subject = Name.of([(part, value) for part in row.shape if (value := parts.get(part))])
        entry = self.world.authority.issue(replace(order, public_key=key, subject=subject))
        return "".join(each.pem for each in self.world.chain(entry)[:-1])


@dataclass
class Running:
    """A station of ours that runs in this process."""

    folder: Path
    settings: dict[str, Any]
    variables: dict[str, str] = field(default_factory=dict)
    keys: KeyTable = field(default_factory=KeyTable)
    store: Store = field(default_factory=Store)
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "password").write_text(PASSWORD)

    @property
    def config(self) -> StationConfig:
        given = {
            "identity": "CS1",
            "serial_number": "SN1",
            "organization": ORGANIZATION,
            "secc_ids": ("SECC1", "SECC2"),
        }
        given |= {"password_file": str(self.folder / "password"), "variables": AT_ONCE | self.variables}
        return StationConfig(
            certs=str(self.folder / "certs"),
            everest=Everest(enabled=False),
            josev=Josev(enabled=False),
            keys=self.keys,
            store=self.store,
            csms=CsmsTable(**given | self.settings),
            car=Car(f"127.0.0.1:{self.port}"),
        )

    def trust(self, kind: CaKind, certificate: Certificate) -> None:
        bundle = self.folder / f"certs/ca/{kind.lower()}/{kind}_ROOT_CA.pem"
        bundle.parent.mkdir(parents=True, exist_ok=True)
        bundle.write_text((bundle.read_text() if bundle.exists() else "") + certificate.pem)

    def own(self, csms: RawCsms, name: str = "SN1", kind: LeafKind = LeafKind.CSMS, **rest: Any) -> Certificate:
        """A certificate that it has from earlier, with its key."""
        profile = "CHARGING_STATION" if kind is LeafKind.CSMS else "SECC_2"
        key = suites.generate(csms.world.profiles[profile].suites[0])
        chain = csms.issue(name, profile, key.public_key(), **rest)
        folder = self.folder / "certs/client" / ("csms" if kind is LeafKind.CSMS else "cso")
        folder.mkdir(parents=True, exist_ok=True)
        leaf = certificates(chain)[0]
        mark = f"{leaf.serial:x}"
        (folder / f"{mark}.pem").write_text(chain)
        octets = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / f"{mark}.key").write_bytes(octets)
        (folder / f"{mark}.key").chmod(0o600)
        return leaf

    @contextlib.contextmanager
    def run(self) -> Iterator[StationMachine]:
        machine = StationMachine(self.config)
        machine.open()
        assert machine.csms is not None
        machine.csms.start()
        try:
            yield machine
        finally:
            machine.csms.stop()

    @property
    def client(self) -> Client:
        return Client(f"127.0.0.1:{self.port}", timeout=30)


def _certificate(connection: ServerConnection) -> Certificate | None:
    tls = connection.transport.get_extra_info("ssl_object")
    octets = tls.getpeercert(binary_form=True) if tls is not None else None
    return Certificate.read(octets) if octets else None


def booted(session: Session, events: int = 1) -> list[str]:
    """Hear what a station says after it has started; returns the security events, of which there have to be so many."""
    assert session.expect("BootNotification", BOOTED)["chargingStation"]["serialNumber"] == "SN1"
    for _ in range(2):
        session.expect("StatusNotification", {})
    return [session.expect("SecurityEventNotification", {})["type"] for _ in range(events)]


def untrusted() -> ssl.SSLContext:
    """A server's TLS with a certificate of nobody's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, *from_factory("localhost"))
    return context


def _load(context: ssl.SSLContext, chain: list[Certificate], key: Any) -> None:
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
        file.write("".join(each.pem for each in chain))
        file.flush()
        context.load_cert_chain(file.name)
