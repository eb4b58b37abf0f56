"""``voltroot csms``, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from voltroot.actors.csms import passwords
from voltroot.cli import cli
from voltroot.errors import NotFound
from voltroot.store.stations import SqlStations
from world import World


def typed(world: World, *words: str, code: int = 0) -> str:
    done = CliRunner().invoke(cli, ["csms", *words, "--data", str(world.folder)])
    assert done.exit_code == code, done.output
    return done.output


def test_a_station_is_added_with_a_password_that_is_shown_once(world: World) -> None:
    row = json.loads(typed(world, "add", "CS001", "--secc-id", "DE-ABC-S-1", "--secc-id", "DE-ABC-S-2", "--json"))
    station = SqlStations(world.engine, world.clock).find("CS001")
    assert station is not None
    assert passwords.holds(station.secret, row.pop("password"))
    assert row.items() >= {
        "identity": "CS001", "profile": 2, "serialNumber": "CS001", "organization": "Voltroot Test",
        "seccIds": ["DE-ABC-S-1", "DE-ABC-S-2"], "seen": None,
        "connected": False, "since": None,
    }.items()  # fmt: skip
    assert json.loads(typed(world, "list", "--json")) == [row]
    assert json.loads(typed(world, "show", "CS001", "--json")) == row
    assert "CS001" in typed(world, "list")
    assert "No such station" in typed(world, "list", "--connected")
    assert "DE-ABC-S-1, DE-ABC-S-2" in typed(world, "show", "CS001")


def test_a_password_is_read_from_its_file_and_a_station_with_a_certificate_needs_none(
    world: World, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("a password of 27 characters\n")
    assert "password" not in typed(world, "add", "CS002", "--password-file", str(tmp_path / "password"))
    assert "password" not in typed(world, "add", "CS003", "--profile", "3", "--serial", "SN3")
    stations = SqlStations(world.engine, world.clock)
    second, third = stations.find("CS002"), stations.find("CS003")
    assert second is not None
    assert third is not None
    assert passwords.holds(second.secret, "a password of 27 characters")
    assert (third.secret, third.serial_number) == (None, "SN3")


def test_what_cannot_be_an_identity_is_refused(world: World) -> None:
    for wrong in ("a:b", "a/b", "x" * 49):
        assert "1 to 48 characters" in typed(world, "add", wrong, code=2)


def test_a_token_is_put_on_record_however_it_is_written(world: World) -> None:
    assert typed(world, "token", "DE-8AA-1A2B3C4D5", "Blocked") == "DE-8AA-1A2B3C4D5 (eMAID) is Blocked.\n"
    assert SqlStations(world.engine, world.clock).token("DE8AA1A2B3C4D5", "eMAID") == "Blocked"


def test_a_station_is_removed(world: World) -> None:
    typed(world, "add", "CS001")
    assert typed(world, "remove", "CS001") == "CS001 may not connect any more.\n"
    assert json.loads(typed(world, "list", "--json")) == []
    done = CliRunner().invoke(cli, ["csms", "remove", "CS001", "--data", str(world.folder)])
    assert isinstance(done.exception, NotFound)
