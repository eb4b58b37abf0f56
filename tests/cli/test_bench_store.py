"""``voltroot bench store``: that it measures and says so; how fast it is, is no matter of tests."""

from __future__ import annotations

import json
import subprocess

import pytest

from backend import VOLTROOT

pytestmark = pytest.mark.slow


def test_each_question_is_measured_cold_and_warm() -> None:
    command = [VOLTROOT, "bench", "store", "--quick", "--json", "--seconds", "0.05", "--rounds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    report = json.loads(done.stdout)
    assert len({figure["command"] for figure in report["figures"]}) == 10 + 2
    assert sum(figure.get("replies_per_s", 0) > 0 for figure in report["figures"]) == 2
    assert not any("not_measured" in figure for figure in report["figures"])
    assert {figure["state"] for figure in report["figures"]} == {"cold", "warm"}
    assert {aim["aim"] for aim in report["aims"]} == {"at most 5", "at most 0.1", "at most 50"}
    assert len(report["aims"]) == 4 + 8
    assert all(aim["measured"] > 0 for aim in report["aims"])
