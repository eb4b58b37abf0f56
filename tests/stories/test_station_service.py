"""A station that runs: its keys in a TPM, a broker that comes and goes, and those who want to be let in."""

from __future__ import annotations

import random
import socket
import subprocess
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import devices
import mosquitto
from backend import VOLTROOT, Backend, free_port, run
from charging import Branch, Charger
from mosquitto import Mosquitto, started
from pathing import DAY, NOW
from secret_search import holds_key_of
from station_program import Program
from voltroot.actors.station.applications import Fate
from voltroot.actors.station.ports import CaKind, LeafKind
from voltroot.apis.everest import wire
from voltroot.apis.everest.client import Client as EverestClient
from voltroot.apis.josev.client import Client as JosevClient
from voltroot.apis.josev.wire import Algorithm, CertificateType
from voltroot.errors import Refused, Unavailable
from voltroot.pki.certificates import Certificate, read_pem

pytestmark = pytest.mark.slow

# The TPM signs; hashing and Diffie-Hellman stay where they are fast: it has no room for their contexts.
TPM_PROVIDER = ("-provider", "default", "-provider", "tpm2", "-propquery", "?tpm2.signature=yes")
NAME = "DE*ICE*E45B*78C"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto.mosquitto(tmp_path / "broker") as made:
        yield made


@contextmanager
def running(folder: Path, broker: str, settings: str = "", *options: str) -> Iterator[Program]:
    program = Program(folder, broker, settings, options)
    try:
        yield program.start()
        if program.process is not None:
            program.stop()
    finally:
        program.discard()


def with_leaf(folder: Path) -> None:
    """What a station has already when it starts."""
    branch = Branch()
    charger = Charger(folder / "certs")
    charger.trust(CaKind.V2G, branch.bundle)
    charger.own(branch.another("Lasting", end=NOW + 3000 * DAY), branch.sub2, branch.sub1)


def test_a_key_made_in_a_tpm_over_mqtt_is_certified_and_used_for_tls(
    backend: Backend, broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "station"
    bundle = folder / "certs/ca/v2g/V2G_ROOT_CA.pem"
    bundle.parent.mkdir(parents=True)
    bundle.write_bytes(backend.fetch("/ca/v2g-root-2.pem"))
    with devices.swtpm(tcp=True) as tpm:
        settings = f'keys.device = "{tpm.device}"\nauthority.api = "{backend.url}"\njosev.forward = "authority"'
        with running(folder, broker.address, settings) as station, broker.line() as line:
            josev, everest = JosevClient(line), EverestClient(line, "voltroot")
            started(line)
            josev.generate_csr(CertificateType.V2G, NAME, "Example", "DE")
            (forwarded,) = eventually(lambda: station.events("certificate.forwarded"))
            assert forwarded["status"] == "Accepted"
            josev.installation_status(CertificateType.V2G, Fate.INSTALLED)
            eventually(lambda: len(station.events("key.settled")) == 1)
            info = everest.get_leaf_certificate_info(LeafKind.V2G).info
            location = everest.get_verify_location(CaKind.V2G)
        assert isinstance(info, wire.CertificateInfo)
        leaf = Certificate.read(read_pem(Path(str(info.certificate_single)).read_text())[0][1])
        assert leaf.subject.get("CN") == NAME
        monkeypatch.setenv("TPM2OPENSSL_TCTI", tpm.tcti)
        for version in ("-tls1_2", "-tls1_3"):
            said = handshake(info, location, folder, version)
            assert "Verify return code: 0 (ok)" in said
            assert NAME in said
        for path in [path for place in (folder, tpm.folder) for path in place.rglob("*") if path.is_file()]:
            assert not holds_key_of(path.read_bytes(), leaf.public_key), path


def test_a_station_ends_in_time_though_its_authority_does_not_answer(broker: Mosquitto, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = f'authority.api = "http://127.0.0.1:{silent.getsockname()[1]}"\njosev.forward = "authority"'
        with running(tmp_path / "station", broker.address, settings), broker.line() as line:
            josev = JosevClient(line)
            started(line)
            for _ in range(2):
                josev.generate_csr(CertificateType.V2G, NAME, "Example", "DE")


def handshake(info: wire.CertificateInfo, location: Path | None, folder: Path, version: str) -> str:
    """What a client says that trusts ``location`` to a TLS server with exactly these paths."""
    port = free_port()
    command = [
        "openssl",
        "s_server",
        *TPM_PROVIDER,
        "-accept",
        f"127.0.0.1:{port}",
        "-naccept",
        "1",
        version,
        "-cert",
        str(info.certificate_single),
        "-cert_chain",
        str(info.certificate),
        "-key",
        info.key,
    ]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 15
        while "ACCEPT" not in (folder / "server.log").read_text(errors="replace"):
            assert server.poll() is None, (folder / "server.log").read_text()
            assert time.monotonic() < until
            time.sleep(0.05)
        return run("openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", str(location), version,
                   "-verify_return_error")  # fmt: skip
    finally:
        server.kill()
        server.communicate()


def test_each_request_is_answered_once_or_not_at_all_while_the_broker_is_killed_ten_times(tmp_path: Path) -> None:
    with_leaf(tmp_path / "station")
    with (
        mosquitto.mosquitto(tmp_path / "broker", "allow_anonymous true", "log_type error") as broker,
        running(tmp_path / "station", broker.address) as station,
        broker.line() as line,
        broker.line() as ear,
    ):
        replies: Counter[str] = Counter()
        ear.listen("everest_api/1/evse_security_consumer/voltroot/e2m/reply/#", lambda t, *_: replies.update([t]), 2)
        client = EverestClient(line, "voltroot", timeout=2)
        started(ear)
        started(line)
        answered: list[float] = []
        ending = threading.Event()
        timed_out = Counter[bool]()

        def ask() -> None:
            while not ending.is_set():
                try:
                    assert client.get_leaf_certificate_info(LeafKind.V2G).status.value == "Accepted"
                    answered.append(time.monotonic())
                except Unavailable as failure:
                    timed_out.update(["does not answer" in str(failure)])
                    ending.wait(0.02)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        outages = []
        for _ in range(10):
            enough = len(answered) + 50
            eventually(lambda enough=enough: len(answered) > enough)
            broker.kill()
            time.sleep(random.uniform(0, 0.8))
            broker.start()
            back = time.monotonic()
            eventually(lambda back=back: any(moment > back for moment in answered[-1:]), 5)
            outages.append(time.monotonic() - back)
        ending.set()
        for thread in threads:
            thread.join()
        station.stop()
    assert max(outages) < 5
    assert max(replies.values()) == 1
    assert len(answered) > 500
    assert len(station.events("mqtt.lost")) == 10
    assert len(station.events("mqtt.connected")) == 11


def test_a_station_that_is_killed_gives_the_same_answer_again(broker: Mosquitto, tmp_path: Path) -> None:
    program = Program(tmp_path / "station", broker.address).start()
    try:
        with broker.line() as line:
            josev = JosevClient(line, timeout=5)
            started(line)

            def ask() -> str:
                return josev.generate_csr(
                    CertificateType.V2G20, "DE-ABC-S-0001", "Example", "DE", algorithm=Algorithm.ECDSA_SHA512, id_="one"
                )

            first = ask()
            program.kill()
            with pytest.raises(Unavailable, match="does not answer"):
                JosevClient.generate_csr(_patient(josev, 0.3), CertificateType.V2G, "X", "Example", "DE")
            program.start()
            assert ask() == first
            with pytest.raises(Refused):
                josev.generate_csr(CertificateType.V2G, "X", "Example", "Germany")
            program.stop()
    finally:
        program.discard()
    assert len([*(tmp_path / "station/certs/client/cso").glob("*.key")]) == 1
    assert len(program.events("csr.rejected")) == 1


def _patient(client: JosevClient, seconds: float) -> JosevClient:
    client._timeout = seconds
    return client


def test_a_broker_with_tls_is_verified_and_wants_certificate_and_password(tmp_path: Path) -> None:
    for name in ("server", "client"):
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-keyout", tmp_path / f"{name}.key", "-out", tmp_path / f"{name}.pem", "-subj", f"/CN={name}",
            "-addext", "subjectAltName=IP:127.0.0.1")  # fmt: skip
    passwords, secret = tmp_path / "passwords", tmp_path / "secret"
    run("mosquitto_passwd", "-b", "-c", passwords, "station", "correct")
    settings = f"""
broker.ca = "{tmp_path}/ca.pem"
broker.certificate = "{tmp_path}/client.pem"
broker.key = "{tmp_path}/client.key"
broker.user = "station"
broker.password_file = "{secret}"
"""
    secret.write_text("wrong\n")
    ca = tmp_path / "ca.pem"
    ca.write_bytes((tmp_path / "client.pem").read_bytes())
    with mosquitto.mosquitto(
        tmp_path / "broker", "allow_anonymous false", f"password_file {passwords}", f"cafile {tmp_path}/client.pem",
        f"certfile {tmp_path}/server.pem", f"keyfile {tmp_path}/server.key", "require_certificate true",
    ) as broker:  # fmt: skip
        program = Program(tmp_path / "station", broker.address.replace("mqtt:", "mqtts:"))
        program.settings = settings
        try:
            program.spawn()
            eventually(lambda: program.events("mqtt.refused"))
            assert "verify failed" in program.events("mqtt.refused")[-1]["why"]
            ca.write_bytes((tmp_path / "server.pem").read_bytes())
            eventually(lambda: program.events("mqtt.refused")[-1]["why"] == "Not authorized")
            secret.write_text("correct\n")
            eventually(lambda: len(program.events("mqtt.connected")) == 1)
            program.stop()
        finally:
            program.discard()
        assert "correct" not in program.log.read_text()
        assert "wrong" not in program.log.read_text()


def test_the_first_try_needs_no_broker(tmp_path: Path) -> None:
    with_leaf(tmp_path / "station")
    port, metrics = free_port(), free_port()
    address = f"mqtt://127.0.0.1:{port}"
    with running(tmp_path / "station", address, f"metrics.port = {metrics}", "--embedded-broker"):
        topic = "everest_api/1/evse_security_consumer/voltroot/m2e/is_ca_certificate_installed"
        message = '{"headers":{"replyTo":"reply/to/address"},"payload":"V2G"}'
        ask = (
            "mosquitto_rr",
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
            "-t",
            topic,
            "-e",
            "reply/to/address",
            "-W",
            "5",
            "-m",
        )
        assert run(*ask, message) == "true\n"
        run("mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-t", topic, "-m", "rubbish")
        eventually(lambda: 'outcome="silent"} 1.0' in scraped(metrics))
        assert 'voltroot_mqtt_messages_total{api="everest",outcome="answered"} 1.0' in scraped(metrics)
        assert "voltroot_mqtt_connected 1.0" in scraped(metrics)
        assert "voltroot_everest_consumer_missing 1.0" in scraped(metrics)
        second = subprocess.run(
            [VOLTROOT, "station", "run", "--config", tmp_path / "station/station.toml", "--embedded-broker"],
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert second.returncode == 1
        assert "leave out --embedded-broker" in second.stderr
    assert "No such" not in run("mosquitto_pub", "-p", str(port), "-t", "x", "-m", "x", ok=(1,))


def scraped(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text: str = answer.read().decode()
        return text


def eventually(is_so: Callable[..., Any], seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := is_so()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)
    return found
