"""``voltroot bench``: how fast it is on this machine, beside others and beside what arithmetic alone costs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click

from voltroot.bench import issue, judge, ocsp, revoke, start
from voltroot.bench.options import Options
from voltroot.bench.report import Progress, Report

Run = Callable[[Options, Progress], Report]

OPTIONS = (
    click.option("--quick", is_flag=True, help="Fewer combinations and 100,000 rows; ends within 50 seconds."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object; its member aims says what was met."),
    click.option("--seconds", type=click.FloatRange(0.05), help="Length of one measurement."),
    click.option("--rounds", type=click.IntRange(1), help="How often each is measured, at most."),
    click.option("--rows", type=click.IntRange(1), help="Rows of the large ledger.  [default: 1,000,000]"),
    click.option("--postgresql", metavar="URL", default="", help="A database on whose server others may be made."),
)


@click.group(name="bench")
def bench() -> None:
    """Measure on this machine: issuing, judging, OCSP, revoking, starting.

    Everything runs in temporary folders (TMPDIR says where) and is removed afterwards. Without --postgresql a server is
    started where PostgreSQL is installed.

    \b
    Examples:
      voltroot bench issue --quick
      voltroot bench issue --json > issue.json
      voltroot bench revoke --postgresql postgresql://postgres@127.0.0.1/postgres
    """


def _add(name: str, run: Run, text: str) -> None:
    def command(as_json: bool, **options: Any) -> None:
        report = run(Options(**options), lambda text: click.echo(text, err=True))
        click.echo(json.dumps(report.document(), ensure_ascii=False) if as_json else report.text())

    for option in reversed(OPTIONS):
        command = option(command)
    bench.command(name=name, help=text)(command)


_add("issue", issue.run, "Certificates a second, beside cfssl where it is installed.")
_add("judge", judge.run, "Chains a second that are judged, beside what their signatures alone cost.")
_add("ocsp", ocsp.run, "OCSP answers a second: cached ones by GET and POST, and ones with a nonce.")
_add("revoke", revoke.run, "How long revoking takes with a thousand and with a million certificates.")
_add("start", start.run, "How long it takes from the start of the program until it is ready.")
