"""What operators have stations do: M03, M04, M05, A01, A05."""

from __future__ import annotations

import hashlib
import time
from itertools import count
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from stations import OCPP_2_1, Office, Station, connected, named, self_signed
from voltroot.actors.csms import wishes
from voltroot.actors.csms.operations import Selection
from voltroot.actors.csms.operators import NOBODY
from voltroot.actors.csms.stations import OperationState
from voltroot.apis.ocpp import wire
from voltroot.errors import Forbidden, Malformed, NotFound, Refused, TooLarge, Unavailable
from voltroot.ocppj.schemas import Version
from voltroot.pki.certificates import Certificate
from voltroot.pki.fingerprints import HashAlgorithm
from voltroot.serve import dispatch

pytestmark = pytest.mark.slow

_numbers = count()

ACCEPTED = {"status": "Accepted"}
ALGORITHMS = [*HashAlgorithm]


def root(office: Office, label: str = "v2g-root-2") -> Certificate:
    return office.world.issuers.standing().current(label).certificate


def listing(kind: str, *every: Any) -> dict[str, Any]:
    """GetInstalledCertificateIdsResponse."""
    chains = [{"certificateType": kind, "certificateHashData": each} for each in every]
    return {"status": "Accepted", "certificateHashDataChain": chains} if chains else {"status": "NotFound"}


@pytest.fixture
def station(office: Office) -> Any:
    """A station of the test's own, connected."""
    identity = f"CS{next(_numbers)}"
    office.register(identity)
    with connected(office, identity) as station:
        station.boot()
        yield station


def identity_of(station: Station) -> str:
    return station.connection.path.rpartition("/")[2]


ROOTS = {
    "TC_M_01": ("CSMSRootCertificate", "csms-root"),
    "TC_M_02": ("ManufacturerRootCertificate", "mf-root"),
    "TC_M_03": ("V2GRootCertificate", "v2g-root-2"),
    "TC_M_04": ("MORootCertificate", "mo-root-2"),
}


@pytest.mark.parametrize("case", ROOTS)
def test_a_root_is_installed_as_it_is_written_and_looked_for_afterwards(
    office: Office, station: Station, case: str
) -> None:
    kind, label = ROOTS[case]
    certificate = root(office, label)
    outcome = office.start(office.commands.install(identity_of(station), kind, certificate.pem))
    asked = station.expect("InstallCertificate", ACCEPTED)
    assert asked == {"certificateType": kind, "certificate": certificate.pem}
    hashes = named(certificate, certificate)
    assert station.expect("GetInstalledCertificateIds", listing(kind, hashes)) == {}
    assert outcome.result(10).state is OperationState.DONE
    stock = office.stations.stock(identity_of(station))
    assert stock[kind] == [{"certificateHashData": hashes}]
    assert [kind for kind, content in stock.items() if not content] == sorted(set(wire.KINDS[Version.V2_0_1]) - {kind})


@pytest.mark.parametrize("status", ["Failed", "Rejected"])
def test_TC_M_05_what_the_station_does_not_install_is_told(office: Office, station: Station, status: str) -> None:
    outcome = office.start(office.commands.install(identity_of(station), "MORootCertificate", root(office).pem))
    station.expect("InstallCertificate", {"status": status, "statusInfo": {"reasonCode": "OutOfStorage"}})
    assert outcome.result(10)[1:3] == (OperationState.FAILED, f"{status} OutOfStorage")
    assert station.is_quiet()


def test_what_is_no_root_is_not_sent(office: Office, station: Station) -> None:
    sub = office.world.issuers.standing().current("cpo-sub2-2").certificate
    leaf, _ = self_signed("nobody")
    good = root(office).pem
    many, long = good + good, good + " " * 9000
    cases = [(sub.pem, Refused), (leaf[0].pem, Refused), (many, Malformed), ("", Malformed), (long, TooLarge)]
    for text, failure in cases:
        with pytest.raises(failure):
            office.run(office.commands.install(identity_of(station), "V2GRootCertificate", text))
    office.world.clock.turn(days=60 * 365)
    with pytest.raises(Refused, match="valid from"):
        office.run(office.commands.install(identity_of(station), "V2GRootCertificate", good))
    office.world.clock.turn(days=-60 * 365)
    office.stations.change(identity_of(station), most_certificates=0)
    with pytest.raises(Refused, match="takes no more"):
        office.run(office.commands.install(identity_of(station), "V2GRootCertificate", good))
    assert station.is_quiet()


def test_a_root_that_matters_is_not_sent_without_TLS(office: Office) -> None:
    office.register("PLAIN", 1)
    with connected(office, "PLAIN", 1) as station:
        with pytest.raises(Forbidden, match="not sent without TLS"):
            office.run(office.commands.install("PLAIN", "CSMSRootCertificate", root(office, "csms-root").pem))
        assert station.is_quiet()


LISTED = {
    "TC_M_12": "CSMSRootCertificate",
    "TC_M_13": "ManufacturerRootCertificate",
    "TC_M_14": "V2GRootCertificate",
    "TC_M_15": "V2GCertificateChain",
    "TC_M_16": "MORootCertificate",
}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("case", LISTED)
def test_one_type_is_asked_for_whatever_the_hash(
    office: Office, station: Station, case: str, algorithm: HashAlgorithm
) -> None:
    kind = LISTED[case]
    hashes = named(root(office), root(office), algorithm)
    outcome = office.start(office.commands.inventory(identity_of(station), [kind]))
    assert station.expect("GetInstalledCertificateIds", listing(kind, hashes)) == {"certificateType": [kind]}
    assert outcome.result(10).detail == {kind: [{"certificateHashData": hashes}]}


def test_TC_M_15_children_stay_with_their_leaf(office: Office, station: Station) -> None:
    entry = office.world.issue("SECC_2", "SECC-M15")
    leaf, sub2, sub1, top = office.world.chain(entry)
    children = [named(sub1, top), named(sub2, sub1)]  # in whatever order
    chain = {"certificateHashData": named(leaf, sub2), "childCertificateHashData": children}
    answer = {"status": "Accepted", "certificateHashDataChain": [{"certificateType": "V2GCertificateChain", **chain}]}
    outcome = office.start(office.commands.inventory(identity_of(station), ["V2GCertificateChain"]))
    station.expect("GetInstalledCertificateIds", answer)
    assert outcome.result(10).detail == {"V2GCertificateChain": [chain]}


def test_TC_M_17_two_types_are_asked_for_at_once(office: Office, station: Station) -> None:
    kinds = ["V2GRootCertificate", "MORootCertificate"]
    hashes = named(root(office), root(office))
    outcome = office.start(office.commands.inventory(identity_of(station), kinds))
    assert station.expect("GetInstalledCertificateIds", listing(kinds[0], hashes)) == {"certificateType": kinds}
    assert outcome.result(10).detail == {kinds[0]: [{"certificateHashData": hashes}], kinds[1]: []}


def test_TC_M_18_all_types_are_asked_for_by_naming_none(office: Office, station: Station) -> None:
    hashes = named(root(office), root(office))
    outcome = office.start(office.commands.inventory(identity_of(station)))
    assert station.expect("GetInstalledCertificateIds", listing("V2GRootCertificate", hashes)) == {}
    found = {kind: each for kind, each in outcome.result(10).detail.items() if each}
    assert found == {"V2GRootCertificate": [{"certificateHashData": hashes}]}


def test_TC_M_19_nothing_found_means_that_there_is_nothing(office: Office, station: Station) -> None:
    identity = identity_of(station)
    for answer in (listing("V2GRootCertificate", named(root(office), root(office))), {"status": "NotFound"}):
        outcome = office.start(office.commands.inventory(identity))
        station.expect("GetInstalledCertificateIds", answer)
        assert outcome.result(10).status == answer["status"]
    # A full snapshot: what was there is there no more.
    assert set(office.stations.stock(identity)) == set(wire.KINDS[Version.V2_0_1])
    assert not any(office.stations.stock(identity).values())


def test_what_a_station_writes_is_kept_as_it_is_even_where_it_is_no_hash(office: Office, station: Station) -> None:
    """The example of the published message page, whose hashes are cut short and whose serial number begins with 0."""
    hashes = {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": "3d2e6c9f...e1",
        "issuerKeyHash": "9aa1b6f3...22",
        "serialNumber": "0a1b2c3d4e5f",
    }
    kinds = ["CSMSRootCertificate", "V2GRootCertificate"]
    outcome = office.start(office.commands.inventory(identity_of(station), kinds))
    assert station.expect("GetInstalledCertificateIds", listing(kinds[0], hashes)) == {"certificateType": kinds}
    assert outcome.result(10).detail == {kinds[0]: [{"certificateHashData": hashes}], kinds[1]: []}
    outcome = office.start(office.commands.delete(identity_of(station), hashes | {"serialNumber": "A1B2C3D4E5F"}))
    assert station.expect("DeleteCertificate", {"status": "NotFound"}) == {"certificateHashData": hashes}
    outcome.result(10)


def test_an_empty_list_which_the_schema_forbids_means_nothing(office: Office, station: Station) -> None:
    outcome = office.start(office.commands.inventory(identity_of(station)))
    station.expect("GetInstalledCertificateIds", {"status": "Accepted", "certificateHashDataChain": []})
    assert outcome.result(10).state is OperationState.DONE
    assert not any(office.stations.stock(identity_of(station)).values())
    leaf, sub2, *_ = office.world.chain(office.world.issue("SECC_2", "SECC-CHILDLESS"))
    chain = {"certificateHashData": named(leaf, sub2)}
    odd = {"certificateType": "V2GCertificateChain", **chain, "childCertificateHashData": []}
    outcome = office.start(office.commands.inventory(identity_of(station), ["V2GCertificateChain"]))
    station.expect("GetInstalledCertificateIds", {"status": "Accepted", "certificateHashDataChain": [odd]})
    assert outcome.result(10).detail == {"V2GCertificateChain": [chain]}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_TC_M_20_what_is_deleted_is_named_as_the_station_wrote_it(
    office: Office, station: Station, algorithm: HashAlgorithm
) -> None:
    identity = identity_of(station)
    own = named(root(office), root(office), algorithm)
    # As some stations write it.
    odd = own | {"serialNumber": own["serialNumber"].upper().zfill(40), "issuerNameHash": own["issuerNameHash"].upper()}
    outcome = office.start(office.commands.inventory(identity))
    station.expect("GetInstalledCertificateIds", listing("V2GRootCertificate", odd))
    outcome.result(10)
    outcome = office.start(office.commands.delete(identity, own))
    assert station.expect("DeleteCertificate", ACCEPTED) == {"certificateHashData": odd}
    assert station.expect("GetInstalledCertificateIds", {"status": "NotFound"}) == {}
    assert outcome.result(10).state is OperationState.DONE


def test_a_certificate_is_found_however_the_station_names_it(office: Office, station: Station) -> None:
    """With another hash, or with the hash of the whole key, as long as its CA is known here."""
    identity, certificate = identity_of(station), root(office)
    own, whole = named(certificate, certificate), hashlib.sha512(certificate.spki).hexdigest()
    for odd in (
        named(certificate, certificate, HashAlgorithm.SHA384),
        named(certificate, certificate, HashAlgorithm.SHA512) | {"issuerKeyHash": whole.upper()},
        own | {"issuerKeyHash": hashlib.sha256(certificate.spki).hexdigest()},
    ):
        outcome = office.start(office.commands.inventory(identity))
        others = [named(each, each) for each in (root(office, "mo-root-2"), root(office, "v2g-root-20"))]
        station.expect("GetInstalledCertificateIds", listing("V2GRootCertificate", *others, odd))
        outcome.result(10)
        outcome = office.start(office.commands.delete(identity, own))
        assert station.expect("DeleteCertificate", {"status": "Failed"}) == {"certificateHashData": odd}
        outcome.result(10)
    with pytest.raises(Malformed, match="issuerNameHash is missing"):
        office.run(office.commands.delete(identity, {"hashAlgorithm": "SHA256"}))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_TC_M_20_a_root_of_a_strangers_is_named_as_the_station_wrote_it(
    office: Office, station: Station, algorithm: HashAlgorithm
) -> None:
    identity, (stranger,) = identity_of(station), self_signed("Stranger")[0]
    listed = named(stranger, stranger, algorithm)
    outcome = office.start(office.commands.inventory(identity))
    station.expect("GetInstalledCertificateIds", listing("CSMSRootCertificate", listed))
    outcome.result(10)
    meant = wishes.delete_certificate(stranger.pem).detail
    outcome = office.start(office.commands.delete(identity, meant["certificateHashData"], meant["issuer"]))
    assert station.expect("DeleteCertificate", {"status": "Failed"}) == {"certificateHashData": listed}
    outcome.result(10)


@pytest.mark.parametrize("status", ["Failed", "NotFound"])
def test_TC_M_21_what_is_not_deleted_is_told(office: Office, station: Station, status: str) -> None:
    outcome = office.start(office.commands.delete(identity_of(station), named(root(office), root(office))))
    station.expect("DeleteCertificate", {"status": status})
    assert outcome.result(10)[1:3] == (OperationState.FAILED, status)


def test_TC_M_101_ocpp_2_1_has_one_more_type_and_2_0_1_has_not(office: Office, station: Station) -> None:
    office.register("M101")
    certificate = root(office, "oem-root-2")
    with pytest.raises(Malformed, match="certificateType"):
        office.run(office.commands.install(identity_of(station), "OEMRootCertificate", certificate.pem))
    with connected(office, "M101", versions=[OCPP_2_1]) as newer:
        newer.boot()
        outcome = office.start(office.commands.install("M101", "OEMRootCertificate", certificate.pem))
        assert newer.expect("InstallCertificate", ACCEPTED)["certificateType"] == "OEMRootCertificate"
        newer.expect("GetInstalledCertificateIds", {"status": "NotFound"})
        outcome.result(10)


def test_TC_A_09_a_password_that_is_accepted_is_the_only_one_at_once(office: Office) -> None:
    office.register("A09")
    new = "another password, 32 characters."
    with connected(office, "A09") as station:
        station.boot()
        outcome = office.start(office.commands.set_password("A09", new))
        (asked,) = station.expect("SetVariables", _set("Accepted"))["setVariableData"]
        assert asked == {
            "component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}, "attributeValue": new,
        }  # fmt: skip
        assert outcome.result(10).state is OperationState.DONE
    with pytest.raises(InvalidStatus), connected(office, "A09"):
        pass
    with connected(office, "A09", password=new) as station:
        assert station.boot() is not None
    assert new not in str(office.stations.operations("A09"))


def test_TC_A_10_a_password_that_is_rejected_leaves_the_old_one(office: Office) -> None:
    office.register("A10")
    new = "another password, 32 characters."
    with connected(office, "A10") as station:
        station.boot()
        outcome = office.start(office.commands.set_password("A10", new))
        station.expect("SetVariables", _set("Rejected"))
        assert outcome.result(10)[1:3] == (OperationState.FAILED, "Rejected")
    with pytest.raises(InvalidStatus), connected(office, "A10", password=new):
        pass
    with connected(office, "A10") as station:
        assert station.boot() is not None


def test_A01_while_it_is_unknown_which_password_the_station_has_either_lets_it_in(office: Office) -> None:
    office.register("A01-LOST")
    new = "another password, 32 characters."
    with connected(office, "A01-LOST") as station:
        station.boot()
        outcome = office.start(office.commands.set_password("A01-LOST", new))
        station.expect("SetVariables")
    with pytest.raises(Unavailable):
        outcome.result(10)
    with connected(office, "A01-LOST"), connected(office, "A01-LOST", password=new):
        pass
    # The new one has settled it.
    with pytest.raises(InvalidStatus), connected(office, "A01-LOST"):
        pass


def test_a_password_has_16_to_64_characters(office: Office, station: Station) -> None:
    for password in ("x" * 15, "x" * 65):
        with pytest.raises(Malformed):
            office.run(office.commands.set_password(identity_of(station), password))


def test_TC_A_19_after_an_upgrade_the_lower_profile_is_refused(office: Office) -> None:
    office.register("A19", 2)
    entry, key = office.certificate("A19")
    url = f"wss://localhost:{office.ports[3]}/ocpp"
    with connected(office, "A19") as station:
        station.boot()
        outcome = office.start(office.commands.upgrade("A19", 3, url, 2))
        asked = station.expect("SetNetworkProfile", ACCEPTED)
        assert asked["configurationSlot"] == 2
        network = asked["connectionData"]
        assert (network["securityProfile"], network["ocppTransport"], network["ocppVersion"]) == (3, "JSON", "OCPP20")
        assert network["ocppCsmsUrl"] == url
        station.expect("GetVariables", {"getVariableResult": [_result(attributeStatus="Accepted", attributeValue="1")]})
        (priority,) = station.expect("SetVariables", _set("Accepted"))["setVariableData"]
        assert (priority["variable"]["name"], priority["attributeValue"]) == ("NetworkConfigurationPriority", "2,1")
        station.expect("Reset", ACCEPTED)
        assert outcome.result(10).state is OperationState.DONE
    # It may fall back as long as it has not come with the new one.
    with connected(office, "A19"):
        pass
    with connected(office, "A19", 3, client=([entry.read()], key)) as station:
        assert station.boot()["status"] == "Accepted"
    with pytest.raises(InvalidStatus), connected(office, "A19"):
        pass
    with connected(office, "A19", 3, client=([entry.read()], key)) as station:
        station.boot()
        with pytest.raises(Refused, match="choose a higher one"):
            office.run(office.commands.upgrade("A19", 2, url, 1))
        assert station.is_quiet()


def test_an_upgrade_that_the_station_rejects_changes_nothing(office: Office, station: Station) -> None:
    outcome = office.start(office.commands.upgrade(identity_of(station), 3, "wss://localhost/ocpp", 2))
    station.expect("SetNetworkProfile", {"status": "Rejected"})
    assert outcome.result(10).state is OperationState.FAILED
    registered = office.stations.find(identity_of(station))
    assert registered is not None
    assert registered.next_profile is None


def test_the_limits_of_a_station_are_read_from_its_report(office: Office, station: Station) -> None:
    identity = identity_of(station)
    outcome = office.start(office.commands.learn(identity))
    asked = station.expect("GetReport", ACCEPTED)["componentVariable"]
    assert [each["variable"]["name"] for each in asked] == ["MaxCertificateChainSize", "CertificateEntries"]
    assert outcome.result(10).state is OperationState.DONE
    component = {"component": {"name": "SecurityCtrlr"}}
    size = component | {"variable": {"name": "MaxCertificateChainSize"}, "variableAttribute": [{"value": "5600"}]}
    entries = component | {
        "variable": {"name": "CertificateEntries"},
        "variableAttribute": [{"value": "3"}],
        "variableCharacteristics": {"dataType": "integer", "supportsMonitoring": False, "maxLimit": 12},
    }
    report = {"requestId": 1, "generatedAt": "2026-03-01T10:00:00Z", "seqNo": 0, "reportData": [size, entries]}
    assert station.call("NotifyReport", report) == {}
    odd = [size | {"variableAttribute": [{"value": value}]} for value in ("0", "-1", "many", "99999")]
    assert station.call("NotifyReport", report | {"reportData": odd}) == {}
    registered = office.stations.find(identity)
    assert registered is not None
    assert (registered.longest_chain, registered.most_certificates) == (5600, 12)


FIRMWARE = {"location": "https://example.com/firmware.bin", "retrieveDateTime": "2026-03-01T10:00:00Z"}


@pytest.mark.parametrize(("case", "status"), [("TC_L_04", "RevokedCertificate"), ("TC_L_05", "InvalidCertificate")])
def test_a_firmware_whose_certificate_is_no_good_is_not_installed(
    office: Office, station: Station, case: str, status: str
) -> None:
    identity = identity_of(station)
    signed = FIRMWARE | {"signingCertificate": root(office, "mf-root").pem, "signature": "MEUC"}
    outcome = office.start(office.commands.call(identity, "UpdateFirmware", {"firmware": signed}))
    assert station.expect("UpdateFirmware", {"status": status})["firmware"] == signed
    assert outcome.result(10)[1:3] == (OperationState.FAILED, status)
    event = {"type": "InvalidFirmwareSigningCertificate", "timestamp": "2026-03-01T10:00:00Z"}
    assert station.call("SecurityEventNotification", event) == {}


@pytest.mark.parametrize("last", ["Installed", "InvalidSignature", "InstallVerificationFailed"])
def test_a_firmware_is_followed_until_it_is_installed_or_not(office: Office, station: Station, last: str) -> None:
    identity = identity_of(station)
    outcome = office.start(office.commands.call(identity, "UpdateFirmware", {"firmware": FIRMWARE}))
    request = station.expect("UpdateFirmware", ACCEPTED)["requestId"]
    assert outcome.result(10).state is OperationState.PROMISED
    assert station.call("FirmwareStatusNotification", {"status": "Idle"}) == {}
    for status in ("Downloading", "Downloaded", last):
        assert station.call("FirmwareStatusNotification", {"status": status, "requestId": request}) == {}
    done = office.stations.operations(identity)[0]
    assert done.state is (OperationState.DONE if last == "Installed" else OperationState.FAILED)
    assert done.outcome.split() == ["Downloading", "Downloaded", last]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_TC_N_63_what_is_known_of_a_customer_is_reported_and_cleared_by_the_hash_of_the_certificate(
    office: Office, station: Station, algorithm: HashAlgorithm
) -> None:
    identity = identity_of(station)
    leaf, sub2, *_ = office.world.chain(office.world.issue("CONTRACT_2", f"N63-{algorithm}"))
    asked = {"report": True, "clear": True, "customerCertificate": named(leaf, sub2, algorithm)}
    outcome = office.start(office.commands.call(identity, "CustomerInformation", asked))
    payload = station.expect("CustomerInformation", ACCEPTED)
    request = payload.pop("requestId")
    assert payload == asked
    assert outcome.result(10).state is OperationState.PROMISED
    part = {"generatedAt": "2026-03-01T10:00:00Z", "requestId": request}
    assert station.call("NotifyCustomerInformation", {**part, "seqNo": 0, "data": "who ", "tbc": True}) == {}
    assert station.call("NotifyCustomerInformation", {**part, "seqNo": 9, "data": "?", "requestId": request ^ 1}) == {}
    assert office.stations.operations(identity)[0].state is OperationState.PROMISED
    assert station.call("NotifyCustomerInformation", {**part, "seqNo": 1, "data": "it was"}) == {}
    done = office.stations.operations(identity)[0]
    assert (done.state, done.outcome) == (OperationState.DONE, "who it was")


def test_what_has_no_command_is_called_by_its_name_and_the_answer_comes_back(office: Office, station: Station) -> None:
    identity = identity_of(station)
    answer = {"status": "Accepted", "filename": "log.txt"}
    asked = {"logType": "SecurityLog", "requestId": 7, "log": {"remoteLocation": "https://example.com/"}}
    outcome = office.start(office.commands.call(identity, "GetLog", asked))
    assert station.expect("GetLog", answer) == asked
    assert outcome.result(10)[1:] == (OperationState.DONE, "Accepted", answer)
    password = {
        "component": {"name": "SecurityCtrlr"},
        "variable": {"name": "basicAuthPassword"},
        "attributeValue": "x",
    }
    for action, payload in (
        ("SetVariables", {"setVariableData": [password]}),
        ("InstallCertificate", {"certificateType": "V2GRootCertificate", "certificate": ""}),
        ("CertificateSigned", {"certificateChain": ""}),
    ):
        with pytest.raises(Refused, match="command"):
            office.run(office.commands.call(identity, action, payload))
    with pytest.raises(Malformed, match="knows no Nonsense"):
        office.run(office.commands.call(identity, "Nonsense", {}))
    assert station.is_quiet()


def test_a_station_that_refuses_a_call_or_is_not_there_is_told(office: Office, station: Station) -> None:
    outcome = office.start(office.commands.inventory(identity_of(station)))
    station.expect("GetInstalledCertificateIds")
    station.send([4, station.last, "NotImplemented", "no such thing here", {}])
    with pytest.raises(Refused, match="NotImplemented no such thing here"):
        outcome.result(10)
    assert office.stations.operations(identity_of(station))[0].state is OperationState.FAILED
    office.register("ABSENT")
    with pytest.raises(Unavailable, match="not connected"):
        office.run(office.commands.inventory("ABSENT"))
    with pytest.raises(NotFound):
        office.run(office.commands.inventory("NOBODY"))


def _set(status: str) -> dict[str, Any]:
    return {"setVariableResult": [_result(attributeStatus=status)]}


def _result(**members: str) -> dict[str, Any]:
    return {"component": {"name": "any"}, "variable": {"name": "any"}, **members}


def test_what_is_asked_of_a_station_as_soon_as_it_was_answered_reaches_it(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However quickly it came back: who comes and goes is put on record together, a few times a second."""
    office.register("QUICK", 1)
    with connected(office, "QUICK", 1) as station:
        station.boot()
    until = time.monotonic() + 10
    while (last := office.csms.presence.station("QUICK").presence) is None or last.connected:
        assert time.monotonic() < until
        time.sleep(0.01)
    # That it left was put on record this very moment: so the next time is a while from now.
    monkeypatch.setattr(dispatch, "TELLING_PERIOD", 1)
    with connected(office, "QUICK", 1) as station:
        station.boot()
        office.csms.operations.ask(wishes.inventory(), Selection(("QUICK",)), NOBODY, at_once=1)
        station.expect("GetInstalledCertificateIds", {"status": "NotFound"})
