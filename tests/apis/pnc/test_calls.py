"""The eleven calls of sections 3.1 and 3.2, as their user sees them."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

from apis.pnc.conftest import Api, csr
from voltroot.pki.certificates import Certificate
from voltroot.pki.suites import ED448, P521_SHA512

SECC = "/api/v2/cpo/seccCert"
BY_CSR = "/api/v2/cpo/seccCertByCsr"
PFX = "/api/v2/cpo/downloadSeccCert"
PROV = "/api/v2/oem/provCert"
VERIFY = "/api/v2/oem/verifyByPcid"

DETAILS = ["provCert", "pfxCert", "subjectDn", "notBefore", "notAfter", "serial", "version", "sigAlgo", "issuerDn"]


def certificate(text: str) -> Certificate:
    return Certificate.read(base64.b64decode(text, validate=True))


def test_issuing_answers_the_members_of_the_manual_in_its_order(api: Api) -> None:
    answer = api.call("POST", SECC, {"seccId": "secc001"})
    assert list(answer.json()) == ["status", "message", "data"]
    assert answer.headers["content-type"] == "application/json"
    data = answer.json()["data"]
    assert list(data) == ["id", "seccId", *DETAILS, "status"]
    assert all(isinstance(value, str) for value in data.values())
    assert len(base64.b64decode(data["id"], validate=True)) == 16
    read = certificate(data["provCert"])
    assert data["seccId"] == "secc001"
    assert data["subjectDn"] == "CN=secc001,DC=CPO,OU=autocrypt,O=verisco GmbH,C=DE"
    assert data["issuerDn"] == "DC=V2G,C=DE,O=Voltroot Test,CN=CPO sub-CA 2 ISO15118-2"
    assert data["serial"] == str(read.serial)
    assert (data["version"], data["sigAlgo"], data["status"]) == ("3", "SHA256WITHECDSA", "VALID")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", data["notBefore"])
    assert data["notAfter"] == f"{read.not_after:%Y-%m-%d}"


def test_the_pfx_opens_with_the_manuals_password_and_holds_key_and_chain(api: Api) -> None:
    data = api.data("POST", SECC, {"seccId": "secc001"})
    key, own, above = pkcs12.load_key_and_certificates(base64.b64decode(data["pfxCert"]), b"123123")
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert own is not None
    assert own.public_key() == key.public_key()
    assert len(above) == 3


def test_a_certificate_from_a_csr_takes_its_name_from_cn_and_its_key_from_the_csr(api: Api) -> None:
    data = api.data("POST", BY_CSR, {"pkcs10Data": csr(), "cn": "secc002"})
    assert list(data) == ["subject", "serial", "certificateData"]
    assert data["subject"] == "secc002"
    subject = str(certificate(data["certificateData"]).subject)
    assert subject == "CN=secc002,DC=CPO,OU=autocrypt,O=verisco GmbH,C=DE"


def test_a_download_returns_exactly_subject_serial_and_certificate(api: Api) -> None:
    issued = api.data("POST", SECC, {"seccId": "secc001"})
    data = api.data("GET", f"{SECC}/secc001")
    assert data == {"subject": "secc001", "serial": issued["serial"], "certificateData": issued["provCert"]}


def test_repeated_slashes_are_one(api: Api) -> None:
    api.data("POST", "//api/v2/cpo//seccCert", {"seccId": "secc001"})
    assert api.data("GET", "//api//v2/cpo/seccCert//secc001")["subject"] == "secc001"


def test_renewal_makes_a_new_key_and_leaves_the_old_certificate_valid(api: Api) -> None:
    old = api.data("POST", SECC, {"seccId": "secc001"})
    new = api.data("PUT", SECC, {"seccId": "secc001"})
    assert list(new) == list(old)
    assert certificate(new["provCert"]).spki != certificate(old["provCert"]).spki
    states = {entry.state.value for entry in api.world.ledger.find(profiles=["SECC_2"])}
    assert states == {"valid"}
    assert api.data("GET", f"{SECC}/secc001")["serial"] == new["serial"]


def test_a_station_that_keeps_its_key_renews_with_a_csr(api: Api) -> None:
    api.data("POST", BY_CSR, {"pkcs10Data": csr(), "cn": "secc001"})
    data = api.data("PUT", SECC, {"seccId": "secc001", "pkcs10Data": csr()})
    assert data["pfxCert"] == ""
    refused = api.refusal("POST", PFX, {"serial": data["serial"], "password": "123123"})
    assert "CSR" in refused


def test_a_car_that_keeps_its_key_is_provisioned_with_a_csr(api: Api) -> None:
    data = api.data("POST", PROV, {"pcid": "pcid001", "pkcs10Data": csr()})
    assert data["pfxCert"] == ""
    assert data["pcid"] == "pcid001"
    assert "occupied" in api.refusal("POST", PROV, {"pcid": "pcid001", "pkcs10Data": csr()})


def test_the_pfx_can_be_had_again_under_the_callers_password(api: Api) -> None:
    issued = api.data("POST", SECC, {"seccId": "secc001"})
    data = api.data("POST", PFX, {"serial": issued["serial"], "password": "pässwörd 1"})
    assert list(data) == ["pfxCert"]
    key, own, _ = pkcs12.load_key_and_certificates(base64.b64decode(data["pfxCert"]), "pässwörd 1".encode())
    assert own is not None
    assert own.serial_number == int(issued["serial"])
    assert isinstance(key, ec.EllipticCurvePrivateKey)


@pytest.mark.parametrize(("path", "member"), [(SECC, "seccId"), (PROV, "pcid")])
def test_revoking_by_dn_revokes_all_and_returns_the_newest(api: Api, path: str, member: str) -> None:
    first = api.data("POST", path, {member: "x001"})
    second = api.data("PUT", path, {member: "x001"})
    dn = {"subjectDn": first["subjectDn"]}
    done = api.data("DELETE", path, dn)
    assert list(done) == ["resultCode", "message", "serial"]
    assert (done["resultCode"], done["serial"]) == ("4000", second["serial"])
    again = api.data("DELETE", path, dn)
    assert (again["resultCode"], again["serial"]) == ("4002", second["serial"])
    never = api.data("DELETE", path, {"subjectDn": first["subjectDn"].replace("x001", "x002")})
    assert (never["resultCode"], never["serial"]) == ("4003", "")


@pytest.mark.parametrize(
    "dn",
    [
        "cn = secc001 , dc = CPO , ou = autocrypt , o = verisco GmbH , c = DE",
        "C=DE,O=verisco GmbH,OU=autocrypt,DC=CPO,CN=secc001",
        "CN=secc001; DC=CPO; OU=autocrypt; O=verisco  GmbH; C=DE",
        "2.5.4.3=secc001,DC=cpo,OU=AUTOCRYPT,O=Verisco GmbH,C=de",
    ],
)
def test_a_dn_is_taken_in_any_order_spacing_and_case(api: Api, dn: str) -> None:
    api.data("POST", SECC, {"seccId": "secc001"})
    assert api.data("DELETE", SECC, {"subjectDn": dn})["resultCode"] == "4000"


@pytest.mark.parametrize(
    "name",
    ["a,b", "a+b", 'a"b', "a\\b", "a<b", "a>b", "a;b", "a=b", "#ab", " ab", "ab ", "日本", "é" * 64, "a" * 64, "a/b",
     "a%2Fb", "a b", "?x=1", "..."],
)  # fmt: skip
def test_ids_of_any_form_are_issued_found_and_revoked_by_what_was_printed(api: Api, name: str) -> None:
    issued = api.data("POST", SECC, {"seccId": name})
    assert issued["seccId"] == name
    quoted = "".join(f"%{octet:02X}" for octet in name.encode())
    assert api.data("GET", f"{SECC}/{quoted}")["subject"] == name
    assert api.data("DELETE", SECC, {"subjectDn": issued["subjectDn"]})["resultCode"] == "4000"


def test_over_64_characters_are_refused(api: Api) -> None:
    assert "64" in api.refusal("POST", SECC, {"seccId": "a" * 65})


def test_a_name_is_occupied_while_valid_and_free_after_revocation(api: Api) -> None:
    issued = api.data("POST", SECC, {"seccId": "secc001"})
    assert "occupied" in api.refusal("POST", SECC, {"seccId": "secc001"})
    assert "occupied" in api.refusal("POST", BY_CSR, {"cn": "secc001", "pkcs10Data": csr()})
    api.data("DELETE", SECC, {"subjectDn": issued["subjectDn"]})
    api.data("POST", SECC, {"seccId": "secc001"})


def test_a_name_is_free_again_after_expiry(api: Api) -> None:
    api.data("POST", SECC, {"seccId": "secc001"})
    api.world.clock.turn(days=91)
    api.data("POST", SECC, {"seccId": "secc001"})


def test_renewing_what_is_unknown_or_revoked_is_refused(api: Api) -> None:
    assert "unknown" in api.refusal("PUT", SECC, {"seccId": "secc001"})
    issued = api.data("POST", SECC, {"seccId": "secc001"})
    api.data("DELETE", SECC, {"subjectDn": issued["subjectDn"]})
    assert "revoked" in api.refusal("PUT", SECC, {"seccId": "secc001"})


def test_oem_download_shows_details_without_a_key(api: Api) -> None:
    issued = api.data("POST", PROV, {"pcid": "pcid001"})
    assert list(issued) == ["id", "pcid", *DETAILS, "status"]
    assert issued["subjectDn"] == "CN=pcid001,DC=OEM,OU=autocrypt,O=verisco GmbH,C=DE"
    shown = api.data("GET", f"{PROV}/pcid001")
    assert shown == issued | {"pfxCert": ""}


def test_the_newest_certificate_speaks_whatever_its_state(api: Api) -> None:
    assert "unknown" in api.refusal("GET", f"{VERIFY}/pcid001")
    issued = api.data("POST", PROV, {"pcid": "pcid001"})
    assert api.call("GET", f"{VERIFY}/pcid001").json() == {
        "status": "success",
        "message": "",
        "data": {"resCode": "OK"},
    }
    api.data("DELETE", PROV, {"subjectDn": issued["subjectDn"]})
    assert api.data("GET", f"{VERIFY}/pcid001") == {"resCode": "FAILED_CertChainError"}
    assert api.data("GET", f"{PROV}/pcid001")["status"] == "REVOKED"


def test_an_expired_car_is_told_so(api: Api) -> None:
    api.data("POST", PROV, {"pcid": "pcid001"})
    api.world.clock.turn(days=4 * 365 + 1)
    assert api.data("GET", f"{VERIFY}/pcid001") == {"resCode": "FAILED_CertificateExpired"}
    assert api.data("GET", f"{PROV}/pcid001")["status"] == "EXPIRED"


@pytest.mark.parametrize(
    ("members", "algorithm"),
    [
        ({"edition": "ISO15118-20"}, "SHA512WITHECDSA"),
        ({"edition": "ISO15118-20", "suite": "P-521"}, "SHA512WITHECDSA"),
        ({"edition": "ISO15118-20", "suite": "Ed448"}, "ED448"),
        ({"edition": "ISO15118-2", "suite": "P-256"}, "SHA256WITHECDSA"),
    ],
)
def test_edition_and_suite_choose_the_profile(api: Api, members: dict[str, Any], algorithm: str) -> None:
    data = api.data("POST", SECC, {"seccId": "secc001"} | members)
    assert data["sigAlgo"] == algorithm
    renewed = api.data("PUT", SECC, {"seccId": "secc001", "edition": members["edition"]})
    assert renewed["sigAlgo"] == algorithm
    query = f"?edition={members['edition']}"
    assert api.data("GET", f"{SECC}/secc001{query}")["serial"] == renewed["serial"]


def test_names_are_kept_apart_for_each_edition(api: Api) -> None:
    two = api.data("POST", PROV, {"pcid": "pcid001"})
    twenty = api.data("POST", PROV, {"pcid": "pcid001", "edition": "ISO15118-20"})
    done = api.data("DELETE", PROV, {"subjectDn": two["subjectDn"], "edition": "ISO15118-2"})
    assert (done["resultCode"], done["serial"]) == ("4000", two["serial"])
    assert api.data("GET", f"{PROV}/pcid001?edition=ISO15118-20")["status"] == "VALID"
    everywhere = api.data("DELETE", PROV, {"subjectDn": two["subjectDn"]})
    assert (everywhere["resultCode"], everywhere["serial"]) == ("4000", twenty["serial"])


@pytest.mark.parametrize("suite", [P521_SHA512, ED448], ids=["P-521", "Ed448"])
def test_a_csr_chooses_the_suite_within_its_edition(api: Api, suite: Any) -> None:
    body = {"pkcs10Data": csr(suite), "cn": "secc001"}
    assert "P-256" in api.refusal("POST", BY_CSR, body)
    api.data("POST", BY_CSR, body | {"edition": "ISO15118-20"})


def test_a_key_is_certified_only_once(api: Api) -> None:
    request = csr()
    api.data("POST", BY_CSR, {"pkcs10Data": request, "cn": "secc001"})
    assert "key" in api.refusal("POST", BY_CSR, {"pkcs10Data": request, "cn": "secc002"})


def test_a_csr_is_taken_in_pem_and_with_white_space(api: Api) -> None:
    text = csr()
    pem = f"-----BEGIN CERTIFICATE REQUEST-----\n{text}\n-----END CERTIFICATE REQUEST-----\n"
    api.data("POST", BY_CSR, {"pkcs10Data": pem, "cn": "secc001"})
    other = csr()
    spaced = "\r\n".join(other[start : start + 64] for start in range(0, len(other), 64))
    api.data("POST", BY_CSR, {"pkcs10Data": spaced, "cn": "secc002"})


def test_the_content_type_is_not_looked_at(api: Api) -> None:
    answer = api.client.post(f"http://testserver{SECC}", data={"seccId": "x"})
    assert answer.status_code == 405
    answer = api.client.post(
        f"http://testserver{SECC}", content=b'{"seccId": "secc001"}', headers={"Content-Type": "text/plain"}
    )
    assert answer.json()["status"] == "success"
