"""``voltroot csms``: the registry of charging stations, who may charge, and who may operate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import msgspec

from voltroot.actors.csms import passwords
from voltroot.actors.csms.entrance import WITH_PASSWORD
from voltroot.actors.csms.operations import Listed, Selection, require_identity
from voltroot.actors.csms.operators import Acting
from voltroot.actors.csms.stations import Station
from voltroot.apis.operators import views
from voltroot.app.backend import account
from voltroot.app.config import read_secret
from voltroot.app.csms import Csms
from voltroot.cli import csms_jobs, csms_outcomes
from voltroot.cli.options import backend_options, existing_backend
from voltroot.cli.terminal import printable
from voltroot.errors import Malformed, NotFound

STATUSES = ("Accepted", "Blocked", "Expired", "Invalid", "NoCredit", "Unknown")


@click.group(name="csms")
def csms() -> None:
    """Charging stations that connect over OCPP: put them on record, and have them do things.

    All of these commands work on the database, whichever processes serve the stations.

    \b
    Examples:
      voltroot csms add CS001 --serial SN4711 --secc-id DE-ABC-S-0001
      voltroot csms trigger SignV2GCertificate CS001
      voltroot csms install V2GRootCertificate root.pem --all
    """


for each in (*csms_jobs.COMMANDS, *csms_outcomes.COMMANDS):
    csms.add_command(each)


@csms.command(
    epilog="""\b
Examples:
  voltroot csms add CS001
  voltroot csms add CS001 --profile 3 --serial SN4711 --organization "Example CPO"
  voltroot csms add CS001 --password-file cs001.password --secc-id DE-ABC-S-0001 --secc-id DE-ABC-S-0002"""
)
@click.argument("identity")
@click.option("--profile", type=click.IntRange(1, 3), default=2, show_default=True, help="Security profile.")
@click.option("--serial", metavar="TEXT", help="Serial number, the CN of its certificate.  [default: IDENTITY]")
@click.option("--organization", metavar="TEXT", help="O of its certificates.  [default: that of the configuration]")
@click.option("--secc-id", "secc_ids", multiple=True, metavar="ID", help="CN of a V2G certificate; once for each.")
@click.option("--password-file", metavar="FILE", help="File of its password.  [default: one is made and shown]")
@click.option("--expired-allowed", is_flag=True, help="Let it in with an expired certificate, to get another.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@backend_options
def add(
    identity: str,
    profile: int,
    serial: str | None,
    organization: str | None,
    secc_ids: tuple[str, ...],
    password_file: str | None,
    expired_allowed: bool,
    as_json: bool,
    config: Path | None,
    data: str | None,
) -> None:
    """Put a station on record; IDENTITY is the last part of the address that it connects to."""
    try:
        require_identity(identity)
    except Malformed as error:
        raise click.BadParameter(str(error), param_hint="IDENTITY") from error
    backend = existing_backend(config, data)
    password = read_secret(password_file) if password_file else passwords.generate()
    has_password = profile in WITH_PASSWORD or password_file is not None
    station = Station(
        identity=identity,
        serial_number=serial or identity,
        organization=organization or backend.config.subject.organization,
        secc_ids=secc_ids,
        profile=profile,
        secret=passwords.make(password) if has_password else None,
        expired_allowed=expired_allowed,
    )
    Csms(backend).stations.add(station, _acting())
    backend.close()
    made = password if has_password and not password_file else None
    if as_json:
        click.echo(json.dumps(_row(Listed(station, None)) | ({"password": made} if made else {})))
        return
    click.echo(f"{identity} may connect with security profile {profile}.")
    if made:
        click.echo(f"Its password, shown this once: {made}")


@csms.command(
    epilog="""\b
Examples:
  voltroot csms change CS001 --profile 3
  voltroot csms change CS001 --secc-id DE-ABC-S-0001 --secc-id DE-ABC-S-0002"""
)
@click.argument("identity")
@click.option("--profile", type=click.IntRange(1, 3), help="Security profile.")
@click.option("--serial", "serial_number", metavar="TEXT", help="Serial number, the CN of its certificate.")
@click.option("--organization", metavar="TEXT", help="O of its certificates.")
@click.option("--secc-id", "secc_ids", multiple=True, metavar="ID", help="CN of a V2G certificate; all of them.")
@click.option("--password-file", metavar="FILE", help="File of the password that it has.")
@click.option("--expired-allowed/--no-expired-allowed", default=None, help="Let it in with an expired certificate.")
@backend_options
def change(identity: str, password_file: str | None, config: Path | None, data: str | None, **options: Any) -> None:
    """Change what is on record of a station. The station itself is told nothing: it has changed already."""
    backend = existing_backend(config, data)
    members = {name: value for name, value in options.items() if value not in (None, ())}
    if "profile" in members:
        members["next_profile"] = None
    if password_file:
        members |= {"secret": passwords.make(read_secret(password_file)), "next_secret": None}
    if not members:
        raise click.UsageError("say what is to be another: --profile, --serial, --secc-id ...")
    Csms(backend).stations.alter(identity, members, _acting())
    backend.close()
    click.echo(f"{identity} is changed.")


@csms.command(name="list", epilog="Example:  voltroot csms list --connected --json")
@click.option("--profile", type=click.IntRange(1, 3), help="Only those of this security profile.")
@click.option("--connected/--away", default=None, help="Only those that are connected, or are not.")
@click.option("--beginning", default="", metavar="TEXT", help="Only those whose identities begin so.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@backend_options
def list_command(
    profile: int | None, connected: bool | None, beginning: str, as_json: bool, config: Path | None, data: str | None
) -> None:
    """List the stations on record, and which of them are connected."""
    backend = existing_backend(config, data)
    stations = Csms(backend).presence.listed(Selection((), profile, connected, beginning))
    backend.close()
    if as_json:
        click.echo(json.dumps([_row(station) for station in stations]))
        return
    if not stations:
        click.echo("No such station is on record: 'voltroot csms add' puts one there.", err=True)
    for station, presence in stations:
        ids = ", ".join(station.secc_ids) or "-"
        state = f"{'since' if presence.connected else 'gone '} {presence.since:%Y-%m-%d %H:%M}" if presence else "never"
        line = f"{station.identity:<20} {station.profile}  {station.serial_number:<20} {state:<22}  {ids}"
        click.echo(printable(line))


@csms.command(epilog="Example:  voltroot csms show CS001")
@click.argument("identity")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@backend_options
def show(identity: str, as_json: bool, config: Path | None, data: str | None) -> None:
    """Show a station: what is on record, what it said of itself, and its connection."""
    backend = existing_backend(config, data)
    row = _row(Csms(backend).presence.station(identity))
    backend.close()
    if as_json:
        click.echo(json.dumps(row))
        return
    for name, value in row.items():
        told = ", ".join(value) if isinstance(value, list) else json.dumps(value) if isinstance(value, dict) else value
        click.echo(f"{name:<17} {printable(str('-' if told in (None, '') else told))}")


@csms.command(epilog="Example:  voltroot csms remove CS001")
@click.argument("identity")
@backend_options
def remove(identity: str, config: Path | None, data: str | None) -> None:
    """Forget a station and end its connection; its certificates stay valid until they are revoked or expire."""
    backend = existing_backend(config, data)
    stations = Csms(backend).stations
    if stations.find(identity) is None:
        raise NotFound(f"there is no station {identity} in the registry")
    stations.remove(identity, _acting())
    backend.close()
    click.echo(f"{identity} may not connect any more.")


@csms.command(epilog="Example:  voltroot csms token DE8AA1A2B3C4D5 Accepted")
@click.argument("token")
@click.argument("status", type=click.Choice(STATUSES))
@click.option("--kind", default="eMAID", show_default=True, help="Type of the token, as OCPP calls it.")
@backend_options
def token(token: str, status: str, kind: str, config: Path | None, data: str | None) -> None:
    """Say whether a token may charge; contracts of this backend's MO may without."""
    backend = existing_backend(config, data)
    Csms(backend).tokens.admit(token, kind, status)
    backend.close()
    click.echo(f"{token} ({kind}) is {status}.")


@csms.group()
def operator() -> None:
    """Say who may call the operators' API.

    \b
    Example:  voltroot csms operator add control-room
    """


@operator.command(name="add", epilog="Example:  voltroot csms operator add dashboard --read-only")
@click.argument("name")
@click.option("--read-only", is_flag=True, help="It may look and not change anything.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@backend_options
def add_operator(name: str, read_only: bool, as_json: bool, config: Path | None, data: str | None) -> None:
    """Make a token for an operator: a person, or a program. It is shown once."""
    if not 1 <= len(name) <= 64 or not name.isprintable():
        raise click.BadParameter("a name has 1 to 64 printable characters", param_hint="NAME")
    backend = existing_backend(config, data)
    made = Csms(backend).operators.add(name, not read_only, _acting())
    backend.close()
    if as_json:
        click.echo(json.dumps({"name": name, "mayChange": not read_only, "token": made}))
        return
    click.echo(f"{name} may {'look at' if read_only else 'operate'} the charging stations.")
    click.echo(f"The token, shown this once: {made}")


@operator.command(name="list", epilog="Example:  voltroot csms operator list")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@backend_options
def list_operators(as_json: bool, config: Path | None, data: str | None) -> None:
    """List the operators."""
    backend = existing_backend(config, data)
    operators = Csms(backend).operators.every()
    backend.close()
    if as_json:
        rows = [{"name": each.name, "mayChange": each.may_change, "made": each.made.isoformat()} for each in operators]
        click.echo(json.dumps(rows))
        return
    for each in operators:
        click.echo(printable(f"{each.name:<30} {'operates' if each.may_change else 'looks':<9} {each.made:%Y-%m-%d}"))


@operator.command(name="remove", epilog="Example:  voltroot csms operator remove dashboard")
@click.argument("name")
@backend_options
def remove_operator(name: str, config: Path | None, data: str | None) -> None:
    """Forget an operator; the token is good for nothing from now on."""
    backend = existing_backend(config, data)
    Csms(backend).operators.remove(name, _acting())
    backend.close()
    click.echo(f"{name} may not operate any more.")


def _acting() -> Acting:
    return Acting(account(), "cli")


def _row(listed: Listed) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(views.station(listed)))
    return row
