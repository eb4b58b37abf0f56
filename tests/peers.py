"""Foreign programs in environments of their own: EXICodec.jar to compare ours with, and others' OCPP to speak to."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
INTEROP = Path(__file__).with_name("interop")
ENVIRONMENT = Path(os.environ.get("VOLTROOT_ISO15118", ROOT / ".venv-iso15118"))
OCPP_RPC = Path(os.environ.get("VOLTROOT_OCPP_RPC", ROOT / ".venv-ocpp-rpc"))
PATIENCE = 20  # seconds


def environment() -> Path:
    """The environment of the package iso15118 0.31.2; the test fails where there is none, and says how to make it."""
    if not (ENVIRONMENT / "bin" / "python").exists():
        pytest.fail(f"there is no {ENVIRONMENT} with the codec to compare with: make it with 'make peers'")
    return ENVIRONMENT


class Peer:
    """A station or a CSMS by another's implementation of OCPP, which holds both sides to its own schemas.

    Takes and gives frames as a connection to it would. What its schemas do not allow fails the test.
    """

    def __init__(self, program: str, role: str, version: str, **options: Any) -> None:
        self.version = version
        command, variables = _PROGRAMS[program]()
        given = json.dumps({"role": role, "version": version, **options})
        self._process = subprocess.Popen(
            [*command, given], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | variables
        )
        self._lines = queue.Queue[str]()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def happened(self, what: str) -> dict[str, Any]:
        """What the program says of itself, sooner or later; frames before it are passed over."""
        while True:
            told = json.loads(self._line(PATIENCE))
            if isinstance(told, dict):
                assert "violation" not in told, told
                if what in told:
                    return told

    def send(self, text: str) -> None:
        assert self._process.stdin is not None
        print(text, file=self._process.stdin, flush=True)

    def recv(self, timeout: float = PATIENCE) -> str:
        # An earlier connection may end after the next one has begun.
        while (line := self._line(timeout)).startswith('{"closed"'):
            pass
        assert line.startswith("["), line
        return line

    def close(self) -> None:
        """Have it end: it must not have complained since."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            assert self._process.wait(PATIENCE) == 0
        finally:
            self._process.kill()
            self._reader.join()
        left = [*iter(self._lines.get_nowait, "")]
        assert not [line for line in left if "violation" in line], left

    def _line(self, timeout: float) -> str:
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError from None
        assert line, "the program has ended"
        return line

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line.rstrip("\n"))
        self._lines.put("")


@contextlib.contextmanager
def peer(program: str, role: str, version: str, **options: Any) -> Iterator[Peer]:
    """A program that runs while the block does."""
    made = Peer(program, role, version, **options)
    try:
        yield made
    except BaseException:
        with contextlib.suppress(AssertionError):
            made.close()
        raise
    made.close()


def _by_npm() -> tuple[list[Path], dict[str, str]]:
    modules = OCPP_RPC / "node_modules"
    if not (modules / "ocpp-rpc").exists():
        pytest.fail(f"there is no {modules} with the OCPP to speak to: make it with 'make peers'")
    return [OCPP_RPC / "bin" / "node", INTEROP / "ocpp-rpc" / "peer.js"], {"NODE_PATH": str(modules)}


def _by_pypi() -> tuple[list[Path], dict[str, str]]:
    return [Path(sys.executable), INTEROP / "ocpp_package.py"], {}


_PROGRAMS = {"ocpp-rpc": _by_npm, "ocpp": _by_pypi}
