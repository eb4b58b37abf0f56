"""``voltroot bench``: how fast it is on this machine, beside others and beside what arithmetic alone costs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import click

from voltroot.bench.options import Options

Option = Callable[[Any], Any]

OPTIONS = (
    click.option("--quick", is_flag=True, help="Fewer combinations, smaller ledgers; ends within 50 seconds."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object; its member aims says what was met."),
    click.option("--seconds", type=click.FloatRange(0.05), help="Length of one measurement."),
    click.option("--rounds", type=click.IntRange(1), help="How often each is measured, at most."),
)
LEDGERS = (
    click.option(
        "--rows", type=click.IntRange(1), help="Rows of the large ledger.  [default: 1,000,000; quick: 100,000]"
    ),
    click.option("--postgresql", metavar="URL", default="", help="A database on whose server others may be made."),
)
CODECS = (
    click.option(
        "--iso15118",
        metavar="DIR",
        envvar="VOLTROOT_ISO15118",
        default="",
        help="A virtual environment with the package iso15118 0.31.2, whose codec in Java is measured beside ours.",
    ),
    click.option(
        "--cbv2g", metavar="FILE", default="", help="A shared library with the interface of libcbv2g, likewise."
    ),
)
STATIONS = (
    click.option(
        "--stations", type=click.IntRange(1, 50_000), help="Stations that connect.  [default: 5,000; quick: 500]"
    ),
)


@click.group(name="bench")
def bench() -> None:
    """Measure on this machine: issuing, contracts, judging, OCSP, revoking, starting, EXI, charging stations.

    Everything runs in temporary folders (TMPDIR says where) and is removed afterwards. Issuing, revoking and starting
    are measured on PostgreSQL too: without --postgresql a server is started where it is installed.

    \b
    Examples:
      voltroot bench issue --quick
      voltroot bench issue --json > issue.json
      voltroot bench revoke --postgresql postgresql://postgres@127.0.0.1/postgres
      voltroot bench ocpp --stations 1000
      voltroot bench exi --quick --iso15118 .venv-iso15118
    """


def _add(name: str, text: str, own: Sequence[Option] = ()) -> None:
    def command(as_json: bool, **options: Any) -> None:
        # Each is the module of its name, and needs little of what the others do.
        report = import_module(f"voltroot.bench.{name}").run(
            Options(**options), lambda text: click.echo(text, err=True)
        )
        click.echo(json.dumps(report.document(), ensure_ascii=False) if as_json else report.text())

    for option in reversed((*OPTIONS, *own)):
        command = option(command)
    bench.command(name=name, help=text, epilog=f"Example:  voltroot bench {name} --quick")(command)


_add("exi", "Messages encoded and decoded, beside EXICodec.jar and a codec in C.", CODECS)
_add("issue", "Certificates a second, beside cfssl where it is installed.", LEDGERS)
_add("contract", "Contracts a second: made, and handed out to cars, beside their cryptography.")
_add("vpki", "Certificates a second by the vPKI API through TLS with client certificates.")
_add("judge", "Chains a second that are judged, beside what their signatures alone cost.")
_add("ocsp", "OCSP answers a second: cached ones by GET and POST, and ones with a nonce.")
_add("ocpp", "Charging stations: memory, messages, connections, a storm, beside bare WebSockets.", STATIONS)
_add("revoke", "How long revoking takes with a thousand and with a million certificates.", LEDGERS)
_add("start", "How long it takes from the start of the program until it is ready.", LEDGERS)
_add("store", "How long a charging station's store takes to answer: many roots, many leaves, cold and warm.")
