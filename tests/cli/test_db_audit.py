"""``voltroot db audit`` as an operator uses it."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select, update

from backend import VOLTROOT, Backend
from voltroot.cli import cli
from voltroot.store.auditlog import AuditLog
from voltroot.store.engine import reading, writing
from voltroot.store.tables import audit
from world import World

pytestmark = pytest.mark.slow


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(cli, ["db", "audit", *(str(argument) for argument in arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def logged(world: World) -> World:
    """A PKI whose ledger is in the log."""
    AuditLog(world.engine, world.keyring, world.folder / "checkpoints.jsonl", world.clock).append()
    return world


def size(world: World) -> int:
    """How many entries the log has: each certificate of the ceremony is reserved, issued and put to use."""
    return 3 * len(world.issuers.standing().credentials)


def test_a_clean_ledger_is_said_to_be_clean(logged: World) -> None:
    result = run("--data", logged.folder)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Clean. {size(logged)} log entries, 1 checkpoints, 1 outside.")
    report = json.loads(run("--data", logged.folder, "--json").stdout)
    assert (report["size"], report["waiting"], report["findings"]) == (size(logged), 0, [])
    assert report["root"] in result.stdout


def test_what_was_tampered_with_is_named_and_the_exit_code_is_1(logged: World) -> None:
    with writing(logged.engine) as connection:
        connection.execute(update(audit).where(audit.c.number == 17).values(by="nobody"))
    result = run("--data", logged.folder)
    assert result.exit_code == 1
    assert "audit row 17" in result.stdout
    assert "TAMPERED WITH: 1 findings" in result.stdout
    result = run("--data", logged.folder, "--json")
    assert result.exit_code == 1
    (finding,) = json.loads(result.stdout)["findings"]
    assert (finding["audit"], finding["entry"]) == (17, 16)


def test_rows_that_wait_for_a_backend_are_told_and_no_tampering(logged: World) -> None:
    logged.issue("SECC_2", "waits")
    result = run("--data", logged.folder)
    assert result.exit_code == 0
    assert "2 audit rows wait" in result.stdout


def test_checkpoints_from_elsewhere_show_what_the_own_file_does_not(logged: World, tmp_path: Path) -> None:
    ledger, own, elsewhere = logged.folder / "ledger.db", logged.folder / "checkpoints.jsonl", tmp_path / "copy.jsonl"
    logged.engine.dispose()
    before = ledger.read_bytes(), own.read_bytes()
    logged.issue("SECC_2", "later undone")
    AuditLog(logged.engine, logged.keyring, own, logged.clock).append()
    logged.engine.dispose()
    elsewhere.write_bytes(own.read_bytes())
    assert run("--data", logged.folder, "--checkpoints", elsewhere).exit_code == 0
    ledger.write_bytes(before[0])
    own.write_bytes(before[1])
    assert run("--data", logged.folder).exit_code == 0
    result = run("--data", logged.folder, "--checkpoints", elsewhere)
    assert result.exit_code == 1
    assert f"it had {size(logged) + 2}: 2 entries are cut off" in result.stdout


def test_without_the_file_outside_the_audit_says_what_it_cannot_see(logged: World) -> None:
    (logged.folder / "checkpoints.jsonl").unlink()
    result = run("--data", logged.folder)
    assert result.exit_code == 0
    assert "No checkpoints outside" in result.stdout


def test_what_cannot_be_read_ends_with_exit_code_2(logged: World, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text("{}\n")
    assert run("--data", tmp_path / "nothing").exit_code == 2
    assert run("--data", logged.folder, "--checkpoints", tmp_path / "missing.jsonl").exit_code == 2
    result = run("--data", logged.folder, "--checkpoints", broken)
    assert result.exit_code == 2
    assert "line 1" in result.stderr
    assert run("--data", logged.folder, "--prove", "9999").exit_code == 2
    logged.engine.dispose()
    (logged.folder / "ledger.db").write_bytes(b"this is no database" * 100)
    assert run("--data", logged.folder).exit_code == 2


def test_a_proof_convinces_a_program_that_knows_only_the_standard_and_the_key(logged: World, tmp_path: Path) -> None:
    proof = json.loads(run("--data", logged.folder, "--prove", "17").stdout)
    row = json.loads(proof["leaf"])
    assert row[1] == 17
    # RFC 9162 2.1.3.2
    place, last = proof["index"], proof["size"] - 1
    hash_ = sha256(b"\x00" + proof["leaf"].encode()).digest()
    for part in map(bytes.fromhex, proof["path"]):
        if place % 2 or place == last:
            hash_ = sha256(b"\x01" + part + hash_).digest()
            while place % 2 == 0 and place:
                place, last = place // 2, last // 2
        else:
            hash_ = sha256(b"\x01" + hash_ + part).digest()
        place, last = place // 2, last // 2
    assert (last, hash_.hex()) == (0, proof["root"])
    origin, size, root, _at = proof["checkpoint"].splitlines()
    assert origin.startswith("voltroot/audit/")
    assert (int(size), base64.b64decode(root)) == (proof["size"], hash_)
    files = {"key.pem": proof["key"].encode(), "text": proof["checkpoint"].encode()}
    files["signature"] = base64.b64decode(proof["signature"])
    for name, octets in files.items():
        (tmp_path / name).write_bytes(octets)
    command = ["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "text"]
    said = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert said == "Verified OK\n"


def test_what_the_command_line_changes_is_in_the_log_at_once(logged: World) -> None:
    serial = str(logged.issue("SECC_2", "revoked").serial)
    result = CliRunner().invoke(cli, ["pki", "revoke", "--data", str(logged.folder), serial])
    assert result.exit_code == 0
    assert run("--data", logged.folder).stdout.startswith(f"Clean. {size(logged) + 3} log entries")
    with reading(logged.engine) as connection:
        last = connection.execute(select(audit.c.door, audit.c.by).order_by(audit.c.number.desc()).limit(1)).one()
    assert last.door == "pki"
    assert last.by


def test_the_help_has_an_example() -> None:
    assert "voltroot db audit" in run("--help").stdout


@pytest.mark.slow
def test_a_running_backend_logs_within_a_second_and_one_that_was_killed_is_clean(own_backend: Backend) -> None:
    def report() -> dict[str, object]:
        command = [VOLTROOT, "db", "audit", "--data", own_backend.data, "--json"]
        done = subprocess.run(command, check=True, capture_output=True)
        read: dict[str, object] = json.loads(done.stdout)
        return read

    for number in range(20):
        assert own_backend.call("POST", "/api/v2/cpo/seccCert", {"seccId": f"logged{number}"}).status == 200
    time.sleep(1)
    before = report()
    assert (before["findings"], before["waiting"]) == ([], 0)
    assert own_backend.call("POST", "/api/v2/cpo/seccCert", {"seccId": "killed"}).status == 200
    own_backend.kill()
    assert report()["findings"] == []
    own_backend.start()
    own_backend.stop()
    after = report()
    assert (after["findings"], after["waiting"]) == ([], 0)
    assert after["checkpoints"] == after["outside"]
