"""Fuzzes the reader with atheris, guided by what its code does: `make fuzz`.

The inputs that reach most of its code are kept in tests/vectors/exi/corpus.txt, a line each, for the tests to replay.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

VECTORS = Path(__file__).parent / "vectors" / "exi"
CORPUS = VECTORS / "corpus.txt"
CRASHES = Path("fuzz-crashes")


def main(runs: int) -> int:
    """Runs so many inputs, then keeps the smallest corpus that does all that was seen."""
    with tempfile.TemporaryDirectory() as scratch:
        seeds, smallest, again = Path(scratch, "seeds"), Path(scratch, "smallest"), Path(scratch, "again")
        seeds.mkdir()
        smallest.mkdir()
        for number, line in enumerate([*CORPUS.read_text().split(), *_seeds()]):
            (seeds / f"{number:05}").write_bytes(bytes.fromhex(line))
        # libFuzzer starts its first argument anew to merge a corpus.
        again.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" "{again}" "$@"\n')
        again.chmod(0o700)
        CRASHES.mkdir(exist_ok=True)
        limits = [f"-artifact_prefix={CRASHES}/", "-max_len=4200", "-timeout=5", "-print_final_stats=1"]
        fuzzing = subprocess.run([again, seeds, f"-runs={runs}", *limits], check=False)
        if fuzzing.returncode:
            print(f"An input broke the reader: see {CRASHES}. Make it a test, then mend it.", file=sys.stderr)
            return fuzzing.returncode
        subprocess.run([again, "-merge=1", smallest, seeds], check=True)
        kept = sorted((path.read_bytes().hex() for path in smallest.iterdir()), key=lambda line: (len(line), line))
        CORPUS.write_text("\n".join(kept) + "\n")
        print(f"{len(kept)} inputs are kept in {CORPUS}")
    with suppress(OSError):  # it holds what an earlier run found
        CRASHES.rmdir()
    return 0


def _seeds() -> list[str]:
    """The small vectors, each with the octet that chooses how it is read."""
    from exi_replay import WAYS

    ways = [(schema.name, kind) for schema, kind in WAYS]
    return [
        bytes([ways.index((vector["schema"], vector["kind"]))]).hex() + octets
        for vector in json.loads((VECTORS / "every" / "messages.json").read_text())
        for octets in (vector["exi_hex"], vector.get("exi_hex_with_string_tables", ""))
        if 0 < len(octets) < 1200
    ]


def fuzz(arguments: list[str]) -> None:
    """What atheris runs."""
    import atheris

    with atheris.instrument_imports(include=["voltroot.v2g"]):
        from exi_replay import replay
    atheris.Setup(arguments, replay)
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1].isdecimal():
        sys.exit(main(int(sys.argv[1])))
    fuzz(sys.argv[1:])
