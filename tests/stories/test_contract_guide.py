"""The guide to contracts, held against the manual: each of its calls as printed there, and what it answers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from backend import Backend
from stories.test_guides import BASE64, FOLDER, HEADERS, REVOKED, typed

pytestmark = pytest.mark.slow

VERSION = "penta-v2g-0.1"
# The manual's command lines: section, method, path, members of the request; and members of the answer's data.
MANUAL: list[tuple[str, str, str, list[str], dict[str, str]]] = [
    ("3.3.1", "POST", "//api/v2/mo/contract", ["dhCert", "emaid"], {"version": VERSION, "certInstRes": BASE64}),
    ("3.3.2", "PUT", "//api/v2/mo/contract", ["dhCert", "emaid"], {"version": VERSION, "certUpdtRes": BASE64}),
    ("3.3.3", "DELETE", "//api/v2/mo/contract", ["subjectDn"], REVOKED),
    ("3.3.4", "POST", "//api/v2/mo/paymentDetail", ["leaf", "subca2", "subca1"], {"resCode": "OK"}),
    ("3.4.1", "POST", "//api/v2/ccp/certificateInstallation", ["v2gMessage"], {"v2gMessage": BASE64}),
    ("3.4.2", "POST", "/api/v2/ccp/certificateUpdate", ["v2gMessage"], {"v2gMessage": BASE64}),
]


def test_the_guide_shows_the_six_answers_of_the_manual(own_backend: Backend, tmp_path: Path) -> None:
    record = typed(FOLDER / "contracts.md", own_backend, tmp_path)
    for section, method, path, members, data in MANUAL:
        calls = [seen for seen in record if (seen.method, seen.path, seen.members) == (method, path, members)]
        assert calls, f"{section} is not in the guide"
        (call,) = calls
        assert (call.status, call.headers) == (200, HEADERS), section
        envelope = call.envelope
        assert list(envelope) == ["status", "message", "data"], section
        assert (envelope["status"], envelope["message"]) == ("success", ""), section
        assert list(envelope["data"]) == list(data), section
        for member, pattern in data.items():
            assert re.fullmatch(pattern, envelope["data"][member]), (section, member)
