"""Makes the corpus of bad certificates: ``python tests/vectors/make_bad_certificates.py`` writes it anew.

The functions in ``forgery`` each break one thing; a function's name is the file's, its docstring the defect.
``index.json`` says for each file what has to catch it: a lint of ``pki.lints``, or a verdict of ``pki.chains.judge`` on
the chain in the file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))
from vectors.forgery import chains, contents, extensions  # noqa: F401
from vectors.forgery.corpus import CORPUS, Bad

FOLDER = Path(__file__).parent / "bad_certificates"


def files() -> Iterator[tuple[str, str]]:
    """Yield the name and text of every file of the corpus."""
    made = [make() for make in CORPUS]
    cas = {each.label: each for bad in made for each in (*bad.roots, bad.issuer) if each is not None}
    for label, each in sorted(cas.items()):
        yield f"issuers/{label}.pem", each.certificate.pem
    for bad in made:
        yield bad.row["file"], "".join(each.certificate.pem for each in bad.chain)
    yield "index.json", json.dumps([_indexed(bad) for bad in made], indent=1) + "\n"


def _indexed(bad: Bad) -> dict[str, Any]:
    issuer = f"issuers/{bad.issuer.label}.pem" if bad.issuer else None
    row = bad.row | {"issuer": issuer}
    return row | ({"roots": [f"issuers/{root.label}.pem" for root in bad.roots]} if bad.roots else {"also": []})


if __name__ == "__main__":
    for old in FOLDER.rglob("*.*"):
        old.unlink()
    for name, text in files():
        (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / name).write_text(text)
