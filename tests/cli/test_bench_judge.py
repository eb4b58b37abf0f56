"""``voltroot bench judge``: that it measures and says so; how fast it is, is no matter of tests."""

from __future__ import annotations

import json
import subprocess

import pytest

from backend import VOLTROOT

pytestmark = pytest.mark.slow


def test_judging_is_measured_beside_the_bare_signatures() -> None:
    command = [VOLTROOT, "bench", "judge", "--quick", "--json", "--seconds", "0.05", "--rounds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    report = json.loads(done.stdout)
    suites = {"P-256", "P-521", "Ed448"}
    assert {figure["suite"] for figure in report["figures"]} == suites
    assert {figure["system"] for figure in report["figures"]} == {
        "signatures alone", "judge: RFC 5280", "judge: RFC 5280 and ISO 15118",
    }  # fmt: skip
    assert [aim["aim"] for aim in report["aims"]] == ["at most 1.5"] * 3
    assert all(aim["measured"] > 0 for aim in report["aims"])
