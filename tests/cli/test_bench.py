"""``voltroot bench``: that it measures everything and says so; how fast it is, is no matter of tests."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from backend import VOLTROOT
from voltroot.bench import cfssl
from voltroot.bench.report import Aim, Case
from voltroot.errors import Unavailable
from voltroot.pki.suites import P256_SHA256

pytestmark = pytest.mark.slow

LITTLE = ("--quick", "--json", "--seconds", "0.1", "--rounds", "1")
SMALL = ("--rows", "300")


def measured(what: str, *options: str) -> dict[str, Any]:
    """The report of one command, cut as short as it goes."""
    command = [VOLTROOT, "bench", what, *LITTLE, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert set(report) == {"title", "machine", "figures", "aims", "notes"}
    assert report["machine"]["processors"] >= 1
    for figure in report["figures"]:
        assert figure["runs"] == 1, figure
        assert "bad" not in figure, figure
    for aim in report["aims"]:
        assert set(aim) == {"name", "measured", "aim", "met"}
        assert aim["met"] in (True, False, None)
        assert (aim["met"] is None) == (aim["measured"] is None)
    return report


def places(report: dict[str, Any], *labels: str) -> set[tuple[Any, ...]]:
    """What was measured, by some labels."""
    return {tuple(figure[label] for label in labels) for figure in report["figures"]}


def test_issuing_is_measured_beside_cfssl_and_the_floor() -> None:
    report = measured("issue", *SMALL)
    assert {system for (system,) in places(report, "system")} == {
        "load generator alone",
        "floor: check and sign",
        "cfssl, keeping nothing",
        "cfssl, SQLite",
        "voltroot",
    }
    own = {figure["database"] for figure in report["figures"] if figure["system"] == "voltroot"}
    assert own == {"SQLite", "PostgreSQL"}
    assert len(report["aims"]) == 8
    assert {aim["measured"] is None for aim in report["aims"][:4]} == {False}


def test_without_cfssl_the_report_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Unavailable, match="apt-get install golang-cfssl"):
        cfssl.serve(tmp_path, P256_SHA256, keeping=False)
    case = Case({"system": "cfssl"}, failed="it is not installed")
    assert case.document() == {"system": "cfssl", "runs": 0, "not_measured": "it is not installed"}
    assert Aim("times cfssl", None, 5).document()["met"] is None


def test_the_vpki_is_measured_through_tls_beside_the_plain_api() -> None:
    report = measured("vpki")
    assert {curve for (curve,) in places(report, "curve")} == {"P-256", "P-521"}
    assert len(places(report, "system", "curve")) == 6
    assert all(figure["rate"] > 0 for figure in report["figures"])
    assert len(report["aims"]) == 2


def test_contracts_are_measured_beside_their_cryptography() -> None:
    report = measured("contract")
    calls = {"mo/contract", "ccp/certificateInstallation"}
    wanted = {(system, call, suite) for system in ("voltroot", "floor: its cryptography") for call in calls
              for suite in ("P-256", "P-521")}  # fmt: skip
    assert places(report, "system", "call", "suite") == wanted
    assert all(figure["rate"] > 0 for figure in report["figures"])
    assert len(report["aims"]) == 5


def test_ocsp_is_measured_from_the_cache_and_with_nonces() -> None:
    report = measured("ocsp")
    answers = {"GET, cached", "POST, cached", "POST, nonce", "floor: one signature"}
    assert {answer for (answer,) in places(report, "answers")} == answers
    assert all(figure["rate"] > 0 for figure in report["figures"])


def test_revoking_is_measured_at_two_sizes() -> None:
    report = measured("revoke", *SMALL)
    sizes = {(database, rows) for database in ("SQLite", "PostgreSQL") for rows in (1000, 300)}
    assert places(report, "database", "rows") == sizes
    assert all(figure["p50_ms"] <= figure["p95_ms"] for figure in report["figures"])
    assert len(report["aims"]) == 2


def test_starting_is_measured_until_ready() -> None:
    report = measured("start", *SMALL)
    assert places(report, "rows", "processes") == {(0, 1), (0, 2), (300, 1), (300, 2)}
    assert all(figure["ready_s"] > 0 for figure in report["figures"])


def test_charging_stations_are_held_speak_and_come_back_after_a_storm() -> None:
    report = measured("ocpp", "--stations", "20")
    systems = {"voltroot", "floor: websockets echo"}
    profiles = {"1: password, no TLS", "3: TLS with certificates"}
    held = [figure for figure in report["figures"] if figure["system"] in systems]
    assert places({"figures": held}, "system", "profile") == {(one, two) for one in systems for two in profiles}
    for figure in held:
        assert figure["stations"] == 20
        assert figure["lost"] == 0
        assert min(figure[name] for name in ("messages_per_s", "storm_s", "opened_per_s")) > 0
    assert len(report["aims"]) == 4
