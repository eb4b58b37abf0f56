"""``voltroot verify``: whether a chain is good, and why not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import click

from voltroot.app.backend import Backend
from voltroot.cli.files import read_certificates, read_contents, unreadable
from voltroot.cli.inspection import judgements
from voltroot.cli.inspection.documents import OcspAnswer
from voltroot.cli.options import Moment, backend_options, load_config
from voltroot.cli.terminal import echo
from voltroot.errors import Failure
from voltroot.pki.answers import Answer
from voltroot.pki.certificates import Certificate
from voltroot.pki.chains import Demand, Evidence, Inputs, Purpose, Verdict, judge, search
from voltroot.pki.lists import Crl

GOOD, REFUSED = 0, 1
T = TypeVar("T")


@click.command(
    "verify",
    epilog="""\b
Examples:
  voltroot verify secc.pem sub2.pem sub1.pem --roots roots.pem --purpose secc
  voltroot verify contract.chain.pem --roots mo-root.pem --crl mo-sub2.crl --ocsp answer.der
  voltroot verify leaf.pem --pool cas.pem --roots roots.pem --at 2027-01-31 --json""",
)
@click.argument("chain", nargs=-1, required=True, metavar="CHAIN...")
@click.option("--roots", multiple=True, metavar="FILE", help="Trusted roots.  [default: those of the PKI in --data]")
@click.option("--pool", multiple=True, metavar="FILE", help="Find a path among these; signers of evidence as well.")
@click.option("--at", type=Moment(), metavar="TIME", help="Moment to judge at, in ISO 8601.  [default: now]")
@click.option("--crl", "crls", multiple=True, metavar="FILE", help="CRLs: complete, partial, indirect or delta.")
@click.option("--ocsp", multiple=True, metavar="FILE", help="OCSP answers.")
@click.option(
    "--purpose",
    type=click.Choice([each.value for each in Purpose]),
    help="Hold it against the rules of ISO 15118 for this use.",
)
@click.option(
    "--status",
    type=click.Choice([each.value for each in Demand]),
    default=Demand.LEAF.value,
    show_default=True,
    help="Whose status has to be known; leaf: where there is evidence at all.",
)
@click.option("--strict", is_flag=True, help="Refuse lapses of RFC 5280 sections 4 and 5 too, and of the profile.")
@click.option("--brief", is_flag=True, help="Show only the checks that failed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@backend_options
@click.pass_context
def verify(
    context: click.Context,
    chain: tuple[str, ...],
    roots: tuple[str, ...],
    pool: tuple[str, ...],
    at: datetime | None,
    crls: tuple[str, ...],
    ocsp: tuple[str, ...],
    purpose: str | None,
    status: str,
    strict: bool,
    brief: bool,
    as_json: bool,
    config: Path | None,
    data: str | None,
) -> None:
    """Judge CHAIN as RFC 5280 and ISO 15118 want it: the leaf first, as it was given; - is standard input.

    FILEs are PEM, DER or base64; one may hold several certificates. A root in CHAIN is trusted only if it is one of
    --roots. With --pool a path from the first certificate is looked for instead. Exit code: 0 the chain is good, 1 it
    is refused, 2 something cannot be read.
    """
    given, beside = _certificates(chain), _certificates(pool)
    anchors = _certificates(roots) if roots else _own_roots(config, data)
    evidence = Evidence(tuple(_crls(crls)), tuple(_answers(ocsp)))
    inputs = Inputs(purpose=Purpose(purpose) if purpose else None, strict=strict, status=Demand(status))
    moment = at or datetime.now(UTC)
    if pool:
        judgement = search(given[0], [*given[1:], *beside], anchors, moment, inputs=inputs, evidence=evidence)
    else:
        judgement = judge(given, anchors, moment, inputs=inputs, evidence=evidence)
    report = judgements.Report(judgement, inputs, evidence, moment)
    if as_json:
        click.echo(json.dumps(report.document(), indent=2))
    else:
        for line in report.lines(brief=brief):
            echo(line)
    context.exit(GOOD if judgement.verdict is Verdict.OK else REFUSED)


def _certificates(files: Iterable[str]) -> list[Certificate]:
    return [certificate for file in files for certificate in read_certificates("verify", file)]


def _crls(files: Iterable[str]) -> Iterator[Crl]:
    for file in files:
        yield from _all_of(Crl, file, "it holds something that is no CRL")


def _answers(files: Iterable[str]) -> Iterator[Answer]:
    for file in files:
        for answer in _all_of(OcspAnswer, file, "it holds something that is no OCSP answer"):
            if answer.body is None:
                status = answer.status.name.lower().replace("_", " ")
                unreadable("verify", file, f"the responder gave no answer: {status}")
            yield answer.body


def _all_of(kind: type[T], file: str, otherwise: str) -> Sequence[T]:
    try:
        items = read_contents(file).items
    except Failure as failure:
        unreadable("verify", file, str(failure))
    found = [item for item in items if isinstance(item, kind)]
    return found if len(found) == len(items) else unreadable("verify", file, otherwise)


def _own_roots(config: Path | None, data: str | None) -> list[Certificate]:
    backend = Backend(load_config(config, data))
    if not backend.is_made:
        why = "there is no PKI whose roots to trust: name them with --roots"
        unreadable("verify", str(backend.config.folder), why)
    backend.migrate()
    return backend.issuers.standing().roots
