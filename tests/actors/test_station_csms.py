"""What a station decides about its CSMS without a connection: variables, networks, patience, contracts."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging import Branch, Charger, pem
from everest_cases import Direct, key_waits
from pathing import DAY, NOW, Made, make
from voltroot.actors.station.choosing import Wish
from voltroot.actors.station.contracts import Contracts, Decision, Question
from voltroot.actors.station.networks import Attempts, Networks
from voltroot.actors.station.outcomes import InstallStatus
from voltroot.actors.station.ports import CaKind, LeafKind
from voltroot.actors.station.presenting import Presenting
from voltroot.actors.station.signings import Names, Order, Signings, renewal
from voltroot.actors.station.state import Network, Record, State
from voltroot.actors.station.succession import Succession
from voltroot.actors.station.variables import TABLE, Access, Place, Status, Variables, check_given
from voltroot.actors.station.vehicles import Query, Source, Told, Vehicles, Verdict
from voltroot.actors.station.vehicles import Status as Known
from voltroot.apis.ocpp.station.link import Turn
from voltroot.errors import Refused
from voltroot.pki.certificates import Certificate
from voltroot.pki.fingerprints import HashData, hash_data
from voltroot.pki.requests import read_named_request
from voltroot.store.certdir import keyfiles
from voltroot.store.stationstate import StateFile
from world import World

CSMS = Branch("CSMS", dc="")
MO = Branch("MO", dc="MO")
PROFILE_2 = Network("wss://csms.example.com/ocpp", 2)


class Book:
    """A state in memory, with what was kept."""

    def __init__(self) -> None:
        self.kept: list[State] = []

    def read(self) -> State:
        return State()

    def keep(self, state: State) -> None:
        self.kept.append(state)


@pytest.fixture
def charger(tmp_path: Path) -> Charger:
    charger = Charger(tmp_path)
    charger.trust(CaKind.CSMS, CSMS.bundle)
    charger.trust(CaKind.V2G, Branch().bundle)
    charger.trust(CaKind.MO, MO.bundle)
    return charger


@pytest.fixture
def record() -> Record:
    return Record(Book())


def variables(record: Record, **more: str) -> Variables:
    named = {name.replace("__", "."): each for name, each in more.items()}
    owner = {f"{component}.OrganizationName": "Test" for component in ("SecurityCtrlr", "ISO15118Ctrlr")}
    return Variables(record, 2, owner | named, {}, {})


def networks(record: Record, charger: Charger, *, downgrade: bool = False) -> Networks:
    made = Networks(record, charger.station, downgrade=downgrade)
    made.take(PROFILE_2, "a password of some length")
    return made


# Variables


def test_every_default_is_a_value_that_could_be_set() -> None:
    for row in TABLE:
        if row.default is not None:
            name = str(Place(row.component, row.name, row.instance, 1 if row.each else None))
            assert check_given(name, row.default) is None, name


@given(st.sampled_from([row for row in TABLE if row.access is Access.BOTH]), st.text(max_size=70))
def test_what_is_set_can_be_read_again_and_what_is_refused_changes_nothing(row: object, text: str) -> None:
    record = Record(Book())
    own, place = variables(record), Place(row.component, row.name, row.instance, 2 if row.each else None)  # type: ignore[attr-defined]
    before = own.read(place).text
    answer = own.set(place, text)
    assert answer.status in (Status.ACCEPTED, Status.REJECTED)
    assert own.read(place).text == (text if answer.status is Status.ACCEPTED else before)


def test_the_state_comes_back_from_its_file_as_it_was(tmp_path: Path, charger: Charger) -> None:
    book = StateFile(tmp_path / "state/ocpp.json")
    record = Record(book)
    networks(record, charger)
    variables(record).set(Place("ISO15118Ctrlr", "PnCEnabled"), "false")
    signings(charger, record).begin(Order(LeafKind.V2G, "SECC1"))
    assert Record(book).state == record.state
    assert Record(book).state.networks == {1: PROFILE_2}


# Networks


def test_what_the_file_says_counts_when_it_says_something_new(record: Record, charger: Charger) -> None:
    own = networks(record, charger)
    record.change(password="another one from the CSMS")
    own.take(PROFILE_2, "a password of some length")
    assert record.state.password == "another one from the CSMS"
    elsewhere = replace(PROFILE_2, url="wss://other.example.com")
    own.take(elsewhere, "a third password for it")
    assert (own.active, record.state.password) == (elsewhere, "a third password for it")


@pytest.mark.parametrize(
    ("network", "downgrade", "why"),
    [
        (Network("wss://a.example", 3), False, "ChargingStationCertificate"),
        (Network("ws://a.example", 1), True, "lower than 2"),
        (Network("wss://a.example", 0), False, "choose 1, 2 or 3"),
        (Network("http://a.example", 2), False, "begins with wss://"),
        (Network("wss://", 2), False, "begins with wss://"),
    ],
)
def test_a_network_is_not_taken_where_it_could_not_be_used(
    record: Record, charger: Charger, network: Network, downgrade: bool, why: str
) -> None:
    assert why in (networks(record, charger, downgrade=downgrade).put(2, network) or "")
    assert "in use" in (networks(record, charger).put(1, PROFILE_2) or "")
    assert "slots 1 to 8" in (networks(record, charger).put(9, PROFILE_2) or "")


def test_A05_from_profile_3_down_to_2_only_where_the_file_allows_it(record: Record, charger: Charger) -> None:
    charger.own(CSMS.leaf, CSMS.sub2, CSMS.sub1, kind=LeafKind.CSMS)
    own = networks(record, charger, downgrade=True)
    assert own.put(2, Network("wss://a.example", 3)) is None
    own.used(2)
    assert sorted(record.state.networks) == [1, 2]
    assert own.put(3, PROFILE_2) is None
    assert "lower" in (own.put(3, Network("ws://a.example", 1)) or "")
    strict = Networks(record, charger.station)
    strict.used(2)
    assert strict.order == [2]


def test_the_wait_doubles_up_to_a_limit_and_the_next_network_gets_its_turn(record: Record, charger: Charger) -> None:
    own = networks(record, charger)
    own.put(2, replace(PROFILE_2, url="wss://second.example.com"))
    record.change(values={"OCPPCommCtrlr.NetworkConfigurationPriority": "1,2"})
    given_values = {"OCPPCommCtrlr__RetryBackOffWaitMinimum": "10", "OCPPCommCtrlr__RetryBackOffRandomRange": "0"}
    given_values["OCPPCommCtrlr__RetryBackOffRepeatTimes"] = "2"
    attempts = Attempts(own, variables(record, **given_values), random.Random(1))
    tried = [(attempts.slot, attempts.failed()) for _ in range(7)]
    assert [wait for _, wait in tried] == [10, 20, 40, 40, 40, 40, 40]
    assert [slot for slot, _ in tried] == [1, 1, 1, 2, 2, 2, 1]
    attempts.restart()
    assert (attempts.slot, attempts.failed()) == (1, 10)


def test_work_whose_caller_has_gone_is_done_and_still_has_its_turn_to_itself() -> None:
    """A connection that is lost leaves what it began to its thread: the state is for one at a time."""
    done: list[str] = []

    async def main() -> None:
        turn, begun, may_end = Turn(), threading.Event(), threading.Event()

        def slow() -> None:
            begun.set()
            may_end.wait(10)
            done.append("slow")

        lost = [asyncio.ensure_future(turn.take(*work)) for work in ((slow,), (done.append, "given"))]
        await asyncio.to_thread(begun.wait)
        for each in lost:
            each.cancel()
        await asyncio.gather(*lost, return_exceptions=True)
        last = asyncio.ensure_future(turn.take(done.append, "last"))
        await asyncio.wait([last], timeout=0.2)
        may_end.set()
        await last

    asyncio.run(main())
    assert done == ["slow", "given", "last"]


# Certificates


def signings(charger: Charger, record: Record, **more: object) -> Signings:
    return Signings(charger.station, record, variables(record), Names("SN1", "DE", 2), **more)  # type: ignore[arg-type]


def test_the_newest_certificate_is_shown_and_after_a_refusal_the_one_before(charger: Charger) -> None:
    old, new = (CSMS.another(f"SN{days}", begin=NOW - days * DAY) for days in (9, 1))
    for made, name in ((old, "OLD"), (new, "NEW")):
        charger.own(made, CSMS.sub2, CSMS.sub1, kind=LeafKind.CSMS, name=name)
    presenting = Presenting(charger.station)
    first = presenting.leaf()
    assert first is not None
    assert first.certificate == new.certificate
    assert presenting.refused(first)
    second = presenting.leaf()
    assert second is not None
    assert second.certificate == old.certificate
    assert not presenting.refused(second)
    # All were refused: it begins again.
    assert presenting.leaf() == first
    presenting.refused(first)
    assert presenting.worked(second) == new.certificate
    assert [each.leaf.certificate for each in charger.station.candidates(Wish(LeafKind.CSMS))] == [old.certificate]


def test_a_certificate_whose_key_does_no_TLS_in_its_device_is_shown_last(charger: Charger) -> None:
    old, new = CSMS.another("SN9", begin=NOW - 9 * DAY), CSMS.another("SN1", kind="RSA", begin=NOW - DAY)
    charger.own(old, CSMS.sub2, CSMS.sub1, kind=LeafKind.CSMS, name="OLD")
    charger.own(new, CSMS.sub2, CSMS.sub1, kind=LeafKind.CSMS, name="NEW")
    presenting = Presenting(charger.station)
    assert (shown := presenting.leaf()) is not None
    assert shown.certificate == new.certificate
    (charger.places.keys[LeafKind.CSMS] / "NEW.key").unlink()
    charger.store.refer_to_key(LeafKind.CSMS, "in-device", keyfiles.spki_of(new.key.public_key()))
    assert (shown := presenting.leaf()) is not None
    assert shown.certificate == old.certificate


def test_a_certificate_that_is_there_in_DER_only_is_shown_from_a_file_in_PEM(charger: Charger) -> None:
    own = CSMS.another("SN1")
    single, *_ = charger.own(own, kind=LeafKind.CSMS)
    single.write_bytes(own.certificate.der)
    shown = Presenting(charger.station).leaf()
    assert shown is not None
    assert shown.single_file is not None
    assert shown.single_file.read_text() == pem(own)


@pytest.mark.parametrize(("days", "left"), [(365, 30), (89, 89 / 3), (3, 1)])
def test_A03_FR_02_a_month_before_the_end_or_in_the_last_third(days: int, left: float) -> None:
    leaf = Branch().another("Short", begin=NOW, end=NOW + days * DAY).certificate
    assert abs(leaf.not_after - renewal(leaf) - timedelta(days=left)) < timedelta(seconds=1)


def test_each_name_is_renewed_once_and_not_while_a_request_waits(charger: Charger, record: Record) -> None:
    for name, end in (("SECC1", 5), ("SECC2", 80), ("SECC3", -1)):
        branch = Branch()
        charger.own(
            branch.another(name, begin=NOW - 90 * DAY, end=NOW + end * DAY), branch.sub2, branch.sub1, name=name
        )
    own = signings(charger, record)
    assert {order.name for order in own.due()} == {"SECC1", "SECC3"}
    asked = own.begin(next(order for order in own.due() if order.name == "SECC1"))
    assert asked.wanted is not None
    assert {order.name for order in own.due()} == {"SECC3"}
    own.refused(asked)
    assert {order.name for order in own.due()} == {"SECC3"}
    charger.clock.now += DAY
    assert {order.name for order in own.due()} == {"SECC1", "SECC3"}


def test_a_request_is_repeated_with_doubled_patience_and_then_left(charger: Charger, record: Record) -> None:
    own = signings(charger, record)
    record.change(values={"SecurityCtrlr.CertSigningRepeatTimes": "2"})
    asked, waits = own.begin(own.orders(LeafKind.CSMS)[0]), []
    for _ in range(4):
        asked = own.sent(asked)
        waits.append(own.patience(asked))
    assert waits == [60, 120, None, None]


def test_of_one_name_few_requests_are_remembered_and_each_has_a_key_of_its_own(
    charger: Charger, record: Record
) -> None:
    own = signings(charger, record)
    made = [own.begin(Order(LeafKind.CSMS, "SN1")) for _ in range(6)]
    assert [each.request for each in own.asked] == [3, 4, 5, 6]
    assert len({each.key for each in made}) == 6
    assert len(charger.store.leaves(LeafKind.CSMS).keys) == 4
    assert {read_named_request(each.csr).subject.get("CN") for each in own.asked} == {"SN1"}


def test_what_is_wanted_is_asked_for_where_it_is_not_there(charger: Charger, record: Record) -> None:
    own = signings(charger, record, wants=(LeafKind.V2G, LeafKind.CSMS))
    assert [(order.kind, order.name) for order in own.due()] == [(LeafKind.CSMS, "SN1")]
    record.change(values={"ISO15118Ctrlr.SeccId#1": "SECC1"})
    assert {(order.kind, order.name) for order in own.due()} == {(LeafKind.CSMS, "SN1"), (LeafKind.V2G, "SECC1")}
    with pytest.raises(Refused, match="no EVSE 3"):
        own.orders(LeafKind.V2G, 3)
    with pytest.raises(Refused, match="no SeccId"):
        own.orders(LeafKind.V2G, 2)


def test_A02_FR_27_and_A03_FR_23_of_several_V2G_roots_the_configured_one_is_asked_for(
    charger: Charger, record: Record
) -> None:
    first, second = Branch(), Branch("Gridsync")

    def wanted(**more: object) -> HashData | None:
        return signings(charger, record, **more).begin(Order(LeafKind.V2G, "SECC1")).wanted

    def named(branch: Branch) -> HashData:
        return hash_data(branch.root.certificate, branch.root.certificate)

    assert wanted() == named(first), "there is no other"
    charger.trust(CaKind.V2G, first.bundle + second.bundle)
    assert wanted() is None
    assert wanted(v2g=[second.root.certificate]) == named(second)


def test_a_root_that_took_over_is_an_anchor_for_what_stands_below_it(charger: Charger) -> None:
    charger.trust(CaKind.CSMS, pem(CSMS.sub1))
    key_waits(Direct(charger), CSMS.leaf, LeafKind.CSMS)
    chain = pem(CSMS.leaf, CSMS.sub2)
    assert charger.station.update_leaf(chain, LeafKind.CSMS).status is InstallStatus.NO_ROOT
    charger.station.anchors[CaKind.CSMS] = lambda: (CSMS.sub1.certificate,)
    assert charger.station.is_ca_installed(CaKind.CSMS)
    assert charger.station.update_leaf(chain, LeafKind.CSMS).status is InstallStatus.ACCEPTED


def test_M05_roots_follow_each_other_each_signed_by_the_one_in_office(charger: Charger, record: Record) -> None:
    first = make("CN=First,O=Test,C=DE", begin=NOW - DAY, end=NOW + DAY)
    second, third, other = (
        make(f"CN={name},O=Test,C=DE", issuer, ca=True, begin=NOW - DAY, end=NOW + DAY)
        for name, issuer in (("Second", first), ("Third", first), ("Other", CSMS.root))
    )
    charger.trust(CaKind.CSMS, pem(first))
    succession = Succession(record, charger.station, lambda: True)

    def install(made: Made) -> InstallStatus:
        installation = succession.install(pem(made))
        assert installation is not None
        return installation.status

    def trusted() -> list[list[str]]:
        return [[each.subject.get("CN") or "" for each in group] for group in succession.trusted()]

    assert install(other) is InstallStatus.INVALID_SIGNATURE
    assert install(second) is InstallStatus.ACCEPTED
    assert trusted() == [["Second"], ["First"]]
    # Another one takes the place of one that was never used.
    assert install(third) is InstallStatus.ACCEPTED
    assert trusted() == [["Third"], ["First"]]
    succession.worked(1)
    assert trusted() == [["Third"], ["First"]]
    succession.worked(0)
    assert trusted() == [["Third"]]
    fourth = make("CN=Fourth,O=Test,C=DE", third, ca=True, begin=NOW - DAY, end=NOW + DAY)
    assert install(second) is InstallStatus.INVALID_SIGNATURE
    assert install(fourth) is InstallStatus.ACCEPTED
    assert trusted() == [["Fourth"], ["Third"]]
    listed = succession.listed([])
    assert [each.about.serial_number for each in listed] == [f"{each.certificate.serial:x}" for each in (fourth, third)]
    succession.worked(0)
    assert trusted() == [["Fourth"]]
    assert [each.certificate.subject_der for each in (fourth,)] == [
        each.subject_der for each in charger.store.authorities(CaKind.CSMS).certificates
    ]


# Contracts


def test_C07_what_a_chain_leads_to(charger: Charger, record: Record) -> None:
    contracts = Contracts(charger.station, record, variables(record))
    good = contracts.look(pem(*MO.chain))
    assert isinstance(good, Question)
    assert (good.emaid, len(good.requests), good.chain) == ("MOLeaf", 3, "")
    foreign = Branch("Foreign", dc="MO")
    unknown = contracts.look(pem(*foreign.chain))
    assert isinstance(unknown, Decision)
    assert (unknown.accepted, unknown.certificate) == (False, "NoCertificateAvailable")
    record.change(values={"ISO15118Ctrlr.CentralContractValidationAllowed": "true"})
    central = contracts.look(pem(*foreign.chain))
    assert isinstance(central, Question)
    assert central.chain == pem(*foreign.chain)
    old = contracts.look(pem(MO.another("Old", end=NOW - DAY), MO.sub2, MO.sub1))
    assert isinstance(old, Decision)
    assert old.certificate == "CertificateExpired"
    future, station = MO.another("Future", begin=NOW + DAY, end=NOW + 9 * DAY), Branch()
    for chain, why in (((future, MO.sub2, MO.sub1), "not valid yet"), (station.chain, "its DC is CPO")):
        none = contracts.look(pem(*chain))
        assert isinstance(none, Decision)
        assert (none.accepted, none.certificate) == (False, "CertChainError")
        assert why in none.why
        assert contracts.offline(pem(*chain)).certificate == "CertChainError"
    record.change(values={"ISO15118Ctrlr.PnCEnabled": "false"})
    off = contracts.look(pem(*MO.chain))
    assert isinstance(off, Decision)
    assert "PnCEnabled" in off.why


def test_C07_offline_what_the_CSMS_said_last_counts(charger: Charger, record: Record) -> None:
    contracts, chain = Contracts(charger.station, record, variables(record)), pem(*MO.chain)
    assert contracts.offline(chain).status == "Unknown"
    for status, certificate, accepted in (
        ("Accepted", "Accepted", True),
        ("Blocked", "ContractCancelled", False),
        ("Accepted", "CertificateRevoked", False),
    ):
        contracts.told(Decision("MOLeaf", status, certificate, True))
        assert contracts.offline(chain).accepted is accepted
    contracts.forget()
    record.change(values={"AuthCtrlr.OfflineTxForUnknownIdEnabled": "true"})
    assert contracts.offline(chain).accepted
    record.change(values={"ISO15118Ctrlr.ContractValidationOffline": "false"})
    assert not contracts.offline(chain).accepted


# Cars' certificates for TLS


def test_M07_what_the_CSMS_says_is_kept_until_its_nextUpdate_and_a_week_at_most(
    charger: Charger, record: Record
) -> None:
    own, clock = Vehicles(charger.station, variables(record)), charger.clock
    chain = Branch("EV", dc="EV")
    pairs = [(chain.leaf, chain.sub2), (chain.sub2, chain.sub1)]
    leaf, sub = asked = [
        Query(
            each.certificate,
            issuer.certificate,
            hash_data(each.certificate, issuer.certificate),
            Source.OCSP,
            ("http://x",),
        )
        for each, issuer in pairs
    ]
    assert own.decide(asked, []).status == Known.FAILED, "nobody was there to ask"
    told = [(leaf, Told(Known.GOOD, clock.now + DAY)), (sub, Told(Known.GOOD, clock.now + 30 * DAY))]
    assert own.missing(asked) == asked
    assert own.decide(asked, told).accepted
    assert own.missing(asked) == []
    assert own.decide(asked, []).accepted
    clock.now += DAY
    assert own.missing(asked) == [leaf]
    assert not own.decide(asked, []).accepted
    assert own.decide(asked, [(leaf, Told(Known.FAILED, clock.now + DAY))]).status == Known.FAILED
    assert own.missing(asked) == [leaf], "what could not be found out is asked again"
    verdict = own.decide(asked, [(leaf, Told(Known.REVOKED, clock.now + 30 * DAY))])
    assert (verdict.accepted, verdict.status) == (False, "Revoked")
    clock.now += 6 * DAY
    assert own.missing(asked) == [sub], "a week at most"
    assert own.decide(asked, []).status == Known.REVOKED
    assert own.decide(asked, [(leaf, Told(Known.UNKNOWN, clock.now))]).status == Known.UNKNOWN


def test_a_cars_chain_has_to_be_one_for_TLS_below_a_root_for_cars_and_valid_now(
    charger: Charger, record: Record, world: World
) -> None:
    own, clock = Vehicles(charger.station, variables(record)), charger.clock
    car, secc = (world.chain(world.issue(profile, "WVWV123456789ABCDEF7")) for profile in ("VEHICLE_20", "SECC_20"))
    leaf, text = car[0], pem_of(car[:-1])
    clock.now = leaf.not_before + DAY
    assert refusal(own.look(text)) == "IssuerNotFound"
    charger.trust(CaKind.MO, car[-1].pem)
    assert refusal(own.look(text)) == "IssuerNotFound", "what vouches for contracts vouches for no car"
    charger.trust(CaKind.OEM, car[-1].pem + secc[-1].pem)
    found = own.look(text)
    assert isinstance(found, tuple)
    assert [(each.certificate, each.source, each.urls) for each in found] == [
        (each, Source.OCSP, each.ocsp_addresses) for each in car[:-1]
    ]
    assert refusal(own.look(pem_of(secc[:-1]))) == "InvalidChain", "a station is no car"
    assert refusal(own.look(leaf.pem)) == "IssuerNotFound", "without its sub-CAs"
    for moment in (leaf.not_before - DAY, leaf.not_after + DAY):
        clock.now = moment
        assert refusal(own.look(text)) == "Expired"


def pem_of(chain: Sequence[Certificate]) -> str:
    return "".join(each.pem for each in chain)


def refusal(found: object) -> str:
    assert isinstance(found, Verdict)
    assert not found.accepted
    assert found.why
    return found.status
