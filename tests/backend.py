"""``voltroot serve`` as its users start it: a process with a folder, two ports and a log of its own."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import logs

VOLTROOT = Path(sys.executable).with_name("voltroot")

# Below the ports that clients get: what they leave in TIME_WAIT is never in the way of a backend that comes back.
# Above are those that Voltroot chooses by itself for a demonstration or a benchmark.
PORTS = range(16_000, 26_000)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came over HTTP."""

    status: int
    body: bytes

    @property
    def envelope(self) -> dict[str, Any]:
        """The JSON object that every answer of the Secondary Actor API is."""
        envelope: dict[str, Any] = json.loads(self.body)
        return envelope

    @property
    def data(self) -> Any:
        """The data of an answer that must be a success."""
        assert (self.status, self.envelope["status"]) == (200, "success"), self.body[:300]
        return self.envelope["data"]

    @property
    def refusal(self) -> str:
        """The message of an answer that must be a refusal by the service."""
        assert (self.status, self.envelope["status"], self.envelope["data"]) == (200, "error", ""), self.body[:300]
        message: str = self.envelope["message"]
        return message


class Client:
    """One connection, kept between calls and opened again where it was lost; for one thread."""

    def __init__(self, port: int, timeout: float = 30) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def connect(self) -> None:
        """Open the connection before it is needed."""
        self._connection.connect()

    def call(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Answer:
        """Send octets, or anything else as JSON; OSError or HTTPException where no whole answer came."""
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        try:
            self._connection.request(method, path, content, {"Content-Type": content_type})
            response = self._connection.getresponse()
            return Answer(response.status, response.read())
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise


@dataclass
class Backend:
    """A backend in a folder; it may be stopped or killed and started again there.

    ``options`` are further words of its command line.
    """

    folder: Path
    options: tuple[str, ...] = ()
    port: int = field(default_factory=lambda: free_port())
    tls_port: int = field(default_factory=lambda: free_port())
    vpki_port: int = field(default_factory=lambda: free_port())
    operators_port: int = field(default_factory=lambda: free_port())
    csms_port: int = field(default_factory=lambda: free_port())  # for whoever configures one
    process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        """Ledger and keys."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """Standard error of all its lives."""
        return self.folder / "backend.log"

    @property
    def url(self) -> str:
        """The base address, as it stands in certificates."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, *under: str) -> Self:
        """Start it, ``under`` another program such as strace, and wait until it is ready."""
        self.spawn(*under)
        deadline = time.monotonic() + 60
        while not self.is_ready():
            assert self.process is not None
            assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.log.read_text()}"
            assert time.monotonic() < deadline, f"it is not ready:\n{self.log.read_text()}"
            time.sleep(0.02)
        return self

    def spawn(self, *under: str) -> None:
        """Start it and do not wait."""
        assert self.process is None, "it runs already"
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [*under, str(VOLTROOT), "serve", "--data", str(self.data), *self.options]
        command += ["--port", str(self.port), "--tls-port", str(self.tls_port), "--vpki-port", str(self.vpki_port)]
        command += ["--operators-port", str(self.operators_port)]
        with self.log.open("ab") as log, (self.folder / "backend.out").open("ab") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=log, start_new_session=True)

    def is_ready(self) -> bool:
        """Ask it whether it is."""
        try:
            return self.call("GET", "/ready").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def stop(self) -> None:
        """End it as an administrator does: it must go without a fault, and have had none before."""
        code = self._end(signal.SIGTERM)
        assert code == 0, f"it ended with {code}:\n{self.log.read_text()[-2000:]}"
        assert self.faults() == [], "\n".join(self.faults())

    def kill(self) -> None:
        """End it as a power cut does."""
        assert self._end(signal.SIGKILL) == -signal.SIGKILL

    def discard(self) -> None:
        """End it if it still runs, without judging it."""
        if self.process is not None:
            self._end(signal.SIGKILL)

    def faults(self) -> list[str]:
        """The lines of its log that are errors, have a trace, or are none of ours."""
        return logs.faults(self.log)

    def events(self, name: str = "") -> list[dict[str, Any]]:
        """The events in its log, or those of one name."""
        return logs.events(self.log, name)

    def call(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Answer:
        """Ask on a connection of its own."""
        with Client(self.port) as client:
            return client.call(method, path, body, content_type)

    def fetch(self, address: str) -> bytes:
        """Return what stands at a path or at an address that a certificate names; it must be there."""
        parts = urlsplit(address)
        assert parts.netloc in ("", f"127.0.0.1:{self.port}"), address
        answer = self.call("GET", parts.path)
        assert answer.status == 200, (address, answer)
        return answer.body

    def _end(self, number: signal.Signals) -> int:
        process, self.process = self.process, None
        assert process is not None, "it does not run"
        if number == signal.SIGKILL:
            self._kill_all(process)
        else:
            process.send_signal(number)
        try:
            return process.wait(30)
        except subprocess.TimeoutExpired:
            self._kill_all(process)
            process.wait()
            raise

    def _kill_all(self, process: subprocess.Popen[bytes]) -> None:
        # It may have ended by itself, and its children with it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def configured(folder: Path, url: str, base: str = "") -> tuple[str, ...]:
    """The options of a backend whose ledger is in PostgreSQL."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "voltroot.toml"
    path.write_text(f'[ledger]\nurl = "{url}"\n[serve]\nbase = "{base}"\n')
    return ("--config", str(path))


def _own_ports() -> Iterator[int]:
    """Yield every other port of this test process's share, for ever: some programs take the one after theirs too."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    width = len(PORTS) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    share = PORTS[number * width : (number + 1) * width : 2]
    begin = random.randrange(len(share))
    return itertools.cycle([*share[begin:], *share[:begin]])


_PORTS = _own_ports()


def free_port() -> int:
    """Return a port that nobody listens on, and that nobody else is given soon, here or in another test process."""
    for port in _PORTS:
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise AssertionError("ports never end")


def run(*command: str | Path, cwd: Path | None = None, ok: Sequence[int] = (0,)) -> str:
    """Run a program and return all that it says; its exit code must be one of ``ok``."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
        check=False,
    )
    said = done.stdout.decode(errors="replace")
    assert done.returncode in ok, f"{' '.join(map(str, command))}\nended with {done.returncode}:\n{said}"
    return said
