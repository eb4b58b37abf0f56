"""A mosquitto for tests: on a port of its own, to be killed and started again there."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from backend import free_port
from voltroot.serve.mqtt import Broker, Line

PROGRAM = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin") or "mosquitto"


@dataclass
class Mosquitto:
    """A broker that keeps nothing; ``settings`` are further lines of its configuration."""

    folder: Path
    settings: Sequence[str] = ("allow_anonymous true",)
    port: int = field(default_factory=lambda: free_port())
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.folder / "mosquitto.log"

    @property
    def address(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        lines = [f"listener {self.port} 127.0.0.1", "persistence false", "set_tcp_nodelay true", "user root"]
        path = self.folder / "mosquitto.conf"
        path.write_text("\n".join([*lines, "log_type all", *self.settings, ""]))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([PROGRAM, "-c", str(path)], stdout=log, stderr=log)
        deadline = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, "mosquitto does not start"
            time.sleep(0.01)

    def kill(self) -> None:
        """End it as a power cut does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    @contextmanager
    def line(self, *, mqtt5: bool = True) -> Iterator[Line]:
        """A connection that is not started yet."""
        made = Line(Broker("127.0.0.1", self.port, mqtt5=mqtt5))
        try:
            yield made
        finally:
            made.stop()


@contextmanager
def mosquitto(folder: Path, *settings: str) -> Iterator[Mosquitto]:
    made = Mosquitto(folder, settings or ("allow_anonymous true",))
    try:
        made.start()
        yield made
    finally:
        made.kill()


def started(line: Line, seconds: float = 5) -> Line:
    """Start a line and wait until the broker has confirmed everything."""
    line.start()
    assert line.ready.wait(seconds), "no connection"
    return line
