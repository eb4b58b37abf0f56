"""A write that dies at any of its system calls leaves the old state or the new one, and nothing lying about."""

from __future__ import annotations

import itertools
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
from store.certdir.writers import LINKING, WRITES, book
from voltroot.actors.station.ports import CaKind, LeafKind

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
    assert {path.name for path in charger.places.state.iterdir()} <= {"lock", "der", "applications.json"}
    found: State = Counter(("", application.id, b"") for application in book(charger).all())
    found |= Counter(("der", path.suffix, path.read_bytes()) for path in charger.places.state.glob("der/*"))
    for path, content in charger.files().items():
        place, suffix = Path(path).parent, Path(path).suffix
        assert suffix in (".pem", ".key", ".der", ".hash"), path
        found[str(place), suffix, b"" if suffix == ".key" else content] += 1
    return found


# What changes a file system; at any other call a kill leaves what it leaves at the next one of these.
CHANGING = {"openat", "mkdir", "write", "fchmod", "fsync", "rename", "symlink", "unlink"}
CALLS = pytest.mark.parametrize(
    "only", [pytest.param(CHANGING, id="changing"), pytest.param(set(), id="every", marks=pytest.mark.soak)]
)


def killed(writers: Writers, name: str, folder: Path, only: set[str]) -> Iterator[tuple[str, Path]]:
    """Yield what a write leaves that is killed at its first system call, its second, and so on; ``whole`` is done."""
    template, whole = folder / "template", folder / "whole"
    assert writers.tell("make", name, template) == "made"
    time.sleep(0.1)  # what has just been written is read again at every question
    shutil.copytree(template, whole)
    ended, calls = writers.traced(name, whole)
    assert ended == 0
    wanted = {call: times for call, times in calls.items() if not only or call in only}
    deaths = 0
    for call, times in wanted.items():
        for turn in range(1, times + 1):
            place = folder / f"{call}-{turn}"
            shutil.copytree(template, place)
            ended, _ = writers.traced(name, place, "-e", f"inject={call}:signal=KILL:when={turn}")
            deaths += ended == -signal.SIGKILL
            yield call, place
            shutil.rmtree(place)
    # How often a process asks for random octets differs.
    assert deaths >= 0.8 * sum(wanted.values())


@CALLS
@pytest.mark.parametrize("name", [name for name in WRITES if name != LINKING])
def test_a_kill_at_any_system_call_of_a_write_leaves_the_old_state_or_the_new(
    name: str, only: set[str], writers: Writers, tmp_path: Path
) -> None:
    left = killed(writers, name, tmp_path, only)
    first = next(left)
    old, new = state(name, tmp_path / "template"), state(name, tmp_path / "whole")
    assert old != new
    seen, calls = set(), set()
    for call, folder in itertools.chain([first], left):
        after = state(name, folder)
        assert after in (old, new), folder.name
        seen.add(after == new)
        calls.add(call)
    assert seen == {False, True}
    assert "fsync" in calls


@CALLS
def test_after_a_kill_while_links_are_written_the_next_question_puts_them_in_order(
    only: set[str], writers: Writers, tmp_path: Path
) -> None:
    for call, folder in killed(writers, LINKING, tmp_path, only):
        assert linked(folder) == linked(tmp_path / "whole"), call


def linked(folder: Path) -> dict[str, str]:
    """The links that OpenSSL finds after the next question; nothing lies about beside them."""
    place = Charger(folder, WRITES[LINKING].layout(folder)).station.verify_location(CaKind.V2G)
    assert place is not None
    assert not [*place.glob(".*")]
    links = {path.name: str(path.readlink()) for path in place.iterdir() if path.is_symlink()}
    assert len(links) == 3
    return links
