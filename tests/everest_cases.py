"""The portable cases of EVerest's own tests of libevse-security, as one table: what they check, on files made here.

Each case gets an ``UnderTest``: a station's folder, and the three questions that the evse_security_consumer API knows,
which may go by another way than a call. ``KNOWN_DEVIATIONS`` says where EVerest expects something else, and why not we.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from charging import Branch, Charger, Made, leaf, pem, root, stapled, sub
from pathing import DAY, NOW
from voltroot.actors.station.outcomes import (
    DeleteStatus,
    InstallStatus,
    LeafAnswer,
    LeafStatus,
    Listing,
    RequestStatus,
    VerifyStatus,
)
from voltroot.actors.station.ports import CaKind, LeafKind
from voltroot.actors.station.requesting import KeyOrder
from voltroot.actors.station.upkeep import Rules
from voltroot.pki.fingerprints import HashAlgorithm, HashData, hash_data
from voltroot.store.certdir import Layout

V2G, MO, CSMS, MF = CaKind.V2G, CaKind.MO, CaKind.CSMS, CaKind.MF
A = InstallStatus.ACCEPTED

KNOWN_DEVIATIONS = {
    "a chain with the root's sibling sub-CAs": "a sub-CA that issued nothing of a leaf is not in the leaf's chain",
    "OCSP answers in base64 in a .der file": "OpenSSL reads DER there, and stapling would fail",
    "OCSP answers beside the roots too": "whoever staples looks beside the leaf",
    "an expired sub-CA is valid": "RFC 5280 6.1.3 (a)(2)",
    "a leaf or an orphan is installed as a CA": "it could neither be listed nor deleted",
    "keys in a folder apart are garbage": "a key that is in use stays",
}


class UnderTest(Protocol):
    """A station that is asked."""

    charger: Charger

    def is_ca_installed(self, kind: CaKind) -> bool: ...

    def leaf(self, kind: LeafKind, *, include_ocsp: bool = False) -> LeafAnswer: ...

    def verify_location(self, kind: CaKind) -> Path | None: ...


class Direct:
    """Asked by calls."""

    def __init__(self, charger: Charger) -> None:
        self.charger = charger

    def is_ca_installed(self, kind: CaKind) -> bool:
        return self.charger.station.is_ca_installed(kind)

    def leaf(self, kind: LeafKind, *, include_ocsp: bool = False) -> LeafAnswer:
        return self.charger.station.leaf(kind, include_ocsp=include_ocsp)

    def verify_location(self, kind: CaKind) -> Path | None:
        return self.charger.station.verify_location(kind)


Case = Callable[[UnderTest], None]
CASES: dict[str, tuple[Case, Callable[[Path], Charger]]] = {}
BRANCH, OTHER, CONTRACT = Branch(), Branch("Gridsync"), Branch("MO", dc="MO")


def bundles(folder: Path) -> Layout:
    """One bundle for V2G, CSMS and MF, another for MO."""
    bundle = folder / "ca/v2g/V2G_CA_BUNDLE.pem"
    apart = {MO: folder / "ca/mo/MO_CA_BUNDLE.pem", CaKind.OEM: folder / "ca/oem/OEM_ROOT_CA.pem"}
    authorities = dict.fromkeys(CaKind, bundle) | apart
    return replace(Layout.everest(folder), authorities=authorities)


def folders(folder: Path) -> Layout:
    return Layout.everest(folder, folders=True)


def shared_bundle(folder: Path) -> Charger:
    """EVerest's fixture: bundles, and a leaf for cars with its chain and key."""
    charger = Charger(folder, bundles(folder))
    charger.trust(V2G, BRANCH.bundle)
    charger.trust(MO, CONTRACT.bundle)
    charger.own(*BRANCH.chain, name="SECC_LEAF")
    return charger


def in_folders(folder: Path) -> Charger:
    charger = Charger(folder, folders(folder))
    for kind in (V2G, CSMS, MF):
        for made in (BRANCH.sub2, BRANCH.sub1, BRANCH.root):
            (charger.places.authorities[kind] / f"{made.certificate.serial}.pem").write_text(pem(made))
    charger.own(*BRANCH.chain, name="SECC_LEAF")
    return charger


def one_leaf_folder(folder: Path) -> Charger:
    """The leaf for cars is the one for the CSMS as well."""
    charger = shared_bundle(folder)
    places = charger.places
    shared = dict.fromkeys(places.certificates, places.certificates[LeafKind.V2G])
    return Charger(folder, replace(places, certificates=shared, keys=shared))


def two_roots(folder: Path) -> Charger:
    charger = shared_bundle(folder)
    charger.trust(V2G, BRANCH.bundle + pem(OTHER.root))
    charger.own(leaf("GridsyncLeaf", OTHER.root), name="GRIDSYNC")
    return charger


def two_leaves(folder: Path) -> Charger:
    charger = shared_bundle(folder)
    charger.own(BRANCH.another("SecondLeaf"), BRANCH.sub2, BRANCH.sub1, name="SECC_LEAF_2")
    return charger


def crowded(folder: Path) -> Charger:
    charger = shared_bundle(folder)
    return Charger(folder, charger.layout, Rules(most_octets=8 << 10))


def case(name: str, begin: Callable[[Path], Charger] = shared_bundle) -> Callable[[Case], Case]:
    def enter(function: Case) -> Case:
        CASES[name] = function, begin
        return function

    return enter


def named(own: Made, issuer: Made, **rest: str) -> HashData:
    return hash_data(own.certificate, issuer.certificate, **rest)  # type: ignore[arg-type]


def key_waits(under: UnderTest, made: Made, kind: LeafKind = LeafKind.V2G) -> None:
    under.charger.own(made, name="WAITING", kind=kind)
    (under.charger.places.certificates[kind] / "WAITING.pem").unlink()


# Trust


@case("verify_directory_bundles, a bundle")
def _bundle(under: UnderTest) -> None:
    assert under.charger.station.verify(pem(*BRANCH.chain), [LeafKind.V2G]).status is VerifyStatus.VALID
    assert under.is_ca_installed(V2G)


@case("verify_directory_bundles, a folder", in_folders)
def _folder(under: UnderTest) -> None:
    assert under.charger.station.verify(pem(BRANCH.leaf), [LeafKind.V2G]).status is VerifyStatus.VALID
    assert under.is_ca_installed(V2G)


@case("verify_bundle_management", in_folders)
def _delete_from_folder(under: UnderTest) -> None:
    place = under.charger.places.authorities[V2G]
    deletion = under.charger.station.delete(named(BRANCH.sub2, BRANCH.sub1))
    assert (deletion.status, deletion.kinds) == (DeleteStatus.ACCEPTED, (V2G, CSMS, MF))
    left = {path.read_text() for path in place.glob("*.pem")}
    assert left == {pem(BRANCH.sub1), pem(BRANCH.root)}
    assert under.is_ca_installed(V2G)


@case("verify_certificate_counts")
def _counts(under: UnderTest) -> None:
    listings = (Listing.V2G_CHAIN, Listing.V2G_ROOT, Listing.CSMS_ROOT, Listing.MF_ROOT)
    assert [under.charger.station.count([each]) for each in listings] == [4, 3, 3, 3]


@case("retrieve_root_ca")
def _file(under: UnderTest) -> None:
    assert under.charger.station.verify_file(V2G) == under.charger.places.authorities[V2G]


@case("retrieve_root_location")
def _location(under: UnderTest) -> None:
    assert under.verify_location(MO) == under.charger.places.authorities[MO]
    assert under.verify_location(V2G) == under.charger.places.authorities[V2G]


@case("install_root_ca_01")
def _install(under: UnderTest) -> None:
    new = root("V2GRootCA", key="new root")  # of the same name as the one that is there
    assert under.charger.station.install_ca(pem(new), V2G).status is A
    assert pem(new) in under.charger.places.authorities[V2G].read_text()
    assert under.is_ca_installed(V2G)


@case("install_root_ca_02")
def _install_rubbish(under: UnderTest) -> None:
    before = under.charger.files()
    assert under.charger.station.install_ca("InvalidCertificate", V2G).status is InstallStatus.INVALID_FORMAT
    assert under.charger.files() == before


@case("install_root_ca_03")
def _two_more(under: UnderTest) -> None:
    station = under.charger.station
    before = len(station.installed([Listing.V2G_ROOT]))
    assert [station.install_ca(pem(root(f"More{n}")), V2G).status for n in range(2)] == [A, A]
    assert len(station.installed([Listing.V2G_ROOT])) == before + 2


@case("install_root_ca_04")
def _with_subs(under: UnderTest) -> None:
    station = under.charger.station
    for made in (OTHER.root, OTHER.sub1, OTHER.sub2):
        assert station.install_ca(pem(made), CSMS).status is A
    (entry,) = (each for each in station.installed([Listing.CSMS_ROOT]) if each.about == named(OTHER.root, OTHER.root))
    assert entry.children == (named(OTHER.sub1, OTHER.root), named(OTHER.sub2, OTHER.sub1))


@case("install_root_ca_05")
def _install_expired(under: UnderTest) -> None:
    expired = Branch("Old").root.certificate  # judged after its end
    under.charger.clock.now = expired.not_after + DAY
    assert under.charger.station.install_ca(expired.pem, CSMS).status is InstallStatus.EXPIRED
    assert not under.is_ca_installed(CSMS)


@case("delete_root_ca_01")
def _delete_root(under: UnderTest) -> None:
    station, bundle = under.charger.station, under.charger.places.authorities[V2G]
    assert station.delete(named(BRANCH.root, BRANCH.root)).status is DeleteStatus.ACCEPTED
    assert bundle.read_bytes() == b""
    assert station.installed([Listing.V2G_ROOT]) == []
    assert not under.is_ca_installed(V2G)
    assert under.verify_location(V2G) is None


@case("delete_root_ca_02")
def _delete_unknown(under: UnderTest) -> None:
    before = under.charger.files()
    unknown = HashData(HashAlgorithm.SHA256, "0" * 64, "1" * 64, "42")
    assert under.charger.station.delete(unknown).status is DeleteStatus.NOT_FOUND
    assert under.charger.files() == before
    assert under.is_ca_installed(V2G)


@case("delete_sub_ca_1")
def _delete_sub1(under: UnderTest) -> None:
    deletion = under.charger.station.delete(named(BRANCH.sub1, BRANCH.root))
    assert (deletion.status, deletion.kinds) == (DeleteStatus.ACCEPTED, (V2G, CSMS, MF))
    assert under.charger.places.authorities[V2G].read_text() == pem(BRANCH.root)
    assert under.is_ca_installed(V2G)


@case("delete_sub_ca_2")
def _delete_sub2(under: UnderTest) -> None:
    deletion = under.charger.station.delete(named(BRANCH.sub2, BRANCH.sub1))
    assert deletion.status is DeleteStatus.ACCEPTED
    assert under.charger.places.authorities[V2G].read_text() == pem(BRANCH.sub1, BRANCH.root)
    assert under.leaf(LeafKind.V2G).status is LeafStatus.ACCEPTED


@case("Multi.verify_with_multiple_leaf_types_accepts")
def _many_types(under: UnderTest) -> None:
    station = under.charger.station
    kinds = [LeafKind.V2G, LeafKind.MO]
    assert station.verify(pem(*BRANCH.chain), kinds).status is VerifyStatus.VALID
    assert station.verify(pem(*CONTRACT.chain), kinds).status is VerifyStatus.VALID


@case("Multi.verify_with_multiple_leaf_types_missing_anchor")
def _no_anchor(under: UnderTest) -> None:
    verification = under.charger.station.verify(pem(*OTHER.chain), [LeafKind.V2G, LeafKind.MO])
    assert verification.status is VerifyStatus.ISSUER_NOT_FOUND


@case("Multi.verify_with_multiple_leaf_types_invalid_cert")
def _no_certificate(under: UnderTest) -> None:
    verification = under.charger.station.verify("InvalidCertificate", [LeafKind.V2G, LeafKind.MO])
    assert verification.status is VerifyStatus.UNKNOWN


# The station's own certificates


@case("Multi.verify_multi_root_leaf_retrieval", two_roots)
def _all_of_roots(under: UnderTest) -> None:
    infos = under.charger.station.all_leaves(LeafKind.V2G).infos
    assert {each.root for each in infos} == {BRANCH.root.certificate, OTHER.root.certificate}
    assert under.leaf(LeafKind.V2G).status is LeafStatus.ACCEPTED


@case("MultiLeaf.verify_multi_leaf_retrieval", two_leaves)
def _two_chains(under: UnderTest) -> None:
    chains = under.charger.station.installed([Listing.V2G_CHAIN])
    above = (named(BRANCH.sub2, BRANCH.sub1), named(BRANCH.sub1, BRANCH.root))
    assert [each.children for each in chains] == [above, above]
    assert len({each.about for each in chains}) == 2


@case("verify_chargepoint_cert_01")
def _csms_leaf(under: UnderTest) -> None:
    own = leaf("CS001", BRANCH.sub2, dc="")
    key_waits(under, own, LeafKind.CSMS)
    assert under.charger.station.update_leaf(pem(own, BRANCH.sub2, BRANCH.sub1), LeafKind.CSMS).status is A
    info = under.leaf(LeafKind.CSMS).info
    assert info is not None
    assert info.certificate_count == 3


@case("verify_chargepoint_cert_02")
def _csms_rubbish(under: UnderTest) -> None:
    status = under.charger.station.update_leaf("InvalidCertificate", LeafKind.CSMS).status
    assert status is InstallStatus.INVALID_FORMAT
    assert under.leaf(LeafKind.CSMS).status is LeafStatus.NOT_FOUND


@case("verify_v2g_cert_01")
def _v2g_leaf(under: UnderTest) -> None:
    own = BRANCH.another("Newer", begin=NOW - DAY)
    key_waits(under, own)
    assert under.charger.station.update_leaf(pem(own, BRANCH.sub2, BRANCH.sub1), LeafKind.V2G).status is A
    info = under.leaf(LeafKind.V2G).info
    assert info is not None
    assert info.chain is not None
    assert info.chain.read_text() == pem(own, BRANCH.sub2, BRANCH.sub1)


@case("verify_v2g_cert_02")
def _v2g_self_signed(under: UnderTest) -> None:
    own = root("SelfSigned", ca=False)
    key_waits(under, own)
    assert under.charger.station.update_leaf(pem(own), LeafKind.V2G).status is not A


@case("CSMS.delete_csms_provided_certs", two_leaves)
def _delete_one(under: UnderTest) -> None:
    station = under.charger.station
    second = BRANCH.another("SecondLeaf")
    for own in (BRANCH.leaf, second):
        station.stapling.keep(named(own, BRANCH.sub2), stapled(own, BRANCH.sub2))
    before = under.charger.files()
    assert station.delete(named(second, BRANCH.sub2)).status is DeleteStatus.ACCEPTED
    gone = before.keys() - under.charger.files().keys()
    cso = {"client/cso/SECC_LEAF_2.pem", "client/cso/SECC_LEAF_2.key", "client/cso/CPO_CERT_SECC_LEAF_2_CHAIN.pem"}
    assert cso < gone
    assert {Path(each).suffix for each in gone - cso} == {".der", ".hash"}
    assert len(gone) == 5
    info = under.leaf(LeafKind.V2G, include_ocsp=True).info
    assert info is not None
    assert info.leaf.certificate == BRANCH.leaf.certificate
    assert info.ocsp[0].answer is not None


@case("get_installed_certificates_chain_order")
def _order(under: UnderTest) -> None:
    (chain,) = under.charger.station.installed([Listing.V2G_CHAIN])
    assert chain.about == named(BRANCH.leaf, BRANCH.sub2)
    assert chain.children == (named(BRANCH.sub2, BRANCH.sub1), named(BRANCH.sub1, BRANCH.root))


@case("get_installed_certificates_and_delete_secc_leaf", one_leaf_folder)
def _shared_leaf(under: UnderTest) -> None:
    station = under.charger.station
    listings = [each for each in Listing if each is not Listing.OEM_ROOT]
    assert [each.listing for each in station.installed([*Listing])] == listings
    deletion = station.delete(named(BRANCH.leaf, BRANCH.sub2))
    assert deletion.status is DeleteStatus.FAILED
    assert "M04.FR.06" in deletion.reason
    assert under.leaf(LeafKind.V2G).status is LeafStatus.ACCEPTED


@case("leaf_cert_starts_in_future_accepted")
def _future(under: UnderTest) -> None:
    own = BRANCH.another("Future", begin=NOW + 10 * DAY, end=NOW + 200 * DAY)
    key_waits(under, own)
    assert under.charger.station.update_leaf(pem(own, BRANCH.sub2, BRANCH.sub1), LeafKind.V2G).status is A
    info = under.leaf(LeafKind.V2G).info
    assert info is not None
    assert info.leaf.certificate == BRANCH.leaf.certificate
    under.charger.clock.now += 11 * DAY
    later = under.leaf(LeafKind.V2G).info
    assert later is not None
    assert later.leaf.certificate == own.certificate


@case("expired_leaf_cert_rejected")
def _expired(under: UnderTest) -> None:
    own = BRANCH.another("Expired", begin=NOW - 30 * DAY, end=NOW - DAY)
    key_waits(under, own)
    status = under.charger.station.update_leaf(pem(own, BRANCH.sub2, BRANCH.sub1), LeafKind.V2G).status
    assert status is InstallStatus.EXPIRED


# Limits, garbage, OCSP


@case("verify_full_filesystem", crowded)
def _full(under: UnderTest) -> None:
    station = under.charger.station
    statuses = [station.install_ca(pem(root(f"Filler{number}")), V2G).status for number in range(12)]
    assert statuses[0] is A
    assert statuses[-1] is InstallStatus.FULL
    assert under.is_ca_installed(V2G)


@case("verify_full_filesystem_install_reject", crowded)
def _full_leaf(under: UnderTest) -> None:
    station = under.charger.station
    own = BRANCH.another("TooMuch")
    key_waits(under, own)
    under.charger.trust(MF, BRANCH.bundle + "".join(pem(root(f"Filler{number}")) for number in range(9)))
    installation = station.update_leaf(pem(own, BRANCH.sub2, BRANCH.sub1), LeafKind.V2G)
    assert installation.status is InstallStatus.FULL
    assert "delete" in installation.reason


@case("MultiLeaf.verify_ocsp_request_multi_valid", two_leaves)
def _ocsp_of_two(under: UnderTest) -> None:
    wanted = under.charger.station.stapling.requests()
    assert len(wanted) == 4
    assert {each.about for each in wanted} == {
        named(BRANCH.leaf, BRANCH.sub2),
        named(BRANCH.another("SecondLeaf"), BRANCH.sub2),
        named(BRANCH.sub2, BRANCH.sub1),
        named(BRANCH.sub1, BRANCH.root),
    }


@case("verify_ocsp_request_mo_generate")
def _ocsp_of_contracts(under: UnderTest) -> None:
    stapling = under.charger.station.stapling
    assert len(stapling.contract_requests(pem(*BRANCH.chain))) == 3
    below = sub("MOSub", CONTRACT.root, 0)
    contract = leaf("DE-ABC-C123456789", below, dc="MO")
    assert len(stapling.contract_requests(pem(contract, below))) == 2
    below = sub("MOSubOfV2G", BRANCH.root, 0)
    contract = leaf("DE-ABC-C987654321", below, dc="MO")
    assert [each.about for each in stapling.contract_requests(pem(contract, below))] == [
        named(contract, below),
        named(below, BRANCH.root),
    ]


@case("verify_ocsp_cache")
def _ocsp_cache(under: UnderTest) -> None:
    station = under.charger.station
    pairs = [(BRANCH.leaf, BRANCH.sub2), (BRANCH.sub2, BRANCH.sub1), (BRANCH.sub1, BRANCH.root)]
    assert [each.about for each in station.stapling.requests()] == [named(*pair) for pair in pairs]
    folder = under.charger.places.certificates[LeafKind.V2G] / "ocsp"
    for until in (NOW + DAY, NOW + 2 * DAY):
        newest = [stapled(own, issuer, until=until) for own, issuer in pairs]
        for pair, answer in zip(pairs, newest, strict=True):
            station.stapling.keep(named(*pair), answer)
        assert sorted(path.suffix for path in folder.iterdir()) == [".der"] * 3 + [".hash"] * 3
    info = under.leaf(LeafKind.V2G, include_ocsp=True).info
    assert info is not None
    assert [each.about for each in info.ocsp] == [named(*pair) for pair in pairs]
    assert [each.answer.read_bytes() for each in info.ocsp if each.answer] == newest


@case("verify_ocsp_garbage_collect")
def _ocsp_garbage(under: UnderTest) -> None:
    station = under.charger.station
    station.stapling.keep(named(BRANCH.leaf, BRANCH.sub2), stapled(BRANCH.leaf, BRANCH.sub2))
    folder = under.charger.places.certificates[LeafKind.V2G] / "ocsp"
    (folder / "orphan_ocsp.der").write_bytes(stapled(BRANCH.leaf, BRANCH.sub2))
    (folder / "orphan_ocsp.hash").write_text(f"SHA256\n{'0' * 64}\n{'1' * 64}\n42\n")
    assert len(station.upkeep.collect(under.charger.clock()).answers) == 1
    assert len([*folder.iterdir()]) == 2
    info = under.leaf(LeafKind.V2G, include_ocsp=True).info
    assert info is not None
    assert info.ocsp[0].answer is not None


@case("Expired.verify_expired_leaf_deletion")
def _expired_leaves(under: UnderTest) -> None:
    charger = under.charger
    old = [BRANCH.another(f"Old{n}", begin=NOW - 60 * DAY, end=NOW - n * timedelta(hours=1)) for n in range(1, 32)]
    for number, own in enumerate(old):
        charger.own(own, BRANCH.sub2, BRANCH.sub1, name=f"OLD{number}")
    charger.station.upkeep.collect(charger.clock())
    newest = {BRANCH.leaf.certificate, *(each.certificate for each in old[:9])}
    assert {*charger.certificates()} == newest
    assert len([*charger.places.keys[LeafKind.V2G].glob("*.key")]) == 10
    assert under.leaf(LeafKind.V2G).status is LeafStatus.ACCEPTED


@case("verify_expired_csr_deletion")
def _forgotten_keys(under: UnderTest) -> None:
    charger = under.charger
    order = KeyOrder(LeafKind.V2G, "DE", "Test", "DE*ABC*E001")
    requested = charger.station.requests.make(order)
    assert requested.status is RequestStatus.ACCEPTED
    assert requested.key is not None
    charger.elapsed += 59 * 60
    assert charger.station.upkeep.collect(charger.clock()).keys == ()
    again = charger.restart()  # and the key's hour begins anew
    assert again.station.upkeep.collect(again.clock()).keys == ()
    again.elapsed += 59 * 60
    assert again.station.upkeep.collect(again.clock()).keys == ()
    again.elapsed += 2 * 60
    assert again.station.upkeep.collect(again.clock()).keys == (requested.key,)
    assert not requested.key.path.exists()
    assert under.leaf(LeafKind.V2G).status is LeafStatus.ACCEPTED
