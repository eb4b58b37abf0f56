"""A02 and A03: from SignCertificate to the day when the old certificate is revoked."""

from __future__ import annotations

import re
from typing import Any

import pytest

from stations import OCPP_2_1, Office, Station, certificates, connected, eventually, signing_request
from voltroot.actors.csms.csms import Wanted
from voltroot.actors.csms.stations import OperationState, Signing, SigningState
from voltroot.actors.registrar import claim
from voltroot.pki import der
from voltroot.pki.certificates import pem
from voltroot.pki.fingerprints import hash_data
from voltroot.pki.ports import Reason, State
from voltroot.pki.requests import request_octets
from voltroot.pki.suites import ED448, P256_SHA256, P384_SHA384, P521_SHA512, RSA_SHA256, RSA_SHA384, Suite

pytestmark = pytest.mark.slow

ACCEPTED, REJECTED = {"status": "Accepted"}, {"status": "Rejected"}
STATION, V2G = "ChargingStationCertificate", "V2GCertificate"
SECC = "DE-ICE-S-0003C4D5578786756453309675436-2"


def signings(office: Office, identity: str, *states: SigningState) -> list[Signing]:
    return office.stations.signings(identity, states or tuple(SigningState))


def signed(station: Station, csr: str, kind: str | None = STATION, **more: Any) -> dict[str, Any]:
    """What comes of a request that is accepted."""
    named = {"certificateType": kind} if kind else {}
    assert station.call("SignCertificate", {"csr": csr, **named, **more}) == ACCEPTED
    return station.expect("CertificateSigned")


def rejected(station: Station, csr: str, kind: str = STATION) -> str:
    """Why a request is rejected."""
    answer = station.call("SignCertificate", {"csr": csr, "certificateType": kind})
    assert answer["status"] == "Rejected", answer
    assert answer["statusInfo"]["reasonCode"] == "InvalidCSR"
    return str(answer["statusInfo"]["additionalInfo"])


@pytest.mark.parametrize(
    "suite", [P256_SHA256, P384_SHA384, P521_SHA512, RSA_SHA256, RSA_SHA384], ids=lambda suite: suite.name
)
def test_TC_A_11_a_triggered_station_gets_its_certificate_and_comes_back_with_it(office: Office, suite: Suite) -> None:
    identity = f"A11-{suite.name}"
    office.register(identity, 3)
    old, old_key = office.certificate(identity)
    csr, key = signing_request(f"SN-{identity}", suite=suite)
    with connected(office, identity, 3, client=([old.read()], old_key)) as station:
        station.boot()
        outcome = office.start(office.commands.trigger(identity, "SignChargingStationCertificate"))
        assert station.expect("TriggerMessage", ACCEPTED) == {"requestedMessage": "SignChargingStationCertificate"}
        assert outcome.result(10).state is OperationState.PROMISED
        payload = signed(station, csr)
        assert payload["certificateType"] == STATION
        assert "requestId" not in payload
        chain = certificates(payload["certificateChain"])
        assert chain[0].public_key == key.public_key()
        assert str(chain[0].subject) == f"C=DE,O=Voltroot Test,CN=SN-{identity}"
        # Leaf and sub-CA; the root is the station's own.
        assert not any(each.self_issued for each in chain)
        root = office.world.issuers.standing().current("csms-root").certificate
        assert chain[0].signed_by(chain[1].public_key)
        assert chain[1].signed_by(root.public_key)
        station.reply(ACCEPTED)
        eventually(lambda: signings(office, identity, SigningState.INSTALLED))
        eventually(lambda: office.stations.operations(identity)[0].state is OperationState.DONE)
        assert office.world.ledger.find(number=old.number)[0].state is State.VALID
    # Only now the old one ends.
    with connected(office, identity, 3, client=(chain, key)) as station:
        assert station.boot()["status"] == "Accepted"
    (revoked,) = office.world.ledger.find(number=old.number)
    assert (revoked.state, revoked.reason) == (State.REVOKED, Reason.SUPERSEDED)
    assert signings(office, identity)[0].state is SigningState.IN_USE


@pytest.mark.parametrize(
    ("version", "kind", "suite", "profile"),
    [
        ("ocpp2.0.1", V2G, P256_SHA256, "SECC_2"),
        ("ocpp2.0.1", V2G, P521_SHA512, "SECC_20"),
        (OCPP_2_1, V2G, P256_SHA256, "SECC_2"),
        (OCPP_2_1, "V2G20Certificate", P521_SHA512, "SECC_20"),
        (OCPP_2_1, "V2G20Certificate", ED448, "SECC_20"),
    ],
)
def test_TC_A_12_a_v2g_certificate_comes_from_the_v2g_sub_CAs(
    office: Office, version: str, kind: str, suite: Suite, profile: str
) -> None:
    identity = f"A12-{version[-3:]}-{profile}-{suite.name}"
    secc = f"{SECC}{len(identity)}{identity[4]}{suite.name}"
    office.register(identity, secc_ids=("another", secc))
    csr, key = signing_request(secc, suite=suite)
    with connected(office, identity, versions=[version]) as station:
        station.boot()
        payload = signed(station, csr, kind, **({"requestId": 4711} if version == OCPP_2_1 else {}))
        station.reply(ACCEPTED)
        assert payload["certificateType"] == kind
        assert payload.get("requestId") == (4711 if version == OCPP_2_1 else None)
        leaf, sub2, sub1 = certificates(payload["certificateChain"])
        assert leaf.public_key == key.public_key()
        assert leaf.subject.get("CN") == secc
        assert leaf.signed_by(sub2.public_key)
        assert sub2.signed_by(sub1.public_key)
        assert not sub1.self_issued
        (entry,) = office.world.ledger.find(profiles=[profile], serial=leaf.serial)
        assert entry.certificate == leaf.der
        eventually(lambda: signings(office, identity, SigningState.INSTALLED))


def test_A02_FR_14_a_request_without_a_type_is_answered_without_one(office: Office) -> None:
    office.register("UNTYPED", secc_ids=("UNTYPED-SECC",))
    with connected(office, "UNTYPED") as station:
        station.boot()
        for name, role in (("SN-UNTYPED", "CSMS sub-CA"), ("UNTYPED-SECC", "CPO")):
            payload = signed(station, signing_request(name)[0], kind=None)
            station.reply(ACCEPTED)
            assert list(payload) == ["certificateChain"]
            assert role.split()[0] in str(certificates(payload["certificateChain"])[1].subject)


def test_TC_A_14_what_the_station_rejects_is_revoked_and_the_old_one_stays(office: Office) -> None:
    office.register("A14", 3)
    old, old_key = office.certificate("A14")
    with connected(office, "A14", 3, client=([old.read()], old_key)) as station:
        # Nothing says that a station boots before it asks.
        payload = signed(station, signing_request("SN-A14")[0])
        station.reply(REJECTED | {"statusInfo": {"reasonCode": "InvalidCertificate"}})
        event = {"type": "InvalidChargingStationCertificate", "timestamp": "2026-03-01T10:00:00Z"}
        assert station.call("SecurityEventNotification", event) == {}
        (ended,) = eventually(lambda: signings(office, "A14", SigningState.REJECTED, SigningState.DISCARDED))
        assert ended.certificate is not None
        leaf = certificates(payload["certificateChain"])[0]
        (entry,) = office.world.ledger.find(number=ended.certificate)
        assert entry.certificate == leaf.der
        eventually(lambda: office.world.ledger.find(number=entry.number)[0].state is State.REVOKED)
        assert office.world.ledger.find(number=old.number)[0].state is State.VALID


def test_a_v2g_certificate_that_the_station_rejects_does_not_stand_in_the_way_of_the_next(office: Office) -> None:
    office.register("THIRD", secc_ids=("SECC-THIRD",))
    with connected(office, "THIRD") as station:
        station.boot()
        for answer in (ACCEPTED, REJECTED, ACCEPTED):
            signed(station, signing_request("SECC-THIRD")[0], V2G)
            station.reply(answer)
        eventually(lambda: len(signings(office, "THIRD", SigningState.INSTALLED)) == 2)
    states = [each.state for each in office.world.ledger.find(profiles=["SECC_2"], name=claim("SECC-THIRD"))]
    assert states == [State.VALID, State.REVOKED, State.VALID]


def test_A02_FR_29_a_renewed_certificate_that_is_discarded_is_revoked(office: Office) -> None:
    office.register("A29", 3)
    old, old_key = office.certificate("A29")
    with connected(office, "A29", 3, client=([old.read()], old_key)) as station:
        station.boot()
        signed(station, signing_request("SN-A29")[0])
        station.reply(ACCEPTED)
        (made,) = eventually(lambda: signings(office, "A29", SigningState.INSTALLED))
        event = {"type": "DiscardedRenewedClientCertificate", "timestamp": "2026-03-01T10:00:00Z"}
        assert station.call("SecurityEventNotification", event) == {}
        assert made.certificate is not None
        assert office.world.ledger.find(number=made.certificate)[0].state is State.REVOKED
        assert office.world.ledger.find(number=old.number)[0].state is State.VALID
        assert signings(office, "A29")[0].state is SigningState.DISCARDED


def test_a_request_is_refused_with_its_reason_and_nothing_is_signed(office: Office) -> None:
    office.register("REFUSED", secc_ids=("SECC-REFUSED",))
    good, key = signing_request("SN-REFUSED")
    other, _ = signing_request("SN-OTHER", key=key)
    ed448, _ = signing_request("SN-REFUSED", suite=ED448)
    rsa, _ = signing_request("SECC-REFUSED", suite=RSA_SHA256)
    bare, _ = signing_request("SN-REFUSED", organization=None)
    foreign, _ = signing_request("SN-REFUSED", organization="Somebody Else")
    before = len(office.world.ledger.find())
    with connected(office, "REFUSED") as station:
        station.boot()
        assert "CN is SN-OTHER, not SN-REFUSED" in rejected(station, other)
        assert "CN is SN-REFUSED, not SECC-REFUSED" in rejected(station, good, V2G)
        assert "O is None, not Voltroot Test" in rejected(station, bare)
        assert "O is Somebody Else" in rejected(station, foreign)
        assert "needs a key of" in rejected(station, ed448)
        assert "needs a key of" in rejected(station, rsa, V2G)
        assert "does not prove possession" in rejected(station, _forged(good))
        assert "PKCS#10" in rejected(station, pem("CERTIFICATE REQUEST", b"\x30\x00"))
        assert rejected(station, "nonsense")
    assert len(office.world.ledger.find()) == before
    assert signings(office, "REFUSED") == []


def _forged(csr: str) -> str:
    """A request whose signature is another's."""
    other, _ = signing_request("SN-REFUSED")
    own, others = ([*der.children(der.read(request_octets(each)).content)] for each in (csr, other))
    return pem("CERTIFICATE REQUEST", der.sequence(own[0].whole, own[1].whole, others[2].whole))


def test_a_key_is_asked_for_by_one_station_and_for_one_purpose(office: Office) -> None:
    office.register("KEY-1", secc_ids=("SECC-KEY",))
    office.register("KEY-2")
    csr, key = signing_request("SN-KEY-1")
    with connected(office, "KEY-1") as first, connected(office, "KEY-2") as second:
        first.boot()
        second.boot()
        signed(first, csr)
        first.reply(ACCEPTED)
        assert "make a new one" in rejected(second, signing_request("SN-KEY-2", key=key)[0])
        assert "make a new one" in rejected(first, signing_request("SECC-KEY", key=key)[0], V2G)


def test_A02_FR_17_a_repeated_request_gets_the_same_certificate(office: Office) -> None:
    office.register("AGAIN")
    csr, key = signing_request("SN-AGAIN")
    with connected(office, "AGAIN", versions=[OCPP_2_1]) as station:
        station.boot()
        first = signed(station, csr, requestId=1)
        station.reply(ACCEPTED)
        second = signed(station, signing_request("SN-AGAIN", key=key)[0], requestId=2)
        station.reply(ACCEPTED)
        assert (first["requestId"], second["requestId"]) == (1, 2)
        assert first["certificateChain"] == second["certificateChain"]
    assert len(signings(office, "AGAIN")) == 1


def test_a_key_whose_certificate_has_ended_is_not_certified_again(office: Office) -> None:
    office.register("ENDED")
    csr, _ = signing_request("SN-ENDED")
    with connected(office, "ENDED") as station:
        station.boot()
        signed(station, csr)
        station.reply(ACCEPTED)
        (made,) = eventually(lambda: signings(office, "ENDED", SigningState.INSTALLED))
        assert made.certificate is not None
        office.world.ledger.revoke([made.certificate], Reason.KEY_COMPROMISE, door="test")
        assert "its certificate has ended" in rejected(station, csr)


def test_what_ended_before_it_was_sent_is_not_sent(office: Office) -> None:
    registered = office.register("UNSENT")
    csms = office.csms.server._csms
    order = csms.order(csms.ask(registered, Wanted(signing_request("SN-UNSENT")[0], STATION)))
    entry = office.world.authority.issue(order)  # type: ignore[arg-type]
    office.world.ledger.revoke([entry.number], Reason.KEY_COMPROMISE, door="test")
    with connected(office, "UNSENT") as station:
        station.boot()
        (failed,) = eventually(lambda: signings(office, "UNSENT", SigningState.FAILED))
        assert "before the station had it" in failed.why
        assert station.is_quiet()


def test_numbers_that_OCPP_does_not_have_are_refused(office: Office) -> None:
    office.register("NUMBER")
    with connected(office, "NUMBER", versions=[OCPP_2_1]) as station:
        station.boot()
        asked = {"csr": signing_request("SN-NUMBER")[0]}
        for number in (1 << 31, -(1 << 31), 1 << 70, 1e300):
            assert station.try_call("SignCertificate", asked | {"requestId": number})[1][0] == "FormatViolation"
        assert station.call("SignCertificate", asked | {"requestId": 7.0}) == ACCEPTED
        assert repr(station.expect("CertificateSigned", ACCEPTED)["requestId"]) == "7"


def test_A02_FR_27_the_root_that_the_station_wants_has_to_be_there(office: Office) -> None:
    office.register("ROOT", secc_ids=("SECC-ROOT",))
    standing = office.world.issuers.standing()
    with connected(office, "ROOT", versions=[OCPP_2_1]) as station:
        station.boot()
        for label, status in (("v2g-root-20", "Rejected"), ("v2g-root-2", "Accepted")):
            root = standing.current(label).certificate
            data = hash_data(root, root)
            wanted = {
                "hashAlgorithm": data.algorithm,
                "issuerNameHash": data.issuer_name_hash,
                "issuerKeyHash": data.issuer_key_hash.upper(),
                "serialNumber": data.serial_number,
            }
            payload = {"csr": signing_request("SECC-ROOT")[0], "certificateType": V2G, "hashRootCertificate": wanted}
            assert station.call("SignCertificate", payload | {"requestId": 1})["status"] == status
        station.expect("CertificateSigned", ACCEPTED)


def test_a_chain_that_does_not_fit_is_refused_before_it_is_made(office: Office) -> None:
    office.register("SMALL", longest_chain=1500)
    before = len(office.world.ledger.find())
    with connected(office, "SMALL") as station:
        station.boot()
        answer = station.call("SignCertificate", {"csr": signing_request("SN-SMALL")[0], "certificateType": STATION})
        assert answer["status"] == "Rejected"
        assert answer["statusInfo"]["reasonCode"] == "TooLargeElement"
        assert re.search(r"up to \d+ characters, the station takes 1500", answer["statusInfo"]["additionalInfo"])
    assert len(office.world.ledger.find()) == before


def test_F06_a_promise_that_is_not_kept_fails_and_one_that_is_refused_too(office: Office) -> None:
    office.register("PROMISE")
    with connected(office, "PROMISE") as station:
        station.boot()
        first = office.start(office.commands.trigger("PROMISE", "SignChargingStationCertificate"))
        station.expect("TriggerMessage", ACCEPTED)
        number = first.result(10).number
        assert office.stations.overdue(office.world.clock()) == []
        office.world.clock.turn(hours=1)
        assert [each.number for each in office.stations.overdue(office.world.clock())] == [number]
        office.world.clock.turn(hours=-1)
        second = office.start(office.commands.trigger("PROMISE", "SignChargingStationCertificate"))
        station.expect("TriggerMessage", ACCEPTED)
        assert second.result(10).state is OperationState.PROMISED
        assert "CN" in rejected(station, signing_request("SN-OTHER")[0])
        newest = office.stations.operations("PROMISE")[0]
        assert newest.state is OperationState.FAILED
        assert "CN is SN-OTHER" in newest.outcome


def test_TC_F_27_a_trigger_that_is_not_implemented_fails(office: Office) -> None:
    office.register("F27", secc_ids=("SECC-F27",))
    with connected(office, "F27") as station:
        station.boot()
        outcome = office.start(office.commands.trigger("F27", "SignV2GCertificate", 1))
        answer = {"status": "NotImplemented"}
        assert station.expect("TriggerMessage", answer) == {"requestedMessage": "SignV2GCertificate", "evse": {"id": 1}}
        assert outcome.result(10)[1:3] == (OperationState.FAILED, "NotImplemented")
    assert office.stations.operations("F27")[0].state is OperationState.FAILED


def test_a_station_that_left_before_its_certificate_came_gets_it_when_it_is_back(office: Office) -> None:
    office.register("LEFT")
    csr, _ = signing_request("SN-LEFT")
    with connected(office, "LEFT") as station:
        station.boot()
        payload = signed(station, csr)
    with connected(office, "LEFT") as station:
        assert station.is_quiet()  # It gets nothing before it has spoken.
        station.boot()
        assert station.expect("CertificateSigned") == payload
        # It has the certificate since the first time: that must not be revoked.
        station.reply(REJECTED)
        (ended,) = eventually(lambda: signings(office, "LEFT", SigningState.REJECTED))
    assert "though the station may have it" in ended.why
    assert ended.certificate is not None
    assert office.world.ledger.find(number=ended.certificate)[0].state is State.VALID


@pytest.mark.parametrize("step", ["asked", "issued"])
def test_what_a_killed_process_left_undone_is_done_when_the_station_is_back(office: Office, step: str) -> None:
    """After the request is on record; after the certificate is, but not that it is this request's."""
    identity = f"KILLED-{step}"
    registered = office.register(identity)
    csr, key = signing_request(f"SN-{identity}")
    csms = office.csms.server._csms
    signing = csms.ask(registered, Wanted(csr, STATION))
    if step == "issued":
        order = csms.order(signing)
        entry = office.world.authority.issue(order)  # type: ignore[arg-type]
    with connected(office, identity) as station:
        station.boot()
        leaf = certificates(station.expect("CertificateSigned", ACCEPTED)["certificateChain"])[0]
        assert leaf.public_key == key.public_key()
        if step == "issued":
            assert leaf.der == entry.certificate
        eventually(lambda: signings(office, identity, SigningState.INSTALLED))
    assert len(office.world.ledger.find(profiles=["CHARGING_STATION"], name=claim(f"SN-{identity}"))) == 1
