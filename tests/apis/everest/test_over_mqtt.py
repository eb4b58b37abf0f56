"""EVerest's API through a real broker: foreign clients, hostile topics, EVerest's own deviations."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import mosquitto
from backend import run
from charging import Branch, Charger
from mosquitto import Mosquitto, started
from stations import eventually
from voltroot.actors.station.outcomes import LeafStatus
from voltroot.actors.station.ports import CaKind, LeafKind
from voltroot.apis.everest import wire
from voltroot.apis.everest.client import Client
from voltroot.apis.everest.server import Server, Settings
from voltroot.errors import Unavailable
from voltroot.serve.mqtt import Broker, Line
from voltroot.serve.workers import Worker

pytestmark = pytest.mark.slow

BRANCH = Branch()
ROOT = "everest_api/1/evse_security_consumer/sec_api"
# As the page of the API prints them.
SEED = {
    "is_ca_certificate_installed": '{"headers":{"replyTo":"reply/to/address"},"payload":"CSMS"}',
    "get_verify_location": '{"headers":{"replyTo":"reply/to/address"},"payload":"V2G"}',
    "get_leaf_certificate_info": '{"headers":{"replyTo":"reply/to/address"},'
    '"payload":{"certificate_type":"CSMS","encoding":"PEM","include_ocsp":false}}',
}


@pytest.fixture
def charger(tmp_path: Path) -> Charger:
    charger = Charger(tmp_path / "certs")
    charger.trust(CaKind.V2G, BRANCH.bundle)
    charger.trust(CaKind.CSMS, BRANCH.bundle)
    charger.own(*BRANCH.chain)
    charger.own(Branch(dc="").leaf, BRANCH.sub2, BRANCH.sub1, kind=LeafKind.CSMS, name="CSMS_LEAF")
    return charger


@contextmanager
def serving(line: Line, charger: Charger, **settings: Any) -> Iterator[list[str]]:
    """A station on a line; yields what becomes of the messages."""
    outcomes: list[str] = []
    settings = {"module": "sec_api", "check_s": 0, "heartbeat_ms": 200} | settings
    worker = Worker(line, Server(charger.station, Settings(**settings)), outcomes.append)
    worker.start()
    started(line)
    yield outcomes
    worker.stop()


def request(broker: Mosquitto, command: str, message: str, *options: str) -> str:
    """What mosquitto_rr gets."""
    reply_to = json.loads(message)["headers"]["replyTo"]
    topic = f"{ROOT}/m2e/{command}"
    return run("mosquitto_rr", "-h", "127.0.0.1", "-p", str(broker.port), "-t", topic, "-e", reply_to, "-m", message,
               "-W", "5", *options)  # fmt: skip


@pytest.mark.parametrize("version", ["mqttv5", "mqttv311"])
def test_mosquitto_rr_gets_each_of_the_three_replies(version: str, broker: Mosquitto, charger: Charger) -> None:
    with broker.line(mqtt5=version == "mqttv5") as line, serving(line, charger):
        replies = {name: request(broker, name, message, "-V", version) for name, message in SEED.items()}
    assert replies["is_ca_certificate_installed"] == "true\n"
    assert json.loads(replies["get_verify_location"]) == str(charger.places.authorities[CaKind.V2G])
    leaf = json.loads(replies["get_leaf_certificate_info"])
    assert leaf["status"] == "Accepted"
    assert leaf["info"]["certificate_count"] == 3
    assert Path(leaf["info"]["key"]).parent == charger.places.keys[LeafKind.CSMS]


def test_there_is_one_reply_with_qos_2_which_is_not_retained(broker: Mosquitto, charger: Charger) -> None:
    heard: list[tuple[str, bytes, bool]] = []
    with broker.line() as line, serving(line, charger), broker.line() as theirs:
        theirs.listen("reply/#", lambda *message: heard.append(message), 2)
        started(theirs)
        for number in range(20):
            message = SEED["is_ca_certificate_installed"].replace("to/address", str(number))
            theirs.say(f"{ROOT}/m2e/is_ca_certificate_installed", message.encode(), number % 3)
        eventually(lambda: len(heard) >= 20)
        time.sleep(0.3)
    assert sorted(heard) == sorted((f"reply/{number}", b"true", False) for number in range(20))
    said = broker.log.read_text()
    assert "Received PUBLISH from" in said
    assert all("q2, r0" in text for text in said.splitlines() if "Received PUBLISH" in text and "'reply/" in text)


def test_retained_requests_are_passed_over(broker: Mosquitto, charger: Charger) -> None:
    topic = f"{ROOT}/m2e/is_ca_certificate_installed"
    publish = ("mosquitto_pub", "-p", str(broker.port), "-t", topic, "-r")
    run(*publish, "-m", SEED["is_ca_certificate_installed"])
    try:
        with broker.line() as line, serving(line, charger) as outcomes:
            eventually(lambda: outcomes)
            time.sleep(0.3)
            assert outcomes == ["retained"]
    finally:
        run(*publish, "-n")


def test_nothing_that_a_caller_sends_takes_the_station_from_its_broker(broker: Mosquitto, charger: Charger) -> None:
    every_character = [chr(code) for code in (*range(0x100), 0xFDD0, 0xFDEF, 0xFFFE, 0xFFFF, 0x1FFFE, 0x10FFFF)]
    topics = [f"reply/{character}" for character in every_character]
    topics += ["/" * count for count in (1, 198, 199, 200, 201, 5000)] + ["$SYS/x", "$share/a/b", "x" * 65_535, ""]
    with broker.line() as line, serving(line, charger) as outcomes, broker.line() as theirs:
        client = Client(theirs, "sec_api")
        started(theirs)
        for topic in topics:
            message = json.dumps({"headers": {"replyTo": topic}, "payload": "V2G"}).encode()
            theirs.say(f"{ROOT}/m2e/is_ca_certificate_installed", message[: wire.LARGEST + 1])
        theirs.say(f"{ROOT}/m2e/get_verify_location", b"x" * (1 << 20))  # more than a packet may have
        for octets in (b"", b"\xff", b"[" * 60_000):
            theirs.say(f"{ROOT}/m2e/get_leaf_certificate_info", octets)
        assert client.is_ca_certificate_installed(CaKind.V2G)
        assert line.ready.is_set()
    assert outcomes.count("silent") > 60
    assert "unsaid" not in outcomes
    assert "failed" not in outcomes
    said = broker.log.read_text()
    assert "due to malformed packet" not in said
    assert "due to protocol error" not in said


def test_heartbeats_go_on_and_modules_are_found(broker: Mosquitto, charger: Charger) -> None:
    with broker.line() as line, serving(line, charger, prefix="site/"), broker.line() as theirs:
        client = Client(theirs, "sec_api", prefix="site/", timeout=10)
        started(theirs)
        first = client.heartbeat()
        assert client.heartbeat() == first + 1
        assert [module.module_id for module in client.discover(0.3)] == ["sec_api"]
        assert client.get_leaf_certificate_info(LeafKind.V2G).status is LeafStatus.ACCEPTED


def test_the_client_survives_the_deviations_of_everest(broker: Mosquitto) -> None:
    """False is followed by true, a path comes without quotes, and one that is not there is empty."""
    with broker.line() as everest, broker.line() as theirs:

        def behave(topic: str, octets: bytes, _: bool) -> None:
            message = json.loads(octets)
            reply_to, answers = (
                message["headers"]["replyTo"],
                {
                    "is_ca_certificate_installed": [b"false", b"true"],
                    "get_verify_location": [b"/etc/everest/certs/ca" if message["payload"] == "V2G" else b""],
                    "get_leaf_certificate_info": [b'{"status": "Rejected"}'],
                }[topic.rpartition("/")[2]],
            )
            for answer in answers:
                everest.say(reply_to, answer, 2)

        everest.listen(f"{ROOT}/m2e/+", behave)
        client = Client(theirs, "sec_api", timeout=10)
        started(everest)
        started(theirs)
        assert [client.is_ca_certificate_installed(CaKind.V2G) for _ in range(10)] == [False] * 10
        assert client.get_verify_location(CaKind.V2G) == Path("/etc/everest/certs/ca")
        assert client.get_verify_location(CaKind.MO) is None
        assert client.get_leaf_certificate_info(LeafKind.V2G) == wire.LeafResult(LeafStatus.REJECTED)


def test_a_module_that_is_silent_is_unavailable(broker: Mosquitto) -> None:
    with broker.line() as theirs:
        client = Client(theirs, "nobody", timeout=0.2)
        with pytest.raises(Unavailable, match="broker"):
            client.is_ca_certificate_installed(CaKind.V2G)
        started(theirs)
        with pytest.raises(Unavailable, match="does not answer"):
            client.is_ca_certificate_installed(CaKind.V2G)
        with pytest.raises(Unavailable, match="heartbeat"):
            client.heartbeat()


def test_a_defect_in_an_answer_ends_neither_the_station_nor_its_heartbeat(
    broker: Mosquitto, charger: Charger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(charger.station, "is_ca_installed", lambda kind: 1 // 0)
    with broker.line() as line, serving(line, charger) as outcomes, broker.line() as theirs:
        client = Client(theirs, "sec_api", timeout=2)
        started(theirs)
        with pytest.raises(Unavailable):
            client.is_ca_certificate_installed(CaKind.V2G)
        assert outcomes == ["failed"]
        assert client.heartbeat() < client.heartbeat()
        assert client.get_verify_location(CaKind.V2G)


def test_more_messages_than_can_wait_are_counted_and_dropped(
    broker: Mosquitto, charger: Charger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voltroot.serve.workers.WAITING", 10)
    held = threading.Event()
    monkeypatch.setattr(charger.station, "is_ca_installed", lambda kind: held.wait(30))
    with broker.line() as line, serving(line, charger, heartbeat_ms=0) as outcomes, broker.line() as theirs:
        started(theirs)
        for _ in range(50):
            theirs.say(f"{ROOT}/m2e/is_ca_certificate_installed", SEED["is_ca_certificate_installed"].encode(), 1)
        eventually(lambda: len(outcomes) >= 39)
        held.set()
    assert outcomes.count("crowded_out") in (39, 40)
    assert outcomes.count("answered") == 50 - outcomes.count("crowded_out")


def test_a_unix_socket_will_do(tmp_path: Path, charger: Charger) -> None:
    socket = tmp_path / "socket"
    with mosquitto.mosquitto(tmp_path / "broker", "allow_anonymous true", f"listener 0 {socket}") as broker:
        own = Line(Broker(str(socket), unix=True))
        with serving(own, charger):
            assert request(broker, "is_ca_certificate_installed", SEED["is_ca_certificate_installed"]) == "true\n"
        own.stop()
