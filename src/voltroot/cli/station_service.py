"""``voltroot station run``, ``certify`` and ``asyncapi``: a station beside EVerest or Josev, and with a CSMS."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import TextIO

import click

from voltroot.actors.station.outcomes import InstallStatus
from voltroot.apis.everest import asyncapi as description
from voltroot.app import logs
from voltroot.app.station import StationMachine
from voltroot.app.station_config import StationConfig, broker_of, read_station_config
from voltroot.errors import Refused
from voltroot.serve.broker import embedded

configured = click.option(
    "--config",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The station's configuration in TOML.",
)


@click.command(
    epilog="""\b
Examples:
  voltroot station run --config station.toml
  voltroot station run --config station.toml --embedded-broker"""
)
@configured
@click.option("--embedded-broker", is_flag=True, help="Run an installed mosquitto too, on this machine's loopback.")
def run(config: Path, embedded_broker: bool) -> None:
    """Serve a station's certificates to EVerest and its keys to Josev, over MQTT, and speak OCPP to its CSMS.

    Standard output says what is where; the log goes to standard error, a JSON object a line. A broker that is not
    there, or goes away, is tried again for ever.
    """
    settings = read_station_config(config)
    logs.configure(settings.log.level)
    broker = broker_of(settings)
    if embedded_broker and (broker.unix or broker.tls or broker.host not in ("localhost", "127.0.0.1")):
        raise Refused(f"--embedded-broker is for this machine: {settings.broker.address} is elsewhere, or has TLS")
    with embedded(broker.port) if embedded_broker else contextlib.nullcontext():
        StationMachine(settings).run(lambda: click.echo(_where(settings)))


def _where(config: StationConfig) -> str:
    everest, josev = config.everest, config.josev
    lines = [
        "The station runs.",
        "",
        f"  Certificates   {Path(config.certs).absolute()}",
        f"  Keys           {config.keys.device or 'in files beside the certificates'}",
    ]
    if everest.enabled or josev.enabled:
        lines.append(f"  Broker         {config.broker.address}")
    if config.csms.url:
        lines.append(
            f"  CSMS           {config.csms.url}/{config.csms.identity}, security profile {config.csms.profile}"
        )
    if config.car.listen:
        lines.append(f"  Cars           http://{config.car.listen}")
    if everest.enabled:
        lines.append(f"  EVerest        {everest.prefix}everest_api/1/evse_security_consumer/{everest.module}/m2e/...")
    if josev.enabled:
        lines.append(f"  Josev          {josev.hears} -> {josev.says}")
    return "\n".join(lines)


@click.command(
    epilog="""\b
Examples:
  voltroot station certify --config station.toml request.pem
  voltroot station certify --config station.toml - < request.pem"""
)
@configured
@click.argument("request", type=click.File())
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def certify(config: Path, request: TextIO, as_json: bool) -> None:
    """Have a REQUEST certified by the CPO's CA of [authority], and install the certificate with its chain.

    The request is PKCS#10 in PEM whose key is in the store, as Josev gets it by generate_csr. With josev.forward =
    "csms" the station that runs sends it to its CSMS instead.
    """
    machine = StationMachine(read_station_config(config))
    machine.open()
    installation = machine.certify(request.read())
    if as_json:
        click.echo(json.dumps({"status": installation.status.value, "reason": installation.reason}))
    elif installation.status is InstallStatus.ACCEPTED:
        click.echo("The certificate is installed.")
    if installation.status is not InstallStatus.ACCEPTED:
        raise Refused(f"the certificate is not installed ({installation.status}): {installation.reason}")


@click.command(epilog="Example:  voltroot station asyncapi > everest.json")
def asyncapi() -> None:
    """Print the AsyncAPI 3 description of the EVerest API, in JSON."""
    sys.stdout.write(description.document())
