"""``voltroot ev``: a car that gets its certificates from any backend, and says what it checked and where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

from voltroot.app.pemfiles import read_certificates
from voltroot.app.vehicle import EDITIONS, Exchange, Garage
from voltroot.cli import checks
from voltroot.cli.terminal import printable
from voltroot.contract.unpack import Check, Contract, Unpacked
from voltroot.errors import Malformed
from voltroot.pki.certificates import read_base64
from voltroot.pki.chains import Judgement

GOOD, STOPPED = 0, 1
F = TypeVar("F", bound=Callable[..., Any])

_CAR = click.option(
    "--car",
    type=click.Path(path_type=Path, file_okay=False),
    default="voltroot-car",
    show_default=True,
    metavar="DIR",
    help="Folder of the car.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
_FAULT = click.option(
    "--fault",
    metavar="NAME",
    help="Ask a backend with a lab to get it wrong: NAME, or NAME:VALUE.  (docs/guides/lab.md lists them)",
)
_OF_UNPACKING = (
    click.option("--status", is_flag=True, help="Ask for the contract's CRL as well, which no car on the road does."),
    click.option("--libcbv2g", is_flag=True, help="Accept eMAID's digest in the form that libcbv2g gives it."),
)


def _unpacking(command: F) -> F:
    for option in _OF_UNPACKING:
        command = option(command)
    return command


@click.group(name="ev")
def ev() -> None:
    """Be a car: get provisioned, install and update contracts, pay.

    Keys and certificates are in the folder --car. The backend is any that speaks the Secondary Actor API. Exit code:
    0 all is well, 1 the car stopped at a fault or was refused.

    \b
    Examples:
      voltroot ev provision WMIV1234567890ABCD
      voltroot ev install --order DEABCC12345678
      voltroot ev pay
      voltroot ev update --renew
    """


@ev.command(
    epilog="""\b
Examples:
  voltroot ev provision pcid001
  voltroot ev provision pcid002 --iso 20 --suite Ed448 --car car20
  voltroot ev provision pcid003 --api http://backend.example.com:15118 --root v2g-root.pem
  voltroot ev provision pcid004 --device tpm:device:/dev/tpmrm0"""
)
@click.argument("pcid")
@click.option("--api", default="http://127.0.0.1:15118", show_default=True, metavar="URL", help="The backend.")
@click.option("--iso", type=click.Choice([*EDITIONS]), default="2", show_default=True, help="The standard it speaks.")
@click.option("--suite", type=click.Choice(["P-256", "P-521", "Ed448"]), help="Kind of key.  [default: the edition's]")
@click.option("--device", default="", metavar="DEVICE",
              help="Make its key in a TPM or HSM: tpm:TCTI or pkcs11:...  [default: in a file]")  # fmt: skip
@click.option("--pin-file", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
              help="The PIN of the device.  [default: VOLTROOT_PIN of the environment]")  # fmt: skip
@click.option("--root", "roots", multiple=True, type=click.Path(path_type=Path, exists=True), metavar="FILE",
              help="Roots that the car trusts, in PEM.  [default: those that the backend publishes]")  # fmt: skip
@click.option("--tls-root", type=click.Path(path_type=Path, exists=True), metavar="FILE",
              help="Roots for https, in PEM.  [default: the system's]")  # fmt: skip
@click.option("--password", default="123123", metavar="TEXT", help="That of pfxCert.  [default: the manual's]")
@click.option("--anyway", is_flag=True, help="Take a bad certificate as well, to see what others make of it.")
@_FAULT
@_CAR
@_JSON
def provision(
    pcid: str,
    api: str,
    iso: str,
    suite: str | None,
    device: str,
    pin_file: Path | None,
    roots: tuple[Path, ...],
    tls_root: Path | None,
    password: str,
    anyway: bool,
    fault: str,
    car: Path,
    as_json: bool,
) -> None:
    """Make a car: get PCID its OEM provisioning certificate, and judge it."""
    trusted = [certificate for path in roots for certificate in read_certificates(str(path))]
    judgement = Garage(car).provision(
        pcid,
        api,
        EDITIONS[iso],
        roots=trusted,
        tls_roots=tls_root,
        suite=suite or "",
        device=device,
        pin_file=pin_file,
        password=password,
        anyway=anyway,
        fault=fault,
    )
    decided = judgement.deciding
    kept = decided is None or anyway
    if as_json:
        stopped = None if decided is None else {"fault": decided.rule, "clause": decided.clause, "text": judgement.text}
        own = checks.told(judgement.path[0]) if judgement.path else None
        _print({"pcid": pcid, "kept": kept, "certificate": own, "stopped": stopped})
    else:
        place = f"{car}, its key in {device}" if device else str(car)
        for line in _provisioned(pcid, printable(place), judgement, kept=kept):
            click.echo(line)
    click.get_current_context().exit(GOOD if decided is None else STOPPED)


@ev.command(
    epilog="""\b
Examples:
  voltroot ev install
  voltroot ev install --order DEABCC12345678
  voltroot ev install --from certInstRes.json
  voltroot ev install --order DEABCC12345678 --fault digest:eMAID"""
)
@click.option("--order", metavar="EMAID", help="Order the contract from the MO first, as the driver does.")
@click.option("--from", "file", type=click.File("rb"), metavar="FILE",
              help="Install from a response at hand: EXI, base64 or the API's JSON; - is standard input.")  # fmt: skip
@click.option("--most", type=click.IntRange(1, 255), default=1, show_default=True, help="Contracts to ask for (-20).")
@click.option("--emaid", "emaids", multiple=True, metavar="EMAID", help="Contracts to be served first (-20).")
@_FAULT
@_unpacking
@_CAR
@_JSON
def install(
    order: str | None,
    file: Any,
    most: int,
    emaids: tuple[str, ...],
    fault: str,
    status: bool,
    libcbv2g: bool,
    car: Path,
    as_json: bool,
) -> None:
    """Ask for a contract by CertificateInstallationReq, check what comes, open it, and keep it if it is good."""
    garage = Garage(car, libcbv2g=libcbv2g)
    if file is not None:
        _show([garage.take(_message(file.read()), status=status)], as_json)
        return
    if order is not None:
        made = garage.order(order, fault)
        fault = ""  # the contract has it from now on
        if not as_json:
            click.echo(f"Ordered {printable(order)}: the MO made a CertificateInstallationRes of {len(made):,} octets")
    _show(garage.install(most=most, emaids=emaids, status=status, fault=fault), as_json)


@ev.command(
    epilog="""\b
Examples:
  voltroot ev update
  voltroot ev update --renew --car car20"""
)
@click.option("--renew", is_flag=True, help="Have the MO renew the contract first.")
@_FAULT
@_unpacking
@_CAR
@_JSON
def update(renew: bool, fault: str, status: bool, libcbv2g: bool, car: Path, as_json: bool) -> None:
    """Fetch the renewed contract: by CertificateUpdateReq, or in -20, which has none, by CertificateInstallationReq."""
    garage = Garage(car, libcbv2g=libcbv2g)
    if renew:
        made = garage.renew(fault)
        fault = ""
        if not as_json:
            click.echo(f"Renewed {printable(garage.contract.emaid)}: the MO made a response of {len(made):,} octets")
    if garage.vehicle.edition is EDITIONS["2"]:
        _show([garage.update(status=status, fault=fault)], as_json)
    else:
        _show(garage.install(emaids=[garage.contract.emaid], status=status, fault=fault), as_json)


@ev.command(epilog="Example:  voltroot ev pay --json")
@_CAR
@_JSON
def pay(car: Path, as_json: bool) -> None:
    """Have the MO verify the contract, as a station does for PaymentDetailsReq."""
    garage = Garage(car)
    code, message = garage.pay()
    if as_json:
        _print({"emaid": garage.contract.emaid, "resCode": code, "message": message})
    else:
        click.echo(
            f"{printable(garage.contract.emaid)}: {printable(code)}" + (f", {printable(message)}" if message else "")
        )
    click.get_current_context().exit(GOOD if code == "OK" else STOPPED)


@ev.command(epilog="Example:  voltroot ev show")
@_CAR
@_JSON
def show(car: Path, as_json: bool) -> None:
    """Show the car: its provisioning certificate, contracts and roots."""
    garage = Garage(car)
    vehicle, contracts, current = garage.vehicle, garage.contracts, garage.settings.contract
    if as_json:
        document = {
            "pcid": vehicle.pcid,
            "edition": vehicle.edition.value,
            "api": garage.settings.api,
            "device": garage.settings.device,
            "provisioning": checks.told(vehicle.chain[0]),
            "contracts": [checks.told(each.chain[0]) | {"current": _is(each, current)} for each in contracts],
            "roots": [root.subject.print() for root in vehicle.roots],
        }
        _print(document)
        return
    click.echo(f"{printable(vehicle.pcid)}, {vehicle.edition}, of {garage.settings.api}")
    click.echo(f"  provisioned  {checks.described(vehicle.chain[0])}")
    if garage.settings.device:
        click.echo(f"  key          in {printable(garage.settings.device)}")
    for each in contracts:
        mark = "contract   " if _is(each, current) else "former     "
        click.echo(f"  {mark}  {checks.described(each.chain[0])}")
    for root in vehicle.roots:
        click.echo(f"  root         {checks.described(root)}")


def _show(results: Iterable[Exchange | Unpacked], as_json: bool) -> None:
    """Print what came of each response as it comes; ends the command."""
    told, stopped = [], False
    for result in results:
        unpacked = result.unpacked if isinstance(result, Exchange) else result
        stopped |= unpacked.stopped is not None
        if as_json:
            told.append(checks.document(result))
            continue
        if isinstance(result, Exchange):
            sizes = f"{len(result.request):,} octets out, {len(result.response):,} in, {1000 * result.seconds:.0f} ms"
            click.echo(f"Asked CCP: {sizes}")
        for line in checks.lines(unpacked):
            click.echo(line)
        if (contract := unpacked.contract) is not None:
            click.echo(f"Installed {checks.described(contract.chain[0])}")
    if as_json:
        _print({"installed": not stopped, "responses": told})
    click.get_current_context().exit(STOPPED if stopped else GOOD)


def _provisioned(pcid: str, place: str, judgement: Judgement, *, kept: bool) -> Iterator[str]:
    if judgement.path:
        yield f"Provisioned {checks.described(judgement.path[0])}"
    if (decided := judgement.deciding) is not None:
        yield checks.line(Check("OEM chain", decided.clause, judgement.text, decided.rule), 0)
    else:
        root = judgement.path[-1].subject.get("CN") or ""
        yield checks.line(Check("OEM chain", "", f"{len(judgement.path) - 1} certificates below {root}"), 0)
    yield f"The car is in {place}" if kept else f"{printable(pcid)} was not made a car: --anyway takes it all the same."


def _is(contract: Contract, serial: str) -> bool:
    return f"{contract.chain[0].serial:x}" == serial


def _message(content: bytes) -> bytes:
    """Return the EXI in a file: as it is, in base64, or in the API's JSON."""
    if content[:1] == b"\x80":
        return content
    text = content.decode("ascii", "replace").strip()
    if text.startswith("{"):
        try:
            data = json.loads(text)["data"]
            text = next(data[name] for name in ("v2gMessage", "certInstRes", "certUpdtRes") if name in data)
        except (ValueError, TypeError, KeyError, StopIteration) as error:
            raise Malformed("the JSON has no v2gMessage, certInstRes or certUpdtRes in its data") from error
    return read_base64(text, "the response")


def _print(document: dict[str, Any]) -> None:
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
