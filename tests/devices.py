"""Devices that hold keys, in software: a SoftHSM2 token and a swtpm, each to be taken away and put back."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from backend import free_port, run

SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "271828"


@dataclass
class Token:
    """A SoftHSM2 token of its own. SoftHSM2 looks for all tokens of a process in one place."""

    label: str
    folder: Path

    @property
    def device(self) -> str:
        return f"pkcs11:token={self.label}?module-path={SOFTHSM}"

    @property
    def aside(self) -> Path:
        return self.folder.parents[1] / f"aside-{self.label}"

    def take_away(self) -> None:
        self.folder.rename(self.aside)

    def put_back(self) -> None:
        self.aside.rename(self.folder)


@dataclass
class Swtpm:
    """A TPM in software; what it remembers survives its being switched off, cleanly or not."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="swtpm-")))
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.folder / "socket"

    @property
    def tcti(self) -> str:
        return f"swtpm:host=localhost,port={self.port}" if self.port else f"swtpm:path={self.socket}"

    @property
    def device(self) -> str:
        return f"tpm:{self.tcti}"

    def switch_on(self) -> None:
        self.socket.unlink(missing_ok=True)
        command = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.folder}", "--flags", "not-need-init"]
        if self.port:
            # What the TSS asks for: commands at one port, control of the device at the next one.
            command += ["--server", f"type=tcp,port={self.port}", "--ctrl", f"type=tcp,port={self.port + 1}"]
        else:
            command += ["--server", f"type=unixio,path={self.socket}"]
        said = self.folder / "said"
        with said.open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out)
        deadline = time.monotonic() + 30
        while not self._listens():
            assert self.process.poll() is None, f"swtpm ended: {said.read_text()}"
            assert time.monotonic() < deadline, f"swtpm does not start: {said.read_text()}"
            time.sleep(0.01)

    def _listens(self) -> bool:
        # The file of a socket is there before anybody listens at it.
        kind = socket.AF_INET if self.port else socket.AF_UNIX
        address = ("localhost", self.port) if self.port else str(self.socket)
        with contextlib.suppress(OSError), socket.socket(kind) as probe:
            probe.connect(address)
            return True
        return False

    def take_away(self) -> None:
        """Switch it off as a power cut does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.socket.unlink(missing_ok=True)

    put_back = switch_on


@contextmanager
def token() -> Iterator[Token]:
    """A token that was just initialized."""
    home = _softhsm_home()
    before = set((home / "tokens").iterdir())
    label = f"test{len(before)}-{os.getpid()}"
    run("softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "314159")
    (folder,) = set((home / "tokens").iterdir()) - before
    made = Token(label, folder)
    yield made
    if made.aside.exists():
        made.put_back()


@contextmanager
def swtpm(*, tcp: bool = False) -> Iterator[Swtpm]:
    """A TPM that was just switched on for the first time; by TCP where the TSS is to reach it too."""
    made = Swtpm(port=free_port() if tcp else 0)
    try:
        try:
            made.switch_on()
        except AssertionError:
            # Somebody else has the port, or the one after it.
            made.take_away()
            made.port = free_port() if tcp else 0
            made.switch_on()
        yield made
    finally:
        with contextlib.suppress(AssertionError):
            made.take_away()
        shutil.rmtree(made.folder, ignore_errors=True)


@cache
def _softhsm_home() -> Path:
    home = Path(tempfile.mkdtemp(prefix="softhsm-"))
    (home / "tokens").mkdir()
    (home / "softhsm2.conf").write_text(f"directories.tokendir = {home}/tokens\nlog.level = ERROR\n")
    # For this process and for those that it starts.
    os.environ["SOFTHSM2_CONF"] = str(home / "softhsm2.conf")
    return home
