"""Stations and networks that do what they should not: each ends in a clean way, and the others do not notice."""

from __future__ import annotations

import base64
import json
import socket
import time
from datetime import datetime, timedelta

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from stations import OCPP_2_1, PASSWORD, Office, connected, signing_request
from voltroot.apis.ocpp import delivering
from voltroot.errors import Refused, Unavailable
from voltroot.serve import link, websocket
from world import World


def test_a_station_that_does_not_answer_is_waited_for_for_a_while_and_may_go_on(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "ANSWER_WITHIN", timedelta(seconds=1.5))
    office.register("MUTE")
    with connected(office, "MUTE") as station:
        station.boot()
        first = office.start(office.commands.inventory("MUTE"))
        station.expect("GetInstalledCertificateIds")
        second = office.start(office.commands.inventory("MUTE"))
        late = station.last
        with pytest.raises(Unavailable, match="does not answer GetInstalledCertificateIds"):
            first.result(10)
        station.expect("GetInstalledCertificateIds")
        station.send([3, late, {"status": "NotFound"}])
        station.reply({"status": "NotFound"})
        assert second.result(10).status == "NotFound"


def test_a_certificate_that_nobody_takes_is_offered_again_later(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "ANSWER_WITHIN", timedelta(seconds=0.3))
    monkeypatch.setattr(delivering, "PAUSES", (0.1,))
    office.register("DEAF")
    with connected(office, "DEAF") as station:
        station.boot()
        station.call("SignCertificate", {"csr": signing_request("SN-DEAF")[0]})
        first = station.expect("CertificateSigned")
        assert station.expect("CertificateSigned", {"status": "Accepted"}) == first
        assert station.is_quiet(0.6)


@pytest.mark.slow
def test_a_station_that_does_not_read_is_sent_away(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "SEND_WITHIN", 0.5)
    office.register("SLOW")
    office.register("QUICK")
    with connected(office, "QUICK") as quick, connected(office, "SLOW", max_queue=1) as slow:
        slow.boot()
        frame = json.dumps([2, "x" * 36, "Nonsense" * 30, {}])
        with pytest.raises(ConnectionClosed):
            slow.connection.flood(frame, 200_000)
        begun = time.monotonic()
        assert quick.boot()["status"] == "Accepted"
        assert time.monotonic() - begun < 5
        assert slow.connection.close_code is not None


def test_a_connection_that_is_half_open_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "PING_EVERY", 0.2)
    monkeypatch.setattr(websocket, "PING_WITHIN", 0.2)
    with Office(world) as office:
        office.register("HALF", 1)
        credentials = base64.b64encode(f"HALF:{PASSWORD}".encode()).decode()
        request = [
            "GET /ocpp/HALF HTTP/1.1", "Host: x", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: ocpp2.0.1", f"Authorization: Basic {credentials}",
        ]  # fmt: skip
        with socket.create_connection(("127.0.0.1", office.ports[1])) as raw:
            raw.settimeout(20)
            raw.sendall("\r\n".join([*request, "", ""]).encode())
            while raw.recv(1 << 16):
                pass
        until = time.monotonic() + 10
        while office.commands.links and time.monotonic() < until:
            time.sleep(0.02)
        assert office.commands.links == {}


def test_odd_characters_are_no_accident(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    office.register("ODD")
    for identity in ("ODD%00", "%0A", "%FF%FE", "", "x" * 49, "O%3AD"):
        with pytest.raises(InvalidStatus) as refused, connected(office, identity):
            pass
        assert refused.value.response.status_code == 404
    with connected(office, "ODD") as station:
        station.boot()
        for token in ("\0", "\u202e", "'; DROP TABLE tokens"):
            answer = station.call("Authorize", {"idToken": {"idToken": token, "type": "eMAID"}})
            assert answer == {"idTokenInfo": {"status": "Unknown"}}
        station.connection.send('[2,"1","Authorize",{"idToken":{"idToken":"\\ud800","type":"eMAID"}}]')
        assert station.receive()[0] in (3, 4)
        csr = "\0" + signing_request("SN-ODD")[0]
        assert station.call("SignCertificate", {"csr": csr})["status"] == "Accepted"
        station.expect("CertificateSigned")
        station.send([4, station.last, "\0", "\0\u202e", {}])
        outcome = office.start(office.commands.inventory("ODD"))
        station.expect("GetInstalledCertificateIds")
        station.send([4, station.last, "GenericError", "a\0b", {}])
        with pytest.raises(Refused, match="GenericError a"):
            outcome.result(10)
    assert office.stations.operations("ODD")[0].outcome.endswith("GenericError ab")
    assert "Traceback" not in caplog.text


def test_when_too_many_come_at_once_the_next_are_told_to_come_later(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.register("CROWD")
    with monkeypatch.context() as patched:
        patched.setattr(websocket, "MOST_ARRIVING", 0)
        with pytest.raises(InvalidStatus) as refused, connected(office, "CROWD"):
            pass
    assert refused.value.response.status_code == 503
    assert int(refused.value.response.headers["Retry-After"]) > 0
    with connected(office, "CROWD") as station:
        station.boot()


def test_a_clock_that_is_set_by_an_hour_ends_no_connection(office: Office) -> None:
    office.register("CLOCK")
    with connected(office, "CLOCK") as station:
        first = datetime.fromisoformat(station.boot()["currentTime"])
        for hours in (1, -2):
            office.world.clock.turn(hours=hours)
            outcome = office.start(office.commands.inventory("CLOCK"))
            station.expect("GetInstalledCertificateIds", {"status": "NotFound"})
            assert outcome.result(10).status == "NotFound"
        now = datetime.fromisoformat(station.call("Heartbeat", {})["currentTime"])
        assert timedelta(minutes=59) < first - now < timedelta(minutes=61)
    office.world.clock.turn(hours=1)


def test_what_is_sent_without_wanting_an_answer_gets_none_and_2_0_1_has_no_such_thing(office: Office) -> None:
    office.register("TELLS")
    stream = {"id": 1, "pending": 0, "basetime": "2026-03-01T10:00:00Z", "data": [{"t": 0, "v": "1"}]}
    frame = [6, "1", "NotifyPeriodicEventStream", stream]
    with connected(office, "TELLS", versions=[OCPP_2_1]) as station:
        station.send(frame)
        assert station.is_quiet()
    with connected(office, "TELLS") as station:
        station.send(frame)
        assert station.receive()[2] == "MessageTypeNotSupported"


def test_a_station_is_content_with_what_it_hears_about_all_else(office: Office) -> None:
    office.register("CONTENT")
    at = "2026-03-01T10:00:00Z"
    sent = {
        "StatusNotification": {"timestamp": at, "connectorStatus": "Available", "evseId": 1, "connectorId": 1},
        "MeterValues": {"evseId": 1, "meterValue": [{"timestamp": at, "sampledValue": [{"value": 1.5}]}]},
        "FirmwareStatusNotification": {"status": "Idle"},
        "LogStatusNotification": {"status": "Idle"},
        "SecurityEventNotification": {"type": "StartupOfTheDevice", "timestamp": at},
        "NotifyReport": {"requestId": 1, "generatedAt": at, "seqNo": 0},
    }
    with connected(office, "CONTENT") as station:
        answer = station.boot(serialNumber="SN-CONTENT")
        assert (answer["status"], answer["interval"]) == ("Accepted", 300)
        assert {action: station.call(action, payload) for action, payload in sent.items()} == {
            each: {} for each in sent
        }
        assert station.call("DataTransfer", {"vendorId": "x"}) == {"status": "UnknownVendorId"}
        needs = {"requestedEnergyTransfer": "DC", "dcChargingParameters": {"evMaxCurrent": 1, "evMaxVoltage": 1}}
        assert station.call("NotifyEVChargingNeeds", {"evseId": 1, "chargingNeeds": needs}) == {"status": "Rejected"}
        assert station.try_call("Reset", {"type": "Immediate"})[1][0] == "NotSupported"
    registered = office.stations.find("CONTENT")
    assert registered is not None
    assert registered.about["serialNumber"] == "SN-CONTENT"
