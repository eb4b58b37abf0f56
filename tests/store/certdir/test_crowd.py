"""Many read and write one store at once: nobody sees half of a change, nobody waits for ever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from charging import Charger, key_pem, pem, root
from everest_cases import BRANCH
from store.certdir.crowd import READERS, WRITERS
from voltroot.actors.station.ports import CaKind, LeafKind

PROCESSES = 2
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=pytest.mark.soak)])
def test_eight_threads_in_each_of_two_processes_share_a_store(seconds: int, tmp_path: Path) -> None:
    charger = Charger(tmp_path / "certs")
    charger.trust(CaKind.V2G, pem(BRANCH.root))
    charger.own(*BRANCH.chain)
    given = [[_own(f"{p}-{t}") for t in range(READERS + WRITERS)] for p in range(PROCESSES)]
    (tmp_path / "given.json").write_text(json.dumps(given))
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    script = Path(__file__).with_name("crowd.py")
    crowd = [
        subprocess.Popen(
            [sys.executable, script, tmp_path, str(seconds), str(number)], env=environment, stdout=subprocess.PIPE
        )
        for number in range(PROCESSES)
    ]
    reports = [json.loads(process.communicate(timeout=seconds + 60)[0]) for process in crowd]
    for report in reports:
        assert report["wrong"] == []
        assert report["stuck"] == 0
        assert all(report["done"][work] > 0 for work in ("chosen", "whole", "roots", "a_root", "a_leaf", "a_key"))
    begun, until = zip(*(report["span"] for report in reports), strict=True)
    assert max(begun) < min(until), "each had the store for itself"
    left = Charger(tmp_path / "certs")
    assert left.store.authorities(CaKind.V2G).certificates == (BRANCH.root.certificate,)
    assert left.certificates() == [BRANCH.leaf.certificate]
    assert len(left.store.leaves(LeafKind.V2G).keys) == 1
    print({work: sum(report["done"].get(work, 0) for report in reports) for work in reports[0]["done"]})


def _own(label: str) -> dict[str, str]:
    own = BRANCH.another(f"Leaf{label}")
    chain = pem(own, BRANCH.sub2, BRANCH.sub1)
    return {"root": pem(root(f"Root{label}")), "chain": chain, "key": key_pem(own).decode()}
