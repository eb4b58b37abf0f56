"""Foreign judges of the leaves that a running backend issues: OpenSSL, GnuTLS, Java, curl."""

from __future__ import annotations

import base64
import json
import re
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from backend import VOLTROOT, Backend, run

pytestmark = pytest.mark.slow

PASSWORD = "123123"
PATHS = {"SECC": ("/api/v2/cpo/seccCert", "seccId"), "OEM": ("/api/v2/oem/provCert", "pcid")}
ABOVE = {"SECC": ("cpo-sub2", "cpo-sub1", "v2g-root"), "OEM": ("oem-sub2", "oem-sub1", "oem-root")}
SUFFIXES = {"P-256": "-2", "P-521": "-20", "Ed448": "-20-ed448"}
NEW_KEYS = {
    "P-256": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "P-521": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"],
    "Ed448": ["-newkey", "ed448"],
}
OPENSSL_VERIFY = ["openssl", "verify", "-x509_strict", "-purpose", "any", "-no-CApath", "-no-CAstore"]


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of leaf: whose, of which edition and suite; ``csr`` where the requester keeps the key."""

    role: str
    edition: str
    suite: str
    csr: bool = False

    def __str__(self) -> str:
        return f"{self.role}-{self.edition[8:]}-{self.suite}{'-CSR' if self.csr else ''}"

    @property
    def above(self) -> list[str]:
        """The slugs of the CAs above it, the root last."""
        return [label + SUFFIXES[self.suite] for label in ABOVE[self.role]]

    @property
    def has_crls(self) -> bool:
        """Amendment 1 of ISO 15118-20, tables B.5 and B.6: the CSO branch knows OCSP only."""
        return (self.role, self.edition) != ("SECC", "ISO15118-20")


WITH_KEY = [
    Case(role, edition, suite)
    for role in PATHS
    for edition, suite in (("ISO15118-2", "P-256"), ("ISO15118-20", "P-521"), ("ISO15118-20", "Ed448"))
]
CASES = [*WITH_KEY, *(Case(case.role, case.edition, case.suite, csr=True) for case in WITH_KEY if case.role == "SECC")]
each_case = pytest.mark.parametrize("case", CASES, ids=str)
with_crls = pytest.mark.parametrize("case", [case for case in CASES if case.has_crls], ids=str)
without_crls = pytest.mark.parametrize("case", [case for case in CASES if not case.has_crls], ids=str)


@dataclass(frozen=True, slots=True)
class Trust:
    """A folder of CA certificates as a relying party has them."""

    folder: Path

    @property
    def roots(self) -> Path:
        return self.folder / "roots.pem"

    @property
    def sub_cas(self) -> Path:
        return self.folder / "sub-cas.pem"

    def ca(self, slug: str) -> Path:
        return self.folder / f"{slug}.pem"


@pytest.fixture(scope="module")
def published(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Trust:
    """What is to be had over HTTP."""
    trust = Trust(tmp_path_factory.mktemp("published"))
    cas = json.loads(backend.fetch("/ca"))
    for ca in cas:
        trust.ca(ca["slug"]).write_bytes(backend.fetch(ca["addresses"]["pem"]))
    subordinate = (ca for ca in cas if ca["subject"] != ca["issuer"])
    trust.sub_cas.write_text("".join(trust.ca(ca["slug"]).read_text() for ca in subordinate))
    trust.roots.write_bytes(backend.fetch("/ca/roots.pem"))
    return trust


@pytest.fixture(scope="module")
def exported(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Trust:
    """What an administrator hands out."""
    trust = Trust(tmp_path_factory.mktemp("exported"))
    run(VOLTROOT, "pki", "export", "--data", backend.data, trust.folder)
    return trust


@dataclass(frozen=True, slots=True)
class Leaf:
    """An issued certificate in a file, and what the API told of it."""

    case: Case
    pem: Path
    data: dict[str, Any]

    @property
    def folder(self) -> Path:
        return self.pem.parent

    def write(self, name: str, content: bytes | str) -> Path:
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path


def issue(backend: Backend, case: Case, folder: Path, name: str) -> Leaf:
    path, member = PATHS[case.role]
    if case.csr:
        request, key = folder / "request", folder / "key"
        run("openssl", "req", "-new", *NEW_KEYS[case.suite], "-nodes", "-keyout", key, "-subj", "/CN=of no account",
            "-outform", "DER", "-out", request)  # fmt: skip
        body = {"cn": name, "pkcs10Data": base64.b64encode(request.read_bytes()).decode(), "edition": case.edition}
        data = backend.call("POST", f"{path}ByCsr", body).data
        der = base64.b64decode(data["certificateData"])
    else:
        data = backend.call("POST", path, {member: name, "edition": case.edition, "suite": case.suite}).data
        der = base64.b64decode(data["provCert"])
    leaf = Leaf(case, folder / "leaf.pem", data)
    leaf.write("leaf.cer", der)
    run("openssl", "x509", "-inform", "DER", "-in", folder / "leaf.cer", "-out", leaf.pem)
    return leaf


@pytest.fixture(scope="session")
def issued() -> dict[Case, Leaf]:
    """The leaves that this module's tests share, as long as the backend that issued them."""
    return {}


@pytest.fixture
def leaf(case: Case, issued: dict[Case, Leaf], backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Leaf:
    """A valid certificate of a kind, issued once."""
    if case not in issued:
        issued[case] = issue(backend, case, tmp_path_factory.mktemp("leaf"), f"leaf-{case}")
    return issued[case]


def chain(leaf: Leaf, trust: Trust) -> list[Path]:
    """The files from the leaf up to the root."""
    return [leaf.pem, *(trust.ca(slug) for slug in leaf.case.above)]


def crl_address(certificate: Path) -> list[str]:
    """The addresses in cRLDistributionPoints, as OpenSSL reads them."""
    said = run("openssl", "x509", "-in", certificate, "-noout", "-ext", "crlDistributionPoints", ok=(0, 1))
    return re.findall(r"URI:(\S+)", said)


def crls(backend: Backend, leaf: Leaf, *addresses: str) -> Path:
    """The CRLs at some addresses, in one file of PEM."""
    texts = []
    for place, address in enumerate(addresses):
        der = leaf.write(f"{place}.crl", backend.fetch(address))
        texts.append(run("openssl", "crl", "-inform", "DER", "-in", der))
    return leaf.write("crls.pem", "".join(texts))


def ocsp_status(certificate: Path, issuer: Path, trust: Trust, *options: str) -> str:
    """Ask the responder that the certificate names; its answer must verify."""
    (address,) = run("openssl", "x509", "-in", certificate, "-noout", "-ocsp_uri").split()
    said = run("openssl", "ocsp", "-url", address, "-issuer", issuer, "-cert", certificate, "-CAfile", trust.roots,
               "-verify_other", trust.sub_cas, *options)  # fmt: skip
    assert "Response verify OK" in said
    assert "WARNING" not in said
    (status,) = re.findall(rf"^{re.escape(str(certificate))}: (\w+)$", said, re.MULTILINE)
    return status


def revoke(backend: Backend, leaf: Leaf) -> None:
    """Revoke by the DN as OpenSSL prints it."""
    dn = run("openssl", "x509", "-in", leaf.pem, "-noout", "-subject", "-nameopt", "RFC2253").partition("=")[2]
    body = {"subjectDn": dn.strip(), "edition": leaf.case.edition}
    done = backend.call("DELETE", PATHS[leaf.case.role][0], body).data
    assert (done["resultCode"], done["serial"]) == ("4000", leaf.data["serial"])


def test_what_http_publishes_is_what_an_administrator_exports(published: Trust, exported: Trust) -> None:
    names = {path.name for path in published.folder.iterdir()}
    assert len(names) > 40
    for name in names:
        assert (published.folder / name).read_bytes() == (exported.folder / name).read_bytes(), name


@each_case
@pytest.mark.parametrize("source", ["published", "exported"])
def test_openssl_verifies_every_leaf(leaf: Leaf, source: str, request: pytest.FixtureRequest) -> None:
    trust: Trust = request.getfixturevalue(source)
    command = [*OPENSSL_VERIFY, "-CAfile", trust.roots, "-untrusted", trust.sub_cas, leaf.pem]
    assert run(*command).endswith("leaf.pem: OK\n")
    others = [*OPENSSL_VERIFY, "-CAfile", trust.ca("mo-root-2"), "-untrusted", trust.sub_cas, leaf.pem]
    assert "verification failed" in run(*others, ok=(2,))


@with_crls
def test_openssl_verifies_the_chain_with_its_crls(backend: Backend, leaf: Leaf, published: Trust) -> None:
    command = [*OPENSSL_VERIFY, "-crl_check_all", "-CAfile", published.roots, "-untrusted", published.sub_cas]
    assert "unable to get certificate CRL" in run(*command, leaf.pem, ok=(2,))
    complete = crls(backend, leaf, *(f"/crl/{slug}.crl" for slug in leaf.case.above))
    assert "OK" in run(*command, "-CRLfile", complete, leaf.pem)
    # Every part from where the certificates say; the root names no place for its own, so that one is complete.
    parts = [address for path in chain(leaf, published)[:-1] for address in crl_address(path)]
    assert len(parts) == 3
    named = crls(backend, leaf, *parts, f"/crl/{leaf.case.above[-1]}.crl")
    assert "OK" in run(*command, "-CRLfile", named, leaf.pem)
    root_only = crls(backend, leaf, f"/crl/{leaf.case.above[-1]}.crl")
    assert "OK" in run(*command, "-CRLfile", root_only, "-crl_download", leaf.pem)


@without_crls
def test_the_cso_branch_has_no_crls_and_names_none(backend: Backend, leaf: Leaf, published: Trust) -> None:
    assert [crl_address(path) for path in chain(leaf, published)[:2]] == [[], []]
    for slug in leaf.case.above[:2]:
        assert backend.call("GET", f"/crl/{slug}.crl").status == 404


@each_case
def test_openssl_hears_from_the_responder_that_the_chain_is_good(leaf: Leaf, published: Trust) -> None:
    path = chain(leaf, published)
    for certificate, issuer in pairwise(path):
        assert ocsp_status(certificate, issuer, published) == "good"
        assert ocsp_status(certificate, issuer, published, "-no_nonce") == "good"


@each_case
def test_openssl_hears_of_a_revocation_within_a_second(
    case: Case, backend: Backend, published: Trust, tmp_path: Path
) -> None:
    leaf, issuer = issue(backend, case, tmp_path, f"ocsp-{case}"), published.ca(case.above[0])
    # What was asked before is in the responder's cache.
    assert ocsp_status(leaf.pem, issuer, published, "-no_nonce") == "good"
    revoke(backend, leaf)
    time.sleep(1)
    assert ocsp_status(leaf.pem, issuer, published, "-no_nonce") == "revoked"
    assert ocsp_status(leaf.pem, issuer, published) == "revoked"


@with_crls
def test_openssl_finds_a_revocation_in_crls_within_a_minute(
    case: Case, backend: Backend, published: Trust, tmp_path: Path
) -> None:
    leaf = issue(backend, case, tmp_path, f"crl-{case}")
    command = [*OPENSSL_VERIFY, "-crl_check_all", "-CAfile", published.roots, "-untrusted", published.sub_cas]
    complete = [f"/crl/{slug}.crl" for slug in case.above]
    part = [*crl_address(leaf.pem), *complete[1:]]
    for addresses in (complete, part):
        assert "OK" in run(*command, "-CRLfile", crls(backend, leaf, *addresses), leaf.pem)
    revoke(backend, leaf)
    deadline = time.monotonic() + 60
    for addresses in (complete, part):
        while "OK" in (said := run(*command, "-CRLfile", crls(backend, leaf, *addresses), leaf.pem, ok=(0, 2))):
            assert time.monotonic() < deadline
            time.sleep(0.5)
        assert "certificate revoked" in said


@each_case
def test_gnutls_verifies_every_leaf(leaf: Leaf, published: Trust) -> None:
    above = [trust.read_text() for trust in chain(leaf, published)[:-1]]
    whole = leaf.write("chain.pem", "".join(above))
    command = ["certtool", "--verify", "--verify-profile", "medium", "--infile", whole, "--load-ca-certificate"]
    assert "Chain verification output: Verified." in run(*command, published.roots)
    assert "Not verified" in run(*command, published.ca("mo-root-2"), ok=(1,))


@pytest.mark.parametrize("case", WITH_KEY, ids=str)
def test_java_and_openssl_read_the_pfx_with_its_whole_chain(leaf: Leaf, published: Trust) -> None:
    pfx = leaf.write("leaf.pfx", base64.b64decode(leaf.data["pfxCert"]))
    said = run("keytool", "-J-Duser.language=en", "-list", "-v", "-storetype", "PKCS12", "-keystore", pfx,
               "-storepass", PASSWORD)  # fmt: skip
    assert "Entry type: PrivateKeyEntry" in said
    assert "Certificate chain length: 4" in said
    serials = [int(serial, 16) for serial in re.findall(r"^Serial number: ([0-9a-f]+)$", said, re.MULTILINE)]
    assert serials[0] == int(leaf.data["serial"])
    assert len(set(serials)) == 4
    assert "incorrect" in run("keytool", "-list", "-storetype", "PKCS12", "-keystore", pfx, "-storepass", "1" * 6,
                              ok=(1,))  # fmt: skip
    opened = leaf.write("opened.pem", run("openssl", "pkcs12", "-in", pfx, "-passin", f"pass:{PASSWORD}", "-nodes"))
    assert opened.read_text().count("BEGIN CERTIFICATE") == 4
    held = run("openssl", "pkey", "-in", opened, "-pubout")
    assert held == run("openssl", "x509", "-in", leaf.pem, "-noout", "-pubkey")
    assert run("openssl", "x509", "-in", opened, "-noout", "-fingerprint") == run(
        "openssl", "x509", "-in", leaf.pem, "-noout", "-fingerprint"
    )


@pytest.fixture
def csms_root(published: Trust) -> Path:
    """The root of the backend's own TLS certificate."""
    return published.ca("csms-root")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_https_is_trusted_by_host_name_and_by_address(
    backend: Backend, csms_root: Path, host: str, version: str
) -> None:
    address = f"https://{host}:{backend.tls_port}/api/v2/openapi.json"
    options = ["-sS", "-4", f"--tlsv{version}", "--tls-max", version, "--cacert", csms_root]
    assert '"openapi":"3.1.0"' in run("curl", *options, address)


def test_https_is_not_trusted_under_another_name_or_another_root(
    backend: Backend, csms_root: Path, published: Trust
) -> None:
    options = ["-sS", "--resolve", f"other.example:{backend.tls_port}:127.0.0.1"]
    run("curl", *options, "--cacert", csms_root, f"https://other.example:{backend.tls_port}/health", ok=(60,))
    run("curl", "-sS", "--cacert", published.ca("v2g-root-2"), f"https://127.0.0.1:{backend.tls_port}/health", ok=(60,))


def test_tls_before_1_2_is_refused(backend: Backend) -> None:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{backend.tls_port}", "-cipher", "ALL:@SECLEVEL=0"]
    assert "Cipher is ECDHE" in run(*command, "-tls1_2")
    for version in ("-tls1", "-tls1_1"):
        said = run(*command, version, ok=(1,))
        assert "Cipher is (NONE)" in said
        # The client was willing: the server turned it away.
        assert "alert protocol version" in said or "unexpected eof" in said
