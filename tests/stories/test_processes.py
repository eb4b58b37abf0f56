"""Many processes on one ledger: they take turns, replace one another, and outlive their database's restart."""

from __future__ import annotations

import base64
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

import postgres
from backend import Answer, Backend, Client, configured, free_port

pytestmark = pytest.mark.slow

SECC = "/api/v2/cpo/seccCert"
BY_CSR = "/api/v2/cpo/seccCertByCsr"
ROUNDS = 1_000
GUIDE = Path(__file__).parents[2] / "docs/guides/operations.md"


@pytest.fixture
def cluster() -> Iterator[postgres.Cluster]:
    """A PostgreSQL server that a test may stop."""
    made = postgres.new_cluster()
    yield made
    made.stop()
    shutil.rmtree(made.folder, ignore_errors=True)


def running(stack: ExitStack, backend: Backend) -> Backend:
    stack.callback(backend.discard)
    return backend.start()


def csr() -> str:
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = request.sign(ec.generate_private_key(ec.SECP256R1()), SHA256())
    return base64.b64encode(signed.public_bytes(Encoding.DER)).decode()


def at_once(port: int, bodies: list[dict[str, str]], barrier: threading.Barrier, answers: list[list[Answer]]) -> None:
    """Ask one after the other on one connection, each at the same instant as the other caller."""
    with Client(port) as client:
        client.connect()
        own = []
        for body in bodies:
            barrier.wait(60)
            own.append(client.call("POST", BY_CSR, body))
        answers.append(own)


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_of_two_processes_that_are_asked_for_one_name_or_key_one_says_yes(tmp_path: Path, dialect: str) -> None:
    options = ("--processes", "2")
    if dialect == "postgresql":
        cluster_ = postgres.cluster()
        options += configured(tmp_path / "etc", cluster_.address(cluster_.create()))
    shared = [csr() for _ in range(ROUNDS)]
    left = [{"cn": f"name{n}", "pkcs10Data": csr()} for n in range(ROUNDS)]
    right = [{"cn": f"name{n}", "pkcs10Data": csr()} for n in range(ROUNDS)]
    left += [{"cn": f"left{n}", "pkcs10Data": shared[n]} for n in range(ROUNDS)]
    right += [{"cn": f"right{n}", "pkcs10Data": shared[n]} for n in range(ROUNDS)]
    with ExitStack() as stack:
        backend = running(stack, Backend(tmp_path / "backend", options))
        barrier, answers = threading.Barrier(2), []
        callers = [
            threading.Thread(target=at_once, args=(backend.port, bodies, barrier, answers)) for bodies in (left, right)
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        first, second = answers
        for one, other in zip(first, second, strict=True):
            said = sorted((one.envelope["status"], other.envelope["status"]))
            assert said == ["error", "success"], (one, other)
        backend.stop()


def test_a_process_that_dies_is_replaced_and_its_metrics_are_kept(tmp_path: Path) -> None:
    with ExitStack() as stack:
        backend = running(stack, Backend(tmp_path, ("--processes", "2")))
        for number in range(20):
            assert backend.call("POST", SECC, {"seccId": f"secc{number}"}).data["status"] == "VALID"
        before = children(backend)
        os.kill(before[0], signal.SIGKILL)
        eventually(lambda: len(children(backend)) == 2 and children(backend) != before)
        eventually(backend.is_ready)
        assert backend.call("POST", SECC, {"seccId": "secc20"}).data["status"] == "VALID"
        for _ in range(10):
            assert 'voltroot_certificates_issued_total{profile="SECC_2"} 21.0' in backend.fetch("/metrics").decode()


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_reload_refuses_nobody_and_one_that_comes_too_soon_is_made_good(tmp_path: Path, processes: str) -> None:
    with ExitStack() as stack:
        backend = Backend(tmp_path, ("--processes", processes))
        stack.callback(backend.discard)
        backend.spawn()
        assert backend.process is not None
        eventually((backend.data / "ceremony.lock").exists)
        backend.process.send_signal(signal.SIGHUP)
        eventually(lambda: reloads(backend) == 1, 60)
        before, outcomes, stopping = children(backend), Counter[str](), threading.Event()

        def ask() -> None:
            while not stopping.is_set():
                try:
                    outcomes[str(backend.call("GET", "/health").status)] += 1
                except (OSError, http.client.HTTPException) as error:
                    outcomes[repr(error)] += 1

        asking = threading.Thread(target=ask)
        asking.start()
        backend.process.send_signal(signal.SIGHUP)
        eventually(lambda: reloads(backend) == 2)
        stopping.set()
        asking.join()
        assert set(outcomes) == {"200"}
        if processes == "2":
            assert not set(before) & set(children(backend))
        backend.stop()


@pytest.mark.parametrize(
    "mistake", ["[serve]\nprot = 1\n", '[keys]\ndevice = "pkcs11:token=none?module-path=/none"\n'], ids=["read", "used"]
)
def test_a_reload_with_a_mistake_changes_nothing(tmp_path: Path, mistake: str) -> None:
    path = tmp_path / "voltroot.toml"
    path.write_text("")
    with ExitStack() as stack:
        backend = running(stack, Backend(tmp_path / "backend", ("--processes", "2", "--config", str(path))))
        before = children(backend)
        # One that is up answers for both; the other may still have to read its configuration.
        eventually(lambda: all(map(hears_hangups, before)))
        path.write_text(mistake)
        assert backend.process is not None
        backend.process.send_signal(signal.SIGHUP)
        eventually(lambda: "reload.refused" in backend.log.read_text())
        assert children(backend) == before
        assert backend.is_ready()
        # One that dies cannot come back; and Ctrl-C, which the terminal tells whoever is just starting too.
        os.kill(before[0], signal.SIGKILL)
        eventually(lambda: backend.log.read_text().count("process.died") == 2 and len(children(backend)) == 2)
        os.killpg(backend.process.pid, signal.SIGINT)
        assert backend.process.wait(30) == 0
        assert all(line.startswith("{") and '"trace"' not in line for line in backend.log.read_text().splitlines())


def test_a_backend_that_is_just_reloading_can_be_stopped(tmp_path: Path) -> None:
    path = tmp_path / "voltroot.toml"
    path.write_text("")
    with ExitStack() as stack:
        backend = running(stack, Backend(tmp_path / "backend", ("--processes", "2", "--config", str(path))))
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        path.write_text(f'[ledger]\nurl = "postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/none"\n')
        assert backend.process is not None
        backend.process.send_signal(signal.SIGHUP)
        eventually(lambda: len(children(backend)) == 3)
        backend.stop()


def test_when_the_first_process_is_gone_the_others_go_too(tmp_path: Path) -> None:
    with ExitStack() as stack:
        backend = running(stack, Backend(tmp_path, ("--processes", "2")))
        orphans = children(backend)
        assert backend.process is not None
        os.kill(backend.process.pid, signal.SIGKILL)
        backend.process.wait()
        eventually(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in orphans))


def test_a_restart_of_postgresql_loses_nothing_and_needs_none_of_ours(
    tmp_path: Path, cluster: postgres.Cluster
) -> None:
    options = configured(tmp_path / "etc", cluster.address(cluster.create()))
    with ExitStack() as stack:
        backend = running(stack, Backend(tmp_path / "backend", options))
        issued, outcomes, stopping = dict[str, str](), Counter[int](), threading.Event()

        def ask(worker: int) -> None:
            number = 0
            while not stopping.is_set():
                number += 1
                name = f"secc-{worker}-{number}"
                answer = backend.call("POST", SECC, {"seccId": name})
                outcomes[answer.status] += 1
                if answer.status == 200 and answer.envelope["status"] == "success":
                    issued[name] = answer.data["provCert"]

        workers = [threading.Thread(target=ask, args=(worker,)) for worker in range(4)]
        for worker in workers:
            worker.start()
        time.sleep(1)
        cluster.stop()
        time.sleep(1)
        cluster.start()
        back_within = time.monotonic() + 5
        eventually(lambda: backend.call("POST", SECC, {"seccId": f"probe{time.monotonic()}"}).status == 200, 5)
        assert time.monotonic() < back_within
        stopping.set()
        for worker in workers:
            worker.join()
        assert set(outcomes) <= {200, 500}
        assert issued
        assert outcomes[500] > 0
        for name, certificate in issued.items():
            assert backend.call("GET", f"{SECC}/{name}").data["certificateData"] == certificate


def test_two_backends_behind_nginx_survive_the_loss_of_one(tmp_path: Path, cluster: postgres.Cluster) -> None:
    front = free_port()
    url = cluster.address(cluster.create())
    with ExitStack() as stack:
        pair = []
        for name in ("one", "two"):
            options = configured(tmp_path / name, url, f"http://127.0.0.1:{front}")
            backend = Backend(tmp_path / name, options)
            if pair:
                shutil.copytree(pair[0].data / "keys", backend.data / "keys")
            pair.append(running(stack, backend))
        stack.enter_context(nginx(tmp_path, front, [backend.port for backend in pair]))
        with Client(front) as client:
            eventually(lambda: answers(client))
            for number in range(20):
                assert client.call("POST", SECC, {"seccId": f"before{number}"}).data["status"] == "VALID"
            pair[0].kill()
            lost = 0
            for number in range(60):
                answer = client.call("POST", SECC, {"seccId": f"after{number}"})
                lost += answer.status != 200
            assert lost <= 2
            for number in range(20):
                assert client.call("GET", f"{SECC}/before{number}").data["subject"] == f"before{number}"


@contextmanager
def nginx(folder: Path, front: int, ports: list[int]) -> Iterator[None]:
    """Run nginx as the guide configures it, with other addresses."""
    (shown,) = re.findall(r"^```text\n(upstream.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    left = iter(ports)
    shown = re.sub(r"backend\d:15118", lambda _: f"127.0.0.1:{next(left)}", shown)
    shown = shown.replace("listen 15118;", f"listen 127.0.0.1:{front};")
    (folder / "nginx.conf").write_text(f"""
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{}}
http {{
    access_log off;
{shown}
}}
""")
    with subprocess.Popen(["/usr/sbin/nginx", "-c", str(folder / "nginx.conf")]) as process:
        yield
        process.terminate()


def answers(client: Client) -> bool:
    try:
        return client.call("GET", "/ready").status == 200
    except (OSError, http.client.HTTPException):
        return False


def reloads(backend: Backend) -> int:
    return backend.log.read_text().count("configuration.reloaded")


def children(backend: Backend) -> list[int]:
    """The processes that serve."""
    assert backend.process is not None
    pids = Path(f"/proc/{backend.process.pid}/task/{backend.process.pid}/children").read_text().split()
    return [pid for pid in map(int, pids) if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]


def hears_hangups(pid: int) -> bool:
    """Whether a process has come so far that it takes SIGHUP, the first of signals."""
    (blocked,) = re.findall(r"SigBlk:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())
    return not int(blocked, 16) & 1


def eventually(is_so: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)
