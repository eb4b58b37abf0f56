"""What is published, as OpenSSL, GnuTLS and Java read it from a running backend."""

from __future__ import annotations

import asyncio
import base64
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx2 as httpx
import pytest
from starlette.types import Receive, Scope, Send

from voltroot.app.backend import Backend
from voltroot.app.config import Config, Serve
from voltroot.pki.ports import Entry, Reason
from voltroot.pki.suites import ED448, P521_SHA512, RSA_SHA384, Suite
from voltroot.serve.http import Servers, open_socket
from world import BASE, World

pytestmark = pytest.mark.slow

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "publishing.md"

REVOKED = "error 23 at 0 depth lookup: certificate revoked"

# Profile, suite of the leaf, and the CA that issues it.
OCSP_BRANCHES = [
    ("SECC_2", None, "cpo-sub2-2"),
    ("SECC_20", P521_SHA512, "cpo-sub2-20"),
    ("SECC_20", ED448, "cpo-sub2-20-ed448"),
    ("CHARGING_STATION", RSA_SHA384, "csms-sub-rsa"),
]
CRL_BRANCHES = [
    ("SECC_2", None, "cpo-sub2-2"),
    ("OEM_PROV_20", P521_SHA512, "oem-sub2-20"),
    ("OEM_PROV_20", ED448, "oem-sub2-20-ed448"),
    ("CHARGING_STATION", RSA_SHA384, "csms-sub-rsa"),
]


@dataclass
class Running:
    """A backend that serves, and a folder where what was fetched from it lies."""

    base: str
    backend: Backend
    world: World
    folder: Path

    def leaf(self, name: str, profile: str, suite: Suite | None, file: str = "leaf.pem") -> Entry:
        """Issue a certificate with addresses of this backend."""
        # A name is held by one certificate of a profile, whatever the suite.
        entry = self.backend.authority.issue(self.world.order(profile, f"{name}{suite.name if suite else ''}", suite))
        (self.folder / file).write_text(entry.read().pem)
        return entry

    def revoke(self, entry: Entry) -> None:
        """Revoke a certificate, and wait for the second that OCSP has; small CRLs need no longer."""
        self.backend.authority.revoke([entry], Reason.KEY_COMPROMISE, door="test")
        time.sleep(1)

    def fetch(self, path: str, file: str) -> Path:
        """Download a file."""
        answer = httpx.get(self.base + path)
        assert answer.status_code == 200, answer.text
        (self.folder / file).write_bytes(answer.content)
        return self.folder / file

    def run(self, command: str, *, status: int = 0) -> str:
        """Run a command in the folder and return all that it prints."""
        done = subprocess.run(command.split(), cwd=self.folder, capture_output=True, text=True, timeout=30)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def trust(self, slug: str) -> None:
        """Fetch the roots, a CA and its chain."""
        self.fetch("/ca/roots.pem", "roots.pem")
        self.fetch(f"/ca/{slug}.pem", "issuer.pem")
        self.fetch(f"/ca/{slug}/chain.pem", "chain.pem")

    def crls(self, slug: str) -> None:
        """Fetch the full CRLs of a CA and those above it into one file."""
        chain = self.world.issuers.standing().chain(self.world.issuers.standing().by_slug[slug].number)
        slugs = {issuer.certificate.der: issuer.slug for issuer in self.world.issuers.standing().cas.values()}
        pems = []
        for certificate in chain:
            self.fetch(f"/crl/{slugs[certificate.der]}.crl", "one.crl")
            pems.append(self.run("openssl crl -inform DER -in one.crl"))
        (self.folder / "crls.pem").write_text("".join(pems))


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    world = World.made(tmp_path_factory.mktemp("world") / "world")

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await backend.application(scope, receive, send)

    servers = Servers(application)
    listener = open_socket("127.0.0.1", 0)
    servers.add(listener)
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    backend = Backend(Config(data=str(world.folder), serve=Serve(base=base)))

    async def run() -> None:
        async with backend.running(lambda: None):
            await servers.run()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    yield Running(base, backend, world, world.folder)
    servers.stop()
    thread.join(10)


@pytest.fixture
def running(serving: Running, tmp_path: Path) -> Running:
    return Running(serving.base, serving.backend, serving.world, tmp_path)


@pytest.mark.parametrize("asking", ["", "-no_nonce", "-sha256", "-sha256 -no_nonce", "-sha512"])
@pytest.mark.parametrize(("profile", "suite", "slug"), OCSP_BRANCHES)
def test_openssl_sees_good_and_within_a_second_revoked(
    running: Running, profile: str, suite: Suite | None, slug: str, asking: str
) -> None:
    entry = running.leaf(f"secc-{asking}", profile, suite)
    running.trust(slug)
    command = f"openssl ocsp {asking} -issuer issuer.pem -cert leaf.pem -url {running.base}/ocsp"
    command += " -CAfile roots.pem -verify_other chain.pem"
    answer = running.run(command)
    assert "Response verify OK" in answer
    assert "leaf.pem: good" in answer
    assert "WARNING" not in answer
    running.revoke(entry)
    answer = running.run(command)
    assert "Response verify OK" in answer
    assert "leaf.pem: revoked" in answer
    assert "Reason: keyCompromise" in answer


def test_openssl_asks_for_several_certificates_at_once(running: Running) -> None:
    revoked = running.leaf("several1", "SECC_2", None, "revoked.pem")
    running.leaf("several2", "SECC_2", None, "good.pem")
    running.trust("cpo-sub2-2")
    running.revoke(revoked)
    answer = running.run(
        f"openssl ocsp -url {running.base}/ocsp -issuer issuer.pem -cert good.pem -sha256 -cert revoked.pem"
        " -serial 4711 -CAfile roots.pem -verify_other chain.pem"
    )
    for line in ("Response verify OK", "good.pem: good", "revoked.pem: revoked", "4711: unknown"):
        assert line in answer


@pytest.mark.parametrize(("profile", "suite", "slug"), OCSP_BRANCHES)
def test_openssl_accepts_what_came_by_get(running: Running, profile: str, suite: Suite | None, slug: str) -> None:
    running.leaf("get", profile, suite)
    running.trust(slug)
    running.run("openssl ocsp -no_nonce -issuer issuer.pem -cert leaf.pem -reqout request.der")
    request = base64.b64encode((running.folder / "request.der").read_bytes()).decode()
    for number, path in enumerate((request, quote(request, safe=""), f"/{request}")):
        running.fetch(f"/ocsp/{path}", f"answer{number}.der")
        answer = running.run(
            f"openssl ocsp -respin answer{number}.der -no_nonce -issuer issuer.pem -cert leaf.pem"
            " -CAfile roots.pem -verify_other chain.pem"
        )
        assert "Response verify OK" in answer
        assert "leaf.pem: good" in answer


@pytest.mark.parametrize(("profile", "suite", "slug"), OCSP_BRANCHES)
def test_gnutls_accepts_the_answer(running: Running, profile: str, suite: Suite | None, slug: str) -> None:
    running.leaf("gnutls", profile, suite)
    running.trust(slug)
    answer = running.run(
        f"ocsptool --ask={running.base}/ocsp --load-issuer issuer.pem --load-cert leaf.pem --load-trust issuer.pem"
    )
    assert "Certificate Status: good" in answer
    assert "Verifying OCSP Response: Success" in answer


@pytest.mark.parametrize(("profile", "suite", "slug"), CRL_BRANCHES)
def test_openssl_verifies_chains_against_full_crls(
    running: Running, profile: str, suite: Suite | None, slug: str
) -> None:
    entry = running.leaf("full", profile, suite)
    running.trust(slug)
    running.crls(slug)
    command = "openssl verify -crl_check_all -CAfile roots.pem -untrusted chain.pem -CRLfile crls.pem leaf.pem"
    assert running.run(command) == "leaf.pem: OK\n"
    running.revoke(entry)
    running.crls(slug)
    assert REVOKED in running.run(command, status=2)


@pytest.mark.parametrize(("profile", "suite", "slug"), CRL_BRANCHES)
def test_openssl_fetches_the_part_that_a_certificate_names(
    running: Running, profile: str, suite: Suite | None, slug: str
) -> None:
    entry = running.leaf("part", profile, suite)
    running.trust(slug)
    command = "openssl verify -crl_check -crl_download -CAfile roots.pem -untrusted chain.pem leaf.pem"
    assert running.run(command) == "leaf.pem: OK\n"
    running.revoke(entry)
    assert REVOKED in running.run(command, status=2)


def test_a_part_does_not_pass_for_the_part_of_another(running: Running) -> None:
    entry = running.leaf("wrong", "SECC_2", None)
    running.trust("cpo-sub2-2")
    other = (entry.serial + 1) % 16
    running.fetch(f"/crl/cpo-sub2-2/{other}.crl", "part.crl")
    command = "openssl verify -crl_check -CAfile roots.pem -untrusted chain.pem -CRLfile part.crl leaf.pem"
    assert "different CRL scope" in running.run(command, status=2)


def test_openssl_gnutls_and_java_read_every_crl(running: Running) -> None:
    running.backend.authority.revoke(
        [running.leaf("read", "SECC_2", None), running.leaf("read", "OEM_PROV_20", ED448)],
        Reason.SUPERSEDED,
        door="test",
    )
    for ca in httpx.get(f"{running.base}/ca").json():
        running.fetch(f"/ca/{ca['slug']}.pem", "ca.pem")
        if "crl" not in ca["addresses"]:
            assert ca["slug"].startswith("cpo-sub")
            continue
        for path in (f"/crl/{ca['slug']}.crl", f"/crl/{ca['slug']}/7.crl"):
            running.fetch(path, "ca.crl")
            assert "verify OK" in running.run("openssl crl -inform DER -in ca.crl -verify -CAfile ca.pem -out crl.pem")
            if path.endswith("/7.crl"):
                # GnuTLS knows no critical issuingDistributionPoint.
                continue
            verified = running.run("certtool --verify-crl --load-ca-certificate ca.pem --infile crl.pem")
            assert "Verified. The certificate is trusted." in verified
    assert "X.509 CRL" in running.run("keytool -printcrl -file ca.crl").replace("X509CRL", "X.509 CRL")


def test_openssl_reads_a_chain_in_pkcs7(running: Running) -> None:
    running.fetch("/ca/oem-sub2-20-ed448", "chain.p7c")
    assert running.run("openssl pkcs7 -inform DER -in chain.p7c -print_certs -noout").count("subject=") == 3


def test_the_guide_does_what_it_says(running: Running) -> None:
    blocks = re.findall(r"^```(?:sh|console)\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    script = "set -euo pipefail\n" + "".join(blocks).replace(BASE, running.base)
    done = subprocess.run(["bash", "-x", "-c", script], cwd=running.folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("station.pem: OK") == 2
    assert done.stdout.count("station.pem: good") == 4
    assert "4711: unknown" in done.stdout
    assert '{"status":"ready"}' in done.stdout
    assert REVOKED in done.stderr
    assert "no longer valid" in done.stdout
