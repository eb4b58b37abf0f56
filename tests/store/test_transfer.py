"""Ledgers in another place: every row, in either dialect, or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import inspect

import postgres
from voltroot.errors import Failure, KeyReused, Malformed, NameTaken, Refused, Unavailable
from voltroot.pki.ports import Reason, State
from voltroot.store import engine
from voltroot.store.engine import migrate, open_engine, reading, sqlite_url
from voltroot.store.transfer import BATCH, Batch, copy, counts, dump, filling, load, schema, snapshot, watched
from world import World

pytestmark = pytest.mark.slow

DIALECTS = ["sqlite", "postgresql"]
EARLIER = [path.name[:4] for path in sorted(Path(engine.__file__).parent.glob("migrations/versions/[0-9]*.py"))][:-1]

CERTIFICATE = ("number", "issuer", "serial", "profile", "state", "name", "subject", "key", "end_entity", "not_before",
               "not_after", "lease", "content", "revoked_at", "reason")  # fmt: skip
# Rows as the first ledger had them: more than one batch, and each refers to the one before it.
OLD_ROWS = [
    (n, n - 1 or None, n.to_bytes(4), "SECC_2", "valid", f"secc{n}", f"CN=secc{n}", n.to_bytes(32), False, 0, 9, None,
     b"0", None, None)
    for n in range(1, 2 * BATCH)
]  # fmt: skip


def quietly(_done: int, _total: int) -> None:
    """Tell nobody."""


@pytest.fixture(params=DIALECTS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A PKI on each database, with a bit of everything in its ledger."""
    yield from lived_in(tmp_path / "world", request.param)


@pytest.fixture
def sqlite_world(tmp_path: Path) -> Iterator[World]:
    """The same on SQLite only."""
    yield from lived_in(tmp_path / "world", "sqlite")


def lived_in(folder: Path, dialect: str) -> Iterator[World]:
    made = World.made(folder, dialect=dialect)
    made.issue("SECC_2", "secc001", sealed_key=b"sealed")
    made.authority.revoke([made.issue("SECC_20", "secc001")], Reason.SUPERSEDED, door="test", by="somebody")
    with pytest.raises(NameTaken):
        made.issue("SECC_2", "secc001")
    made.ledger.reserve([made.authority._draft(made.order("OEM_PROV_2", "pcid001"))], made.clock())
    yield made
    made.engine.dispose()


@pytest.fixture(params=DIALECTS)
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database of each kind."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "copy.db")
    return postgres.cluster().address(postgres.cluster().create())


def rows(url: str) -> list[Batch]:
    engine = open_engine(url)
    with snapshot(engine) as connection:
        found = list(dump(connection))
    engine.dispose()
    return found


def is_empty(url: str, folder: Path) -> bool:
    """Whether nothing is there, not even part of a file."""
    if url.startswith("sqlite"):
        return [path.name for path in folder.iterdir() if path.name != "world"] == []
    engine = open_engine(url)
    with reading(engine) as connection:
        names = inspect(connection).get_table_names()
    engine.dispose()
    return names == []


def test_a_copy_has_every_row_and_the_same_schema(world: World, target: str) -> None:
    told: list[tuple[int, int]] = []
    copied = copy(world.engine, target, "", lambda done, total: told.append((done, total)))
    with snapshot(world.engine) as connection:
        assert rows(target) == list(dump(connection))
        assert copied == counts(connection)
    assert told[-1] == (sum(copied.values()), sum(copied.values()))


def test_a_copy_goes_on_where_the_ledger_was(world: World, target: str) -> None:
    copy(world.engine, target, "", quietly)
    other = World(world.folder, url=target)
    assert other.ledger.revision() == world.ledger.revision()
    goes_on_from(world, other)


def goes_on_from(world: World, other: World) -> None:
    """Whoever has taken over a ledger knows what it knew, and issues and revokes in its place."""
    newest = max(entry.number for entry in world.ledger.find(profiles=["SECC_2", "SECC_20", "OEM_PROV_2"]))
    (secc,) = other.ledger.find(profiles=["SECC_2"], name="secc001")
    assert secc == world.ledger.find(profiles=["SECC_2"], name="secc001")[0]
    assert other.ledger.sealed_key(secc.number) == b"sealed"
    with pytest.raises(NameTaken):
        other.issue("SECC_2", "secc001")
    used = replace(world.order("SECC_2", "secc003"), public_key=secc.read().public_key)
    with pytest.raises(KeyReused):
        other.authority.issue(used)
    assert other.issue("SECC_2", "secc003").number > newest
    (revoked,) = other.authority.revoke([secc], Reason.KEY_COMPROMISE, door="test")
    assert revoked.state is State.REVOKED
    assert len(other.ledger.revoked_by(secc.issuer or 0)) == 1
    other.engine.dispose()


def test_a_snapshot_does_not_see_what_is_written_after_it(world: World) -> None:
    with snapshot(world.engine) as connection:
        before = counts(connection)
        world.issue("SECC_2", "secc002")
        assert counts(connection) == before
        assert sum(len(batch.rows) for batch in dump(connection)) == sum(before.values())
    with snapshot(world.engine) as connection:
        assert counts(connection) != before


def test_a_ledger_that_goes_on_while_it_is_copied_is_not_left_behind_in_two_states(
    world: World, target: str, tmp_path: Path
) -> None:
    issued: list[object] = []

    def meanwhile(done: int, total: int) -> None:
        if not issued and done == total:
            issued.append(world.issue("SECC_2", "secc002"))

    with pytest.raises(Refused, match="stop all backends"):
        copy(world.engine, target, "", meanwhile)
    assert is_empty(target, tmp_path)


def test_a_database_that_is_not_empty_is_left_alone(world: World, target: str) -> None:
    copy(world.engine, target, "", quietly)
    there = rows(target)
    world.issue("SECC_2", "secc002")
    with pytest.raises(Refused, match=r"not empty|there already"):
        copy(world.engine, target, "", quietly)
    assert rows(target) == there


def test_what_breaks_off_leaves_nothing(target: str, tmp_path: Path) -> None:
    def broken() -> Iterator[Batch]:
        yield Batch("certificates", CERTIFICATE, OLD_ROWS[:BATCH])
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError), filling(target) as connection:
        load(connection, "0001", broken())
    assert is_empty(target, tmp_path)


@pytest.mark.parametrize("wrong", ["a row twice", "a reference to nothing"])
def test_rows_that_no_ledger_has_are_refused_in_one_line(target: str, wrong: str, tmp_path: Path) -> None:
    bad = OLD_ROWS[:1] * 2 if wrong == "a row twice" else OLD_ROWS[1:2]
    with pytest.raises(Refused, match="does not take") as refused, filling(target) as connection:
        load(connection, "0001", [Batch("certificates", CERTIFICATE, bad)])
    assert "\n" not in str(refused.value)
    assert is_empty(target, tmp_path)


def test_the_rows_of_an_older_schema_are_brought_up_to_date(target: str) -> None:
    batches = [Batch("certificates", CERTIFICATE, part) for part in (OLD_ROWS[:BATCH], OLD_ROWS[BATCH:])]
    with filling(target) as connection:
        assert load(connection, "0001", watched(batches, 0, quietly)) == {"certificates": len(OLD_ROWS)}
        newest = schema(connection)
        assert newest > "0001"
    found = {batch.table: batch.columns for batch in rows(target)}
    assert "counters" in found
    assert [row for batch in rows(target) if batch.table == "certificates" for row in batch.rows] == OLD_ROWS


@pytest.mark.parametrize("revision", EARLIER)
def test_a_ledger_of_any_earlier_schema_goes_on_after_its_migration(
    sqlite_world: World, target: str, revision: str, tmp_path: Path
) -> None:
    with_old_schema = open_engine(sqlite_url(tmp_path / "world" / "old.db"))
    migrate(with_old_schema, revision)
    columns = {
        name: {column["name"] for column in inspect(with_old_schema).get_columns(name)}
        for name in inspect(with_old_schema).get_table_names()
    }
    with_old_schema.dispose()
    with snapshot(sqlite_world.engine) as connection, filling(target) as filled:
        load(
            filled, revision, [cut(batch, columns[batch.table]) for batch in dump(connection) if batch.table in columns]
        )
    goes_on_from(sqlite_world, World(sqlite_world.folder, url=target))


def cut(batch: Batch, columns: set[str]) -> Batch:
    """A batch without the columns that an earlier schema does not have."""
    places = [place for place, column in enumerate(batch.columns) if column in columns]
    rows = [tuple(row[place] for place in places) for row in batch.rows]
    return Batch(batch.table, tuple(batch.columns[place] for place in places), rows)


def test_the_rows_of_a_newer_schema_are_malformed(target: str, tmp_path: Path) -> None:
    with pytest.raises(Malformed, match="newer Voltroot"), filling(target) as connection:
        load(connection, "9999", [])
    assert is_empty(target, tmp_path)


@pytest.mark.parametrize("url", ["nonsense", "sqlite://", "postgresql://somebody@127.0.0.1:9/ledger"])
def test_a_database_that_cannot_be_is_said_so(url: str) -> None:
    with pytest.raises((Malformed, Unavailable)) as failed, filling(url):
        pass
    assert isinstance(failed.value, Failure)
