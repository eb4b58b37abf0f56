"""M01 and M02: a car gets its contract through the station, from our pool or from another's."""

from __future__ import annotations

import base64
import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, ClassVar

import pytest

from contracting import INSTALLATION, Answer, opened, update_request
from contracting import Office as Pool
from stations import OCPP_2_1, Office, Station, connected
from voltroot.apis.ocpp import csms
from voltroot.app.config import Csms
from voltroot.pki.suites import P521_SHA512
from world import World

pytestmark = pytest.mark.slow

NAMESPACE_2, NAMESPACE_20 = "urn:iso:15118:2:2013:MsgDef", "urn:iso:std:iso:15118:-20:CommonMessages"
_numbers = count()


@pytest.fixture(scope="module")
def pool(office: Office) -> Iterator[Pool]:
    with opened(office.world) as pool:
        yield pool


@pytest.fixture(params=["ocpp2.0.1"])
def station(office: Office, request: pytest.FixtureRequest) -> Iterator[Station]:
    identity = f"PNC{next(_numbers)}"
    office.register(identity)
    with connected(office, identity, versions=[request.param]) as station:
        station.boot()
        yield station


def ask(station: Station, octets: bytes, action: str = "Install", namespace: str = NAMESPACE_2, **more: Any) -> Any:
    request = {"iso15118SchemaVersion": namespace, "action": action, "exiRequest": base64.b64encode(octets).decode()}
    return station.call("Get15118EVCertificate", request | more)


def message(answer: dict[str, Any]) -> Any:
    assert answer["status"] == "Accepted", answer
    return Answer(base64.b64decode(answer["exiResponse"]), "").body


def test_TC_M_26_a_contract_is_installed(pool: Pool, station: Station) -> None:
    car = pool.car("WMIVM26")
    pool.order(car, "DE8AAM26000001")
    answer = ask(station, car.request(pool.roots()))
    assert list(answer) == ["status", "exiResponse"]
    assert message(answer).ResponseCode == "OK"
    assert message(answer).eMAID.value == "DE8AAM26000001"


def test_TC_M_28_a_contract_is_updated(pool: Pool, station: Station) -> None:
    car = pool.car("WMIVM28")
    contract = pool.order(car, "DE8AAM28000001")
    pool.data("PUT", "/api/v2/mo/contract", {"dhCert": _text(contract.certificate.der), "emaid": contract.emaid})
    answer = ask(station, update_request(contract, pool.roots()), "Update")
    assert message(answer).ResponseCode == "OK"


@pytest.mark.parametrize("station", [OCPP_2_1], indirect=True)
def test_TC_M_100_of_several_contracts_of_20_each_answer_says_how_many_remain(pool: Pool, station: Station) -> None:
    car = pool.car("WMIVM100", P521_SHA512)
    emaids = [f"DE8AAM1000000{number}" for number in range(3)]
    for emaid in emaids:
        pool.order(car, emaid)
    request = car.request(pool.roots(), most=3, emaids=emaids)
    answers = [ask(station, request, namespace=NAMESPACE_20, maximumContractCertificateChains=3) for _ in emaids]
    assert [each["remainingContracts"] for each in answers] == [2, 1, 0]
    assert len({message(each).SignedInstallationData.ContractCertificateChain.Certificate for each in answers}) == 3


def test_a_car_that_gets_nothing_hears_why_from_the_message(pool: Pool, station: Station) -> None:
    car = pool.car("WMIVNONE")
    assert message(ask(station, car.request(pool.roots()))).ResponseCode == "FAILED_NoCertificateAvailable"


def test_M02_FR_02_what_is_no_such_request_fails_with_an_empty_answer(pool: Pool, station: Station) -> None:
    car = pool.car("WMIVBAD", P521_SHA512)
    pool.order(car, "DE8AABAD000001")
    for octets, action in ((b"\x80\x98nonsense", "Install"), (car.request(pool.roots()), "Update"), (b"", "Install")):
        answer = ask(station, octets, action, NAMESPACE_20)
        assert (answer["status"], answer["exiResponse"]) == ("Failed", "")
        assert answer["statusInfo"]["reasonCode"] == "InvalidValue"
    garbage = {"iso15118SchemaVersion": NAMESPACE_20, "action": "Install", "exiRequest": "!"}
    assert station.call("Get15118EVCertificate", garbage)["statusInfo"]["reasonCode"] == "InvalidValue"


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


class _Elsewhere(http.server.BaseHTTPRequestHandler):
    """Another's contract pool: it turns every message round, but for answers that it has ready."""

    made: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        turned = base64.b64decode(body["v2gMessage"])[::-1] + b" " + self.path.rpartition("certificate")[2].encode()
        message = self.made.pop() if self.made else turned
        answer = {"status": "success", "message": "", "data": {"v2gMessage": _text(message)}}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        pass


def test_another_contract_pool_is_asked_and_its_answer_handed_on_unread(world: World) -> None:
    elsewhere = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere)
    threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
    with Office(world, csms=Csms(ccp=f"http://127.0.0.1:{elsewhere.server_port}")) as office:
        office.register("FORWARD")
        with connected(office, "FORWARD") as station:
            station.boot()
            answers = [ask(station, b"opaque", action)["exiResponse"] for action in ("Install", "Update")]
        with connected(office, "FORWARD", versions=[OCPP_2_1]) as station, opened(office.world) as pool:
            # How many remain is the only thing that is read: the station has to be told beside the message.
            car = pool.car("WMIVFORWARD", P521_SHA512)
            for number in range(3):
                pool.order(car, f"DE8AAFORWARD{number:02}")
            _Elsewhere.made.append(pool.ask(INSTALLATION, car.request(pool.roots(), most=3)).octets)
            ready = _text(_Elsewhere.made[0])
            told = [ask(station, b"opaque", namespace=NAMESPACE_20) for _ in range(2)]
    elsewhere.shutdown()
    elsewhere.server_close()
    assert [base64.b64decode(each) for each in answers] == [b"euqapo Installation", b"euqapo Update"]
    assert told[0] == {"status": "Accepted", "exiResponse": ready, "remainingContracts": 2}
    assert list(told[1]) == ["status", "exiResponse"]


def test_a_contract_pool_that_does_not_answer_is_waited_for_less_than_a_car_waits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A car waits 4.5 s.
    assert csms.CONTRACT_WITHIN <= 3.5
    monkeypatch.setattr(csms, "CONTRACT_WITHIN", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        section = Csms(ccp=f"http://127.0.0.1:{silent.getsockname()[1]}")
        with Office(world, csms=section) as office, _registered(office, "SILENT") as station:
            begun = time.monotonic()
            answer = ask(station, b"opaque")
            assert (answer["status"], answer["exiResponse"]) == ("Failed", "")
            assert answer["statusInfo"]["reasonCode"] == "InternalError"
            assert time.monotonic() - begun < 3.5


@contextmanager
def _registered(office: Office, identity: str) -> Iterator[Station]:
    office.register(identity)
    with connected(office, identity) as station:
        station.boot()
        yield station
