"""``voltroot db audit``: whether anybody tampered with the ledger."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from voltroot.cli.options import backend_options, existing_backend
from voltroot.errors import Failure
from voltroot.store.auditor import Report, inspect, prove
from voltroot.store.checkpoints import LABEL, read_lines

TAMPERED, UNREADABLE = 1, 2
# The text lists so many findings, JSON all.
_SHOWN = 200


@click.command(
    epilog="""\b
Examples:
  voltroot db audit --data data
  voltroot db audit --data data --checkpoints /mnt/elsewhere/checkpoints.jsonl --json
  voltroot db audit --data data --prove 17 > proof.json"""
)
@backend_options
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--prove", "number", type=click.IntRange(1), metavar="NUMBER",
              help="Print the proof that this audit row is in the log, and audit nothing.")  # fmt: skip
@click.option("--checkpoints", type=click.Path(path_type=Path), metavar="FILE",
              help="Checkpoints that were kept elsewhere.  [default: DATA/checkpoints.jsonl]")  # fmt: skip
def audit(config: Path | None, data: str | None, as_json: bool, number: int | None, checkpoints: Path | None) -> None:
    """Find every row of the ledger that was changed, deleted, moved or inserted.

    Recomputes the Merkle log over all audit rows and certificates, and holds it against the signed checkpoints in the
    database and outside. Exit code 0: clean; 1: tampered with; 2: cannot be read.
    """
    try:
        backend = existing_backend(config, data)
        key = backend.keyring.signer(LABEL).public_key()
        if number is not None:
            pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
            click.echo(msgspec.json.format(msgspec.json.encode(prove(backend.database, pem, number))).decode())
            return
        path = checkpoints or backend.config.folder / "checkpoints.jsonl"
        lines = list(read_lines(path)) if checkpoints or path.exists() else []
        with _progress() as advance:
            report = inspect(backend.database, key, lines, advance)
    except (Failure, OSError, click.ClickException) as error:
        click.echo(f"voltroot: {error}", err=True)
        sys.exit(UNREADABLE)
    click.echo(msgspec.json.format(msgspec.json.encode(report)).decode() if as_json else _told(report))
    sys.exit(TAMPERED if report.findings else 0)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Show on a terminal how far it is."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    with click.progressbar(length=1, label="Recomputing the log", file=sys.stderr) as bar:

        def advance(done: int, total: int) -> None:
            bar.length = total
            bar.update(done)

        yield advance


def _told(report: Report) -> str:
    lines = [finding.text for finding in report.findings[:_SHOWN]]
    if len(report.findings) > _SHOWN:
        lines.append(f"... and {len(report.findings) - _SHOWN} more: --json prints all")
    if report.waiting:
        lines.append(f"{report.waiting} audit rows wait for a running backend to log them.")
    if not report.outside:
        lines.append("No checkpoints outside the database were read: what was cut off its end would not show.")
    verdict = f"TAMPERED WITH: {len(report.findings)} findings" if report.findings else "Clean"
    lines.append(f"{verdict}. {report.size} log entries, {report.checkpoints} checkpoints, {report.outside} outside.")
    lines.append(f"Root: {report.root}")
    return "\n".join(lines)
