"""What a car checked and has, for people and as JSON."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import click

from voltroot.app.vehicle import Exchange
from voltroot.cli.terminal import printable
from voltroot.contract.unpack import Check, Unpacked
from voltroot.pki.certificates import Certificate


def lines(unpacked: Unpacked) -> Iterator[str]:
    """Yield the checks of one response as people read them."""
    width = max(len(check.part) for check in unpacked.checks)
    for check in unpacked.checks:
        yield line(check, width)
    if (stopped := unpacked.stopped) is not None:
        yield f"Stopped at {stopped.part}: {stopped.fault}. Nothing was installed."


def line(check: Check, width: int) -> str:
    """Return one check; with its clause where something is wrong or unusual."""
    mark, colour = ("✗", "red") if check.fault else ("!", "yellow") if check.remark else ("✓", "green")
    name = check.fault or check.remark
    text = f"{name}: {check.text}" if name else check.text
    clause = click.style(f"  ({check.clause})", dim=True) if name else ""
    return f"  {click.style(mark, fg=colour)} {check.part.ljust(width)}  {printable(text)}{clause}"


def document(result: Exchange | Unpacked) -> dict[str, Any]:
    """Return what came of one response, and the messages where there was an exchange of them."""
    unpacked = result.unpacked if isinstance(result, Exchange) else result
    contract, stopped = unpacked.contract, unpacked.stopped
    document: dict[str, Any] = {
        "contract": None if contract is None else told(contract.chain[0]),
        "stopped": None if stopped is None else stopped._asdict(),
        "checks": [check._asdict() for check in unpacked.checks],
        "retryCounter": unpacked.retry,
        "remaining": unpacked.remaining,
    }
    if isinstance(result, Exchange):
        document["request"] = base64.b64encode(result.request).decode()
        document["response"] = base64.b64encode(result.response).decode()
        document["milliseconds"] = round(1000 * result.seconds, 1)
    return document


def told(certificate: Certificate) -> dict[str, Any]:
    """Return a certificate as a member of a JSON document."""
    return {
        "subject": certificate.subject.print(),
        "serial": str(certificate.serial),
        "notBefore": certificate.not_before.isoformat(),
        "notAfter": certificate.not_after.isoformat(),
        "certificate": base64.b64encode(certificate.der).decode(),
    }


def described(certificate: Certificate) -> str:
    """Return a certificate in a line."""
    name = printable(certificate.subject.get("CN") or certificate.subject.print())
    return f"{name}, serial {certificate.serial:x}, valid to {certificate.not_after:%Y-%m-%d}"
