"""Plants and suppliers of a car maker: their door, their races, their production line, and a power cut in between."""

from __future__ import annotations

import json
import random
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from apis.vpki.conftest import CODES, PRODUCTS, PROV, certificate, csr, enrol
from backend import VOLTROOT, Backend, run
from voltroot.apis.vpki.client import Answered, Client, Server
from voltroot.errors import Unavailable
from voltroot.pki import suites
from voltroot.pki.certificates import Certificate
from voltroot.pki.registrations import Codes

pytestmark = pytest.mark.slow

SAMPLE = Path(__file__).parents[1] / "vectors/vpki/prov_v1_reissue.csr.pem"
HEADER = ("-H", "Content-Type: application/json; charset=UTF-8")
OWN = Codes(**{name.removesuffix("Code"): code for name, code in CODES.items()})


class Authority:
    """A CA outside of Voltroot: for client certificates, or for a server's."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.pem, _ = self._write("ca", self._subject, self._key, x509.BasicConstraints(True, None))

    def issue(self, name: str, *extensions: x509.ExtensionType) -> tuple[Path, Path]:
        """A certificate and its key in files."""
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        return self._write(name, subject, ec.generate_private_key(ec.SECP256R1()), *extensions)

    def _write(self, file: str, subject: x509.Name, key: Any, *extensions: x509.ExtensionType) -> tuple[Path, Path]:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(self._subject, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=9))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        if file == "ca":
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        paths = self._folder / f"{self._name}-{file}.pem", self._folder / f"{self._name}-{file}.key"
        paths[0].write_bytes(builder.sign(self._key, SHA256()).public_bytes(Encoding.PEM))
        paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return paths


@dataclass
class Plants:
    """A backend whose vPKI has callers: with client certificates, and one by its network."""

    backend: Backend
    folder: Path
    plants: Authority
    foreign: Authority
    root: Path

    def client(self, name: str = "ulsan", by: Authority | None = None, patience: float = 2) -> Client:
        shown = (by or self.plants).issue(name)
        return Client(Server(self.url, self.root, *shown), patience)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.backend.vpki_port}"

    def log(self, event: str) -> list[str]:
        """The reasons that the log has for an event."""
        return [each["why"] for each in self.backend.events(event)]

    def logged(self, event: str, words: str) -> bool:
        """Whether the log says so, now or soon."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            if any(words in why for why in self.log(event)):
                return True
            time.sleep(0.05)
        return False


CONFIG = """\
[vpki]
client_ca = "{client_ca}"
{more}

[[vpki.callers]]
name = "ulsan"
certificates = ["ulsan"]

[[vpki.callers]]
name = "supplier"
networks = ["127.0.0.0/8"]
certificates = ["supplier"]
tiers = ["P002"]
products = ["v1/prov"]

[[vpki.callers]]
name = "elsewhere"
networks = ["10.0.0.0/8"]
certificates = ["elsewhere"]
"""


@contextmanager
def opened(folder: Path, more: str = "", *options: str) -> Iterator[Plants]:
    plants, foreign = Authority(folder, "plants"), Authority(folder, "foreign")
    config = folder / "voltroot.toml"
    config.write_text(CONFIG.format(client_ca=plants.pem, more=more))
    backend = Backend(folder / "backend", ("--config", str(config), *options))
    try:
        backend.start()
        root = folder / "root.pem"
        root.write_bytes(backend.fetch("/ca/csms-root.pem"))
        yield Plants(backend, folder, plants, foreign, root)
        if backend.process is not None:
            backend.stop()
    finally:
        backend.discard()


@pytest.fixture(scope="module")
def plants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plants]:
    with opened(tmp_path_factory.mktemp("plants"), "", "--processes", "2") as made:
        yield made


def asked(backend: Backend, path: str, body: Any) -> tuple[int, dict[str, str]]:
    """Ask with curl, as the definition does it."""
    url = f"http://127.0.0.1:{backend.vpki_port}/api/{path}"
    said = run("curl", "-sS", "-w", "\n%{http_code}", *HEADER, "-d", json.dumps(body), url)
    answer, _, status = said.rpartition("\n")
    return int(status), json.loads(answer)


def test_the_repaired_request_of_the_definition_is_issued_reissued_and_revoked(
    backend: Backend, tmp_path: Path
) -> None:
    dn = "cn=KM8P2YDTDAX11F86M9,ou=P001,ou=C001,ou=ECC,o=HKMC,dc=OEM"
    status, first = asked(backend, "v1/prov/issue", enrol(SAMPLE.read_text()))
    assert status == 200
    own = tmp_path / "own.pem"
    own.write_text(first["cert"])
    text = run("openssl", "x509", "-in", own, "-noout", "-text", "-nameopt", "RFC2253,sep_comma_plus")
    for words in (
        "Version: 3 (0x2)",
        "Signature Algorithm: ecdsa-with-SHA256",
        "Issuer: CN=CA01001,OU=ECC,O=HKMC,C=KR",
        "Subject: CN=KM8P2YDTDAX11F86M9,OU=P001,OU=C001,OU=ECC,O=HKMC,DC=OEM",
        "14:59:59 20",
        "X509v3 Key Usage: critical",
        "Digital Signature, Key Agreement",
        "Policy: X509v3 Certificate Policies\n",  # as OpenSSL calls 2.5.29.32
        "X509v3 Basic Constraints: critical",
        "CA:FALSE",
    ):
        assert words in text, words
    chain = tmp_path / "chain.pem"
    chain.write_bytes(backend.fetch("/ca/vpki-ca-2/chain.pem"))
    run("openssl", "verify", "-x509_strict", "-CAfile", chain, own)
    status, _ = asked(backend, "v1/prov/reissue", enrol(SAMPLE.read_text()))
    assert status == 403
    key, request = tmp_path / "new.key", tmp_path / "new.csr"
    subject = "/DC=OEM/O=HKMC/OU=ECC/OU=C001/OU=P001/CN=KM8P2YDTDAX11F86M9"
    options = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-subj", subject]
    run("openssl", "req", "-new", *options, "-out", request)
    status, second = asked(backend, "v1/prov/reissue", enrol(request.read_text()))
    assert status == 200
    (tmp_path / "second.pem").write_text(second["cert"])
    crl = tmp_path / "own.crl"
    for file, ok, said in ((own, 2, "revoked"), (tmp_path / "second.pem", 0, "OK")):
        (place,) = certificate(file.read_text()).crl_addresses
        crl.write_bytes(backend.fetch(place))
        run("openssl", "crl", "-inform", "DER", "-in", crl, "-out", crl)
        assert said in run("openssl", "verify", "-crl_check", "-CRLfile", crl, "-CAfile", chain, file, ok=(ok,))
    assert asked(backend, "v1/prov/revoke", {"dn": dn}) == (200, {})
    assert asked(backend, "v1/prov/revoke", {"dn": dn}) == (403, {"resultMessage": "already revoked"})


def test_openssl_verifies_a_certificate_of_every_product(backend: Backend, tmp_path: Path) -> None:
    roots = tmp_path / "roots.pem"
    roots.write_bytes(backend.fetch("/ca/roots.pem?edition=vPKI"))
    for product in PRODUCTS:
        own = product._replace(holder=f"openssl-{product.path.replace('/', '-')}")
        status, answer = asked(backend, f"{product.path}/issue", enrol(csr(own)))
        assert status == 200, answer
        file, above = tmp_path / "own.pem", tmp_path / "above.pem"
        file.write_text(answer["cert"])
        issuer = str(certificate(answer["cert"]).issuer.get("CN"))
        slug = {"CA01001": "vpki-ca-2", "CA05001": "vpki-prov-ca-20", "CA05002 DEV": "vpki-ccu-ca-20"}.get(
            issuer, "vpki-vehicle-ca-20"
        )
        above.write_bytes(backend.fetch(f"/ca/{slug}.pem"))
        # OpenSSL knows no critical key identifiers, which the definition's samples for two products have.
        known = ["-ignore_critical"] if product.path in ("v2/vehicle", "v2/est") else ["-x509_strict"]
        run("openssl", "verify", *known, "-CAfile", roots, "-untrusted", above, file)


def test_without_callers_it_is_open_on_the_loopback_only_and_says_so_loudly(backend: Backend, tmp_path: Path) -> None:
    said = (backend.folder / "backend.out").read_text()
    assert f"http://127.0.0.1:{backend.vpki_port}/api   NO TLS, ANYBODY ON THIS MACHINE MAY CALL" in said
    other = Backend(tmp_path / "other", ("--host", "0.0.0.0"))
    other.start()
    try:
        assert "vPKI API              off: name its callers in [vpki]" in (other.folder / "backend.out").read_text()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", other.vpki_port), 1)
    finally:
        other.discard()


def test_of_two_plants_that_ask_at_once_one_has_it(plants: Plants) -> None:
    """Two processes serve; for the same name once one 200 and one 403, for the same key in two products as well."""

    server = Server(plants.url, plants.root, *plants.plants.issue("ulsan"))

    def ask(barrier: threading.Barrier, path: str, body: dict[str, Any]) -> str:
        with Client(server) as client:
            client._send(path, b"{}", {})  # the connection is there before it is needed
            barrier.wait(10)
            status, octets = client._send(path, json.dumps(body).encode(), {})
            return f"{status} {json.loads(octets).get('resultMessage', '')}"

    def raced(asks: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
        barrier = threading.Barrier(len(asks))
        with ThreadPoolExecutor(len(asks)) as pool:
            return sorted(pool.map(lambda one: ask(barrier, *one), asks))

    for number in range(8):
        own = PROV._replace(holder=f"race{number}")
        said = raced([("v1/prov/issue", enrol(csr(own))) for _ in range(2)])
        assert said == ["200 ", "403 Valid certificate exists on this DN. Please reissue."]
        key, other = suites.generate(PROV.suite), PRODUCTS[3]._replace(holder=f"race{number}.example")
        products = [PROV._replace(holder=f"key{number}"), other]
        said = raced([(f"{product.path}/issue", enrol(csr(product, key=key))) for product in products])
        assert said == ["200 ", "403 Same key already used"]


def test_who_is_not_known_by_certificate_is_refused_with_the_reason_in_our_log_only(plants: Plants) -> None:
    body = csr(PROV._replace(holder="nobody"))
    strangers = {
        "no certificate": (Client(Server(plants.url, plants.root), 0.5), "peer did not return a certificate"),
        "a foreign CA": (plants.client(by=plants.foreign, patience=0.5), "unable to get"),
    }
    for what, (client, why) in strangers.items():
        with client, pytest.raises(Unavailable):
            client.issue("v1/prov", body, OWN)
        assert plants.logged("handshake.refused", why), (what, plants.log("handshake.refused"))
    with plants.client("elsewhere") as client, pytest.raises(Answered) as refused:
        client.issue("v1/prov", body, OWN)
    assert (refused.value.status, str(refused.value)) == (
        403,
        "the service answered 403 without a word: may this machine call it?",
    )
    assert plants.logged("request.refused", "elsewhere: another network")
    with plants.client("nobody-of-ours") as client, pytest.raises(Answered, match="403"):
        client.issue("v1/prov", body, OWN)
    assert plants.logged("request.refused", "another's")
    with plants.client("supplier") as client:
        for product, why in (
            ("v1/prov", "supplier may not ask for the tier P001"),
            ("v2/est", "may not ask for v2/est"),
        ):
            with pytest.raises(Answered, match="403"):
                client.issue(product, body, OWN)
            assert plants.logged("request.refused", why)
        own = PROV.subject("of the supplier", tier="P002")
        assert client.issue("v1/prov", csr(PROV, own), OWN._replace(tier="P002"))


@pytest.mark.parametrize(
    ("version", "good"),
    [(ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)],
    ids=["1.1", "1.2", "1.3"],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1")
def test_tls_is_1_2_or_1_3(plants: Plants, version: ssl.TLSVersion, good: bool) -> None:
    context = ssl.create_default_context(cafile=plants.root)
    context.load_cert_chain(*plants.plants.issue("ulsan"))
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", plants.backend.vpki_port), 5) as plain:
        if good:
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
                assert connection.version() == version.name.replace("_", ".")
            return
        with pytest.raises(ssl.SSLError):
            context.wrap_socket(plain, server_hostname="127.0.0.1")
    assert plants.logged("handshake.refused", "UNSUPPORTED_PROTOCOL")


def test_a_server_certificate_from_a_file_is_taken_anew_without_a_restart(tmp_path: Path) -> None:
    house = Authority(tmp_path, "house")
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.DNSName("vpki.example")])
    files = house.issue("server", names)
    more = f'certificate = "{files[0]}"\nkey = "{files[1]}"'

    def serial(plants: Plants) -> int:
        context = ssl.create_default_context(cafile=house.pem)
        context.load_cert_chain(*plants.plants.issue("ulsan"))
        plain = socket.create_connection(("127.0.0.1", plants.backend.vpki_port), 5)
        with context.wrap_socket(plain, server_hostname="vpki.example") as connection:
            return Certificate.read(connection.getpeercert(binary_form=True) or b"").serial

    with opened(tmp_path, more) as plants:
        server = Server(plants.url.replace("127.0.0.1", "localhost"), house.pem, *plants.plants.issue("ulsan"))
        with Client(server, 1) as client:
            assert client.issue("v1/prov", csr(PROV), OWN)
            first = serial(plants)
            house.issue("server", names)
            assert plants.backend.process is not None
            plants.backend.process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + 5
            while serial(plants) == first:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            second = serial(plants)
            house.issue("server", names)
            files[1].write_text("no key any more")
            plants.backend.process.send_signal(signal.SIGHUP)
            assert plants.logged("reload.refused", "cannot be used")
            assert serial(plants) == second, "what was good goes on"
            client.revoke("v1/prov", PROV.dn())
        (fault,) = plants.backend.faults()
        assert "reload.refused" in fault
        plants.backend.discard()


def test_behind_a_proxy_a_caller_is_known_by_the_address_that_the_proxy_saw(tmp_path: Path) -> None:
    config = tmp_path / "voltroot.toml"
    config.write_text(
        '[vpki]\ntls = false\nproxies = ["127.0.0.1"]\n\n[[vpki.callers]]\nname = "ulsan"\nnetworks = ["10.1.0.0/16"]\n'
    )
    backend = Backend(tmp_path / "backend", ("--config", str(config)))
    try:
        backend.start()
        url = f"http://127.0.0.1:{backend.vpki_port}/api/v1/prov/issue"
        body = json.dumps(enrol(csr(PROV)))
        for forwarded, status in (("10.2.0.1", "403"), ("", "403"), ("10.1.0.1, 10.2.0.1", "403"), ("10.1.0.1", "200")):
            header = ["-H", f"X-Forwarded-For: {forwarded}"] if forwarded else []
            said = run("curl", "-sS", "-w", "%{http_code}", "-o", "/dev/null", *HEADER, *header, "-d", body, url)
            assert said == status, forwarded
        backend.stop()
    finally:
        backend.discard()


@pytest.mark.parametrize(
    "count", [pytest.param(2_000, id="2000"), pytest.param(10_000, marks=pytest.mark.soak, id="10000")]
)
def test_a_production_line_has_each_certificate_once_though_the_server_is_killed_five_times(
    own_backend: Backend, tmp_path: Path, count: int
) -> None:
    requests = tmp_path / "requests.csv"
    lines = ["csr,name,product"]
    for number in range(count):
        own = (PROV, PRODUCTS[3])[number % 2]._replace(holder=f"L{number:06}")
        lines.append(f'"{csr(own)}",item{number},{own.path}')
    requests.write_text("\n".join(lines) + "\n")
    options = [word for name, code in OWN._asdict().items() for word in (f"--{name}", code)]
    command = [str(VOLTROOT), "vpki", "batch", str(requests), *options, "--patience", "60", "--json"]
    command += ["--server", f"http://127.0.0.1:{own_backend.vpki_port}"]
    results = tmp_path / "requests.csv.results.jsonl"

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    line = start()
    for kill in range(5):
        wanted = (kill + 1) * count // 7
        while not results.exists() or results.read_bytes().count(b"\n") < wanted:
            assert line.poll() is None, line.stderr and line.stderr.read()
            time.sleep(0.02)
        if kill == 2:  # and once the line itself falls over
            line.kill()
            line.communicate()
            with results.open("ab") as file:
                file.write(b'{"name": "item0", "sta')
            line = start()
        time.sleep(random.uniform(0, 0.1))
        own_backend.kill()
        own_backend.start()
    out, said = line.communicate(timeout=300)
    assert line.returncode == 0, said
    assert json.loads(out) == {"issued": count, "refused": 0, "unanswered": 0}
    answers = [json.loads(one) for one in results.read_text().splitlines()]
    assert sorted(one["name"] for one in answers) == sorted(f"item{number}" for number in range(count))
    told = {int(one["serial"]) for one in answers}
    assert len(told) == count
    shown = run(VOLTROOT, "vpki", "report", "--data", own_backend.data, "--by", "product,caller", "--json")
    assert [(row["issued"], row["valid"]) for row in json.loads(shown)] == [(str(count // 2),) * 2] * 2
    listed = run(VOLTROOT, "vpki", "report", "--data", own_backend.data, "--list", "--most", str(2 * count), "--json")
    recorded = Counter(row["subject"] for row in json.loads(listed))
    assert set(recorded.values()) == {1}
    assert {int(row["serial"]) for row in json.loads(listed)} == told
    again = run(*command)
    assert json.loads(again)["issued"] == count
    results.unlink()
    assert json.loads(run(*command))["issued"] == count, "the answers can be had again from the requests alone"
    assert {int(json.loads(one)["serial"]) for one in results.read_text().splitlines()} == told
