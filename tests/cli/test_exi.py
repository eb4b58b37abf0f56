"""``voltroot exi``: what a person is shown, what a script is told, and the exit codes."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import canonicalize

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from signing import SIGNED, VECTORS, Vector, certificate, of_libcbv2g, received, with_signature
from voltroot.cli.exi import exi
from voltroot.v2g.exi import encode
from voltroot.v2g.schemas import ISO_2, SCHEMAS

ANNEX_J = VECTORS["iso2_frag_AuthorizationReq"]
RES = VECTORS["iso2_cert_install_res_2sub"]
every_vector = pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)


def run(*arguments: str | Path, given: bytes | str | None = None) -> Result:
    result = CliRunner().invoke(exi, [*map(str, arguments)], input=given)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def told(*arguments: str | Path, given: bytes | str | None = None) -> Any:
    return json.loads(run(*arguments, "--json", given=given).stdout)


def pem(*names: str) -> bytes:
    return b"".join(certificate(ISO_2, name).public_bytes(Encoding.PEM) for name in names)


# decode, encode


@every_vector
def test_every_vector_is_found_by_itself_and_decoded(vector: Vector) -> None:
    result = run("decode", given=vector.exi.hex())
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == vector.json


@every_vector
def test_every_vector_is_encoded_from_its_json(vector: Vector) -> None:
    # SignedInfo in the wrong grammar has to be asked for, and so has the part of a signature that looks like a message.
    asked = {
        "iso2_frag_SignedInfo_in_MsgDef": ("--schema", "iso2"),
        "iso20_frag_SignedInfo_in_CommonMessages": ("--schema", "iso20"),
        "iso20_frag_CertificateInstallationReq_nosig": ("--kind", "fragment"),
    }
    result = run("encode", "--no-facets", *asked.get(vector.name, ()), given=json.dumps(vector.json))
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == vector.exi.hex()


@every_vector
def test_every_vector_is_the_same_in_xml(vector: Vector) -> None:
    text = run("decode", "--xml", given=vector.exi).stdout
    ours, theirs = (canonicalize(each, rewrite_prefixes=True, strip_text=True) for each in (text, vector.xml))
    assert ours == theirs


@pytest.mark.parametrize("write", [
    lambda exi: exi,
    lambda exi: exi.hex().encode(),
    lambda exi: exi.hex(" ").upper().encode() + b"\n",
    lambda exi: exi.hex(":").encode(),
    lambda exi: b"0x" + exi.hex().encode(),
    lambda exi: base64.b64encode(exi),
    lambda exi: base64.encodebytes(exi),
    lambda exi: json.dumps(base64.b64encode(exi).decode()).encode(),
    lambda exi: bytes.fromhex("01fe8001") + len(exi).to_bytes(4) + exi,
    lambda exi: b"01FE8001" + len(exi).to_bytes(4).hex().encode() + exi.hex().encode(),
], ids=["binary", "hex", "spaced", "colons", "0x", "base64", "folded", "json", "v2gtp", "v2gtp_hex"])  # fmt: skip
def test_a_stream_may_be_written_in_any_way(write: Any) -> None:
    assert json.loads(run("decode", given=write(RES.exi)).stdout) == RES.json


def test_a_stream_is_written_in_three_ways(tmp_path: Path) -> None:
    file = tmp_path / "message.json"
    file.write_text(json.dumps(RES.json))
    assert run("encode", file).stdout == f"{RES.exi.hex()}\n"
    assert run("encode", file, "--base64").stdout == f"{base64.b64encode(RES.exi).decode()}\n"
    assert run("encode", file, "--binary").stdout_bytes == RES.exi


def test_xml_holds_nothing_that_moves_a_cursor() -> None:
    vector = VECTORS["iso2_cert_install_req_min"]
    given = json.loads(json.dumps(vector.json).replace("CN=", r"\u009b2J<&\"'\u202e"))
    text = run("decode", "--xml", given=run("encode", given=json.dumps(given)).stdout).stdout
    assert "&#155;2J&lt;&amp;&quot;'&#8238;" in text
    assert "\x9b" not in text


def test_what_is_told_is_not_tried() -> None:
    assert run("decode", "--kind", "document", given=ANNEX_J.exi).exit_code == 2
    assert run("decode", "--schema", "iso20", given=ANNEX_J.exi).exit_code == 2
    assert run("decode", "--kind", "fragment", "--schema", "iso2", given=ANNEX_J.exi).exit_code == 0


@pytest.mark.parametrize(("given", "said"), [
    (b"", "it is empty: give an EXI stream, binary, in hexadecimal digits or in base64"),
    (b"hello, world", "it is no EXI stream: neither binary nor hexadecimal digits that begin with 80"),
    (b"\x81\xff", "it is no EXI stream: neither binary nor hexadecimal digits that begin with 80"),
    (b"8098020", "it has 7 hexadecimal digits: one is missing"),
    (RES.exi[:2000], "read as a document of iso2: bit "),
    (RES.exi + b"\x01", "1 octets follow the end of the message ('voltroot exi explain' shows what leads there)"),
    (b"$EXI" + RES.exi, "the stream begins with the EXI cookie"),
    (bytes(1 << 20) + b"\0", "it has more than 1 MiB"),
    (b"\x80" * 40_000, "at most 32768 are read"),
])  # fmt: skip
def test_what_cannot_be_read_is_told_in_one_line(given: bytes, said: str) -> None:
    result = run("decode", given=given)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("voltroot exi: standard input: ")
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_fault_is_told_with_its_bit_and_its_element() -> None:
    stderr = run("decode", given=RES.exi[:300]).stderr
    assert "V2G_Message/Header/Signature/SignedInfo" in stderr


@pytest.mark.parametrize(("given", "said"), [
    ("{", "it is no JSON: "),
    ("[" * 100_000, "it is no JSON: "),
    ("[]", "the JSON is not an object with one member"),
    ('{"Nothing": {}}', "Nothing is no document of "),
    ('{"eMAID": {"Id": "id4", "value": "DE"}}', "2 characters, where 14 to 15 belong"),
    ('{"eMAID": {"Id": "id4", "Value": "DEABCC12345678"}}', "Value has no place here"),
    ('{"DHpublickey": {"Id": "id4", "value": "not base64"}}', "DHpublickey/value: this is not base64"),
    ('{"AuthorizationReq": {"Id": 4}}', "AuthorizationReq/Id: "),
])  # fmt: skip
def test_json_that_is_no_message_is_told_with_the_way_to_the_fault(given: str, said: str) -> None:
    result = run("encode", given=given)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


@given(
    st.binary(max_size=200)
    | st.builds(lambda tail: b"\x80" + tail, st.binary(max_size=200))
    | st.text().map(str.encode)
)
@settings(max_examples=60, deadline=None, database=None)
def test_any_octets_have_an_answer(given: bytes) -> None:
    for command in ("decode", "explain", "verify", "encode"):
        result = run(command, given=given)
        assert result.exit_code in (0, 1, 2)
        assert "Traceback" not in result.output


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from([name for schema in SCHEMAS.values() for name in (*schema.documents, *schema.fragments)]), JSON)
@settings(max_examples=60, deadline=None, database=None)
def test_any_json_has_an_answer(name: str, content: Any) -> None:
    assert run("encode", given=json.dumps({name: content})).exit_code in (0, 2)


# explain, grammar


@every_vector
def test_every_bit_of_a_vector_is_explained_once(vector: Vector) -> None:
    document = told("explain", given=vector.exi)
    assert "".join(event["bits"] for event in document["events"]) == "".join(f"{octet:08b}" for octet in vector.exi)
    assert [event["bit"] for event in document["events"][:2]] == [0, 8]
    assert all(len(event["bits"]) == event["width"] for event in document["events"])
    for event in document["events"]:
        assert event["code"] in (None, int(event["bits"], 2))
    assert (document["schema"], document["kind"], document["fault"]) == (vector.schema.name, vector.kind, None)


def test_an_explanation_shows_the_codes_of_the_emaid_fragment() -> None:
    lines = run("explain", given=VECTORS["iso2_frag_eMAID"].exi).stdout.splitlines()
    assert lines[0] == "ISO 15118-2, fragment, 26 octets"
    assert [line.split()[:5] for line in lines[3:6]] == [
        ["0", "8", "10000000", "header"],
        ["8", "8", "236", "11101100", "SE(eMAID)"],
        ["16", "9", "4", "000000100", "AT(Id)"],
    ]
    assert lines[-2].split() == ["194", "8", "244", "11110100", "ED"]


def test_an_explanation_goes_as_far_as_the_fault() -> None:
    result = run("explain", given=RES.exi[:300])
    assert result.exit_code == 2
    assert "SE(SignedInfo)" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("bit ")
    document = told("explain", given=RES.exi[:300])
    assert document["fault"]["path"].startswith("V2G_Message/Header/Signature")
    assert document["fault"]["bit"] <= 2400


def test_grammars_are_printed_with_their_widths_and_codes() -> None:
    lines = [line.split() for line in run("grammar", "CertificateChainType").stdout.splitlines()]
    assert lines[0][-2:] == ["2", "bits"]
    assert lines[1:3] == [["00", "0", "AT(Id)"], ["01", "1", "SE(Certificate)"]]
    lines = [line.split() for line in run("grammar", "fragment", "--schema", "xmldsig").stdout.splitlines()]
    assert ["100000", "32", "SE(SignedInfo)"] in lines


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_type_that_is_listed_has_a_grammar(schema: str) -> None:
    names = run("grammar", "--schema", schema).stdout.split()
    assert names[:2] == ["document", "fragment"]
    for name in names:
        assert " bit" in run("grammar", name, "--schema", schema).stdout, name
    assert run("grammar", "Nothing").exit_code == 2


# verify


@pytest.mark.parametrize("vector", SIGNED, ids=lambda vector: vector.name)
def test_a_message_is_verified_with_the_certificate_that_it_carries(vector: Vector) -> None:
    result = run("verify", given=vector.exi)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("OK  signed by ")
    assert "✗" not in result.stdout


def test_the_chain_is_judged_where_roots_are_given(tmp_path: Path) -> None:
    roots, others = tmp_path / "roots.pem", tmp_path / "others.pem"
    roots.write_bytes(pem("v2groot"))
    others.write_bytes(pem("moroot"))
    good = run("verify", "--roots", roots, "--at", "2026-06-01", given=RES.exi)
    assert (good.exit_code, good.stdout.splitlines()[-1]) == (0, "  ✓ chain: it is good")
    late = told("verify", "--roots", roots, "--at", "2046-06-01", given=RES.exi)
    assert (late["holds"], late["chain"]["verdict"]) == (True, "EXPIRED")
    stranger = run("verify", "--roots", others, "--at", "2026-06-01", given=RES.exi)
    assert stranger.exit_code == 1
    assert "✗ chain: UNKNOWN_ISSUER" in stranger.stdout


def test_a_certificate_may_be_given(tmp_path: Path) -> None:
    own, other = tmp_path / "own.pem", tmp_path / "other.pem"
    own.write_bytes(pem("cps", "cps2", "cps1"))
    other.write_bytes(pem("oem"))
    assert run("verify", "--certificate", own, given=RES.exi).exit_code == 0
    refused = run("verify", "--certificate", other, given=RES.exi)
    assert refused.exit_code == 1
    assert refused.stdout.startswith("REFUSED  SignatureValue: it does not hold: another key has signed")


def test_a_refusal_names_the_reference() -> None:
    (mark,) = [mark for mark in RES.decoded.marks if mark.element == "DHpublickey"]
    changed = bytearray(RES.exi)
    changed[mark.stop // 8 - 4] ^= 1
    result = run("verify", given=bytes(changed))
    assert result.exit_code == 1
    assert result.stdout.startswith("REFUSED  Reference 3 (#id3 DHpublickey): DigestValue is not that of the element")
    document = told("verify", given=bytes(changed))
    assert document["holds"] is False
    assert [check["fault"] for check in document["checks"]] == [None, None, None, "digest", None]


def test_emaid_as_libcbv2g_digests_it_is_an_option() -> None:
    octets = encode(of_libcbv2g(RES), ISO_2)
    assert run("verify", given=octets).exit_code == 1
    assert run("verify", "--libcbv2g", given=octets).exit_code == 0


def test_what_cannot_be_verified_is_told() -> None:
    unsigned = received(with_signature(RES.decoded.value, None), ISO_2)
    result = run("verify", given=unsigned.octets)
    assert result.exit_code == 1
    assert result.stdout.startswith("REFUSED  Signature: the message is not signed")
    result = run("verify", given=VECTORS["iso2_payment_details_res_rc00"].exi)
    assert result.exit_code == 2
    assert "give it with --certificate FILE" in result.stderr
    failed = VECTORS["iso2_cert_install_res_failed_min_ch0"].exi
    result = run("verify", given=failed)
    assert result.exit_code == 2
    assert "the certificate that it carries cannot be read" in result.stderr
