"""The station's machine: the store, the keyring, the APIs over MQTT, its CSMS, and the CPO's CA behind the backend."""

from __future__ import annotations

import logging
import queue
import signal
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from voltroot.actors.station.applications import Applications
from voltroot.actors.station.choosing import Policy
from voltroot.actors.station.outcomes import Change, Installation, InstallStatus
from voltroot.actors.station.ports import CaKind, LeafKind
from voltroot.actors.station.station import Station
from voltroot.actors.station.upkeep import Rules
from voltroot.apis.car.client import Client as CarClient
from voltroot.apis.everest.server import Server as EverestServer
from voltroot.apis.everest.server import Settings
from voltroot.apis.josev.server import Server as JosevServer
from voltroot.apis.pnc.client import Client as PncClient
from voltroot.apis.pnc.wire import to_base64
from voltroot.app.backend import utc_now
from voltroot.app.config import read_secret
from voltroot.app.provisioning import published_above
from voltroot.app.station_config import StationConfig, broker_of, pin_of
from voltroot.app.station_csms import StationCsms
from voltroot.errors import Failure, Refused, Unavailable
from voltroot.keys.opening import open_keyring
from voltroot.keys.tpm import TpmKeyring
from voltroot.pki.certificates import Certificate
from voltroot.pki.ports import Keyring
from voltroot.pki.profiles import Edition, profiles
from voltroot.serve.mqtt import Line
from voltroot.serve.workers import Api, Worker
from voltroot.store.applications import ApplicationFile
from voltroot.store.certdir import CertificateFolder, Layout

log = logging.getLogger("voltroot")

UPKEEP = 60.0  # seconds between looks at what others have changed, and at garbage
WAITING = 100  # requests for an authority that is away
LEAVE = 2.0  # seconds that are left to it when the station ends


class StationMachine:
    """A station as its file describes it. Making one changes nothing; ``open`` makes what is missing."""

    def __init__(self, config: StationConfig) -> None:
        self.config = config
        table = config.store
        given = {CaKind.V2G: table.v2g_ca, CaKind.MO: table.mo_ca, CaKind.CSMS: table.csms_ca, CaKind.MF: table.mf_ca}
        elsewhere = {kind: Path(path).absolute() for kind, path in given.items() if path}
        keys = Path(table.keys).absolute() if table.keys else None
        self.layout = Layout.everest(Path(config.certs).absolute(), keys=keys, elsewhere=elsewhere)
        self._password = read_secret(table.key_password_file)
        # A signal may come at any moment, and this may be put to at any.
        self._stopping: queue.SimpleQueue[None] = queue.SimpleQueue()
        # What Josev wants of the authority; None is the end.
        self._requests: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    @cached_property
    def store(self) -> CertificateFolder:
        """The folder."""
        return CertificateFolder(self.layout, utc_now, password=self._password.encode() or None)

    @cached_property
    def station(self) -> Station:
        """The station itself."""
        table = self.config.store
        rules = Rules(
            policy=Policy[table.policy.upper()],
            strict=table.strict,
            most_certificates=table.most_certificates,
            most_octets=table.most_megabytes << 20,
            keep=table.keep,
            patience=timedelta(minutes=table.key_patience_minutes),
        )
        reference = partial(_reference, self._keyring)
        return Station(self.store, profiles(), utc_now, rules=rules, keyring=self._keyring, reference=reference)

    @cached_property
    def applications(self) -> Applications:
        """The keys that Josev has asked for."""
        return Applications(self.station, self._book)

    @cached_property
    def csms(self) -> StationCsms | None:
        """The way to the CSMS, if there is one."""
        if not self.config.csms.url:
            return None
        state = self.layout.state / "ocpp.json"
        return StationCsms(self.config, self.station, lambda: self.applications, state, self._keyring, self._password)

    def open(self) -> None:
        """Make the folders, and finish what a crash has left."""
        self.store.open()

    def certify(self, text: str) -> Installation:
        """Have a request certified whose key is here, and install the certificate: by the CSMS of the station that
        runs, where Josev's requests go there, else by the CPO's CA."""
        if self.config.josev.forward == "csms":
            answer = CarClient(self._door()).certify(text)
            return Installation(InstallStatus(answer["status"]), answer["reason"])
        return self._certify(text)

    def _certify(self, text: str) -> Installation:
        table = self.config.authority
        roots = Path(table.roots) if table.roots else None
        return self.applications.certify(text, CpoAuthority(PncClient(table.api, roots=roots)))

    def run(self, told: Callable[[], None] = lambda: None) -> None:
        """Answer until SIGTERM or SIGINT; then answer what has come, and end. ``told`` is called when it begins."""
        self.open()
        broker = broker_of(self.config)
        broker.check()
        if self.config.josev.enabled or self.config.csms.url:
            self._book.hold()
        self._check_keyring()
        line, apis = Line(broker), self._apis()
        outcomes = self._metrics(line, apis)
        workers = [Worker(line, api, _counting(outcomes, api.name)) for api in apis]
        self._listen_to_signals()
        if self.csms is not None:
            self.csms.start()
        forwarding = threading.Thread(target=self._forward, name="authority", daemon=True)
        forwarding.start()
        for worker in workers:
            worker.start()
        if apis:
            line.start()
        self.station.upkeep.listen(_log_change)
        told()
        while not self._is_stopped_within(UPKEEP):
            self._look_after()
        for worker in workers:
            worker.stop()
        line.stop()
        if self.csms is not None:
            self.csms.stop()
        self._requests.put(None)
        forwarding.join(LEAVE)
        log.info("station.stopped")

    def stop(self) -> None:
        """End ``run``."""
        self._stopping.put(None)

    def _is_stopped_within(self, seconds: float) -> bool:
        try:
            self._stopping.get(timeout=seconds)
        except queue.Empty:
            return False
        return True

    @cached_property
    def _book(self) -> ApplicationFile:
        return ApplicationFile(self.layout.state / "applications.json")

    @cached_property
    def _keyring(self) -> Keyring | None:
        table = self.config.keys
        if not table.device:
            return None
        folder = Path(table.folder) if table.folder else self.layout.state / "keyring"
        return open_keyring(table.device, folder, partial(pin_of, self.config))

    def _apis(self) -> list[Api]:
        own, josev = self.config.everest, self.config.josev
        apis: list[Api] = []
        if own.enabled:
            password = self._password if own.send_key_password and self._password else None
            settings = Settings(
                own.module, own.prefix, own.heartbeat_interval_ms, own.communication_check_to_s, password
            )
            apis.append(EverestServer(self.station, settings))
        if josev.enabled:
            in_keyring = self._keyring is not None
            server = JosevServer(
                self.applications, self._made, in_keyring=in_keyring, hears=josev.hears, says=josev.says
            )
            apis.append(server)
        return apis

    def _made(self, csr: str) -> None:
        """Pass a request of Josev's on to whoever is to certify it."""
        match self.config.josev.forward:
            case "csms" if self.csms is not None:
                self.csms.forward(csr)
            case "authority" if self._requests.qsize() < WAITING:
                self._requests.put(csr)
            case "authority":
                log.warning("certificate.not_forwarded", extra={"why": f"{WAITING} requests wait for the authority"})

    def _forward(self) -> None:
        """Pass on what waits, in a thread of its own: Josev waits for its answers, and the authority may be away."""
        while (csr := self._requests.get()) is not None:
            self._certify_for_josev(csr)

    def _certify_for_josev(self, csr: str) -> None:
        try:
            installation = self._certify(csr)
            log.info("certificate.forwarded", extra={"status": installation.status.value, "why": installation.reason})
        except Failure as failure:
            log.warning("certificate.not_forwarded", extra={"why": str(failure)})
        except Exception:
            log.exception("certificate.not_forwarded")

    def _door(self) -> str:
        if not self.config.car.listen:
            raise Refused("car.listen: the station that runs has to listen somewhere, to be asked for this")
        return self.config.car.listen

    def _metrics(self, line: Line, apis: Sequence[Api]) -> Counter:
        """Return the counter of messages, and tell Prometheus of it and of the rest where that is wanted."""
        own, registry = self.config.metrics, CollectorRegistry()
        text = "Messages by what became of them"
        outcomes = Counter("voltroot_mqtt_messages", text, ["api", "outcome"], registry=registry)
        Gauge("voltroot_mqtt_connected", "Whether the broker has us", registry=registry).set_function(line.ready.is_set)
        if (csms := self.csms) is not None:
            connected = Gauge("voltroot_csms_connected", "Whether the CSMS has accepted us", registry=registry)
            connected.set_function(lambda: csms.server.link is not None)
        for api in apis:
            if isinstance(api, EverestServer):
                text = "Whether EVerest's consumer does not send its communication_check"
                missing = Gauge("voltroot_everest_consumer_missing", text, registry=registry)
                missing.set_function(lambda check=api.check: bool(check.fault))  # type: ignore[misc] # its own default
        if own.port:
            try:
                start_http_server(own.port, own.host, registry)
            except OSError as error:
                text = f"the address {own.host}:{own.port} cannot be used: {error.strerror}; choose another"
                raise Unavailable(text) from error
        return outcomes

    def _check_keyring(self) -> None:
        """Say it at once where the device is away; it may come back."""
        try:
            if self._keyring is not None:
                self._keyring.check()
        except Unavailable as failure:
            log.warning("keyring.unavailable", extra={"why": str(failure)})

    def _look_after(self) -> None:
        try:
            self.station.upkeep.notice()
            self.applications.collect()
        except Failure as failure:
            log.warning("upkeep.failed", extra={"why": str(failure)})
        except Exception:
            log.exception("upkeep.failed")

    def _listen_to_signals(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: self.stop())


class CpoAuthority:
    """The CPO's CA by way of the Secondary Actor API: a ``Signatory`` for the station's certificates for cars."""

    def __init__(self, client: PncClient) -> None:
        self._client = client

    def certify(self, kind: LeafKind, name: str, request: bytes) -> str:
        """Return the certificate with those above it; a name that has one already gets a further one."""
        if kind is LeafKind.CSMS:
            raise Refused("the CPO's CA certifies stations for cars only: the CSMS certifies them for itself")
        edition = {"edition": Edition.ISO15118_20.value} if kind is LeafKind.V2G20 else {}
        leaf = Certificate.read(self._issued(name, request, edition))
        return leaf.pem + "".join(each.pem for each in published_above(self._client, leaf))

    def _issued(self, name: str, request: bytes, edition: dict[str, str]) -> bytes:
        try:
            return self._client.issue_secc_by_csr(request, name, **edition).octets("certificateData")
        except Refused as refused:
            try:
                renewed = self._client.renew_secc(name, pkcs10Data=to_base64(request), **edition)
            except Refused:
                raise refused from None
            return renewed.octets("provCert")


def _counting(outcomes: Counter, api: str) -> Callable[[str], None]:
    return lambda outcome: outcomes.labels(api, outcome).inc()


def _reference(keyring: Keyring | None, label: str) -> str:
    """Return the PEM by which OpenSSL finds a key of a TPM."""
    return keyring.path(label).read_text(encoding="ascii") if isinstance(keyring, TpmKeyring) else ""


def _log_change(change: Change) -> None:
    log.info("store.changed", extra={"kind": change.kind.value, "what": change.operation.value})
