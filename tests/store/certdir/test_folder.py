"""The folder: what stands there is seen, whoever put it there; what is wrong with a file stays with that file."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import struct
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from charging import Charger, Made, key_pem, pem
from everest_cases import BRANCH, CONTRACT, OTHER, in_folders, named, shared_bundle
from pathing import DAY
from voltroot.actors.station import checkup
from voltroot.actors.station.choosing import Wish
from voltroot.actors.station.outcomes import DeleteStatus, InstallStatus, LeafStatus, Listing
from voltroot.actors.station.ports import CaKind, LeafKind, Removal
from voltroot.actors.station.requesting import KeyOrder
from voltroot.errors import Refused, Unavailable
from voltroot.pki import der, suites
from voltroot.pki.certificates import pem as armoured
from voltroot.store.certdir import Layout, changes
from voltroot.store.certdir import pem as pems
from voltroot.store.certdir.changes import Journal, Write
from voltroot.store.certdir.keyfiles import spki_of

V2G = CaKind.V2G
RUBBISH = {
    "empty": b"",
    "text": b"no certificate\n",
    "octets": bytes(range(256)),
    "torn": pem(OTHER.root).encode()[:200],
    "not base64": b"-----BEGIN CERTIFICATE-----\n???\n-----END CERTIFICATE-----\n",
    "no DER": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "torn before a good one": pem(OTHER.root).encode()[:200] + b"\n",
    "a key": key_pem(OTHER.leaf),
    "nested": b"\x30\x80" * 5000,
}


@pytest.mark.parametrize("rubbish", RUBBISH.values(), ids=RUBBISH)
def test_a_bad_file_hides_no_other_and_is_told(rubbish: bytes, tmp_path: Path) -> None:
    charger = in_folders(tmp_path)
    place, own = charger.places.authorities[V2G], charger.places.certificates[LeafKind.V2G]
    for folder in (place, own):
        (folder / "0.pem").write_bytes(rubbish)
    (own / "0.key").write_bytes(rubbish)
    assert charger.station.is_ca_installed(V2G)
    assert charger.station.leaf(LeafKind.V2G).status is LeafStatus.ACCEPTED
    assert charger.station.install_ca(pem(OTHER.root), V2G).status is InstallStatus.ACCEPTED
    assert charger.station.delete(named(OTHER.root, OTHER.root)).status is DeleteStatus.ACCEPTED
    assert (place / "0.pem").read_bytes() == rubbish
    faults = charger.store.authorities(V2G).faults
    assert [fault.path.name for fault in faults] == ([] if not rubbish else ["0.pem"])
    key_faults = charger.store.leaves(LeafKind.V2G).key_faults
    assert [fault.path.name for fault in key_faults] == ([] if rubbish == RUBBISH["a key"] else ["0.key"])


@pytest.mark.parametrize("rubbish", RUBBISH.values(), ids=RUBBISH)
def test_a_bad_part_of_a_bundle_hides_no_other_part_and_is_kept(rubbish: bytes, tmp_path: Path) -> None:
    charger = Charger(tmp_path)
    bundle = charger.places.authorities[V2G]
    bundle.write_bytes(b"# ours\n" + rubbish + b"\n" + pem(BRANCH.root, BRANCH.sub1).encode() + rubbish)
    assert charger.store.authorities(V2G).certificates == (BRANCH.root.certificate, BRANCH.sub1.certificate)
    assert charger.station.delete(named(BRANCH.sub1, BRANCH.root)).status is DeleteStatus.ACCEPTED
    assert bundle.read_bytes() == b"# ours\n" + rubbish + b"\n" + pem(BRANCH.root).encode() + rubbish


@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(st.one_of(st.sampled_from([*RUBBISH.values()]), st.binary(max_size=40), st.just(b"")), max_size=6)
)
def test_every_certificate_of_a_bundle_is_found_and_taken_out_whatever_stands_between(parts: list[bytes]) -> None:
    made = [each.certificate for each in (BRANCH.root, BRANCH.sub1, CONTRACT.root)]
    octets = b"\n".join([*parts, *(each.pem.encode() for each in made)])
    found = [*pems.blocks(octets)]
    assert [each.certificate for each in found if each.certificate] == made
    rest = pems.without(octets, [each for each in found if each.certificate == made[1]])
    assert [each.certificate for each in pems.blocks(rest) if each.certificate] == [made[0], made[2]]
    again = pems.joined(rest, made[1])
    assert [each.certificate for each in pems.blocks(again) if each.certificate] == [made[0], made[2], made[1]]


def test_a_bundle_of_too_many_certificates_is_read_as_far_as_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pems, "MOST", 3)
    found = [*pems.blocks(pem(BRANCH.root).encode() * 9)]
    assert len(found) == 4
    assert "more than 3" in found[-1].fault


@settings(max_examples=20, deadline=None)
@given(made=st.sampled_from([BRANCH.root, BRANCH.sub1, BRANCH.leaf]), data=st.data())
def test_a_certificate_with_any_octets_changed_hides_no_other(
    made: Made, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    octets = bytearray(made.certificate.der)
    for _ in range(data.draw(st.integers(1, 3))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    charger = in_folders(tmp_path_factory.mktemp("mangled"))
    text = armoured("CERTIFICATE", bytes(octets))
    for folder in (charger.places.authorities[V2G], charger.places.certificates[LeafKind.V2G]):
        (folder / "0.pem").write_text(text)
        (folder / "z.pem").write_text(text + text)
    station = charger.station
    assert station.is_ca_installed(V2G)
    assert station.leaf(LeafKind.V2G, include_ocsp=True).status is LeafStatus.ACCEPTED
    assert station.all_leaves(LeafKind.V2G).infos
    assert named(BRANCH.root, BRANCH.root) in [each.about for each in station.installed([*Listing])]
    assert station.verify_location(V2G) is not None
    assert named(BRANCH.leaf, BRANCH.sub2) in [each.about for each in station.stapling.requests()]
    station.candidates(Wish(LeafKind.V2G20))
    checkup.prospects(station)
    checkup.remarks(station)
    station.install_ca(text, CaKind.MO)
    station.update_leaf(text, LeafKind.V2G)
    station.verify(text, [LeafKind.V2G, LeafKind.MO])
    station.upkeep.collect(charger.clock() + 999 * DAY)


def test_a_file_in_der_is_read_too(tmp_path: Path) -> None:
    charger = in_folders(tmp_path)
    (charger.places.authorities[CaKind.MO] / "root.der").write_bytes(CONTRACT.root.certificate.der)
    assert charger.station.is_ca_installed(CaKind.MO)
    assert charger.station.delete(named(CONTRACT.root, CONTRACT.root)).status is DeleteStatus.ACCEPTED
    assert [*charger.places.authorities[CaKind.MO].iterdir()] == []


@pytest.mark.parametrize("begin", [shared_bundle, in_folders])
def test_what_another_program_changes_is_seen_at_the_next_question(begin: object, tmp_path: Path) -> None:
    charger = begin(tmp_path)  # type: ignore[operator]
    charger = Charger(tmp_path, charger.layout, restat=60)  # nothing but the folders' own times
    for _ in range(3):
        assert len(charger.store.authorities(V2G).roots) == 1
        place = charger.places.authorities[V2G]
        path = place / "new.pem" if place.is_dir() else place
        new = path.with_name(".new")
        new.write_text(("" if place.is_dir() else BRANCH.bundle) + pem(OTHER.root))
        new.rename(path)  # as EVerest writes bundles
        assert len(charger.store.authorities(V2G).roots) == 2
        if place.is_dir():
            path.unlink()
        else:
            path.write_text(BRANCH.bundle)  # in place
    for name in ("SECOND", "THIRD"):
        own = BRANCH.another(name)
        before = len(charger.store.leaves(LeafKind.V2G).leaves)
        charger.own(own, BRANCH.sub2, BRANCH.sub1, name=name)
        assert len(charger.store.leaves(LeafKind.V2G).leaves) == before + 1
        (charger.places.keys[LeafKind.V2G] / f"{name}.key").unlink()
        assert charger.store.leaves(LeafKind.V2G).key_of(own.certificate) is None


def test_a_file_that_is_written_in_place_is_seen_after_the_interval(tmp_path: Path) -> None:
    charger = in_folders(tmp_path)
    path = charger.places.authorities[CaKind.MO] / "root.pem"
    path.write_text(pem(CONTRACT.root))
    os.utime(path, (1, 1))
    os.utime(path.parent, (1, 1))  # long ago: nothing makes the store doubt
    charger = Charger(tmp_path, charger.layout, restat=0.05)
    assert charger.store.authorities(CaKind.MO).roots == (CONTRACT.root.certificate,)
    path.write_text(pem(OTHER.root))
    threading.Event().wait(0.06)
    assert charger.store.authorities(CaKind.MO).roots == (OTHER.root.certificate,)


def test_nothing_is_read_twice_while_nothing_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    charger = shared_bundle(tmp_path)
    for path in tmp_path.rglob("*"):
        os.utime(path, (1, 1))
    charger = Charger(tmp_path, charger.layout, restat=60, opened=False)
    first = charger.station.leaf(LeafKind.V2G), charger.store.authorities(V2G)
    opened: list[object] = []
    monkeypatch.setattr(os, "open", lambda *path: opened.append(path))
    monkeypatch.setattr(os, "scandir", lambda path: opened.append(path) or iter(()))
    assert (charger.station.leaf(LeafKind.V2G), charger.store.authorities(V2G)) == first
    assert charger.station.is_ca_installed(V2G)
    assert opened == []


def test_finding_one_root_among_many_reads_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    charger = in_folders(tmp_path)
    place = charger.places.authorities[CaKind.MO]
    for number in range(20):
        (place / f"{number}.pem").write_text(pem(CONTRACT.root))
    opened: list[str] = []
    really = os.open
    monkeypatch.setattr(os, "open", lambda path, *rest: opened.append(path) or really(path, *rest))
    assert charger.station.is_ca_installed(CaKind.MO)
    assert len(opened) == 1


# Writing


def test_files_have_the_modes_that_secrets_need_and_others_do_not(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        charger = Charger(tmp_path / "certs")
        charger.station.install_ca(pem(BRANCH.root), V2G)
        requested = charger.station.requests.make(KeyOrder(LeafKind.V2G, "DE", "Test", "x"))
    finally:
        os.umask(old)
    assert requested.key is not None
    modes = {path: path.stat().st_mode & 0o777 for path in (tmp_path / "certs").rglob("*")}
    assert modes[requested.key.path] == 0o600
    assert modes[charger.places.authorities[V2G]] == 0o644
    assert modes[charger.places.keys[LeafKind.V2G]] == 0o700
    assert not requested.key.exposed
    requested.key.path.chmod(0o644)
    (key,) = charger.restart().store.leaves(LeafKind.V2G).keys
    assert key.exposed


def test_a_key_is_encrypted_if_and_only_if_there_is_a_password(tmp_path: Path) -> None:
    plain, sealed = Charger(tmp_path / "a"), Charger(tmp_path / "b", password=b"123456")
    texts = []
    for charger in (plain, sealed):
        requested = charger.station.requests.make(KeyOrder(LeafKind.V2G, "DE", "Test", "x"))
        assert requested.key is not None
        texts.append(requested.key.path.read_text().splitlines()[0])
    assert texts == ["-----BEGIN PRIVATE KEY-----", "-----BEGIN ENCRYPTED PRIVATE KEY-----"]
    assert len(sealed.restart().store.leaves(LeafKind.V2G).keys) == 1
    (fault,) = Charger(tmp_path / "b").store.leaves(LeafKind.V2G).key_faults
    assert "password is missing or wrong" in fault.text
    plain.own(BRANCH.leaf, BRANCH.sub2, BRANCH.sub1)
    mixed = Charger(tmp_path / "a", password=b"whatever")
    assert mixed.station.leaf(LeafKind.V2G).status is LeafStatus.ACCEPTED, "keys without a password need none"


def test_a_chain_is_installed_in_its_order_without_its_root_and_completed_by_what_is_here(tmp_path: Path) -> None:
    charger = Charger(tmp_path)
    charger.trust(V2G, pem(BRANCH.root, BRANCH.sub1))
    charger.own(BRANCH.leaf)
    (charger.places.certificates[LeafKind.V2G] / "LEAF.pem").unlink()
    for _ in range(2):
        text = pem(BRANCH.leaf, BRANCH.root, BRANCH.sub2)
        assert charger.station.update_leaf(text, LeafKind.V2G).status is InstallStatus.ACCEPTED
    written = [path for path in charger.files() if path.endswith(".pem") and path.startswith("client/cso")]
    assert len(written) == 2, "the same certificate again is no second one"
    info = charger.station.leaf(LeafKind.V2G).info
    assert info is not None
    assert info.chain is not None
    assert info.chain.read_text() == pem(*BRANCH.chain)
    assert info.chain.name.startswith("CPO_CERT_SECC_LEAF_CHAIN_")


def test_a_chain_file_in_the_wrong_order_is_told(tmp_path: Path) -> None:
    charger = shared_bundle(tmp_path)
    (charger.places.certificates[LeafKind.V2G] / "wrong.pem").write_text(pem(BRANCH.sub2, BRANCH.another("Wrong")))
    (fault,) = charger.store.leaves(LeafKind.V2G).faults
    assert "the leaf has to come first" in fault.text


def test_what_a_killed_program_left_is_finished_or_cleared_when_the_store_is_opened(tmp_path: Path) -> None:
    charger = in_folders(tmp_path)
    place = charger.places.authorities[CaKind.MO]
    (place / f".left.pem{changes.NEW}").write_text("half a file")
    charger.restart()
    assert [*place.iterdir()] == []
    journal = Journal(charger.places.state / "journal")
    writes = [Write(place / f"{number}.pem", pem(CONTRACT.root).encode()) for number in range(2)]
    journal._announce([(changes._prepare(write), write.path) for write in writes], [place / "gone"])
    assert charger.station.is_ca_installed(CaKind.MO), "a reader finishes it as well"
    assert sorted(path.name for path in place.iterdir()) == ["0.pem", "1.pem"]
    assert not journal.is_there


def test_a_change_that_cannot_be_written_changes_nothing_and_says_so(tmp_path: Path) -> None:
    charger = in_folders(tmp_path)
    before = charger.files()
    writes = [Write(charger.places.authorities[V2G] / "a.pem", b"a"), Write(tmp_path / ("x" * 999), b"b")]
    with pytest.raises(Unavailable):
        Journal(charger.places.state / "journal").commit(writes)
    assert charger.files() == before


@pytest.mark.skipif(os.getuid() != 0, reason="takes away rights by another user")
@pytest.mark.slow
def test_a_folder_that_may_only_be_read_can_be_read_and_refuses_changes(tmp_path: Path) -> None:
    charger = in_folders(tmp_path)
    shutil.rmtree(charger.places.state)
    charger = Charger(tmp_path, charger.layout, opened=False)
    for path in (tmp_path, *tmp_path.rglob("*"), *tmp_path.parents):
        if path.is_dir():
            path.chmod(path.stat().st_mode | 0o055)
    child = os.fork()
    if not child:
        good = False
        try:
            os.setuid(65534)
            seen = charger.station.is_ca_installed(V2G), charger.station.leaf(LeafKind.V2G).status
            refused = charger.station.install_ca(pem(OTHER.root), V2G)
            good = seen == (True, LeafStatus.PRIVATE_KEY_NOT_FOUND) and refused.status is InstallStatus.WRITE_ERROR
            good = good and "cannot be written" in refused.reason
        finally:  # whatever happens, the child is not to go on as a second test runner
            os._exit(not good)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not charger.places.state.exists()


def test_a_place_cannot_be_for_cas_and_leaves_at_once(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="at once"):
        Layout.everest(tmp_path, elsewhere={V2G: tmp_path / "client/cso"})


def test_links_within_a_folder_are_counted_once_and_may_dangle(tmp_path: Path) -> None:
    charger = in_folders(tmp_path)
    own = charger.places.certificates[LeafKind.V2G]
    (own / "LINK.pem").symlink_to(own / "SECC_LEAF.pem")
    (own / "DANGLING.pem").symlink_to(own / "gone.pem")
    os.mkfifo(own / "pipe.pem")
    (leaf,) = charger.store.leaves(LeafKind.V2G).leaves
    assert leaf.single_file == own / "SECC_LEAF.pem"
    charger.station.verify_location(V2G)
    assert charger.store.size().certificates == charger.station.count([*Listing]) == 3 * 3 + 4


def test_limits_count_certificates_and_not_links(tmp_path: Path) -> None:
    charger = in_folders(tmp_path)
    before = charger.store.size()
    charger.station.verify_location(V2G)
    assert [path for path in charger.places.authorities[V2G].iterdir() if path.is_symlink()]
    assert charger.store.size() == before


def test_a_key_in_a_tpm_is_known_by_its_file(tmp_path: Path) -> None:
    for curve, number in ((ec.SECP256R1(), 3), (ec.SECP521R1(), 5)):
        charger = Charger(tmp_path / curve.name)
        key = ec.generate_private_key(curve).public_key()
        point = key.public_numbers()
        size = (curve.key_size + 7) // 8
        x, y = (struct.pack(">H", size) + each.to_bytes(size) for each in (point.x, point.y))
        public = struct.pack(">HHIH", 0x23, 0x0B, 0x60072, 0) + struct.pack(">HHHH", 0x10, 0x10, number, 0x10) + x + y
        octets = der.sequence(
            der.oid("2.23.133.10.1.3"),
            der.explicit(0, der.TRUE),
            der.integer(0x40000001),
            der.octet_string(struct.pack(">H", len(public)) + public),
            der.octet_string(b"sealed"),
        )
        path = charger.places.keys[LeafKind.V2G] / "deep" / "SECC.tkey"
        path.parent.mkdir()
        path.write_text(armoured("TSS2 PRIVATE KEY", octets))
        (found,) = charger.store.leaves(LeafKind.V2G).keys
        spki = suites.generate(suites.P256_SHA256)  # another key
        assert found.path == path
        assert found.key_hash == hash_of(key)
        assert found.key_hash != hash_of(spki.public_key())


def test_a_key_in_a_keyring_is_referred_to_by_its_label(tmp_path: Path) -> None:
    charger = shared_bundle(tmp_path)
    own = BRANCH.another("InAKeyring")
    key = charger.store.refer_to_key(
        LeafKind.V2G, "v2g-leaf-1", own.certificate.spki, "-----BEGIN X-----\n-----END X-----\n"
    )
    assert (key.path.suffix, key.path.stat().st_mode & 0o777) == (".tkey", 0o600)
    assert (
        charger.station.update_leaf(pem(own, BRANCH.sub2, BRANCH.sub1), LeafKind.V2G).status is InstallStatus.ACCEPTED
    )
    info = charger.restart().station.leaf(LeafKind.V2G, holder="InAKeyring").info
    assert info is not None
    assert (info.key.label, info.key.path) == ("v2g-leaf-1", key.path)


def test_a_key_that_came_to_be_used_meanwhile_is_not_removed(tmp_path: Path) -> None:
    charger = shared_bundle(tmp_path)
    (key,) = charger.store.leaves(LeafKind.V2G).keys
    charger.store.remove(Removal(keys=[key]))
    assert key.path.exists()
    with pytest.raises(Unavailable, match="private key"):
        charger.store.add_leaf(LeafKind.V2G, [BRANCH.another("Keyless").certificate])


def test_where_no_copies_can_be_made_what_stands_alone_is_found_all_the_same(tmp_path: Path) -> None:
    charger = in_folders(tmp_path)
    place = charger.places.authorities[V2G]
    (place / "several.pem").write_text(pem(OTHER.root, CONTRACT.root))
    (charger.places.state / "pem").write_text("in the way")
    assert charger.station.verify_location(V2G) == place
    assert {path.readlink().name for path in place.iterdir() if path.is_symlink()}


def test_links_that_somebody_took_away_come_back(tmp_path: Path) -> None:
    charger = in_folders(tmp_path)
    place = charger.places.authorities[V2G]
    for _ in range(2):
        assert charger.station.verify_location(V2G) == place
        links = [path for path in place.iterdir() if path.is_symlink()]
        assert len(links) == 3
        for link in links:
            link.unlink()


def test_removing_nothing_is_no_change(tmp_path: Path) -> None:
    charger = shared_bundle(tmp_path)
    before = charger.files()
    charger.store.remove(Removal())
    charger.store.remove(Removal(authorities={V2G: [OTHER.root.certificate]}))
    assert charger.files() == before


def test_a_program_that_holds_the_lock_is_waited_for_and_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    charger = shared_bundle(tmp_path)
    with (charger.places.state / "lock").open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        later = threading.Timer(0.1, fcntl.flock, (other, fcntl.LOCK_UN))
        later.start()
        assert charger.station.install_ca(pem(OTHER.root), V2G).status is InstallStatus.ACCEPTED
        later.join()
        fcntl.flock(other, fcntl.LOCK_EX)
        monkeypatch.setattr(changes, "PATIENCE", 0.1)
        with pytest.raises(Unavailable, match="another program holds"):
            charger.store.add_authority(V2G, CONTRACT.root.certificate)


def hash_of(key: suites.PublicKey) -> bytes:
    return hashlib.sha256(spki_of(key)).digest()
