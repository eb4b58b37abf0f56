"""``voltroot csms``: the registry of charging stations, and who may charge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from voltroot.actors.csms import passwords
from voltroot.actors.csms.entrance import WITH_PASSWORD
from voltroot.actors.csms.stations import Station
from voltroot.app.config import read_secret
from voltroot.app.csms import Csms
from voltroot.cli.options import backend_options, existing_backend
from voltroot.errors import NotFound

STATUSES = ("Accepted", "Blocked", "Expired", "Invalid", "NoCredit", "Unknown")


@click.group(name="csms")
def csms() -> None:
    """Put charging stations on record that may connect over OCPP.

    \b
    Example:  voltroot csms add CS001 --serial SN4711 --secc-id DE-ABC-S-0001
    """


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
    if not identity or len(identity) > 48 or ":" in identity or "/" in identity:
        raise click.BadParameter("an identity has 1 to 48 characters, and neither : nor /", param_hint="IDENTITY")
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
    Csms(backend).stations.add(station)
    backend.close()
    made = password if has_password and not password_file else None
    if as_json:
        click.echo(json.dumps(_row(station) | ({"password": made} if made else {})))
        return
    click.echo(f"{identity} may connect with security profile {profile}.")
    if made:
        click.echo(f"Its password, shown this once: {made}")


@csms.command(name="list", epilog="Example:  voltroot csms list --json")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@backend_options
def list_command(as_json: bool, config: Path | None, data: str | None) -> None:
    """List the stations on record."""
    backend = existing_backend(config, data)
    stations = Csms(backend).stations.every()
    backend.close()
    if as_json:
        click.echo(json.dumps([_row(station) for station in stations]))
        return
    for station in stations:
        seen = f"{station.seen:%Y-%m-%d %H:%M}" if station.seen else "never"
        ids = ", ".join(station.secc_ids) or "-"
        click.echo(f"{station.identity:<20} {station.profile}  {station.serial_number:<20} {seen:<16}  {ids}")


@csms.command(epilog="Example:  voltroot csms remove CS001")
@click.argument("identity")
@backend_options
def remove(identity: str, config: Path | None, data: str | None) -> None:
    """Forget a station; its certificates stay valid until they are revoked or expire."""
    backend = existing_backend(config, data)
    stations = Csms(backend).stations
    if stations.find(identity) is None:
        raise NotFound(f"there is no station {identity} in the registry")
    stations.remove(identity)
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


def _row(station: Station) -> dict[str, Any]:
    return {
        "identity": station.identity,
        "profile": station.profile,
        "serialNumber": station.serial_number,
        "organization": station.organization,
        "seccIds": list(station.secc_ids),
        "seen": station.seen.isoformat() if station.seen else None,
    }
