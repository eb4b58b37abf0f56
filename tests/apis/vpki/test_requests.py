"""Requests as plants send them, and what is answered: forms of CSR and JSON, keys, reissue, the order of checks."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AttributeOID, ObjectIdentifier

from apis.vpki.conftest import CODES, PRODUCTS, PROV, Api, Opened, csr, enrol, name_of
from voltroot.pki import suites
from voltroot.pki.certificates import pem
from voltroot.pki.ports import Reason
from world import World

EST = PRODUCTS[3]
SAMPLE = (Path(__file__).parents[2] / "vectors/vpki/prov_v1_reissue.csr.pem").read_text()
LF = "\n"


def relabelled(text: str, label: str) -> str:
    return text.replace("CERTIFICATE REQUEST", label)


FORMS = {
    "LF": lambda text: text,
    "CRLF": lambda text: text.replace(LF, "\r\n"),
    "CR": lambda text: text.replace(LF, "\r"),
    "doubled": lambda text: text.replace(LF, "\\n"),
    "doubled CRLF": lambda text: text.replace(LF, "\\r\\n"),
    "one line": lambda text: text.replace(LF, " "),
    "underscore": lambda text: relabelled(text, "CERTIFICATE_REQUEST"),
    "new": lambda text: relabelled(text, "NEW CERTIFICATE REQUEST"),
    # As the definition prints it: a blank after the dashes, nothing after the END line.
    "printed": lambda text: relabelled(text, "CERTIFICATE_REQUEST").replace("-----\n", "----- \n", 1).rstrip(),
    "page break": lambda text: relabelled(text, "CERTIFICATE_REQUEST").replace("-----END", "----- END"),
    "mixed": lambda text: text.replace("BEGIN CERTIFICATE REQUEST", "BEGIN CERTIFICATE_REQUEST"),
    "base64": lambda text: "".join(text.splitlines()[1:-1]),
    "words before": lambda text: "Certificate Request:" + LF + "    Data" + LF + text,
}


@pytest.mark.parametrize("form", FORMS)
def test_a_csr_is_read_in_every_form(api: Api, form: str) -> None:
    certificate = api.issued("v1/prov/issue", enrol(FORMS[form](SAMPLE), tierCode="P001"))
    assert str(certificate.subject).startswith("CN=KM8P2YDTDAX11F86M9,")


def test_a_certificate_is_pem_of_64_columns_with_crlf_and_nothing_after_it(api: Api) -> None:
    _, answer = api.ask("v1/prov/issue", enrol(SAMPLE))
    first, *lines, short, last = answer["cert"].split("\r\n")
    assert (first, last) == ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----")
    assert {len(line) for line in lines} == {64}
    assert 0 < len(short) <= 64
    assert "\n" not in answer["cert"].replace("\r\n", "")


@pytest.mark.parametrize(
    "kind",
    [
        "application/json; charset=UTF-8",
        "application/json;charset=utf-8",
        "APPLICATION/JSON; charSet=UTF-8",
        "application/json",
    ],
)
def test_the_header_may_be_written_in_any_form(api: Api, kind: str) -> None:
    assert api.call("v1/prov/issue", enrol(SAMPLE), Content_Type=kind).status_code == 200


@pytest.mark.parametrize("path", ["//api/v1/prov/issue", "/api//v1/prov/issue"])
def test_repeated_slashes_are_one(api: Api, path: str) -> None:
    body = json.dumps(enrol(SAMPLE)).encode()
    assert api.client.post(f"http://testserver{path}", content=body).status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"csr"', b"null", b"\xff\xfe", b"[" * 10_000, b'{"csr": 1}'])
def test_what_is_no_json_object_is_refused_with_400(api: Api, body: bytes) -> None:
    answer = api.call("v1/prov/issue", body)
    assert answer.status_code == 400
    assert list(answer.json()) == ["resultMessage"]


def test_a_code_of_65_characters_or_with_a_control_character_is_refused(api: Api) -> None:
    for code in ("x" * 65, "a\x00b", "a\nb"):
        status, answer = api.ask("v1/prov/issue", enrol(SAMPLE, vehicleCode=code))
        assert (status, answer["resultMessage"]) == (400, "VehicleCode is not a code of 1 to 64 printable characters")


def test_a_request_of_more_than_64_kib_is_refused(api: Api) -> None:
    assert api.ask("v1/prov/issue", enrol("x" * 70_000))[0] == 413


def test_other_methods_and_paths_are_told_so(api: Api) -> None:
    answer = api.call("v1/prov/issue", b"", method="GET")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    for path in ("v1/vehicle/issue", "v3/prov/issue", "v1/prov/renew", "v1/prov", "", "v1/prov/issue/x"):
        status, answer = api.ask(path, enrol(SAMPLE))
        assert (status, "nothing" in answer["resultMessage"]) == (404, True)


OTHER_KEYS = {
    "P-224": (ec.generate_private_key(ec.SECP224R1()), "the curve secp224r1 is not allowed"),
    "P-384": (ec.generate_private_key(ec.SECP384R1()), "needs a key of P-256"),
    "RSA": (rsa.generate_private_key(public_exponent=65537, key_size=2048), "needs a key of P-256"),
    "Ed448": (ed448.Ed448PrivateKey.generate(), "needs a key of P-256"),
    "P-521": (ec.generate_private_key(ec.SECP521R1()), "needs a key of P-256"),
}


@pytest.mark.parametrize("name", OTHER_KEYS)
def test_a_key_of_another_kind_is_refused_with_406(api: Api, name: str) -> None:
    key, said = OTHER_KEYS[name]
    request = x509.CertificateSigningRequestBuilder().subject_name(name_of(PROV.subject()))
    octets = request.sign(key, None if name == "Ed448" else SHA384()).public_bytes(Encoding.DER)
    status, answer = api.ask("v1/prov/issue", enrol(pem("CERTIFICATE REQUEST", octets)))
    assert status == 406
    assert answer["resultMessage"].startswith("CSR Key Error: ")
    assert said in answer["resultMessage"]


def test_a_request_that_its_key_did_not_sign_is_refused_with_406(api: Api) -> None:
    octets = bytearray(base64.b64decode("".join(SAMPLE.splitlines()[1:-1])))
    octets[-1] ^= 1
    status, answer = api.ask("v1/prov/issue", enrol(pem("CERTIFICATE REQUEST", bytes(octets))))
    assert (status, answer["resultMessage"][:21]) == (406, "CSR Signature Error: ")


@pytest.mark.parametrize(
    "text", ["x", "-----BEGIN CERTIFICATE REQUEST-----", "AAAA", SAMPLE + SAMPLE, SAMPLE.replace("MIIB", "MIIC")]
)
def test_a_request_that_cannot_be_read_is_refused_with_406(api: Api, text: str) -> None:
    status, answer = api.ask("v1/prov/issue", enrol(text))
    assert (status, answer["resultMessage"][:18]) == (406, "CSR Format Error: ")


def test_a_violation_of_policy_is_refused_with_406_and_leaves_no_trace(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    from voltroot.errors import PolicyViolation
    from voltroot.pki import lints

    def refuse(*_: object) -> None:
        raise PolicyViolation("the certificate would break its profile: size")

    monkeypatch.setattr(lints, "require", refuse)
    status, answer = api.ask("v1/prov/issue", enrol(SAMPLE))
    assert (status, answer["resultMessage"]) == (406, "Policy Error: the certificate would break its profile: size")
    monkeypatch.undo()
    assert api.ask("v1/prov/issue", enrol(SAMPLE))[0] == 200


def test_attributes_of_a_ccu_request_are_no_error_and_stay_out_of_the_certificate(api: Api) -> None:
    key = suites.generate(EST.suite)
    request = x509.CertificateSigningRequestBuilder().subject_name(name_of(EST.subject()))
    for oid, value in (
        ("1.3.6.1.1.1.1.18", b"17"),
        ("1.3.6.1.1.1.1.19", b"FAKE_IP"),
        ("1.3.6.1.1.1.1.22", b"38-BA-F8"),
    ):
        request = request.add_attribute(ObjectIdentifier(oid), value)
    request = request.add_attribute(AttributeOID.CHALLENGE_PASSWORD, b"Test Challenge Password!")
    octets = request.sign(key, EST.suite.hash).public_bytes(Encoding.DER)  # type: ignore[arg-type]
    certificate = api.issued("v1/est/issue", enrol(pem("CERTIFICATE REQUEST", octets)))
    for value in (b"FAKE_IP", b"38-BA-F8", b"Challenge"):
        assert value not in certificate.der


def test_the_same_key_is_judged_over_all_products_and_for_ever(api: Api) -> None:
    key = suites.generate(PROV.suite)
    api.issued("v1/prov/issue", enrol(csr(PROV, key=key)))
    refused = (403, {"resultMessage": "Same key already used"})
    assert api.ask("v1/est/issue", enrol(csr(EST, key=key))) == refused
    api.ask("v1/prov/revoke", {"dn": PROV.dn()})
    assert api.ask("v1/prov/issue", enrol(csr(PROV, key=key))) == refused
    ccu = PRODUCTS[4]
    key = suites.generate(ccu.suite)
    api.issued("v2/est/issue", enrol(csr(ccu, key=key)))
    api.world.clock.turn(days=4 * 365)
    assert api.ask("v2/est/reissue", enrol(csr(ccu, key=key))) == refused, "it has expired by now"


def test_a_key_of_the_other_api_is_the_same_key(api: Api) -> None:
    key = suites.generate(PROV.suite)
    order = api.world.order("SECC_2", "secc001")
    order.__dict__.update(public_key=key.public_key())
    api.world.authority.issue(order)
    assert api.ask("v1/prov/issue", enrol(csr(PROV, key=key))) == (403, {"resultMessage": "Same key already used"})


def test_reissue_supersedes_what_was_valid_once_the_new_one_is_on_record(api: Api) -> None:
    old = api.issued("v1/prov/issue", enrol(csr(PROV)))
    new = api.issued("v1/prov/reissue", enrol(csr(PROV)))
    assert api.states(PROV) == ["revoked", "valid"]
    (entry,) = api.world.ledger.find(serial=old.serial)
    assert entry.reason is Reason.SUPERSEDED
    assert new.subject.folded() == old.subject.folded()


@pytest.mark.parametrize("what", ["revoked", "expired"])
def test_reissue_wants_a_certificate_that_may_be_revoked_or_expired(api: Api, what: str) -> None:
    api.issued("v2/est/issue", enrol(csr(PRODUCTS[4])))
    if what == "revoked":
        api.ask("v2/est/revoke", {"dn": PRODUCTS[4].dn()})
    else:
        api.world.clock.turn(days=4 * 365)
        api.world.issuers.reload()
    api.issued("v2/est/reissue", enrol(csr(PRODUCTS[4])))


def test_a_name_whose_certificate_was_revoked_is_free_to_be_issued(api: Api) -> None:
    api.issued("v1/prov/issue", enrol(csr(PROV)))
    api.ask("v1/prov/revoke", {"dn": PROV.dn()})
    api.issued("v1/prov/issue", enrol(csr(PROV)))


def test_revoking_revokes_all_valid_certificates_of_a_name(world: World) -> None:
    with Opened(world, overlap=24) as (api, _):
        api.issued("v1/prov/issue", enrol(csr(PROV)))
        api.issued("v1/prov/reissue", enrol(csr(PROV)))
        assert api.states(PROV) == ["valid", "valid"]
        assert api.ask("v1/prov/revoke", {"dn": PROV.dn()}) == (200, {})
        assert api.states(PROV) == ["revoked", "revoked"]


def test_with_an_overlap_the_old_certificate_stays_valid_for_so_long(dialected: World) -> None:
    world = dialected
    with Opened(world, overlap=24) as (api, _):
        api.issued("v1/prov/issue", enrol(csr(PROV)))
        for hours, states in ((12, ["valid", "valid"]), (11, ["valid", "valid", "valid"])):
            api.issued("v1/prov/reissue", enrol(csr(PROV)))
            assert api.vpki.supersede() == []
            assert api.states(PROV) == states
            world.clock.turn(hours=hours)
        assert api.vpki.supersede() == []
        world.clock.turn(hours=2)
        assert len(api.vpki.supersede()) == 1
        assert api.states(PROV) == ["revoked", "valid", "valid"]
        world.clock.turn(hours=12)
        api.vpki.supersede()
        assert api.states(PROV) == ["revoked", "revoked", "valid"]
        assert api.vpki.supersede() == []


def test_what_a_crash_left_unsettled_after_a_reissue_is_superseded_later(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.issued("v1/prov/issue", enrol(csr(PROV)))
    monkeypatch.setattr(api.vpki, "supersede", list)
    api.issued("v1/prov/reissue", enrol(csr(PROV)))
    assert api.states(PROV) == ["valid", "valid"]
    monkeypatch.undo()
    api.vpki.supersede()
    assert api.states(PROV) == ["revoked", "valid"]


def test_checks_come_in_the_documented_order(api: Api) -> None:
    """From a request in which everything is wrong, one fault after the other is mended."""
    api.issued("v1/prov/issue", enrol(csr(PROV)))
    used = suites.generate(PROV.suite)
    api.issued("v1/est/issue", enrol(csr(EST, key=used)))
    other = PRODUCTS[1]
    bad_signature = relabelled(csr(other), "CERTIFICATE REQUEST").replace("MIIB", "MIIB", 1)
    steps = [
        ({}, 400, "Csr is empty"),
        ({"csr": "x"}, 400, "UnitCode is empty"),
        ({"csr": "x"} | CODES, 406, "CSR Format Error"),
        (enrol(bad_signature, tierCode="P002"), 406, "CSR Key Error"),
        (enrol(csr(PROV, key=used), tierCode="P002"), 406, "DN Format Error"),
        (enrol(csr(PROV, key=used)), 403, "Same key already used"),
        (enrol(csr(PROV)), 403, "Valid certificate exists on this DN"),
    ]
    for body, status, said in steps:
        found, answer = api.ask("v1/prov/issue", body)
        assert (found, answer["resultMessage"][: len(said)]) == (status, said)
    unknown = PROV.subject("NOBODY")
    status, answer = api.ask("v1/prov/reissue", enrol(csr(PROV, unknown, used)))
    assert (status, answer["resultMessage"]) == (404, "No certificates on this DN. Please issue first.")


def test_what_is_described_is_what_is_there(api: Api) -> None:
    described = api.call("openapi.json", b"", method="GET").json()
    paths = {f"/api/{product.path}/{verb}" for product in PRODUCTS for verb in ("issue", "reissue", "revoke")}
    assert set(described["paths"]) == paths
    for operation in described["paths"].values():
        assert {"200", "400", "403", "500"} <= set(operation["post"]["responses"])
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(described)))
    assert references == set(described["components"]["schemas"])
