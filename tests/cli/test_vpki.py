"""``voltroot vpki``: one request, many, and what was called for, against a service that a test plays."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner, Result

from apis.vpki.conftest import CODES, PROV, csr
from voltroot.cli import cli
from voltroot.pki.certificates import read_pem
from voltroot.pki.drafts import Order
from voltroot.pki.registrations import Codes, Registration
from world import World

OPTIONS = [word for name, code in CODES.items() for word in (f"--{name.removesuffix('Code')}", code)]


class Seen(NamedTuple):
    """One request that the service got."""

    path: str
    key: str | None
    body: dict[str, str]


class Service:
    """A service that answers as it is told, and remembers what it was asked."""

    def __init__(self, certificate: str) -> None:
        self.seen: list[Seen] = []
        self.faults: list[int] = []
        self.answer: Callable[[Seen], tuple[int, dict[str, str]]] = lambda seen: (200, {"cert": certificate})
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                seen = Seen(self.path, self.headers["Idempotency-Key"], body)
                service.seen.append(seen)
                status, answer = service.faults.pop(0) if service.faults else 200, {"resultMessage": "a fault"}
                if status == 0:  # as somebody does who dies
                    self.close_connection = True
                    return
                if status == 200:
                    status, answer = service.answer(seen)
                octets = json.dumps(answer).encode() if answer else b""
                self.send_response(status)
                self.send_header("Content-Length", str(len(octets)))
                self.end_headers()
                self.wfile.write(octets)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.options = ["--server", f"http://127.0.0.1:{self._server.server_address[1]}", "--patience", "5"]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def service(world: World) -> Iterator[Service]:
    made = Service(world.issue("VPKI_PROV_2", "car").read().pem)
    yield made
    made.close()


def voltroot(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


def files(folder: Path, count: int) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"part{number}.csr" for number in range(count)]
    for path in paths:
        path.write_text(csr(PROV))
    return paths


@pytest.mark.parametrize("verb", ["issue", "reissue"])
def test_a_certificate_is_printed(service: Service, tmp_path: Path, verb: str) -> None:
    (path,) = files(tmp_path, 1)
    done = voltroot("vpki", verb, "v1/prov", path, *OPTIONS, *service.options)
    assert done.exit_code == 0, done.output
    assert len(read_pem(done.output)) == 1
    (seen,) = service.seen
    assert seen.path == f"/api/v1/prov/{verb}"
    assert seen.body == {"csr": path.read_text()} | CODES
    described = voltroot("vpki", verb, "v1/prov", path, *OPTIONS, *service.options, "--json", "--idempotency-key", "k")
    assert list(json.loads(described.output)) == ["subject", "serial", "notBefore", "notAfter", "cert"]
    assert service.seen[1].key == "k"


def test_a_request_in_der_is_sent_as_base64(service: Service, tmp_path: Path) -> None:
    ((_, octets),) = read_pem(csr(PROV))
    path = tmp_path / "car.der"
    path.write_bytes(octets)
    assert voltroot("vpki", "issue", "v1/prov", path, *OPTIONS, *service.options).exit_code == 0
    assert base64.b64decode(service.seen[0].body["csr"]) == octets


def test_what_the_service_says_is_told(service: Service, tmp_path: Path) -> None:
    (path,) = files(tmp_path, 1)
    service.answer = lambda seen: (403, {"resultMessage": "Same key already used"})
    done = voltroot("vpki", "issue", "v1/prov", path, *OPTIONS, *service.options)
    assert (done.exit_code, done.output) == (1, "Error: Same key already used\n")
    service.answer = lambda seen: (403, {})
    assert "may this machine call it?" in voltroot("vpki", "revoke", "v1/prov", "cn=x", *service.options).output
    assert "give --brand" in voltroot("vpki", "issue", "v1/prov", path, *OPTIONS[:-2], *service.options).output


def test_a_call_is_repeated_under_its_key_until_it_is_answered(service: Service, tmp_path: Path) -> None:
    (path,) = files(tmp_path, 1)
    service.faults = [0, 503, 409, 500]
    assert voltroot("vpki", "issue", "v1/prov", path, *OPTIONS, *service.options).exit_code == 0
    assert len(service.seen) == 5
    assert len({seen.key for seen in service.seen}) == 1
    assert service.seen[0].key


def test_a_lost_answer_to_a_revocation_is_a_revocation(service: Service) -> None:
    service.faults = [0]
    service.answer = lambda seen: (403, {"resultMessage": "already revoked"})
    assert voltroot("vpki", "revoke", "v1/prov", "cn=x", *service.options).exit_code == 0
    assert "already revoked" in voltroot("vpki", "revoke", "v1/prov", "cn=x", *service.options).output


def test_a_folder_is_worked_off_and_goes_on_where_it_stopped(service: Service, tmp_path: Path) -> None:
    folder, results = tmp_path / "csrs", tmp_path / "csrs.results.jsonl"
    files(folder, 5)
    names: list[str] = []

    def some(seen: Seen) -> tuple[int, dict[str, str]]:
        names.append(seen.body["csr"])
        return (200, {"cert": certificate}) if len(names) != 2 else (406, {"resultMessage": "DN Format Error"})

    certificate = service.answer(Seen("", "", {}))[1]["cert"]
    service.answer = some
    words = ["vpki", "batch", folder, "--product", "v1/prov", *OPTIONS, *service.options]
    done = voltroot(*words, "--flying", 1)
    assert (done.exit_code, done.output) == (1, "4 issued, 1 refused, 0 without an answer\n")
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert [line["state"] for line in lines].count("issued") == 4
    assert {line["name"] for line in lines} == {f"part{number}.csr" for number in range(5)}
    keys = {seen.key for seen in service.seen}
    assert len(keys) == 5

    whole = results.read_text().splitlines(keepends=True)
    results.write_text("".join(whole[:2]) + whole[2][:20])
    done = voltroot(*words, "--json")
    assert json.loads(done.output) == {"issued": 4, "refused": 1, "unanswered": 0}
    assert len(service.seen) == 5 + 3
    assert {seen.key for seen in service.seen} == keys, "a request has one name for ever"
    done = voltroot(*words, "--again")
    assert (done.exit_code, done.output) == (0, "5 issued, 0 refused, 0 without an answer\n")
    assert voltroot(*words).exit_code == 0
    assert len(service.seen) == 9


def test_a_csv_file_says_per_line_what_differs(service: Service, tmp_path: Path) -> None:
    one, two = files(tmp_path, 2)
    inline = csr(PROV)
    table = tmp_path / "line.csv"
    table.write_text(
        f'name,csr,vehicleCode,product\nA,{one.name},CN7,\nB,{two.name},,v1/est\nC,"{inline}",,\n', encoding="utf-8-sig"
    )
    done = voltroot("vpki", "batch", table, "--reissue", "--product", "v1/prov", *OPTIONS, *service.options)
    assert done.exit_code == 0, done.output
    asked = {(seen.path, seen.body["vehicleCode"], seen.body["csr"]) for seen in service.seen}
    assert asked == {
        ("/api/v1/prov/reissue", "CN7", one.read_text()),
        ("/api/v1/est/reissue", "SX2", two.read_text()),
        ("/api/v1/prov/reissue", "SX2", inline),
    }


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("", "no column csr"),
        ("a,b\n1,2\n", "no column csr"),
        ("csr\n", "there is no request"),
        ("csr\nmissing.csr\n", "missing.csr cannot be read"),
        ("csr,product\npart0.csr,v9/x\n", "line 2: there is no product v9/x"),
        ("csr,name\npart0.csr,a\npart1.csr,a\n", "names are not unique"),
    ],
)
def test_a_csv_file_that_is_not_whole_is_refused_before_anything_is_asked(
    service: Service, tmp_path: Path, table: str, said: str
) -> None:
    files(tmp_path, 2)
    path = tmp_path / "line.csv"
    path.write_text(table)
    done = voltroot("vpki", "batch", path, "--product", "v1/prov", *OPTIONS, *service.options)
    assert done.exit_code == 1
    assert said in str(done.exception)
    assert service.seen == []
    missing = voltroot("vpki", "batch", tmp_path, "--product", "v1/prov", *service.options)
    assert "unitCode is missing" in str(missing.exception)


def test_a_service_that_stays_away_leaves_requests_unanswered(tmp_path: Path) -> None:
    files(tmp_path / "csrs", 3)
    words = ["vpki", "batch", tmp_path / "csrs", "--product", "v1/prov", *OPTIONS]
    done = voltroot(*words, "--server", "http://127.0.0.1:9", "--patience", "0")
    assert done.exit_code == 1
    assert "0 issued, 0 refused, 3 without an answer" in done.output
    assert "Run it again" in done.output
    assert (tmp_path / "csrs.results.jsonl").read_text() == ""


def test_the_report_counts_and_lists(world: World) -> None:
    for number, vehicle in enumerate(("SX2", "SX2", "CN7")):
        order: Order = world.order("VPKI_PROV_2", f"car {number}")
        order.__dict__.update(registration=Registration("ulsan", Codes("C001", "P001", vehicle, "KR", "HMC")))
        world.authority.issue(order)
    own = ["--data", world.folder]
    shown = voltroot("vpki", "report", *own, "--by", "product,vehicle").output.splitlines()
    assert [line.split() for line in shown] == [
        ["product", "vehicle", "issued", "valid", "revoked"],
        ["v1/prov", "CN7", "1", "1", "0"],
        ["v1/prov", "SX2", "2", "2", "0"],
    ]
    rows: list[dict[str, Any]] = json.loads(
        voltroot("vpki", "report", *own, "--vehicle", "CN7", "--list", "--json").output
    )
    assert [(row["product"], row["caller"], row["vehicle"], row["state"]) for row in rows] == [
        ("v1/prov", "ulsan", "CN7", "valid")
    ]
    assert rows[0]["subject"].startswith("CN=car 2,")
    for words in (["--product", "v2/est"], ["--since", "2099-01-01"], ["--until", "2001-01-01"], ["--caller", "x"]):
        assert voltroot("vpki", "report", *own, *words).output == "There are none.\n"
    assert "there is no colour" in str(voltroot("vpki", "report", *own, "--by", "colour").exception)
