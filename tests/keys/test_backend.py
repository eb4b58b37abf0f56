"""A backend and its device: what fits, and what is refused before anything is made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import devices
from backend import VOLTROOT, run
from devices import PIN, Swtpm, Token
from voltroot.cli import cli
from voltroot.errors import Failure, UnsupportedSuite
from voltroot.keys.opening import open_keyring
from voltroot.keys.tpm import TpmKeyring
from voltroot.pki import suites
from voltroot.pki.suites import ED448, P256_SHA256, P521_SHA512
from world import World

pytestmark = pytest.mark.slow


@pytest.fixture
def configured(token: Token, tmp_path: Path) -> Path:
    (tmp_path / "pin").write_text(f"{PIN}\n")
    path = tmp_path / "voltroot.toml"
    path.write_text(f'[keys]\ndevice = "{token.device}"\npin_file = "{tmp_path / "pin"}"\n')
    return path


@pytest.fixture
def token() -> Iterator[Token]:
    with devices.token() as made:
        yield made


def test_a_token_serves_one_pki(configured: Path, token: Token, world: World, tmp_path: Path) -> None:
    own = ("pki", "init", "--config", configured, "--data")
    assert "move them there first" in refused(*own, world.folder)
    for label in ("v2g-root-2", "mo-root-2"):
        open_keyring(token.device, tmp_path, lambda: PIN).create(label, P256_SHA256)
    assert "keys of another PKI" in refused(*own, tmp_path / "second")


def refused(*words: str | Path) -> str:
    """What a command says that is refused."""
    done = CliRunner().invoke(cli, [*map(str, words)])
    assert isinstance(done.exception, Failure), done.output
    return str(done.exception)


def test_a_key_file_is_not_taken_into_a_device(configured: Path, world: World, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(world.issuers.standing().by_slug["mf-root"].certificate.pem)
    key = world.keyring.path("mf-root")
    said = refused("pki", "import", "--config", configured, "--data", tmp_path / "new", "--as", "mf-root",
                   "--key", key, tmp_path / "ca.pem")  # fmt: skip
    assert "--key-label" in said


def test_a_device_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "voltroot.toml").write_text('[keys]\ndevice = "hsm:1"\n')
    said = refused("pki", "init", "--config", tmp_path / "voltroot.toml", "--data", tmp_path / "data")
    assert "keys.device" in said
    assert "hsm:1" in said


@pytest.fixture(scope="module")
def in_tpm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Swtpm, Path]]:
    """A TPM with a PKI: its configuration and data are in the folder."""
    folder = tmp_path_factory.mktemp("tpm")
    with devices.swtpm() as tpm:
        (folder / "own.toml").write_text(f'[keys]\ndevice = "{tpm.device}"\n')
        run(VOLTROOT, "pki", "init", "--config", folder / "own.toml", "--data", folder / "data")
        yield tpm, folder


def test_where_a_device_lacks_a_kind_of_key_the_rest_of_the_pki_works(in_tpm: tuple[Swtpm, Path]) -> None:
    tpm, folder = in_tpm
    world = World(folder / "data")
    world.keyring = TpmKeyring(tpm.tcti, folder / "data/keys")
    assert "v2g-root-20-ed448" not in world.issuers.standing().by_slug
    with pytest.raises(UnsupportedSuite, match="Ed448"):
        world.issue("SECC_20", "DE*ABC*E1", ED448)
    leaf, ca, *_ = world.chain(world.issue("SECC_20", "DE*ABC*E1", P521_SHA512))
    assert suites.verify(ca.public_key, leaf.signature, leaf.tbs, P521_SHA512.hash)


def test_a_pin_in_the_configuration_is_refused_and_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "voltroot.toml"
    for line in (f'pin = "{PIN}"', f'device = "pkcs11:token=a?module-path=/m.so&pin-value={PIN}"'):
        path.write_text(f"[keys]\n{line}\n")
        said = refused("pki", "init", "--config", path, "--data", tmp_path / "data")
        assert "pin" in said.lower()
        assert PIN not in said


def test_a_backup_has_what_a_tpm_sealed_and_it_signs_again_once_restored(
    in_tpm: tuple[Swtpm, Path], tmp_path: Path
) -> None:
    _, folder = in_tpm
    (tmp_path / "passphrase").write_text("correct horse battery\n")
    sealed, restored = tmp_path / "ledger.backup", tmp_path / "restored"
    opening, own = ("--passphrase-file", tmp_path / "passphrase", sealed), ("--config", folder / "own.toml", "--data")
    assert "this very TPM only" in run(VOLTROOT, "db", "backup", *own, folder / "data", *opening)
    run(VOLTROOT, "db", "restore", "--data", restored, *opening)
    assert sorted((restored / "keys").glob("*.tkey"))
    assert "Clean." in run(VOLTROOT, "db", "audit", *own, restored)
    serial = json.loads(run(VOLTROOT, "pki", "show", *own, restored, "--json"))[1]["serial"]
    # Revoking signs a checkpoint of the audit log.
    run(VOLTROOT, "pki", "revoke", *own, restored, serial)
    assert "Clean." in run(VOLTROOT, "db", "audit", *own, restored)
