"""The command line: ``voltroot COMMAND``."""

from __future__ import annotations

import sys

import click

from voltroot import __version__
from voltroot.cli.bench import bench
from voltroot.cli.csms import csms
from voltroot.cli.db import db
from voltroot.cli.demo import demo
from voltroot.cli.doctor import doctor
from voltroot.cli.ev import ev
from voltroot.cli.exi import exi
from voltroot.cli.inspect import inspect_command
from voltroot.cli.pki import pki
from voltroot.cli.serve import serve
from voltroot.cli.station import station
from voltroot.cli.verify import verify
from voltroot.cli.vpki import vpki
from voltroot.errors import Failure


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="voltroot")
def cli() -> None:
    """The certificates of electric-car charging: a PKI, its APIs and its tools in one program.

    \b
    Begin with:  voltroot serve
    """


cli.add_command(serve)
cli.add_command(pki)
cli.add_command(vpki)
cli.add_command(csms)
cli.add_command(ev)
cli.add_command(demo)
cli.add_command(db)
cli.add_command(bench)
cli.add_command(inspect_command)
cli.add_command(verify)
cli.add_command(station)
cli.add_command(doctor)
cli.add_command(exi)


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
