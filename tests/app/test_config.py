"""The configuration file: defaults, and what it says to mistakes."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from voltroot.app.config import Config, read_config, read_secret
from voltroot.errors import Failure, Malformed

GUIDES = Path(__file__).parents[2] / "docs/guides"
# The sections that have a guide of their own.
ELSEWHERE = {"contract": "contracts.md", "trust": "contracts.md", "vpki": "vpki.md", "csms": "csms.md"}


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "voltroot.toml"
    path.write_text(text)
    return path


def test_without_a_file_everything_has_a_default(tmp_path: Path) -> None:
    assert read_config(None) == Config() == read_config(written(tmp_path, ""))
    assert Config().base == "http://127.0.0.1:15118"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[serve]\nprot = 1", "prot"),
        ("[serve]\nport = 70000", "serve.port"),
        ("[serve]\nport = '15118'", "serve.port"),
        ("[serve]\nbase = 'pki.example'", "serve.base"),
        ("[subject]\ncountry = 'DEU'", "subject.country"),
        ("[subject]\norganization = ''", "subject.organization"),
        ("[profiles]\nbackdate_minutes = 61", "backdate_minutes"),
        ("[profiles]\niso15118_20 = '2023'", "iso15118_20"),
        ("[profiles.days]\nSECC_3 = 60", "SECC_3"),
        ("[profiles.days]\nOCSP_20 = 365", "OCSP_20"),
        ("[log]\nlevel = 'loud'", "log.level"),
        ("not toml", "voltroot.toml"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Failure, match=said):
        read_config(written(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Malformed, match="nowhere"):
        read_config(tmp_path / "nowhere.toml")


def test_a_secret_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("open sesame\nmore\n")
    assert read_secret(str(path)) == "open sesame"
    assert read_secret("", "123123") == "123123"
    with pytest.raises(Malformed, match="nowhere"):
        read_secret(str(tmp_path / "nowhere"))


def test_the_guide_shows_every_member_with_its_default(tmp_path: Path) -> None:
    (text,) = re.findall(r"<<'TOML'\n(.*?)^TOML$", (GUIDES / "configuration.md").read_text(), re.DOTALL | re.MULTILINE)
    assert read_config(written(tmp_path, text)) == Config()
    shown = msgspec.toml.decode(text)
    for section in msgspec.structs.fields(Config):
        if section.name in ELSEWHERE:
            guide = (GUIDES / ELSEWHERE[section.name]).read_text()
            for member in msgspec.structs.fields(section.type):
                assert re.search(rf"(^|`|\b{section.name}\.){member.name}\b", guide, re.MULTILINE), member.name
        elif isinstance(section.default, msgspec.Struct):
            assert set(shown[section.name]) == {member.name for member in msgspec.structs.fields(section.type)}
        else:
            assert section.name in shown
