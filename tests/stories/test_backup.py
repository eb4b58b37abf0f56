"""A backup that is made under load, and what stands up from it: nothing that was answered before it is missing."""

from __future__ import annotations

import base64
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12
from cryptography.x509 import ocsp
from sqlalchemy import inspect

import ocsp_requests
import postgres
from backend import VOLTROOT, Backend, run
from stories.crowd import Worker, crowd
from voltroot.pki.certificates import Certificate
from voltroot.store.engine import open_engine, reading, sqlite_url
from voltroot.store.transfer import dump, snapshot

pytestmark = pytest.mark.slow

SECC, PFX = "/api/v2/cpo/seccCert", "/api/v2/cpo/downloadSeccCert"
ISSUERS = {"cpo": "cpo-sub2-2", "oem": "oem-sub2-2"}
ENOUGH = 150


@dataclass(frozen=True, slots=True)
class Told:
    """What the clients had been answered at some moment: certificates by their serials, with the role that asked."""

    certificates: dict[int, tuple[str, Certificate]]
    by_id: set[int]
    revoked: set[int]

    @classmethod
    def by_now(cls, workers: list[Worker]) -> Told:
        """What the answers have said until now."""
        holders = [holder for worker in workers for holder in list(worker.holders)]
        # What was revoked or made here was told before: each list is read before the one that it points into.
        revoked = {serial for holder in holders for serial in list(holder.revoked)}
        by_id = {serial for holder in holders if holder.role == "cpo" for serial in list(holder.by_id)}
        told = {each.serial: (holder.role, each) for holder in holders for each in list(holder.told)}
        return cls(told, by_id, revoked)


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup, what had been answered when it began, and what had been in the end."""

    file: Path
    secret: Path
    before: Told
    in_the_end: Told


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backup]:
    """Two processes that are kept busy while they are backed up."""
    folder = tmp_path_factory.mktemp("backup")
    file, secret = folder / "ledger.backup", folder / "secret"
    secret.write_text("open sesame\n")
    backend = Backend(folder / "backend", ("--processes", "2"))
    try:
        backend.start()
        with crowd(backend) as workers:
            until_told(workers, ENOUGH)
            before = Told.by_now(workers)
            run(VOLTROOT, "db", "backup", "--data", backend.data, "--passphrase-file", secret, file)
            until_told(workers, len(Told.by_now(workers).certificates) + 20)
        backend.stop()
        assert [refusal for worker in workers for refusal in worker.refusals] == []
        yield Backup(file, secret, before, Told.by_now(workers))
    finally:
        backend.discard()


def until_told(workers: list[Worker], number: int) -> None:
    deadline = time.monotonic() + 60
    while len(Told.by_now(workers).certificates) < number:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def database(dialect: str) -> str:
    """The address of a new database, or nothing for a file."""
    return postgres.cluster().address(postgres.cluster().create()) if dialect == "postgresql" else ""


def on(folder: Path, url: str) -> Backend:
    """A backend, not yet started, whose ledger is where the address says."""
    folder.mkdir(exist_ok=True)
    configuration = folder / "voltroot.toml"
    configuration.write_text(f'[ledger]\nurl = "{url}"\n')
    return Backend(folder, ("--config", str(configuration)))


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_a_backup_under_load_has_all_that_was_answered_before_it(backup: Backup, tmp_path: Path, dialect: str) -> None:
    url = database(dialect)
    backend = on(tmp_path / "restored", url)
    options = ["--ledger", url] if url else []
    run(VOLTROOT, "db", "restore", "--data", backend.data, *options, "--passphrase-file", backup.secret, backup.file)

    before, last = backup.before, backup.in_the_end
    restored = contents(url or sqlite_url(backend.data / "ledger.db"))
    for serial, (_, certificate) in before.certificates.items():
        assert restored[serial] == certificate.der
    assert len(last.certificates) > len(before.certificates), "nothing went on during the backup"
    assert set(last.certificates) - set(restored), "the backup came after everything: that proves nothing"

    with ExitStack() as stack:
        stack.callback(backend.discard)
        backend.start()
        ocsp_knows(backend, before, last)
        for serial in sorted(before.by_id)[:20]:
            a_key_comes_out_of_escrow(backend, before.certificates[serial][1])
        it_goes_on(backend, "after-the-backup", taken=held(before, last))
        it_is_clean(backend)
        backend.stop()


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_a_restore_that_is_killed_leaves_no_half_of_a_pki(backup: Backup, tmp_path: Path, dialect: str) -> None:
    for turn in range(8):
        url, data = database(dialect), tmp_path / str(turn)
        options = ["--ledger", url] if url else []
        command = [VOLTROOT, "db", "restore", "--data", data, *options, "--passphrase-file", backup.secret, backup.file]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.3 + turn * 0.15)
        process.kill()
        process.wait()
        if is_there(url or sqlite_url(data / "ledger.db")):
            assert set(contents(url or sqlite_url(data / "ledger.db"))) >= set(backup.before.certificates)
            assert len(list((data / "keys").iterdir())) > 80


def is_there(url: str) -> bool:
    """Whether an address has a ledger."""
    if url.startswith("sqlite"):
        return Path(url.removeprefix("sqlite:///")).exists()
    engine = open_engine(url)
    with reading(engine) as connection:
        names = inspect(connection).get_table_names()
    engine.dispose()
    return bool(names)


def contents(url: str) -> dict[int, bytes]:
    """The certificates in a ledger, by their serials."""
    engine = open_engine(url)
    with snapshot(engine) as connection:
        rows = [
            dict(zip(batch.columns, row, strict=True))
            for batch in dump(connection)
            if batch.table == "certificates"
            for row in batch.rows
        ]
    engine.dispose()
    return {int.from_bytes(row["serial"]): row["content"] for row in rows if row["state"] in ("valid", "revoked")}


def ocsp_knows(backend: Backend, before: Told, last: Told) -> None:
    """OCSP says revoked of what had been revoked before, and good of what never was."""
    for role, slug in ISSUERS.items():
        issuer = Certificate.read(backend.fetch(f"/ca/{slug}.cer"))
        own = [serial for serial, (asker, _) in before.certificates.items() if asker == role]
        revoked, good = [s for s in own if s in before.revoked], [s for s in own if s not in last.revoked]
        assert revoked
        assert good
        for serials, status in ((revoked, ocsp.OCSPCertStatus.REVOKED), (good, ocsp.OCSPCertStatus.GOOD)):
            request = ocsp_requests.request(*(ocsp_requests.cert_id(issuer, serial) for serial in serials[:20]))
            answer = backend.call("POST", "/ocsp", request, "application/ocsp-request")
            singles = ocsp.load_der_ocsp_response(answer.body).responses
            assert {single.certificate_status for single in singles} == {status}


def a_key_comes_out_of_escrow(backend: Backend, certificate: Certificate) -> None:
    data = backend.call("POST", PFX, {"serial": str(certificate.serial), "password": "sesame-1"}).data
    key, inside, _ = pkcs12.load_key_and_certificates(base64.b64decode(data["pfxCert"]), b"sesame-1")
    assert key is not None
    assert inside is not None
    assert inside.public_bytes(Encoding.DER) == certificate.der
    assert key.public_key() == inside.public_key()


def held(before: Told, last: Told) -> str:
    """The name in a certificate that was valid before and has been ever since."""
    return next(
        certificate.subject.get("CN") or ""
        for serial, (role, certificate) in before.certificates.items()
        if role == "cpo" and serial not in last.revoked
    )


def it_goes_on(backend: Backend, name: str, *, taken: str) -> None:
    """It issues, and still knows whose the names are."""
    data = backend.call("POST", SECC, {"seccId": name}).data
    a_key_comes_out_of_escrow(backend, Certificate.read(base64.b64decode(data["provCert"])))
    assert "occupied" in backend.call("POST", SECC, {"seccId": taken}).refusal
    answer = backend.call("DELETE", SECC, {"subjectDn": data["subjectDn"]})
    assert answer.data["resultCode"] == "4000"


def it_is_clean(backend: Backend) -> None:
    """The audit log holds, also over the place where it was cut."""
    run(VOLTROOT, "db", "audit", "--data", backend.data, *backend.options)


def test_a_ledger_moves_to_postgresql_and_goes_on_there(own_backend: Backend, tmp_path: Path) -> None:
    url = database("postgresql")
    move = (VOLTROOT, "db", "copy", "--data", own_backend.data, "--to", url)
    with crowd(own_backend, 2) as workers:
        until_told(workers, 30)
        assert "stop all backends" in run(*move, ok=(1,))
    own_backend.stop()
    said = run(*move)
    configuration = tmp_path / "voltroot.toml"
    configuration.write_text(said[said.index("[ledger]") :])

    told = Told.by_now(workers)
    moved = Backend(own_backend.folder, ("--config", str(configuration)))
    with ExitStack() as stack:
        stack.callback(moved.discard)
        moved.start()
        assert {serial: certificate.der for serial, (_, certificate) in told.certificates.items()}.items() <= (
            contents(url).items()
        )
        it_goes_on(moved, "after-the-move", taken=held(told, told))
        it_is_clean(moved)
        moved.stop()
    assert set(contents(sqlite_url(own_backend.data / "ledger.db"))) < set(contents(url))
