"""A CSMS in process with a port for each security profile, and charging stations that speak raw frames to it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypeVar

import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from websockets.asyncio.client import ClientConnection, connect

from backend import free_port
from voltroot.actors.csms import passwords
from voltroot.actors.csms.stations import Station as Registered
from voltroot.actors.registrar import claim
from voltroot.app.backend import Backend
from voltroot.app.config import Config
from voltroot.app.csms import KINDS, Csms
from voltroot.pki import suites
from voltroot.pki.certificates import Certificate, read_pem
from voltroot.pki.fingerprints import HashAlgorithm, hash_data
from voltroot.pki.names import Name
from voltroot.pki.ports import Entry
from voltroot.pki.suites import P256_SHA256, Signer, Suite
from voltroot.serve.http import open_socket
from world import World

T = TypeVar("T")

ORGANIZATION = "Voltroot Test"
PASSWORD = "a password of 27 characters"
BOOT = {"reason": "PowerUp", "chargingStation": {"model": "One", "vendorName": "Volt"}}
OCPP_2_0_1, OCPP_2_1 = "ocpp2.0.1", "ocpp2.1"
PATIENCE = 20


class Office:
    """The CSMS's end, its loop in a thread of its own."""

    def __init__(self, world: World, **sections: Any) -> None:
        self.world = world
        self.backend = Backend(Config(data=str(world.folder), **sections), now=world.clock)
        self.csms = Csms(self.backend)
        self.stations = self.csms.stations
        self.ports = {profile: free_port() for profile in KINDS.values()}
        for kind, profile in KINDS.items():
            self.csms.listen(open_socket("127.0.0.1", self.ports[profile]), kind)
        self._loop = uvloop.new_event_loop()
        self._stop = asyncio.Event()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE)
        self.backend.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something in the CSMS's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    def start(self, work: Coroutine[Any, Any, T]) -> Any:
        """Begin something in the CSMS's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    @property
    def commands(self) -> Any:
        return self.csms.commands

    def register(self, identity: str = "CS001", profile: int = 2, **members: Any) -> Registered:
        """Put a station on record."""
        given = {"serial_number": f"SN-{identity}", "organization": ORGANIZATION, "secret": _SECRET} | members
        station = Registered(identity, profile=profile, **given)
        self.stations.add(station)
        return station

    def certificate(self, identity: str = "CS001", **rest: Any) -> tuple[Entry, Signer]:
        """A ChargingStationCertificate of ours as a station may have it, and its key."""
        key = suites.generate(rest.pop("suite", P256_SHA256))
        common_name = f"SN-{identity}"
        order = self.world.order("CHARGING_STATION", common_name, **{"name": claim(common_name)} | rest)
        name = Name.of([("CN", common_name), ("O", ORGANIZATION), ("C", "DE")])
        return self.world.authority.issue(replace(order, public_key=key.public_key(), subject=name)), key

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        async with self.csms.serving():
            self._up.set()
            await self._stop.wait()
        await self.backend.desk.close()


class Line:
    """A client's connection, for one thread; what waits for the network does so in a loop of its own.

    The library's own client for threads reads and writes at the same time, which OpenSSL does not allow.
    """

    def __init__(self, address: str, **options: Any) -> None:
        self._runner = asyncio.Runner()
        self._loop = self._runner.get_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        try:
            self._connection = self._run(_connect(address, options), PATIENCE + 10)
        except BaseException:
            self._end()
            raise

    @property
    def response(self) -> Any:
        return self._connection.response

    @property
    def subprotocol(self) -> str | None:
        return self._connection.subprotocol

    @property
    def path(self) -> str:
        request = self._connection.request
        assert request is not None
        return request.path

    @property
    def close_code(self) -> int | None:
        return self._connection.close_code

    @property
    def tls(self) -> ssl.SSLObject:
        found: ssl.SSLObject = self._connection.transport.get_extra_info("ssl_object")
        return found

    def recv(self, timeout: float = PATIENCE) -> str:
        return str(self._run(asyncio.wait_for(self._connection.recv(), timeout), timeout + 5))

    def send(self, text: str | bytes, timeout: float = 60) -> None:
        self._run(self._connection.send(text), timeout)

    def flood(self, text: str, times: int) -> None:
        """Send the same again and again without reading."""

        async def sending() -> None:
            for _ in range(times):
                await self._connection.send(text)
                await asyncio.sleep(0)

        self._run(sending(), 120)

    def close(self) -> None:
        self._run(self._connection.close(), PATIENCE)
        self._end()

    def _run(self, work: Any, timeout: float) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._runner.close()


async def _connect(address: str, options: dict[str, Any]) -> ClientConnection:
    return await connect(address, open_timeout=PATIENCE, close_timeout=1, ping_interval=None, proxy=None, **options)


@dataclass
class Station:
    """One connection of a station."""

    connection: Line
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 10_000)))
    _asked: deque[list[Any]] = field(default_factory=deque)

    def call(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        """The CSMS's answer; what it asks meanwhile waits."""
        kind, body = self.try_call(action, payload)
        assert kind == 3, body
        answer: dict[str, Any] = body[0]
        return answer

    def try_call(self, action: str, payload: dict[str, Any]) -> tuple[int, list[Any]]:
        """The number of the answer's kind, and what follows its id."""
        id_ = str(next(self._numbers))
        self.send([2, id_, action, payload])
        while True:
            frame = self.receive()
            if frame[0] == 2:
                self._asked.append(frame)
            elif frame[1] == id_:
                return frame[0], frame[2:]

    def boot(self, **members: str) -> dict[str, Any]:
        return self.call("BootNotification", BOOT | {"chargingStation": {**BOOT["chargingStation"], **members}})

    def expect(self, action: str, answer: dict[str, Any] | None = None) -> dict[str, Any]:
        """What the CSMS asks next, answered at once where an answer is given."""
        frame = self._asked.popleft() if self._asked else self.receive()
        assert frame[:1] + frame[2:3] == [2, action], frame
        self.last = frame[1]
        if answer is not None:
            self.reply(answer)
        payload: dict[str, Any] = frame[3]
        return payload

    def reply(self, answer: dict[str, Any]) -> None:
        self.send([3, self.last, answer])

    def send(self, frame: list[Any]) -> None:
        self.connection.send(json.dumps(frame))

    def receive(self, timeout: float = PATIENCE) -> list[Any]:
        frame: list[Any] = json.loads(self.connection.recv(timeout))
        return frame

    def is_quiet(self, seconds: float = 0.3) -> bool:
        """Whether nothing comes for a while."""
        try:
            self._asked.append(self.receive(seconds))
        except TimeoutError:
            return not self._asked
        return False


@contextlib.contextmanager
def connected(
    office: Office,
    identity: str = "CS001",
    profile: int = 2,
    *,
    user: str | None = None,
    password: str | None = PASSWORD,
    client: tuple[list[Certificate], Signer] | None = None,
    versions: list[str] | None = None,
    tls: ssl.SSLContext | None = None,
    buffer: int | None = None,
    **options: Any,
) -> Iterator[Station]:
    """A connection with a security profile; ``buffer`` is how many octets may come before they are read."""
    headers = {}
    if profile < 3 and password is not None:
        text = f"{identity if user is None else user}:{password}"
        headers["Authorization"] = "Basic " + base64.b64encode(text.encode()).decode()
    context = None if profile == 1 else tls or trusting(office, client)
    scheme = "ws" if profile == 1 else "wss"
    opened = socket.socket()
    if buffer is not None:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    opened.connect(("127.0.0.1", office.ports[profile]))
    line = Line(
        f"{scheme}://localhost:{office.ports[profile]}/ocpp/{identity}",
        sock=opened,
        ssl=context,
        subprotocols=versions if versions is not None else [OCPP_2_0_1],
        additional_headers=headers,
        **options,
    )
    try:
        yield Station(line)
    finally:
        line.close()


def trusting(office: Office, client: tuple[list[Certificate], Signer] | None = None) -> ssl.SSLContext:
    """A station's TLS: it trusts the CSMS root, and shows a certificate with its chain if it has one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    root = office.world.issuers.standing().current("csms-root").certificate
    context.load_verify_locations(cadata=root.pem)
    if client is not None:
        chain, key = client
        path = Path(office.world.folder) / f"client-{chain[0].serial}.pem"
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        path.write_text("".join(each.pem for each in chain) + pem)
        context.load_cert_chain(path)
    return context


def signing_request(
    common_name: str, organization: str | None = ORGANIZATION, suite: Suite = P256_SHA256, key: Signer | None = None
) -> tuple[str, Signer]:
    """A PKCS#10 request in PEM, and its key."""
    key = key or suites.generate(suite)
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization is not None:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    algorithm = None if isinstance(key, ed448.Ed448PrivateKey) else hashes.SHA256()
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == "secp521r1":
        algorithm = hashes.SHA512()  # type: ignore[assignment]
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(parts)).sign(key, algorithm)
    return request.public_bytes(Encoding.PEM).decode(), key


def self_signed(common_name: str) -> tuple[list[Certificate], Signer]:
    """A certificate that nobody has issued, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    return [_made(common_name, key, common_name, key, ca=False)], key


def from_factory(common_name: str) -> tuple[list[Certificate], Signer]:
    """A certificate of a manufacturer's, with the manufacturer's root, and its key."""
    root, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = "Manufacturer Root"
    return [_made(common_name, key, name, root, ca=False), _made(name, root, name, root, ca=True)], key


def _made(name: str, key: Any, issuer: str, issuer_key: Any, *, ca: bool) -> Certificate:
    subject, above = (
        x509.Name([
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Manufacturer"),
            x509.NameAttribute(NameOID.COMMON_NAME, text),
        ])
        for text in (name, issuer)
    )  # fmt: skip
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        above, subject, key.public_key(), x509.random_serial_number(), now - timedelta(1), now + timedelta(1)
    )
    builder = builder.add_extension(x509.BasicConstraints(ca, None), critical=True)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = builder.add_extension(authority, critical=False)
    usage = [not ca, False, False, False, False, ca, ca, False, False]
    builder = builder.add_extension(x509.KeyUsage(*usage), critical=True)
    return Certificate.read(builder.sign(issuer_key, hashes.SHA256()).public_bytes(Encoding.DER))


def named(
    certificate: Certificate, issuer: Certificate, algorithm: HashAlgorithm = HashAlgorithm.SHA256
) -> dict[str, str]:
    """CertificateHashDataType."""
    made = hash_data(certificate, issuer, algorithm)
    return {
        "hashAlgorithm": made.algorithm.value,
        "issuerNameHash": made.issuer_name_hash,
        "issuerKeyHash": made.issuer_key_hash,
        "serialNumber": made.serial_number,
    }


def certificates(text: str) -> list[Certificate]:
    """The certificates of a chain in PEM, which has nothing else in it."""
    found = [Certificate.read(octets) for _, octets in read_pem(text)]
    assert text == "".join(each.pem for each in found)
    return found


def eventually(condition: Callable[[], Any]) -> Any:
    """What a condition gives as soon as it gives something."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("it never came to that")


_SECRET = passwords.make(PASSWORD)
