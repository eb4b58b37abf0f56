"""Opening databases, and what they say when they cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

import postgres
from voltroot.errors import Malformed, Unavailable
from voltroot.store.engine import ATTEMPTS, migrate, open_engine, reading, retried, sqlite_url, writing
from voltroot.store.tables import metadata
from world import World


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "ledger.db")
    return postgres.cluster().address(postgres.cluster().create())


def test_the_schema_is_what_its_migrations_make(url: str) -> None:
    engine = open_engine(url)
    migrate(engine)
    migrate(engine)
    with reading(engine) as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
        uniques = inspect(connection).get_unique_constraints("certificates")
    assert differences == []
    assert ["issuer", "serial"] in [unique["column_names"] for unique in uniques]
    engine.dispose()


def test_every_commit_on_sqlite_is_synced(world: World) -> None:
    with reading(world.engine) as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar_one() == 2
        assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert connection.execute(text("PRAGMA foreign_keys")).scalar_one() == 1


@pytest.mark.parametrize("address", ["nonsense", "mysql://host/database", "sqlite"])
def test_an_address_of_nothing_known_is_malformed(address: str) -> None:
    with pytest.raises(Malformed):
        open_engine(address)


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_text("this is not a database at all, but long enough to look at" * 10)
    with pytest.raises(Unavailable):
        migrate(open_engine(sqlite_url(path)))


def test_a_server_that_is_not_there_is_unavailable_and_its_password_is_not_told() -> None:
    engine = open_engine("postgresql://somebody@127.0.0.1:9/ledger", "open sesame")
    with pytest.raises(Unavailable) as refused:
        migrate(engine)
    assert "sesame" not in str(refused.value)


def test_a_database_that_asks_to_try_again_and_again_is_unavailable() -> None:
    class Deadlocked:
        tried = 0

        @retried
        def write(self, engine: Engine) -> None:
            self.tried += 1
            with writing(engine) as connection:
                connection.execute(text("DO $$ BEGIN RAISE EXCEPTION 'deadlock' USING errcode = '40P01'; END $$"))

    deadlocked, engine = Deadlocked(), open_engine(postgres.cluster().address("postgres"))
    with pytest.raises(Unavailable, match="too busy: deadlock"):
        deadlocked.write(engine)
    assert deadlocked.tried == ATTEMPTS
    engine.dispose()
