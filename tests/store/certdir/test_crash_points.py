"""A write that dies at any of its system calls leaves the old state or the new one, and nothing lying about."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from charging import Charger
from store.certdir.writers import WRITES
from voltroot.actors.station.ports import LeafKind

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[2]
State = Counter[tuple[str, str, bytes]]


class Writers:
    """A process that forks one child for each write, so that none of them has to start Python."""

    def __init__(self) -> None:
        command = [sys.executable, Path(__file__).with_name("writers.py")]
        environment = os.environ | {"PYTHONPATH": str(TESTS)}
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def tell(self, *words: str | Path) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write("\t".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self.hear()

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def traced(self, name: str, folder: Path, *options: str) -> tuple[int, Counter[str]]:
        """Write under strace; how it ended, and which system calls it made."""
        child = self.tell("write", name, folder)
        trace = folder.with_suffix(".trace")
        command = ["strace", "-o", trace, "-p", child, *options]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as strace:
            assert strace.stderr is not None
            assert b"attached" in (said := strace.stderr.readline()), said
            os.kill(int(child), signal.SIGCONT)
            ended = int(self.hear())
        calls = re.findall(r"^(\w+)\(", trace.read_text(), re.MULTILINE)
        return ended, Counter(call for call in calls if call != "exit_group")


@pytest.fixture(scope="module")
def writers() -> Iterator[Writers]:
    made = Writers()
    yield made
    assert made.process.stdin is not None
    made.process.stdin.close()
    made.process.wait(10)
    assert made.process.stdout is not None
    made.process.stdout.close()


def state(name: str, folder: Path) -> State:
    """What a store holds once it was opened; keys are random, but each has to be whole."""
    charger = Charger(folder, WRITES[name].layout(folder))
    leaves = charger.store.leaves(LeafKind.V2G)
    assert (leaves.faults, leaves.key_faults) == ((), ())
    assert {path.name for path in charger.places.state.iterdir()} <= {"lock", "der"}
    found: State = Counter()
    for path, content in charger.files().items():
        place, suffix = Path(path).parent, Path(path).suffix
        assert suffix in (".pem", ".key", ".der", ".hash"), path
        found[str(place), suffix, b"" if suffix == ".key" else content] += 1
    return found


@pytest.mark.parametrize("name", WRITES)
def test_a_kill_at_any_system_call_of_a_write_leaves_the_old_state_or_the_new(
    name: str, writers: Writers, tmp_path: Path
) -> None:
    template, whole = tmp_path / "template", tmp_path / "whole"
    assert writers.tell("make", name, template) == "made"
    time.sleep(0.1)  # what has just been written is read again at every question
    shutil.copytree(template, whole)
    ended, calls = writers.traced(name, whole)
    assert ended == 0
    assert calls["fsync"] > 1
    old, new = state(name, template), state(name, whole)
    assert old != new
    seen = []
    for call, times in calls.items():
        for turn in range(1, times + 1):
            folder = tmp_path / f"{call}-{turn}"
            shutil.copytree(template, folder)
            ended, _ = writers.traced(name, folder, "-e", f"inject={call}:signal=KILL:when={turn}")
            after = state(name, folder)
            assert after in (old, new), (call, turn)
            seen.append((ended, after == new))
            shutil.rmtree(folder)
    assert sum(ended == -signal.SIGKILL for ended, _ in seen) >= 0.9 * calls.total()
    assert {done for _, done in seen} == {False, True}
