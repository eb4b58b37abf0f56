"""``voltroot vpki``: the plant's side of the vPKI API, and the operator's report."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from voltroot.apis.vpki import batch as batches
from voltroot.apis.vpki import wire
from voltroot.apis.vpki.client import Answered, Client, Server
from voltroot.cli.options import backend_options, existing_backend
from voltroot.errors import Malformed
from voltroot.pki.names import Name
from voltroot.pki.registrations import Codes
from voltroot.store.register import MEMBERS

F = TypeVar("F", bound=Callable[..., Any])
BY = tuple(MEMBERS)
PROFILES = {profile: path for path, profile in wire.PRODUCTS.items()}


@click.group(name="vpki")
def vpki() -> None:
    """Ask a car maker's vPKI for certificates, one or many, and report on one's own.

    \b
    Example:  voltroot vpki issue v1/prov car.csr --unit C001 --tier P001 --vehicle SX2 --local KR --brand HMC
    """


def _server_options(command: F) -> F:
    for option in (
        click.option("--patience", default=30.0, show_default=True, type=click.FloatRange(0),
                     help="Seconds for which a call is repeated while the service is away or busy."),
        click.option("--key", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
                     help="Its private key in PEM."),
        click.option("--cert", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
                     help="Client certificate in PEM."),
        click.option("--ca", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
                     help="Roots that the service is trusted by, in PEM.  [default: the system's]"),
        click.option("--server", "url", default="http://127.0.0.1:15120", show_default=True, metavar="URL",
                     envvar="VOLTROOT_VPKI", help="Address of the service, without /api."),
    ):  # fmt: skip
        command = option(command)
    return command


def _code_options(command: F) -> F:
    for name, example in reversed([*zip(Codes._fields, ("C001", "P001", "SX2", "KR", "HMC"), strict=True)]):
        command = click.option(f"--{name}", metavar="CODE", help=f"{name.title()} code, such as {example}.")(command)
    return command


PRODUCT = click.argument("product", type=click.Choice([*wire.PRODUCTS]))
CSR = click.argument("csr", type=click.Path(path_type=Path, exists=True, dir_okay=False))


def _enrolling(verb: str, text: str) -> None:
    @_server_options
    @_code_options
    @click.option("--idempotency-key", metavar="KEY", help="Name of the request: the same has the same answer.")
    @click.option("--json", "as_json", is_flag=True, help="Print subject, serial number, validity and PEM as JSON.")
    @PRODUCT
    @CSR
    def command(product: str, csr: Path, as_json: bool, idempotency_key: str | None, **options: Any) -> None:
        codes = _codes(options)
        if missing := [name for name, code in codes.items() if not code]:
            raise click.UsageError(f"give --{missing[0]}")
        with _client(**options)() as client:
            ask = client.issue if verb == wire.ISSUE else client.reissue
            certificate = _told(ask, product, batches.read_csr(csr), Codes(**codes), idempotency_key)  # type: ignore[arg-type] # none is missing
        if not as_json:
            click.echo(certificate.pem, nl=False)
            return
        described = {
            "subject": str(certificate.subject),
            "serial": str(certificate.serial),
            "notBefore": certificate.not_before.isoformat(),
            "notAfter": certificate.not_after.isoformat(),
            "cert": certificate.pem,
        }
        click.echo(json.dumps(described, indent=2))

    words = f"{verb} v1/prov car.csr --unit C001 --tier P001 --vehicle SX2 --local KR --brand HMC"
    vpki.command(name=verb, help=text, epilog=f"\b\nExample:  voltroot vpki {words}")(command)


_enrolling(wire.ISSUE, "Get the first certificate of a name and print it in PEM.")
_enrolling(wire.REISSUE, "Get a further certificate of a name, for a new key; the one before is superseded.")


@vpki.command(
    epilog="\b\nExample:  voltroot vpki revoke v1/prov cn=KM8P2YDTDAX11F86M9,ou=P001,ou=C001,ou=ECC,o=HKMC,dc=OEM"
)
@_server_options
@PRODUCT
@click.argument("dn")
def revoke(product: str, dn: str, **options: Any) -> None:
    """Revoke all certificates of a distinguished name."""
    with _client(**options)() as client:
        _told(client.revoke, product, dn)
    click.echo(f"{dn} is revoked")


@vpki.command(
    epilog="""\b
Examples:
  voltroot vpki batch requests.csv --results results.jsonl
  voltroot vpki batch csrs/ --product v1/prov --unit C001 --tier P001 --vehicle SX2 --local KR --brand HMC"""
)
@_server_options
@_code_options
@click.option("--product", type=click.Choice([*wire.PRODUCTS]), help="Product of requests that do not say theirs.")
@click.option("--reissue", is_flag=True, help="Reissue instead of issue.")
@click.option("--results", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="File of results, JSON lines.  [default: FILE.results.jsonl]")  # fmt: skip
@click.option("--flying", default=16, show_default=True, type=click.IntRange(1, 256), help="Requests at once.")
@click.option("--again", is_flag=True, help="Ask again for what was refused before.")
@click.option("--json", "as_json", is_flag=True, help="Print the sums as JSON.")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
def batch(
    file: Path,
    product: str | None,
    reissue: bool,
    results: Path | None,
    flying: int,
    again: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Ask for the certificates of a CSV file or of a folder of CSRs; run again, it goes on where it stopped.

    The first line of a CSV file names its columns: csr (the name of a file, or PEM), and where lines differ product,
    unitCode, tierCode, vehicleCode, localCode, brandCode, name. The file of results has one JSON object for each
    answer; the exit code is 0 once all are issued.
    """
    codes = {f"{name}Code": code for name, code in _codes(options).items() if code}
    items = batches.read_items(file, product or "", codes)
    written = batches.Results(results or file.with_name(f"{file.name}.results.jsonl"), again=again)
    done = written.done()
    open_ = [item for item in items if item.name not in done]
    sums = Counter(done[item.name] for item in items if item.name in done)
    progress = Progress(len(items), sums)
    verb = wire.REISSUE if reissue else wire.ISSUE
    with written.opened() as target:
        batches.run(
            open_, verb, _client(**options), target, flying=max(1, min(flying, len(open_))), heard=progress.hear
        )
    progress.end()
    left = len(items) - sums[batches.ISSUED] - sums[batches.REFUSED]
    if as_json:
        click.echo(json.dumps({"issued": sums[batches.ISSUED], "refused": sums[batches.REFUSED], "unanswered": left}))
    else:
        click.echo(f"{sums[batches.ISSUED]} issued, {sums[batches.REFUSED]} refused, {left} without an answer")
        if left:
            click.echo(f"Run it again for the rest. The last fault: {progress.fault}", err=True)
    sys.exit(0 if sums[batches.ISSUED] == len(items) else 1)


class Progress:
    """A bar with rate and time left, on a terminal; ``sums`` are counted on."""

    WIDTH = 30

    def __init__(self, total: int, sums: Counter[str]) -> None:
        self._total = total
        self._sums = sums
        self._before = sums.total()
        self._began = time.monotonic()
        self._shown = 0.0
        self._terminal = sys.stderr.isatty()
        self.fault = ""

    def hear(self, result: batches.Result) -> None:
        """Count one answer."""
        if result.state:
            self._sums[result.state] += 1
        self.fault = result.message or self.fault
        if self._terminal and time.monotonic() - self._shown > 0.1:
            self._shown = time.monotonic()
            click.echo(f"\r\033[K{self.line()}", err=True, nl=False)

    def line(self) -> str:
        """Return what is shown."""
        done = self._sums[batches.ISSUED] + self._sums[batches.REFUSED]
        rate = (done - self._before) / max(time.monotonic() - self._began, 0.001)
        left = f"{(self._total - done) / rate:,.0f} s left" if rate else "waiting"
        bar = ("#" * (self.WIDTH * done // max(self._total, 1))).ljust(self.WIDTH)
        refused = f", {self._sums[batches.REFUSED]:,} refused" if self._sums[batches.REFUSED] else ""
        return f"[{bar}] {done:,} of {self._total:,}, {rate:,.0f}/s, {left}{refused}"

    def end(self) -> None:
        """Clear the line."""
        if self._terminal:
            click.echo("\r\033[K", err=True, nl=False)


def _where_options(command: F) -> F:
    for name in reversed(BY):
        shown = "product" if name == "profile" else name
        command = click.option(f"--{shown}", name, metavar="VALUE", help=f"Only those of this {shown}.")(command)
    return command


@vpki.command(
    epilog="""\b
Examples:
  voltroot vpki report --data data --by vehicle,local
  voltroot vpki report --data data --tier P001 --since 2026-01-01 --json
  voltroot vpki report --data data --list --dn cn=KM8P2YDTDAX11F86M9,ou=P001,ou=C001,ou=ECC,o=HKMC,dc=OEM"""
)
@backend_options
@_where_options
@click.option("--by", default="product,vehicle,local,brand", show_default=True, help="Members to group by.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="Issued on this day (UTC) or later.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="Issued before this day (UTC).")
@click.option("--list", "listing", is_flag=True, help="Show the newest certificates instead of sums.")
@click.option("--dn", help="Only those of this distinguished name; with --list.")
@click.option("--most", default=100, show_default=True, type=click.IntRange(1), help="How many are listed.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def report(
    config: Path | None,
    data: str | None,
    by: str,
    since: datetime | None,
    until: datetime | None,
    listing: bool,
    dn: str | None,
    most: int,
    as_json: bool,
    **where: str | None,
) -> None:
    """Count and search the certificates of the vPKI by who called for them, and for what."""
    given = {name: value for name, value in where.items() if value}
    given |= {"profile": wire.PRODUCTS.get(given["profile"], "")} if "profile" in given else {}
    register = existing_backend(config, data).register
    if listing:
        found = register.search(given, Name.parse(dn).key() if dn else None, most)
        rows = [
            {
                "product": PROFILES[members.pop("profile")],
                "subject": str(entry.read().subject),
                "serial": str(entry.serial),
                "state": entry.state.value,
                "notBefore": entry.not_before.isoformat(),
                "notAfter": entry.not_after.isoformat(),
            }
            | members
            for entry, members in found
        ]
    else:
        members = ["profile" if each == "product" else each for each in by.split(",") if each]
        if unknown := [each for each in members if each not in BY]:
            raise Malformed(f"--by: there is no {unknown[0]}, choose of product, {', '.join(BY[1:])}")
        days = [moment.replace(tzinfo=UTC) if moment else None for moment in (since, until)]
        rows = [
            {name: PROFILES.get(value, value) for name, value in zip(by.split(","), line.group, strict=False)}
            | {"issued": str(line.issued), "valid": str(line.valid), "revoked": str(line.revoked)}
            for line in register.count(members, given, *days)
        ]
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    if not rows:
        click.echo("There are none.")
        return
    widths = [max(len(row[name]) for row in (*rows, {name: name})) for name in rows[0]]
    for line in ({name: name for name in rows[0]}, *rows):
        click.echo("  ".join(value.ljust(width) for value, width in zip(line.values(), widths, strict=True)).rstrip())


def _codes(options: dict[str, Any]) -> dict[str, str | None]:
    return {name: options.pop(name) for name in Codes._fields}


def _client(*, url: str, ca: Path | None, cert: Path | None, key: Path | None, patience: float) -> Callable[[], Client]:
    return partial(Client, Server(url, ca, cert, key), patience)


def _told(ask: Callable[..., Any], *asked: object) -> Any:
    try:
        return ask(*asked)
    except Answered as error:
        raise click.ClickException(str(error)) from error
