"""The station's end over real WebSockets with TLS: OCTT's cases for a charging station that concern certificates."""

from __future__ import annotations

import base64
import contextlib
import itertools
import logging
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

import devices
from charging import key_pem, pem
from csms import ACCEPTED, BOOTED, RawCsms, Running, Session, booted, untrusted
from ocsp_requests import cert_id
from ocsp_requests import request as ocsp_request
from pathing import DAY, alternative, dns, make
from secret_search import holds_key_of
from stations import OCPP_2_0_1, OCPP_2_1, PASSWORD, certificates, from_factory, signing_request
from voltroot.actors.station.ports import CaKind, LeafKind
from voltroot.actors.station.signings import Signings
from voltroot.actors.station.variables import Place
from voltroot.apis.ocpp.station import wire
from voltroot.apis.ocpp.station.server import PLAIN
from voltroot.apis.ocpp.wire import hash_data as read_hash_data
from voltroot.app.station import StationMachine
from voltroot.app.station_config import KeyTable, Store
from voltroot.errors import Refused, Unavailable
from voltroot.ocppj import schemas
from voltroot.ocppj.schemas import Version
from voltroot.pki import oids
from voltroot.pki.certificates import Certificate
from voltroot.pki.fingerprints import hash_data, issued_by
from voltroot.pki.requests import read_named_request
from voltroot.pki.suites import P256_SHA256, P521_SHA512, generate, suite_of
from world import World

pytestmark = pytest.mark.slow

NOW = datetime.now(UTC)
PASSWORD_VARIABLE = "SecurityCtrlr.BasicAuthPassword"
STATION, V2G, V2G20 = "ChargingStationCertificate", "V2GCertificate", "V2G20Certificate"
REJECTED = {"status": "Rejected"}


@pytest.fixture(scope="module")
def csms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawCsms]:
    with RawCsms(World.made(tmp_path_factory.mktemp("csms"))) as csms:
        yield csms


def made(csms: RawCsms, folder: Path, port: int, profile: int = 2, **more: Any) -> Running:
    """A station that trusts the CSMS root and has a V2G root."""
    scheme = "ws" if profile == 1 else "wss"
    variables = more.pop("variables", {})
    settings = {"url": f"{scheme}://localhost:{port}/ocpp", "profile": profile} | more
    running = Running(folder, settings, variables)
    running.trust(CaKind.CSMS, csms.root("csms-root"))
    running.trust(CaKind.V2G, csms.root("v2g-root-2"))
    running.trust(CaKind.MO, csms.root("mo-root-2"))
    return running


@pytest.fixture(params=[OCPP_2_1])
def station(csms: RawCsms, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Session]:
    """A station that has booted over security profile 2."""
    port = csms.listen(2)
    running = made(csms, tmp_path, port, versions=(request.param,))
    with running.run():
        station = csms.accept_booted(port)
        station.running = running
        yield station


def trigger(station: Session, message: str, **more: Any) -> dict[str, Any]:
    """The request to sign that follows an accepted trigger; it is accepted."""
    assert station.call("TriggerMessage", {"requestedMessage": message, **more}) == ACCEPTED
    return station.expect("SignCertificate", ACCEPTED)


def signed(station: Session, asked: dict[str, Any], chain: str) -> dict[str, Any]:
    """What comes of a certificate for a request."""
    echo = {name: asked[name] for name in ("certificateType", "requestId") if name in asked}
    return station.call("CertificateSigned", {"certificateChain": chain, **echo})


def event(station: Session, type_: str) -> dict[str, Any]:
    """The next security event, which has to be of a type."""
    told = station.expect("SecurityEventNotification", {})
    assert told["type"] == type_, told
    return told


def ids(station: Session, *kinds: str) -> dict[str, list[dict[str, Any]]]:
    """What is installed, by type."""
    answer = station.call("GetInstalledCertificateIds", {"certificateType": [*kinds]} if kinds else {})
    found: dict[str, list[dict[str, Any]]] = {}
    for each in answer.get("certificateHashDataChain", ()):
        found.setdefault(each["certificateType"], []).append(each)
    return found


def named(root: Certificate) -> dict[str, str]:
    about = hash_data(root, root)
    return {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": about.issuer_name_hash,
        "issuerKeyHash": about.issuer_key_hash,
        "serialNumber": about.serial_number,
    }


def variable(name: str, value: str | None = None, evse: int | None = None) -> dict[str, Any]:
    component, _, own = name.partition(".")
    given: dict[str, Any] = {"component": {"name": component}, "variable": {"name": own}}
    if evse is not None:
        given["component"]["evse"] = {"id": evse}
    return given | ({"attributeValue": value} if value is not None else {})


def set_variable(station: Session, name: str, value: str) -> str:
    answer = station.call("SetVariables", {"setVariableData": [variable(name, value)]})
    return str(answer["setVariableResult"][0]["attributeStatus"])


def get_variable(station: Session, name: str, evse: int | None = None) -> dict[str, Any]:
    answer = station.call("GetVariables", {"getVariableData": [variable(name, evse=evse)]})
    result: dict[str, Any] = answer["getVariableResult"][0]
    return result


# A: connecting


@pytest.mark.parametrize("profile", [1, 2])
def test_TC_A_01_and_04_the_station_comes_with_its_password(csms: RawCsms, tmp_path: Path, profile: int) -> None:
    port = csms.listen(profile)
    with made(csms, tmp_path, port, profile).run():
        station = csms.accept_booted(port)
        line = station.connection
        assert (line.path, line.password, line.version) == ("/ocpp/CS1", PASSWORD, OCPP_2_1)
        assert "no_context_takeover" in line.headers["Sec-WebSocket-Extensions"]


def test_TC_A_05_a_CSMS_that_nobody_vouches_for_is_told_of_and_not_spoken_to(csms: RawCsms, tmp_path: Path) -> None:
    bad, good = csms.listen(2, untrusted()), csms.listen(2)
    running = made(csms, tmp_path, bad)
    with running.run() as machine:
        eventually(lambda: "InvalidCsmsCertificate" in noted(machine))
        assert csms.arrivals[bad].empty()
    # It is told of even after a restart, as soon as there is somebody to tell it to.
    running.settings["url"] = f"wss://localhost:{good}/ocpp"
    with running.run():
        told = booted(csms.accept(good), 3)
    assert told == ["StartupOfTheDevice", "InvalidCsmsCertificate", "StartupOfTheDevice"]


def test_TC_A_06_TLS_that_is_too_old_is_told_of(csms: RawCsms, tmp_path: Path) -> None:
    context = csms.context(2)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    # asyncio's servers end such a connection without an alert, others do not.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        asked = asking(lambda: refused_handshake(listener, context))
        with made(csms, tmp_path, listener.getsockname()[1]).run() as machine:
            assert "unsupported protocol" in asked.result(10)
            eventually(lambda: "InvalidTLSVersion" in noted(machine))


def refused_handshake(listener: socket.socket, context: ssl.SSLContext) -> str:
    """Why a handshake came to nothing."""
    connection, _ = listener.accept()
    try:
        context.wrap_socket(connection, server_side=True).close()
    except ssl.SSLError as error:
        return str(error)
    finally:
        connection.close()
    return ""


def noted(machine: StationMachine) -> list[str]:
    """The security events that wait."""
    assert machine.csms is not None
    return [each.type for each in machine.csms.parts.record.state.events]


def test_whatever_a_CSMS_does_the_station_comes_back(csms: RawCsms, tmp_path: Path) -> None:
    port = csms.listen(2)
    with made(csms, tmp_path, port).run():
        begun = time.monotonic()
        for _ in range(3):
            csms.accept(port).connection.close()
        # Not as fast as it can, though the variables say so.
        assert time.monotonic() - begun > 0.4
        station = csms.accept_booted(port)
        for garbage in ("rubbish", "[]", '[2,"g"]', '[3,"g",{}]', "[2,1,null,[]]", '[2,"' + "1" * 40 + '","Reset",{}]'):
            station.connection.send(garbage)
        assert set_variable(station, "ISO15118Ctrlr.PnCEnabled", "true") == "Accepted"
        with contextlib.suppress(ConnectionClosed):
            station.connection.send("x" * (1 << 20))
        again = csms.accept(port)
        again.expect("Heartbeat", {"currentTime": BOOTED["currentTime"]})
        csms.judge[port] = lambda certificate: 404
        again.connection.close()
        time.sleep(0.5)
        del csms.judge[port]
        csms.accept(port).expect("Heartbeat", {"currentTime": BOOTED["currentTime"]})


def test_TC_A_07_and_11_the_certificate_is_shown_and_the_renewed_one_at_once(csms: RawCsms, tmp_path: Path) -> None:
    port = csms.listen(3)
    running = made(csms, tmp_path, port, 3)
    old = running.own(csms, ends_in=20 * 86_400)
    with running.run():
        station = csms.accept_booted(port)
        line = station.connection
        assert line.certificate == old
        assert "Authorization" not in line.headers
        asked = trigger(station, "SignChargingStationCertificate")
        request = read_named_request(asked["csr"])
        assert asked["certificateType"] == STATION
        assert str(request.subject) == "C=DE,O=Voltroot Test,CN=SN1"
        assert suite_of(request.key) is P256_SHA256
        chain = csms.sign(asked["csr"])
        assert signed(station, asked, chain) == ACCEPTED
        assert line.is_closed()
        again = csms.accept(port)
        again.expect("Heartbeat", {"currentTime": BOOTED["currentTime"]})
        assert again.connection.certificate == certificates(chain)[0]
        # A02.FR.10: the old one is gone, with its key.
        eventually(lambda: len([*(tmp_path / "certs/client/csms").glob("*.key")]) == 1)
        assert not (tmp_path / f"certs/client/csms/{old.serial:x}.key").exists()


def test_A02_FR_28_and_29_a_renewed_certificate_that_is_refused_makes_way_for_the_old_one(
    csms: RawCsms, tmp_path: Path
) -> None:
    port = csms.listen(3)
    running = made(csms, tmp_path, port, 3)
    old = running.own(csms, ends_in=20 * 86_400)
    csms.judge[port] = lambda shown: None if shown == old else 403
    with running.run():
        station = csms.accept_booted(port)
        asked = trigger(station, "SignChargingStationCertificate")
        assert signed(station, asked, csms.sign(asked["csr"])) == ACCEPTED
        again = csms.accept(port)
        again.expect("Heartbeat", {"currentTime": BOOTED["currentTime"]})
        told = [again.expect("SecurityEventNotification", {})["type"] for _ in range(2)]
        assert told == ["FailedToAuthenticateAtCsms", "DiscardedRenewedClientCertificate"]
        assert [path.name for path in (tmp_path / "certs/client/csms").glob("*.key")] == [f"{old.serial:x}.key"]


def test_A02_FR_28_a_CSMS_that_ends_TLS_without_a_word_has_refused_the_certificate_at_the_third_time(
    csms: RawCsms, tmp_path: Path
) -> None:
    running = made(csms, tmp_path, 0, 3)
    old = running.own(csms, ends_in=20 * 86_400)
    context = csms.context(2)
    context.verify_mode = ssl.CERT_REQUIRED
    # It knows this very certificate and no CA; asyncio sends no alert.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=old.pem)
    port = csms.listen(3, context)
    running.settings["url"] = f"wss://localhost:{port}/ocpp"
    with running.run():
        station = csms.accept_booted(port)
        asked = trigger(station, "SignChargingStationCertificate")
        assert signed(station, asked, csms.sign(asked["csr"])) == ACCEPTED
        again = csms.accept(port)
        again.expect("Heartbeat", {"currentTime": BOOTED["currentTime"]})
        event(again, "DiscardedRenewedClientCertificate")


def test_TC_A_09_and_10_a_new_password_is_used_at_once_and_a_short_one_rejected(csms: RawCsms, tmp_path: Path) -> None:
    port = csms.listen(2)
    running = made(csms, tmp_path, port)
    with running.run():
        station = csms.accept_booted(port)
        assert set_variable(station, PASSWORD_VARIABLE, "too short") == "Rejected"
        assert get_variable(station, PASSWORD_VARIABLE)["attributeStatus"] == "Rejected"
        assert set_variable(station, PASSWORD_VARIABLE, "another 16 chars") == "Accepted"
        assert station.connection.is_closed()
        assert csms.accept(port).connection.password == "another 16 chars"
    with running.run():
        # The file still has the first one.
        assert csms.accept(port).connection.password == "another 16 chars"
    assert "another 16 chars" not in "".join(path.name for path in tmp_path.rglob("*"))
    assert (tmp_path / "certs/.voltroot/ocpp.json").stat().st_mode & 0o077 == 0


# A02, A03: requests to sign


@pytest.mark.parametrize(
    ("station", "message", "typed", "suite"),
    [
        (OCPP_2_0_1, "SignV2GCertificate", V2G, P256_SHA256),
        (OCPP_2_1, "SignV2GCertificate", V2G, P256_SHA256),
        (OCPP_2_1, "SignV2G20Certificate", V2G20, P521_SHA512),
    ],
    indirect=["station"],
)
def test_TC_A_12_each_SeccId_gets_its_certificate(
    csms: RawCsms, station: Session, message: str, typed: str, suite: Any
) -> None:
    if typed == V2G20:
        station.running.trust(CaKind.V2G, csms.root("v2g-root-20"))
    keys = set()
    for evse in (1, 2):
        asked = trigger(station, message, evse={"id": evse})
        request = read_named_request(asked["csr"])
        assert (asked["certificateType"], request.subject.get("CN")) == (typed, f"SECC{evse}")
        assert suite_of(request.key) is suite
        assert ("requestId" in asked) is (station.connection.version == OCPP_2_1)
        assert signed(station, asked, csms.sign(asked["csr"], "SECC_20" if typed == V2G20 else "SECC_2")) == ACCEPTED
        keys.add(asked["csr"])
        for _ in range(2 + evse):
            # M06.FR.07: leaf and sub-CAs.
            assert station.expect("GetCertificateStatus", {"status": "Failed"})["ocspRequestData"]["responderURL"]
    assert len(keys) == 2
    found = ids(station, "V2GCertificateChain")["V2GCertificateChain"]
    assert [len(each["childCertificateHashData"]) for each in found] == [2, 2]


def test_A02_FR_27_the_V2G_root_that_is_wanted_is_named(csms: RawCsms, tmp_path: Path) -> None:
    wanted, other, port = tmp_path / "wanted.pem", from_factory("x")[0][1], csms.listen(2)
    wanted.write_text(csms.root("v2g-root-2").pem + csms.root("v2g-root-20").pem)
    running = made(csms, tmp_path / "station", port, v2g_root=str(wanted), versions=(OCPP_2_1,))
    running.trust(CaKind.V2G, other)
    with running.run():
        station = csms.accept_booted(port)
        for message, label in (("SignV2GCertificate", "v2g-root-2"), ("SignV2G20Certificate", "v2g-root-20")):
            asked = trigger(station, message, evse={"id": 1})
            assert asked["hashRootCertificate"] == named(csms.root(label))
    wanted.write_text(csms.root("v2g-root-2").pem + from_factory("x")[0][0].pem)
    with pytest.raises(Refused, match="no root"), running.run():
        pass


def test_a_trigger_without_an_evse_asks_for_all_and_one_for_no_evse_is_rejected(station: Session) -> None:
    first = trigger(station, "SignV2GCertificate")
    second = station.expect("SignCertificate", ACCEPTED)
    assert [read_named_request(each["csr"]).subject.get("CN") for each in (first, second)] == ["SECC1", "SECC2"]
    wrong = {"requestedMessage": "SignV2GCertificate", "evse": {"id": 3}}
    assert station.call("TriggerMessage", wrong)["status"] == "Rejected"
    assert station.call("TriggerMessage", {"requestedMessage": "MeterValues"}) == {"status": "NotImplemented"}
    assert set_variable(station, "ISO15118Ctrlr.V2GCertificateInstallationEnabled", "false") == "Accepted"
    assert station.call("TriggerMessage", {"requestedMessage": "SignV2GCertificate"})["status"] == "Rejected"


def test_TC_A_14_a_wrong_certificate_is_rejected_and_told_of(csms: RawCsms, station: Session) -> None:
    asked = trigger(station, "SignChargingStationCertificate")
    foreign = csms.sign(asked["csr"], key=generate(P256_SHA256).public_key())
    wrong_name = csms.issue("SN2", "CHARGING_STATION", read_named_request(asked["csr"]).key)
    for chain, why in (
        (foreign, "its key is none that waits"),
        ("rubbish", "holds 0 certificates"),
        (wrong_name, "its CN is SN2, not SN1"),
    ):
        answer = signed(station, asked, chain)
        assert answer["status"] == "Rejected"
        assert why in answer["statusInfo"]["additionalInfo"]
        assert why in event(station, "InvalidChargingStationCertificate")["techInfo"]
    # A02.FR.07, 20: it is given up, with its key.
    assert [*(station.running.folder / "certs/client/csms").glob("*.key")] == []
    assert station.is_quiet()


def test_A02_FR_26_an_unknown_requestId_is_rejected_and_one_that_was_taken_is_accepted_again(
    csms: RawCsms, station: Session
) -> None:
    asked = trigger(station, "SignChargingStationCertificate")
    chain = csms.sign(asked["csr"])
    assert signed(station, asked | {"requestId": 4711}, chain)["status"] == "Rejected"
    event(station, "InvalidChargingStationCertificate")
    assert signed(station, asked, chain) == ACCEPTED
    assert signed(station, asked, chain) == ACCEPTED


def test_A02_FR_06_a_certificate_of_tomorrow_is_no_good_yet(csms: RawCsms, station: Session) -> None:
    asked = trigger(station, "SignChargingStationCertificate")
    csms.world.clock.turn(days=1)
    try:
        chain = csms.sign(asked["csr"])
    finally:
        csms.world.clock.turn(days=-1)
    answer = signed(station, asked, chain)
    assert "is the clock right" in answer["statusInfo"]["additionalInfo"]


def test_A02_FR_16_a_chain_that_is_too_long_is_rejected(csms: RawCsms, tmp_path: Path) -> None:
    port = csms.listen(2)
    with made(csms, tmp_path, port, variables={"SecurityCtrlr.MaxCertificateChainSize": "900"}).run():
        station = csms.accept_booted(port)
        asked = trigger(station, "SignChargingStationCertificate")
        answer = signed(station, asked, csms.sign(asked["csr"]))
        assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "TooLargeElement")
        assert station.is_quiet()


def test_a_certificate_for_which_there_is_no_room_is_taken_once_there_is(csms: RawCsms, tmp_path: Path) -> None:
    port = csms.listen(2)
    running = made(csms, tmp_path, port)
    running.store = Store(most_certificates=5)
    with running.run():
        station = csms.accept_booted(port)
        asked = trigger(station, "SignChargingStationCertificate")
        chain = csms.sign(asked["csr"])
        refused = signed(station, asked, chain)
        assert (refused["status"], refused["statusInfo"]["reasonCode"]) == ("Rejected", "OutOfStorage")
        gone = {"certificateHashData": named(csms.root("mo-root-2"))}
        assert station.call("DeleteCertificate", gone) == ACCEPTED
        assert signed(station, asked, chain) == ACCEPTED


def test_TC_A_15_a_refused_request_is_given_up(station: Session) -> None:
    assert station.call("TriggerMessage", {"requestedMessage": "SignChargingStationCertificate"}) == ACCEPTED
    station.expect("SignCertificate", REJECTED)
    assert station.is_quiet(1.3)
    assert [*(station.running.folder / "certs/client/csms").glob("*.key")] == []


@pytest.mark.parametrize("station", [OCPP_2_0_1], indirect=True)
def test_TC_A_23_a_request_is_sent_again_after_a_wait_that_doubles(csms: RawCsms, station: Session) -> None:
    assert set_variable(station, "SecurityCtrlr.CertSigningRepeatTimes", "1") == "Accepted"
    event(station, "ReconfigurationOfSecurityParameters")
    first = trigger(station, "SignChargingStationCertificate")
    begun = time.monotonic()
    again = station.expect("SignCertificate", ACCEPTED)
    assert time.monotonic() - begun >= 0.9
    assert again == first
    # A02.FR.19: no more of it, until it is triggered.
    assert station.is_quiet(2.3)
    second = trigger(station, "SignChargingStationCertificate")
    assert second["csr"] != first["csr"]
    assert signed(station, second, csms.sign(second["csr"])) == ACCEPTED
    assert signed(station, first, csms.sign(first["csr"]))["status"] in ("Accepted", "Rejected")


def test_a_request_that_could_not_be_noted_as_sent_is_sent_nevertheless(
    station: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes, sent = iter([Unavailable("the disk is full")]), Signings.sent

    def noted(self: Signings, asked: Any) -> Any:
        for failure in outcomes:
            raise failure
        return sent(self, asked)

    monkeypatch.setattr(Signings, "sent", noted)
    assert trigger(station, "SignChargingStationCertificate")["csr"]


def test_A03_FR_02_certificates_are_renewed_before_they_end(csms: RawCsms, tmp_path: Path) -> None:
    port = csms.listen(3)
    running = made(csms, tmp_path, port, 3)
    running.own(csms, ends_in=60)
    running.own(csms, "SECC1", LeafKind.V2G, ends_in=60)
    with running.run():
        station = csms.accept_booted(port)
        asked = [station.expect("SignCertificate", ACCEPTED) for _ in range(2)]
        station.expect("GetCertificateStatus", {"status": "Failed"})
        assert [(each["certificateType"], read_named_request(each["csr"]).subject.get("CN")) for each in asked] == [
            (STATION, "SN1"),
            (V2G, "SECC1"),
        ]
        # A02.FR.27: below the same root.
        assert asked[1]["hashRootCertificate"] == named(csms.root("v2g-root-2"))
    # A request that waits is not made anew by a restart.
    with running.run():
        assert [csms.accept_booted(port).expect("SignCertificate", ACCEPTED)] == asked[:1]


# A05: security profiles


def upgrade(station: Session, url: str, profile: int, slot: int = 2) -> str:
    network = {
        "ocppVersion": "OCPP20",
        "ocppTransport": "JSON",
        "ocppCsmsUrl": url,
        "messageTimeout": 30,
        "securityProfile": profile,
        "ocppInterface": "Wired0",
    }
    answer = station.call("SetNetworkProfile", {"configurationSlot": slot, "connectionData": network})
    return str(answer["status"])


def test_TC_A_19_an_upgrade_takes_effect_with_a_reset_and_ends_the_lower_profile(csms: RawCsms, tmp_path: Path) -> None:
    ports = csms.listen(2), csms.listen(3)
    running = made(csms, tmp_path, ports[0])
    running.own(csms)
    with running.run():
        station = csms.accept_booted(ports[0])
        assert upgrade(station, f"wss://localhost:{ports[1]}/ocpp", 3) == "Accepted"
        assert set_variable(station, "OCPPCommCtrlr.NetworkConfigurationPriority", "2,1") == "Accepted"
        assert station.call("Reset", {"type": "Immediate"}) == ACCEPTED
        station = csms.accept(ports[1])
        assert station.expect("BootNotification", BOOTED)["reason"] == "RemoteReset"
        for _ in range(2):
            station.expect("StatusNotification", {})
        event(station, "ResetOrReboot")
        assert get_variable(station, "SecurityCtrlr.SecurityProfile")["attributeValue"] == "3"
        # A05.FR.06
        assert get_variable(station, "OCPPCommCtrlr.NetworkConfigurationPriority")["attributeValue"] == "2"
        # TC_A_22
        assert upgrade(station, f"wss://localhost:{ports[0]}/ocpp", 2, 3) == "Rejected"
        assert upgrade(station, f"ws://localhost:{ports[0]}/ocpp", 1, 3) == "Rejected"
    with running.run():
        # The file still says profile 2.
        csms.accept_booted(ports[1])


def test_TC_A_20_and_21_an_upgrade_needs_a_root_and_a_certificate(csms: RawCsms, tmp_path: Path) -> None:
    port = csms.listen(1)
    running = made(csms, tmp_path, port, 1)
    (tmp_path / "certs/ca/csms/CSMS_ROOT_CA.pem").unlink()
    with running.run():
        station = csms.accept_booted(port)
        assert upgrade(station, "wss://localhost:1/ocpp", 2) == "Rejected"
        running.trust(CaKind.CSMS, csms.root("csms-root"))
        assert upgrade(station, "wss://localhost:1/ocpp", 3) == "Rejected"
        assert upgrade(station, "ws://localhost:1/ocpp", 2) == "Rejected"
        assert upgrade(station, "wss://localhost:1/ocpp", 2) == "Accepted"
        assert set_variable(station, "OCPPCommCtrlr.NetworkConfigurationPriority", "3") == "Rejected"


def test_a_way_that_does_not_work_is_left_for_the_next_one(csms: RawCsms, tmp_path: Path) -> None:
    port = csms.listen(2)
    running = made(csms, tmp_path, port, variables={"OCPPCommCtrlr.NetworkProfileConnectionAttempts": "1"})
    with running.run():
        station = csms.accept_booted(port)
        assert upgrade(station, "wss://localhost:1/ocpp", 2) == "Accepted"
        assert set_variable(station, "OCPPCommCtrlr.NetworkConfigurationPriority", "2,1") == "Accepted"
        assert station.call("Reset", {"type": "OnIdle"}) == ACCEPTED
        csms.accept(port).expect("BootNotification", BOOTED)


# M03, M04, M05


@pytest.mark.parametrize(
    ("case", "kind", "label"),
    [
        ("TC_M_01, 12", "CSMSRootCertificate", "csms-root"),
        ("TC_M_02, 13", "ManufacturerRootCertificate", "mf-root"),
        ("TC_M_03, 14", "V2GRootCertificate", "v2g-root-20"),
        ("TC_M_04, 16", "MORootCertificate", "mo-root-20"),
    ],
)
@pytest.mark.parametrize("station", [OCPP_2_0_1, OCPP_2_1], indirect=True)
def test_TC_M_01_to_04_and_20_a_root_is_installed_listed_and_deleted(
    csms: RawCsms, station: Session, case: str, kind: str, label: str
) -> None:
    root = csms.root(label) if label != "mf-root" else from_factory("x")[0][1]
    request = {"certificateType": kind, "certificate": root.pem}
    assert station.call("InstallCertificate", request) == ACCEPTED, case
    assert station.call("InstallCertificate", request) == ACCEPTED, "M05.FR.17"
    found = [each["certificateHashData"] for each in ids(station, kind)[kind]]
    assert found.count(named(root)) == 1
    deletion = station.call("DeleteCertificate", {"certificateHashData": named(root)})
    if kind == "CSMSRootCertificate":
        assert deletion["status"] == "Failed", "it is the last one"
        return
    assert deletion == ACCEPTED
    assert named(root) not in [each["certificateHashData"] for each in ids(station).get(kind, ())]


def test_TC_M_101_an_OEM_root_is_installed_listed_and_deleted_and_no_anchor_for_what_is_no_cars(
    csms: RawCsms, station: Session
) -> None:
    root, kind = csms.root("v2g-root-20"), "OEMRootCertificate"
    assert station.call("InstallCertificate", {"certificateType": kind, "certificate": root.pem}) == ACCEPTED
    place = station.running.folder / "certs/ca/oem/OEM_ROOT_CA.pem"
    assert certificates(place.read_text()) == [root]
    assert [each["certificateHashData"] for each in ids(station, kind)[kind]] == [named(root)]
    # What it has issued to stations is of no known root.
    asked = trigger(station, "SignV2G20Certificate", evse={"id": 1})
    assert signed(station, asked, csms.sign(asked["csr"], "SECC_20"))["status"] == "Rejected"
    event(station, "InvalidChargingStationCertificate")
    assert station.call("DeleteCertificate", {"certificateHashData": named(root)}) == ACCEPTED
    assert kind not in ids(station)


@pytest.mark.parametrize("station", [OCPP_2_0_1], indirect=True)
def test_over_OCPP_2_0_1_an_OEM_root_is_not_known(csms: RawCsms, station: Session) -> None:
    station.running.trust(CaKind.OEM, csms.root("oem-root-20"))
    assert set(ids(station)) == {"CSMSRootCertificate", "V2GRootCertificate", "MORootCertificate"}


def test_TC_M_07_what_is_no_valid_root_is_rejected_and_not_listed(csms: RawCsms, station: Session) -> None:
    before = ids(station)
    expired, later = (_root(NOW + offset) for offset in (-400 * DAY, 400 * DAY))
    sub = csms.world.issuers.standing().current("cpo-sub1-2").certificate
    leaf = from_factory("x")[0][0]
    for text in (expired.pem, later.pem, sub.pem, leaf.pem, "rubbish", expired.pem + later.pem):
        for kind in ("CSMSRootCertificate", "V2GRootCertificate"):
            answer = station.call("InstallCertificate", {"certificateType": kind, "certificate": text})
            assert answer["status"] == "Rejected"
            assert answer["statusInfo"]["reasonCode"] == "InvalidCertificate"
    assert ids(station) == before


def test_TC_M_15_17_18_19_types_are_listed_as_they_are_asked_for(csms: RawCsms, station: Session) -> None:
    assert set(ids(station)) == {"CSMSRootCertificate", "V2GRootCertificate", "MORootCertificate"}
    assert set(ids(station, "MORootCertificate", "CSMSRootCertificate")) == {"MORootCertificate", "CSMSRootCertificate"}
    nothing = station.call("GetInstalledCertificateIds", {"certificateType": ["V2GCertificateChain"]})
    assert nothing == {"status": "NotFound", "statusInfo": {"reasonCode": "NotFound"}}
    own = station.running.own(csms, "SECC1", LeafKind.V2G)
    (chain,) = ids(station, "V2GCertificateChain")["V2GCertificateChain"]
    standing = csms.world.issuers.standing()
    subs = [standing.current(label).certificate for label in ("cpo-sub2-2", "cpo-sub1-2", "v2g-root-2")]
    paths = zip((own, *subs), subs, strict=False)
    expected = [wire.hash_data(hash_data(each, issuer)) for each, issuer in paths]
    assert [chain["certificateHashData"], *chain["childCertificateHashData"]] == expected


def test_TC_M_22_and_23_what_is_not_there_is_not_found_and_the_own_certificate_stays(
    csms: RawCsms, station: Session
) -> None:
    unknown = named(csms.root("csms-root")) | {"serialNumber": "abc"}
    assert station.call("DeleteCertificate", {"certificateHashData": unknown})["status"] == "NotFound"
    own = station.running.own(csms)
    issuer = next(each for each in csms.world.chain(csms.world.ledger.find(serial=own.serial)[0]) if each.is_ca)
    about = wire.hash_data(hash_data(own, issuer))
    assert station.call("DeleteCertificate", {"certificateHashData": about})["status"] == "Failed"


def test_M05_FR_06_a_full_store_takes_no_more(csms: RawCsms, tmp_path: Path) -> None:
    port = csms.listen(2)
    running = made(csms, tmp_path, port)
    running.store = Store(most_certificates=3)
    with running.run():
        station = csms.accept_booted(port)
        request = {"certificateType": "MORootCertificate", "certificate": csms.root("mo-root-20").pem}
        assert station.call("InstallCertificate", request)["statusInfo"]["reasonCode"] == "OutOfStorage"
        wanted = [{"component": {"name": "SecurityCtrlr"}, "variable": {"name": "CertificateEntries"}}]
        assert station.call("GetReport", {"requestId": 7, "componentVariable": wanted}) == ACCEPTED
        report = station.expect("NotifyReport", {})
        (entry,) = report["reportData"]
        assert entry["variableAttribute"][0]["value"] == "3"
        assert entry["variableCharacteristics"]["maxLimit"] == 3


# M06


@pytest.mark.parametrize("station", [OCPP_2_0_1], indirect=True)
def test_TC_M_24_and_25_OCSP_answers_are_fetched_and_kept(csms: RawCsms, station: Session) -> None:
    asked = trigger(station, "SignV2GCertificate", evse={"id": 1})
    assert signed(station, asked, csms.sign(asked["csr"], "SECC_2")) == ACCEPTED
    cas = [each.certificate for each in csms.world.issuers.standing().cas.values()]
    for number in range(3):
        data = station.expect("GetCertificateStatus")["ocspRequestData"]
        assert data["responderURL"].startswith("http://")
        if number == 2:
            station.reply({"status": "Failed"})
            continue
        issuer = next(each for each in cas if issued_by(read_hash_data(data), each))
        question = ocsp_request(cert_id(issuer, int(data["serialNumber"], 16), "sha256"))
        octets = csms.backend.publisher.responder.answer(question).published.octets
        station.reply({"status": "Accepted", "ocspResult": base64.b64encode(octets).decode()})
    assert get_variable(station, "ISO15118Ctrlr.PnCEnabled")["attributeValue"] == "true"
    assert len([*(station.running.folder / "certs/client/cso/ocsp").glob("*.der")]) == 2


def test_M06_FR_07_a_renewal_while_answers_are_fetched_has_all_of_them_fetched(csms: RawCsms, station: Session) -> None:
    assert station.call("TriggerMessage", {"requestedMessage": "SignV2GCertificate"}) == ACCEPTED
    first, second = (station.expect("SignCertificate", ACCEPTED) for _ in range(2))
    assert signed(station, first, csms.sign(first["csr"], "SECC_2")) == ACCEPTED
    station.expect("GetCertificateStatus")
    fetching = station.last
    assert signed(station, second, csms.sign(second["csr"], "SECC_2")) == ACCEPTED
    station.last = fetching
    station.reply({"status": "Failed"})
    serials = {station.expect("GetCertificateStatus", {"status": "Failed"})["ocspRequestData"]["serialNumber"]
               for _ in range(3)}  # fmt: skip
    assert len(serials) == 3
    assert get_variable(station, "ISO15118Ctrlr.PnCEnabled")["attributeValue"] == "true"


# M01, M02, C07: cars


def asking(work: Any) -> Any:
    """Ask at the station's door while the CSMS answers."""
    return ThreadPoolExecutor(1).submit(work)


INSTALLATION = {"iso15118SchemaVersion": "urn:iso:15118:2:2013:MsgDef", "action": "Install", "exiRequest": "gJhleGk="}


@pytest.mark.parametrize("action", ["Install", "Update"])
@pytest.mark.parametrize("station", [OCPP_2_0_1, OCPP_2_1], indirect=True)
def test_TC_M_26_to_29_EXI_goes_on_as_it_is_and_so_does_the_answer(station: Session, action: str) -> None:
    request = INSTALLATION | {"action": action}
    client = station.running.client
    answer = asking(lambda: client.install(**request))
    assert station.expect("Get15118EVCertificate") == request
    station.reply({"status": "Accepted", "exiResponse": "gJhleA=="})
    assert answer.result(10) == {"status": "Accepted", "exiResponse": "gJhleA=="}
    for failed in ({"status": "Failed", "exiResponse": ""}, {"status": "Failed"}):
        answer = asking(lambda: client.install(**request))
        station.expect("Get15118EVCertificate", failed)
        assert answer.result(10) == {"status": "Failed", "exiResponse": ""}


def test_the_members_of_OCPP_2_1_go_over_it_only_and_installation_can_be_off(csms: RawCsms, tmp_path: Path) -> None:
    port = csms.listen(2)
    more = {"maximumContractCertificateChains": 2, "prioritizedEMAIDs": ["DE8AA1A2B3C4D5"]}
    for version, sent in ((OCPP_2_0_1, INSTALLATION), (OCPP_2_1, INSTALLATION | more)):
        running = made(csms, tmp_path / version, port, versions=(version,))
        with running.run():
            station = csms.accept_booted(port)
            answer = asking(lambda running=running: running.client.install(**INSTALLATION, **more))
            assert station.expect("Get15118EVCertificate", {"status": "Failed", "exiResponse": ""}) == sent
            answer.result(10)
            off = "ISO15118Ctrlr.ContractCertificateInstallationEnabled"
            assert set_variable(station, off, "false") == "Accepted"
            with pytest.raises(Refused, match="is off"):
                running.client.install(**INSTALLATION)
            assert set_variable(station, off, "true") == "Accepted"
            with pytest.raises(Refused, match="exiRequest"):
                running.client.install(**INSTALLATION | {"exiRequest": "A" * 12_000})


@pytest.fixture(scope="module")
def contract(csms: RawCsms) -> str:
    """A contract chain in PEM, leaf first, without its root."""
    return csms.issue("DE8AA1A2B3C4D5", "CONTRACT_2", generate(P256_SHA256).public_key())


def authorized(token: str, certificate: str | None = None) -> dict[str, Any]:
    return {"idTokenInfo": {"status": token}} | ({"certificateStatus": certificate} if certificate else {})


def test_TC_C_50_to_55_a_contract_is_asked_about_by_its_hash_data(station: Session, contract: str) -> None:
    client = station.running.client
    for answer, accepted in (
        (authorized("Accepted", "Accepted"), True),
        (authorized("Invalid", "CertificateRevoked"), False),
        (authorized("Invalid", "ContractCancelled"), False),
        (authorized("Accepted"), True),
        (authorized("Accepted", "CertChainError"), False),
    ):
        decision = asking(lambda: client.authorize(contract))
        asked = station.expect("Authorize", answer)
        assert asked["idToken"] == {"idToken": "DE8AA1A2B3C4D5", "type": "eMAID"}
        assert 1 <= len(asked["iso15118CertificateHashData"]) <= 4
        assert "certificate" not in asked
        told = decision.result(10)
        assert (told["accepted"], told["online"]) == (accepted, True), told


def test_TC_C_52_without_the_root_the_chain_is_sent_where_that_is_allowed(
    csms: RawCsms, station: Session, contract: str
) -> None:
    client, root = station.running.client, csms.root("mo-root-2")
    assert station.call("DeleteCertificate", {"certificateHashData": named(root)}) == ACCEPTED
    told = client.authorize(contract)
    assert (told["accepted"], told["certificateStatus"]) == (False, "NoCertificateAvailable")
    assert set_variable(station, "ISO15118Ctrlr.CentralContractValidationAllowed", "true") == "Accepted"
    decision = asking(lambda: client.authorize(contract))
    assert station.expect("Authorize", authorized("Accepted", "Accepted"))["certificate"] == contract
    assert decision.result(10)["accepted"]


def test_TC_C_53_and_54_offline_only_what_was_accepted_before_may_charge(
    csms: RawCsms, tmp_path: Path, contract: str
) -> None:
    port = csms.listen(2)
    running = made(csms, tmp_path, port)
    with running.run() as machine:
        station = csms.accept_booted(port)
        csms.judge[port] = lambda certificate: 503
        station.connection.close()
        eventually(lambda: not running.client.status()["connected"])
        unknown = running.client.authorize(contract)
        assert (unknown["accepted"], unknown["idTokenStatus"], unknown["online"]) == (False, "Unknown", False)
        del csms.judge[port]
        station = csms.accept(port)
        station.expect("Heartbeat", {"currentTime": BOOTED["currentTime"]})
        decision = asking(lambda: running.client.authorize(contract))
        station.expect("Authorize", authorized("Accepted", "Accepted"))
        assert decision.result(10)["accepted"]
        csms.judge[port] = lambda certificate: 503
        station.connection.close()
        eventually(lambda: not running.client.status()["connected"])
        assert running.client.authorize(contract)["accepted"]
        with pytest.raises(Unavailable):
            running.client.install(**INSTALLATION)
        # C07.FR.07
        assert machine.csms is not None
        off = Place("ISO15118Ctrlr", "ContractValidationOffline")
        machine.csms.parts.variables.set(off, "false")
        assert not running.client.authorize(contract)["accepted"]


# M07: cars' certificates for TLS


def test_M07_the_status_of_each_certificate_of_a_car_is_asked_for_where_it_says_and_once(
    csms: RawCsms, station: Session
) -> None:
    station.running.trust(CaKind.OEM, csms.root("oem-root-20"))
    chain = csms.world.chain(csms.world.issue("VEHICLE_20", "WVWV123456789ABCDEF7"))
    text, client = "".join(each.pem for each in chain[:-1]), station.running.client
    assert set_variable(station, "ISO15118Ctrlr.CertificateStatusSource", "LDAP") == "Rejected"
    assert set_variable(station, "ISO15118Ctrlr.CertificateStatusSource", "CRL") == "Accepted"
    admitted = asking(lambda: client.admit(text))
    requests = station.expect("GetCertificateChainStatus")["certificateStatusRequests"]
    expected = [wire.hash_data(hash_data(each, issuer)) for each, issuer in itertools.pairwise(chain)]
    assert [each["certificateHashData"] for each in requests] == expected
    assert [each["source"] for each in requests] == ["CRL"] * 3
    assert [each["urls"] for each in requests] == [[*each.crl_addresses] for each in chain[:-1]]
    # In any order, and written as some do.
    until = {"status": "Good", "nextUpdate": "2099-12-31t12:00:00z"}
    told = [{**each, **until} for each in reversed(requests)]
    for each in told:
        each.pop("urls")
        about = each["certificateHashData"]
        each["certificateHashData"] = about | {"serialNumber": about["serialNumber"].upper().zfill(40)}
    station.reply({"certificateStatus": told})
    assert admitted.result(10) == {"accepted": True, "status": "Good", "why": ""}
    # Nobody answers now.
    assert client.admit(text)["accepted"]
    with pytest.raises(Refused, match="PEM"):
        client.admit("rubbish")


def test_an_expired_contract_is_refused_without_asking(csms: RawCsms, station: Session) -> None:
    old = csms.issue("DE8AA1A2B3C4D6", "CONTRACT_2", generate(P256_SHA256).public_key(), ends_in=-60)
    told = station.running.client.authorize(old)
    assert (told["accepted"], told["certificateStatus"]) == (False, "CertificateExpired")
    with pytest.raises(Refused, match="0 certificates"):
        station.running.client.authorize("rubbish")


# Variables, reports, and the rest of OCPP


def test_every_variable_that_is_reported_can_be_read_or_written(station: Session) -> None:
    for base, least in (("FullInventory", 40), ("ConfigurationInventory", 15), ("SummaryInventory", 3)):
        assert station.call("GetBaseReport", {"requestId": 1, "reportBase": base}) == ACCEPTED
        report = station.expect("NotifyReport", {})
        assert (report["seqNo"], report["tbc"]) == (0, False)
        assert len(report["reportData"]) >= least
        for each in report["reportData"]:
            given = {"component": each["component"], "variable": each["variable"]}
            (answer,) = station.call("GetVariables", {"getVariableData": [given]})["getVariableResult"]
            readable = each["variableAttribute"][0]["mutability"] != "WriteOnly"
            assert (answer["attributeStatus"] == "Accepted") is readable, each
            if readable:
                assert each["variableAttribute"][0]["value"] == answer["attributeValue"] or "DateTime" in str(given)


def test_what_is_not_there_or_cannot_be_is_refused_with_its_status(station: Session) -> None:
    for given, status in (
        (variable("Nothing.Here", "1"), "UnknownComponent"),
        (variable("SecurityCtrlr.Nothing", "1"), "UnknownVariable"),
        (variable("SecurityCtrlr.SecurityProfile", "1"), "Rejected"),
        (variable("OCPPCommCtrlr.HeartbeatInterval", "-1"), "Rejected"),
        (variable("OCPPCommCtrlr.HeartbeatInterval", "x"), "Rejected"),
        (variable("ISO15118Ctrlr.PnCEnabled", "maybe"), "Rejected"),
        (variable("OCPPCommCtrlr.NetworkConfigurationPriority", "7"), "Rejected"),
        (variable("OCPPCommCtrlr.HeartbeatInterval", "5") | {"attributeType": "Target"}, "NotSupportedAttributeType"),
        (variable("ISO15118Ctrlr.SeccId", "SECC9", evse=2), "Accepted"),
    ):
        (answer,) = station.call("SetVariables", {"setVariableData": [given]})["setVariableResult"]
        assert answer["attributeStatus"] == status, given
    assert get_variable(station, "ISO15118Ctrlr.SeccId", evse=2)["attributeValue"] == "SECC9"
    assert get_variable(station, "ISO15118Ctrlr.SeccId", evse=1)["attributeValue"] == "SECC1"
    criteria = {"requestId": 1, "componentCriteria": ["Problem"]}
    assert station.call("GetReport", criteria) == {"status": "EmptyResultSet"}


@pytest.mark.parametrize("station", [OCPP_2_0_1, OCPP_2_1], indirect=True)
def test_every_other_message_gets_an_answer_that_its_schema_allows(station: Session) -> None:
    version = Version(station.connection.version)
    for action, plain in PLAIN.items():
        if schemas.check(version, action, "Response", plain) is None:
            assert schemas.check(version, action, "Request", {}) is not None or station.call(action, {}) == plain
    assert station.call("DataTransfer", {"vendorId": "x"}) == {"status": "UnknownVendorId"}
    assert station.try_call("Heartbeat", {})[1][0] == "NotSupported"
    assert station.try_call("Nonsense", {})[1][0] == "NotImplemented"
    assert station.call("ClearCache", {}) == ACCEPTED


def test_boots_until_it_is_accepted_and_takes_the_interval(csms: RawCsms, tmp_path: Path) -> None:
    port = csms.listen(2)
    with made(csms, tmp_path, port).run():
        station = csms.accept(port)
        station.expect("BootNotification", BOOTED | {"status": "Pending", "interval": 300})
        # While it is pending it does what it is told (B02).
        assert "csr" in trigger(station, "SignChargingStationCertificate")
        assert set(ids(station)) >= {"CSMSRootCertificate"}
        assert station.call("TriggerMessage", {"requestedMessage": "BootNotification"}) == ACCEPTED
        assert station.expect("BootNotification", BOOTED | {"interval": 77})["reason"] == "Triggered"
        station.expect("StatusNotification", {})
        station.expect("StatusNotification", {})
        event(station, "StartupOfTheDevice")
        assert get_variable(station, "OCPPCommCtrlr.HeartbeatInterval")["attributeValue"] == "77"
        again = station.call("TriggerMessage", {"requestedMessage": "BootNotification"})
        assert again["status"] == "Rejected"


def test_a_key_in_a_device_does_TLS_with_the_CSMS(
    csms: RawCsms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Security profile 3 with a key that SoftHSM2 made: from the request to the connection."""
    ports = csms.listen(2), csms.listen(3)
    monkeypatch.setenv("VOLTROOT_PIN", devices.PIN)
    with devices.token() as token:
        running = made(csms, tmp_path, ports[0])
        running.keys = KeyTable(device=token.device)
        with running.run():
            station = csms.accept_booted(ports[0])
            asked = trigger(station, "SignChargingStationCertificate")
            chain = csms.sign(asked["csr"])
            assert signed(station, asked, chain) == ACCEPTED
            assert upgrade(station, f"wss://localhost:{ports[1]}/ocpp", 3) == "Accepted"
            assert set_variable(station, "OCPPCommCtrlr.NetworkConfigurationPriority", "2") == "Accepted"
            assert station.call("Reset", {"type": "Immediate"}) == ACCEPTED
            station = csms.accept(ports[1])
            assert station.connection.certificate == certificates(chain)[0]
        assert not holds_key_anywhere(tmp_path, certificates(chain)[0])


def test_what_was_promised_while_the_device_is_away_is_asked_for_once_it_is_back(
    csms: RawCsms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F06.FR.10: each trigger that was accepted leads to its message."""
    monkeypatch.setattr("voltroot.apis.ocpp.station.signing.DEVICE_AGAIN", 0.1)
    port = csms.listen(2)
    with devices.swtpm() as tpm:
        running = made(csms, tmp_path, port)
        running.keys = KeyTable(device=tpm.device)
        with running.run():
            station = csms.accept_booted(port)
            tpm.take_away()
            assert station.call("TriggerMessage", {"requestedMessage": "SignV2GCertificate"}) == ACCEPTED
            assert station.is_quiet()
            tpm.put_back()
            asked = [station.expect("SignCertificate", ACCEPTED)["csr"] for _ in range(2)]
            assert {read_named_request(csr).subject.get("CN") for csr in asked} == {"SECC1", "SECC2"}
            assert station.is_quiet()


def holds_key_anywhere(folder: Path, leaf: Certificate) -> bool:
    return any(holds_key_of(path.read_bytes(), leaf.public_key) for path in folder.rglob("*") if path.is_file())


def eventually(condition: Any) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.02)


def _root(begin: datetime) -> Certificate:
    return make("CN=Some Root,O=Test,C=DE", begin=begin, end=begin + 100 * DAY).certificate


# M05.FR.09 to 16: one CSMS root after another


def test_TC_M_09_30_31_a_CSMS_root_takes_over_from_the_one_that_signed_it(csms: RawCsms, tmp_path: Path) -> None:
    old = make("CN=Old CSMS Root,O=Test,C=DE", begin=NOW - DAY, end=NOW + DAY)
    new = make("CN=New CSMS Root,O=Test,C=DE", old, ca=True, begin=NOW - DAY, end=NOW + DAY)
    names = {oids.SUBJECT_ALTERNATIVE_NAME: alternative(dns("localhost"))}
    files = [tmp_path / "old.pem", tmp_path / "new.pem"]
    for path, issuer in zip(files, (old, new), strict=True):
        own = make("CN=localhost", issuer, key="csms", begin=NOW - DAY, end=NOW + DAY, extensions=names)
        path.write_bytes(pem(own).encode() + key_pem(own))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files[0])
    port = csms.listen(2, context)
    running = made(csms, tmp_path / "station", port, variables={"SecurityCtrlr.AdditionalRootCertificateCheck": "true"})
    (running.folder / "certs/ca/csms/CSMS_ROOT_CA.pem").write_text(pem(old))
    about = wire.hash_data(hash_data(new.certificate, old.certificate))

    def roots(station: Session) -> list[dict[str, str]]:
        return [each["certificateHashData"] for each in ids(station, "CSMSRootCertificate")["CSMSRootCertificate"]]

    def again(station: Session) -> Session:
        station.connection.close()
        station = csms.accept(port)
        station.expect("Heartbeat", {"currentTime": BOOTED["currentTime"]})
        return station

    with running.run():
        station = csms.accept_booted(port)
        for kind in (csms.root("csms-root").pem, make("CN=Old CSMS Root,O=Test,C=DE", key="x").certificate.pem):
            answer = station.call("InstallCertificate", {"certificateType": "CSMSRootCertificate", "certificate": kind})
            assert answer["status"] == "Rejected"
        request = {"certificateType": "CSMSRootCertificate", "certificate": pem(new)}
        assert station.call("InstallCertificate", request) == ACCEPTED
        assert station.call("InstallCertificate", request) == ACCEPTED
        assert roots(station) == [named(old.certificate), about]
        # The CSMS still shows what is below the old one, which is kept for that.
        station = again(station)
        assert roots(station) == [named(old.certificate), about]
        context.load_cert_chain(files[1])
        station = again(station)
        eventually(lambda: roots(station) == [about])
        station = again(station)
        deletion = station.call("DeleteCertificate", {"certificateHashData": about})
        assert deletion["status"] == "Failed", "it is the last one"
    with running.run():
        csms.accept_booted(port)


def test_what_josev_asked_for_and_no_csms_can_be_asked_for_is_told(
    csms: RawCsms, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "voltroot")
    port = csms.listen(2)
    foreign, _ = signing_request("SECC1")
    with made(csms, tmp_path, port).run() as machine:
        csms.accept_booted(port)
        assert machine.csms is not None
        machine.csms.forward(foreign)
        eventually(lambda: "certificate.not_forwarded" in caplog.messages)
