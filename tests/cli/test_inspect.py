"""``voltroot inspect``: each kind of file, each encoding, and what is wrong with it."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from inspecting import SECRET, Samples, found, inspect, items
from vectors.make_bad_certificates import FOLDER
from voltroot.pki import suites
from voltroot.pki.certificates import pem
from voltroot.pki.suites import P256_SHA256

REAL = sorted((Path(__file__).parents[1] / "vectors" / "real_v2g").glob("*.der"))
INDEX: list[dict[str, Any]] = json.loads((FOLDER / "index.json").read_text())


# Certificates


def test_a_certificate_is_told_in_the_words_of_the_field(samples: Samples) -> None:
    result = inspect(given=samples.leaf.pem)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[:3] == [
        "standard input  (PEM)",
        "SECC certificate, ISO 15118-2 (SECC_2)",
        "  subject     CN=DE*ICE*E45B*78C,DC=CPO,OU=autocrypt,O=verisco GmbH,C=DE",
    ]
    serial = samples.leaf.serial
    assert f"  serial      {serial} (hex {serial:x})" in lines
    assert "89 days left" in result.stdout
    assert f"  size        {len(samples.leaf.der)} octets of 800" in lines
    assert "  usage       digitalSignature, keyAgreement" in lines
    assert "  OCSP        http://127.0.0.1:15118/ocsp" in lines
    assert "  identifier  EVSEID DEICEE45B78C, well-formed" in lines
    assert lines[-2].startswith("  ✓ all ")


@pytest.mark.parametrize(
    ("name", "encoded"),
    {
        "PEM": lambda octets: pem("CERTIFICATE", octets).encode(),
        "PEM with CRLF": lambda octets: pem("CERTIFICATE", octets).replace("\n", "\r\n").encode(),
        "PEM in UTF-16": lambda octets: pem("CERTIFICATE", octets).encode("utf-16"),
        "PEM after prose": lambda octets: b"Bag Attributes\n  friendlyName: x\n" + pem("CERTIFICATE", octets).encode(),
        "PEM in a JSON string": lambda octets: json.dumps(pem("CERTIFICATE", octets)).encode(),
        "PEM with escaped line ends": lambda octets: pem("CERTIFICATE", octets).replace("\n", "\\n").encode(),
        "PEM in base64": lambda octets: base64.b64encode(pem("CERTIFICATE", octets).encode()),
        "DER": lambda octets: octets,
        "base64": base64.b64encode,
        "base64 in lines": lambda octets: base64.encodebytes(octets),
        "base64 in quotes": lambda octets: b'  "' + base64.b64encode(octets) + b'",\n',
        "base64url": base64.urlsafe_b64encode,
        "base64url without padding": lambda octets: base64.urlsafe_b64encode(octets).rstrip(b"="),
    }.items(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_certificate_is_read_in_every_encoding(samples: Samples, name: str, encoded: Any) -> None:
    (item,) = items(given=encoded(samples.leaf.der))
    assert item["profile"] == "SECC_2", name
    assert item["fingerprint"] == samples.leaf.fingerprint.hex()


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_a_real_certificate_can_be_read(path: Path) -> None:
    result = inspect(path)
    assert result.exit_code in (0, 1)
    assert "ISO 15118-2 (" in result.stdout


@pytest.mark.parametrize("row", INDEX, ids=lambda row: str(row["file"]))
def test_a_bad_certificate_is_told_so_with_the_clause(row: dict[str, Any]) -> None:
    options = ["--at", row.get("at", "2027-01-01"), "--profile", row["profile"]]
    options += ["--edition-2022"] if row.get("edition_2022") else []
    others = [FOLDER / row["issuer"]] if row["issuer"] else [FOLDER / root for root in row.get("roots", ())]
    result = inspect(*options, FOLDER / row["file"], *others)
    if "lint" in row:
        assert row["lint"] in result.stdout
        assert f"({row['clause']})" in result.stdout
        assert result.exit_code == (0 if " warning " + row["lint"] in result.stdout else 1)
    else:  # whom to trust and what is revoked, no file can tell
        assert result.exit_code == (1 if row["verdict"] not in ("UNKNOWN_ISSUER", "REVOKED") else result.exit_code)


def test_a_dubious_issuer_is_told() -> None:
    assert "issuer_role" in found("--at", "2030-01-01", FOLDER / "secc_signed_by_mo.pem")


def test_the_edition_of_2022_wants_other_criticalities() -> None:
    bad = FOLDER / "critical_aki.pem"
    assert "critical" in inspect(bad).stdout
    assert "authorityKeyIdentifier is critical" in inspect(bad).stdout
    assert "authorityKeyIdentifier is critical" not in inspect("--edition-2022", bad).stdout


def test_validity_is_judged_at_the_given_time(samples: Samples) -> None:
    later = samples.world.clock() + timedelta(days=100)
    assert found("--at", later.isoformat(), given=samples.leaf.pem) == {"expired"}
    assert found("--at", "2020-02-01", given=samples.leaf.pem) == {"not_yet_valid"}
    assert "expired 10 days ago" in inspect("--at", later.isoformat(), given=samples.leaf.pem).stdout


# Chains


def test_a_chain_is_told_link_by_link(samples: Samples) -> None:
    text = "".join(each.pem for each in samples.chain)
    chain, *own = items(given=text)
    assert (chain["kind"], chain["order"], chain["signedBy"], chain["verdict"]) == (
        "chain",
        [0, 1, 2, 3],
        [1, 2, 3, 3],
        "OK",
    )
    assert [item["profile"] for item in own] == ["SECC_2", "CPO_SUB2_2", "CPO_SUB1_2", "V2G_ROOT_2"]
    assert "2        CPO_SUB2_2   CPO sub-CA 2 ISO15118-2, signed by 3" in inspect(given=text).stdout


def test_a_chain_in_the_wrong_order_is_an_error_that_tells_the_right_one(samples: Samples) -> None:
    leaf, second, first, root = (each.pem for each in samples.chain)
    result = inspect(given=leaf + first + second + root)
    assert result.exit_code == 1
    assert "it is not leaf first: the order is 1, 3, 2, 4" in result.stdout


def test_a_bundle_of_roots_is_no_chain(samples: Samples) -> None:
    roots = samples.world.issuers.standing().roots
    bundle, *own = items(given="".join(root.pem for root in roots))
    assert (bundle["kind"], bundle["order"], bundle["findings"]) == ("bundle", None, [])
    assert len(own) == len(roots)


def test_a_chain_with_four_sub_cas_is_too_long() -> None:
    assert {"chain_length", "chain"} <= found("--at", "2030-01-01", FOLDER / "four_sub_cas.pem")


def test_a_chain_by_names_alone_does_not_hold() -> None:
    result = inspect("--at", "2030-01-01", FOLDER / "signature_of_another_key.pem")
    assert "names 2 as its issuer, but is not signed by it" in result.stdout
    assert "✗ error chain: " in result.stdout


def test_certificates_of_other_files_are_issuers(samples: Samples, tmp_path: Path) -> None:
    leaf, issuer, stranger = (tmp_path / name for name in ("leaf.pem", "issuer.der", "stranger.pem"))
    leaf.write_text(samples.leaf.pem)
    issuer.write_bytes(samples.chain[1].der)
    stranger.write_text(samples.chain[3].pem)
    assert items(leaf, issuer)[0]["signedBy"] == samples.chain[1].subject.print()
    assert items(leaf, stranger)[0]["signedBy"] is None


def test_a_broken_signature_is_an_error(samples: Samples, tmp_path: Path) -> None:
    issuer = tmp_path / "issuer.pem"
    issuer.write_text(samples.chain[1].pem)
    octets = bytearray(samples.leaf.der)
    octets[-1] ^= 1
    broken = tmp_path / "broken.der"
    broken.write_bytes(octets)
    assert "signature" in found(broken, issuer)


# Requests, keys and what holds them


def test_a_request_is_told_with_its_proof(samples: Samples) -> None:
    result = inspect(given=samples.request)
    assert result.exit_code == 0
    assert "possession  proved" in result.stdout
    assert "extensionRequest keyUsage" in result.stdout
    assert SECRET.decode() not in result.stdout


def test_a_request_without_proof_is_an_error(samples: Samples) -> None:
    assert found(given=samples.request.replace(b"secc003", b"secc004")) == {"proof_of_possession"}


def test_the_label_of_the_vehicle_pki_is_read(samples: Samples) -> None:
    (item,) = items(given=pem("CERTIFICATE_REQUEST", samples.request))
    assert item["subject"] == "CN=secc003"


def test_a_key_is_told_by_its_public_half_and_never_shown(samples: Samples) -> None:
    secret = samples.key.private_numbers().private_value  # type: ignore[union-attr]
    for options in ([], ["--json"]):
        result = inspect(*options, given=samples.private_key)
        assert result.exit_code == 0
        assert "rivate key, P-256" in result.stdout
        assert samples.leaf.key_hash.hex() in result.stdout
        for written in (f"{secret:x}", str(secret), base64.b64encode(secret.to_bytes(32)).decode()[:40]):
            assert written not in result.output
    (item,) = items(given=samples.public_key)
    assert (item["kind"], item["keyHash"]) == ("publicKey", samples.leaf.key_hash.hex())


NEW, OLD = PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL
KEYS = [(suite, form) for suite in suites.SUITES for form in (NEW, OLD) if (suite, form) != ("Ed448", OLD)]


@pytest.mark.parametrize(("suite", "form"), KEYS, ids=str)
def test_a_private_key_of_every_suite_and_form_is_read(suite: str, form: PrivateFormat) -> None:
    key = suites.generate(suites.SUITES[suite])
    (item,) = items(given=key.private_bytes(Encoding.PEM, form, NoEncryption()))
    assert item["kind"] == "privateKey"
    assert item["findings"] == []


def test_an_encrypted_key_asks_for_its_password(samples: Samples) -> None:
    locked = samples.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hunter2"))
    assert "give its password with --password" in inspect(given=locked).stderr
    assert inspect(given=locked).exit_code == 2
    assert inspect("--password", "hunter2", given=locked).exit_code == 0
    old = samples.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"hunter2"))
    assert "openssl pkcs8 -topk8" in inspect(given=old).stderr


def test_a_key_beside_a_certificate_of_another_key_is_an_error(samples: Samples) -> None:
    good = pem("PRIVATE KEY", samples.private_key) + samples.leaf.pem
    assert items(given=good)[-1]["belongsTo"] == samples.leaf.subject.print()
    assert found(given=good) == set()
    other = suites.generate(P256_SHA256).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    assert found(given=other + samples.leaf.pem) == {"key_match"}


@pytest.mark.parametrize(("password", "options"), [("123123", ()), ("s3cret", ("--password", "s3cret"))])
def test_a_pfx_is_opened_and_its_chain_told(samples: Samples, password: str, options: tuple[str, ...]) -> None:
    result = inspect(*options, given=base64.b64encode(samples.pfx(password)))
    assert result.exit_code == 0
    assert "holds       4 certificates and a private key" in result.stdout
    assert "Chain of 4 certificates" in result.stdout
    assert "s3cret" not in result.output


def test_a_pfx_with_another_password_asks_for_it(samples: Samples) -> None:
    result = inspect(given=samples.pfx("s3cret"))
    assert result.exit_code == 2
    assert "give its password with --password" in result.stderr


def test_a_pkcs7_message_is_told_as_its_chain(samples: Samples) -> None:
    bag, chain, *own = items(given=pem("PKCS7", samples.pkcs7))
    assert (bag["kind"], bag["certificates"], chain["kind"], len(own)) == ("pkcs7", 4, "chain", 4)
