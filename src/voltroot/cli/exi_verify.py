"""``voltroot exi verify``: whether a message was signed by whom it should be, and what fails if not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import click

from voltroot.cli.exi_input import given_as, look
from voltroot.cli.files import read_certificates, unreadable
from voltroot.cli.options import Moment
from voltroot.cli.terminal import echo, printable
from voltroot.errors import Failure
from voltroot.pki.certificates import Certificate
from voltroot.pki.chains import Inputs, Judgement, Purpose, Verdict, judge
from voltroot.v2g import iso2, iso20
from voltroot.v2g.exi import Kind
from voltroot.v2g.xmldsig import Check, Outcome
from voltroot.v2g.xmldsig import verify as verify_signature

HOLDS, REFUSED = 0, 1


class Signer(NamedTuple):
    """Who signs a message: where the message itself carries the certificate, and what that was issued for."""

    purpose: Purpose
    chain: Callable[[Any], Any]


SIGNERS: dict[type, Signer] = {
    iso2.CertificateInstallationReq: Signer(Purpose.PROVISIONING, lambda body: body.OEMProvisioningCert),
    iso2.CertificateInstallationRes: Signer(Purpose.CPS, lambda body: body.SAProvisioningCertificateChain),
    iso2.CertificateUpdateReq: Signer(Purpose.CONTRACT, lambda body: body.ContractSignatureCertChain),
    iso2.CertificateUpdateRes: Signer(Purpose.CPS, lambda body: body.SAProvisioningCertificateChain),
    iso2.AuthorizationReq: Signer(Purpose.CONTRACT, lambda body: None),
    iso2.MeteringReceiptReq: Signer(Purpose.CONTRACT, lambda body: None),
    iso20.AuthorizationReq: Signer(
        Purpose.CONTRACT, lambda body: getattr(body.PnC_AReqAuthorizationMode, "ContractCertificateChain", None)
    ),
    iso20.CertificateInstallationReq: Signer(Purpose.PROVISIONING, lambda body: body.OEMProvisioningCertificateChain),
    iso20.CertificateInstallationRes: Signer(Purpose.CPS, lambda body: body.CPSCertificateChain),
}


@click.command("verify")
@click.option("--certificate", "own", metavar="FILE", help="The signer's chain, leaf first.  [default: the message's]")
@click.option("--roots", metavar="FILE", help="Trusted roots: judge the signer's chain as well.")
@click.option("--at", type=Moment(), metavar="TIME", help="Moment to judge the chain at, in ISO 8601.  [default: now]")
@click.option("--libcbv2g", is_flag=True, help="Accept eMAID digested as libcbv2g and cbexigen do, too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@given_as
@click.pass_context
def verify(
    context: click.Context,
    file: str,
    kind: Kind | None,
    schema: str | None,
    own: str | None,
    roots: str | None,
    at: datetime | None,
    libcbv2g: bool,
    as_json: bool,
) -> None:
    """Verify the signature in a message's header, and say which part of it fails and why.

    Without --roots nobody asks whether the signer's certificate is to be trusted. Exit code: 0 the signature holds and
    so does the chain, where it was judged; 1 not; 2 something cannot be read.

    \b
    Examples:
      voltroot exi verify response.exi --roots v2g-root.pem
      voltroot exi verify request.exi --certificate contract.chain.pem
    """
    seen = look(file, schema, kind)
    message = seen.explanation.decoded
    if message is None:
        unreadable("exi", file, seen.failure)
    body: object = message.value.Body.BodyElement if isinstance(message.value, iso2.V2G_Message) else message.value
    signer = SIGNERS.get(type(body))
    chain = read_certificates("exi", own) if own else _carried(signer, body, file)
    try:
        outcome = verify_signature(message, chain[0].public_key, libcbv2g=libcbv2g)  # type: ignore[arg-type] # it tells
    except Failure as failure:
        unreadable("exi", own or file, str(failure))
    judgement = None
    if roots is not None:
        purpose, trusted = signer.purpose if signer else None, read_certificates("exi", roots)
        judgement = judge(chain, trusted, at or datetime.now(UTC), inputs=Inputs(purpose=purpose))
    if as_json:
        click.echo(json.dumps(_document(chain[0], outcome, judgement), indent=2))
    else:
        for line in _lines(chain[0], outcome, judgement):
            echo(printable(line))
    good = outcome.holds and (judgement is None or judgement.verdict is Verdict.OK)
    context.exit(HOLDS if good else REFUSED)


def _carried(signer: Signer | None, body: Any, file: str) -> list[Certificate]:
    """The chain of the signer as it stands in the message: certificates, the leaf first."""
    held = signer.chain(body) if signer else None
    if held is None:
        unreadable("exi", file, "the message does not carry its signer's certificate: give it with --certificate FILE")
    below = getattr(held, "SubCertificates", None)
    octets = [held] if isinstance(held, bytes) else [held.Certificate, *(below.Certificate if below else ())]
    try:
        return [Certificate.read(each) for each in octets]
    except Failure as failure:
        unreadable("exi", file, f"the certificate that it carries cannot be read: {failure}")


def _lines(signer: Certificate, outcome: Outcome, judgement: Judgement | None) -> Iterator[str]:
    yield f"OK  signed by {signer.subject}" if outcome.holds else f"REFUSED  {_told(outcome.faults[0])}"
    for check in outcome.checks:
        yield f"  {'✗' if check.fault else '✓'} {_told(check)}"
    if judgement is None:
        yield "  – chain: it was not judged; name the roots that you trust with --roots"
    elif judgement.verdict is Verdict.OK:
        yield "  ✓ chain: it is good"
    else:
        yield f"  ✗ chain: {judgement.verdict.name}, {judgement.text}"


def _told(check: Check) -> str:
    place = " ".join(each for each in (check.uri, check.element) if each and each != check.part)
    return f"{check.part}{f' ({place})' if place else ''}: {check.text}"


def _document(signer: Certificate, outcome: Outcome, judgement: Judgement | None) -> dict[str, Any]:
    chain = None if judgement is None else {"verdict": judgement.verdict.name, "text": judgement.text}
    return {
        "holds": outcome.holds,
        "signer": str(signer.subject),
        "checks": [check._asdict() for check in outcome.checks],
        "chain": chain,
    }
