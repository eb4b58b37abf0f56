"""``voltroot csms trigger``, ``install`` and so on: what stations are to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from voltroot.actors.csms import wishes
from voltroot.actors.csms.csms import TRIGGERS
from voltroot.actors.csms.operations import Selection
from voltroot.actors.csms.operators import Acting
from voltroot.actors.csms.wishes import Wish
from voltroot.apis.operators import views, wire
from voltroot.app.backend import Backend, account
from voltroot.app.csms import Csms
from voltroot.cli.csms_outcomes import encoded, finish, followed, sums
from voltroot.cli.options import backend_options, existing_backend
from voltroot.errors import Malformed

F = TypeVar("F", bound=Callable[..., Any])

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


def _job_options(command: F) -> F:
    """Add which stations, how many at once, and how long to wait."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Answer in JSON."),
        click.option("--detach", is_flag=True, help="Do not wait for the end: 'voltroot csms follow JOB' does."),
        click.option("--wait", "patience", type=click.IntRange(1), metavar="SECONDS",
                     help="Wait so long for stations that are away.  [default: they fail at once]"),
        click.option("--jobs", "at_once", type=click.IntRange(1, wire.MOST_AT_ONCE), default=wire.USUAL_AT_ONCE,
                     show_default=True, metavar="N", help="So many stations at once."),
        click.option("--beginning", default="", metavar="TEXT", help="Those whose identities begin so."),
        click.option("--connected", is_flag=True, help="Those that are connected."),
        click.option("--profile", type=click.IntRange(1, 3), help="Those of this security profile."),
        click.option("--all", "everyone", is_flag=True, help="All stations on record."),
        click.argument("stations", nargs=-1),
    ):  # fmt: skip
        command = option(command)
    return backend_options(command)


def _run(
    wish: Callable[[Backend], Wish],
    *,
    stations: tuple[str, ...],
    everyone: bool,
    profile: int | None,
    connected: bool,
    beginning: str,
    at_once: int,
    patience: int | None,
    detach: bool,
    as_json: bool,
    config: Path | None,
    data: str | None,
) -> None:
    """Ask for it, follow it to its end, and tell what came of it; the program fails where something did."""
    if not (stations or everyone or profile or connected or beginning):
        raise click.UsageError("name stations, or say which: --all, --profile, --connected, --beginning")
    if stations and everyone:
        raise click.UsageError("name stations or say --all, not both")
    backend = existing_backend(config, data)
    own = Csms(backend)
    selection = Selection(stations, profile, True if connected else None, beginning)
    patient = timedelta(seconds=patience) if patience else None
    job = own.operations.ask(wish(backend), selection, Acting(account(), "cli"), at_once=at_once, patience=patient)
    if detach:
        click.echo(encoded(views.job(job)) if as_json else f"job {job.number}: {sums(job)}")
    else:
        finish(own, followed(own, job), as_json)


@click.command(
    epilog="""\b
Examples:
  voltroot csms trigger SignChargingStationCertificate CS001
  voltroot csms trigger SignV2GCertificate --all --jobs 50"""
)
@click.argument("message", type=click.Choice([*TRIGGERS]))
@click.option("--evse", type=click.IntRange(1), help="Only for this EVSE.")
@_job_options
def trigger(message: str, evse: int | None, **options: Any) -> None:
    """Have stations ask for a new certificate (F06); done is who has it."""
    _run(lambda backend: wishes.trigger(message, evse), **options)


@click.command(
    epilog="""\b
Examples:
  voltroot csms install V2GRootCertificate v2g-root.pem CS001 CS002
  voltroot csms install CSMSRootCertificate new-root.pem --profile 3 --wait 86400"""
)
@click.argument("kind", type=click.Choice([*wishes.ROOT_KINDS]))
@click.argument("certificate", type=_FILE)
@_job_options
def install(kind: str, certificate: Path, **options: Any) -> None:
    """Install a root, a file in PEM, in stations (M05)."""
    text = _text(certificate)
    _run(lambda backend: wishes.install(kind, text, backend.now()), **options)


@click.command(epilog="Example:  voltroot csms inventory --all --connected")
@click.option("--type", "kinds", multiple=True, type=click.Choice([*wishes.KINDS]), help="Only these.")
@_job_options
def inventory(kinds: tuple[str, ...], **options: Any) -> None:
    """Read which certificates stations have (M03); 'voltroot csms installed' shows them."""
    _run(lambda backend: wishes.inventory(kinds), **options)


@click.command(
    epilog="""\b
Examples:
  voltroot csms delete --certificate old-root.pem --all
  voltroot csms delete --hash-data data.json CS001"""
)
@click.option("--certificate", type=_FILE, metavar="FILE", help="The certificate in PEM.")
@click.option("--issuer", type=_FILE, metavar="FILE", help="The one above it.  [default: it is a root]")
@click.option("--hash-data", "data_file", type=_FILE, metavar="FILE", help="Its certificateHashData in JSON.")
@_job_options
def delete(certificate: Path | None, issuer: Path | None, data_file: Path | None, **options: Any) -> None:
    """Delete a certificate from stations (M04)."""
    if (certificate is None) == (data_file is None):
        raise click.UsageError("say which one, by --certificate or by --hash-data")
    above = _text(issuer) if issuer else ""
    wish = wishes.delete_certificate(_text(certificate), above) if certificate else _by_hash_data(_text(data_file))
    _run(lambda backend: wish, **options)


@click.command(epilog="Example:  voltroot csms password --all --profile 2")
@_job_options
def password(**options: Any) -> None:
    """Give stations new passwords (A01), which nobody learns but the station: only their hashes are kept."""
    _run(lambda backend: wishes.password(), **options)


@click.command(epilog="\b\nExample:  voltroot csms upgrade 3 wss://csms.example.com:15123/ocpp --slot 2 CS001")
@click.argument("to", metavar="PROFILE", type=click.IntRange(2, 3))
@click.argument("url")
@click.option("--slot", type=click.IntRange(0, 1000), required=True, help="Where the station is to keep it.")
@_job_options
def upgrade(to: int, url: str, slot: int, **options: Any) -> None:
    """Have stations come back with a higher security PROFILE, at another URL (A05)."""
    _run(lambda backend: wishes.upgrade(to, url, slot), **options)


@click.command(epilog="Example:  voltroot csms learn --all")
@_job_options
def learn(**options: Any) -> None:
    """Have stations report how large a chain and how many certificates they take."""
    _run(lambda backend: wishes.learn(), **options)


@click.command(
    epilog="""\b
Example:  voltroot csms call GetBaseReport '{"requestId": 7, "reportBase": "FullInventory"}' CS001"""
)
@click.argument("action")
@click.argument("payload")
@_job_options
def call(action: str, payload: str, **options: Any) -> None:
    """Send any other message of OCPP; PAYLOAD is its JSON, as OCPP has it."""
    try:
        asked = json.loads(payload)
    except ValueError as error:
        raise Malformed(f"the payload is no JSON: {error}") from error
    if not isinstance(asked, dict):
        raise Malformed("the payload is no JSON object")
    _run(lambda backend: wishes.call(action, asked), **options)


COMMANDS = (trigger, install, inventory, delete, password, upgrade, learn, call)


def _text(path: Path | None) -> str:
    assert path is not None
    try:
        return path.read_text(encoding="ascii")
    except UnicodeDecodeError as error:
        raise Malformed(f"{path} is not a text: is it in DER? 'openssl x509 -inform DER' makes PEM of it") from error


def _by_hash_data(text: str) -> Wish:
    return wishes.delete(msgspec.to_builtins(wire.read_body(text.encode(), wire.HashData)))
