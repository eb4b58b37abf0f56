"""``voltroot serve``: the backend with all its APIs."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from voltroot.app import csms, logs, processes
from voltroot.app.backend import Backend
from voltroot.app.config import Config
from voltroot.app.vpki import has_tls, is_offered
from voltroot.cli.options import backend_options, load_config, show_progress
from voltroot.serve.http import open_socket


@click.command(
    epilog="""\b
Examples:
  voltroot serve
  voltroot serve --data /var/lib/voltroot --config /etc/voltroot.toml
  voltroot serve --port 8080 --tls-port 8443 --base http://pki.example.com --processes 4"""
)
@backend_options
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port for HTTP.  [default: 15118]")
@click.option("--tls-port", type=click.IntRange(0, 65535), help="Port for HTTPS.  [default: 15119]")
@click.option("--vpki-port", type=click.IntRange(0, 65535), help="Port of the vPKI API.  [default: 15120]")
@click.option("--operators-port", type=click.IntRange(0, 65535), help="Port of the operators' API.  [default: 15121]")
@click.option("--base", metavar="URL", help="Public address that certificates name for CRLs and OCSP.")
@click.option("--processes", type=click.IntRange(1, 64), help="Processes that share the work.  [default: 1]")
def serve(config: Path | None, data: str | None, **options: str | int | None) -> None:
    """Run the backend; on first start it makes itself a complete test PKI.

    Standard output says what is where; the log goes to standard error, a JSON object a line.
    """
    processes.hold_hangups()
    load = partial(load_config, config, data, **options)
    loaded = load()
    logs.configure(loaded.log.level)
    terminal = sys.stderr.isatty()
    backend = Backend(loaded, progress=show_progress if terminal else lambda label: None)
    if not backend.is_made:
        click.echo(f"First start: making a complete test PKI in {loaded.folder} ...")
    backend.prepare()
    own = loaded.serve
    listeners = [
        (open_socket(own.host, own.port), processes.HTTP),
        (open_socket(own.host, own.tls_port), processes.HTTPS),
    ]
    if is_offered(loaded):
        listeners.append((open_socket(own.host, own.vpki_port), processes.VPKI))
    listeners += csms.listeners(loaded)
    click.echo(("\r\033[K" if terminal else "") + _where(backend))
    backend.close()
    if own.processes == 1:
        processes.serve(load, listeners)
    else:
        processes.serve_with(own.processes, load, listeners)


def _where(backend: Backend) -> str:
    config = backend.config
    cas = len(backend.issuers.standing().cas)
    local = f"http://{config.serve.host}:{config.serve.port}"
    return f"""\
Voltroot is ready.

  Secondary Actor API   {local}/api/v2   (OpenAPI: {local}/api/v2/openapi.json)
             by HTTPS   https://{config.serve.host}:{config.serve.tls_port}/api/v2   (root: {local}/ca/csms-root.pem)
  vPKI API              {_vpki(config)}
  Charging stations     {_csms(config)}
  Their operators       {_operators(config)}
  CA certificates       {local}/ca   ({cas} CAs; all roots: {local}/ca/roots.pem)
  CRLs, OCSP            {local}/crl/NAME.crl, {local}/ocsp
  Health, metrics       {local}/health, {local}/ready, {local}/metrics
  Ledger and keys       {config.folder.resolve()}

Try:

  curl -X POST -d '{{"seccId": "station001"}}' "{local}/api/v2/cpo/seccCert"
"""


def _vpki(config: Config) -> str:
    if not is_offered(config):
        return "off: name its callers in [vpki]" if config.vpki.enabled else "off"
    scheme = "https" if has_tls(config.vpki) else "http"
    address = f"{scheme}://{config.serve.host}:{config.serve.vpki_port}/api"
    if config.vpki.callers:
        return f"{address}   (for {', '.join(caller.name for caller in config.vpki.callers)})"
    return f"{address}   NO TLS, ANYBODY ON THIS MACHINE MAY CALL: name its callers in [vpki]"


def _csms(config: Config) -> str:
    ports = csms.ports(config)
    if not ports:
        return "off: give a security profile a port in [csms]"
    schemes = {"csms-1": "ws"}
    return ", ".join(f"{schemes.get(kind, 'wss')}://{config.serve.host}:{port}/ocpp" for kind, port in ports.items())


def _operators(config: Config) -> str:
    if not csms.has_operators(config):
        return "off" if csms.ports(config) else "off, as there are no charging stations"
    own = config.serve
    if csms.is_loopback(own.operators_host):
        return f"http://{own.operators_host}:{own.operators_port}/v1   (OpenAPI: /openapi.json)"
    return f"https://{own.operators_host}:{own.operators_port}/v1   (for tokens: voltroot csms operator add NAME)"
