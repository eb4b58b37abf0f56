"""The machines of a story: a backend and a charging station, each a program of its own in a folder of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec

from voltroot.apis.josev.client import Client as Josev
from voltroot.apis.pnc.client import Client
from voltroot.app.charger import Charger
from voltroot.bench import servers
from voltroot.cli.telling import WIDTH
from voltroot.decoding import UNREADABLE
from voltroot.errors import Refused, Unavailable
from voltroot.serve import broker
from voltroot.serve.mqtt import Broker, Line

IDENTITY, SERIAL, SECC_ID = "CS001", "SN4711", "DE-VLT-S-00001"
SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Office:
    """A backend that runs: its Secondary Actor API, and the CSMS where it has one."""

    api: str
    csms_port: int
    operators_port: int

    def operate(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Ask the operators' API; raises Refused where it says no."""
        content = None if body is None else msgspec.json.encode(body)
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", self.operators_port, timeout=30)) as connection:
                connection.request(method, f"/v1/{path}", content, {"Content-Type": "application/json"})
                response = connection.getresponse()
                answer = msgspec.json.decode(response.read(), type=dict[str, Any])
        except (OSError, http.client.HTTPException, *UNREADABLE) as error:
            raise Unavailable(f"the operators' API does not answer: {error}") from error
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise Refused(str(answer.get("detail", response.status)))
        return answer

    def install(self, kind: str, root: str) -> str:
        """Have the station install a root; returns the station's word for what became of it."""
        wish = {"kind": "install", "certificateType": kind, "certificate": root, "stations": [IDENTITY]}
        job = self.operate("POST", "jobs", wish)["number"]
        self.operate("GET", f"jobs/{job}?wait=8")
        (operation,) = self.operate("GET", f"operations?job={job}")["operations"]
        if operation["state"] != "done":
            raise Refused(f"InstallCertificate: {operation['outcome'] or operation['state']}")
        return str(operation["outcome"])


@dataclass(frozen=True, slots=True)
class Site:
    """A charging station that is connected to its CSMS; ``josev`` asks it for keys, where there is a broker to."""

    office: Office
    charger: Charger
    certs: Path
    organization: str
    josev: Josev | None
    keys: str


@contextlib.contextmanager
def backend(folder: Path, say: Say, *, csms: bool = False) -> Iterator[Office]:
    """Run a backend in a folder until the block ends, with a port for stations of security profile 2 if it is to."""
    begun = time.perf_counter()
    port, tls_port, vpki_port, operators_port, csms_port = (servers.free_port() for _ in range(5))
    config = folder / "backend.toml"
    config.write_text(f"[csms]\nprofile_2_port = {csms_port if csms else 0}\n", encoding="ascii")
    command = [*_voltroot("serve", "--config"), config, "--data", folder / "backend"]
    command += ["--port", str(port), "--tls-port", str(tls_port), "--vpki-port", str(vpki_port)]
    command += ["--operators-port", str(operators_port)]
    with servers.start("backend", command, port, folder) as server:
        server.wait(lambda: servers.answers(port, "GET", "/ready"))
        api = f"http://127.0.0.1:{port}"
        _report(say, f"A backend with a fresh test PKI listens on {api}", begun)
        yield Office(api, csms_port, operators_port)


@contextlib.contextmanager
def station(folder: Path, office: Office, say: Say) -> Iterator[Site]:
    """Run a charging station beside a backend; it is connected when it is yielded.

    Its keys are made in a token of SoftHSM2, and asked for as Josev does over MQTT, where these are installed.
    """
    begun = time.perf_counter()
    place = folder / "station"
    place.mkdir()
    registration = {"identity": IDENTITY, "serialNumber": SERIAL, "seccIds": [SECC_ID]}
    registered = office.operate("POST", "stations", registration)
    organization = str(registered["station"]["organization"])
    _write_secret(place / "password", registered["password"])
    # What its maker puts there; it gets all other roots from its CSMS.
    path = place / "certs" / "ca" / "csms" / "CSMS_ROOT_CA.pem"
    path.parent.mkdir(parents=True)
    path.write_bytes(Client(office.api).fetch("/ca/csms-root.pem"))
    with contextlib.ExitStack() as stack:
        token, variables = _token(place)
        door, mqtt = servers.free_port(), servers.free_port() if broker.find() else 0
        config = place / "station.toml"
        config.write_text(
            f"""\
certs = {_quoted(place / "certs")}
everest.enabled = false
josev.enabled = {"true" if mqtt else "false"}
broker.address = "mqtt://127.0.0.1:{mqtt or 1883}"

[keys]
{token}

[csms]
url = "wss://localhost:{office.csms_port}/ocpp"
identity = "{IDENTITY}"
serial_number = "{SERIAL}"
profile = 2
password_file = {_quoted(place / "password")}
organization = "{organization}"
secc_ids = ["{SECC_ID}"]

[car]
listen = "127.0.0.1:{door}"
""",
            encoding="utf-8",
        )
        command = [*_voltroot("station", "run", "--config"), config, *(["--embedded-broker"] if mqtt else [])]
        charger = Charger(f"127.0.0.1:{door}")
        server = servers.start("station", command, door, folder, env=os.environ | variables)
        stack.enter_context(server).wait(lambda: _is_accepted(charger))
        josev = stack.enter_context(_josev(mqtt)) if mqtt else None
        status, keys = charger.status(), "a token of SoftHSM2" if token else "files"
        text = f"A charging station has connected: {status.version}, security profile {status.profile}"
        _report(say, f"{text}, keys in {keys}", begun)
        yield Site(office, charger, place / "certs", organization, josev, keys)


def _voltroot(*words: str) -> list[str | Path]:
    return [sys.executable, "-m", "voltroot", *words]


def _report(say: Say, text: str, begun: float) -> None:
    say(text.ljust(WIDTH - 9) + f"{1000 * (time.perf_counter() - begun):6.0f} ms")


def _write_secret(path: Path, secret: str) -> None:
    path.touch(mode=0o600)
    path.write_text(secret, encoding="ascii")


def _is_accepted(charger: Charger) -> bool:
    try:
        return charger.status().accepted
    except Unavailable:
        return False


def _token(place: Path) -> tuple[str, dict[str, str]]:
    """Make a token of SoftHSM2 for the station's keys, where that is installed: the lines of [keys], and variables."""
    tool = shutil.which("softhsm2-util")
    if tool is None or not SOFTHSM.exists():
        return "", {}
    (place / "tokens").mkdir()
    settings, pin = place / "softhsm2.conf", secrets.token_hex(8)
    settings.write_text(f"directories.tokendir = {place / 'tokens'}\nlog.level = ERROR\n", encoding="utf-8")
    _write_secret(place / "pin", pin)
    variables = {"SOFTHSM2_CONF": str(settings)}
    make = [tool, "--init-token", "--free", "--label", "demo", "--pin", pin, "--so-pin", pin]
    subprocess.run(make, check=True, capture_output=True, env=os.environ | variables)  # noqa: S603 -- found by its name
    return f'device = "pkcs11:token=demo?module-path={SOFTHSM}"\npin_file = {_quoted(place / "pin")}', variables


def _quoted(path: Path) -> str:
    """Return a path as TOML has it."""
    return json.dumps(str(path), ensure_ascii=False)


@contextlib.contextmanager
def _josev(port: int) -> Iterator[Josev]:
    line = Line(Broker("127.0.0.1", port))
    josev = Josev(line)
    line.start()
    try:
        if not line.ready.wait(30):
            raise Unavailable("the broker of the station does not answer")
        yield josev
    finally:
        line.stop()
