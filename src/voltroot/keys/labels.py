"""Labels: how keys are called, the same in every keyring."""

from __future__ import annotations

import re

from voltroot.errors import Refused

_LABEL = re.compile(r"[a-z0-9][a-z0-9._-]{0,120}")


def check_label(label: str) -> str:
    """Return a label that may be a file's name, or raise Refused."""
    if not _LABEL.fullmatch(label):
        raise Refused(f"{label!r} is no label for a key: use lower-case letters, digits, '.', '_' and '-'")
    return label
