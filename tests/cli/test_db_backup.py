"""``voltroot db backup``, ``restore`` and ``copy`` as an operator uses them."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import inspect

import postgres
from voltroot.app.backups import CHECKPOINTS, CONFIGURATION
from voltroot.cli import cli
from voltroot.errors import Failure, Malformed, Refused
from voltroot.store.engine import open_engine, reading
from world import World

pytestmark = pytest.mark.slow

# An audit log's file as it may be found: its last line is still being written.
LINES, TORN = b'{"size": 1}\n{"size": 2}\n', b'{"si'


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(cli, ["db", *(str(argument) for argument in arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("open sesame\n")
    return path


@pytest.fixture
def configuration(tmp_path: Path, world: World, secret: Path) -> Path:
    path = tmp_path / "some.toml"
    path.write_text(f'data = "{world.folder}"\n[pnc]\npfx_password_file = "{secret}"\n')
    return path


@pytest.fixture
def backup(tmp_path: Path, world: World, secret: Path, configuration: Path) -> Path:
    """A backup of a world with one certificate, a configuration and checkpoints."""
    world.issue("SECC_2", "secc001", sealed_key=b"sealed")
    (world.folder / CHECKPOINTS).write_bytes(LINES + TORN)
    path = tmp_path / "ledger.backup"
    run("backup", "--config", configuration, "--passphrase-file", secret, path)
    return path


def others(folder: Path) -> list[str]:
    """What is in the test's folder that it did not put there."""
    return sorted(path.name for path in folder.iterdir() if path.name not in ("world", "secret", "some.toml"))


def test_a_backup_says_what_it_holds_and_what_is_needed_beside_it(
    world: World, tmp_path: Path, secret: Path, configuration: Path
) -> None:
    path = tmp_path / "ledger.backup"
    said = run("backup", "--config", configuration, "--passphrase-file", secret, path).output
    count = len(world.ledger.find())
    assert f"{count} certificates and {count + 1} keys as of 20" in said
    assert f"needed with it: {secret}, the password of PFX files" in said
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert others(tmp_path) == ["ledger.backup"]
    assert b"PRIVATE" not in path.read_bytes()
    assert b"cpo-sub2-2" not in path.read_bytes()


def test_a_backup_tells_as_json(world: World, tmp_path: Path, secret: Path) -> None:
    path = tmp_path / "ledger.backup"
    said = json.loads(run("backup", "--data", world.folder, "--passphrase-file", secret, "--json", path).output)
    count = len(world.ledger.find())
    assert said["rows"]["certificates"] == said["rows"]["credentials"] == count
    assert (said["keys"], said["files"], said["size"]) == (count + 1, [], path.stat().st_size)


def test_what_is_restored_is_what_was_backed_up(world: World, tmp_path: Path, backup: Path, secret: Path) -> None:
    data = tmp_path / "restored"
    said = run("restore", "--data", data, "--passphrase-file", secret, backup).output
    count = len(world.ledger.find())
    assert f"{count} certificates and {count} keys" in said
    assert f"configuration is in {data / CONFIGURATION}" in said
    again = World(data)
    assert again.ledger.find() == world.ledger.find()
    assert again.ledger.credentials() == world.ledger.credentials()
    for path in (world.folder / "keys").iterdir():
        assert (data / "keys" / path.name).read_bytes() == path.read_bytes()
    assert (data / CHECKPOINTS).read_bytes() == LINES
    assert (data / CONFIGURATION).read_text() == (tmp_path / "some.toml").read_text()
    assert again.issue("SECC_2", "secc002").number > again.ledger.find(name="secc001")[0].number


def test_what_is_restored_is_for_its_owner_only(world: World, tmp_path: Path, backup: Path, secret: Path) -> None:
    data = tmp_path / "restored"
    run("restore", "--data", data, "--passphrase-file", secret, backup)
    modes = {path.is_dir(): stat.S_IMODE(path.stat().st_mode) for path in (data, *data.rglob("*"))}
    assert modes == {True: 0o700, False: 0o600}
    assert sorted(path.name for path in data.iterdir()) == [CHECKPOINTS, "keys", "ledger.db", CONFIGURATION]


def test_a_backup_in_use_is_replaced_by_the_next_one(world: World, tmp_path: Path, backup: Path, secret: Path) -> None:
    world.issue("SECC_2", "secc002")
    run("backup", "--data", world.folder, "--passphrase-file", secret, backup)
    run("restore", "--data", tmp_path / "restored", "--passphrase-file", secret, backup)
    assert World(tmp_path / "restored").ledger.find(name="secc002")


def test_a_ledger_goes_from_sqlite_to_postgresql_and_back(tmp_path: Path, backup: Path, secret: Path) -> None:
    url = postgres.cluster().address(postgres.cluster().create())
    there, back = tmp_path / "there", tmp_path / "back"
    said = run("restore", "--data", there, "--ledger", url, "--passphrase-file", secret, backup).output
    assert f'[ledger]\nurl = "{url}"' in said
    assert not (there / "ledger.db").exists()
    other = World(there, url=url)
    entry = other.issue("SECC_2", "secc002")
    other.engine.dispose()
    configuration = tmp_path / "there.toml"
    configuration.write_text(f'data = "{there}"\n[ledger]\nurl = "{url}"\n')
    run("backup", "--config", configuration, "--passphrase-file", secret, backup)
    run("restore", "--data", back, "--passphrase-file", secret, backup)
    assert World(back).ledger.find(name="secc002") == [entry]


def tampered(backup: Path, wrong: str) -> bytes:
    octets = backup.read_bytes()
    middle = len(octets) // 2
    match wrong:
        case "cut short":
            return octets[:middle]
        case "changed":
            return octets[:middle] + bytes([octets[middle] ^ 1]) + octets[middle + 1 :]
        case "something else":
            return b"-----BEGIN CERTIFICATE-----\n" * 100
    return octets


@pytest.mark.parametrize("wrong", ["cut short", "changed", "something else", "passphrase"])
@pytest.mark.parametrize("ledger", ["sqlite", "postgresql"])
def test_a_backup_that_is_not_genuine_leaves_nothing(
    tmp_path: Path, backup: Path, secret: Path, wrong: str, ledger: str
) -> None:
    backup.write_bytes(tampered(backup, wrong))
    if wrong == "passphrase":
        secret.write_text("open barley")
    url = postgres.cluster().address(postgres.cluster().create()) if ledger == "postgresql" else ""
    options = ["--ledger", url] if url else []
    with pytest.raises(Failure) as failed:
        run("restore", "--data", tmp_path / "restored", *options, "--passphrase-file", secret, backup)
    assert "\n" not in str(failed.value)
    assert others(tmp_path) == ["ledger.backup"]
    if url:
        engine = open_engine(url)
        with reading(engine) as connection:
            assert inspect(connection).get_table_names() == []
        engine.dispose()


def test_an_empty_folder_that_was_there_stays_so_when_a_restore_fails(
    tmp_path: Path, backup: Path, secret: Path
) -> None:
    backup.write_bytes(tampered(backup, "changed"))
    data = tmp_path / "restored"
    data.mkdir()
    with pytest.raises(Refused):
        run("restore", "--data", data, "--passphrase-file", secret, backup)
    assert list(data.iterdir()) == []


def test_a_restore_that_fails_at_the_last_moment_takes_its_keys_back(
    tmp_path: Path, backup: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.link", full)
    with pytest.raises(OSError, match="No space"):
        run("restore", "--data", tmp_path / "restored", "--passphrase-file", secret, backup)
    assert others(tmp_path) == ["ledger.backup"]


def test_nothing_is_restored_over_what_is_there(world: World, tmp_path: Path, backup: Path, secret: Path) -> None:
    with pytest.raises(Refused, match="not empty"):
        run("restore", "--data", world.folder, "--passphrase-file", secret, backup)
    url = postgres.cluster().address(postgres.cluster().create())
    run("restore", "--data", tmp_path / "first", "--ledger", url, "--passphrase-file", secret, backup)
    with pytest.raises(Refused, match="not empty"):
        run("restore", "--data", tmp_path / "second", "--ledger", url, "--passphrase-file", secret, backup)
    assert not (tmp_path / "second").exists()
    with pytest.raises(Refused, match="PostgreSQL"):
        run("restore", "--data", tmp_path / "second", "--ledger", "mysql://x", "--passphrase-file", secret, backup)


def test_a_failed_backup_leaves_the_one_before(world: World, tmp_path: Path, backup: Path, secret: Path) -> None:
    before = backup.read_bytes()
    secret.write_text("short\n")
    with pytest.raises(Refused, match="8 characters"):
        run("backup", "--data", world.folder, "--passphrase-file", secret, backup)
    secret.write_text("")
    with pytest.raises(Malformed, match="secret"):
        run("backup", "--data", world.folder, "--passphrase-file", secret, backup)
    assert backup.read_bytes() == before
    assert others(tmp_path) == ["ledger.backup"]


def test_a_key_that_is_not_there_is_named(world: World, tmp_path: Path, secret: Path) -> None:
    world.keyring.path("v2g-root-2").unlink()
    command = ("backup", "--data", world.folder, "--passphrase-file", secret, tmp_path / "ledger.backup")
    assert "does not hold it: the key v2g-root-2\n" in run(*command).output
    assert json.loads(run(*command, "--json").output)["missingKeys"] == ["v2g-root-2"]
    for path in (world.folder / "keys").iterdir():
        path.unlink()
    with pytest.raises(Refused, match="no keys"):
        run(*command)


def test_copy_tells_what_the_configuration_needs(world: World, tmp_path: Path, secret: Path) -> None:
    url = postgres.cluster().address(postgres.cluster().create())
    said = run("copy", "--data", world.folder, "--to", url, "--password-file", secret).output
    assert f'[ledger]\nurl = "{url}"\npassword_file = "{secret}"' in said
    configuration = tmp_path / "moved.toml"
    configuration.write_text(f'data = "{world.folder}"\n' + said[said.index("[ledger]") :])
    back = tmp_path / "back.db"
    said = run("copy", "--config", configuration, "--to", f"sqlite:///{back}", "--json").output
    assert json.loads(said)["rows"]["certificates"] == len(world.ledger.find())
    assert stat.S_IMODE(back.stat().st_mode) == 0o600
    assert "ledger.db" in run("copy", "--data", world.folder, "--to", f"sqlite:///{tmp_path}/third.db").output


def test_a_password_in_an_address_is_not_told(world: World) -> None:
    url = postgres.cluster().address(postgres.cluster().create())
    said = run("copy", "--data", world.folder, "--to", url.replace("postgres@", "postgres:sesame@")).output
    assert "sesame" not in said
    assert f'url = "{url}"' in said


@pytest.mark.parametrize("command", ["backup", "restore", "copy"])
def test_every_command_has_help_with_an_example(command: str) -> None:
    text = run(command, "--help").output
    assert "Example" in text
    assert f"voltroot db {command}" in text
