"""What a car hears: every ResponseCode that the CCP gives, in both editions, and what it does not answer."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracting import (
    CONTRACT,
    INSTALLATION,
    SESSION,
    UPDATE,
    Car,
    Contract,
    Office,
    ids,
    opened,
    signed_2,
    text,
    update_request,
)
from voltroot.pki import suites
from voltroot.pki.certificates import Certificate
from voltroot.pki.ports import Reason
from voltroot.pki.suites import ED448, P256_SHA256, P521_SHA512, Suite
from voltroot.v2g import iso2, xmldsig
from voltroot.v2g.exi import decode, encode, encode_fragment
from voltroot.v2g.schemas import ISO_2, ISO_20, XMLDSIG
from voltroot.v2g.signature import X509IssuerSerialType
from world import World

VECTORS = Path(__file__).parents[2] / "vectors" / "exi"


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with opened(World.made(tmp_path_factory.mktemp("ccp") / "world")) as made:
        yield made


@pytest.fixture(params=[P256_SHA256, P521_SHA512, ED448], ids=lambda suite: suite.name)
def suite(request: pytest.FixtureRequest) -> Suite:
    kind: Suite = request.param
    return kind


_numbers = iter(range(1_000_000))


def new(office: Office, suite: Suite, contracts: int = 1) -> tuple[Car, list[Contract]]:
    """A car with contracts, of names that no other test has."""
    car = office.car(f"pcid{next(_numbers)}", suite)
    return car, [office.order(car, f"emaid{next(_numbers)}") for _ in range(contracts)]


def code(office: Office, car: Car, code_2: str, code_20: str, **asked: Any) -> str:
    """Ask for an installation; returns why it was declined with the code of the car's edition."""
    answer = office.ask(INSTALLATION, car.request(asked.pop("roots", office.roots()), **asked))
    assert answer.code == (code_20 if car.is_20 else code_2), answer.message
    assert len(answer.octets) < 60, "nothing is in it"
    return answer.message


def revoked(office: Office, certificate: Certificate, reason: Reason = Reason.UNSPECIFIED) -> None:
    (entry,) = office.world.ledger.find(serial=certificate.serial)
    office.world.authority.revoke([entry], reason, door="test")
    office.backend.issuers.reload()


def test_the_session_of_the_request_is_that_of_the_answer(office: Office, suite: Suite) -> None:
    car, _ = new(office, suite)
    for session in (b"", b"\x01", bytes(8), b"\xff" * 8):
        if car.is_20 and len(session) != 8:
            continue
        answer = office.call("POST", INSTALLATION, {"v2gMessage": text(car.request(office.roots(), session=session))})
        octets = base64.b64decode(answer["data"]["v2gMessage"])
        read = decode(octets, ISO_20 if car.is_20 else ISO_2).value
        assert read.Header.SessionID == session


def test_a_car_without_a_contract_is_told_so(office: Office, suite: Suite) -> None:
    car = office.car(f"pcid{next(_numbers)}", suite)
    said = code(office, car, "FAILED_NoCertificateAvailable", "WARNING_NoContractMatchingPCIDFound")
    assert "no contract for this key" in said


def test_a_contract_that_was_ended_is_told_apart_from_none(office: Office, suite: Suite) -> None:
    car, (contract,) = new(office, suite)
    office.data("DELETE", CONTRACT, {"subjectDn": str(contract.certificate.subject)})
    code(office, car, "FAILED_ContractCanceled", "WARNING_NoCertificateAvailable")


def test_a_revoked_car_is_told_so(office: Office, suite: Suite) -> None:
    car, _ = new(office, suite)
    revoked(office, car.certificate)
    code(office, car, "FAILED_CertificateRevoked", "WARNING_CertificateRevoked")


def test_a_car_of_an_unknown_maker_is_told_so(office: Office, suite: Suite, tmp_path: Path) -> None:
    with opened(World.made(tmp_path / "maker", edition_2022=True)) as maker:
        stranger = maker.car("WMIV1234567890ABCD", suite)
        (entry,) = maker.world.ledger.find(serial=stranger.certificate.serial)
        stranger.between = maker.world.chain(entry)[1:-1]
    code(office, stranger, "FAILED_CertChainError", "WARNING_CertificateValidationError")


def test_what_another_key_has_signed_is_a_signature_error(office: Office, suite: Suite) -> None:
    car, _ = new(office, suite)
    code(office, car, "FAILED_SignatureError", "FAILED_SignatureError", signer=suites.generate(suite))


def test_a_message_that_nobody_signed_is_a_signature_error(office: Office, suite: Suite) -> None:
    car, _ = new(office, suite)
    schema = ISO_20 if car.is_20 else ISO_2
    value = decode(car.request(office.roots()), schema).value
    bare = msgspec.structs.replace(value, Header=msgspec.structs.replace(value.Header, Signature=None))
    answer = office.ask(INSTALLATION, encode(bare, schema))
    assert answer.code == "FAILED_SignatureError"
    assert "not signed" in answer.message


@pytest.mark.parametrize("place", [0.2, 0.5, 0.8])
def test_a_message_that_was_changed_is_never_answered_with_a_contract(office: Office, place: float) -> None:
    car, _ = new(office, P256_SHA256)
    octets = bytearray(car.request(office.roots()))
    octets[int(len(octets) * place)] ^= 0x10
    envelope = office.call("POST", INSTALLATION, {"v2gMessage": text(bytes(octets))})
    if envelope["status"] == "success":
        answer = decode(base64.b64decode(envelope["data"]["v2gMessage"]), ISO_2).value.Body.BodyElement
        assert answer.ResponseCode.startswith("FAILED_")
    else:
        assert "v2gMessage cannot be read" in envelope["message"]


def test_an_expired_car_is_told_so_and_so_is_one_from_the_future(tmp_path: Path) -> None:
    for suite in (P256_SHA256, P521_SHA512):
        with opened(World.made(tmp_path / suite.name)) as office:
            car, _ = new(office, suite)
            office.world.clock.turn(days=-1)
            code(office, car, "FAILED_CertChainError", "WARNING_CertificateNotYetValid")
            office.world.clock.turn(days=4 * 365 + 3)
            code(office, car, "FAILED_CertificateExpired", "WARNING_CertificateExpired")


def test_an_expired_contract_is_not_handed_out(tmp_path: Path) -> None:
    for suite in (P256_SHA256, P521_SHA512):
        with opened(World.made(tmp_path / suite.name)) as office:
            car, (contract,) = new(office, suite)
            office.world.clock.turn(days=2 * 365 + 2)
            said = code(office, car, "FAILED_NoCertificateAvailable", "WARNING_NoCertificateAvailable")
            assert "expired" in said
            if not car.is_20:
                answer = office.ask(UPDATE, update_request(contract, office.roots()))
                assert answer.code == "FAILED_CertificateExpired"
                assert answer.body.RetryCounter is None


def test_a_message_of_one_edition_with_a_key_of_the_other_is_refused(office: Office) -> None:
    car, _ = new(office, P521_SHA512)
    body = iso2.CertificateInstallationReq(
        Id="id1",
        OEMProvisioningCert=car.certificate.der[:800],
        ListOfRootCertificateIDs=iso2.ListOfRootCertificateIDsType(RootCertificateID=ids(office.roots())),
    )
    assert office.ask(INSTALLATION, signed_2(body, suites.generate(P256_SHA256))).code == "FAILED_CertChainError"
    body = msgspec.structs.replace(body, OEMProvisioningCert=car.certificate.der)
    answer = office.ask(INSTALLATION, signed_2(body, suites.generate(P256_SHA256)))
    assert answer.code == "FAILED_CertChainError"
    assert "the other edition" in answer.message


# ListOfRootCertificateIDs


def test_a_car_gets_nothing_that_it_could_not_anchor(office: Office, suite: Suite) -> None:
    car, _ = new(office, suite)
    said = code(
        office, car, "FAILED_NoCertificateAvailable", "WARNING_NoCertificateAvailable", roots=office.roots("OEM")
    )
    assert "ListOfRootCertificateIDs" in said


def test_the_names_of_roots_are_compared_as_names(office: Office) -> None:
    car, _ = new(office, P256_SHA256)
    (root,) = [each for each in office.roots() if suites.suite_of(each.public_key) is P256_SHA256]
    parts = str(root.issuer).split(",")
    spellings = [
        str(root.issuer),
        ", ".join(parts),
        ",".join(reversed(parts)),
        str(root.issuer).upper(),
        ",".join(part.lower() for part in parts),
    ]
    assert len(set(spellings)) == len(spellings)
    wrong = ["CN=another", "no name", "", f"{root.issuer},OU=another"]
    for name in spellings + wrong:
        listed = iso2.ListOfRootCertificateIDsType(
            RootCertificateID=(X509IssuerSerialType(X509IssuerName=name, X509SerialNumber=root.serial),)
        )
        body = iso2.CertificateInstallationReq(
            Id="id1", OEMProvisioningCert=car.certificate.der, ListOfRootCertificateIDs=listed
        )
        answer = office.ask(INSTALLATION, signed_2(body, car.key))
        assert (answer.code == "OK") == (name in spellings), name


# CertificateUpdateReq


def test_an_update_wants_the_contract_s_own_name_key_and_chain(office: Office) -> None:
    car, (contract,) = new(office, P256_SHA256)
    office.data("PUT", CONTRACT, {"dhCert": text(contract.certificate.der), "emaid": contract.emaid})
    roots = office.roots()
    assert office.ask(UPDATE, update_request(contract, roots, signer=car.key)).code == "FAILED_SignatureError"
    other = office.ask(UPDATE, update_request(contract, roots, emaid="DEABCC12345678"))
    assert other.code == "FAILED_NoCertificateAvailable"
    assert "not of DEABCC12345678" in other.message
    assert office.ask(UPDATE, update_request(contract, office.roots("MO"))).code == "FAILED_NoCertificateAvailable"
    bare = replace(contract, chain=contract.chain[:1])
    stranger = replace(contract, chain=[car.certificate, *contract.chain[1:]], key=car.key)
    assert office.ask(UPDATE, update_request(stranger, roots)).code == "FAILED_CertChainError"
    assert office.ask(UPDATE, update_request(bare, roots)).code == "OK", "sub-CAs of ours need not be sent"


def test_a_superseded_certificate_fetches_its_own_renewal_and_a_revoked_one_nothing(office: Office) -> None:
    _, (contract,) = new(office, P256_SHA256)
    revoked(office, contract.certificate, Reason.SUPERSEDED)
    assert office.ask(UPDATE, update_request(contract, office.roots())).code == "FAILED_CertificateRevoked"
    _, (contract,) = new(office, P256_SHA256)
    body = {"dhCert": text(contract.certificate.der), "emaid": contract.emaid}
    office.data("PUT", CONTRACT, body)
    revoked(office, contract.certificate, Reason.KEY_COMPROMISE)
    assert office.ask(UPDATE, update_request(contract, office.roots())).code == "FAILED_CertificateRevoked"


# -20: several contracts


def emaids(office: Office, car: Car, times: int, **asked: Any) -> list[tuple[str, int]]:
    """Which contracts come with so many requests in one session, and how many remain after each."""
    request = car.request(office.roots(), **asked)
    contracts = [car.open(office.ask(INSTALLATION, request).octets) for _ in range(times)]
    return [(each.emaid, each.remaining) for each in contracts]


def test_a_car_of_20_asks_with_the_same_message_until_nothing_remains(office: Office) -> None:
    car, contracts = new(office, P521_SHA512, 3)
    newest = [each.emaid for each in reversed(contracts)]
    assert emaids(office, car, 3, most=255) == [(newest[0], 2), (newest[1], 1), (newest[2], 0)]
    assert emaids(office, car, 4, most=255) == [(newest[0], 2), (newest[1], 1), (newest[2], 0), (newest[0], 2)]


def test_a_new_session_begins_anew(office: Office) -> None:
    car, contracts = new(office, P521_SHA512, 2)
    assert emaids(office, car, 1, most=2) == [(contracts[1].emaid, 1)]
    request = car.request(office.roots(), most=2, session=bytes(8))
    answer = office.call("POST", INSTALLATION, {"v2gMessage": text(request)})
    again = car.open(base64.b64decode(answer["data"]["v2gMessage"]))
    assert (again.emaid, again.remaining) == (contracts[1].emaid, 1)


def test_no_more_contracts_than_the_car_has_room_for(office: Office) -> None:
    car, contracts = new(office, P521_SHA512, 3)
    assert emaids(office, car, 2, most=1) == [(contracts[2].emaid, 0)] * 2
    assert emaids(office, car, 2, most=2) == [(contracts[2].emaid, 1), (contracts[1].emaid, 0)]
    assert office.ask(INSTALLATION, car.request(office.roots(), most=0)).code == "WARNING_NoCertificateAvailable"


def test_the_emaids_that_a_car_wants_come_first_in_its_order(office: Office) -> None:
    car, contracts = new(office, P521_SHA512, 3)
    first, second, third = (each.emaid for each in contracts)
    wanted = [second, "nobody's", first.upper()]
    assert emaids(office, car, 3, most=3, emaids=wanted) == [(second, 2), (first, 1), (third, 0)]


# what is no answer at all


@pytest.mark.parametrize("path", [INSTALLATION, UPDATE])
def test_only_what_cannot_be_read_is_an_error_of_the_envelope(office: Office, path: str) -> None:
    readable = encode(
        iso2.V2G_Message(
            Header=iso2.MessageHeaderType(SessionID=SESSION),
            Body=iso2.BodyType(BodyElement=iso2.SessionStopReq(ChargingSession="Terminate")),
        ),
        ISO_2,
    )
    empty = encode(iso2.V2G_Message(Header=iso2.MessageHeaderType(SessionID=SESSION), Body=iso2.BodyType()), ISO_2)
    for octets, why in ((readable, "SessionStopReq"), (empty, "empty"), (b"\x80", "cannot be read")):
        said = office.refusal("POST", path, {"v2gMessage": text(octets)})
        assert "v2gMessage" in said
        assert why in said
    assert "not base64" in office.refusal("POST", path, {"v2gMessage": "gJhwGYRUSTDo60..QBWlkNAM2t6+ZE..."})
    assert "cannot be read" in office.refusal("POST", path, {"v2gMessage": "gJhwGYRUSTDo60QBWlkNAM2t6+ZE"})


def test_20_has_no_update(office: Office) -> None:
    car, _ = new(office, P521_SHA512)
    said = office.refusal("POST", UPDATE, {"v2gMessage": text(car.request(office.roots()))})
    assert "CertificateInstallationReq, not a CertificateUpdateReq" in said


def _signed_vectors() -> Sequence[bytes]:
    return [bytes.fromhex(msgspec.json.decode(path.read_bytes())["exi_hex"]) for path in VECTORS.glob("*_req_*.json")]


@pytest.mark.parametrize("path", [INSTALLATION, UPDATE])
def test_the_requests_of_others_are_read_and_declined(office: Office, path: str) -> None:
    for octets in _signed_vectors():
        envelope = office.call("POST", path, {"v2gMessage": text(octets)})
        told = envelope["message"]
        assert told.split(":")[0] in ("FAILED_CertChainError", "WARNING_CertificateValidationError") or "not a" in told


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_no_octets_whatever_are_a_fault_of_the_server(office: Office, data: st.DataObject) -> None:
    base = bytearray(data.draw(st.sampled_from(_signed_vectors())))
    for _ in range(data.draw(st.integers(0, 4))):
        base[data.draw(st.integers(0, len(base) - 1))] = data.draw(st.integers(0, 255))
    octets = bytes(base[: data.draw(st.integers(0, len(base)))] if data.draw(st.booleans()) else base)
    for path in (INSTALLATION, UPDATE):
        assert office.call("POST", path, {"v2gMessage": text(octets) or "AA=="})["status"] in ("success", "error")


def test_a_signature_over_the_whole_request_is_taken_as_well(office: Office) -> None:
    car, _ = new(office, P521_SHA512)
    value = decode(car.request(office.roots()), ISO_20).value
    bare = msgspec.structs.replace(value, Header=msgspec.structs.replace(value.Header, Signature=None))
    algorithm = xmldsig.algorithm_of(car.key, ISO_20)
    part = xmldsig.Part("CertificateInstallationReq", bare, ISO_20)
    info = value.Header.Signature.SignedInfo
    reference = msgspec.structs.replace(info.Reference[0], DigestValue=xmldsig.digest(part, algorithm))
    made = xmldsig.signed_info([reference], algorithm)
    octets = algorithm.sign(car.key, encode_fragment("SignedInfo", made, XMLDSIG))
    signature = msgspec.structs.replace(
        value.Header.Signature,
        SignedInfo=made,
        SignatureValue=msgspec.structs.replace(value.Header.Signature.SignatureValue, value=octets),
    )
    header = msgspec.structs.replace(bare.Header, Signature=signature)
    message = encode(msgspec.structs.replace(bare, Header=header), ISO_20)
    assert office.ask(INSTALLATION, message).code == "OK"
