"""What EXIficient, the reference implementation, writes and reads."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from voltroot.v2g import forms, iso2
from voltroot.v2g.exi import Kind, Model, Schema, Unreadable, decode, encode, encode_fragment, explain
from voltroot.v2g.schemas import ISO_2, ISO_20, SCHEMAS, XMLDSIG, recognise

FOLDER = Path(__file__).parents[2] / "vectors" / "exi"
TITLES = {
    "ISO 15118-2:2013 V2G_CI_MsgDef": ISO_2,
    "ISO 15118-20 V2G_CI_CommonMessages": ISO_20,
    "xmldsig-core-schema (standalone)": XMLDSIG,
}
FILES = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json")) if path.stem != "testpki"}
EVERY = json.loads((FOLDER / "every" / "messages.json").read_text())


def written(element: str, value: Model, schema: Schema, kind: Kind, **options: Any) -> bytes:
    if kind == "document":
        return encode(value, schema, **options)
    return encode_fragment(element, value, schema, **options)


@pytest.mark.parametrize("name", FILES)
def test_a_vector_is_read_and_written_to_the_bit(name: str) -> None:
    vector = FILES[name]
    schema, kind, octets = TITLES[vector["schema"]], vector["kind"], bytes.fromhex(vector["exi_hex"])
    given = vector["json_or_xml_input"]["json"]
    decoded = decode(octets, schema, kind)
    assert forms.to_json(decoded.element, decoded.value) == given
    element, value = forms.from_json(given, schema, kind)
    assert (element, value) == (decoded.element, decoded.value)
    assert written(element, value, schema, kind).hex() == vector["exi_hex"]
    assert recognise(octets) == decoded


def test_every_declared_message_is_written_as_exificient_writes_it() -> None:
    for vector in EVERY:
        schema, kind = SCHEMAS[vector["schema"]], vector["kind"]
        element, value = forms.from_json(vector["json"], schema, kind)
        assert written(element, value, schema, kind).hex() == vector["exi_hex"], vector["json"]
        assert decode(bytes.fromhex(vector["exi_hex"]), schema, kind).value == value


def test_every_declared_message_and_fragment_is_among_the_vectors() -> None:
    covered = {(vector["schema"], vector["kind"], *vector["json"]) for vector in EVERY}
    for schema in SCHEMAS.values():
        assert {(schema.name, "document", name) for name in schema.documents} <= covered
        assert {(schema.name, "fragment", name) for name in schema.fragments} <= covered
    bodies = {name for vector in EVERY for name in vector["json"].get("V2G_Message", {}).get("Body", {})}
    assert len(bodies) == 34  # the abstract BodyElement is the 35th of the substitution group


def test_a_peer_that_keeps_string_tables_is_understood() -> None:
    repeating = [vector for vector in EVERY if "exi_hex_with_string_tables" in vector]
    assert len(repeating) > 20
    for vector in repeating:
        octets = bytes.fromhex(vector["exi_hex_with_string_tables"])
        decoded = decode(octets, SCHEMAS[vector["schema"]], vector["kind"])
        assert forms.to_json(decoded.element, decoded.value) == vector["json"]


def test_the_example_of_annex_j_has_the_digest_that_the_standard_prints() -> None:
    request = iso2.AuthorizationReq(Id="ID1", GenChallenge=b"Some Random Data")
    fragment = encode_fragment("AuthorizationReq", request, ISO_2)
    digest = base64.b64encode(hashlib.sha256(fragment).digest())
    assert digest == b"0bXgPQBlvuVrMXmERTBR61TKGPwOCRYXT4s8d6mPSqk="


def test_empty_octets_are_read_as_exificient_writes_them_and_written_so_that_all_can_read_them() -> None:
    vector = FILES["iso2_cert_install_res_failed_min_ch0"]
    escaped = vector["disagreements"][0].rsplit(" ", 1)[1]
    assert len(escaped) == 100
    value = decode(bytes.fromhex(escaped), ISO_2).value
    assert encode(value, ISO_2).hex() == vector["exi_hex"]


def test_a_failure_whose_parts_are_all_empty_is_read_as_exificient_writes_it() -> None:
    decoded = decode(bytes.fromhex("80984042086083080242014005001400"), ISO_2)
    header, body = decoded.value.Header, decoded.value.Body.BodyElement
    assert (header.SessionID, header.Notification.FaultMsg) == (b"", "")
    assert (body.DHpublickey.Id, body.DHpublickey.value, body.eMAID.value) == ("", b"", "")
    assert decode(encode(decoded.value, ISO_2, facets=False), ISO_2).value == decoded.value


def test_a_short_failure_of_the_field_is_read() -> None:
    sample = "80980239d117d97fdffbd9906082002400402000020000201000"
    body = decode(bytes.fromhex(sample), ISO_2).value.Body.BodyElement
    assert isinstance(body, iso2.CertificateInstallationRes)
    assert body.ResponseCode.startswith("FAILED")
    assert (body.eMAID.Id, body.eMAID.value) == ("", "")


@pytest.mark.parametrize("name", ["iso2_frag_SignedInfo_in_MsgDef", "iso20_frag_SignedInfo_in_CommonMessages"])
def test_signed_info_in_the_grammar_of_the_messages_is_none_in_that_of_signatures(name: str) -> None:
    octets = bytes.fromhex(FILES[name]["exi_hex"])
    with pytest.raises(Unreadable):
        decode(octets, XMLDSIG, "fragment")
    value = decode(octets, TITLES[FILES[name]["schema"]], "fragment").value
    assert encode_fragment("SignedInfo", value, XMLDSIG) != octets


def test_emaid_is_written_as_libcbv2g_does_on_demand_only() -> None:
    vector = FILES["iso2_frag_eMAID"]
    value = iso2.EMAIDType(Id="id4", value="DEABCC12345678")
    assert encode_fragment("eMAID", value, ISO_2).hex() == vector["exi_hex"]
    wrong = encode_fragment("eMAID", value, ISO_2, typed=True)
    assert wrong.hex() == vector["libcbv2g_nonconforming_hex"]
    with pytest.raises(Unreadable):
        decode(wrong, ISO_2, "fragment")


@pytest.mark.parametrize("name", [name for name, vector in FILES.items() if vector["kind"] == "document"])
def test_the_bits_of_a_signed_element_are_its_fragment(name: str) -> None:
    decoded = decode(bytes.fromhex(FILES[name]["exi_hex"]), TITLES[FILES[name]["schema"]])
    for mark in decoded.marks:
        schema = XMLDSIG if mark.element == "SignedInfo" else decoded.schema
        copied = decoded.fragment(mark, schema)
        if mark.element in ("eMAID", "SAProvisioningCertificateChain"):  # coded otherwise; not a fragment
            assert copied is None
        else:
            assert copied == encode_fragment(mark.element, mark.value, schema)


def test_marks_have_the_bits_of_signed_elements() -> None:
    decoded = decode(bytes.fromhex(FILES["iso2_cert_install_res_2sub"]["exi_hex"]), ISO_2)
    marks = {mark.element: mark for mark in decoded.marks if mark.Id}
    assert [mark.Id for mark in marks.values()] == ["id1", "id2", "id3", "id4"]
    signed_info = next(mark for mark in decoded.marks if mark.element == "SignedInfo")
    assert signed_info.start == 95
    assert decoded.fragment(signed_info, XMLDSIG) == bytes.fromhex(FILES["xmldsig_frag_SignedInfo_4ref"]["exi_hex"])


@pytest.mark.parametrize("name", FILES)
def test_an_explanation_has_every_bit_once(name: str) -> None:
    octets = bytes.fromhex(FILES[name]["exi_hex"])
    told = explain(octets, TITLES[FILES[name]["schema"]], FILES[name]["kind"])
    assert told.fault is None
    at = 0
    for event in told.events:
        assert event.start == at
        at += event.width
    assert at == 8 * len(octets)
    values = [event.value for event in told.events if event.label == "value"]
    assert all(event.code is None for event in told.events if event.label == "value")
    assert len(values) > 1
