"""What each of the seventeen calls says to bad input: one table of calls, one of mistakes."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from apis.pnc.conftest import Api, csr
from voltroot.apis.pnc import errors
from voltroot.apis.pnc.openapi import OPERATIONS
from voltroot.errors import Failure, Unavailable

# section, method, path, a body that is well formed
CALLS: list[tuple[str, str, str, dict[str, str] | None]] = [
    ("3.1.1", "POST", "/api/v2/cpo/seccCert", {"seccId": "secc001"}),
    ("3.1.2", "POST", "/api/v2/cpo/seccCertByCsr", {"pkcs10Data": "MIHQMHgCA", "cn": "secc001"}),
    ("3.1.3", "GET", "/api/v2/cpo/seccCert/secc001", None),
    ("3.1.4", "PUT", "/api/v2/cpo/seccCert", {"seccId": "secc001"}),
    ("3.1.5", "DELETE", "/api/v2/cpo/seccCert", {"subjectDn": "CN=secc123,DC=CPO,OU=autocrypt,O=verisco GmbH,C=DE"}),
    ("3.1.6", "POST", "/api/v2/cpo/downloadSeccCert", {"serial": "100000000078", "password": "123123"}),
    ("3.2.1", "POST", "/api/v2/oem/provCert", {"pcid": "pcid001"}),
    ("3.2.2", "GET", "/api/v2/oem/provCert/pcid001", None),
    ("3.2.3", "PUT", "/api/v2/oem/provCert", {"pcid": "pcid001"}),
    ("3.2.4", "DELETE", "/api/v2/oem/provCert", {"subjectDn": "CN=pcid003,DC=OEM,OU=autocrypt,O=verisco GmbH,C=DE"}),
    ("3.2.5", "GET", "/api/v2/oem/verifyByPcid/pcid001", None),
    ("3.3.1", "POST", "/api/v2/mo/contract", {"dhCert": "MIICmjCCAkGgAw", "emaid": "emaid001"}),
    ("3.3.2", "PUT", "/api/v2/mo/contract", {"dhCert": "MIICmjCCAkGgAw", "emaid": "emaid001"}),
    ("3.3.3", "DELETE", "/api/v2/mo/contract", {"subjectDn": "CN=emaid002,DC=MO,OU=autocrypt,O=verisco GmbH,C=DE"}),
    ("3.3.4", "POST", "/api/v2/mo/paymentDetail", {"leaf": "MII", "subca2": "MII", "subca1": "MII"}),
    ("3.4.1", "POST", "/api/v2/ccp/certificateInstallation", {"v2gMessage": "gJhwGYRUSTDo60"}),
    ("3.4.2", "POST", "/api/v2/ccp/certificateUpdate", {"v2gMessage": "gJhwGYRUSTDo60"}),
]
WITH_BODY = [call for call in CALLS if call[3] is not None]
MEMBERS = [(method, path, body, member) for _, method, path, body in WITH_BODY for member in body or ()]


def envelope(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert list(body) == ["status", "message", "data"]
    assert (body["status"], body["data"]) == ("error", "")
    assert ("allow" in answer.headers) == (status == 405)
    assert body["message"]
    message: str = body["message"]
    return message


def test_the_description_has_the_seventeen_calls_of_the_manual() -> None:
    described = {(operation.section, operation.method.upper()) for operation in OPERATIONS}
    assert described == {(section, method) for section, method, _, _ in CALLS}


@pytest.mark.parametrize("body", [b"", b"{", b"nonsense", b"\xff\xfe", b'"text"', b"[]", b"null", b"1", b"[" * 50_000])
@pytest.mark.parametrize(("section", "method", "path", "_"), WITH_BODY)
def test_what_is_no_json_object_is_405(api: Api, section: str, method: str, path: str, _: Any, body: bytes) -> None:
    envelope(api.call(method, path, body), 405)


@pytest.mark.parametrize(("method", "path", "body", "member"), MEMBERS)
def test_a_missing_member_is_named(api: Api, method: str, path: str, body: dict[str, str], member: str) -> None:
    left = {name: value for name, value in body.items() if name != member}
    assert member in envelope(api.call(method, path, left), 405)


@pytest.mark.parametrize("value", ["", " ", "\t\n", None, 1, True, [], {}, ["secc001"]], ids=repr)
@pytest.mark.parametrize(("method", "path", "body", "member"), MEMBERS)
def test_an_empty_member_or_one_of_the_wrong_type_is_named(
    api: Api, method: str, path: str, body: dict[str, str], member: str, value: Any
) -> None:
    assert member in envelope(api.call(method, path, body | {member: value}), 405)


@pytest.mark.parametrize(("section", "method", "path", "body"), WITH_BODY)
def test_a_body_over_64_kib_is_413(api: Api, section: str, method: str, path: str, body: dict[str, str]) -> None:
    envelope(api.call(method, path, body | {"more": "x" * 65_536}), 413)
    envelope(api.call(method, path, b"x" * 3_000_000), 413)


@pytest.mark.parametrize(("section", "method", "path", "body"), CALLS)
def test_a_wrong_method_is_405_and_says_which_are_right(
    api: Api, section: str, method: str, path: str, body: Any
) -> None:
    answer = api.call("PATCH", path, body)
    envelope(answer, 405)
    assert method in answer.headers["allow"].split(", ")


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/v2", "/api/v3/cpo/seccCert", "/api/v2/cpo/seccCert/a/b", "/api/v2/mo"]
)
def test_an_unknown_path_is_404(api: Api, path: str) -> None:
    for method in ("GET", "POST", "PUT", "DELETE"):
        envelope(api.call(method, path, {"seccId": "secc001"}), 404)


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        ("GET", "/api/v2/cpo/seccCert/secc001", None, "unknown"),
        ("GET", "/api/v2/oem/provCert/pcid001", None, "unknown"),
        ("GET", "/api/v2/oem/verifyByPcid/pcid001", None, "unknown"),
        ("PUT", "/api/v2/cpo/seccCert", {"seccId": "secc001"}, "unknown"),
        ("PUT", "/api/v2/oem/provCert", {"pcid": "pcid001"}, "unknown"),
        ("POST", "/api/v2/cpo/seccCertByCsr", {"pkcs10Data": "MIHQMHgCA", "cn": "secc001"}, "base64"),
        ("POST", "/api/v2/cpo/seccCertByCsr", {"pkcs10Data": "AAAA", "cn": "secc001"}, "PKCS#10"),
        ("POST", "/api/v2/cpo/downloadSeccCert", {"serial": "100000000078", "password": "123123"}, "no certificate"),
        ("POST", "/api/v2/cpo/downloadSeccCert", {"serial": "0x10", "password": "123123"}, "serial"),
        ("POST", "/api/v2/cpo/downloadSeccCert", {"serial": "9" * 5000, "password": "123123"}, "serial"),
        ("DELETE", "/api/v2/cpo/seccCert", {"subjectDn": "nonsense"}, "DN"),
        ("DELETE", "/api/v2/oem/provCert", {"subjectDn": "CN=a,"}, "DN"),
        ("POST", "/api/v2/cpo/seccCert", {"seccId": "a\u0000b"}, "control"),
        ("POST", "/api/v2/cpo/seccCert", {"seccId": "secc001", "suite": "P-521"}, "P-256"),
        ("POST", "/api/v2/oem/provCert", {"pcid": "pcid001", "suite": "Ed448"}, "P-256"),
    ],
)
def test_a_refusal_by_the_service_is_200_and_says_why(api: Api, method: str, path: str, body: Any, said: str) -> None:
    assert said in api.refusal(method, path, body)


@pytest.mark.parametrize(
    ("body", "member"),
    [
        ({"seccId": "secc001", "edition": "ISO15118-3"}, "edition"),
        ({"seccId": "secc001", "edition": 2}, "edition"),
        ({"seccId": "secc001", "suite": "P-384"}, "suite"),
    ],
)
def test_an_optional_member_of_an_unknown_value_is_named(api: Api, body: dict[str, Any], member: str) -> None:
    assert member in envelope(api.call("POST", "/api/v2/cpo/seccCert", body), 405)
    assert "edition" in envelope(api.call("GET", "/api/v2/cpo/seccCert/secc001?edition=nonsense"), 405)


def test_a_csr_whose_signature_does_not_hold_is_refused(api: Api) -> None:
    octets = bytearray(base64.b64decode(csr()))
    octets[-1] ^= 1
    broken = base64.b64encode(octets).decode()
    said = api.refusal("POST", "/api/v2/cpo/seccCertByCsr", {"pkcs10Data": broken, "cn": "secc001"})
    assert "possession" in said


def test_a_fault_of_ours_is_500_without_detail(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr(api.world.ledger, "find", fail)
    assert envelope(api.call("GET", "/api/v2/cpo/seccCert/secc001"), 500) == errors.INTERNAL


def test_an_unavailable_ledger_is_500_without_detail(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise Unavailable("database at 10.0.0.1 is down")

    monkeypatch.setattr(api.world.ledger, "reserve", fail)
    answer = api.call("POST", "/api/v2/cpo/seccCert", {"seccId": "secc001"})
    assert envelope(answer, 500) == errors.INTERNAL


def _all(kind: type[Failure]) -> list[type[Failure]]:
    return [kind, *(deeper for below in kind.__subclasses__() for deeper in _all(below))]


def test_every_failure_has_an_answer_of_its_own() -> None:
    source = errors.answer.__code__.co_names
    kinds = {kind.__name__ for kind in _all(Failure)[1:] if kind.__module__ == Failure.__module__}
    assert kinds - {*source} == set()
