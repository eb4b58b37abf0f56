"""The FILEs that commands are given; - is standard input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO, NoReturn, cast

import click

from voltroot.cli.inspection.documents import DEFAULT_PASSWORDS, Password
from voltroot.cli.inspection.readers import Contents, read
from voltroot.cli.terminal import echo, printable
from voltroot.errors import Failure, Malformed
from voltroot.pki.certificates import Certificate

UNREADABLE = 2  # exit code
LARGEST = 1 << 26  # octets: a CRL of a million lines fits


def read_octets(file: str, most: int = LARGEST) -> bytes:
    """Return what stands in a FILE, or raise Malformed."""
    try:
        with click.open_file(file, "rb") as stream:
            octets = cast(BinaryIO, stream).read(most + 1)
    except OSError as error:
        raise Malformed(error.strerror or "it cannot be opened") from error
    if len(octets) > most:
        raise Malformed(f"it has more than {most >> 20} MiB")
    return octets


def read_contents(file: str, passwords: Sequence[Password] = DEFAULT_PASSWORDS) -> Contents:
    """Return the certificates and the like in a FILE; Malformed or Refused says in one line why that cannot be."""
    return read(read_octets(file), passwords)


def read_certificates(command: str, file: str) -> Sequence[Certificate]:
    """Return the certificates in a FILE, one at least, or end the program."""
    try:
        return read_contents(file).certificates or unreadable(command, file, "it holds no certificate")
    except Failure as failure:
        unreadable(command, file, str(failure))


def unreadable(command: str, file: str, why: str) -> NoReturn:
    """End the program: one line on standard error, exit code 2."""
    tell_unreadable(command, file, why)
    raise click.exceptions.Exit(UNREADABLE)


def tell_unreadable(command: str, file: str, why: str) -> None:
    """Say in one line on standard error why a FILE cannot be read."""
    echo(printable(f"voltroot {command}: {shown(file)}: {why}"), err=True)


def shown(file: str) -> str:
    """Return what a FILE is called."""
    return "standard input" if file == "-" else file
