"""Stands in for curl in a guide's shell: runs the real one and appends to $WITNESS what was asked and answered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Run curl as asked, pass on what it says, and write down one line of JSON."""
    with tempfile.NamedTemporaryFile() as head:
        command = [os.environ["REAL_CURL"], "-D", head.name, *arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
        lines = Path(head.name).read_text().splitlines()
    sys.stdout.buffer.write(done.stdout)
    sys.stdout.buffer.flush()
    saved = _option(arguments, "-o")
    answer = Path(saved).read_bytes() if saved and done.returncode == 0 else done.stdout
    body = _option(arguments, "-d")
    seen = {
        "method": _option(arguments, "-X") or ("GET" if body is None else "POST"),
        "address": next(argument for argument in arguments if argument.startswith("http")),
        "body": body,
        "headers": [value for name, value in pairwise(arguments) if name == "-H"],
        "status": int(lines[0].split()[1]) if lines else None,
        "answer": answer.decode("latin-1"),
    }
    with Path(os.environ["WITNESS"]).open("a") as file:
        file.write(json.dumps(seen) + "\n")
    return done.returncode


def _option(arguments: list[str], name: str) -> str | None:
    return arguments[arguments.index(name) + 1] if name in arguments else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
