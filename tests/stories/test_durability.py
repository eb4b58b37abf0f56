"""What is answered is on the disk: the system calls of a backend, seen from outside with strace."""

from __future__ import annotations

import base64
import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from backend import Backend
from voltroot.pki.certificates import Certificate

pytestmark = pytest.mark.slow

SECC = "/api/v2/cpo/seccCert"
SYNCS = ("fdatasync", "fsync")
TRACE = "trace=fdatasync,fsync,write,writev,pwrite64,pwritev,sendto,sendmsg"

_LINE = re.compile(r"(\d+) +(\w+)\(\d+<((?:\\x[0-9a-f]{2})*)>(.*)")
_RESUMED = re.compile(r"(\d+) +<\.\.\. \w+ resumed>(.*)")
_OCTETS = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass(frozen=True, slots=True)
class Step:
    """One system call on a file: what it wrote, and the lines of the trace where it began and ended."""

    call: str
    file: str
    octets: bytes
    began: int
    ended: int
    result: str


@dataclass(frozen=True, slots=True)
class Watched:
    """What a client saw of issuing and revoking one certificate, and the steps of the backend meanwhile."""

    issued: dict[str, Any]
    revoked: dict[str, Any]
    steps: list[Step]

    @property
    def certificate(self) -> Certificate:
        return Certificate.read(base64.b64decode(self.issued["provCert"]))

    def answer(self, text: str) -> Step:
        """The step that began to send the answer in which a text stands."""
        body = next(step for step in self.steps if "socket:" in step.file and text.encode() in step.octets)
        return next(
            step
            for step in reversed(self.steps)
            if step.began <= body.began and step.file == body.file and step.octets.startswith(b"HTTP/1.1 200")
        )

    def written(self, after: float = -math.inf, before: float = math.inf) -> list[Step]:
        """What went into the ledger's log between two lines of the trace."""
        return [step for step in self._on_log(after, before) if step.call not in SYNCS]

    def synced(self, after: float, before: float) -> list[Step]:
        """Where the ledger's log was brought to the disk between two lines of the trace."""
        return [step for step in self._on_log(after, before) if step.call in SYNCS and step.result == "0"]

    def last_write(self, step: Step) -> Step:
        """The last write of a transaction: until it is synced, nobody else writes to the log."""
        synced = next(each for each in self._on_log(step.ended, math.inf) if each.call in SYNCS)
        return self.written(before=synced.ended)[-1]

    def _on_log(self, after: float, before: float) -> list[Step]:
        return [
            step
            for step in self.steps
            if step.file.endswith("/ledger.db-wal") and after < step.began and step.ended < before
        ]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    trace = folder / "trace"
    backend = Backend(folder)
    try:
        # The ceremony writes much, and is not what this is about.
        backend.start().stop()
        backend.start("strace", "-D", "-f", "-y", "-xx", "-s", "65536", "-e", TRACE, "-e", "signal=none", "-o", trace)
        issued = backend.call("POST", SECC, {"seccId": "durable"}).data
        revoked = backend.call("DELETE", SECC, {"subjectDn": issued["subjectDn"]}).data
        assert backend.process is not None
        pid = backend.process.pid
        backend.stop()
        yield Watched(issued, revoked, list(steps(finished(trace, pid))))
    finally:
        backend.discard()


def finished(trace: Path, pid: int) -> list[str]:
    """The lines of a trace once strace has written the last one."""
    deadline = time.monotonic() + 30
    # strace pads short numbers of processes with spaces.
    while f"{pid:<5} +++ exited with 0 +++" not in (lines := trace.read_text().splitlines()):
        assert time.monotonic() < deadline, lines[-3:]
        time.sleep(0.05)
    return lines


def steps(lines: list[str]) -> Iterator[Step]:
    """Read a trace; a call that was interrupted by another thread's stands in two lines."""
    begun: dict[str, Step] = {}
    for place, line in enumerate(lines):
        if match := _LINE.match(line):
            thread, call, file, rest = match.groups()
            octets = b"".join(_decoded(text) for text in _OCTETS.findall(rest))
            step = Step(call, _decoded(file).decode(), octets, place, place, "")
            if rest.endswith("<unfinished ...>"):
                begun[thread] = step
            else:
                yield replace(step, result=rest.rpartition(" = ")[2])
        elif (match := _RESUMED.match(line)) and match[1] in begun:
            yield replace(begun.pop(match[1]), ended=place, result=match[2].rpartition(" = ")[2])


def _decoded(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def test_a_certificate_is_on_disk_before_its_answer_is_written(watched: Watched) -> None:
    answer = watched.answer(watched.issued["serial"])
    commit = watched.written(before=answer.began)
    signature = watched.certificate.der[-64:]
    recorded = next(step for step in commit if signature in step.octets)
    last = watched.last_write(recorded)
    assert recorded.began <= last.began
    assert watched.synced(last.ended, answer.began), "no sync between the last write of the COMMIT and the answer"


def test_a_certificate_is_written_down_on_disk_before_it_is_signed(watched: Watched) -> None:
    contents, signature = watched.certificate.tbs[-64:], watched.certificate.der[-64:]
    writes = watched.written()
    reserved = next(step for step in writes if contents in step.octets)
    recorded = next(step for step in writes if signature in step.octets)
    assert signature not in reserved.octets
    assert watched.synced(reserved.ended, recorded.began), "no sync between the reservation and the signed certificate"


def test_a_revocation_is_on_disk_before_its_answer_is_written(watched: Watched) -> None:
    assert watched.revoked["resultCode"] == "4000"
    issued, revoked = watched.answer(watched.issued["serial"]), watched.answer('"resultCode":"4000"')
    commit = watched.written(issued.ended, revoked.began)
    changed = next(step for step in commit if b"certificate.revoked" in step.octets)
    assert watched.synced(watched.last_write(changed).ended, revoked.began), (
        "no sync between the last write of the COMMIT and the answer"
    )
