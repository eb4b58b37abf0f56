"""``voltroot station run`` as its users start it: a process with a file, a folder and a log of its own."""

from __future__ import annotations

import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import logs
from backend import VOLTROOT


@dataclass
class Program:
    """A station in a folder; it may be stopped or killed and started again there.

    ``settings`` are further lines of its file, ``options`` further words of its command line.
    """

    folder: Path
    broker: str
    settings: str = ""
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def certs(self) -> Path:
        return self.folder / "certs"

    @property
    def config(self) -> Path:
        return self.folder / "station.toml"

    @property
    def log(self) -> Path:
        return self.folder / "station.log"

    def start(self) -> Self:
        """Start it and wait until the broker has it."""
        known = len(self.events("mqtt.connected"))
        self.spawn()
        deadline = time.monotonic() + 30
        while len(self.events("mqtt.connected")) == known:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)
        return self

    def spawn(self) -> None:
        """Start it and do not wait."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(f'certs = "{self.certs}"\nbroker.address = "{self.broker}"\n{self.settings}\n')
        command = [VOLTROOT, "station", "run", "--config", self.config, *self.options]
        with self.log.open("ab") as log, (self.folder / "station.out").open("ab") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=log)

    def stop(self) -> None:
        """End it as an administrator does: it must go without a fault, and have had none before."""
        assert self._end(signal.SIGTERM) == 0, self.log.read_text()
        assert logs.faults(self.log) == []

    def kill(self) -> None:
        """End it as a power cut does."""
        assert self._end(signal.SIGKILL) == -signal.SIGKILL

    def discard(self) -> None:
        """End it if it still runs, without judging it."""
        if self.process is not None:
            self._end(signal.SIGKILL)

    def events(self, name: str) -> list[dict[str, Any]]:
        """The lines of its log about something."""
        return logs.events(self.log, name)

    def _end(self, number: signal.Signals) -> int:
        process, self.process = self.process, None
        assert process is not None, "it does not run"
        process.send_signal(number)
        return process.wait(30)
