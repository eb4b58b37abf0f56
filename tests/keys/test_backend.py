"""A backend and its device: what fits, and what is refused before anything is made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import devices
from backend import VOLTROOT, run
from devices import PIN, Token
from voltroot.errors import UnsupportedSuite
from voltroot.keys.tpm import TpmKeyring
from voltroot.pki import suites
from voltroot.pki.suites import ED448, P521_SHA512
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


def test_a_token_serves_one_pki(configured: Path, world: World, tmp_path: Path) -> None:
    moved = (VOLTROOT, "pki", "init", "--config", configured, "--data", world.folder)
    assert "move them there first" in run(*moved, ok=(1,))
    own = (VOLTROOT, "pki", "init", "--config", configured, "--data")
    run(*own, tmp_path / "own")
    run(*own, tmp_path / "own")
    assert "keys of another PKI" in run(*own, tmp_path / "second", ok=(1,))


def test_a_key_file_is_not_taken_into_a_device(configured: Path, world: World, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(world.issuers.standing().by_slug["mf-root"].certificate.pem)
    key = world.keyring.path("mf-root")
    said = run(VOLTROOT, "pki", "import", "--config", configured, "--data", tmp_path / "new", "--as", "mf-root",
               "--key", key, tmp_path / "ca.pem", ok=(1,))  # fmt: skip
    assert "--key-label" in said


def test_a_device_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "voltroot.toml").write_text('[keys]\ndevice = "hsm:1"\n')
    said = run(VOLTROOT, "pki", "init", "--config", tmp_path / "voltroot.toml", "--data", tmp_path / "data", ok=(1,))
    assert "keys.device" in said
    assert "hsm:1" in said


def test_where_a_device_lacks_a_kind_of_key_the_rest_of_the_pki_works(tmp_path: Path) -> None:
    with devices.swtpm() as tpm:
        world = World.bare(tmp_path)
        world.keyring = TpmKeyring(tpm.tcti, tmp_path / "keys")
        world.ceremony.perform()
        assert "v2g-root-20-ed448" not in world.issuers.standing().by_slug
        with pytest.raises(UnsupportedSuite, match="Ed448"):
            world.issue("SECC_20", "DE*ABC*E1", ED448)
        leaf, ca, *_ = world.chain(world.issue("SECC_20", "DE*ABC*E1", P521_SHA512))
        assert suites.verify(ca.public_key, leaf.signature, leaf.tbs, P521_SHA512.hash)


def test_a_pin_in_the_configuration_is_refused_and_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "voltroot.toml"
    for line in (f'pin = "{PIN}"', f'device = "pkcs11:token=a?module-path=/m.so&pin-value={PIN}"'):
        path.write_text(f"[keys]\n{line}\n")
        said = run(VOLTROOT, "pki", "init", "--config", path, "--data", tmp_path / "data", ok=(1,))
        assert "pin" in said.lower()
        assert PIN not in said


def test_a_backup_has_what_a_tpm_sealed_and_it_signs_again_once_restored(tmp_path: Path) -> None:
    (tmp_path / "passphrase").write_text("correct horse battery\n")
    sealed, restored = tmp_path / "ledger.backup", tmp_path / "restored"
    opening = ("--passphrase-file", tmp_path / "passphrase", sealed)
    with devices.swtpm() as tpm:
        (tmp_path / "own.toml").write_text(f'[keys]\ndevice = "{tpm.device}"\n')
        own = ("--config", tmp_path / "own.toml", "--data")
        run(VOLTROOT, "pki", "init", *own, tmp_path / "data")
        assert "this very TPM only" in run(VOLTROOT, "db", "backup", *own, tmp_path / "data", *opening)
        run(VOLTROOT, "db", "restore", "--data", restored, *opening)
        assert sorted((restored / "keys").glob("*.tkey"))
        assert "Clean." in run(VOLTROOT, "db", "audit", *own, restored)
        serial = json.loads(run(VOLTROOT, "pki", "show", *own, restored, "--json"))[1]["serial"]
        # Revoking signs a checkpoint of the audit log.
        run(VOLTROOT, "pki", "revoke", *own, restored, serial)
        assert "Clean." in run(VOLTROOT, "db", "audit", *own, restored)
