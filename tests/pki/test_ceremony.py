"""Making roots and sub-CAs, importing them, and keeping what serves them alive."""

from __future__ import annotations

from pathlib import Path

import pytest

from voltroot.errors import Failure, Refused
from voltroot.keys.software import SoftwareKeyring
from voltroot.pki import suites
from voltroot.pki.ceremony import slots
from voltroot.pki.chains import Verdict, judge
from voltroot.pki.issuers import CA
from voltroot.pki.ports import Reason
from voltroot.pki.profiles import issuer_suite, profiles, slug
from world import World


def test_the_ceremony_makes_every_ca_of_every_edition(world: World) -> None:
    made = {credential.label for credential in world.issuers.standing().credentials if credential.use == CA}
    assert made == {slot.label for slot in slots(world.profiles)}
    assert {"v2g-root-2", "cpo-sub2-20-ed448", "vehicle-sub2-20", "csms-sub-rsa", "mf-root"} <= made


def test_every_ca_has_an_ocsp_signer_that_it_issued_itself(world: World) -> None:
    standing = world.issuers.standing()
    for issuer in standing.cas.values():
        signer = standing.newest[f"ocsp-{issuer.slug}"].entry.read()
        assert signer.signed_by(issuer.certificate.public_key)


def test_every_ca_verifies_up_to_its_root(world: World) -> None:
    standing = world.issuers.standing()
    for number in standing.cas:
        assert judge(standing.chain(number), standing.roots, world.clock()).verdict is Verdict.OK


def test_no_two_cas_share_a_name(world: World) -> None:
    names = [issuer.certificate.subject.key() for issuer in world.issuers.standing().cas.values()]
    assert len(set(names)) == len(names)


def test_a_second_ceremony_makes_nothing(world: World) -> None:
    before = world.issuers.standing().credentials
    world.ceremony.perform()
    assert world.issuers.standing().credentials == before


def test_an_interrupted_ceremony_goes_on_where_it_stopped(tmp_path: Path) -> None:
    world = World.bare(tmp_path)
    made: list[str] = []

    def stop(label: str) -> None:
        made.append(label)
        if len(made) == 5:
            raise KeyboardInterrupt

    world.ceremony._progress = stop
    with pytest.raises(KeyboardInterrupt):
        world.ceremony.perform()
    world.ceremony._progress = lambda label: None
    world.ceremony.perform()
    labels = [credential.label for credential in world.issuers.standing().credentials]
    assert len(labels) == len(set(labels)) == 97


def test_signers_and_cps_leaves_renew_themselves_well_before_they_expire(world: World) -> None:
    world.clock.turn(days=59)
    assert world.ceremony.renew() == []
    world.clock.turn(days=2)
    made = {credential.label for credential in world.ceremony.renew()}
    assert {"cps-2", "cps-20", "cps-20-ed448", "ocsp-v2g-root-2", "ocsp-cpo-sub2-2"} <= made
    assert len(made) == 50
    assert world.ceremony.renew() == []


def test_the_tls_certificate_follows_its_hosts_and_its_age(world: World) -> None:
    first = world.ceremony.tls_server(["localhost", "127.0.0.1"])
    assert first.entry.read().alternative_names == ("localhost", "127.0.0.1")
    assert world.ceremony.tls_server(["localhost", "127.0.0.1"]) == first
    assert world.ceremony.tls_server(["pki.example"]) != first


def test_backends_on_one_ledger_have_tls_certificates_with_keys_and_names_of_their_own(
    world: World, tmp_path: Path
) -> None:
    here, there = (SoftwareKeyring(tmp_path / name) for name in ("here", "there"))
    asked = [(["pki.example"], here), (["pki.example"], there), (["other.example"], there)]
    made = [world.ceremony.tls_server(*each) for each in asked]
    assert len({each.entry.number for each in made}) == len(asked)
    assert [world.ceremony.tls_server(*each) for each in asked] == made
    world.clock.turn(days=61)
    assert not {each.entry.number for each in made} & {world.ceremony.tls_server(*each).entry.number for each in asked}


def fresh(tmp_path: Path) -> World:
    world = World.bare(tmp_path)
    world.ceremony.perform()
    return world


def test_an_imported_sub_ca_issues_in_its_place(world: World, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = fresh(tmp_path / "other")
    issuer = other.issuers.standing().current("cpo-sub2-2")
    chain = other.issuers.standing().chain(issuer.number)
    before = world.issue("SECC_2", "secc001")
    world.keyring.put("imported", other.keyring.signer("cpo-sub2-2"))
    credential = world.ceremony.take_in("cpo-sub2-2", chain, "imported")
    world.ceremony.renew()
    assert credential.slug == "cpo-sub2-2-g2"
    entry = world.issue("SECC_2", "secc002")
    assert [certificate.der for certificate in world.chain(entry)[1:]] == [each.der for each in chain]
    assert "/crl/cpo-sub2-2-g2/" in entry.read().crl_addresses[0]
    roots = world.issuers.standing().roots
    assert judge(world.chain(entry), roots, world.clock()).verdict is Verdict.OK
    assert judge(world.chain(before), roots, world.clock()).verdict is Verdict.OK
    assert world.issuers.standing().newest["ocsp-cpo-sub2-2-g2"].entry.issuer == credential.entry.number


def test_a_ceremony_after_an_imported_root_makes_the_rest_below_it(tmp_path: Path) -> None:
    for name in ("other", "new"):
        (tmp_path / name).mkdir()
    other, world = fresh(tmp_path / "other"), World.bare(tmp_path / "new")
    root = other.issuers.standing().current("v2g-root-2")
    world.keyring.put("root", other.keyring.signer("v2g-root-2"))
    world.ceremony.take_in("v2g-root-2", [root.certificate], "root")
    world.ceremony.perform()
    entry = world.issue("SECC_2", "secc001")
    assert world.chain(entry)[-1].der == root.certificate.der


def test_an_import_that_could_not_work_is_refused(world: World, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = fresh(tmp_path / "other")
    standing = other.issuers.standing()
    chain = standing.chain(standing.current("cpo-sub2-2").number)
    world.keyring.put("right", other.keyring.signer("cpo-sub2-2"))
    world.keyring.put("wrong", suites.generate(suites.P256_SHA256))
    leaf = other.issue("SECC_2", "secc001").read()
    cases = [
        ("nowhere", chain, "right", "no place"),
        ("cpo-sub2-20", chain, "right", "P-521"),
        ("cpo-sub2-2", chain, "wrong", "not the key"),
        ("cpo-sub2-2", chain[:1], "right", "root"),
        ("cpo-sub2-2", [chain[0], chain[2]], "right", "does not hold"),
        ("cpo-sub2-2", [leaf, *chain], None, "CA"),
        ("cpo-sub2-2", [], None, "no certificate"),
    ]
    for label, certificates, key, said in cases:
        with pytest.raises(Refused, match=said):
            world.ceremony.take_in(label, certificates, key)
    world.clock.turn(days=1000)
    with pytest.raises(Refused, match="expired"):
        world.ceremony.take_in("cpo-sub2-2", chain, "right")


def test_an_expired_ca_issues_nothing(world: World) -> None:
    world.clock.turn(days=731)
    with pytest.raises(Failure, match="expired"):
        world.issue("SECC_2", "secc001")


def test_a_leaf_never_outlives_its_issuer(world: World) -> None:
    world.clock.turn(days=700)
    entry = world.issue("SECC_2", "secc001")
    assert entry.not_after == world.chain(entry)[1].not_after


@pytest.mark.parametrize("name", [row.name for row in profiles().values() if row.issuer in profiles()])
def test_every_profile_has_an_issuer_for_each_of_its_suites(world: World, name: str) -> None:
    profile = world.profiles[name]
    for suite in profile.suites:
        above = world.profiles[str(profile.issuer)]
        issuer = world.issuers.standing().for_profile(profile, suite)
        assert issuer.slug == slug(above, issuer_suite(above, suite))


def test_a_revoked_ocsp_signer_is_replaced_at_the_next_look(world: World) -> None:
    old = world.issuers.standing().newest["ocsp-cpo-sub2-2"]
    world.authority.revoke([old.entry], Reason.KEY_COMPROMISE, door="test")
    assert [credential.label for credential in world.ceremony.renew()] == ["ocsp-cpo-sub2-2"]
