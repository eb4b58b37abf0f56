"""Options that several commands share, and the backend they lead to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from voltroot.app.backend import Backend
from voltroot.app.config import Config, read_config

F = TypeVar("F", bound=Callable[..., Any])


def backend_options(command: F) -> F:
    """Add ``--config`` and ``--data``."""
    for option in (
        click.option("--data", metavar="DIR", help="Folder of ledger and keys.  [default: voltroot-data]"),
        click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="Configuration in TOML."),
    ):
        command = option(command)
    return command


def load_config(config: Path | None, data: str | None, **serve: Any) -> Config:
    """Read the file and let the command line's options have the last word."""
    loaded = read_config(config)
    changes = {name: value for name, value in serve.items() if value is not None}
    loaded = msgspec.structs.replace(loaded, serve=msgspec.structs.replace(loaded.serve, **changes))
    return msgspec.structs.replace(loaded, data=data) if data else loaded


def existing_backend(config: Path | None, data: str | None) -> Backend:
    """Return the backend of a folder that has a PKI, or say how to make one."""
    backend = Backend(load_config(config, data))
    if not backend.is_made:
        where = backend.config.folder
        raise click.ClickException(
            f"there is no PKI in {where}: name another with --data, or make one with 'voltroot pki init'"
        )
    backend.migrate()
    return backend


class Moment(click.ParamType[datetime]):
    """A date or time in ISO 8601; without an offset it is in UTC."""

    name = "time"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the moment."""
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no date or time such as 2027-01-31 or 2027-01-31T12:00:00Z", param, ctx)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def show_progress(label: str) -> None:
    """Tell on a terminal which CA or service is being made."""
    click.echo(f"\r\033[K  making {label}", err=True, nl=False)
