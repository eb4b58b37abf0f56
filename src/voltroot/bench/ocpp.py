"""What charging stations cost the CSMS: memory, messages, connections, a storm; beside bare WebSockets and bare TLS."""

from __future__ import annotations

import ssl
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from voltroot.actors.csms import passwords, wishes
from voltroot.actors.csms.operations import Selection
from voltroot.actors.csms.operators import NOBODY
from voltroot.actors.csms.stations import OperationState, Station
from voltroot.actors.registrar import Subjects, claim
from voltroot.app.backend import Backend
from voltroot.app.csms import Csms
from voltroot.bench import echo, machine, servers
from voltroot.bench.fleet import PASSWORD, PATIENCE, Door, Fleet, elsewhere
from voltroot.bench.ledgers import SQLITE, Stock, Stocks
from voltroot.bench.options import Options, workshop
from voltroot.bench.report import Aim, Case, Figures, Labels, Progress, Report, find, measure
from voltroot.bench.sayings import BACK, BOOT
from voltroot.bench.servers import Server
from voltroot.errors import Failure, Unavailable
from voltroot.pki import suites
from voltroot.pki.certificates import pem
from voltroot.pki.drafts import Order
from voltroot.pki.suites import P256_SHA256

VOLTROOT, ECHO, HANDSHAKES = "voltroot", "floor: websockets echo", "floor: TLS alone, its server's part"
PROFILES = {1: "1: password, no TLS", 3: "3: TLS with certificates"}
ORGANIZATION = "Bench"
QUICK, USUAL = 500, 5_000
SPARE = 100  # stations beside those that are held
WARM = 5  # that many come first, so that what is made once is made
AT_ONCE, TALKING, CHURNING = 100, 200, 32
PART = 250  # certificates that are issued together
MOST_KB, LEAST_RATE, LONGEST_STORM = 80, 3_000, 30.0
ASKED = 100  # stations that an operator has asked at once
POLLED = 0.05  # seconds between two looks at what came of it
SETTLED = 0.5  # seconds until what was going on is over
OTHER_FILES = 500


def run(options: Options, progress: Progress) -> Report:
    """Measure, and return the report."""
    count = options.stations or (QUICK if options.quick else USUAL)
    machine.allow_open_files(count + SPARE + OTHER_FILES)
    with workshop() as folder, Stocks(folder) as stocks:
        facts = machine.facts(folder)
        progress(f"making a PKI, {2 * count:,} stations and {count:,} certificates")
        (stock,) = stocks.make([(SQLITE, 0)])
        if isinstance(stock, Failure):
            raise stock
        cases = list(_cases(_prepare(stock, folder, count), progress))
        measure(cases, options.length(1, 10), options.rounds or 1, options.until, progress)
    return Report("Charging stations that one process of the CSMS holds", facts, cases, _aims(cases, count), NOTES)


NOTES = (
    "kb_each: resident memory of the serving process for one more station. messages_per_s: calls that were checked and"
    f" answered, {TALKING} stations at a time: Heartbeat, StatusNotification, MeterValues; cpu_us: its processor time"
    " for one. inventory_s: until GetInstalledCertificateIds of all stations is on record. storm_s: all connections are"
    f" cut, until each station has come back and had {len(BACK)} calls answered; storm_cpu_ms: its processor time for"
    " each station; lost: how many calls never were answered. opened_per_s: more connections, "
    f"{CHURNING} at a time, that are dropped at once. The stations are one process beside it and let it do the work:"
    " they check no certificates.",
)


def _aims(cases: Sequence[Case], count: int) -> list[Aim]:
    own = find(cases, system=VOLTROOT, profile=PROFILES[3])
    kb, rate, storm, lost = (
        own.median(name) if own else None for name in ("kb_each", "messages_per_s", "storm_s", "lost")
    )
    return [
        Aim(f"{count:,} TLS stations: KB each", kb, MOST_KB),
        Aim("messages a second through TLS", rate, LEAST_RATE, at_least=True),
        Aim(f"a storm of {count:,} at profile 3: seconds", storm, LONGEST_STORM * count / USUAL),
        Aim("messages lost in it", lost, 0),
    ]


def _cases(site: _Site, progress: Progress) -> Iterator[Case]:
    yield Case({"system": HANDSHAKES, "profile": PROFILES[3]}, site.handshakes)
    for profile in PROFILES:
        for system in (ECHO, VOLTROOT):
            labels: Labels = {"system": system, "profile": PROFILES[profile], "stations": site.count}
            yield Case(labels, partial(_lived, site, system, profile, progress))


def _lived(site: _Site, system: str, profile: int, progress: Progress, seconds: float) -> Figures:
    """Start a server, and let stations come, speak, be asked, come back after a storm, come and go."""
    door = site.door(system, profile)
    held, spare = range(site.count), range(site.count, site.count + SPARE)
    with site.start(system, profile, door.port) as server, elsewhere(door) as fleet:
        fleet.bring(spare[:WARM], BOOT, WARM)
        fleet.drop()
        time.sleep(SETTLED)
        before = server.memory()
        progress("  the stations connect")
        if fleet.bring(held, BOOT, AT_ONCE).held < site.count:
            raise Unavailable(f"not all stations came in: see {server.log}")
        time.sleep(SETTLED)
        figures = {"kb_each": (server.memory() - before) / 1024 / site.count}
        progress("  they speak")
        began = server.cpu()
        said = fleet.talk(min(TALKING, site.count), seconds)
        loaded = said.figures(server.cpu() - began)
        figures |= {"messages_per_s": loaded.pop("rate"), **loaded}
        if system == VOLTROOT:
            progress("  they are asked for their certificates")
            figures["inventory_s"] = site.asked(fleet)
        progress("  all are cut off and come back")
        began = server.cpu()
        came = fleet.storm(BACK)
        cost = 1000 * (server.cpu() - began) / site.count
        figures |= {"storm_s": came.seconds, "storm_cpu_ms": cost, "lost": came.unanswered + site.count - came.held}
        progress("  others come and go")
        return figures | {"opened_per_s": fleet.churn(spare, CHURNING, seconds).rate}


@dataclass(frozen=True, slots=True)
class _Site:
    """A PKI and a registry with so many stations for each profile; ``files`` is how an echo server speaks TLS."""

    stock: Stock
    folder: Path
    count: int
    files: tuple[Path, Path, Path]

    def door(self, system: str, profile: int) -> Door:
        """Return where stations go."""
        certificates = self.folder / "stations" if profile == 3 else None
        return Door(servers.free_port(), _prefix(profile), certificates, echo=system == ECHO)

    def start(self, system: str, profile: int, port: int) -> Server:
        """Start what is measured, in a process of its own."""
        if system == VOLTROOT:
            return self.stock.serve(more=f"[serve]\noperators_port = 0\n[csms]\nprofile_{profile}_port = {port}\n")
        files = self.files if profile == 3 else ()
        server = servers.start("echo", [sys.executable, "-m", echo.__name__, str(port), *files], port, self.folder)
        return server.wait(lambda: servers.listens(port))

    def asked(self, fleet: Fleet) -> float:
        """Have all connected stations asked for their certificates, as an operator does; return how long that takes."""
        backend = self.stock.backend()
        operations, began = Csms(backend).operations, time.perf_counter()
        with ThreadPoolExecutor(1) as pool:
            answering = pool.submit(fleet.attend, self.count, PATIENCE + self.count / 50)
            job = operations.ask(wishes.inventory(), Selection(connected=True), NOBODY, at_once=ASKED)
            while not answering.done() or not (job := operations.job(job.number)).ended:
                time.sleep(POLLED)
        took = time.perf_counter() - began
        backend.close()
        if answering.result() < self.count or job.counts.get(OperationState.DONE) != self.count:
            raise Unavailable(f"not all stations were asked for their certificates: {dict(job.counts)}")
        return took

    def handshakes(self, seconds: float) -> Figures:
        """Return how many TLS handshakes one core does where it does nothing else."""
        server = echo.tls(*map(str, self.files))
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        client.load_cert_chain(self.folder / "stations" / f"{_prefix(3)}{0:05}.pem")
        until, spent, count = time.perf_counter() + seconds, 0.0, 0
        while time.perf_counter() < until:
            spent += _handshake(server, client)
            count += 1
        return {"opened_per_s": count / spent}


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> float:
    """Return the seconds that the server has to do with one."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    station = client.wrap_bio(back, there)
    own = server.wrap_bio(there, back, server_side=True)
    spent = 0.0
    for _ in range(2):
        _go_on(station)
        began = time.perf_counter()
        _go_on(own)
        spent += time.perf_counter() - began
    assert own.getpeercert(binary_form=True), "two turns are a handshake"
    return spent


def _go_on(end: ssl.SSLObject) -> None:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return


def _prepare(stock: Stock, folder: Path, count: int) -> _Site:
    backend = stock.backend()
    csms = Csms(backend)
    secret = passwords.make(PASSWORD)
    for profile in PROFILES:
        for identity in _identities(profile, count):
            csms.stations.add(Station(identity, identity, ORGANIZATION, profile=profile, secret=secret))
    _certify(backend, folder / "stations", _identities(3, count))
    own, clients = csms.tls()[0], folder / "clients.pem"
    clients.write_text("".join(each.pem for each in (*csms.entrance.roots, *csms.entrance.between)))
    backend.close()
    return _Site(stock, folder, count, (own.chain, own.key, clients))


def _prefix(profile: int) -> str:
    return f"P{profile}-"


def _identities(profile: int, count: int) -> list[str]:
    return [f"{_prefix(profile)}{number:05}" for number in range(count + SPARE)]


def _certify(backend: Backend, folder: Path, names: Sequence[str]) -> None:
    """Issue each station its certificate, into a file with its chain and key."""
    folder.mkdir()
    profile = backend.profiles["CHARGING_STATION"]
    for first in range(0, len(names), PART):
        keys = {name: suites.generate(P256_SHA256) for name in names[first : first + PART]}
        orders = [
            Order(profile, Subjects(ORGANIZATION).name(profile, name), key.public_key(), "bench", name=claim(name))
            for name, key in keys.items()
        ]
        for name, entry in zip(keys, backend.authority.issue_all(orders), strict=True):
            if isinstance(entry, Failure):
                raise entry
            above = backend.issuers.standing().chain(entry.issuer)[:-1]
            private = keys[name].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
            chain = pem("CERTIFICATE", entry.certificate) + "".join(each.pem for each in above)
            (folder / f"{name}.pem").write_text(chain + private)
