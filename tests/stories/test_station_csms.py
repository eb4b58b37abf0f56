"""A station of ours at a CSMS of ours: every operation, from the first password to the third security profile."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import mosquitto
from backend import VOLTROOT, free_port, run
from contracting import Answer, opened
from csms import ACCEPTED, RawCsms, Running, booted
from mosquitto import started
from station_program import Program
from stations import OCPP_2_0_1, OCPP_2_1, ORGANIZATION, PASSWORD, Office
from voltroot.actors.csms.stations import OperationState, SigningState
from voltroot.actors.station.ports import CaKind
from voltroot.apis.josev.client import Client as JosevClient
from voltroot.apis.josev.wire import CertificateType
from voltroot.app.config import Csms
from voltroot.pki.ports import Reason, State
from world import World

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    world = World.made(tmp_path_factory.mktemp("csms"))
    with Office(world, csms=Csms(fetch_networks=("127.0.0.1",), hosts=("localhost",))) as office:
        yield office


def eventually(condition: Callable[[], Any]) -> Any:
    until = time.monotonic() + 20
    while not (found := condition()):
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.02)
    return found


def station(office: Office, folder: Path, identity: str, **settings: Any) -> Running:
    """A station on record, with what its folder has at first."""
    office.register(identity, secc_ids=(f"SECC-{identity}",))
    given = {
        "identity": identity,
        "serial_number": f"SN-{identity}",
        "secc_ids": (f"SECC-{identity}",),
        "url": f"wss://localhost:{office.ports[2]}/ocpp",
    }
    running = Running(folder, given | settings)
    standing = office.world.issuers.standing()
    for kind, label in ((CaKind.CSMS, "csms-root"), (CaKind.V2G, "v2g-root-2"), (CaKind.V2G, "v2g-root-20")):
        running.trust(kind, standing.current(label).certificate)
    return running


@pytest.mark.parametrize("version", [OCPP_2_0_1, OCPP_2_1])
def test_a_station_goes_all_the_way_with_its_CSMS(office: Office, tmp_path: Path, version: str) -> None:
    identity = f"ALL{version[-3:]}"
    running = station(office, tmp_path, identity, versions=(version,), wants=("V2GCertificate",))
    commands, ledger, root = office.commands, office.world.ledger, office.world.issuers.standing()
    with running.run():
        status = running.client.status
        # What it wants and has not got it asks for by itself.
        eventually(lambda: status()["leaves"]["V2G"] == f"SECC-{identity}")
        eventually(lambda: len([*(tmp_path / "certs/client/cso/ocsp").glob("*.der")]) == 3)
        # The certificate of -20, by its key where OCPP 2.0.1 has no word for it.
        assert running.client.renew("V2G20Certificate") == {"status": "Accepted", "reason": ""}
        assert status()["leaves"]["V2G20"] == f"SECC-{identity}"
        # Roots and inventory
        mo = root.current("mo-root-2").certificate
        assert office.run(commands.install(identity, "MORootCertificate", mo.pem)).state is OperationState.DONE
        stock = office.run(commands.inventory(identity)).detail
        assert [len(stock[kind]) for kind in ("V2GCertificateChain", "MORootCertificate")] == [2, 1]
        gone = office.run(commands.delete(identity, stock["MORootCertificate"][0]["certificateHashData"]))
        assert gone.detail["MORootCertificate"] == []
        # What it takes
        assert office.run(commands.learn(identity)).state is OperationState.DONE
        eventually(lambda: office.stations.find(identity).most_certificates == 2000)
        # Another password
        assert office.run(commands.set_password(identity, "a password of its own")).state is OperationState.DONE
        eventually(lambda: status()["accepted"])
        # Its own certificate, and with it the third security profile
        eventually(lambda: identity in commands.links)
        assert office.run(commands.trigger(identity, "SignChargingStationCertificate")).status == "Accepted"
        eventually(lambda: office.stations.operations(identity)[0].state is OperationState.DONE)
        url = f"wss://localhost:{office.ports[3]}/ocpp"
        assert office.run(commands.upgrade(identity, 3, url, 2)).state is OperationState.DONE
        eventually(lambda: status()["profile"] == 3 and status()["accepted"])
        eventually(lambda: office.stations.find(identity).profile == 3)
        # It is renewed, and the old one ends once the station is back with the new one.
        (old,) = office.stations.signings(identity, (SigningState.IN_USE,))[-1:]
        time.sleep(1)
        assert running.client.renew("ChargingStationCertificate")["status"] == "Accepted"
        eventually(lambda: ledger.find(number=old.certificate)[0].state is State.REVOKED)
        assert ledger.find(number=old.certificate)[0].reason is Reason.SUPERSEDED
        # The station takes it away once it is in itself.
        eventually(lambda: len([*(tmp_path / "certs/client/csms").glob("*.key")]) == 1)
    assert all(each.state is OperationState.DONE for each in office.stations.operations(identity))


def test_A00_FR_429_and_430_a_station_with_an_expired_certificate_gets_another(office: Office, tmp_path: Path) -> None:
    url = f"wss://localhost:{office.ports[3]}/ocpp"
    running = station(office, tmp_path, "LATE", profile=3, url=url)
    office.stations.change("LATE", profile=3, expired_allowed=True)
    with RawCsms(office.world) as authority:
        old = running.own(authority, "SN-LATE", ends_in=-60)
    with running.run():
        eventually(lambda: running.client.status()["accepted"])
        eventually(lambda: running.client.status()["leaves"]["CSMS"] == "SN-LATE")
        eventually(lambda: len([*(tmp_path / "certs/client/csms").glob("*.key")]) == 1)
        assert not (tmp_path / f"certs/client/csms/{old.serial:x}.key").exists()


def test_a_car_gets_its_contract_through_the_station_pays_and_is_refused_once_it_is_revoked(
    office: Office, tmp_path: Path
) -> None:
    running = station(office, tmp_path, "CARS")
    running.trust(CaKind.MO, office.world.issuers.standing().current("mo-root-2").certificate)
    with opened(office.world) as pool, running.run():
        eventually(lambda: running.client.status()["accepted"])
        car = pool.car("WMIVCARS")
        pool.order(car, "DE8AACARS00001")
        request = base64.b64encode(car.request(pool.roots())).decode()
        asked = {"iso15118SchemaVersion": "urn:iso:15118:2:2013:MsgDef", "action": "Install", "exiRequest": request}
        answer = running.client.install(**asked)
        assert answer["status"] == "Accepted"
        message = Answer(base64.b64decode(answer["exiResponse"]), "").body
        assert (message.ResponseCode, message.eMAID.value) == ("OK", "DE8AACARS00001")
        (entry,) = office.world.ledger.find(profiles=["CONTRACT_2"])
        chain = "".join(each.pem for each in office.world.chain(entry)[:-1])
        told = running.client.authorize(chain)
        assert (told["accepted"], told["certificateStatus"], told["online"]) == (True, "Accepted", True)
        office.world.authority.revoke([entry], Reason.KEY_COMPROMISE, door="test")
        assert not running.client.authorize(chain)["accepted"]
        eventually(lambda: running.client.authorize(chain)["certificateStatus"] == "CertificateRevoked")


@pytest.mark.parametrize("version", [OCPP_2_0_1, OCPP_2_1])
def test_M07_a_car_with_a_revoked_certificate_for_TLS_is_refused(office: Office, tmp_path: Path, version: str) -> None:
    running, world = station(office, tmp_path, f"TLS{version[-3:]}", versions=(version,)), office.world
    running.trust(CaKind.OEM, world.issuers.standing().current("oem-root-20").certificate)
    good, revoked = (world.issue("VEHICLE_20", f"WVWV12345678{len(version)}ABCDE{n}") for n in (1, 2))
    world.authority.revoke([revoked], Reason.KEY_COMPROMISE, door="test")

    def admit(entry: Any) -> dict[str, Any]:
        return running.client.admit("".join(each.pem for each in world.chain(entry)[:-1]))

    with running.run():
        eventually(lambda: running.client.status()["accepted"])
        assert admit(good) == {"accepted": True, "status": "Good", "why": ""}
        told = admit(revoked)
        assert (told["accepted"], told["status"]) == (False, "Revoked")
        assert "it is revoked" in told["why"]
        other = admit(world.issue("CONTRACT_20", f"DEABCC1234567{len(version)}"))
        assert (other["accepted"], other["status"]) == (False, "IssuerNotFound")


def test_what_Josev_asks_for_goes_to_the_CSMS_and_a_kill_does_not_lose_it(office: Office, tmp_path: Path) -> None:
    """``josev.forward``: from generate_csr over MQTT to the certificate in the store."""
    (tmp_path / "password").write_text(PASSWORD)
    door = free_port()
    with RawCsms(office.world) as csms, mosquitto.mosquitto(tmp_path / "broker") as broker, broker.line() as line:
        port = csms.listen(2)
        settings = f"""
josev.forward = "csms"
car.listen = "127.0.0.1:{door}"
csms = {{ url = "wss://localhost:{port}/ocpp", identity = "CS1", serial_number = "SN1", organization = "{ORGANIZATION}",
secc_ids = ["SECC1", "SECC2"], password_file = "{tmp_path}/password" }}
""".replace(",\nsecc", ", secc")
        program = Program(tmp_path / "station", broker.address, settings)
        for kind, label in (("csms", "csms-root"), ("v2g", "v2g-root-2")):
            bundle = program.certs / f"ca/{kind}/{kind.upper()}_ROOT_CA.pem"
            bundle.parent.mkdir(parents=True)
            bundle.write_text(csms.root(label).pem)
        try:
            program.start()
            session = csms.accept_booted(port)
            josev = JosevClient(line)
            started(line)
            csr = josev.generate_csr(CertificateType.V2G, "SECC1", ORGANIZATION, "DE")
            assert session.expect("SignCertificate")["csr"] == csr
            program.kill()
            program.start()
            session = csms.accept(port)
            booted(session)
            asked = session.expect("SignCertificate", ACCEPTED)
            assert asked["csr"] == csr
            # Whoever asks the command line meanwhile hears what comes of it.
            (tmp_path / "request.pem").write_text(csr)
            command = ("station", "certify", "--config", program.config, tmp_path / "request.pem", "--json")
            certifying = ThreadPoolExecutor(1).submit(lambda: run(VOLTROOT, *command))
            shown = json.loads(run(VOLTROOT, "station", "show", program.certs, "--json"))["csms"]
            assert shown["networks"] == [{"slot": 1, "url": f"wss://localhost:{port}/ocpp", "profile": 2, "used": True}]
            assert shown["requests"] == [{"kind": "V2G", "subject": "SECC1", "sent": 2}]
            echo = {name: asked[name] for name in ("certificateType", "requestId")}
            chain = csms.sign(csr, "SECC_2")
            assert session.call("CertificateSigned", {"certificateChain": chain, **echo}) == ACCEPTED
            assert json.loads(certifying.result(20)) == {"status": "Accepted", "reason": ""}
            assert "SECC1" in run(VOLTROOT, "station", "show", program.certs)
            program.stop()
        finally:
            program.discard()
