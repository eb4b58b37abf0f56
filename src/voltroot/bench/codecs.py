"""Foreign EXI codecs, each a process of its own that answers lines of JSON (``josev`` says which)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from voltroot.bench import josev
from voltroot.errors import Unavailable

LONGEST = 60.0  # seconds until a process that was told to end is killed


class Codec:
    """A process that encodes and decodes; Unavailable where it does not start or says that it cannot."""

    def __init__(self, command: Sequence[str | Path], advice: str) -> None:
        self._words = " ".join(map(str, command))
        try:
            self._process = subprocess.Popen(  # noqa: S603 -- what the user named
                [str(word) for word in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        except OSError as error:
            raise Unavailable(f"{command[0]} cannot be started ({error.strerror}): {advice}") from error
        try:
            said = self._hear()
        except Unavailable as failure:
            self.stop()
            raise Unavailable(f"{self._words} does not start: {advice}") from failure
        self.name = f"{said['name']} {said['version']}".rstrip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def ask(self, **question: Any) -> dict[str, Any]:
        """Return the answer to a question; one with an ``error`` is Unavailable."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise Unavailable(f"{self._words} has ended") from error
        answer = self._hear()
        if "error" in answer:
            raise Unavailable(str(answer["error"]))
        return answer

    def stop(self) -> None:
        """End it: it reads to the end of its questions."""
        try:
            self._process.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        # What a library prints on its way is no answer.
        for line in self._process.stdout:
            if line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                return answer
        raise Unavailable(f"{self._words} has ended with {self._process.wait()}")


def jar(environment: Path) -> Codec:
    """Start EXICodec.jar in a virtual environment that has the package ``iso15118``."""
    advice = "python3 -m venv DIR && DIR/bin/pip install iso15118==0.31.2, and install Java 17 (default-jre-headless)"
    return Codec([environment / "bin" / "python", josev.__file__], advice)


def library(path: Path) -> Codec:
    """Start a shared library with the interface of libcbv2g."""
    advice = "it has to be a shared library with the interface of libcbv2g"
    return Codec([sys.executable, "-m", "voltroot.bench.cbv2g", path], advice)
