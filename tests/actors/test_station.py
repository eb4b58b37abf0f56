"""What a charging station takes, shows, chooses and refuses, each time with its reason."""

from __future__ import annotations

import base64
import itertools
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from charging import LONG, SIGN_AND_AGREE, Branch, Charger, leaf, pem, responder, root, stapled, sub
from everest_cases import BRANCH, OTHER, Direct, key_waits, named, shared_bundle
from pathing import DAY, NOW, answer_octets, make, single, trio
from voltroot.actors.station import admission, inventory
from voltroot.actors.station.choosing import Policy
from voltroot.actors.station.outcomes import (
    Change,
    DeleteStatus,
    Fitness,
    InstallStatus,
    LeafStatus,
    Listing,
    Operation,
    RequestStatus,
    VerifyStatus,
)
from voltroot.actors.station.ports import CaKind, LeafKind
from voltroot.actors.station.requesting import KeyOrder
from voltroot.actors.station.station import Station
from voltroot.actors.station.upkeep import Rules, Upkeep
from voltroot.errors import Malformed, Refused, Unavailable
from voltroot.keys.software import SoftwareKeyring
from voltroot.pki import oids
from voltroot.pki.fingerprints import HashAlgorithm, hash_data
from voltroot.pki.profiles import profiles
from voltroot.pki.requests import read_request
from voltroot.pki.suites import ED448, P256_SHA256, P521_SHA512, RSA_SHA256
from voltroot.store.certdir import Layout, keyfiles

V2G, MO = CaKind.V2G, CaKind.MO
BRANCH_20 = Branch("V2G20", "P-521", "CSO")


@pytest.fixture
def charger(tmp_path: Path) -> Charger:
    """One bundle for three kinds, a leaf for cars with its chain and key."""
    return shared_bundle(tmp_path)


@pytest.fixture
def bare(tmp_path: Path) -> Charger:
    return Charger(tmp_path)


# CAs


@pytest.mark.parametrize(
    ("given", "status", "why"),
    [
        (lambda: pem(BRANCH.leaf), InstallStatus.INVALID_CHAIN, "not the certificate of a CA"),
        (lambda: pem(sub("Orphan", OTHER.root)), InstallStatus.NO_ROOT, "install that first"),
        (lambda: pem(root("NoCertSign", usage=0x0200)), InstallStatus.INVALID_CHAIN, "keyUsage"),
        (lambda: pem(root("Later", begin=NOW + DAY)), InstallStatus.EXPIRED, "is the clock right"),
        (lambda: pem(OTHER.root, OTHER.sub1), InstallStatus.INVALID_FORMAT, "one CA at a time"),
        (lambda: pem(root("A", issuer_name="CN=A,O=Test,C=DE", key="x"))[:-90], InstallStatus.INVALID_FORMAT, "0"),
        (lambda: "x" * (1 << 20), InstallStatus.INVALID_FORMAT, "characters"),
        (lambda: "", InstallStatus.INVALID_FORMAT, "0 certificates"),
    ],
)
def test_what_could_not_be_listed_and_deleted_later_is_not_installed(
    charger: Charger, given: object, status: InstallStatus, why: str
) -> None:
    before = charger.files()
    installation = charger.station.install_ca(given(), V2G)  # type: ignore[operator]
    assert installation.status is status, installation
    assert why in installation.reason
    assert charger.files() == before


def test_a_text_of_many_beginnings_is_not_searched(charger: Charger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "read_pem", lambda text: pytest.fail("each beginning costs a search to the end"))
    installation = charger.station.install_ca("-----BEGIN CERTIFICATE-----\n" * 1000, V2G)
    assert installation.status is InstallStatus.INVALID_FORMAT
    assert "beginnings" in installation.reason


def test_a_forged_sub_ca_is_not_installed(charger: Charger) -> None:
    forged = make("CN=Forged", make("CN=V2GRootCA,O=Test,C=DE", key="forger"), ca=True,
                  extensions={oids.AUTHORITY_KEY_IDENTIFIER: None})  # fmt: skip
    installation = charger.station.install_ca(pem(forged), V2G)
    assert installation.status is InstallStatus.INVALID_SIGNATURE


def test_what_the_field_writes_around_a_certificate_is_read(charger: Charger) -> None:
    text = "Subject: somebody\n" + pem(OTHER.root).replace("CERTIFICATE", "X509 CERTIFICATE").replace("\n", "\r\n")
    assert charger.station.install_ca(text, V2G).status is InstallStatus.ACCEPTED
    bundle = charger.places.authorities[V2G].read_bytes()
    assert charger.station.install_ca(text, V2G).status is InstallStatus.ACCEPTED
    assert charger.places.authorities[V2G].read_bytes() == bundle, "what is there already is not written again"


def test_everything_that_was_installed_can_be_listed_and_deleted_even_when_it_has_expired(bare: Charger) -> None:
    for made in (OTHER.root, OTHER.sub1, OTHER.sub2):
        assert bare.station.install_ca(pem(made), MO).status is InstallStatus.ACCEPTED
    bare.clock.now += 2 * LONG
    assert not bare.station.is_ca_installed(MO)
    (entry,) = bare.station.installed([Listing.MO_ROOT])
    for about in (*reversed(entry.children), entry.about):
        assert bare.station.delete(about).status is DeleteStatus.ACCEPTED
    assert bare.station.installed([*Listing]) == []


@pytest.mark.parametrize("algorithm", HashAlgorithm)
def test_a_certificate_is_deleted_by_any_hash_that_ocpp_knows_and_however_it_is_written(
    charger: Charger, algorithm: HashAlgorithm
) -> None:
    about = hash_data(BRANCH.leaf.certificate, BRANCH.sub2.certificate, algorithm)
    shouted = type(about)(algorithm, about.issuer_name_hash.upper(), about.issuer_key_hash.upper(),
                          "00" + about.serial_number.upper())  # fmt: skip
    deletion = charger.station.delete(shouted)
    assert (deletion.status, deletion.kinds) == (DeleteStatus.ACCEPTED, (LeafKind.V2G,))
    assert not [path for path in charger.files() if path.startswith("client/")]


def test_deleting_a_sub_ca_of_a_leafs_own_chain_takes_the_leaf_with_all_its_files(bare: Charger) -> None:
    bare.trust(V2G, pem(BRANCH.root))
    bare.own(*BRANCH.chain)
    assert bare.station.delete(named(BRANCH.sub1, BRANCH.root)).status is DeleteStatus.ACCEPTED
    assert [*bare.files()] == ["ca/v2g/V2G_ROOT_CA.pem"]


def test_a_key_that_another_certificate_uses_survives_the_deletion(charger: Charger) -> None:
    old, new = (BRANCH.another("DE*ABC*E009", key="kept", serial=serial) for serial in (8, 9))
    charger.own(old, BRANCH.sub2, BRANCH.sub1, name="OLD")
    charger.own(new, BRANCH.sub2, BRANCH.sub1, name="NEW", key=False)
    assert charger.station.delete(named(old, BRANCH.sub2)).status is DeleteStatus.ACCEPTED
    info = charger.station.leaf(LeafKind.V2G, holder="DE*ABC*E009").info
    assert info is not None
    assert (info.leaf.certificate, info.key.path.name) == (new.certificate, "OLD.key")


def test_of_many_cas_of_one_name_a_bounded_number_of_signatures_is_checked(
    bare: Charger, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = {oids.SUBJECT_KEY_IDENTIFIER: None}
    twins = [make("CN=Twin", key=f"twin {number % 3}", serial=number + 1, extensions=plain) for number in range(60)]
    bare.trust(V2G, pem(*twins))
    tried: list[object] = []
    monkeypatch.setattr(inventory, "_has_signed", lambda issuer, own: bool(tried.append(issuer)))
    assert bare.station.install_ca(pem(sub("Below", twins[0])), V2G).status is InstallStatus.NO_ROOT
    assert len(tried) == inventory.MOST_TRIED


# Judging


def test_an_expired_sub_ca_makes_its_leaf_useless_and_says_so(bare: Charger) -> None:
    old = sub("OldSub", BRANCH.root, end=NOW - DAY)
    own = leaf("UnderOldSub", old)
    bare.trust(V2G, pem(BRANCH.root))
    key_waits(Direct(bare), own)
    installation = bare.station.update_leaf(pem(own, old), LeafKind.V2G)
    assert installation.status is InstallStatus.EXPIRED
    assert "OldSub" in installation.reason
    bare.own(own, old)
    answer = bare.station.leaf(LeafKind.V2G)
    assert (answer.status, answer.candidates[0].fitness) == (LeafStatus.NOT_FOUND_VALID, Fitness.BROKEN)
    assert "OldSub" in answer.reason


@pytest.mark.parametrize(
    ("make_leaf", "why"),
    [
        (lambda: BRANCH.another("x", usage=0x2000), "its key is not for signing"),
        (lambda: leaf("x", BRANCH.sub2, dc=""), "its DC is absent"),
        (lambda: leaf("x", BRANCH.sub2, dc="MO"), "its DC is MO"),
        (lambda: leaf("x", sub("Third", BRANCH.sub2)), "no further CA"),
    ],
)
def test_a_leaf_for_cars_that_breaks_its_profile_is_refused_with_the_rule(
    charger: Charger, make_leaf: object, why: str
) -> None:
    own = make_leaf()  # type: ignore[operator]
    above = (sub("Third", BRANCH.sub2), BRANCH.sub2, BRANCH.sub1) if "Third" in str(own.certificate.issuer) else ()
    key_waits(Direct(charger), own)
    installation = charger.station.update_leaf(pem(own, *above), LeafKind.V2G)
    assert installation.status is InstallStatus.INVALID_CHAIN
    assert why in installation.reason


def test_strict_rules_refuse_what_the_lints_of_the_profile_find(charger: Charger) -> None:
    own = BRANCH.another("Loose", extensions={oids.AUTHORITY_INFO_ACCESS: None})
    key_waits(Direct(charger), own)
    strict = Charger(charger.folder, charger.layout, Rules(strict=True))
    refused = strict.station.update_leaf(pem(own), LeafKind.V2G)
    assert refused.status is InstallStatus.INVALID_CHAIN
    assert "names 0 OCSP responders" in refused.reason
    assert charger.station.update_leaf(pem(own), LeafKind.V2G).status is InstallStatus.ACCEPTED


def test_a_leaf_whose_key_is_not_here_is_refused(charger: Charger) -> None:
    installation = charger.station.update_leaf(pem(BRANCH.another("Keyless")), LeafKind.V2G)
    assert installation.status is InstallStatus.WRITE_ERROR
    assert "no private key" in installation.reason


@pytest.mark.parametrize("kind", [LeafKind.MF, LeafKind.MO])
def test_a_station_has_no_leaf_of_its_own_for_contracts_and_manufacturers(charger: Charger, kind: LeafKind) -> None:
    assert charger.station.update_leaf(pem(*BRANCH.chain), kind).status is InstallStatus.WRITE_ERROR
    assert charger.station.leaf(kind).status is charger.station.all_leaves(kind).status is LeafStatus.REJECTED
    order = KeyOrder(kind, "DE", "Test", "x")
    assert charger.station.requests.make(order).status is RequestStatus.INVALID_TYPE


def test_verifying_names_what_is_wrong_with_a_chain(charger: Charger) -> None:
    def status(*chain: object, kind: LeafKind = LeafKind.V2G) -> VerifyStatus:
        return charger.station.verify(pem(*chain), [kind]).status  # type: ignore[arg-type]

    assert status(BRANCH.leaf, BRANCH.sub1, BRANCH.root, BRANCH.sub2) is VerifyStatus.VALID, "in any order"
    assert status(BRANCH.another("Later", begin=NOW + DAY)) is VerifyStatus.VALID
    assert status(BRANCH.another("Gone", begin=NOW - 9 * DAY, end=NOW - DAY)) is VerifyStatus.EXPIRED
    assert status(*OTHER.chain) is VerifyStatus.ISSUER_NOT_FOUND
    imposter = root("V2GRootCA", key="imposter")
    assert status(leaf("x", sub("y", imposter)), sub("y", imposter)) is VerifyStatus.INVALID_SIGNATURE
    below = make("CN=below,O=Test,C=DE", BRANCH.leaf, usage=SIGN_AND_AGREE)
    assert status(below, BRANCH.leaf) is not VerifyStatus.VALID
    assert charger.station.verify(pem(BRANCH.leaf), []).status is VerifyStatus.ISSUER_NOT_FOUND
    assert "no trusted root" in charger.station.verify(pem(*OTHER.chain), [LeafKind.V2G]).reason


# Choosing


def test_the_newest_is_chosen_as_ocpp_wants_it_or_the_one_that_lasts_longest_as_everest(tmp_path: Path) -> None:
    first = shared_bundle(tmp_path)
    long, fresh = BRANCH.another("Long", end=NOW + 400 * DAY), BRANCH.another("Fresh", begin=NOW - DAY)
    for own, name in ((long, "LONG"), (fresh, "FRESH")):
        first.own(own, BRANCH.sub2, BRANCH.sub1, name=name)
    chosen = {}
    for policy in Policy:
        charger = Charger(tmp_path, first.layout, Rules(policy=policy))
        info = charger.station.leaf(LeafKind.V2G).info
        assert info is not None
        chosen[policy] = info.leaf.certificate
        assert charger.station.expiry_days(LeafKind.V2G) == (info.leaf.certificate.not_after - NOW).days
    assert chosen == {
        Policy.NEWEST_NOT_BEFORE: fresh.certificate,
        Policy.LATEST_NOT_AFTER: long.certificate,
    }


def test_a_station_with_several_evses_and_both_editions_has_one_certificate_for_each(charger: Charger) -> None:
    charger.trust(V2G, BRANCH.bundle + pem(BRANCH_20.root))
    for number in (1, 2):
        own = BRANCH.another(f"DE*ABC*E00{number}", begin=NOW - number * DAY)
        charger.own(own, BRANCH.sub2, BRANCH.sub1, name=f"EVSE{number}")
    newer = BRANCH_20.another("DE*ABC*E001", begin=NOW - timedelta(hours=1))
    charger.own(newer, BRANCH_20.sub2, BRANCH_20.sub1, name="EVSE20")
    station = charger.station

    def chosen(kind: LeafKind, **wish: object) -> str:
        info = station.leaf(kind, **wish).info  # type: ignore[arg-type]
        assert info is not None
        return info.leaf.files[0].stem.split("_")[-2] + "/" + str(info.leaf.certificate.subject.get("CN"))

    assert chosen(LeafKind.V2G, holder="DE*ABC*E002") == "EVSE2/DE*ABC*E002"
    assert chosen(LeafKind.V2G, holder="de*abc*e001") == "EVSE1/DE*ABC*E001"
    assert chosen(LeafKind.V2G20) == chosen(LeafKind.V2G, suite=P521_SHA512) == "EVSE20/DE*ABC*E001"
    assert chosen(LeafKind.V2G) == "EVSE1/DE*ABC*E001", "few cars of -2 understand a key of -20"
    assert len(station.all_leaves(LeafKind.V2G).infos) == 4
    nobody = station.leaf(LeafKind.V2G, holder="DE*ABC*E003")
    assert nobody.status is LeafStatus.NOT_FOUND_VALID
    assert {each.fitness for each in nobody.candidates} == {Fitness.OTHER}


def test_every_candidate_has_its_reason(charger: Charger) -> None:
    charger.clock.now += 200 * DAY
    charger.own(BRANCH.another("Future", begin=NOW + 300 * DAY, end=NOW + 400 * DAY), BRANCH.sub2, name="FUTURE")
    charger.own(BRANCH.another("Keyless", end=NOW + 300 * DAY), BRANCH.sub2, BRANCH.sub1, name="KEYLESS", key=False)
    answer = charger.station.leaf(LeafKind.V2G)
    assert answer.status is LeafStatus.PRIVATE_KEY_NOT_FOUND
    texts = {each.fitness: each.text for each in answer.candidates}
    assert "expired on 2026-09-09" in texts[Fitness.EXPIRED]
    assert "is the clock right?" in texts[Fitness.NOT_YET_VALID]
    assert "no private key" in texts[Fitness.NO_KEY]
    assert all(text in answer.reason for text in texts.values())


def test_a_leaf_is_used_although_the_root_above_it_was_taken_away(charger: Charger) -> None:
    charger.trust(V2G, "")
    info = charger.station.leaf(LeafKind.V2G).info
    assert info is not None
    assert info.root is None
    assert charger.station.all_leaves(LeafKind.V2G).status is LeafStatus.ACCEPTED


# Keys, changes, OCSP


@pytest.mark.parametrize("suite", [P256_SHA256, P521_SHA512, ED448], ids=lambda suite: suite.name)
def test_a_key_is_made_for_either_edition_and_its_certificate_is_taken(charger: Charger, suite: object) -> None:
    order = KeyOrder(LeafKind.V2G, "DE", "Test", "DE*ABC*E001", suite)  # type: ignore[arg-type]
    requested = charger.station.requests.make(order)
    assert requested.status is RequestStatus.ACCEPTED, requested.reason
    assert requested.key is not None
    assert requested.key.path.stat().st_mode & 0o777 == 0o600
    charger.station.requests.discard(requested.key)
    assert not requested.key.path.exists()


def test_a_key_that_is_made_in_a_keyring_is_nowhere_in_the_folder(charger: Charger, tmp_path: Path) -> None:
    keyring = SoftwareKeyring(tmp_path / "keyring")
    station = Station(charger.store, profiles(), charger.clock, keyring=keyring)
    requested = station.requests.make(KeyOrder(LeafKind.V2G, "DE", "Test", "DE*ABC*E001", in_keyring=True))
    assert requested.status is RequestStatus.ACCEPTED, requested.reason
    assert requested.key is not None
    assert requested.key.label is not None
    assert read_request(requested.csr) == keyring.signer(requested.key.label).public_key()
    (waiting,) = charger.store.leaves(LeafKind.V2G).unused_keys
    assert waiting == requested.key
    assert b"PRIVATE" not in requested.key.path.read_bytes()


class Absent(SoftwareKeyring):
    """A keyring that may be away."""

    is_away = False

    def delete(self, label: str) -> None:
        if self.is_away:
            raise Unavailable("the device does not answer")
        super().delete(label)


@pytest.mark.parametrize("is_away", [False, True], ids=["at once", "once its device is back"])
def test_what_is_deleted_has_no_key_left_in_its_device(is_away: bool, charger: Charger, tmp_path: Path) -> None:
    keyring = Absent(tmp_path / "keyring")
    elapsed = itertools.count(step=4000)
    upkeep = Upkeep(charger.store, Rules(), lambda: float(next(elapsed)), keyring)
    station = Station(charger.store, profiles(), charger.clock, keyring=keyring, upkeep=upkeep)

    own = BRANCH.another("InDevice")
    keyring.put("in-device", own.key)
    key = charger.store.refer_to_key(LeafKind.V2G, "in-device", keyfiles.spki_of(own.key.public_key()))
    assert station.update_leaf(pem(own, BRANCH.sub2, BRANCH.sub1), LeafKind.V2G).status is InstallStatus.ACCEPTED
    waiting = station.requests.make(KeyOrder(LeafKind.V2G, "DE", "Test", "DE*ABC*E001", in_keyring=True)).key
    assert waiting is not None
    upkeep.spare(waiting)
    keyring.is_away = is_away
    assert station.delete(named(own, BRANCH.sub2)).status is DeleteStatus.ACCEPTED
    assert own.certificate not in charger.certificates()
    station.requests.discard(waiting)
    assert len(keyring.labels()) == len([each for each in (key, waiting) if each.path.exists()]) == 2 * is_away
    keyring.is_away = False
    for _ in range(2):
        upkeep.collect(charger.clock())
    assert keyring.labels() == []
    assert not key.path.exists()
    assert not waiting.path.exists()


def test_a_key_that_a_device_makes_while_it_goes_is_destroyed_once_it_is_back(
    charger: Charger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def goes(label: str) -> None:
        keyring.is_away = True
        raise Unavailable("the device does not answer")

    keyring = Absent(tmp_path / "keyring")
    station = Station(charger.store, profiles(), charger.clock, keyring=keyring)
    monkeypatch.setattr(keyring, "signer", goes)
    requested = station.requests.make(KeyOrder(LeafKind.V2G, "DE", "Test", "DE*ABC*E001", in_keyring=True))
    assert requested.status is RequestStatus.KEY_ERROR
    assert len(keyring.labels()) == 1
    keyring.is_away = False
    monkeypatch.undo()
    again = station.requests.make(KeyOrder(LeafKind.V2G, "DE", "Test", "DE*ABC*E001", in_keyring=True))
    assert again.key is not None
    assert keyring.labels() == [again.key.label]


def test_a_key_in_a_keyring_that_the_store_cannot_note_down_is_destroyed(
    charger: Charger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refer(*_: object) -> None:
        raise Unavailable("the disk is full")

    keyring = SoftwareKeyring(tmp_path / "keyring")
    station = Station(charger.store, profiles(), charger.clock, keyring=keyring)
    monkeypatch.setattr(charger.store, "refer_to_key", refer)
    requested = station.requests.make(KeyOrder(LeafKind.V2G, "DE", "Test", "DE*ABC*E001", in_keyring=True))
    assert (requested.status, requested.reason) == (RequestStatus.KEY_ERROR, "the disk is full")
    assert keyring.labels() == []


@pytest.mark.parametrize(
    ("order", "status", "why"),
    [
        (KeyOrder(LeafKind.V2G, "GERMANY", "Test", "x"), RequestStatus.GENERATION_ERROR, "two letters"),
        (KeyOrder(LeafKind.V2G, "DE", "Test", "x" * 65), RequestStatus.GENERATION_ERROR, "64"),
        (KeyOrder(LeafKind.V2G, "DE", "", "x"), RequestStatus.GENERATION_ERROR, "empty"),
        (KeyOrder(LeafKind.V2G, "DE", "T", "x", RSA_SHA256), RequestStatus.GENERATION_ERROR, "P-256"),
        (KeyOrder(LeafKind.V2G20, "DE", "T", "x", P256_SHA256), RequestStatus.GENERATION_ERROR, "P-521"),
        (KeyOrder(LeafKind.V2G, "DE", "T", "x", None, ("ü.example",)), RequestStatus.GENERATION_ERROR, ""),
        (KeyOrder(LeafKind.V2G, "DE", "T", "x", in_keyring=True), RequestStatus.KEY_ERROR, "no keyring"),
    ],
)
def test_a_request_that_cannot_be_made_says_why_and_leaves_no_key(
    charger: Charger, order: KeyOrder, status: RequestStatus, why: str
) -> None:
    before = charger.files()
    requested = charger.station.requests.make(order)
    assert requested.status is status, requested
    assert requested.reason
    assert why in requested.reason
    assert charger.files() == before


def test_a_key_in_use_is_not_discarded(charger: Charger) -> None:
    (key,) = charger.store.leaves(LeafKind.V2G).keys
    with pytest.raises(Refused, match="belongs to an installed certificate"):
        charger.station.requests.discard(key)


def test_changes_are_told_whoever_makes_them(charger: Charger) -> None:
    told: list[Change] = []
    charger.station.upkeep.listen(told.append)
    another = pem(root("Another"))
    charger.station.install_ca(another, MO)
    assert told == [Change(Operation.INSTALLED, MO)]
    charger.station.install_ca(another, MO)
    assert len(told) == 1, "nothing has changed"
    charger.trust(MO, "")  # another program
    assert charger.station.upkeep.notice() == [Change(Operation.DELETED, MO)]
    second = BRANCH.another("Second")
    charger.own(second, BRANCH.sub2, BRANCH.sub1, name="SECOND")
    assert charger.station.upkeep.notice() == [Change(Operation.INSTALLED, LeafKind.V2G)]
    charger.station.delete(named(second, BRANCH.sub2))
    assert told[-1] == Change(Operation.DELETED, LeafKind.V2G)


def test_only_an_ocsp_answer_that_tells_about_a_certificate_here_is_kept(charger: Charger) -> None:
    keep = charger.station.stapling.keep
    about = named(BRANCH.leaf, BRANCH.sub2)
    with pytest.raises(Malformed):
        keep(about, b"MIIB")
    with pytest.raises(Refused, match="another certificate"):
        keep(about, stapled(BRANCH.sub2, BRANCH.sub1))
    with pytest.raises(Refused, match="no certificate of this station"):
        keep(named(OTHER.leaf, OTHER.sub2), stapled(OTHER.leaf, OTHER.sub2))
    with pytest.raises(Refused, match="replaced"):
        keep(about, stapled(BRANCH.leaf, BRANCH.sub2, this=NOW - 9 * DAY, until=NOW - DAY))
    with pytest.raises(Refused, match="responder"):
        keep(about, answer_octets(trio().ca, single(BRANCH.leaf, BRANCH.sub2)))
    assert charger.store.answers(LeafKind.V2G) == ()
    keep(hash_data(BRANCH.leaf.certificate, BRANCH.sub2.certificate, HashAlgorithm.SHA512),
         stapled(BRANCH.leaf, BRANCH.sub2, "revoked"))  # fmt: skip
    (kept,) = charger.store.answers(LeafKind.V2G)
    assert kept.about == about


def test_requests_for_status_name_one_responder_each(charger: Charger) -> None:
    own = leaf("TwoPlaces", BRANCH.sub2, extensions=responder("http://first.example/"))
    charger.own(own, BRANCH.sub2, BRANCH.sub1, name="TWO")
    found = {each.about: each.url for each in charger.station.stapling.requests()}
    assert found[named(own, BRANCH.sub2)] == "http://first.example/"
    assert found[named(BRANCH.sub2, BRANCH.sub1)] == "http://ocsp.example/"
    with pytest.raises(Refused, match="none of the roots"):
        charger.station.stapling.contract_requests(pem(*OTHER.chain))


def test_a_signature_over_a_file_is_verified(charger: Charger, tmp_path: Path) -> None:
    file = tmp_path / "firmware.bin"
    file.write_bytes(b"firmware")
    signature = base64.b64encode(BRANCH.leaf.key.sign(b"firmware", ec.ECDSA(hashes.SHA256()))).decode()
    verify = charger.station.verify_file_signature
    assert verify(file, pem(BRANCH.leaf), signature)
    assert not verify(file, pem(BRANCH.sub2), signature)
    assert not verify(file, pem(BRANCH.leaf), "no base64")
    assert not verify(tmp_path / "gone", pem(BRANCH.leaf), signature)
    file.write_bytes(b"other")
    assert not verify(file, pem(BRANCH.leaf), signature)


def test_garbage_collection_takes_no_key_while_a_file_cannot_be_read(charger: Charger) -> None:
    requested = charger.station.requests.make(KeyOrder(LeafKind.V2G, "DE", "Test", "x"))
    assert requested.key is not None
    torn = charger.places.certificates[LeafKind.V2G] / "torn.pem"
    torn.write_text(pem(BRANCH.leaf)[:100])
    charger.elapsed = 99 * 3600
    assert charger.station.upkeep.collect(charger.clock()).keys == ()
    torn.unlink()
    assert charger.station.upkeep.collect(charger.clock()).keys == (requested.key,)


def test_keys_in_a_folder_apart_are_found_and_survive_garbage_collection(tmp_path: Path) -> None:
    layout = Layout.everest(tmp_path / "certs", keys=tmp_path / "keys")
    charger = Charger(tmp_path / "certs", layout)
    charger.trust(V2G, BRANCH.bundle)
    charger.own(*BRANCH.chain)
    charger.elapsed = 99 * 3600
    for _ in range(2):
        charger.station.upkeep.collect(charger.clock() + 300 * DAY)
        charger.elapsed += 99 * 3600
    info = charger.station.leaf(LeafKind.V2G).info
    assert info is not None
    assert info.key.path.is_relative_to(tmp_path / "keys")
