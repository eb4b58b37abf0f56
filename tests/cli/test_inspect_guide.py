"""The guide to inspecting: what it shows is what comes out."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from inspecting import Samples, inspect, items
from voltroot.pki.certificates import pem

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guides" / "inspect.md").read_text()
COMMON = {"kind", "title", "rules", "findings"}


def members() -> dict[str, set[str]]:
    """The table of members by kind."""
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| (`.+`) \|$", GUIDE, re.MULTILINE)
    return {kind: set(re.findall(r"`(\w+)`", names)) for kinds, names in rows for kind in re.findall(r"`(\w+)`", kinds)}


def test_the_example_comes_out_as_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (example,) = re.findall(r"^```text\n\$ voltroot inspect (.*?)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    result = inspect(*shlex.split(example[0]))
    assert result.stdout.rstrip() == example[1].rstrip()
    assert result.exit_code == 1


def test_the_members_of_the_json_document_are_those_of_the_guide(samples: Samples, tmp_path: Path) -> None:
    roots = "".join(root.pem for root in samples.world.issuers.standing().roots)
    files = [
        items(given=given)
        for given in (
            samples.pfx(),
            samples.request,
            samples.private_key,
            samples.public_key,
            samples.pkcs7,
            samples.crl,
            samples.ocsp_answer(),
            samples.ocsp_request,
            roots,
        )
    ]
    seen = {item["kind"]: set(item) - COMMON for found in files for item in found}
    assert seen == members()


def test_the_document_and_its_findings_have_the_members_of_the_guide(samples: Samples) -> None:
    document = json.loads(inspect("--json", given=samples.request.replace(b"secc003", b"secc004")).stdout)
    assert list(document) == ["at", "files"]
    assert list(document["files"][0]) == ["file", "encoding", "error", "items"]
    assert set(document["files"][0]["items"][0]) >= COMMON
    assert list(document["files"][0]["items"][0]["findings"][0]) == ["lint", "level", "clause", "text"]


def test_the_guide_names_every_option() -> None:
    shown = set(re.findall(r"^\| `(--[a-z0-9-]+)", GUIDE, re.MULTILINE))
    assert shown | {"--help"} == set(re.findall(r"--[a-z0-9-]+", inspect("--help").stdout)) - {"--in"}


def test_exit_codes_are_those_of_the_guide(samples: Samples, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.pem", tmp_path / "bad.csr"
    good.write_text(samples.leaf.pem)
    bad.write_text(pem("CERTIFICATE REQUEST", samples.request.replace(b"secc003", b"secc004")))
    nothing, folder = tmp_path / "nothing", tmp_path
    assert inspect(good).exit_code == 0
    assert inspect(good, bad).exit_code == 1
    assert inspect(good, bad, nothing).exit_code == 2
    assert inspect(nothing).stderr == f"voltroot inspect: {nothing}: No such file or directory\n"
    assert inspect(folder).stderr == f"voltroot inspect: {folder}: Is a directory\n"
    unread = json.loads(inspect("--json", nothing, good).stdout)["files"]
    assert (unread[0]["error"], unread[0]["items"], unread[1]["error"]) == ("No such file or directory", [], None)


def test_an_unknown_profile_or_time_is_refused_with_what_is_known(samples: Samples) -> None:
    result = inspect("--profile", "SECC", given=samples.leaf.pem)
    assert (result.exit_code, "SECC_20" in result.stderr) == (2, True)
    result = inspect("--at", "tomorrow", given=samples.leaf.pem)
    assert (result.exit_code, "2027-01-31T12:00:00Z" in result.stderr) == (2, True)
    assert inspect("--profile", "secc_2", given=samples.leaf.pem).exit_code == 0


def test_colour_is_for_terminals_only(samples: Samples) -> None:
    assert "\x1b[" not in inspect(given=samples.leaf.pem).stdout
    assert "\x1b[32m✓\x1b[0m" in inspect(given=samples.leaf.pem, color=True).stdout


def test_nothing_in_a_file_moves_the_cursor(samples: Samples) -> None:
    request = samples.request.replace(b"secc003", b"se\x1b[2Jx"[:7])
    assert "\x1b" not in inspect(given=request).stdout
    assert r"CN=se\x1b[2Jx" in inspect(given=request).stdout
