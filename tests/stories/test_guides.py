"""The guides, typed along: every command of each runs as it stands, against a backend that was just started."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from backend import VOLTROOT, Backend, free_port

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[2] / "docs" / "guides"
WITNESS = Path(__file__).with_name("witness.py")

# Where a guide asks for what is not there, to show what it is told.
REFUSED_ON_PURPOSE = {"/crl/cpo-sub2-20.crl": 404}

# What answers that something was made, or begun.
MADE = {"/v1/stations": (201,), "/v1/jobs": (202,)}

_BLOCK = re.compile(r"^```(sh|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
GUIDES = [guide for guide in sorted(FOLDER.glob("*.md")) if _BLOCK.search(guide.read_text())]

IDENTIFIER, BASE64 = r"[A-Za-z0-9+/]{22}==", r"[A-Za-z0-9+/]{400,}={0,2}"
DATE, NUMBER = r"\d{4}-\d\d-\d\d", r"[1-9]\d*"


def details(holder: str, name: str, role: str, issuer: str, *, pfx: str = BASE64) -> dict[str, str]:
    """What the manual shows of a certificate, its members in its order."""
    return {
        "id": IDENTIFIER,
        holder: name,
        "provCert": BASE64,
        "pfxCert": pfx,
        "subjectDn": f"CN={name},DC={role},OU=[^,]+,O=[^,]+,C=[A-Z][A-Z]",
        "notBefore": DATE,
        "notAfter": DATE,
        "serial": NUMBER,
        "version": "3",
        "sigAlgo": "SHA256WITHECDSA",
        "issuerDn": f"DC={issuer},C=[A-Z][A-Z],O=[^,]+,CN=[^,]+",
        "status": "VALID",
    }


SECC, PROV = details("seccId", "secc001", "CPO", "V2G"), details("pcid", "pcid001", "OEM", "OEM")
PLAIN = {"subject": "secc00[12]", "serial": NUMBER, "certificateData": BASE64}
REVOKED = {"resultCode": "4000", "message": ".+", "serial": NUMBER}

# The manual's command lines: section, method, path, members of the request; and members of the answer's data.
HEADERS = ["Accept: application/json", "Content-Type: application/json"]
MANUAL: list[tuple[str, str, str, list[str] | None, dict[str, str]]] = [
    ("3.1.1", "POST", "/api/v2/cpo/seccCert", ["seccId"], SECC),
    ("3.1.2", "POST", "/api/v2/cpo/seccCertByCsr", ["pkcs10Data", "cn"], PLAIN),
    ("3.1.3", "GET", "/api/v2/cpo/seccCert/secc001", None, PLAIN),
    ("3.1.4", "PUT", "//api/v2/cpo/seccCert", ["seccId"], SECC),
    ("3.1.5", "DELETE", "/api/v2/cpo/seccCert", ["subjectDn"], REVOKED),
    ("3.1.6", "POST", "//api/v2/cpo/downloadSeccCert", ["serial", "password"], {"pfxCert": BASE64}),
    ("3.2.1", "POST", "//api/v2/oem/provCert", ["pcid"], PROV),
    ("3.2.2", "GET", "/api/v2/oem/provCert/pcid001", None, PROV | {"pfxCert": ""}),
    ("3.2.3", "PUT", "/api/v2/oem/provCert", ["pcid"], PROV),
    ("3.2.4", "DELETE", "/api/v2/oem/provCert", ["subjectDn"], REVOKED),
    ("3.2.5", "GET", "/api/v2/oem/verifyByPcid/pcid001", None, {"resCode": "OK"}),
]


@dataclass(frozen=True, slots=True)
class Seen:
    """One call of curl and what came back; the status is None where the guide keeps the answer's head to itself."""

    method: str
    address: str
    body: str | None
    headers: list[str]
    status: int | None
    answer: str

    @property
    def path(self) -> str:
        return urlsplit(self.address).path

    @property
    def members(self) -> list[str] | None:
        return None if self.body is None else list(json.loads(self.body))

    @property
    def envelope(self) -> dict[str, Any]:
        envelope: dict[str, Any] = json.loads(self.answer)
        return envelope


def commands(guide: Path) -> Iterator[str]:
    """What the guide has to be typed: all of a ``sh`` block, the lines after a prompt of a ``console`` block."""
    for kind, text in _BLOCK.findall(guide.read_text()):
        yield text if kind == "sh" else "".join(f"{line}\n" for line in re.findall(r"^\$ (.*)$", text, re.MULTILINE))


def typed(guide: Path, backend: Backend, folder: Path) -> list[Seen]:
    """Type a guide into a shell in an empty folder but for ``data``, and return what curl saw."""
    tools, work = folder / "tools", folder / "work"
    tools.mkdir()
    work.mkdir()
    (work / "data").symlink_to(backend.data)
    curl = tools / "curl"
    curl.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{WITNESS}" "$@"\n')
    curl.chmod(curl.stat().st_mode | stat.S_IXUSR)
    script = "set -euxo pipefail\n" + "".join(commands(guide))
    ports = (backend.port, backend.tls_port, backend.vpki_port, backend.operators_port, backend.csms_port)
    for port, own in enumerate(ports, 15118):
        script = re.sub(rf"(127\.0\.0\.1|localhost):{port}\b", rf"\1:{own}", script)
    record = folder / "seen"
    environment = os.environ | {
        "PATH": f"{tools}:{VOLTROOT.parent}:{os.environ['PATH']}",
        "REAL_CURL": str(shutil.which("curl")),
        "WITNESS": str(record),
    }
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=work,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-3000:]
    return [Seen(**json.loads(line)) for line in record.read_text().splitlines()] if record.exists() else []


@pytest.fixture
def own_backend(tmp_path: Path) -> Iterator[Backend]:
    """A running backend that serves charging stations, too."""
    config = tmp_path / "voltroot.toml"
    backend = Backend(tmp_path / "backend", ("--config", str(config)))
    config.write_text(f"[csms]\nprofile_1_port = {free_port()}\nprofile_2_port = {backend.csms_port}\n")
    try:
        yield backend.start()
        backend.stop()
    finally:
        backend.discard()


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_every_command_of_the_guides_works_as_it_stands(guide: Path, own_backend: Backend, tmp_path: Path) -> None:
    for seen in typed(guide, own_backend, tmp_path):
        assert seen.status in (None, REFUSED_ON_PURPOSE.get(seen.path, 200), *MADE.get(seen.path, ())), seen
        if "/api/v2/" in seen.path:
            assert seen.envelope["status"] == "success", seen


def test_the_guide_to_the_api_shows_the_eleven_answers_of_the_manual(own_backend: Backend, tmp_path: Path) -> None:
    (guide,) = (guide for guide in GUIDES if guide.stem == "secondary-actor-api")
    record = typed(guide, own_backend, tmp_path)
    for section, method, path, members, data in MANUAL:
        calls = [seen for seen in record if (seen.method, seen.path, seen.members) == (method, path, members)]
        assert calls, f"{section} is not in the guide"
        assert calls[0].status == 200
        assert calls[0].headers == ([] if members is None else HEADERS), section
        envelope = calls[0].envelope
        assert list(envelope) == ["status", "message", "data"], section
        assert (envelope["status"], envelope["message"]) == ("success", ""), section
        assert list(envelope["data"]) == list(data), section
        for member, pattern in data.items():
            value = envelope["data"][member]
            assert isinstance(value, str), (section, member)
            assert re.fullmatch(pattern, value), (section, member, value)
    last = record[-1 - [seen.path for seen in reversed(record)].index("/api/v2/oem/verifyByPcid/pcid001")]
    assert last.envelope["data"] == {"resCode": "FAILED_CertChainError"}
    assert "revoked" in last.envelope["message"]
    assert any(seen.address.startswith("https://") and seen.status == 200 for seen in record)
