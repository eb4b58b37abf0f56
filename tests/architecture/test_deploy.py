"""The unit file and the container file say what the program understands."""

from __future__ import annotations

import configparser
import json
import re
import shlex
from pathlib import Path

import click

from voltroot.cli import cli

DEPLOY = Path(__file__).parents[2] / "deploy"


def understood(words: list[str]) -> None:
    """Fail unless the words are a command with options that it has."""
    command = cli.get_command(click.Context(cli), words[0])
    assert command is not None
    with click.Context(command) as context:
        command.make_parser(context).parse_args(list(words[1:]))


def test_the_unit_starts_and_reloads_the_backend() -> None:
    unit = configparser.RawConfigParser(strict=False, comment_prefixes="#")
    unit.optionxform = str  # type: ignore[method-assign, assignment]
    unit.read(DEPLOY / "voltroot.service")
    words = shlex.split(unit["Service"]["ExecStart"])
    assert words[0].endswith("/bin/voltroot")
    understood(words[1:])
    assert unit["Service"]["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert unit["Service"]["StateDirectory"] == Path(words[words.index("--data") + 1]).name


def test_the_container_is_made_of_what_is_there_and_starts_the_backend() -> None:
    lines = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ")
    for sources in re.findall(r"^COPY (.*) \S+$", lines, re.MULTILINE):
        for source in sources.split():
            assert (DEPLOY.parent / source).exists(), source
    command = re.search(r"^CMD (\[.*\])$", lines, re.MULTILINE)
    assert command is not None
    understood(json.loads(command[1]))
    exposed = re.search(r"^EXPOSE (.*)$", lines, re.MULTILINE)
    assert exposed is not None
    assert exposed[1].split() == ["15118", "15119"]


def test_the_stations_unit_starts_it() -> None:
    unit = configparser.RawConfigParser(strict=False, comment_prefixes="#")
    unit.optionxform = str  # type: ignore[method-assign, assignment]
    unit.read(DEPLOY / "voltroot-station.service")
    program, group, *words = shlex.split(unit["Service"]["ExecStart"])
    assert (program.rpartition("/")[2], group) == ("voltroot", "station")
    commands = cli.get_command(click.Context(cli), group)
    assert isinstance(commands, click.Group)
    command = commands.commands[words[0]]
    with click.Context(command) as context:
        command.make_parser(context).parse_args(words[1:])
