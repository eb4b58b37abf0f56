"""``voltroot verify``: what a person is shown, what a script is told, and the exit codes."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from inspecting import Samples
from pathing import NOW, Trio, answer_octets, crl_octets, revoked, single, trio
from vectors.make_bad_certificates import FOLDER
from voltroot.app.backend import Backend
from voltroot.app.config import Config
from voltroot.cli.verify import verify
from voltroot.pki.certificates import Certificate, pem
from world import World

AT = ("--at", NOW.isoformat())


def run(*arguments: str | Path, given: bytes | None = None) -> Result:
    result = CliRunner().invoke(verify, [*map(str, arguments)], input=given)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def told(*arguments: str | Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(run("--json", *arguments).stdout)
    return document


@pytest.fixture(scope="module")
def made() -> Trio:
    return trio()


class Files:
    """What is given, in files."""

    def __init__(self, folder: Path, made: Trio) -> None:
        self.folder = folder
        self.leaf = self.certificates("leaf.pem", made.leaf.certificate)
        self.ca = self.certificates("ca.pem", made.ca.certificate)
        self.root = self.certificates("root.pem", made.root.certificate)

    def certificates(self, name: str, *certificates: Certificate) -> Path:
        return self.octets(name, "".join(each.pem for each in certificates).encode())

    def octets(self, name: str, octets: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(octets)
        return path


@pytest.fixture
def files(tmp_path: Path, made: Trio) -> Files:
    return Files(tmp_path, made)


def test_a_good_chain_is_drawn_from_its_root_down_with_every_check(files: Files) -> None:
    result = run(files.leaf, files.ca, "--roots", files.root, *AT)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "OK  the chain is good on 2026-06-01 00:00:00 UTC"
    heads = [line for line in lines if "until" in line]
    assert heads[0].startswith("root  ")
    assert heads[0].endswith(", trusted")
    assert heads[1].startswith("└─ ca  ")
    assert heads[2].startswith("   └─ leaf  ")
    assert "      ✓ signature        its issuer has signed it (RFC 5280 6.1.3 (a)(1))" in lines
    assert any("– revoked" in line and "there is no evidence" in line for line in lines)
    assert "✗" not in result.stdout


def test_a_refusal_tells_the_certificate_the_rule_and_the_clause(files: Files, made: Trio) -> None:
    result = run(files.leaf, files.ca, "--roots", files.root, "--at", "2027-01-01")
    assert result.exit_code == 1
    assert result.stdout.startswith("EXPIRED  CN=root: it expired on ")
    assert result.stdout.count("✗ expired") == 3
    brief = run(files.leaf, files.ca, "--roots", files.root, "--at", "2027-01-01", "--brief")
    assert "✓" not in brief.stdout
    assert len(brief.stdout.splitlines()) == 1 + 2 * 3


def test_the_document_tells_the_same_to_scripts(files: Files, made: Trio) -> None:
    document = told(files.leaf, files.ca, "--roots", files.root, "--at", "2027-01-01")
    assert list(document) == [
        "verdict", "text", "at", "purpose", "codes", "deciding", "findings", "policies", "signatures", "chain",
    ]  # fmt: skip
    assert (document["verdict"], document["at"], document["signatures"]) == ("EXPIRED", "2027-01-01T00:00:00Z", 2)
    assert document["deciding"] == document["findings"][0]
    assert (document["deciding"]["place"], document["deciding"]["clause"]) == (2, "RFC 5280 6.1.3 (a)(2)")
    assert document["codes"] == {
        "Secondary Actor API": "FAILED_CertificateExpired",
        "ISO 15118-2": "FAILED_CertificateExpired",
        "ISO 15118-20": "WARNING_CertificateExpired",
        "OCPP": "CertificateExpired",
    }
    assert [each["subject"] for each in document["chain"]] == ["CN=leaf", "CN=ca", "CN=root"]
    assert [each["trusted"] for each in document["chain"]] == [False, False, True]
    checks = {check["rule"]: check["holds"] for check in document["chain"][0]["checks"]}
    assert (checks["signature"], checks["expired"], checks["revoked"]) == (True, False, None)
    good = told(files.leaf, files.ca, "--roots", files.root, *AT)
    assert (good["verdict"], good["text"], good["deciding"], good["findings"]) == ("OK", "", None, [])


@pytest.mark.parametrize("write", [
    lambda chain: "".join(each.pem for each in chain).encode(),
    lambda chain: b"".join(each.der for each in chain),
    lambda chain: base64.b64encode(chain[0].der) if len(chain) == 1 else b"".join(each.der for each in chain),
])  # fmt: skip
def test_pem_der_and_bundles_are_the_same(files: Files, made: Trio, write: Any) -> None:
    bundle = files.octets("bundle", write(made.path))
    roots = files.octets("roots", write(made.roots))
    assert run(bundle, "--roots", roots, *AT).exit_code == 0
    assert run("-", "--roots", roots, *AT, given=bundle.read_bytes()).exit_code == 0


def test_a_chain_in_another_order_is_refused_and_found_in_a_pool(files: Files) -> None:
    reordered = run(files.ca, files.leaf, "--roots", files.root, *AT)
    assert reordered.exit_code == 1
    assert reordered.stdout.splitlines()[1].startswith("→ Give the leaf first")
    assert run(files.leaf, "--roots", files.root, *AT).exit_code == 1
    result = run(files.leaf, "--pool", files.ca, "--roots", files.root, *AT)
    assert result.exit_code == 0
    assert "└─ ca" in result.stdout


def test_a_root_in_the_chain_is_not_trusted(files: Files) -> None:
    stranger = files.certificates("stranger.pem", trio(root={"key": "stranger"}).root.certificate)
    result = run(files.leaf, files.ca, files.root, "--roots", stranger, *AT)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0].startswith("UNKNOWN_ISSUER  CN=root: no trusted root has issued it; one of that name is trusted")
    assert sum("✗" in line for line in lines) == 1
    assert sum("✓ signature" in line for line in lines) == 2, "what is below is judged all the same"
    assert "--roots" in lines[1]
    assert not lines[3].endswith("trusted")


def test_of_what_is_not_looked_at_no_check_is_said_to_hold(files: Files) -> None:
    huge = trio(leaf={"extensions": {"1.3.6.1.4.1.99999.9": (False, bytes(1 << 16))}}).leaf.certificate
    result = run(files.certificates("huge.pem", huge), files.ca, "--roots", files.root, *AT)
    assert result.exit_code == 1
    assert "more than 65536 are not looked at" in result.stdout
    assert "✓" not in result.stdout


def test_crls_and_ocsp_answers_are_heard(files: Files, made: Trio) -> None:
    serial = made.leaf.certificate.serial
    good, bad = crl_octets(made.ca), pem("X509 CRL", crl_octets(made.ca, revoked(serial, 1)))
    above = files.octets("root.crl", crl_octets(made.root))
    yes = files.octets("yes.der", answer_octets(made.ca, single(made.leaf, made.ca)))
    no = files.octets("no.der", answer_octets(made.ca, single(made.leaf, made.ca, "revoked")))
    first, second = files.octets("good.crl", good), files.octets("bad.crl", bad.encode())
    chain = (files.leaf, files.ca, "--roots", files.root, *AT)
    assert run(*chain, "--crl", first, "--crl", above, "--status", "all").exit_code == 0
    assert run(*chain, "--crl", first, "--status", "all").exit_code == 1
    assert run(*chain, "--crl", above).exit_code == 1
    assert run(*chain, "--crl", above, "--status", "none").exit_code == 0
    assert run(*chain, "--ocsp", yes).exit_code == 0
    for arguments in (("--crl", second), ("--ocsp", no), ("--ocsp", yes, "--crl", second)):
        result = run(*chain, *arguments)
        assert result.exit_code == 1
        assert result.stdout.startswith("REVOKED  CN=leaf: ")


def test_a_purpose_adds_the_rules_of_iso_15118() -> None:
    chain = (FOLDER / "wrong_dc.pem", FOLDER / "issuers" / "cpo-sub2-2.pem", FOLDER / "issuers" / "cpo-sub1-2.pem",
             "--roots", FOLDER / "issuers" / "v2g-root-2.pem", "--at", "2030-01-01")  # fmt: skip
    assert run(*chain).exit_code == 0
    document = told(*chain, "--purpose", "secc")
    assert document["verdict"] == "CHAIN_ERROR"
    assert (document["deciding"]["rule"], document["deciding"]["clause"]) == ("role", "V2G2-925, V2G20-3406")
    assert document["codes"]["ISO 15118-2"] == "FAILED_CertificateNotAllowedAtThisEVSE"
    strict = told(*chain, "--purpose", "secc", "--strict")
    assert "subject_dc" in {each["rule"] for each in strict["findings"]}


def test_what_stock_validators_refuse_is_remarked(tmp_path: Path) -> None:
    world = World.made(tmp_path / "world", edition_2022=True)
    path = world.chain(world.issue("VEHICLE_20", "WVWV123456789ABCDEF7"))
    chain, roots = tmp_path / "chain.pem", tmp_path / "root.pem"
    chain.write_text("".join(each.pem for each in path[:-1]))
    roots.write_text(path[-1].pem)
    result = run(chain, "--roots", roots, "--purpose", "vehicle", "--brief")
    assert result.exit_code == 0
    assert "! critical_2022" in result.stdout
    assert "validators refuse" in result.stdout


def test_without_roots_those_of_our_own_pki_are_trusted(tmp_path: Path, made: Trio, files: Files) -> None:
    backend = Backend(Config(data=str(tmp_path / "data")))
    backend.prepare()
    standing = backend.issuers.standing()
    chain = standing.chain(standing.by_slug["cpo-sub2-2"].number)
    backend.close()
    own = files.certificates("own.pem", *chain[:-1])
    assert run(own, "--data", tmp_path / "data").exit_code == 0
    assert run(files.leaf, files.ca, "--data", tmp_path / "data", *AT).exit_code == 1
    missing = run(own, "--data", tmp_path / "nowhere")
    assert missing.exit_code == 2
    assert "name them with --roots" in missing.stderr


UNREADABLE: dict[str, Sequence[str]] = {
    "a file that is not there": ("nowhere.pem", "--roots", "root.pem"),
    "a file of nothing": ("empty", "--roots", "root.pem"),
    "a file of no certificate": ("key.pem", "--roots", "root.pem"),
    "roots that are none": ("leaf.pem", "--roots", "text"),
    "a CRL that is none": ("leaf.pem", "--roots", "root.pem", "--crl", "root.pem"),
    "an answer that is none": ("leaf.pem", "--roots", "root.pem", "--ocsp", "crl"),
    "an answer that refuses": ("leaf.pem", "--roots", "root.pem", "--ocsp", "refusal"),
    "no chain": (),
    "an unknown purpose": ("leaf.pem", "--roots", "root.pem", "--purpose", "csms"),
    "no time": ("leaf.pem", "--roots", "root.pem", "--at", "yesterday"),
}


@pytest.mark.parametrize("arguments", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_ends_with_2(
    files: Files, made: Trio, arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    files.octets("empty", b"")
    files.octets("text", b"no certificate at all")
    files.octets("crl", crl_octets(made.ca))
    files.octets("refusal", b"\x30\x03\x0a\x01\x06")
    public = "-----BEGIN PUBLIC KEY-----\n" + base64.b64encode(made.ca.certificate.spki).decode()
    files.octets("key.pem", f"{public}\n-----END PUBLIC KEY-----\n".encode())
    monkeypatch.chdir(files.folder)
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr


def test_nothing_in_a_certificate_moves_the_cursor(files: Files) -> None:
    evil = trio(leaf={"issuer_name": "CN=\x1b[2J\x07evil"})
    leaf = files.certificates("evil.pem", evil.leaf.certificate)
    result = run(leaf, files.ca, "--roots", files.root, *AT)
    assert result.exit_code == 1
    assert "\x1b" not in result.stdout
    assert "\x07" not in result.stdout


def test_any_file_is_read_or_told_to_be_unreadable(samples: Samples, files: Files) -> None:
    for octets in (
        samples.request,
        samples.private_key,
        samples.pkcs7,
        samples.crl,
        samples.pfx(),
        samples.leaf.der[:-9],
    ):
        result = run(files.octets("given", octets), "--roots", files.root)
        assert result.exit_code in (1, 2)
