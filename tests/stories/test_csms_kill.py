"""SIGKILL of the backend at every step from SignCertificate to the day when the old certificate has ended."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle
from typing import cast

import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage

from backend import Backend, free_port
from stations import ORGANIZATION, PASSWORD, Office, Station, certificates, connected, signing_request
from stories.test_crash_points import dying_at
from voltroot.actors.csms import passwords
from voltroot.actors.csms.stations import SigningState
from voltroot.actors.csms.stations import Station as Registered
from voltroot.actors.registrar import claim
from voltroot.pki.certificates import Certificate
from voltroot.pki.ports import Entry, Reason, State
from voltroot.store.stations import SqlStations
from world import World

pytestmark = pytest.mark.slow

HOST = "localhost"
# What a kill may leave on record, in this order; "taken" is when the station has come back, and its old one goes next.
STEPS = ("nothing", "asked", "recorded", "issued", "sent", "installed", "taken", "done")
BACK = {"taken", "done"}
# At which sync of one of its threads it is killed, while the station asks and while it comes back.
TURNS = {"ask": (2, 4, 5, 3, 6, 1), "come_back": (2, 3, 1, 4)}
MOST_KILLS = 60


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Backend, Side]]:
    ports = {1: free_port(), 3: free_port()}
    folder = tmp_path_factory.mktemp("killed")
    config = folder / "voltroot.toml"
    config.write_text(f'[csms]\nprofile_1_port = {ports[1]}\nprofile_3_port = {ports[3]}\nhosts = ["{HOST}"]\n')
    backend = Backend(folder, ("--config", str(config)))
    World.made(backend.data)
    world = World(backend.data)
    try:
        yield backend.start(), Side(world, ports, SqlStations(world.engine, world.clock))
        backend.stop()
    finally:
        backend.discard()
        world.engine.dispose()


@dataclass
class Side:
    """The ledger and the registry as another process sees them, and the ports."""

    world: World
    ports: dict[int, int]
    stations: SqlStations

    def register(self, identity: str, profile: int) -> None:
        self.stations.add(
            Registered(identity, f"SN-{identity}", ORGANIZATION, profile=profile, secret=passwords.make(PASSWORD))
        )


class Charger:
    """A station that wants another certificate, whatever becomes of its CSMS."""

    def __init__(self, side: Side, identity: str) -> None:
        self.side = cast(Office, side)
        self.identity = identity
        side.register(identity, 3)
        self.old, key = Office.certificate(self.side, identity)
        self.csr, self.key = signing_request(f"SN-{identity}")
        self.client = [self.old.read()], key
        self.is_accepted = False
        self.chain: list[Certificate] = []

    def ask(self) -> None:
        """Ask for a certificate and take what comes, from where it was left."""
        if self.chain:
            return
        with connected(self.side, self.identity, 3, client=self.client) as station:
            station.boot()
            if not self.is_accepted:
                assert station.call("SignCertificate", {"csr": self.csr}) == {"status": "Accepted"}
                self.is_accepted = True
            self.chain = certificates(station.expect("CertificateSigned")["certificateChain"])
            assert self.chain[0].public_key == self.key.public_key()
            station.reply({"status": "Accepted"})
            # A station does not go at once: its answer is worked on meanwhile.
            station.is_quiet(0.1)

    def come_back(self) -> None:
        """Connect with what came."""
        with connected(self.side, self.identity, 3, client=(self.chain, self.key)) as station:
            assert station.boot()["status"] == "Accepted"

    @property
    def entries(self) -> list[Entry]:
        """Its certificates on record, newest first."""
        return self.side.world.ledger.find(profiles=["CHARGING_STATION"], name=claim(f"SN-{self.identity}"))

    @property
    def step(self) -> str:
        """How far it has come, by the record."""
        signings = self.side.stations.signings(self.identity, [*SigningState])
        if not signings:
            return "nothing"
        (signing,) = signings
        match signing.state:
            case SigningState.ASKED:
                return "recorded" if len(self.entries) > 1 else "asked"
            case SigningState.ISSUED:
                return "sent" if signing.sent else "issued"
            case SigningState.INSTALLED:
                return "installed"
            case SigningState.IN_USE:
                return "taken" if self.entries[-1].state is State.VALID else "done"
        raise AssertionError(signing)


@pytest.mark.parametrize(
    "wanted",
    [
        [{"nothing", "asked"}, {"recorded", "issued", "sent"}, {"installed"}, BACK],
        pytest.param([{step} for step in STEPS], marks=pytest.mark.soak),
    ],
    ids=["early, made, held and back", "each"],
)
def test_wherever_the_backend_is_killed_the_station_has_a_certificate_that_works(
    backend: tuple[Backend, Side], wanted: list[set[str]]
) -> None:
    """What else syncs at that moment may take the kill: it is tried until each of the wanted steps was left behind."""
    started, side = backend
    turns = {doing: cycle(every) for doing, every in TURNS.items()}
    missing = list(wanted)
    for _ in range(MOST_KILLS):
        charger = Charger(side, f"KILL{len(side.stations.every())}")
        doing = "come_back" if all(steps <= BACK for steps in missing) else "ask"
        if doing == "come_back":
            charger.ask()
        dead = suppress(ConnectionClosed, InvalidMessage, EOFError, OSError)
        with dying_at(started, "fdatasync", next(turns[doing])), dead:
            getattr(charger, doing)()
        assert started.process is not None
        if started.process.poll() is not None:
            assert started.process.returncode == -signal.SIGKILL
            missing = [steps for steps in missing if charger.step not in steps]
            # The old one goes only when the station has shown the new one.
            assert charger.chain or charger.entries[-1].state is State.VALID
            started.process = None
            started.start()
        charger.ask()
        charger.come_back()
        new, old = charger.entries
        assert (new.certificate, new.state) == (charger.chain[0].der, State.VALID)
        assert (old.number, old.state, old.reason) == (charger.old.number, State.REVOKED, Reason.SUPERSEDED)
        assert charger.step == "done"
        if not missing:
            return
    raise AssertionError(missing)


def _all(station: Station) -> list[list[object]]:
    heard = []
    try:
        while True:
            heard.append(json.loads(station.connection.recv(5)))
    except (ConnectionClosed, TimeoutError):
        return heard


def test_a_backend_that_stops_sends_its_stations_away_and_has_no_fault(backend: tuple[Backend, Side]) -> None:
    started, side = backend
    side.register("STAYS", 1)
    with connected(cast(Office, side), "STAYS", 1) as connection:
        assert connection.boot()["status"] == "Accepted"
        started.stop()
        assert _all(connection) == []
        assert connection.connection.close_code == 1001
    started.start()
    with connected(cast(Office, side), "STAYS", 1) as connection:
        assert connection.boot()["status"] == "Accepted"
