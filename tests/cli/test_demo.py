"""``voltroot demo``: the whole story, told on one machine."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from backend import VOLTROOT, run
from voltroot.cli.demo_contract import Story
from voltroot.cli.telling import tell
from voltroot.pki.certificates import Certificate, read_pem
from voltroot.v2g.schemas import recognise

pytestmark = pytest.mark.slow

WIDEST = 100
# The program on a machine that has neither mosquitto nor SoftHSM2.
BARE = """
from pathlib import Path
from voltroot.cli import main, staging
staging.broker.find = lambda: None
staging.SOFTHSM = Path("/nowhere")
main()
"""


def test_the_story_goes_well_in_both_editions_and_every_message_is_kept(tmp_path: Path) -> None:
    told = json.loads(run(VOLTROOT, "demo", "--json", "--keep", tmp_path / "story"))
    assert told["good"] is True
    assert [(step["iso"], step["good"]) for step in told["steps"]] == [("2", True)] * 10 + [("20", True)] * 10
    assert all(step["milliseconds"] > 0 for step in told["steps"])
    for iso, renewal in (("2", "CertificateUpdateRes"), ("20", "CertificateInstallationRes")):
        folder = tmp_path / "story" / f"iso{iso}"
        messages = sorted((folder / "messages").glob("*.exi"))
        assert [path.stem[:2] for path in messages] == [f"{number:02}" for number in range(1, 9)]
        for path in messages:
            assert recognise(path.read_bytes()).schema.name == f"iso{iso}"
            assert json.loads(path.with_suffix(".json").read_text())
        assert any(path.stem.endswith(renewal) for path in messages)
        kept = [*(folder / "car" / "contracts").glob("*.pem"), folder / "car" / "provisioning.pem"]
        assert len(kept) == 3
        for path in kept:
            labels = [label for label, _ in read_pem(path.read_text())]
            assert labels == ["PRIVATE KEY", "CERTIFICATE", "CERTIFICATE", "CERTIFICATE"]
            assert path.stat().st_mode & 0o077 == 0
        leaf, issuer, *_ = [
            Certificate.read(octets) for label, octets in read_pem(kept[0].read_text()) if label == "CERTIFICATE"
        ]
        assert leaf.signed_by(issuer.public_key)


def test_at_a_station_the_story_goes_well_in_both_editions_with_keys_in_a_device(tmp_path: Path) -> None:
    told = json.loads(run(VOLTROOT, "demo", "--ocpp", "--json", "--keep", tmp_path / "story"))
    assert told["good"] is True
    assert [(step["iso"], step["good"]) for step in told["steps"]] == [("2", True)] * 10 + [("20", True)] * 10
    refused = [step["text"] for step in told["steps"] if "refuses" in step["title"]]
    assert len(refused) == 2
    assert all("Invalid, its certificate CertificateRevoked" in text for text in refused)
    leaves = json.loads(run(VOLTROOT, "station", "show", tmp_path / "story" / "station" / "certs", "--json"))["leaves"]
    assert [leaf["fitness"] for leaf in leaves["V2G"]["certificates"]] == ["usable", "usable"]
    assert all(leaf["keyring"] for leaf in leaves["V2G"]["certificates"])


def test_on_a_bare_machine_the_station_makes_its_key_by_itself_and_in_a_file() -> None:
    said = run(sys.executable, "-c", BARE, "demo", "--ocpp", "--iso", "2")
    assert max(map(len, said.splitlines())) <= WIDEST
    for word in (
        "keys in files",
        "InstallCertificate",
        "The station makes a key, sends SignCertificate",
        "Get15118EVCertificate",
    ):
        assert word in said
    assert "9 steps" in said
    assert "everything went as it should" in said


def test_the_narration_fits_a_terminal_and_names_what_happens(tmp_path: Path) -> None:
    said = run(VOLTROOT, "demo", "--iso", "2")
    assert max(map(len, said.splitlines())) <= WIDEST
    for word in ("certInstRes", "CertificateInstallationReq", "CPS chain", "CertificateUpdateReq", "4000", "refused"):
        assert word in said
    assert "10 steps" in said
    assert "everything went as it should" in said


def test_a_folder_that_is_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    assert "is not empty" in run(VOLTROOT, "demo", "--keep", tmp_path, ok=[1])
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_the_story_stops_at_what_goes_wrong_and_says_it(tmp_path: Path) -> None:
    said: list[str] = []
    (done,) = tell("2", Story("2", "http://127.0.0.1:1", tmp_path).steps(), said.append)
    assert not done.good
    assert "does not answer" in done.text
    assert any("✗" in line for line in said)
