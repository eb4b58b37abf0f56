"""Every call of the operators' API, as its users see it."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

import pytest

from apis.operators.conftest import Api, opened
from voltroot.actors.csms import passwords
from voltroot.actors.csms.operators import NOBODY
from voltroot.actors.csms.stations import OperationState
from voltroot.apis.operators import errors, openapi
from voltroot.apis.operators.calls import CALLS
from voltroot.errors import Failure, Unavailable
from world import World

NEW = {"identity": "CS001", "serialNumber": "SN4711", "seccIds": ["DE-ABC-S-0001"]}
HASHES = {"hashAlgorithm": "SHA256", "issuerNameHash": "aa", "issuerKeyHash": "bb", "serialNumber": "1f"}


def root(world: World) -> str:
    return world.issuers.standing().current("v2g-root-2").certificate.pem


def test_a_station_is_added_with_a_password_that_is_told_once(api: Api) -> None:
    answer = api.told("POST", "/v1/stations", NEW, 201)
    kept = api.stations.find("CS001")
    assert kept is not None
    assert passwords.holds(kept.secret, answer["password"])
    assert answer["station"] == {
        "identity": "CS001", "profile": 2, "nextProfile": None, "serialNumber": "SN4711",
        "organization": "Voltroot Test", "seccIds": ["DE-ABC-S-0001"], "expiredAllowed": False, "longestChain": 10_000,
        "mostCertificates": None, "about": {}, "seen": None, "connected": False, "since": None, "version": None,
        "process": None,
    }  # fmt: skip
    assert api.told("GET", "/v1/stations/CS001") == answer["station"]
    given = api.told("POST", "/v1/stations", {"identity": "CS002", "password": "a password of 27 characters"}, 201)
    assert given["password"] is None
    assert api.told("POST", "/v1/stations", {"identity": "CS003", "profile": 3}, 201)["password"] is None
    assert "in the registry already" in api.problem(409, "POST", "/v1/stations", NEW)


def test_a_station_is_changed_member_by_member(api: Api) -> None:
    api.told("POST", "/v1/stations", NEW, 201)
    assert api.told("PATCH", "/v1/stations/CS001", {"profile": 3, "seccIds": []})["seccIds"] == []
    changed = api.told("PATCH", "/v1/stations/CS001", {"password": "a password of 27 characters"})
    assert (changed["profile"], changed["serialNumber"]) == (3, "SN4711")
    kept = api.stations.find("CS001")
    assert kept is not None
    assert passwords.holds(kept.secret, "a password of 27 characters")
    assert api.told("PATCH", "/v1/stations/CS001", {}) == changed
    assert api.problem(404, "PATCH", "/v1/stations/CS002", {"profile": 3})
    assert api.problem(404, "PATCH", "/v1/stations/CS002", {})


def test_a_station_is_removed(api: Api) -> None:
    api.told("POST", "/v1/stations", {"identity": "CS 1"}, 201)
    api.told("DELETE", "/v1/stations/CS%201", status=204)
    for method in ("GET", "DELETE"):
        assert "there is no station CS 1" in api.problem(404, method, "/v1/stations/CS%201")


def test_stations_are_listed_by_what_they_are_page_by_page(api: Api) -> None:
    for number in range(5):
        api.told("POST", "/v1/stations", {"identity": f"CS{number}", "profile": 1 + number % 3}, 201)
    api.hold("CS1", "CS4")

    def listed(query: str) -> tuple[list[str], Any]:
        page = api.told("GET", f"/v1/stations?{query}")
        return [each["identity"] for each in page["stations"]], page["next"]

    assert listed("limit=2") == (["CS0", "CS1"], "CS1")
    assert listed("limit=3&after=CS1") == (["CS2", "CS3", "CS4"], None)
    assert listed("connected=true") == (["CS1", "CS4"], None)
    assert listed("connected=false&profile=1&beginning=CS") == (["CS0", "CS3"], None)
    (shown, _) = api.told("GET", "/v1/stations?connected=true")["stations"]
    assert (shown["connected"], shown["version"], shown["process"]) == (True, "ocpp2.1", "host:4711")
    assert datetime.fromisoformat(shown["since"]) <= api.world.clock()


def test_the_certificates_are_those_that_were_last_read(api: Api) -> None:
    api.told("POST", "/v1/stations", NEW, 201)
    assert api.told("GET", "/v1/stations/CS001/certificates") == {"station": "CS001", "installed": []}
    api.stations.take_stock(
        "CS001", {"V2GRootCertificate": [{"certificateHashData": HASHES}], "V2GCertificateChain": []}
    )
    chain, roots = api.told("GET", "/v1/stations/CS001/certificates")["installed"]
    assert (chain["certificateType"], chain["certificates"]) == ("V2GCertificateChain", [])
    assert roots["certificates"] == [{"certificateHashData": HASHES}]
    assert datetime.fromisoformat(roots["readAt"]) <= api.world.clock()
    assert api.problem(404, "GET", "/v1/stations/CS002/certificates")


WISHES: dict[str, dict[str, Any]] = {
    "trigger": {"message": "SignV2GCertificate", "evse": 2},
    "install": {"certificateType": "V2GRootCertificate", "certificate": ""},
    "inventory": {"certificateTypes": ["MORootCertificate"]},
    "delete": {"certificateHashData": HASHES},
    "password": {},
    "upgrade": {"profile": 3, "url": "wss://csms.example.com:15123/ocpp", "slot": 2},
    "learn": {},
    "call": {"action": "GetBaseReport", "payload": {"requestId": 7, "reportBase": "FullInventory"}},
}


@pytest.mark.parametrize("kind", WISHES)
def test_each_wish_becomes_an_operation_that_can_be_followed(api: Api, kind: str) -> None:
    api.told("POST", "/v1/stations", NEW, 201)
    holder = api.hold("CS001")
    wish = WISHES[kind] | ({"certificate": root(api.world)} if kind == "install" else {})
    answer = api.call("POST", "/v1/jobs", {"kind": kind, "stations": ["CS001"], **wish})
    assert answer.status_code == 202, answer.text
    job = answer.json()
    where = answer.headers["location"]
    assert (job["kind"], job["waiting"], job["total"], job["ended"]) == (kind, 1, 1, False)
    claimed = api.claimed(holder)
    assert api.told("GET", where)["running"] == 1
    api.stations.end(claimed.number, OperationState.DONE, "Accepted")
    assert api.told("GET", f"{where}?wait=8")["done"] == 1
    operation = api.told("GET", f"/v1/operations/{claimed.number}")
    assert (operation["kind"], operation["state"], operation["outcome"]) == (kind, "done", "Accepted")
    assert (operation["station"], operation["job"], operation["by"]) == (
        "CS001",
        job["number"],
        "anybody on this machine",
    )
    assert api.told("GET", f"/v1/operations?job={job['number']}&state=done")["operations"] == [operation]
    assert api.told("GET", "/v1/operations?station=CS001&state=failed") == {"operations": [], "next": None}


def test_many_stations_are_asked_by_what_they_are(api: Api) -> None:
    for number in range(6):
        api.told("POST", "/v1/stations", {"identity": f"CS{number}", "profile": 1 + number % 3}, 201)
    holder = api.hold("CS1", "CS2", "CS4")
    job = api.told("POST", "/v1/jobs", {"kind": "inventory", "where": {}, "atOnce": 2}, 202)
    assert (job["total"], job["waiting"], job["failed"], job["atOnce"]) == (6, 3, 3, 2)
    assert len(api.operations.claim(holder, 10)) == 2
    assert api.told("DELETE", f"/v1/jobs/{job['number']}") == {"stopped": 1}
    later = api.told(
        "POST", "/v1/jobs", {"kind": "learn", "where": {"profile": 2, "connected": True}, "patience": 60}, 202
    )
    assert (later["total"], later["waiting"]) == (2, 2)
    page = api.told("GET", "/v1/jobs?limit=1")
    assert ([each["number"] for each in page["jobs"]], page["next"]) == ([later["number"]], later["number"])
    assert [each["number"] for each in api.told("GET", f"/v1/jobs?before={page['next']}")["jobs"]] == [job["number"]]
    first = api.told("GET", "/v1/operations?limit=5")
    rest = api.told("GET", f"/v1/operations?before={first['next']}")
    assert (len(first["operations"]), len(rest["operations"]), rest["next"]) == (5, 3, None)


def test_the_end_of_a_job_is_waited_for(world: World) -> None:
    """Nothing is polled meanwhile: the answer comes with what rings."""
    waited: list[float] = []

    async def changed(seconds: float) -> None:
        waited.append(seconds)
        api.stations.end(api.claimed(holder).number, OperationState.DONE)

    api = opened(world, changed=changed)
    with api.client:
        api.told("POST", "/v1/stations", NEW, 201)
        holder = api.hold("CS001")
        job = api.told("POST", "/v1/jobs", {"kind": "learn", "stations": ["CS001"]}, 202)
        assert api.told("GET", f"/v1/jobs/{job['number']}?wait=5")["ended"] is True
    assert len(waited) == 1
    assert 0 < waited[0] <= 5


BAD: list[tuple[int, str, str, Any]] = [
    (400, "POST", "/v1/stations", b""),
    (400, "POST", "/v1/stations", b"{"),
    (400, "POST", "/v1/stations", b"[]"),
    (400, "POST", "/v1/stations", b"null"),
    (400, "POST", "/v1/stations", b"\xff\xfe"),
    (400, "POST", "/v1/stations", b"[" * 10_000),
    (400, "POST", "/v1/stations", {}),
    (400, "POST", "/v1/stations", {"identity": "CS/1"}),
    (400, "POST", "/v1/stations", {"identity": "CS:1"}),
    (400, "POST", "/v1/stations", {"identity": "CS1\n"}),
    (400, "POST", "/v1/stations", {"identity": "x" * 49}),
    (400, "POST", "/v1/stations", {"identity": "CS1", "profile": 4}),
    (400, "POST", "/v1/stations", {"identity": "CS1", "profile": "2"}),
    (400, "POST", "/v1/stations", {"identity": "CS1", "serial": "SN"}),
    (400, "POST", "/v1/stations", {"identity": "CS1", "serialNumber": "a\0b"}),
    (400, "POST", "/v1/stations", b'{"identity": "CS1", "serialNumber": "\\ud800"}'),
    (400, "POST", "/v1/stations", {"identity": "CS1", "password": "too short"}),
    (413, "POST", "/v1/stations", {"identity": "x" * 70_000}),
    (400, "PATCH", "/v1/stations/CS1", {"identity": "CS2"}),
    (404, "GET", "/v1/stations/%00", None),
    (404, "GET", "/v1/stations/a%2Fb", None),
    (404, "GET", "/v1/stations/%ff", None),
    (400, "GET", "/v1/stations?limit=0", None),
    (400, "GET", "/v1/stations?limit=many", None),
    (400, "GET", "/v1/stations?limit=1&limit=2", None),
    (400, "GET", "/v1/stations?profile=7", None),
    (400, "GET", "/v1/stations?after=%00", None),
    (400, "GET", "/v1/stations?nonsense=1", None),
    (400, "GET", "/v1/stations?profile=null", None),
    (400, "GET", "/v1/stations/CS1?verbose=1", None),
    (404, "GET", "/v1/jobs/0", None),
    (404, "GET", "/v1/jobs/x", None),
    (404, "GET", "/v1/jobs/99999999999999999999999", None),
    (404, "GET", "/v1/jobs/77", None),
    (404, "DELETE", "/v1/jobs/77", None),
    (404, "GET", "/v1/operations/77", None),
    (400, "GET", "/v1/jobs/77?wait=9", None),
    (400, "GET", "/v1/operations?state=lost", None),
    (400, "GET", "/v1/operations?before=99999999999999999999999", None),
    (400, "POST", "/v1/jobs", {"stations": ["CS1"]}),
    (400, "POST", "/v1/jobs", {"kind": "explode", "stations": ["CS1"]}),
    (400, "POST", "/v1/jobs", {"kind": "learn"}),
    (400, "POST", "/v1/jobs", {"kind": "learn", "stations": []}),
    (400, "POST", "/v1/jobs", {"kind": "learn", "stations": ["CS1"], "where": {}}),
    (400, "POST", "/v1/jobs", {"kind": "learn", "where": {"model": "One"}}),
    (400, "POST", "/v1/jobs", {"kind": "learn", "stations": ["CS1"], "atOnce": 0}),
    (400, "POST", "/v1/jobs", {"kind": "learn", "stations": ["CS1"], "patience": -1}),
    (404, "POST", "/v1/jobs", {"kind": "learn", "stations": ["CS1"]}),
    (422, "POST", "/v1/jobs", {"kind": "learn", "where": {}}),
    (400, "POST", "/v1/jobs", {"kind": "trigger", "message": "Heartbeat", "where": {}}),
    (400, "POST", "/v1/jobs", {"kind": "install", "certificateType": "V2GRootCertificate", "certificate": "",
                               "where": {}}),
    (400, "POST", "/v1/jobs", {"kind": "delete", "certificateHashData": {}, "where": {}}),
    (400, "POST", "/v1/jobs", {"kind": "delete", "where": {}}),
    (400, "POST", "/v1/jobs", {"kind": "delete", "certificate": "", "where": {}}),
    (400, "POST", "/v1/jobs", {"kind": "delete", "certificate": "", "certificateHashData": HASHES, "where": {}}),
    (400, "POST", "/v1/jobs", {"kind": "upgrade", "profile": 3, "url": "ws://host/ocpp", "slot": 1, "where": {}}),
    (422, "POST", "/v1/jobs", {"kind": "call", "action": "InstallCertificate", "payload": {}, "where": {}}),
    (422, "POST", "/v1/jobs", {"kind": "call", "action": "SetVariables", "where": {},
                               "payload": {"setVariableData": [{"variable": {"name": "BasicAuthPassword"}}]}}),
    (404, "GET", "/", None),
    (404, "GET", "/v2/stations", None),
    (404, "GET", "/v1/stations/CS1/certificates/1", None),
    (405, "PUT", "/v1/stations", {}),
    (405, "POST", "/v1/operations", {}),
]  # fmt: skip


def test_whatever_cannot_be_done_is_a_problem_that_says_why(api: Api) -> None:
    for status, method, path, body in BAD:
        assert api.problem(status, method, path, body), (method, path, body)
    answer = api.call("PUT", "/v1/stations", {})
    assert answer.headers["allow"] == "GET, POST"
    leaf = api.world.issuers.standing().current("cpo-sub2-2").certificate.pem
    body = {"kind": "install", "certificateType": "V2GRootCertificate", "certificate": leaf, "where": {}}
    assert "is no root" in api.problem(422, "POST", "/v1/jobs", body)


def test_what_a_form_of_a_browser_can_send_is_refused(api: Api) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        assert "curl sends it with --json" in api.problem(
            400, "POST", "/v1/stations", b'{"identity": "CS1"}', content_type=kind
        )
    assert (
        api.call(
            "POST", "/v1/stations", b'{"identity": "CS1"}', content_type="Application/JSON; charset=utf-8"
        ).status_code
        == 201
    )


def test_without_tokens_it_is_open_under_this_machines_own_names_only(api: Api) -> None:
    for host in ("localhost:15121", "127.0.0.1", "[::1]:15121", "LOCALHOST"):
        assert api.call("GET", "/v1/stations", host=host).status_code == 200, host
    for host in ("evil.example", "csms.example.com:15121", "10.0.0.1", "127.0.0.1.evil.example"):
        assert "for localhost and 127.0.0.1 only" in api.problem(403, "GET", "/v1/stations", host=host)


def test_once_there_are_tokens_one_must_be_shown(api: Api) -> None:
    token = api.operators.add("ana", True, NOBODY)
    looking = api.operators.add("dashboard", False, NOBODY)
    for header in (
        {},
        {"authorization": "Bearer nonsense"},
        {"authorization": f"Basic {token}"},
        {"authorization": "Bearer"},
    ):
        answer = api.call("GET", "/v1/stations", **header)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert api.call("GET", "/v1/stations", authorization=f"bearer {looking}", host="evil.example").status_code == 200
    assert "may look and not change" in api.problem(403, "POST", "/v1/stations", NEW, authorization=f"Bearer {looking}")
    assert api.call("POST", "/v1/stations", NEW, authorization=f"Bearer {token}").status_code == 201
    job = api.call("POST", "/v1/jobs", {"kind": "password", "where": {}}, authorization=f"Bearer {token}")
    assert job.json()["by"] == "ana"
    assert api.call("GET", "/openapi.json").status_code == 200


def test_beyond_the_loopback_nobody_comes_in_without_a_token(world: World) -> None:
    api = opened(world, is_open=False)
    with api.client:
        assert "voltroot csms operator add NAME" in api.problem(401, "GET", "/v1/stations")


def test_every_failure_has_a_status_and_our_own_faults_are_not_told() -> None:
    def below(kind: type[Failure]) -> list[type[Failure]]:
        return [kind, *(each for sub in kind.__subclasses__() for each in below(sub))]

    assert all(400 <= errors.status(kind.__new__(kind)) <= 503 for kind in below(Failure))
    assert b"secret" not in errors.problem(errors.status(Unavailable("secret")), "secret")


def test_the_description_has_every_call_and_nothing_that_is_not_there(api: Api) -> None:
    described = api.told("GET", "/openapi.json")
    assert described == json.loads(openapi.document())
    paths = {
        re.sub(r"\{\w+\}", "*", path): {method.upper() for method in methods}
        for path, methods in described["paths"].items()
    }
    assert paths == {path: set(methods) for path, methods in CALLS.items()}
    names = set(re.findall(r"#/components/schemas/(\w+)", openapi.document().decode()))
    assert names <= set(described["components"]["schemas"])


def test_a_head_is_a_get_without_its_answer(api: Api) -> None:
    assert api.call("HEAD", "/v1/stations").status_code == 200
