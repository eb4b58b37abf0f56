"""OpenSSL with the store's paths: it finds CAs by their hash links, and shakes hands with the keys and chains."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backend import free_port
from charging import LONG, Charger, pem
from pathing import NOW, make
from voltroot.actors.station.outcomes import DeleteStatus, InstallStatus, Listing
from voltroot.actors.station.ports import CaKind, LeafKind
from voltroot.actors.station.requesting import KeyOrder
from voltroot.pki.drafts import Order
from voltroot.pki.fingerprints import HashData, hash_data
from voltroot.pki.names import Name
from voltroot.pki.requests import read_request
from voltroot.pki.suites import ED448, P256_SHA256, P521_SHA512, Suite
from voltroot.store.certdir import Layout, hashlinks
from world import World

pytestmark = pytest.mark.slow

ROOTS = [make("CN=V2GRootCA,O=Test,C=DE", key=f"root {number}", end=NOW + LONG) for number in range(3)]
NAMES = [
    "CN=V2GRootCA,O=Test,C=DE",
    "CN=  Spaces   within and  around \\ ,O=ÄÖÜ äöü ẞ,C=DE",
    "CN=TAB\\09and NEWLINE\\0a,OU=x+OU=y,DC=V2G",
    "UID=mixed Case,emailAddress=Somebody@Example.ORG,CN=漢字",
    "CN=#1e0600410062002a,O=#1403e44141",
]


def openssl(*arguments: str | Path, given: str = "") -> str:
    done = subprocess.run(["openssl", *arguments], input=given, capture_output=True, text=True, timeout=30, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("name", NAMES)
def test_the_hash_of_a_subject_is_that_of_openssl(name: str) -> None:
    certificate = make(name).certificate
    assert hashlinks.subject_hash(certificate) == openssl("x509", "-noout", "-subject_hash", given=certificate.pem)


def test_a_folder_has_the_links_that_openssl_makes(tmp_path: Path) -> None:
    ours, theirs = (Charger(tmp_path / each, Layout.everest(tmp_path / each, folders=True)) for each in ("o", "t"))
    made = [make(name) for name in NAMES] + [make(NAMES[0], key="again"), make(NAMES[0], key="and again")]
    for charger in (ours, theirs):
        for number, each in enumerate(made):
            (charger.places.authorities[CaKind.MO] / f"{number}.pem").write_text(each.certificate.pem)
    place = ours.places.authorities[CaKind.MO]
    (place / "00000000.0").symlink_to("gone.pem")
    assert ours.station.verify_location(CaKind.MO) == place
    openssl("rehash", theirs.places.authorities[CaKind.MO])
    assert links(place) == links(theirs.places.authorities[CaKind.MO])
    before = {path: path.lstat().st_mtime_ns for path in place.iterdir()}
    ours.restart().station.verify_location(CaKind.MO)
    assert {path: path.lstat().st_mtime_ns for path in place.iterdir()} == before


# Files of a folder: in DER (D) or PEM (P), with which roots of one name.
FOLDERS = {
    "DER": ["D0"],
    "the first of one name in DER": ["D1", "P0"],
    "one file": ["P120"],
    "and alone": ["P10", "P0"],
}


@pytest.mark.parametrize("files", FOLDERS.values(), ids=FOLDERS)
def test_openssl_finds_each_ca_of_a_folder_however_it_was_given(files: list[str], tmp_path: Path) -> None:
    charger = Charger(tmp_path / "certs", Layout.everest(tmp_path / "certs", folders=True))
    place = charger.places.authorities[CaKind.V2G]
    for name, (kind, *numbers) in enumerate(files):
        roots = [ROOTS[int(number)] for number in numbers]
        (place / f"{name}.pem").write_bytes(roots[0].certificate.der if kind == "D" else pem(*roots).encode())
    assert charger.station.verify_location(CaKind.V2G) == place
    assert verifies("-CApath", place, tmp_path)
    file = charger.station.verify_file(CaKind.V2G)
    assert file is not None
    assert "-----BEGIN" in file.read_text()
    (own,) = [each for each in charger.station.installed([Listing.V2G_ROOT]) if each.about == about_root(0)]
    assert charger.station.delete(own.about).status is DeleteStatus.ACCEPTED
    charger.station.verify_location(CaKind.V2G)
    assert not verifies("-CApath", place, tmp_path)


def test_openssl_finds_the_ca_of_a_bundle_in_der_and_the_next_one_as_well(tmp_path: Path) -> None:
    charger = Charger(tmp_path / "certs")
    charger.places.authorities[CaKind.V2G].write_bytes(ROOTS[0].certificate.der)
    assert verifies("-CAfile", charger.station.verify_location(CaKind.V2G), tmp_path)
    assert charger.station.install_ca(pem(ROOTS[1]), CaKind.V2G).status is InstallStatus.ACCEPTED
    assert len(charger.station.installed([Listing.V2G_ROOT])) == 2
    assert verifies("-CAfile", charger.station.verify_location(CaKind.V2G), tmp_path)


def verifies(option: str, location: Path | None, folder: Path) -> bool:
    """Whether OpenSSL finds the first root there."""
    path = folder / "leaf.pem"
    path.write_text(pem(make("CN=leaf", ROOTS[0], end=NOW + LONG)))
    command = ["openssl", "verify", "-attime", str(int(NOW.timestamp())), option, str(location), path]
    return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0


def about_root(number: int) -> HashData:
    return hash_data(ROOTS[number].certificate, ROOTS[number].certificate)


def links(folder: Path) -> dict[str, set[str]]:
    """What the links of each hash lead to; their numbers follow the order in which a folder is read."""
    found: dict[str, set[str]] = {}
    for path in folder.iterdir():
        if path.is_symlink():
            found.setdefault(path.stem, set()).add(str(path.readlink()))
    return found


@pytest.mark.parametrize("folders", [False, True], ids=["bundles", "folders"])
@pytest.mark.parametrize("suite", [P256_SHA256, P521_SHA512, ED448], ids=lambda suite: suite.name)
def test_a_server_and_a_client_shake_hands_over_the_paths(
    suite: Suite, folders: bool, world: World, tmp_path: Path
) -> None:
    charger = Charger(tmp_path / "certs", Layout.everest(tmp_path / "certs", folders=folders), clock=world.clock)
    kind = LeafKind.V2G if suite is P256_SHA256 else LeafKind.V2G20
    chain = enrolled(charger, world, kind, suite)
    assert charger.station.install_ca(chain[-1].pem, CaKind.V2G).status is InstallStatus.ACCEPTED
    assert (
        charger.station.install_ca(world.issuers.standing().roots[1].pem, CaKind.V2G).status is InstallStatus.ACCEPTED
    )
    text = "".join(each.pem for each in chain[:-1])
    assert charger.station.update_leaf(text, kind).status is InstallStatus.ACCEPTED
    info, location = charger.station.leaf(kind).info, charger.station.verify_location(CaKind.V2G)
    assert info is not None
    assert info.chain is not None
    assert location is not None
    assert info.certificate_count == 3
    with served(info.chain, info.key.path) as port:
        trust = ["-CApath" if folders else "-CAfile", location]
        command = [
            "openssl",
            "s_client",
            "-connect",
            f"127.0.0.1:{port}",
            *trust,
            "-verify_return_error",
            "-verify",
            "4",
        ]
        done = subprocess.run(command, input="Q\n", capture_output=True, text=True, timeout=30, check=False)
    assert "Verify return code: 0 (ok)" in done.stdout, done.stdout + done.stderr
    der = charger.station.der_file(kind, info)
    assert "subject=" in openssl("x509", "-inform", "DER", "-in", der, "-noout", "-subject")
    if kind is LeafKind.V2G20:
        assert charger.station.leaf(LeafKind.V2G).info is not None, "the only one there is"


def enrolled(charger: Charger, world: World, kind: LeafKind, suite: Suite) -> list:
    """The chain of a certificate for a key that the station has made."""
    requested = charger.station.requests.make(KeyOrder(kind, "DE", "Test", "DE*ABC*E001", suite))
    row = world.profiles["SECC_2" if kind is LeafKind.V2G else "SECC_20"]
    values = {"C": "DE", "O": "Test", "DC": row.dc, "CN": "DE*ABC*E001"}
    subject = Name.of([(part, value) for part in row.shape if (value := values.get(part))])
    return world.chain(world.authority.issue(Order(row, subject, read_request(requested.csr), "test", name="E001")))


@contextmanager
def served(chain: Path, key: Path) -> Iterator[int]:
    port = free_port()
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", chain, "-cert_chain", chain, "-key", key]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        while not re.search("ACCEPT", line := server.stdout.readline()):
            assert line or server.poll() is None
            time.sleep(0)
        yield port
        server.terminate()
        server.communicate()
