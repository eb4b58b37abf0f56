"""The lab: who may get things wrong on purpose, exactly what is waived for that, and what the record says of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import select

from contracting import CONTRACT, INSTALLATION, opened, text
from voltroot.actors.lab import Lab
from voltroot.contract import faults
from voltroot.contract.faults import FAULTS, Conduct
from voltroot.errors import Forbidden, PolicyViolation, Refused
from voltroot.pki import lints
from voltroot.pki.addresses import Addresses
from voltroot.pki.authority import Authority
from voltroot.pki.ceremony import CaNames
from voltroot.pki.deviations import Deviation
from voltroot.pki.drafts import Drafter
from voltroot.pki.lints import Level
from voltroot.store.tables import audit
from world import BASE, World


@pytest.fixture
def authority(world: World) -> Authority:
    drafter = Drafter(Addresses(BASE), timedelta(minutes=5))
    return Authority(world.ledger, world.keyring, world.issuers, drafter, world.clock, lab=True)


@pytest.fixture
def lab(authority: Authority, world: World) -> Lab:
    return Lab(authority, world.keyring, CaNames())


def test_without_a_lab_nothing_is_got_wrong(world: World, lab: Lab) -> None:
    without = Lab(world.authority, world.keyring, CaNames())
    assert without.fault(None, *faults.Level) is faults.NONE
    with pytest.raises(Forbidden, match="lab = false"):
        without.fault("expired", *faults.Level)
    order = lab.order(world.order("CONTRACT_2", "emaid001"), faults.read("expired"))
    with pytest.raises(Forbidden, match="lab = false"):
        world.authority.issue(order)


def test_with_a_ca_from_elsewhere_there_is_no_lab(world: World, authority: Authority, lab: Lab, tmp_path: Path) -> None:
    order = lab.order(world.order("CONTRACT_2", "emaid001"), faults.read("expired"))
    other = World.made(tmp_path / "other", edition_2022=True)
    chain = other.issuers.standing().chain(other.issuers.standing().current("mo-sub2-2").number)
    world.ceremony.take_in("mo-sub2-2", chain, None)
    for attempt in (partial(authority.issue, order), partial(lab.fault, "digest", *faults.Level)):
        with pytest.raises(Forbidden, match="a CA from elsewhere"):
            attempt()


def test_a_backend_says_so_in_its_configuration(world: World) -> None:
    body = {"seccId": "secc001", "fault": "expired"}
    with opened(world, lab=False) as office:
        assert "lab = false" in office.refusal("POST", "/api/v2/cpo/seccCert", body)
    with opened(world) as office:
        assert office.data("POST", "/api/v2/cpo/seccCert", body)["status"] == "EXPIRED"


@pytest.mark.parametrize("name", [each.name for each in FAULTS.values() if each.deviation])
@pytest.mark.parametrize("profile", ["CONTRACT_2", "OEM_PROV_20"])
def test_what_a_faulty_certificate_breaks_is_what_was_waived(
    name: str, profile: str, world: World, authority: Authority, lab: Lab
) -> None:
    deviation = FAULTS[name].deviation
    assert deviation is not None
    entry = authority.issue(lab.order(world.order(profile, "any"), FAULTS[name]))
    issuer = world.issuers.standing().cas[entry.issuer or 0].certificate
    found = lints.lint(entry.read(), world.profiles[profile], issuer)
    assert {each.lint for each in found if each.level is Level.ERROR} == deviation.waives


def test_a_deviation_that_waives_nothing_is_held_to_every_rule(world: World, authority: Authority) -> None:
    order = world.order("CONTRACT_2", "emaid001")
    for deviation in (
        Deviation("large", padding=1600),
        Deviation("long", lasts=timedelta(days=10_000)),
        Deviation("early", begins=timedelta(days=-2), lasts=timedelta(days=1)),
    ):
        with pytest.raises(PolicyViolation):
            authority.issue(replace(order, deviation=deviation))


def test_a_forged_certificate_takes_no_ca_key(world: World, authority: Authority) -> None:
    entry = authority.issue(
        replace(world.order("CONTRACT_2", "emaid001"), deviation=Deviation("wrong_issuer", forged=True))
    )
    issuer = world.issuers.standing().cas[entry.issuer or 0]
    assert not entry.read().signed_by(issuer.certificate.public_key)
    assert entry.read().issuer == issuer.certificate.subject


def test_the_audit_log_says_of_each_faulty_certificate_what_is_wrong_with_it(
    world: World, authority: Authority
) -> None:
    lab = Lab(authority, world.keyring, CaNames())
    entry = authority.issue(lab.order(world.order("CONTRACT_2", "emaid001"), FAULTS["too_many_sub_cas"]))
    good = authority.issue(world.order("CONTRACT_2", "emaid002"))
    with world.engine.connect() as connection:
        rows = connection.execute(select(audit.c.certificate, audit.c.event, audit.c.door, audit.c.detail)).all()
    told = {(row.certificate, row.event): json.loads(row.detail) for row in rows}
    for event in ("certificate.reserved", "certificate.issued"):
        assert told[entry.number, event] == {"fault": "too_many_sub_cas"}
        assert told[good.number, event] == {}
    above = [number for (number, event), detail in told.items() if event == "certificate.issued" and detail]
    assert len(above) == 5  # the leaf and the lab's four CAs


def test_the_labs_cas_are_made_once(world: World, authority: Authority, lab: Lab) -> None:
    before = len(world.issuers.standing().cas)
    for number in range(3):
        authority.issue(lab.order(world.order("CONTRACT_2", f"emaid{number}"), FAULTS["too_long_path"]))
    world.issuers.reload()
    assert len(world.issuers.standing().cas) == before + 1


def test_what_a_lab_made_is_handed_out_no_more_where_there_is_none(world: World) -> None:
    with opened(world) as office:
        car = office.car()
        body = {"dhCert": text(car.certificate.der), "emaid": "emaid001", "fault": "bad_cps_signature"}
        office.data("POST", CONTRACT, body)
        request = car.request(office.roots())
        assert office.ask(INSTALLATION, request).code == "OK"
    with opened(world, lab=False) as office:
        assert "lab = false" in office.refusal("POST", INSTALLATION, {"v2gMessage": text(request)})


def test_the_guide_has_the_table_as_it_is() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "lab.md").read_text()
    rows = [line for line in guide.splitlines() if line.startswith("| `")]
    assert len(rows) == len(FAULTS)
    for line, fault in zip(rows, FAULTS.values(), strict=True):
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        assert cells[0].startswith(f"`{fault.name}`")
        assert (cells[1], cells[3], cells[4]) == (fault.level, fault.clause, fault.car)
        assert cells[2].startswith(fault.title)
        assert cells[5].startswith(": ".join(fault.found))


def test_the_table_says_of_each_row_what_a_guide_needs() -> None:
    for name, row in FAULTS.items():
        assert name == row.name
        assert row.title
        assert row.clause
        assert row.car in Conduct
        assert all(row.found)
        assert str(faults.read(name)).startswith(name)
    with pytest.raises(Refused, match="expired, not_yet_valid"):
        faults.read("nonsense")
