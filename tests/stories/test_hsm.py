"""A backend whose CA keys are in an HSM: it issues, publishes, is restarted, and outlives the HSM's absence."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

import devices
from backend import VOLTROOT, Backend, run
from devices import PIN, Token
from secret_search import holds_key_of
from voltroot.pki.certificates import Certificate

pytestmark = pytest.mark.slow

SECC = "/api/v2/cpo/seccCert"


@pytest.fixture
def token() -> Iterator[Token]:
    with devices.token() as made:
        yield made


@pytest.fixture
def backend(token: Token, tmp_path: Path) -> Iterator[Backend]:
    (tmp_path / "pin").write_text(f"{PIN}\n")
    config = tmp_path / "voltroot.toml"
    config.write_text(f'[keys]\ndevice = "{token.device}"\npin_file = "{tmp_path / "pin"}"\n')
    made = Backend(tmp_path / "backend", ("--config", str(config), "--processes", "2"))
    try:
        yield made.start()
    finally:
        made.discard()


def issue(backend: Backend, name: str) -> x509.Certificate:
    answer = backend.call("POST", SECC, {"seccId": name}).data
    return x509.load_der_x509_certificate(base64.b64decode(answer["provCert"]))


def judge(backend: Backend, folder: Path, leaf: x509.Certificate) -> str:
    """What OpenSSL says of a certificate with the CRLs and OCSP answers that the backend publishes."""
    for name in ("roots.pem", "cpo-sub2-2.pem", "cpo-sub2-2/chain.pem"):
        (folder / name.replace("/", "-")).write_bytes(backend.fetch(f"/ca/{name}"))
    (folder / "leaf.pem").write_text(Certificate.read(leaf.public_bytes(Encoding.DER)).pem)
    lists = ""
    for ca in ("v2g-root-2", "cpo-sub1-2", "cpo-sub2-2"):
        (folder / "crl.der").write_bytes(backend.fetch(f"/crl/{ca}.crl"))
        lists += run("openssl", "crl", "-inform", "DER", "-in", folder / "crl.der", "-outform", "PEM")
    (folder / "crls.pem").write_text(lists)
    said = run("openssl", "verify", "-crl_check_all", "-CRLfile", folder / "crls.pem", "-CAfile", folder / "roots.pem",
               "-untrusted", folder / "cpo-sub2-2-chain.pem", folder / "leaf.pem", ok=(0, 2))  # fmt: skip
    return said + run(
        "openssl", "ocsp", "-issuer", folder / "cpo-sub2-2.pem", "-cert", folder / "leaf.pem", "-url",
        f"{backend.url}/ocsp", "-CAfile", folder / "roots.pem", "-verify_other", folder / "cpo-sub2-2-chain.pem",
    )  # fmt: skip


def test_a_backend_with_its_keys_in_an_hsm(backend: Backend, token: Token, tmp_path: Path) -> None:
    first = issue(backend, "secc001")
    said = judge(backend, tmp_path, first)
    assert "leaf.pem: OK" in said
    assert "Response verify OK" in said
    assert "leaf.pem: good" in said

    # After a restart the same keys sign, escrow opens, and what was issued before can be revoked.
    backend.stop()
    backend.start()
    download = {"serial": str(first.serial_number), "password": "open sesame"}
    pfx = backend.call("POST", "/api/v2/cpo/downloadSeccCert", download).data["pfxCert"]
    key, *_ = pkcs12.load_key_and_certificates(base64.b64decode(pfx), b"open sesame")
    assert key is not None
    assert key.public_key() == first.public_key()
    assert issue(backend, "secc002").issuer == first.issuer
    subject = "CN=secc001,DC=CPO,OU=Voltroot,O=Voltroot Test,C=DE"
    assert backend.call("DELETE", SECC, {"subjectDn": subject}).data["resultCode"] == "4000"
    eventually(lambda: "leaf.pem: revoked" in judge(backend, tmp_path, first))
    assert "certificate revoked" in judge(backend, tmp_path, first)

    # Without the token nothing is issued, and it is said so; what a process has signed before is still published.
    token.take_away()
    refused = backend.call("POST", SECC, {"seccId": "secc003"})
    assert (refused.status, refused.envelope["status"]) == (500, "error")
    assert token.label not in refused.body.decode()
    ready = backend.call("GET", "/ready")
    assert ready.status == 503
    assert token.label in ready.body.decode()
    eventually(lambda: backend.call("GET", "/crl/cpo-sub2-2.crl").status == 200)

    # It comes back without a restart, and no name was lost.
    token.put_back()
    eventually(backend.is_ready)
    eventually(lambda: backend.call("POST", SECC, {"seccId": "secc003"}).envelope["status"] == "success")
    # A process that was just starting could not go on, and was replaced.
    faults = [fault for fault in backend.faults() if '"process.died"' not in fault]
    assert all(token.label in fault and '"trace"' not in fault for fault in faults), faults
    backend.kill()

    secrets_stay_where_they_are(backend, tmp_path)
    the_backup_says_what_it_lacks(backend, tmp_path)


def secrets_stay_where_they_are(backend: Backend, tmp_path: Path) -> None:
    cas = json.loads(run(VOLTROOT, "pki", "show", *backend.options[:2], "--data", backend.data, "--json"))
    keys = [x509.load_pem_x509_certificate(ca["certificate"].encode()).public_key() for ca in cas if ca["use"] != "tls"]
    p256 = [key for key in keys if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1"]
    assert len(p256) > 10
    (tls,) = (backend.data / "keys").iterdir()
    assert tls.name.startswith("tls")
    for path in [path for path in backend.folder.rglob("*") if path.is_file()]:
        octets = path.read_bytes()
        assert PIN.encode() not in octets, path
        for key in p256[:3]:
            assert not holds_key_of(octets, key), path


def the_backup_says_what_it_lacks(backend: Backend, tmp_path: Path) -> None:
    (tmp_path / "passphrase").write_text("correct horse battery\n")
    backup = ("--passphrase-file", tmp_path / "passphrase", tmp_path / "ledger.backup")
    said = run(VOLTROOT, "db", "backup", *backend.options[:2], "--data", backend.data, *backup)
    assert "Not in it, because they cannot leave pkcs11:" in said
    assert "those of escrow and audit log" in said
    assert "and needed with it" in said
    assert "the PIN of the device" in said


def eventually(is_so: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.1)
