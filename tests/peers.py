"""The environment with the package ``iso15118`` 0.31.2 and its codec in Java: foreign programs to compare ours with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ENVIRONMENT = Path(os.environ.get("VOLTROOT_ISO15118", Path(__file__).parents[1] / ".venv-iso15118"))


def environment() -> Path:
    """The environment; the test fails where there is none, and says how to make it."""
    if not (ENVIRONMENT / "bin" / "python").exists():
        pytest.fail(f"there is no {ENVIRONMENT} with the codec to compare with: make it with 'make peers'")
    return ENVIRONMENT
