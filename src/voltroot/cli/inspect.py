"""``voltroot inspect``: what a file is, what it says, and what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import click

from voltroot.cli.files import UNREADABLE, read_contents, shown, tell_unreadable
from voltroot.cli.inspection import possession, revocations
from voltroot.cli.inspection.certificates import certificate_section
from voltroot.cli.inspection.chains import chain_section
from voltroot.cli.inspection.documents import (
    DEFAULT_PASSWORDS,
    CertificateBag,
    CertificationRequest,
    OcspAnswer,
    Password,
    Pfx,
    PublicHalf,
)
from voltroot.cli.inspection.readers import Contents, Item
from voltroot.cli.inspection.reports import Fact, Json, Report, Section, Sight
from voltroot.cli.inspection.values import counted
from voltroot.cli.options import Moment
from voltroot.cli.terminal import echo
from voltroot.errors import Failure
from voltroot.pki import ocsp, vpki
from voltroot.pki.certificates import Certificate
from voltroot.pki.lists import Crl
from voltroot.pki.profiles import profiles

READ, FAULTY = 0, 1


class Unread(NamedTuple):
    """A file that cannot be read, and why."""

    file: str
    why: str

    def document(self) -> dict[str, Json]:
        """Return it as a member of the JSON document."""
        return {"file": shown(self.file), "encoding": None, "error": self.why, "items": []}


@click.command(
    "inspect",
    epilog="""\b
Examples:
  voltroot inspect secc001.pem
  voltroot inspect leaf.pem sub2.pem sub1.pem root.pem
  curl -s http://127.0.0.1:15118/crl/cpo-sub2-2.crl | voltroot inspect -""",
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--profile", "chosen", metavar="NAME", help="Profile of the first certificate, such as SECC_20.")
@click.option("--edition-2022", is_flag=True, help="Hold ISO 15118-20 certificates against its first edition of 2022.")
@click.option("--at", type=Moment(), metavar="TIME", help="Moment to judge validity at, in ISO 8601.  [default: now]")
@click.option("--password", help="Password of a PFX or private key.  [default: none, then 123123]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def inspect_command(
    context: click.Context,
    files: tuple[str, ...],
    chosen: str | None,
    edition_2022: bool,
    at: datetime | None,
    password: str | None,
    as_json: bool,
) -> None:
    """Tell what each FILE is, what it says, and what is wrong with it; - is standard input.

    FILE is a certificate, chain, request, key, PFX, PKCS#7 message, CRL, OCSP answer or OCSP request, in PEM, DER or
    base64. Certificates are held against the profile that they mean to have; those of one FILE may sign those of
    another. Exit code: 0 no error was found, 1 one was, 2 a FILE cannot be read.
    """
    table = profiles(iso15118_20_2022=edition_2022) | vpki.profiles(vpki.Operator())
    if chosen is not None and chosen.upper() not in table:
        raise click.BadParameter(f"{chosen!r} is none of {', '.join(table)}", param_hint="--profile")
    opened = [(file, _read(file, _passwords(password))) for file in files]
    pool = tuple(own for _, contents in opened if isinstance(contents, Contents) for own in contents.certificates)
    sight = Sight(at or datetime.now(UTC), table, table[chosen.upper()] if chosen else None, pool)
    results = [_described(file, contents, sight) for file, contents in opened]
    _print_json(results, sight) if as_json else _print(results)
    context.exit(max(map(_exit_code, results)))


def _passwords(given: str | None) -> Sequence[Password]:
    return DEFAULT_PASSWORDS if given is None else (DEFAULT_PASSWORDS[0], Password("given", given.encode()))


def _read(file: str, passwords: Sequence[Password]) -> Contents | Unread:
    try:
        return read_contents(file, passwords)
    except Failure as failure:
        return Unread(file, str(failure))


def _described(file: str, contents: Contents | Unread, sight: Sight) -> Report | Unread:
    if isinstance(contents, Unread):
        return contents
    try:
        return _describe(shown(file), contents, sight)
    except (Failure, ValueError) as error:
        return Unread(file, f"it is damaged: {error}")


def _describe(file: str, contents: Contents, sight: Sight) -> Report:
    """Return what is told of a file: first of it as a whole, then of each thing in it."""
    found = contents.certificates
    sections = [*_containers(contents.items)]
    if len(found) > 1:
        sections.append(chain_section(found, sight))
    sections += [certificate_section(certificate, sight) for certificate in found]
    sections += [section for item in contents.items if (section := _section(item, found, sight))]
    return Report(file, contents.encoding, tuple(sections))


def _containers(items: Sequence[Item]) -> Iterator[Section]:
    for item in items:
        match item:
            case Pfx():
                yield possession.pfx_section(item)
            case CertificateBag(certificates):
                count = Fact("certificates", len(certificates), "holds", counted(len(certificates), "certificate"))
                yield Section("pkcs7", "Certificates in a PKCS#7 message", [count])


def _section(item: Item, beside: Sequence[Certificate], sight: Sight) -> Section | None:
    match item:
        case CertificationRequest():
            return possession.request_section(item)
        case PublicHalf():
            return possession.key_section(item, beside, sight)
        case Crl():
            return revocations.crl_section(item, sight)
        case OcspAnswer():
            return revocations.answer_section(item, sight)
        case ocsp.Request():
            return revocations.request_section(item, sight)
        case Certificate() | Pfx() | CertificateBag():
            return None


def _exit_code(result: Report | Unread) -> int:
    if isinstance(result, Unread):
        return UNREADABLE
    return FAULTY if result.has_errors else READ


def _print(results: Sequence[Report | Unread]) -> None:
    for result in results:
        if isinstance(result, Unread):
            tell_unreadable("inspect", result.file, result.why)
        else:
            for line in result.lines():
                echo(line)


def _print_json(results: Sequence[Report | Unread], sight: Sight) -> None:
    document = {"at": sight.at.isoformat(), "files": [result.document() for result in results]}
    click.echo(json.dumps(document, indent=2))
