"""SIGKILL of the backend between SignCertificate and CertificateSigned: the station gets its certificate still."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from backend import Backend, free_port
from stations import OCPP_2_0_1, PASSWORD, Line, Station, certificates, signing_request
from voltroot.actors.csms import passwords
from voltroot.actors.csms.stations import SigningState
from voltroot.actors.csms.stations import Station as Registered
from voltroot.actors.registrar import claim
from voltroot.pki.ports import State
from voltroot.store.stations import SqlStations
from world import World

pytestmark = pytest.mark.slow

# How long after the request the backend dies, in seconds: before it is on record, while it is issued, after.
DELAYS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.1)


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[tuple[Backend, int]]:
    port = free_port()
    config = tmp_path / "voltroot.toml"
    config.write_text(f"[csms]\nprofile_1_port = {port}\n")
    backend = Backend(tmp_path, ("--config", str(config)))
    World.made(backend.data)
    try:
        yield backend.start(), port
        backend.stop()
    finally:
        backend.discard()


def test_whenever_the_backend_is_killed_the_station_gets_one_certificate(backend: tuple[Backend, int]) -> None:
    started, port = backend
    world = World(started.data)
    stations = SqlStations(world.engine, world.clock)
    for number, delay in enumerate(DELAYS):
        identity = f"KILL{number}"
        stations.add(Registered(identity, identity, "Voltroot Test", profile=1, secret=passwords.make(PASSWORD)))
        csr, key = signing_request(identity)
        with connected(port, identity) as station:
            station.boot()
            station.send([2, "sign", "SignCertificate", {"csr": csr}])
            time.sleep(delay)
            started.kill()
            heard = _all(station)
        started.start()
        with connected(port, identity) as station:
            station.boot()
            if [3, "sign"] not in [frame[:2] for frame in heard]:
                # It was not told that its request was accepted, and asks again.
                assert station.call("SignCertificate", {"csr": csr}) == {"status": "Accepted"}
            leaf = certificates(station.expect("CertificateSigned", {"status": "Accepted"})["certificateChain"])[0]
            assert leaf.public_key == key.public_key()
            until = time.monotonic() + 20
            while not stations.signings(identity, [SigningState.INSTALLED]):
                assert time.monotonic() < until
                time.sleep(0.02)
        (entry,) = world.ledger.find(profiles=["CHARGING_STATION"], name=claim(identity))
        assert (entry.certificate, entry.state) == (leaf.der, State.VALID)
    world.engine.dispose()


@contextmanager
def connected(port: int, identity: str) -> Iterator[Station]:
    """A connection with security profile 1."""
    credentials = base64.b64encode(f"{identity}:{PASSWORD}".encode()).decode()
    headers = {"Authorization": f"Basic {credentials}"}
    line = Line(f"ws://127.0.0.1:{port}/ocpp/{identity}", subprotocols=[OCPP_2_0_1], additional_headers=headers)
    try:
        yield Station(line)
    finally:
        line.close()


def _all(station: Station) -> list[list[object]]:
    heard = []
    try:
        while True:
            heard.append(json.loads(station.connection.recv(5)))
    except (ConnectionClosed, TimeoutError):
        return heard


def test_a_backend_that_stops_sends_its_stations_away_and_has_no_fault(backend: tuple[Backend, int]) -> None:
    started, port = backend
    world = World(started.data)
    station = Registered("STAYS", "STAYS", "Voltroot Test", profile=1, secret=passwords.make(PASSWORD))
    SqlStations(world.engine, world.clock).add(station)
    world.engine.dispose()
    with connected(port, "STAYS") as connection:
        assert connection.boot()["status"] == "Accepted"
        started.stop()
        assert _all(connection) == []
        assert connection.connection.close_code == 1001
    started.start()
    with connected(port, "STAYS") as connection:
        assert connection.boot()["status"] == "Accepted"
