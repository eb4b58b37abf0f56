"""Our station at others' CSMSs: the npm package ``ocpp-rpc`` in its strict mode, and the PyPI package ``ocpp``."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from backend import free_port
from contracting import Office as Pool
from contracting import opened
from csms import RawCsms, Running
from peers import Peer, peer
from stations import OCPP_2_0_1, OCPP_2_1, PASSWORD, PATIENCE, Station, certificates, named
from voltroot.actors.station.ports import CaKind
from voltroot.app.charger import Charger
from voltroot.pki.certificates import Certificate
from voltroot.pki.profiles import Edition
from world import World

pytestmark = pytest.mark.slow

ACCEPTED = {"status": "Accepted"}
PRIORITY = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "NetworkConfigurationPriority"}}
WANTED = {"certificateType": ["MORootCertificate", "V2GCertificateChain"]}
# What the station says beside what is waited for, and what it is told.
IN_PASSING: dict[str, dict[str, Any]] = {
    "StatusNotification": {},
    "NotifyEvent": {},
    "SecurityEventNotification": {},
    "GetCertificateStatus": {"status": "Failed"},
}


class Csms(Station):
    """Another's CSMS, and the operator behind it, whose CA is ours."""

    def __init__(self, connection: Peer, signatory: RawCsms) -> None:
        super().__init__(connection)  # type: ignore[arg-type] # the same from the other end
        self.peer = connection
        self.signatory = signatory

    def arrived(self) -> dict[str, Any]:
        """Who connected, and has booted; what belonged to an earlier connection is gone with it."""
        self._asked.clear()
        told = self.peer.happened("connected")
        booted = {"currentTime": "2026-11-20T12:00:00Z", "interval": 300, "status": "Accepted"}
        self.heard("BootNotification", booted)
        return told

    def heard(self, action: str, answer: dict[str, Any]) -> dict[str, Any]:
        """What the station asks for, sooner or later."""
        while True:
            frame = self._asked.popleft() if self._asked else self.receive()
            self.last = frame[1]
            self.reply(answer if frame[2] == action else IN_PASSING[frame[2]])
            if frame[2] == action:
                return dict(frame[3])

    def has_sign(self, trigger: str, kind: str, profile: str) -> list[Certificate]:
        """Have the station ask for a certificate, and give it; returns its chain."""
        assert self.call("TriggerMessage", {"requestedMessage": trigger}) == ACCEPTED
        asked = self.heard("SignCertificate", ACCEPTED)
        assert asked.pop("certificateType") == kind
        chain = self.signatory.sign(asked.pop("csr"), profile)
        asked.pop("hashRootCertificate", None)
        given = {"certificateChain": chain, "certificateType": kind}
        # What is left is the requestId of 2.1, which goes back.
        assert self.call("CertificateSigned", given | asked) == ACCEPTED
        return certificates(chain)

    def move_to_profile_3(self, url: str) -> None:
        version = {OCPP_2_0_1: "OCPP20", OCPP_2_1: "OCPP21"}[self.peer.version]
        network = {"ocppVersion": version, "ocppTransport": "JSON", "ocppCsmsUrl": url, "messageTimeout": 30}
        network |= {"securityProfile": 3, "ocppInterface": "Wired0"}
        assert self.call("SetNetworkProfile", {"configurationSlot": 2, "connectionData": network}) == ACCEPTED
        answer = self.call("SetVariables", {"setVariableData": [{**PRIORITY, "attributeValue": "2"}]})
        assert answer["setVariableResult"][0]["attributeStatus"] in ("Accepted", "RebootRequired")
        assert self.call("Reset", {"type": "OnIdle"})["status"] in ("Accepted", "Scheduled")

    def listed(self) -> dict[str, Any]:
        told = self.call("GetInstalledCertificateIds", WANTED)["certificateHashDataChain"]
        return {each.pop("certificateType"): each for each in told}


@pytest.fixture(scope="module")
def signatory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawCsms]:
    with RawCsms(World.made(tmp_path_factory.mktemp("foreign"))) as signatory:
        yield signatory


@pytest.fixture(scope="module")
def pool(signatory: RawCsms) -> Iterator[Pool]:
    with opened(signatory.world) as pool:
        yield pool


@pytest.mark.parametrize(("program", "version"), [("ocpp-rpc", OCPP_2_1), ("ocpp", OCPP_2_0_1)])
def test_a_foreign_csms_gives_our_station_certificates_asks_for_them_and_takes_them_away(
    signatory: RawCsms, pool: Pool, program: str, version: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port, secc = free_port(), f"SECC-{program}"
    url = f"wss://localhost:{port}/ocpp"
    settings = {"url": url, "profile": 2, "versions": (version,), "secc_ids": (secc,), "serial_number": f"SN-{program}"}
    station = Running(tmp_path, settings)
    station.trust(CaKind.CSMS, signatory.root("csms-root"))
    station.trust(CaKind.V2G, signatory.root("v2g-root-2"))
    with peer(program, "csms", version, port=port, password=PASSWORD, **_tls(signatory, tmp_path)) as connection:
        connection.happened("listening")
        with station.run():
            csms = Csms(connection, signatory)
            told = csms.arrived()
            assert told == {"connected": version, "identity": "CS1", "holder": None, "password": PASSWORD}
            csms.has_sign("SignChargingStationCertificate", "ChargingStationCertificate", "CHARGING_STATION")
            csms.move_to_profile_3(url)
            assert csms.arrived()["holder"] == f"SN-{program}"
            chain = csms.has_sign("SignV2GCertificate", "V2GCertificate", "SECC_2")
            _give_a_root(csms, chain)
            _charge(pool, csms, Charger(f"127.0.0.1:{station.port}"), program)
            _take_the_root(csms)
            assert csms.call("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"}) == ACCEPTED
            assert csms.heard("NotifyReport", {})["reportData"]
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def _tls(signatory: RawCsms, folder: Path) -> dict[str, str]:
    tls = signatory.backend.tls("CSMS_SERVER", hosts=("localhost",))
    (folder / "csms.pem").write_text(tls.chain.read_text() + tls.key.read_text())
    (folder / "root.pem").write_text(signatory.root("csms-root").pem)
    return {"certificate": str(folder / "csms.pem"), "ca": str(folder / "root.pem")}


def _give_a_root(csms: Csms, chain: list[Certificate]) -> None:
    mo, v2g = (csms.signatory.root(label) for label in ("mo-root-2", "v2g-root-2"))
    given = {"certificateType": "MORootCertificate", "certificate": mo.pem}
    assert csms.call("InstallCertificate", given) == ACCEPTED
    leaf, *above = (named(own, issuer) for own, issuer in pairwise([*chain, v2g]))
    assert csms.listed() == {
        "MORootCertificate": {"certificateHashData": named(mo, mo)},
        "V2GCertificateChain": {"certificateHashData": leaf, "childCertificateHashData": above},
    }


def _take_the_root(csms: Csms) -> None:
    mo = csms.signatory.root("mo-root-2")
    answers = [csms.call("DeleteCertificate", {"certificateHashData": named(mo, mo)})["status"] for _ in range(2)]
    assert answers == ["Accepted", "NotFound"]
    assert [*csms.listed()] == ["V2GCertificateChain"]


def _charge(pool: Pool, csms: Csms, charger: Charger, program: str) -> None:
    """A car's contract comes through as it is, and its certificate's names go to the CSMS."""
    contract = pool.order(pool.car(f"WMI{program}"), f"DE8AAF{len(program):08}")
    with ThreadPoolExecutor(1) as car:
        asked = car.submit(charger.contract, b"a request", Edition.ISO15118_2)
        answer = {"status": "Accepted", "exiResponse": base64.b64encode(b"an answer").decode()}
        heard = csms.heard("Get15118EVCertificate", answer)
        assert (base64.b64decode(heard["exiRequest"]), heard["action"]) == (b"a request", "Install")
        assert asked.result(PATIENCE) == b"an answer"
        for token, certificate in (("Accepted", "Accepted"), ("Invalid", "CertificateRevoked")):
            paying = car.submit(charger.authorize, contract.chain)
            heard = csms.heard("Authorize", {"idTokenInfo": {"status": token}, "certificateStatus": certificate})
            assert heard["idToken"] == {"idToken": contract.emaid, "type": "eMAID"}
            assert len(heard["iso15118CertificateHashData"]) == 3
            outcome = paying.result(PATIENCE)
            assert (outcome.accepted, outcome.certificate_status) == (token == "Accepted", certificate)
