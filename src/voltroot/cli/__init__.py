"""The command line: ``voltroot COMMAND``."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from voltroot import __version__
from voltroot.errors import Failure

# The module of each command, and its name there.
COMMANDS = {
    "bench": ("bench", "bench"),
    "csms": ("csms", "csms"),
    "db": ("db", "db"),
    "demo": ("demo", "demo"),
    "doctor": ("doctor", "doctor"),
    "ev": ("ev", "ev"),
    "exi": ("exi", "exi"),
    "inspect": ("inspect", "inspect_command"),
    "pki": ("pki", "pki"),
    "serve": ("serve", "serve"),
    "station": ("station", "station"),
    "verify": ("verify", "verify"),
    "vpki": ("vpki", "vpki"),
}


class Commands(click.Group):
    """Imports a command when it is called: each needs little of what the others do."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(f"{__name__}.{module}"), attribute)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="voltroot")
def cli() -> None:
    """The certificates of electric-car charging: a PKI, its APIs and its tools in one program.

    \b
    Begin with:  voltroot serve
    """


def main() -> None:
    """Run a command; a Failure or a file that cannot be used becomes one line on standard error and exit code 1."""
    try:
        cli()
    except Failure as failure:
        click.echo(f"voltroot: {failure}", err=True)
        sys.exit(1)
    except OSError as error:
        click.echo(f"voltroot: {error.filename or 'the system'}: {error.strerror or error}", err=True)
        sys.exit(1)
