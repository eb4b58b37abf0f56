"""A backend that dies at one certain system call: strace kills it there, and what it left behind is looked at."""

from __future__ import annotations

import base64
import http.client
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12

from apis.pnc.conftest import csr
from backend import Backend

pytestmark = pytest.mark.slow

SECC, BY_CSR, PFX = "/api/v2/cpo/seccCert", "/api/v2/cpo/seccCertByCsr", "/api/v2/cpo/downloadSeccCert"
# How long a reservation may stand in the way after a crash, in seconds.
LEASE = 10


def killed_at(backend: Backend, call: str, turn: int, method: str, path: str, body: Any) -> bool:
    """Ask for something, and kill the backend where one of its threads makes a system call for the ``turn``-th time.

    It is up again afterwards. False where it lived, because it makes fewer such calls; what else makes them, as the
    audit log does, may have killed it after it answered.
    """
    assert backend.process is not None
    with dying_at(backend, call, turn):
        try:
            assert backend.call(method, path, body).data
        except (http.client.HTTPException, ConnectionError):
            backend.process.wait(30)
    if backend.process.returncode is None:
        return False
    assert backend.process.returncode == -signal.SIGKILL
    backend.process = None
    backend.start()
    return True


@contextmanager
def dying_at(backend: Backend, call: str, turn: int) -> Iterator[None]:
    """The backend dies where one of its threads makes a system call for the ``turn``-th time while the block runs."""
    assert backend.process is not None
    inject = ["-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={turn}"]
    command = ["strace", "-f", *inject, "-o", backend.folder / "trace", "-p", str(backend.process.pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as strace:
        assert strace.stderr is not None
        assert b"attached" in (said := strace.stderr.readline()), said
        try:
            yield
        finally:
            # It ends with the backend; told to end while that dies, it may wait for ever.
            with suppress(subprocess.TimeoutExpired):
                backend.process.wait(0.2)
            if backend.process.returncode is None:
                strace.terminate()
            with suppress(subprocess.TimeoutExpired):
                strace.wait(10)
            strace.kill()
            # A kill that was under way when strace let go.
            with suppress(subprocess.TimeoutExpired):
                backend.process.wait(0.1)


def test_a_crash_at_a_sync_loses_a_certificate_or_keeps_it_but_no_name_and_no_key(own_backend: Backend) -> None:
    kept, lost = [], []
    # What else syncs at that moment, such as the audit log, may take the kill: then it is tried again.
    for attempt in range(5):
        for turn in count(1):
            body = {"cn": f"synced-{attempt}-{turn}", "pkcs10Data": csr()}
            if not killed_at(own_backend, "fdatasync", turn, "POST", BY_CSR, body):
                break
            found = own_backend.call("GET", f"{SECC}/{body['cn']}").envelope["status"] == "success"
            (kept if found else lost).append(body)
        if lost and kept:
            break
    assert lost, "it syncs before it signs"
    assert kept, "it syncs before it answers"
    time.sleep(LEASE + 2)
    for body in lost:
        issued = own_backend.call("POST", BY_CSR, body).data
        assert own_backend.call("GET", f"{SECC}/{body['cn']}").data == issued
    for body in kept:
        assert own_backend.call("POST", BY_CSR, body).refusal
        found = own_backend.call("GET", f"{SECC}/{body['cn']}").data
        request = x509.load_der_x509_csr(base64.b64decode(body["pkcs10Data"]))
        certificate = x509.load_der_x509_certificate(base64.b64decode(found["certificateData"]))
        assert certificate.public_key() == request.public_key()


def test_a_revocation_that_was_on_disk_before_a_crash_holds(own_backend: Backend) -> None:
    codes = []
    for turn in count(1):
        name = {"seccId": f"revoked-{turn}"}
        issued = own_backend.call("POST", SECC, name).data
        dn = {"subjectDn": issued["subjectDn"]}
        if not killed_at(own_backend, "fdatasync", turn, "DELETE", SECC, dn):
            break
        again = own_backend.call("DELETE", SECC, dn).data
        assert again["serial"] == issued["serial"]
        codes.append(again["resultCode"])
        assert own_backend.call("POST", SECC, name).data["serial"] != issued["serial"]
    assert "4002" in codes, "it syncs before it answers"
    assert set(codes) <= {"4000", "4002"}


@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.soak)])
def test_a_crash_at_any_write_to_the_ledger_is_harmless(own_backend: Backend, step: int) -> None:
    names = []
    for turn in count(1, step):
        names.append(f"written-{turn}")
        if not killed_at(own_backend, "pwrite64", turn, "POST", SECC, {"seccId": names[-1]}):
            break
    assert len(names) > 20 / step
    time.sleep(LEASE + 2)
    for name in names:
        answer = own_backend.call("POST", SECC, {"seccId": name})
        found = own_backend.call("GET", f"{SECC}/{name}").data
        if answer.envelope["status"] == "success":
            assert answer.data["serial"] == found["serial"]
        else:
            assert "occupied" in answer.refusal
        body = {"serial": found["serial"], "password": "123123"}
        pfx = own_backend.call("POST", PFX, body).data["pfxCert"]
        key, own, _ = pkcs12.load_key_and_certificates(base64.b64decode(pfx), b"123123")
        assert key is not None
        assert own is not None
        assert (own.serial_number, own.public_key()) == (int(found["serial"]), key.public_key())
