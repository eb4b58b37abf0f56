"""``voltroot db backup``, ``restore`` and ``copy``: the ledger, with all that belongs to it, in another place."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from sqlalchemy.engine import make_url

from voltroot.app.backups import CONFIGURATION, KEYS, Contents, back_up, restore
from voltroot.app.config import Config, read_secret
from voltroot.cli.options import backend_options, existing_backend
from voltroot.errors import Refused
from voltroot.store.transfer import Progress, copy

F = TypeVar("F", bound=Callable[..., Any])

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
passphrase_option = click.option(
    "--passphrase-file", required=True, type=_FILE, metavar="FILE", help="Its first line seals and opens the backup."
)
password_option = click.option(
    "--password-file", type=_FILE, metavar="FILE", help="Its first line is the password of the database."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")


@click.command(
    name="backup", epilog="\b\nExample:  voltroot db backup --data data --passphrase-file secret ledger.backup"
)
@backend_options
@passphrase_option
@json_option
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def backup_command(config: Path | None, data: str | None, passphrase_file: Path, as_json: bool, file: Path) -> None:
    """Write ledger, keys, escrow and configuration to FILE, encrypted, while backends run.

    The configuration is the file given with --config. Secrets that it names are not in the backup.
    """
    backend = existing_backend(config, data)
    with _progress("Backing up") as progress:
        contents = back_up(backend, file, read_secret(str(passphrase_file)), config, progress)
    backend.close()
    size = file.stat().st_size
    if as_json:
        missing = {"missingKeys": sorted(contents.missing), "device": contents.device}
        click.echo(json.dumps(_described(contents) | {"file": str(file), "size": size} | missing, indent=2))
        return
    click.echo(f"{file} holds {_told(contents)} in {size:,} octets")
    if contents.device:
        click.echo(_in_device(contents))
    else:
        for label in sorted(contents.missing):
            click.echo(f"Not in it, because the keyring does not hold it: the key {label}")
    for secret in _secrets(backend.config):
        click.echo(f"Not in it, and needed with it: {secret}")


@click.command(
    name="restore",
    epilog="""\b
Examples:
  voltroot db restore --data data --passphrase-file secret ledger.backup
  voltroot db restore --data data --passphrase-file secret --ledger postgresql://me@host/db ledger.backup""",
)
@click.option("--data", required=True, type=click.Path(path_type=Path), metavar="DIR",
              help="Folder for keys and ledger; new or empty.")  # fmt: skip
@click.option("--ledger", metavar="URL", default="", help="Empty PostgreSQL database to restore the ledger into.")
@password_option
@passphrase_option
@json_option
@click.argument("file", type=_FILE)
def restore_command(
    data: Path, ledger: str, password_file: Path | None, passphrase_file: Path, as_json: bool, file: Path
) -> None:
    """Make a PKI of the backup in FILE, whichever kind of database its ledger was in.

    Where anything is wrong with FILE, nothing is written.
    """
    if ledger and not ledger.startswith("postgresql:"):
        raise Refused("--ledger names a database of PostgreSQL; without it the ledger is a file in the folder")
    passphrase, password = read_secret(str(passphrase_file)), read_secret(str(password_file or ""))
    with _progress("Restoring") as progress:
        contents = restore(file, passphrase, data, ledger, password, progress)
    if as_json:
        place = make_url(ledger).render_as_string() if ledger else str(data / "ledger.db")
        click.echo(json.dumps(_described(contents) | {"data": str(data), "ledger": place}, indent=2))
        return
    click.echo(f"{data} holds {_told(contents)}")
    if CONFIGURATION in contents.files:
        click.echo(f"The configuration is in {data / CONFIGURATION}: see that its places and addresses are those here")
    _tell_configuration(ledger, password_file)


@click.command(
    name="copy",
    epilog="""\b
Examples:
  voltroot db copy --data data --to postgresql://me@host/voltroot --password-file secret
  voltroot db copy --config voltroot.toml --to sqlite:////var/lib/voltroot/ledger.db""",
)
@backend_options
@click.option("--to", "url", required=True, metavar="URL", help="Empty PostgreSQL database, or new file of SQLite.")
@password_option
@json_option
def copy_command(config: Path | None, data: str | None, url: str, password_file: Path | None, as_json: bool) -> None:
    """Copy the ledger into another, empty database; keys stay where they are.

    Stop the backends before: what they write meanwhile would be in the old ledger only, and the copy refuses that.
    """
    backend = existing_backend(config, data)
    with _progress("Copying") as progress:
        rows = copy(backend.database, url, read_secret(str(password_file or "")), progress)
    backend.close()
    place = make_url(url)
    if as_json:
        click.echo(json.dumps({"ledger": place.render_as_string(), "rows": rows}, indent=2))
        return
    click.echo(f"{sum(rows.values()):,} rows are in {place.render_as_string()}, counted in both")
    if place.get_backend_name() == "sqlite":
        own = backend.config.folder / "ledger.db"
        click.echo(f"To use it, have it at {own}, and no url in [ledger] of the configuration")
    _tell_configuration(url, password_file)


def _tell_configuration(url: str, password_file: Path | None) -> None:
    if url.startswith("postgresql"):
        address = make_url(url)._replace(drivername="postgresql", password=None).render_as_string()
        secret = f'password_file = "{password_file.resolve()}"\n' if password_file else ""
        click.echo(f'To use it, the configuration needs:\n\n[ledger]\nurl = "{address}"\n{secret}')


def _told(contents: Contents) -> str:
    moment = contents.head.moment.isoformat(timespec="seconds")
    return f"{contents.head.rows['certificates']:,} certificates and {contents.keys} keys as of {moment}"


def _in_device(contents: Contents) -> str:
    if contents.device.startswith("tpm:"):
        return f"Its keys are sealed by {contents.device}: they work with this very TPM only, until it is cleared"
    return (
        f"Not in it, because they cannot leave {contents.device}: {len(contents.missing)} keys of CAs and services, "
        "and those of escrow and audit log; what is restored needs that token, so back it up by its maker's means"
    )


def _described(contents: Contents) -> dict[str, Any]:
    return {
        "moment": contents.head.moment.isoformat(),
        "version": contents.head.voltroot,
        "rows": contents.head.rows,
        "keys": contents.keys,
        "files": sorted(name for name in contents.files if not name.startswith(KEYS)),
    }


def _secrets(config: Config) -> Iterator[str]:
    """Yield what has to be kept beside a backup."""
    for meaning, path in (
        ("the passphrase of the keys", config.keys.passphrase_file),
        ("the PIN of the device with the keys", config.keys.pin_file),
        ("the password of PFX files", config.pnc.pfx_password_file),
        ("the password of the database", config.ledger.password_file),
    ):
        if path:
            yield f"{path}, {meaning}"


@contextmanager
def _progress(label: str) -> Iterator[Progress]:
    with click.progressbar(length=1, label=label, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:

        def show(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield show
