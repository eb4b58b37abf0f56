"""Stations and networks that do what they should not: each ends in a clean way that is told in the log.

A station that is connected all the while does not notice.
"""

from __future__ import annotations

import base64
import json
import logging
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from stations import OCPP_2_1, PASSWORD, Office, Station, certificates, connected, signing_request
from voltroot.apis.ocpp import delivering
from voltroot.apis.ocpp.csms import PLAIN
from voltroot.errors import Refused, Unavailable
from voltroot.ocppj.schemas import Version, check
from voltroot.serve import arrivals, connections, link
from world import World

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bystander(office: Office) -> Iterator[Station]:
    """A station that is connected all the while."""
    office.register("BYSTANDER")
    with connected(office, "BYSTANDER") as station:
        station.boot()
        yield station


@pytest.fixture(autouse=True)
def unnoticed(bystander: Station, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing happens to the others, and nothing is left to a trace."""
    caplog.set_level(logging.INFO, "voltroot")
    yield
    begun = time.monotonic()
    assert bystander.call("Heartbeat", {})
    assert time.monotonic() - begun < 5
    assert bystander.is_quiet(0.01)
    assert [record for record in caplog.records if record.name == "voltroot" and record.exc_info] == []


def said(caplog: pytest.LogCaptureFixture, event: str, **members: Any) -> bool:
    """Whether the log tells of something, in a while at most."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        for record in caplog.records:
            told = record.__dict__
            if record.getMessage() == event and all(str(text) in str(told.get(name)) for name, text in members.items()):
                return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("this is no frame", "RpcFrameworkError"),
        ('[2,"1","BootNotification",{"reason":"PowerUp"', "RpcFrameworkError"),
        ("[" * 100_000, "RpcFrameworkError"),
        ("\0", "RpcFrameworkError"),
        ('[99,"1",{}]', "MessageTypeNotSupported"),
        ('[2,"1","Nonsense",{}]', "NotImplemented"),
        ('[2,"1","BootNotification",{}]', "OccurrenceConstraintViolation"),
        ('[2,"1","Heartbeat",{"more":1}]', "FormatViolation"),
        (b"\xff\xfe\x00", "RpcFrameworkError"),
    ],
    ids=range(9),
)
def test_garbage_is_answered_and_the_connection_goes_on(office: Office, text: str | bytes, code: str) -> None:
    identity = f"GARBAGE{len(office.stations.every())}"
    office.register(identity)
    with connected(office, identity) as station:
        station.connection.send(text)
        assert station.receive()[2] == code
        assert station.boot()["status"] == "Accepted"


@pytest.mark.parametrize("compression", ["deflate", None])
def test_a_message_that_is_too_large_ends_its_connection(
    office: Office, caplog: pytest.LogCaptureFixture, compression: str | None
) -> None:
    """However small it is on the line."""
    identity = f"LARGE-{compression}"
    office.register(identity)
    with connected(office, identity, compression=compression) as station:
        station.boot()
        station.connection.send(json.dumps([2, "1", "DataTransfer", {"vendorId": "x", "data": "x" * (1 << 20)}]))
        with pytest.raises(ConnectionClosed) as closed:
            station.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
        assert said(caplog, "station.disconnected", station=identity)


def test_without_a_subprotocol_that_is_known_the_connection_is_closed_at_once(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    office.register("OTHER")
    with connected(office, "OTHER", versions=["ocpp1.6"]) as station:
        assert station.connection.subprotocol is None
        with pytest.raises(ConnectionClosed):
            station.receive()
    assert said(caplog, "station.refused", station="OTHER", why="subprotocol")


def test_of_two_connections_of_one_identity_the_later_stays(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    office.register("TWICE")
    with connected(office, "TWICE") as first:
        first.boot()
        asked = office.start(office.commands.inventory("TWICE"))
        first.expect("GetInstalledCertificateIds")
        with connected(office, "TWICE") as second:
            with pytest.raises(ConnectionClosed):
                first.receive()
            with pytest.raises(Unavailable):
                asked.result(10)
            assert said(caplog, "station.replaced", station="TWICE")
            second.boot()
            outcome = office.start(office.commands.inventory("TWICE"))
            second.expect("GetInstalledCertificateIds", {"status": "NotFound"})
            assert outcome.result(10).status == "NotFound"


def test_octets_that_are_no_TLS_and_half_a_request_harm_nobody(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    office.register("STILL")
    with socket.create_connection(("127.0.0.1", office.ports[2])) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert said(caplog, "handshake.refused")
        with socket.create_connection(("127.0.0.1", office.ports[1])) as half:
            half.sendall(b"GET /ocpp/STILL HTTP/1.1\r\nHost: x\r\n")
            with connected(office, "STILL") as station:
                station.boot()


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


def test_a_station_that_does_not_read_is_sent_away(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(link, "SEND_WITHIN", 0.5)
    office.register("SLOW", 1)
    with connected(office, "SLOW", 1, max_queue=1, buffer=4096, compression=None) as slow:
        slow.boot()
        frame = json.dumps([2, "x" * 36, "Nonsense" * 30, {}])
        with pytest.raises(ConnectionClosed):
            slow.connection.flood(frame, 200_000)
        assert slow.connection.close_code is not None
    assert said(caplog, "peer.too_slow", station="SLOW")
    assert said(caplog, "station.disconnected", station="SLOW")


def test_a_connection_that_is_half_open_is_noticed_and_one_that_is_only_silent_stays(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connections, "PING_EVERY", 0.2)
    monkeypatch.setattr(connections, "PING_WITHIN", 1)
    with Office(world) as office:
        office.register("HALF", 1)
        office.register("SILENT", 1)
        credentials = base64.b64encode(f"HALF:{PASSWORD}".encode()).decode()
        request = [
            "GET /ocpp/HALF HTTP/1.1", "Host: x", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: ocpp2.0.1", f"Authorization: Basic {credentials}",
        ]  # fmt: skip
        with connected(office, "SILENT", 1) as silent:
            with socket.create_connection(("127.0.0.1", office.ports[1])) as raw:
                raw.settimeout(20)
                raw.sendall("\r\n".join([*request, "", ""]).encode())
                while raw.recv(1 << 16):
                    pass
            assert said(caplog, "station.disconnected", station="HALF")
            assert [*office.commands.links] == ["SILENT"]
            assert silent.boot()["status"] == "Accepted"


def test_odd_characters_are_no_accident(office: Office) -> None:
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


def test_when_too_many_come_at_once_the_next_are_told_to_come_later(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.register("CROWD")
    with monkeypatch.context() as patched:
        patched.setattr(arrivals, "MOST_ARRIVING", 0)
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


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_station_whose_clock_is_an_hour_wrong_is_told_the_time_and_served(office: Office, hours: int) -> None:
    identity = f"CLOCK{hours}"
    office.register(identity)
    believed = (datetime.now(UTC) + timedelta(hours=hours)).isoformat()
    with connected(office, identity) as station:
        told = datetime.fromisoformat(station.boot()["currentTime"])
        assert abs(told - datetime.now(UTC)) < timedelta(minutes=1)
        assert station.call("SecurityEventNotification", {"type": "SettingSystemTime", "timestamp": believed}) == {}
        assert station.call("SignCertificate", {"csr": signing_request(f"SN-{identity}")[0]})["status"] == "Accepted"
        made = certificates(station.expect("CertificateSigned", {"status": "Accepted"})["certificateChain"])[0]
        # A02.FR.06: clocks differ, so that what is valid now was so some minutes ago.
        assert made.not_before <= datetime.now(UTC) - timedelta(minutes=5)


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


# What a station sends (part 2), by the functional blocks in which this CSMS has nothing to say.
OF_STATIONS = {
    Version.V2_0_1: (
        "ClearedChargingLimit", "DataTransfer", "LogStatusNotification", "MeterValues", "NotifyChargingLimit",
        "NotifyDisplayMessages", "NotifyEVChargingNeeds", "NotifyEVChargingSchedule", "NotifyEvent",
        "NotifyMonitoringReport", "PublishFirmwareStatusNotification", "ReportChargingProfiles",
        "ReservationStatusUpdate", "StatusNotification",
    ),
    Version.V2_1: (
        "BatterySwap", "ClosePeriodicEventStream", "NotifyDERAlarm", "NotifyDERStartStop", "NotifyPriorityCharging",
        "NotifySettlement", "OpenPeriodicEventStream", "PullDynamicScheduleUpdate",
        "ReportDERControl",
    ),
}  # fmt: skip


def test_there_is_an_answer_to_all_that_stations_send() -> None:
    for version in Version:
        for action in (*OF_STATIONS[Version.V2_0_1], *(OF_STATIONS[version] if version is Version.V2_1 else ())):
            assert check(version, action, "Response", PLAIN.get(action, {})) is None, action
