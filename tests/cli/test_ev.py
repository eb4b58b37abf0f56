"""``voltroot ev``: a car on the command line, with our backend and with others."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import devices
import signing
from backend import Backend
from secret_search import holds_key_of
from voltroot.apis.pnc.client import Client
from voltroot.app.provisioning import with_key_in_device
from voltroot.cli import cli
from voltroot.errors import Failure, Malformed, Refused, Unavailable
from voltroot.keys import sessions
from voltroot.keys.opening import open_keyring
from voltroot.keys.software import SoftwareKeyring
from voltroot.pki.certificates import Certificate, read_pem
from voltroot.pki.profiles import Edition
from voltroot.v2g.schemas import ISO_2

slow = pytest.mark.slow


def ev(*words: str | Path, ok: int = 0) -> str:
    """What a command says; its exit code must be the one expected."""
    done = CliRunner().invoke(cli, ["ev", *map(str, words)], catch_exceptions=True)
    if done.exception is not None and isinstance(done.exception, Failure):
        assert ok == 1, done.exception
        return f"voltroot: {done.exception}"
    assert done.exit_code == ok, (done.output, done.exception)
    return done.output


def told(*words: str | Path, ok: int = 0) -> Any:
    return json.loads(ev(*words, "--json", ok=ok))


@pytest.fixture
def car(backend: Backend, tmp_path: Path) -> Callable[..., Path]:
    """Make cars that know the backend."""
    count = iter(range(100))

    def made(iso: str = "2", suite: str = "") -> Path:
        folder = tmp_path / f"car{next(count)}"
        words = ["--iso", iso, *(["--suite", suite] if suite else [])]
        ev("provision", f"{tmp_path.name}-{folder.name}", "--api", backend.url, "--car", folder, *words)
        return folder

    return made


@slow
@pytest.mark.parametrize(("iso", "suite"), [("2", ""), ("20", "P-521"), ("20", "Ed448")])
def test_a_car_installs_pays_renews_and_is_refused(iso: str, suite: str, car: Any, backend: Backend) -> None:
    folder = car(iso, suite)
    emaid = f"{folder.parent.name}-x"
    said = ev("install", "--order", emaid, "--car", folder)
    assert f"Installed {emaid}" in said
    assert said.index("CPS chain") < said.index("SignatureValue") < said.index("contract key")
    assert ev("pay", "--car", folder) == f"{emaid}: OK\n"
    former = told("show", "--car", folder)["contracts"][0]
    assert f"Installed {emaid}" in ev("update", "--renew", "--car", folder)
    shown = told("show", "--car", folder)
    assert [each["current"] for each in shown["contracts"]] == [False, True]
    assert shown["contracts"][0]["serial"] == former["serial"]
    assert told("pay", "--car", folder) == {"emaid": emaid, "resCode": "OK", "message": ""}
    Client(backend.url).revoke_contract(shown["contracts"][1]["subject"])
    assert "FAILED_CertChainError" in ev("pay", "--car", folder, ok=1)
    document = told("install", "--car", folder, ok=1)
    assert document["installed"] is False
    assert document["responses"][0]["stopped"]["part"] == "ResponseCode"


@slow
@pytest.mark.parametrize("device", [devices.token, devices.swtpm])
def test_a_car_whose_key_is_in_a_device_opens_its_contracts(device: Any, backend: Backend, tmp_path: Path) -> None:
    pin = tmp_path / "pin"
    pin.write_text(devices.PIN)
    with device() as made:
        for iso in ("2", "20"):
            folder = tmp_path / f"car{iso}"
            name = f"{tmp_path.name}-{iso}"
            where = ("--iso", iso, "--device", made.device, "--pin-file", pin)
            assert "its key in" in ev("provision", name, "--api", backend.url, "--car", folder, *where)
            assert f"Installed {name}" in ev("install", "--order", name, "--car", folder)
            assert f"Installed {name}" in ev("update", "--renew", "--car", folder)
            assert told("pay", "--car", folder)["resCode"] == "OK"
            assert told("show", "--car", folder)["device"] == made.device
            assert {label for label, _ in read_pem((folder / "provisioning.pem").read_text())} == {"CERTIFICATE"}
        key = Certificate.read(_leaf(tmp_path / "car2")).public_key
        for place in (tmp_path, made.folder):
            for path in place.rglob("*"):
                assert not path.is_file() or not holds_key_of(path.read_bytes(), key), path
        # While it is away nothing opens; once it is back the car goes on.
        made.take_away()
        assert "does not answer" in ev("install", "--car", folder, ok=1)
        made.put_back()
        time.sleep(sessions.PAUSE)
        assert f"Installed {name}" in ev("install", "--car", folder)
        # What the backend refuses leaves no key behind, and neither does a kind of key that agrees on no secret.
        before = open_keyring(made.device, tmp_path / "again/keys", lambda: devices.PIN).labels()
        again = ("--api", backend.url, "--car", tmp_path / "again", *where)
        assert "occupied" in ev("provision", name, *again, ok=1)
        assert "take P-521" in ev("provision", name, *again, "--suite", "Ed448", ok=1)
        assert open_keyring(made.device, tmp_path / "again/keys", lambda: devices.PIN).labels() == before


@slow
def test_a_car_of_20_fetches_all_its_contracts_those_wanted_first(car: Any) -> None:
    folder = car("20")
    names = [f"{folder.parent.name}-{number}" for number in range(3)]
    for name in names:
        Client(told("show", "--car", folder)["api"]).create_contract(_leaf(folder), name)
    document = told("install", "--most", "3", "--emaid", names[1], "--car", folder)
    assert [each["remaining"] for each in document["responses"]] == [2, 1, 0]
    subjects = [each["contract"]["subject"] for each in document["responses"]]
    assert f"CN={names[1]}," in subjects[0]
    assert {name for name in names if any(f"CN={name}," in each for each in subjects)} == set(names)


@slow
def test_what_the_manuals_curl_line_brought_is_installed_from_its_file(car: Any, backend: Backend) -> None:
    folder = car()
    body = {"dhCert": base64.b64encode(_leaf(folder)).decode(), "emaid": f"{folder.parent.name}-file"}
    answer = backend.call("POST", "/api/v2/mo/contract", body)
    message = base64.b64decode(answer.data["certInstRes"])
    for name, content in (("json", answer.body), ("b64", base64.encodebytes(message)), ("exi", message)):
        (folder / name).write_bytes(content)
        assert "Installed" in ev("install", "--from", folder / name, "--car", folder)
    renewed = backend.call("PUT", "/api/v2/mo/contract", {"dhCert": _contract(folder), "emaid": body["emaid"]})
    (folder / "json").write_bytes(renewed.body)
    assert "CertificateUpdateRes" in ev("install", "--from", folder / "json", "--car", folder)
    (folder / "json").write_text('{"data": {}}')
    assert "no v2gMessage" in ev("install", "--from", folder / "json", "--car", folder, ok=1)


@slow
def test_a_car_is_never_made_twice_and_a_name_is_taken_once(car: Any, backend: Backend, tmp_path: Path) -> None:
    folder = car()
    pcid = told("show", "--car", folder)["pcid"]
    assert "choose another folder" in ev("provision", "other", "--api", backend.url, "--car", folder, ok=1)
    assert "occupied" in ev("provision", pcid, "--api", backend.url, "--car", tmp_path / "again", ok=1)
    assert not (tmp_path / "again").exists()


@slow
def test_a_backend_is_reached_by_https_below_a_root_of_its_own(backend: Backend, tmp_path: Path) -> None:
    (tmp_path / "tls.pem").write_bytes(backend.fetch("/ca/csms-root.pem"))
    words = ["--api", f"https://127.0.0.1:{backend.tls_port}", "--car", tmp_path / "car"]
    assert "does not answer" in ev("provision", f"{tmp_path.name}-tls", *words, ok=1)
    ev("provision", f"{tmp_path.name}-tls", *words, "--tls-root", tmp_path / "tls.pem")
    assert "Installed" in ev("install", "--order", f"{tmp_path.name}-tls", "--car", tmp_path / "car")


def test_without_a_car_the_first_step_is_named(tmp_path: Path) -> None:
    for command in ("install", "update", "pay", "show"):
        assert "voltroot ev provision PCID" in ev(command, "--car", tmp_path, ok=1)


def test_every_command_has_an_example() -> None:
    for command in ("provision", "install", "update", "pay", "show"):
        said = ev(command, "--help")
        assert f"voltroot ev {command}" in said.split("Example")[1]


# a backend of somebody else


class Foreign(BaseHTTPRequestHandler):
    """Answers what the test wants, in the manual's form and no more."""

    answers: dict[tuple[str, str], tuple[int, bytes]]
    asked: list[tuple[str, str, Any]]

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.asked.append((self.command, self.path, json.loads(body) if body else None))
        status, content = self.answers.get((self.command, self.path), (404, b"nothing here"))
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _answer  # noqa: N815 -- the library's names

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def foreign() -> Iterator[tuple[str, type[Foreign]]]:
    handler = type("Handler", (Foreign,), {"answers": {}, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/base/", handler
    server.shutdown()
    thread.join()
    server.server_close()


def success(data: dict[str, str]) -> tuple[int, bytes]:
    return 200, json.dumps({"status": "success", "message": "", "data": data}).encode()


def test_a_foreign_backend_sees_the_manuals_members_only_and_is_understood(foreign: Any, tmp_path: Path) -> None:
    base, handler = foreign
    key, chain = signing.key(ISO_2, "oem"), [signing.certificate(ISO_2, name) for name in ("oem", "oem2", "oem1")]
    handler.answers[("POST", "/base/api/v2/oem/provCert")] = success({"pfxCert": _pfx(key, chain)})
    (tmp_path / "roots.pem").write_bytes(_pem("v2groot") + _pem("oemroot"))
    folder = tmp_path / "car"
    said = ev("provision", "any", "--api", base, "--root", tmp_path / "roots.pem", "--car", folder)
    assert "The car is in" in said
    assert handler.asked == [("POST", "/base/api/v2/oem/provCert", {"pcid": "any"})]
    vector = signing._read(signing.FOLDER / "iso2_cert_install_res_2sub.json")
    encoded = base64.b64encode(vector.exi).decode()
    handler.answers[("POST", "/base/api/v2/ccp/certificateInstallation")] = success({"v2gMessage": f" {encoded}\n"})
    # What it hands out answers another session: the car looks no further.
    document = told("install", "--car", folder, ok=1)
    assert document["responses"][0]["stopped"]["part"] == "SessionID"
    assert list(handler.asked[-1][2]) == ["v2gMessage"]
    (folder / "at-hand").write_text(encoded)
    assert "Installed DEABCC12345678" in ev("install", "--from", folder / "at-hand", "--car", folder)
    handler.answers[("POST", "/base/api/v2/mo/paymentDetail")] = success({"resCode": "OK"})
    assert ev("pay", "--car", folder) == "DEABCC12345678: OK\n"
    assert list(handler.asked[-1][2]) == ["leaf", "subca2", "subca1"]


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        ((200, b'{"status": "error", "message": "no such car", "data": ""}'), Refused, "no such car"),
        ((405, b'{"status": "error", "message": "not JSON", "data": ""}'), Refused, "not JSON"),
        ((200, b'{"status": "success", "data": []}'), Malformed, "without data"),
        ((502, b"<html>"), Malformed, "status 502"),
        ((200, b'{"status": "success", "data": {"resCode": ""}}'), Malformed, "no resCode"),
    ],
)
def test_every_answer_of_a_foreign_backend_is_a_failure_with_words(
    foreign: Any, answer: tuple[int, bytes], kind: type[Failure], words: str
) -> None:
    base, handler = foreign
    handler.answers[("GET", "/base/api/v2/oem/verifyByPcid/a%2Fb")] = answer
    with pytest.raises(kind, match=words):
        Client(base).verify_prov("a/b").text("resCode")


def test_a_backend_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"http://127.0.0.1:1 does not answer"):
        Client("127.0.0.1:1", timeout=1).prov("any")
    with pytest.raises(Malformed, match="no address of a server"):
        Client("ftp://example.com")


def test_a_foreign_backend_that_makes_a_key_of_its_own_is_refused_where_the_key_is_in_a_device(
    foreign: Any, tmp_path: Path
) -> None:
    base, handler = foreign
    own = base64.b64encode(Certificate.read(read_pem(_pem("oem").decode())[0][1]).der).decode()
    handler.answers[("POST", "/base/api/v2/oem/provCert")] = success({"provCert": own})
    keyring = SoftwareKeyring(tmp_path)
    with pytest.raises(Refused, match="knows no pkcs10Data"):
        with_key_in_device(Client(base), "any", {}, keyring, Edition.ISO15118_2, "")
    assert keyring.labels() == []


def _leaf(folder: Path) -> bytes:
    return base64.b64decode(told("show", "--car", folder)["provisioning"]["certificate"])


def _contract(folder: Path) -> str:
    certificate: str = next(
        each["certificate"] for each in told("show", "--car", folder)["contracts"] if each["current"]
    )
    return certificate


def _pfx(key: Any, chain: list[Any]) -> str:
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

    octets = pkcs12.serialize_key_and_certificates(b"", key, chain[0], chain[1:], BestAvailableEncryption(b"123123"))
    return base64.b64encode(octets).decode()


def _pem(name: str) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return signing.certificate(ISO_2, name).public_bytes(Encoding.PEM)
