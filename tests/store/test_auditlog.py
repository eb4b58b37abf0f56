"""The audit log: what is clean stays clean, and whatever is tampered with is found and named."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Table, delete, insert, select, text, update

import postgres
from voltroot.errors import NotFound, Refused
from voltroot.pki import suites
from voltroot.pki.merkle import Frontier, leaf_hash, root_of_proof
from voltroot.pki.ports import Reason
from voltroot.store.auditlog import LEAF_COLUMNS, LEAF_TABLES, AuditLog, encode
from voltroot.store.auditor import Report, inspect, prove
from voltroot.store.checkpoints import LABEL, Checkpoint, read_lines
from voltroot.store.engine import open_engine, reading, sqlite_url, writing
from voltroot.store.tables import (
    audit,
    certificates,
    credentials,
    escrow,
    holdings,
    log_checkpoints,
    log_entries,
    revocations,
)
from world import World

pytestmark = pytest.mark.slow

DIALECTS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)]
SCRIPT = Path(__file__).with_name("recompute_root.py")


@dataclass
class Scene:
    """A ledger with a story: certificates ``issued``, ``revoked`` and ``void`` by their numbers, all in the log."""

    world: World
    issued: int
    revoked: int
    void: int

    @property
    def log(self) -> AuditLog:
        return AuditLog(self.world.engine, self.world.keyring, self.file, self.world.clock)

    @property
    def file(self) -> Path:
        return self.world.folder / "checkpoints.jsonl"

    def audited(self, *, outside: bool = True) -> Report:
        """What the audit says, without the file outside if it is gone."""
        key = self.world.keyring.signer(LABEL).public_key()
        lines = list(read_lines(self.file)) if outside else []
        return inspect(self.world.engine, key, lines, lambda done, total: None)

    def row(self, table: Table, **marks: Any) -> Any:
        """The first row that has certain values."""
        with reading(self.world.engine) as connection:
            query = select(table).filter_by(**marks).order_by(*table.primary_key)
            return connection.execute(query).first()

    def event(self, event: str, certificate: int) -> int:
        """The number of an audit row."""
        number: int = self.row(audit, event=f"certificate.{event}", certificate=certificate).number
        return number

    @contextmanager
    def tampering(self) -> Iterator[Connection]:
        """The database as somebody has it who is not stopped by foreign keys."""
        if self.world.engine.dialect.name == "sqlite":
            with self.world.engine.connect() as connection:
                connection.exec_driver_sql("ROLLBACK")
                connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
                connection.exec_driver_sql("BEGIN")
                yield connection
                connection.exec_driver_sql("COMMIT")
                connection.invalidate()
        else:
            with writing(self.world.engine) as connection:
                connection.execute(text("SET LOCAL session_replication_role = replica"))
                yield connection


@lru_cache
def _told(dialect: str, folder: Path) -> Scene:
    """A story with several checkpoints; minutes go by between its parts."""
    world = World.made(folder, dialect=dialect)
    scene = Scene(world, 0, 0, 0)
    scene.log.append()
    issued = world.issue("SECC_2", "issued", sealed_key=b"sealed")
    world.clock.turn(minutes=2)
    scene.log.append()
    revoked = world.issue("OEM_PROV_2", "revoked")
    scene.log.append()
    world.authority.revoke([revoked], Reason.KEY_COMPROMISE, door="test", by="somebody")
    draft = world.authority._draft(world.order("SECC_20", "void"))
    (void,) = world.ledger.reserve([draft], world.clock() + timedelta(seconds=10))
    assert isinstance(void, int)
    world.ledger.abandon([void])
    world.clock.turn(minutes=2)
    world.issue("SECC_2", "last")
    scene.log.append()
    world.engine.dispose()
    return Scene(world, issued.number, revoked.number, void)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stage")


@pytest.fixture(params=DIALECTS)
def scene(request: pytest.FixtureRequest, stage: Path, tmp_path: Path) -> Iterator[Scene]:
    """A copy of the told story on each database."""
    told = _told(request.param, stage / request.param)
    folder = tmp_path / "world"
    shutil.copytree(told.world.folder, folder)
    world = World(folder, clock=told.world.clock)
    if request.param == "postgresql":
        template = told.world.url.rpartition("/")[2]
        world.url = postgres.cluster().address(postgres.cluster().create(template))
    yield replace(told, world=world)
    world.engine.dispose()


def test_a_ledger_that_nobody_touched_is_clean(scene: Scene) -> None:
    report = scene.audited()
    assert report.findings == []
    assert (report.waiting, report.checkpoints, report.outside) == (0, 4, 4)
    with reading(scene.world.engine) as connection:
        assert report.size == len(connection.execute(select(audit.c.number)).all())


def test_every_change_says_who_did_it_and_by_which_door(scene: Scene) -> None:
    world = scene.world
    entry = world.issue("SECC_2", "told", by="192.0.2.1")
    world.authority.revoke([entry], Reason.SUPERSEDED, door="pki", by="root")
    with reading(world.engine) as connection:
        query = select(audit).where(audit.c.certificate == entry.number).order_by(audit.c.number)
        rows = [(row.event, row.door, row.by, json.loads(row.detail)) for row in connection.execute(query)]
    assert rows == [
        ("certificate.reserved", "test", "192.0.2.1", {}),
        ("certificate.issued", "test", "192.0.2.1", {}),
        ("certificate.revoked", "pki", "root", {"reason": "superseded"}),
    ]
    root = world.issuers.standing().roots[0]
    taken = world.ledger.take_in(root.der[:-1] + b"x", "V2G_ROOT_2", None, by="me")
    world.ledger.add_credential(taken.number, "ca", "foreign", None, by="me")
    with reading(world.engine) as connection:
        query = select(audit).where(audit.c.certificate == taken.number).order_by(audit.c.number)
        rows = [(row.event, row.door, row.by, json.loads(row.detail)) for row in connection.execute(query)]
    assert rows == [
        ("certificate.taken_in", "pki", "me", {}),
        ("credential.added", "pki", "me", {"use": "ca", "slug": "foreign"}),
    ]


# Tampering with audit rows.


@pytest.mark.parametrize(
    "change",
    [
        {"at": 1_700_000_000},
        {"event": "certificate.issued"},
        {"event": "something.else"},
        {"certificate": 1},
        {"certificate": None},
        {"door": "pnc"},
        {"by": "nobody"},
        {"detail": '{"reason": "superseded"}'},
        {"number": 100_000},
    ],
    ids=lambda change: "-".join(f"{name}={value}" for name, value in change.items()),
)
def test_an_audit_row_with_a_column_changed_is_named(scene: Scene, change: dict[str, Any]) -> None:
    number = scene.event("revoked", scene.revoked)
    with scene.tampering() as connection:
        connection.execute(update(audit).where(audit.c.number == number).values(change))
    assert number in {finding.audit for finding in scene.audited(outside=False).findings}


@pytest.mark.parametrize("with_entry", [False, True])
def test_a_deleted_audit_row_is_named(scene: Scene, with_entry: bool) -> None:
    number = scene.event("issued", scene.issued)
    entry = scene.row(log_entries, audit=number).sequence
    with scene.tampering() as connection:
        connection.execute(delete(audit).where(audit.c.number == number))
        if with_entry:
            connection.execute(delete(log_entries).where(log_entries.c.audit == number))
    findings = scene.audited(outside=False).findings
    assert (entry if with_entry else number) in {each.entry if with_entry else each.audit for each in findings}
    assert scene.issued in {finding.certificate for finding in findings}


def test_a_deleted_row_whose_gap_in_the_log_was_closed_is_found(scene: Scene) -> None:
    number = scene.event("issued", scene.issued)
    entry = scene.row(log_entries, audit=number).sequence
    with scene.tampering() as connection:
        connection.execute(delete(audit).where(audit.c.number == number))
        connection.execute(delete(log_entries).where(log_entries.c.audit == number))
        for row in connection.execute(select(log_entries).where(log_entries.c.sequence > entry)).all():
            moved = update(log_entries).where(log_entries.c.sequence == row.sequence)
            connection.execute(moved.values(sequence=row.sequence - 1))
    assert any(finding.entry == entry for finding in scene.audited().findings)
    assert any(finding.entry is not None for finding in scene.audited(outside=False).findings)


def test_two_audit_rows_that_changed_places_are_named(scene: Scene) -> None:
    one, other = scene.event("reserved", scene.issued), scene.event("reserved", scene.revoked)
    with scene.tampering() as connection:
        for number, place in ((one, -1), (other, one), (-1, other)):
            connection.execute(update(audit).where(audit.c.number == number).values(number=place))
    assert {one, other} <= {finding.audit for finding in scene.audited(outside=False).findings}


@pytest.mark.parametrize("is_logged", [False, True])
@pytest.mark.parametrize("minutes", [0, -3])
def test_an_inserted_audit_row_is_named_also_after_an_honest_sequencer_took_it(
    scene: Scene, minutes: int, is_logged: bool
) -> None:
    last = scene.row(audit, event="certificate.issued", certificate=scene.issued)
    number = scene.audited().size + 1
    at = int(scene.world.clock().timestamp()) + 60 * minutes
    with scene.tampering() as connection:
        connection.execute(insert(audit).values(last._asdict() | {"number": number, "at": at}))
    if is_logged:
        scene.log.append()
    assert number in {finding.audit for finding in scene.audited().findings}


def test_an_audit_row_inserted_between_others_is_named(scene: Scene) -> None:
    """Where a number was left out, as on PostgreSQL by a transaction that failed."""
    with writing(scene.world.engine) as connection:
        number = scene.audited().size + 1
        values = scene.row(audit, certificate=scene.issued)._asdict()
        connection.execute(insert(audit).values(values | {"number": number + 1, "event": "certificate.revoked"}))
    scene.log.append()
    before = {finding.audit for finding in scene.audited().findings}
    with scene.tampering() as connection:
        connection.execute(insert(audit).values(values | {"number": number}))
    assert number not in before
    assert number in {finding.audit for finding in scene.audited().findings}


# Tampering with the log.


def test_a_deleted_log_entry_is_named(scene: Scene) -> None:
    number = scene.event("issued", scene.issued)
    entry = scene.row(log_entries, audit=number).sequence
    with scene.tampering() as connection:
        connection.execute(delete(log_entries).where(log_entries.c.sequence == entry))
    findings = scene.audited(outside=False).findings
    assert entry in {finding.entry for finding in findings}
    assert number in {finding.audit for finding in findings}


def test_two_log_entries_that_changed_places_are_named(scene: Scene) -> None:
    one = scene.row(log_entries, audit=scene.event("issued", scene.issued)).sequence
    with scene.tampering() as connection:
        for place, to in ((one, -1), (one + 1, one), (-1, one + 1)):
            connection.execute(update(log_entries).where(log_entries.c.sequence == place).values(sequence=to))
    named = {finding.entry for finding in scene.audited().findings}
    assert named == {one, one + 1}
    assert named <= {finding.entry for finding in scene.audited(outside=False).findings}


@pytest.mark.parametrize("with_roots", [False, True])
def test_a_row_changed_together_with_its_leaf_is_named(scene: Scene, with_roots: bool) -> None:
    number = scene.event("revoked", scene.revoked)
    with scene.tampering() as connection:
        connection.execute(update(audit).where(audit.c.number == number).values(by="nobody"))
        entry = relog(connection, [number])
        if with_roots:
            rebuild_roots(connection)
    (finding,) = (finding for finding in scene.audited().findings if finding.entry is not None)
    assert (finding.audit, finding.entry) == (number, entry)
    # Without the file outside the narrowest range is named that the checkpoints allow.
    findings = scene.audited(outside=False).findings
    assert findings
    assert with_roots or number in {finding.audit for finding in findings}


def test_an_entry_behind_the_last_checkpoint_is_named(scene: Scene) -> None:
    size = scene.audited().size
    values = scene.row(audit, certificate=scene.issued)._asdict()
    with scene.tampering() as connection:
        connection.execute(
            insert(audit).values(values | {"number": size + 1, "at": int(scene.world.clock().timestamp())})
        )
        connection.execute(insert(log_entries).values(sequence=size, audit=size + 1, leaf=bytes(32)))
        relog(connection, [size + 1])
    assert {size} == {finding.entry for finding in scene.audited().findings if finding.entry is not None}


@pytest.mark.parametrize("grows", [False, True])
def test_a_tail_cut_off_in_the_database_is_found_with_the_file_outside(scene: Scene, grows: bool) -> None:
    whole = scene.audited().size
    last = scene.world.ledger.find(name="last")[0].number
    checkpoint = scene.row(log_checkpoints, size=whole)
    with reading(scene.world.engine) as connection:
        older = select(log_checkpoints.c.size).where(log_checkpoints.c.size < checkpoint.size)
        size = max(connection.execute(older).scalars())
    with scene.tampering() as connection:
        kept = connection.execute(select(log_entries.c.audit).where(log_entries.c.sequence < size)).scalars().all()
        connection.execute(delete(log_checkpoints).where(log_checkpoints.c.size > size))
        connection.execute(delete(log_entries).where(log_entries.c.sequence >= size))
        connection.execute(delete(audit).where(audit.c.number.not_in(kept)))
        for table in (revocations, escrow):
            connection.execute(delete(table).where(table.c.certificate >= scene.revoked))
        connection.execute(delete(holdings).where(holdings.c.name.in_(["last", "void"])))
        connection.execute(delete(certificates).where(certificates.c.number.in_([scene.void, last])))
        undone = {"state": "valid", "revoked_at": None, "reason": None}
        connection.execute(update(certificates).where(certificates.c.number == scene.revoked).values(undone))
    assert scene.audited(outside=False).findings == []
    if grows:
        for number in range(6):
            scene.world.issue("SECC_2", f"later{number}")
        with pytest.raises(Refused, match="cut off"):
            scene.log.append()
    findings = scene.audited().findings
    assert any("cut off" in finding.text if not grows else finding.entry == size for finding in findings), findings


# Tampering with certificates, revocations and credentials.


@pytest.mark.parametrize(
    "change",
    [
        {"content": b"\x30\x00"},
        {"content": b""},
        {"state": "revoked"},
        {"state": "void"},
        {"state": "reserved"},
        {"not_after": 2_000_000_000},
        {"not_before": 1_000_000_000},
        {"serial": b"\x01"},
        {"issuer": 1},
        {"profile": "SECC_20"},
        {"name": "somebody else"},
        {"name": None},
        {"subject": "2.5.4.3=somebody else"},
        {"key": bytes(32)},
        {"end_entity": False},
        {"number": 5000},
    ],
    ids=lambda change: "-".join(f"{name}={str(value)[:12]}" for name, value in change.items()),
)
def test_a_certificate_with_a_column_changed_is_named(scene: Scene, change: dict[str, Any]) -> None:
    with scene.tampering() as connection:
        connection.execute(update(certificates).where(certificates.c.number == scene.issued).values(change))
    assert scene.issued in {finding.certificate for finding in scene.audited(outside=False).findings}


def test_a_certificate_whose_signature_alone_was_changed_is_named(scene: Scene) -> None:
    content = scene.row(certificates, number=scene.issued).content
    changed = content[:-1] + bytes([content[-1] ^ 1])
    with scene.tampering() as connection:
        connection.execute(update(certificates).where(certificates.c.number == scene.issued).values(content=changed))
    (finding,) = scene.audited(outside=False).findings
    assert (finding.certificate, finding.audit) == (scene.issued, scene.event("issued", scene.issued))


@pytest.mark.parametrize("change", [{"state": "valid"}, {"revoked_at": 1_700_000_000}, {"reason": 4}], ids=str)
def test_a_revoked_certificate_with_a_column_changed_is_named(scene: Scene, change: dict[str, Any]) -> None:
    with scene.tampering() as connection:
        connection.execute(update(certificates).where(certificates.c.number == scene.revoked).values(change))
    assert scene.revoked in {finding.certificate for finding in scene.audited(outside=False).findings}


def test_a_revocation_undone_everywhere_is_named(scene: Scene) -> None:
    undone = {"state": "valid", "revoked_at": None, "reason": None}
    with scene.tampering() as connection:
        connection.execute(delete(revocations).where(revocations.c.certificate == scene.revoked))
        connection.execute(update(certificates).where(certificates.c.number == scene.revoked).values(undone))
    assert scene.revoked in {finding.certificate for finding in scene.audited(outside=False).findings}


def test_a_void_certificate_brought_to_life_is_named(scene: Scene) -> None:
    with scene.tampering() as connection:
        connection.execute(update(certificates).where(certificates.c.number == scene.void).values(state="valid"))
    assert scene.void in {finding.certificate for finding in scene.audited(outside=False).findings}


@pytest.mark.parametrize("number", [5000, None])
def test_an_inserted_certificate_is_named(scene: Scene, number: int | None) -> None:
    values = scene.row(certificates, number=scene.issued)._asdict()
    number = number or scene.world.ledger.find(name="last")[0].number + 1
    with scene.tampering() as connection:
        connection.execute(insert(certificates).values(values | {"number": number, "serial": b"\x02", "key": b"new"}))
    assert {number} == {finding.certificate for finding in scene.audited(outside=False).findings}


def test_a_deleted_certificate_is_named(scene: Scene) -> None:
    with scene.tampering() as connection:
        connection.execute(delete(certificates).where(certificates.c.number == scene.issued))
    assert {scene.issued} == {finding.certificate for finding in scene.audited(outside=False).findings}


@pytest.mark.parametrize(
    "change", [None, {"at": 1_700_000_000}, {"reason": 4}, {"serial": b"\x01"}, {"issuer": 1}], ids=str
)
def test_a_revocation_deleted_or_changed_is_named(scene: Scene, change: dict[str, Any] | None) -> None:
    own = revocations.c.certificate == scene.revoked
    with scene.tampering() as connection:
        connection.execute(update(revocations).where(own).values(change) if change else delete(revocations).where(own))
    assert {scene.revoked} == {finding.certificate for finding in scene.audited(outside=False).findings}


def test_an_inserted_revocation_is_named(scene: Scene) -> None:
    row = scene.row(certificates, number=scene.issued)
    values = {"certificate": row.number, "issuer": row.issuer, "serial": row.serial, "at": 1_700_000_000, "reason": 1}
    with scene.tampering() as connection:
        connection.execute(insert(revocations).values(values | {"number": 77}))
    assert {scene.issued} == {finding.certificate for finding in scene.audited(outside=False).findings}


@pytest.mark.parametrize("change", [None, {"key": "other"}, {"label": "x"}, {"use": "tls"}, {"slug": "x"}], ids=str)
def test_a_credential_deleted_or_changed_is_named(scene: Scene, change: dict[str, Any] | None) -> None:
    own = credentials.c.certificate == 1
    with scene.tampering() as connection:
        connection.execute(update(credentials).where(own).values(change) if change else delete(credentials).where(own))
    assert {1} == {finding.certificate for finding in scene.audited(outside=False).findings}


def test_an_inserted_credential_is_named(scene: Scene) -> None:
    values = {"certificate": scene.issued, "use": "ca", "label": "mine", "slug": "mine", "key": "audit"}
    with scene.tampering() as connection:
        connection.execute(insert(credentials).values(values))
    assert {scene.issued} == {finding.certificate for finding in scene.audited(outside=False).findings}


# Tampering with checkpoints.


@pytest.mark.parametrize(
    "change",
    [{"root": bytes(32)}, {"at": 1}, {"origin": "voltroot/audit/other"}, {"signature": b""}, {"frontier": b""}],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_checkpoint_is_found_and_nothing_is_signed_on_top_of_it(scene: Scene, change: dict[str, Any]) -> None:
    size = scene.audited().size
    with scene.tampering() as connection:
        connection.execute(update(log_checkpoints).where(log_checkpoints.c.size == size).values(change))
    for outside in (False, True):
        assert any(f"checkpoint of {size}" in finding.text for finding in scene.audited(outside=outside).findings)
    scene.world.issue("SECC_2", "later")
    with pytest.raises(Refused):
        scene.log.append()


def test_a_checkpoint_signed_with_another_key_is_found(scene: Scene) -> None:
    row = scene.row(log_checkpoints)
    forged = Checkpoint(row.origin, row.size, bytes(32), row.at).signed(suites.generate(suites.P256_SHA256))
    values = {"root": forged.root, "signature": forged.signature}
    with scene.tampering() as connection:
        connection.execute(update(log_checkpoints).where(log_checkpoints.c.size == row.size).values(values))
    assert any("not signed" in finding.text for finding in scene.audited(outside=False).findings)


@pytest.mark.parametrize("is_last", [False, True])
def test_a_deleted_checkpoint_is_found(scene: Scene, is_last: bool) -> None:
    size = scene.audited().size if is_last else scene.row(log_checkpoints).size
    with scene.tampering() as connection:
        connection.execute(delete(log_checkpoints).where(log_checkpoints.c.size == size))
    assert scene.audited().findings
    assert bool(scene.audited(outside=False).findings) is is_last


def test_a_line_of_the_file_outside_that_was_changed_is_found(scene: Scene) -> None:
    lines = scene.file.read_text().splitlines()
    changed = json.loads(lines[1])
    changed["checkpoint"]["at"] += 1
    scene.file.write_text("\n".join([lines[0], json.dumps(changed), *lines[2:], ""]))
    assert any("outside" in finding.text for finding in scene.audited().findings)
    changed["checkpoint"]["at"] -= 1
    changed["leaves"] = "AAAA" + changed["leaves"][4:]
    scene.file.write_text("\n".join([lines[0], json.dumps(changed), *lines[2:], ""]))
    assert any("outside" in finding.text for finding in scene.audited().findings)


# The sequencer.


def test_what_is_new_is_appended_once(scene: Scene) -> None:
    log = scene.log
    assert log.append() == 0
    scene.world.issue("SECC_2", "new")
    assert scene.audited().waiting == 2
    assert log.follow() is False
    assert scene.audited().waiting == 0
    assert log.append() == scene.log.append() == 0
    assert scene.audited().findings == []


def test_two_sequencers_at_once_append_each_row_once(scene: Scene) -> None:
    stop = threading.Event()
    failures: list[Exception] = []

    def sequence() -> None:
        engine = open_engine(scene.world.url or sqlite_url(scene.world.folder / "ledger.db"))
        log = AuditLog(engine, scene.world.keyring, scene.file, scene.world.clock)
        try:
            while not stop.is_set():
                log.follow()
        except Exception as error:
            failures.append(error)
        engine.dispose()

    threads = [threading.Thread(target=sequence) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(40):
        scene.world.issue("SECC_2", f"many{number}")
    stop.set()
    for thread in threads:
        thread.join()
    scene.log.append()
    report = scene.audited()
    assert failures == []
    assert (report.findings, report.waiting, report.checkpoints) == ([], 0, report.outside)


@pytest.mark.slow
def test_what_postgresql_commits_out_of_order_is_appended_late(stage: Path, tmp_path: Path) -> None:
    told = _told("postgresql", stage / "postgresql")
    database = postgres.cluster().create(told.world.url.rpartition("/")[2])
    world = World(tmp_path, url=postgres.cluster().address(database), clock=told.world.clock)
    shutil.copytree(told.world.folder, tmp_path, dirs_exist_ok=True)
    scene = replace(told, world=world)
    log = scene.log
    log.append()
    row = {"at": int(world.clock().timestamp()), "event": "certificate.revoked", "door": "", "by": "", "detail": "{}"}
    with world.engine.connect() as slow, slow.begin():
        late = slow.execute(
            insert(audit).values(row | {"certificate": told.void}).returning(audit.c.number)
        ).scalar_one()
        assert log.follow() is False
        world.issue("SECC_2", "overtakes")
        assert log.append() == 2
        world.issue("SECC_2", "overtakes too")
        log.follow()
        assert scene.audited().waiting == 0
    assert scene.audited(outside=False).findings
    log.follow()
    report = scene.audited()
    assert report.size == scene.row(log_entries, audit=late).sequence + 1
    assert {finding.certificate for finding in report.findings} == {told.void}, "only the story itself is strange"
    assert not log._missing
    world.engine.dispose()


def test_a_file_outside_that_a_crash_left_behind_or_half_written_is_completed(scene: Scene) -> None:
    whole = scene.file.read_bytes()
    lines = whole.splitlines(keepends=True)
    for left in (b"", lines[0], lines[0] + lines[1][:100], b"".join(lines) + b'{"check'):
        scene.file.write_bytes(left)
        scene.log.append()
        assert scene.file.read_bytes() == whole
    scene.file.unlink()
    scene.log.append()
    assert scene.file.read_bytes() == whole


@pytest.mark.slow
def test_thousands_of_operations_in_any_order_and_a_crash_stay_clean(scene: Scene) -> None:
    world, dice = scene.world, random.Random(1)
    log = scene.log
    names: list[str] = []
    for turn in range(60):
        fresh = [f"mixed{turn}-{place}" for place in range(dice.randint(1, 30))]
        renewed = dice.sample(names, min(len(names), 3))
        orders = [world.order("SECC_2", name) for name in fresh]
        orders += [world.order("SECC_2", name, renewal=True) for name in renewed]
        world.authority.issue_all(orders)
        world.authority.issue_all(orders[:2])
        names += fresh
        for name in dice.sample(names, min(len(names), 4)):
            world.authority.revoke(world.ledger.find(name=name), dice.choice(list(Reason)), door="test")
        drafts = [world.authority._draft(world.order("OEM_PROV_2", f"left{turn}-{place}")) for place in range(3)]
        numbers = world.ledger.reserve(drafts, world.clock() + timedelta(seconds=10))
        world.ledger.abandon([number for number in numbers[:1] if isinstance(number, int)])
        world.clock.turn(seconds=dice.choice([0, 0, 7]))
        if dice.random() < 0.5:
            log.follow()
        if dice.random() < 0.1:
            # The process died: between its commit and the file, or before it had sequenced anything.
            scene.file.write_bytes(scene.file.read_bytes()[: -dice.randint(1, 2000)])
            log = scene.log
    assert scene.audited(outside=False).findings == []
    log.append()
    report = scene.audited()
    assert (report.findings, report.waiting) == ([], 0)
    assert report.size > 2000
    if world.engine.dialect.name == "sqlite":
        assert recomputed(world) == f"{report.size} {report.root}"


# Proofs, and the root as others compute it.


def recomputed(world: World, *size: str) -> str:
    command = [sys.executable, "-I", str(SCRIPT), str(world.folder / "ledger.db"), *size]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_an_independent_script_finds_the_roots_of_all_checkpoints(stage: Path) -> None:
    told = _told("sqlite", stage / "sqlite")
    assert len(SCRIPT.read_text().splitlines()) <= 60
    lines = list(read_lines(told.file))
    assert len(lines) == 4
    for line in lines:
        said = recomputed(told.world, str(line.checkpoint.size))
        assert said == f"{lines[-1].checkpoint.size} {line.checkpoint.root.hex()}"


def test_the_proof_of_a_row_leads_from_its_leaf_to_the_signed_root(scene: Scene) -> None:
    for number in (1, scene.event("revoked", scene.revoked), scene.audited().size):
        proof = prove(scene.world.engine, "the key", number)
        leaf, path = sha256(b"\x00" + proof["leaf"].encode()).digest(), [bytes.fromhex(part) for part in proof["path"]]
        root = root_of_proof(leaf, proof["index"], proof["size"], path)
        assert root is not None
        assert root.hex() == proof["root"] == scene.audited().root
        assert json.loads(proof["leaf"])[:2] == ["voltroot audit 1", number]
        assert proof["checkpoint"].splitlines()[1] == str(proof["size"])


def test_there_is_no_proof_of_a_row_that_is_not_logged(scene: Scene) -> None:
    scene.world.issue("SECC_2", "waits")
    for number in (scene.audited().size + 1, 10_000):
        with pytest.raises(NotFound):
            prove(scene.world.engine, "the key", number)


# What somebody can do who has the database and knows how the log is made, but has not the key.


def relog(connection: Connection, numbers: Sequence[int]) -> int:
    """Make the leaves of audit rows fit what they now say; returns the last one's entry."""
    entry = -1
    for number in numbers:
        query = select(*LEAF_COLUMNS).select_from(LEAF_TABLES).where(audit.c.number == number)
        leaf = leaf_hash(encode(connection.execute(query).one()))
        changed = update(log_entries).where(log_entries.c.audit == number).values(leaf=leaf)
        entry = connection.execute(changed.returning(log_entries.c.sequence)).scalar_one()
    return entry


def rebuild_roots(connection: Connection) -> None:
    """Make the checkpoints fit the leaves, but for their signatures."""
    leaves = connection.execute(select(log_entries.c.leaf).order_by(log_entries.c.sequence)).scalars().all()
    for size in connection.execute(select(log_checkpoints.c.size)).scalars().all():
        frontier = Frontier().extend(leaves[:size])
        values = {"root": frontier.root(), "frontier": b"".join(frontier.subtrees)}
        connection.execute(update(log_checkpoints).where(log_checkpoints.c.size == size).values(values))
