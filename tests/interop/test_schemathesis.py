"""Schemathesis holds the running Secondary Actor API against its own OpenAPI description."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend import VOLTROOT, Backend, free_port, run
from voltroot.apis.operators.calls import CALLS
from voltroot.apis.pnc.openapi import OPERATIONS
from world import World

SCHEMATHESIS = VOLTROOT.with_name("schemathesis")


def judged(backend: Backend, folder: Path, *options: str) -> None:
    """Run every check on every operation; none may fail, and every operation must have had its cases."""
    report = folder / "report.json"
    command = [SCHEMATHESIS, "run", f"{backend.url}/api/v2/openapi.json", "--checks", "all", "--no-color"]
    said = run(*command, "--report-json-path", report, *options, cwd=folder)
    told = json.loads(report.read_text())
    assert (told["complete"], told["failures"], told["errors"]) == (True, [], []), said
    assert told["operations"]["tested"] == len(OPERATIONS)
    for phase in ("coverage", "fuzzing", "stateful"):
        assert told["phases"][phase]["status"] == "success", (phase, said)
    assert told["test_cases"]["generated"] > 1000
    # Not refusals only: some of what it made up was good enough to be issued.
    assert '"event": "certificate.issued"' in backend.log.read_text()
    assert backend.faults() == []


@pytest.mark.slow
def test_schemathesis_finds_no_500_and_no_undocumented_answer(own_backend: Backend, tmp_path: Path) -> None:
    judged(own_backend, tmp_path, "--generation-deterministic")


@pytest.mark.slow
def test_schemathesis_finds_no_500_and_no_undocumented_answer_of_the_vpki(own_backend: Backend, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    url = f"http://127.0.0.1:{own_backend.vpki_port}/api/openapi.json"
    # No schema says which text is a request that its key has signed: what fits the schema may be refused.
    options = ["--checks", "all", "--exclude-checks", "positive_data_acceptance", "--phases", "coverage,fuzzing"]
    command = [SCHEMATHESIS, "run", url, *options, "--max-examples", "20", "--generation-deterministic", "--no-color"]
    said = run(*command, "--report-json-path", report, cwd=tmp_path)
    told = json.loads(report.read_text())
    assert (told["complete"], told["failures"], told["errors"]) == (True, [], []), said
    assert told["operations"]["tested"] == 15
    assert own_backend.faults() == []


@pytest.mark.soak
def test_schemathesis_finds_nothing_in_two_minutes_either(own_backend: Backend, tmp_path: Path) -> None:
    judged(own_backend, tmp_path, "--max-time", "110", "--generation-database", "none")


@pytest.mark.slow
@pytest.mark.parametrize("text", ["\x1f", "\x85", "\ufeff", "\u2003"], ids=ascii)
def test_what_is_white_space_in_python_or_in_json_schema_is_empty(backend: Backend, text: str) -> None:
    # Found by schemathesis: the pattern of the description said yes to what the server called empty.
    answer = backend.call("POST", "/api/v2/cpo/downloadSeccCert", {"serial": "1", "password": text})
    assert (answer.status, answer.envelope["message"]) == (405, "password: is empty")


@pytest.mark.slow
def test_schemathesis_finds_no_500_and_no_undocumented_answer_of_the_operators_api(tmp_path: Path) -> None:
    config = tmp_path / "voltroot.toml"
    config.write_text(f"[csms]\nprofile_1_port = {free_port()}\n")
    backend = Backend(tmp_path / "backend", ("--config", str(config)))
    World.made(backend.data)
    report = tmp_path / "report.json"
    # What fits the schema may name stations and jobs that are not there.
    options = ["--checks", "all", "--exclude-checks", "positive_data_acceptance", "--phases", "coverage"]
    url = f"http://127.0.0.1:{backend.operators_port}/openapi.json"
    command = [SCHEMATHESIS, "run", url, *options, "--generation-deterministic", "--no-color"]
    try:
        backend.start()
        said = run(*command, "--report-json-path", report, cwd=tmp_path)
        told = json.loads(report.read_text())
        assert (told["complete"], told["failures"], told["errors"]) == (True, [], []), said
        assert told["operations"]["tested"] == sum(map(len, CALLS.values()))
        backend.stop()
    finally:
        backend.discard()
