"""The guide to EXI: what it shows is what comes out."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from voltroot.cli.exi import exi
from voltroot.v2g.xmldsig import Fault

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "exi.md").read_text()
BLOCKS = re.findall(r"^```(sh|text|python)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


def test_the_examples_in_python_come_out_as_they_are_shown() -> None:
    source = "\n".join(block for kind, block in BLOCKS if kind == "python")
    assert source.count(">>>") > 20
    examples = doctest.DocTestParser().get_doctest(source, {}, "exi.md", "exi.md", 0)
    runner = doctest.DocTestRunner()
    said: list[str] = []
    runner.run(examples, out=said.append)
    assert runner.failures == 0, "".join(said)


def test_the_faults_are_those_that_there_are() -> None:
    rows = re.findall(r"^\| ((?:`\w+` ?)+) \| .+ \|$", GUIDE.split("| `fault` |")[1], re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(Fault)


@pytest.mark.parametrize(("command", "shown"), [
    (["explain", "annex-j.hex"], "ISO 15118-2, fragment"), (["verify", "request.b64"], "OK  signed by"),
])  # fmt: skip
def test_what_is_shown_is_what_comes_out(command: list[str], shown: str) -> None:
    (block,) = [block for kind, block in BLOCKS if kind == "text" and block.startswith(shown)]
    given = {
        "annex-j.hex": re.findall(r"^echo (\w+) > annex-j.hex$", GUIDE, re.MULTILINE)[0],
        "request.b64": re.findall(r"request.b64 <<END\n(.*?)^END$", GUIDE, re.MULTILINE | re.DOTALL)[0],
    }[command[1]]
    assert CliRunner().invoke(exi, [command[0]], input=given).stdout == block
