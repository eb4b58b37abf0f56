"""``voltroot pki`` as an operator uses it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from voltroot.cli import cli
from voltroot.errors import Failure, Refused
from world import World


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_show_draws_the_tree_with_what_each_has_left(world: World) -> None:
    lines = run("pki", "show", "--data", world.folder).output.splitlines()
    assert lines[0].startswith("v2g-root-2  V2G root CA ISO15118-2")
    assert any("│  ├─ cpo-sub2-2" in line and "days left" in line for line in lines)
    assert len(lines) == len(world.issuers.standing().credentials)


def test_show_as_json_has_every_credential(world: World) -> None:
    rows = json.loads(run("pki", "show", "--data", world.folder, "--json").output)
    by_slug = {row["slug"]: row for row in rows}
    assert len(rows) == len(by_slug) == len(world.issuers.standing().credentials)
    assert by_slug["cpo-sub2-2"]["issuer"] == "cpo-sub1-2"
    assert by_slug["v2g-root-2"]["issuer"] is None


def test_show_without_a_pki_says_how_to_make_one(tmp_path: Path) -> None:
    result = run("pki", "show", "--data", tmp_path)
    assert result.exit_code == 1
    assert "--data, or make one with 'voltroot pki init'" in result.output


def test_export_writes_what_openssl_verifies_with(world: World, tmp_path: Path) -> None:
    trust = tmp_path / "trust"
    run("pki", "export", "--data", world.folder, trust)
    for name in ("cpo-sub2-2", "oem-sub2-20", "mo-sub2-20-ed448", "csms-sub-rsa"):
        command = ["openssl", "verify", "-x509_strict", "-CAfile", trust / "roots.pem"]
        command += ["-untrusted", trust / "sub-cas.pem", trust / f"{name}.pem"]
        assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.endswith("OK\n")
    assert not any("PRIVATE" in path.read_text("latin-1") for path in trust.iterdir())


@pytest.fixture
def root(tmp_path: Path) -> tuple[Path, Path]:
    """A root as an operator makes one with OpenSSL."""
    key, certificate = tmp_path / "root.key", tmp_path / "root.pem"
    make = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key]
    subprocess.run(make, check=True)
    sign = ["openssl", "req", "-x509", "-new", "-key", key, "-sha256", "-days", "9000", "-out", certificate]
    sign += ["-subj", "/CN=My V2G Root/O=Me/C=DE/DC=V2G", "-addext", "basicConstraints=critical,CA:TRUE"]
    subprocess.run([*sign, "-addext", "keyUsage=critical,keyCertSign,cRLSign"], check=True)
    return key, certificate


def test_an_imported_root_stands_above_what_init_makes(tmp_path: Path, root: tuple[Path, Path]) -> None:
    key, certificate = root
    data = tmp_path / "data"
    result = run("pki", "import", "--data", data, "--as", "v2g-root-2", "--key", key, certificate)
    assert "My V2G Root" in result.output
    run("pki", "init", "--data", data)
    run("pki", "export", "--data", data, tmp_path / "trust")
    command = ["openssl", "verify", "-CAfile", certificate, "-untrusted", tmp_path / "trust" / "sub-cas.pem"]
    subprocess.run([*command, tmp_path / "trust" / "cpo-sub2-2.pem"], check=True, capture_output=True)


def test_an_import_without_a_key_or_with_a_wrong_one_is_refused(
    world: World, tmp_path: Path, root: tuple[Path, Path]
) -> None:
    key, certificate = root
    with pytest.raises(Refused, match="--key"):
        run("pki", "import", "--data", world.folder, "--as", "v2g-root-2", certificate)
    with pytest.raises(Refused, match="P-521"):
        run("pki", "import", "--data", world.folder, "--as", "v2g-root-20", "--key", key, certificate)
    with pytest.raises(Failure):
        run("pki", "import", "--data", world.folder, "--as", "v2g-root-2", "--key", certificate, certificate)


def test_a_sub_ca_is_revoked_by_its_serial_and_a_root_is_not(world: World) -> None:
    rows = {row["slug"]: row for row in json.loads(run("pki", "show", "--data", world.folder, "--json").output)}
    serial = rows["cpo-sub2-2"]["serial"]
    said = run("pki", "revoke", "--data", world.folder, "--reason", "ca_compromise", serial).output
    assert "is revoked" in said
    assert "already" in run("pki", "revoke", "--data", world.folder, serial).output
    assert "REVOKED" in run("pki", "show", "--data", world.folder).output
    with pytest.raises(Refused, match="root"):
        run("pki", "revoke", "--data", world.folder, rows["v2g-root-2"]["serial"])


@pytest.mark.parametrize(
    "command", ["serve", "inspect", "pki", "pki init", "pki show", "pki export", "pki import", "pki revoke"]
)
def test_every_command_has_help_with_an_example(command: str) -> None:
    text = run(*command.split(), "--help").output
    assert "Example" in text
    assert "voltroot " + command in text
