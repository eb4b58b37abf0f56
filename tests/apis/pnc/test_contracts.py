"""Sections 3.3 and 3.4 of the manual as its users meet them: contracts made, fetched, renewed, ended and judged."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from contracting import CONTRACT, INSTALLATION, PAYMENT, UPDATE, Car, Contract, Office, opened, text, update_request
from voltroot.app import config
from voltroot.pki import crls
from voltroot.pki.certificates import Certificate, pem
from voltroot.pki.ports import Entry, Reason, State
from voltroot.pki.suites import ED448, P256_SHA256, P521_SHA512, Suite
from voltroot.terms import emaid_check_digit
from world import World

SUITES = pytest.mark.parametrize("suite", [P256_SHA256, P521_SHA512, ED448], ids=lambda suite: suite.name)


@pytest.fixture
def office(world: World) -> Iterator[Office]:
    with opened(world) as made:
        yield made


def renewed(office: Office, contract: Contract, member: str = "certUpdtRes") -> bytes:
    """What PUT makes."""
    made = office.data("PUT", CONTRACT, {"dhCert": text(contract.certificate.der), "emaid": contract.emaid})
    assert list(made) == ["version", member]
    return base64.b64decode(made[member])


def state(office: Office, contract: Contract) -> tuple[State, Reason | None]:
    (entry,) = office.world.ledger.find(serial=contract.certificate.serial)
    return entry.state, entry.reason


# 3.3.1 Create contract


@SUITES
def test_a_contract_is_made_in_the_edition_of_the_car_and_opens_there(office: Office, suite: Suite) -> None:
    car = office.car(suite=suite)
    contract = office.order(car)
    assert (contract.emaid, len(contract.chain)) == ("emaid001", 3)
    above = office.world.issuers.standing().chain(
        office.world.ledger.find(serial=contract.certificate.serial)[0].issuer
    )
    assert contract.chain[1:] == above[:-1]
    assert office.ask(INSTALLATION, car.request(office.roots())).code == "OK"


def test_a_certificate_is_taken_in_pem_as_well(office: Office) -> None:
    car = office.car()
    made = office.data("POST", CONTRACT, {"dhCert": pem("CERTIFICATE", car.certificate.der), "emaid": "emaid001"})
    assert car.open(base64.b64decode(made["certInstRes"])).emaid == "emaid001"


def test_the_contract_s_key_is_nowhere_but_in_the_car(office: Office) -> None:
    contract = office.order(office.car())
    scalar = contract.key.private_numbers().private_value.to_bytes(32)
    kept = [path for path in office.world.folder.rglob("*") if path.is_file()]
    assert kept
    for path in kept:
        octets = path.read_bytes()
        assert scalar not in octets
        assert scalar.hex().encode() not in octets
    (entry,) = office.world.ledger.find(serial=contract.certificate.serial)
    assert office.world.ledger.sealed_key(entry.number) is None


def test_an_emaid_is_occupied_in_every_spelling_while_its_contract_is_valid_and_free_again_after(
    office: Office,
) -> None:
    car, other = office.car(), office.car("WMIV1234567890ABCE")
    contract = office.order(car, "DE-8AA-CA2B3C4D5")
    for spelling in ("DE-8AA-CA2B3C4D5", "DE8AACA2B3C4D5", "de8aaca2b3c4d5"):
        assert "occupied" in office.refusal(
            "POST", CONTRACT, {"dhCert": text(other.certificate.der), "emaid": spelling}
        )
    office.data("DELETE", CONTRACT, {"subjectDn": str(contract.certificate.subject)})
    assert office.order(other, "DE8AACA2B3C4D5").emaid == "DE8AACA2B3C4D5"


def test_a_car_may_have_several_contracts_and_2_gets_the_newest(office: Office) -> None:
    car = office.car()
    first, second = office.order(car, "emaid001"), office.order(car, "emaid002")
    fetch = car.request(office.roots())
    assert car.open(office.ask(INSTALLATION, fetch).octets).emaid == "emaid002"
    office.data("DELETE", CONTRACT, {"subjectDn": str(second.certificate.subject)})
    assert car.open(office.ask(INSTALLATION, fetch).octets).certificate == first.certificate


def _refused(office: Office, certificate: Certificate) -> str:
    return office.refusal("POST", CONTRACT, {"dhCert": text(certificate.der), "emaid": "emaid001"})


def test_a_car_whose_certificate_does_not_hold_gets_no_contract_and_is_told_why(office: Office) -> None:
    car, revoked = office.car(), office.car("WMIV1234567890ABCE")
    office.data("DELETE", "/api/v2/oem/provCert", {"subjectDn": str(revoked.certificate.subject)})
    said = _refused(office, revoked.certificate)
    assert said.startswith("dhCert: FAILED_CertChainError: ")
    assert "WMIV1234567890ABCE" in said
    assert "revoked" in said
    secc = office.world.issue("SECC_2", "secc001").read()
    assert "FAILED_CertChainError" in _refused(office, secc)
    changed = bytearray(car.certificate.der)
    changed[-1] ^= 1
    assert "FAILED_CertChainError" in _refused(office, Certificate.read(bytes(changed)))
    office.world.clock.turn(days=5 * 365)
    said = _refused(office, car.certificate)
    assert said.startswith("dhCert: FAILED_CertificateExpired: ")
    assert office.refusal("POST", CONTRACT, {"dhCert": "nonsense!", "emaid": "x"}).startswith(
        "dhCert is no certificate"
    )
    assert office.world.ledger.find(profiles=["CONTRACT_2"]) == []


def test_only_a_strict_deployment_minds_the_form_of_an_emaid(world: World) -> None:
    digit = emaid_check_digit("DEABCC12345678")
    with opened(world, contract=config.Contract(strict_emaid=True)) as office:
        car = office.car()
        for wrong in ("emaid001", "DE-ABC-C12345678", f"DEABCC12345678{'0' if digit != '0' else '1'}"):
            said = office.refusal("POST", CONTRACT, {"dhCert": text(car.certificate.der), "emaid": wrong})
            assert said.startswith("emaid: ")
        for right in ("DEABCC12345679", f"DEABCC12345678{digit}"):
            assert office.order(car, right).emaid == right


def test_the_version_of_messages_is_configuration(world: World) -> None:
    with opened(world, contract=config.Contract(version="iso-2")) as office:
        body = {"dhCert": text(office.car().certificate.der), "emaid": "emaid001"}
        assert office.data("POST", CONTRACT, body)["version"] == "iso-2"


def test_the_sealing_of_20_is_bound_to_the_length_of_the_key_identifier_that_is_configured(world: World) -> None:
    with opened(world, contract=config.Contract(short_key_identifier=False)) as office:
        contract = office.order(office.car(suite=P521_SHA512))
    assert len(contract.certificate.subject_key_identifier or b"") == 20
    with opened(world) as office:
        contract = office.order(office.car("WMIV1234567890ABCE", P521_SHA512), "emaid002")
    assert len(contract.certificate.subject_key_identifier or b"") == 8


# 3.3.2 Renew contract


def test_a_renewal_of_2_is_fetched_by_the_old_contract_which_is_then_superseded(office: Office) -> None:
    car = office.car()
    contract = office.order(car)
    ask = update_request(contract, office.roots())
    assert office.ask(UPDATE, ask).code == "FAILED_NoCertificateAvailable"
    old = Car(contract.certificate, contract.key)
    assert old.open(renewed(office, contract)).certificate != contract.certificate
    assert state(office, contract) == (State.VALID, None), "nothing is revoked before the car has the new one"
    answer = office.ask(UPDATE, ask)
    assert (answer.code, answer.body.RetryCounter) == ("OK", None)
    new = old.open(answer.octets)
    assert state(office, contract) == (State.REVOKED, Reason.SUPERSEDED)
    assert state(office, new)[0] is State.VALID
    assert old.open(office.ask(UPDATE, ask).octets).certificate == new.certificate, "it may ask as often as it likes"
    # What was sealed to the provisioning key is superseded: the car has the other.
    assert office.ask(INSTALLATION, car.request(office.roots())).code == "FAILED_NoCertificateAvailable"
    # The next renewal is sealed to the new key, and the first one's time is over.
    renewed(office, new)
    assert office.ask(UPDATE, update_request(new, office.roots())).code == "OK"
    assert office.ask(UPDATE, ask).code != "OK"


def test_of_two_renewals_the_newest_is_fetched_and_the_other_goes_with_the_old(office: Office) -> None:
    contract = office.order(office.car())
    old = Car(contract.certificate, contract.key)
    first, second = (old.open(renewed(office, contract)) for _ in range(2))
    assert (
        old.open(office.ask(UPDATE, update_request(contract, office.roots())).octets).certificate == second.certificate
    )
    assert [state(office, each)[0] for each in (contract, first, second)] == [State.REVOKED, State.REVOKED, State.VALID]


@pytest.mark.parametrize("suite", [P256_SHA256, P521_SHA512], ids=lambda suite: suite.name)
def test_a_renewal_may_supersede_at_once(world: World, suite: Suite) -> None:
    with opened(world, contract=config.Contract(revoke="at-once")) as office:
        car = office.car(suite=suite)
        contract = office.order(car)
        renewed(office, contract, "certInstRes" if car.is_20 else "certUpdtRes")
        assert state(office, contract) == (State.REVOKED, Reason.SUPERSEDED)
        if car.is_20:
            assert office.ask(INSTALLATION, car.request(office.roots())).code == "OK"
        else:
            assert office.ask(UPDATE, update_request(contract, office.roots())).code == "OK"


@pytest.mark.parametrize("suite", [P521_SHA512, ED448], ids=lambda suite: suite.name)
def test_a_renewal_of_20_is_sealed_to_the_provisioning_key_and_fetched_by_installation(
    office: Office, suite: Suite
) -> None:
    car = office.car(suite=suite)
    contract = office.order(car)
    new = car.open(renewed(office, contract, "certInstRes"))
    assert state(office, contract)[0] is State.VALID
    assert car.open(office.ask(INSTALLATION, car.request(office.roots())).octets).certificate == new.certificate
    assert state(office, contract) == (State.REVOKED, Reason.SUPERSEDED)


def test_what_a_crash_left_over_between_handing_out_and_revoking_is_swept_up(office: Office) -> None:
    contract = office.order(office.car())
    new = Car(contract.certificate, contract.key).open(renewed(office, contract))
    assert office.backend.contracts.mo.supersede() == []
    (entry,) = office.world.ledger.find(serial=new.certificate.serial)
    office.world.pool.deliver(entry.number, b"session")
    (swept,) = office.backend.contracts.mo.supersede()
    assert (swept.serial, swept.reason) == (contract.certificate.serial, Reason.SUPERSEDED)
    assert office.backend.contracts.mo.supersede() == []


def test_only_a_contract_of_ours_that_is_good_and_of_that_emaid_is_renewed(office: Office) -> None:
    car = office.car()
    contract = office.order(car)
    body = {"dhCert": text(contract.certificate.der), "emaid": "emaid001"}
    assert "not of emaid002" in office.refusal("PUT", CONTRACT, body | {"emaid": "emaid002"})
    assert "create a contract" in office.refusal("PUT", CONTRACT, body | {"dhCert": text(car.certificate.der)})
    office.data("DELETE", CONTRACT, {"subjectDn": str(contract.certificate.subject)})
    assert "revoked" in office.refusal("PUT", CONTRACT, body)
    again = office.order(car)
    office.world.clock.turn(days=2 * 365 + 1)
    body["dhCert"] = text(again.certificate.der)
    assert "FAILED_CertificateExpired" in office.refusal("PUT", CONTRACT, body)


def test_while_no_renewal_is_ready_the_car_is_told_when_to_ask_again(world: World) -> None:
    with opened(world, contract=config.Contract(retry_counter=-1)) as office:
        contract = office.order(office.car())
        answer = office.ask(UPDATE, update_request(contract, office.roots()))
        assert (answer.code, answer.body.RetryCounter) == ("FAILED_NoCertificateAvailable", -1)


# 3.3.3 Revoke contract


def test_a_contract_is_ended_by_its_subject_dn_and_no_longer_handed_out(office: Office) -> None:
    car = office.car()
    contract = office.order(car)
    dn = {"subjectDn": contract.certificate.subject.print()}
    answers = [office.data("DELETE", CONTRACT, dn) for _ in range(2)]
    assert [answer["resultCode"] for answer in answers] == ["4000", "4002"]
    assert answers[0]["serial"] == str(contract.certificate.serial)
    never = {"subjectDn": "CN=emaid009,DC=MO,OU=autocrypt,O=verisco GmbH,C=DE"}
    assert office.data("DELETE", CONTRACT, never)["resultCode"] == "4003"
    assert office.ask(INSTALLATION, car.request(office.roots())).code == "FAILED_ContractCanceled"
    assert office.ask(UPDATE, update_request(contract, office.roots())).code == "FAILED_CertificateRevoked"


# 3.3.4 Verify contract certificate


def paid(office: Office, chain: list[Certificate]) -> tuple[str, str]:
    members = dict(zip(("leaf", "subca2", "subca1"), (text(each.der) for each in chain), strict=True))
    envelope = office.call("POST", PAYMENT, members)
    assert envelope["status"] == "success"
    return envelope["data"]["resCode"], envelope["message"]


@SUITES
def test_a_contract_s_chain_is_judged_in_the_order_of_the_call(office: Office, suite: Suite) -> None:
    contract = office.order(office.car(suite=suite))
    leaf, sub2, sub1 = contract.chain
    assert paid(office, contract.chain) == ("OK", "")
    for wrong in ([leaf, sub1, sub2], [sub2, leaf, sub1], [leaf, leaf, leaf]):
        code, why = paid(office, wrong)
        assert code == "FAILED_CertChainError"
        assert why
    code, why = paid(office, office.world.chain(office.world.issue("SECC_2", "secc001"))[:3])
    assert (code, why.startswith("leaf: ")) == ("FAILED_CertChainError", True)


def test_the_judgement_says_which_certificate_and_why(office: Office) -> None:
    contract = office.order(office.car())
    dn = {"subjectDn": str(contract.certificate.subject)}
    office.data("DELETE", CONTRACT, dn)
    code, why = paid(office, contract.chain)
    assert (code, why.startswith("leaf: "), "revoked" in why) == ("FAILED_CertChainError", True, True)
    other = office.order(office.car("WMIV1234567890ABCE"), "emaid002")
    office.world.clock.turn(days=2 * 365 + 1)
    assert paid(office, contract.chain)[0] == "FAILED_CertChainError", "revoked comes before expired"
    code, why = paid(office, other.chain)
    assert (code, why.startswith("leaf: ")) == ("FAILED_CertificateExpired", True)
    assert office.refusal("POST", PAYMENT, {"leaf": "MII", "subca2": "MII", "subca1": "MII"}).startswith("leaf is no")


def test_a_revoked_certificate_has_its_own_code_where_that_is_configured(world: World) -> None:
    with opened(world, contract=config.Contract(revoked_code="FAILED_CertificateRevoked")) as office:
        contract = office.order(office.car())
        office.data("DELETE", CONTRACT, {"subjectDn": str(contract.certificate.subject)})
        assert paid(office, contract.chain)[0] == "FAILED_CertificateRevoked"


# the certificate of the CPS


def test_what_is_handed_out_is_signed_by_the_cps_of_the_day_and_sealed_as_before(office: Office) -> None:
    car = office.car()
    contract = office.order(car)
    fetch = car.request(office.roots())
    before = office.ask(INSTALLATION, fetch).body
    office.world.clock.turn(days=80)
    office.world.ceremony.renew()
    office.backend.issuers.reload()
    after = office.ask(INSTALLATION, fetch)
    assert after.body.SAProvisioningCertificateChain != before.SAProvisioningCertificateChain
    assert after.body.ContractSignatureEncryptedPrivateKey == before.ContractSignatureEncryptedPrivateKey
    assert car.open(after.octets).certificate == contract.certificate


def test_nothing_is_issued_while_nobody_could_vouch_for_it(office: Office) -> None:
    car = office.car()
    office.world.clock.turn(days=100)
    body = {"dhCert": text(car.certificate.der), "emaid": "emaid001"}
    answer = office.client.request("POST", f"http://testserver{CONTRACT}", json=body)
    assert (answer.status_code, answer.json()["status"]) == (500, "error")
    assert office.world.ledger.find(profiles=["CONTRACT_2"]) == []


# foreign roots


def test_a_foreign_maker_s_car_gets_a_contract_once_its_root_is_configured(world: World, tmp_path: Any) -> None:
    with opened(World.made(tmp_path / "maker", edition_2022=True)) as maker:
        stranger = maker.car()
        (entry,) = maker.world.ledger.find(serial=stranger.certificate.serial)
        chain = maker.world.chain(entry)
    with opened(world) as office:
        assert "FAILED_CertChainError" in _refused(office, stranger.certificate)
    files = [tmp_path / "root.pem", tmp_path / "subs.pem"]
    files[0].write_text(chain[-1].pem)
    files[1].write_text("".join(each.pem for each in chain[1:-1]))
    trust = config.Trust(oem=(str(files[0]),), sub_cas=(str(files[1]),))
    with opened(world, trust=trust) as office:
        contract = office.order(stranger)
        assert office.ask(INSTALLATION, stranger.request(office.roots())).code == "OK"
        assert paid(office, contract.chain)[0] == "OK"
    # The maker revokes its car, and tells so in a CRL.
    maker.world.authority.revoke([entry], Reason.KEY_COMPROMISE, door="test")
    (tmp_path / "sub2.crl").write_bytes(crl_of(maker.world, entry))
    trust = config.Trust(oem=trust.oem, sub_cas=trust.sub_cas, crls=(str(tmp_path / "sub2.crl"),))
    with opened(world, trust=trust) as office:
        assert "revoked" in office.refusal("POST", CONTRACT, {"dhCert": text(stranger.certificate.der), "emaid": "x"})
        assert office.ask(INSTALLATION, stranger.request(office.roots())).code == "FAILED_CertificateRevoked"
        assert office.order(office.car(), "emaid002").emaid == "emaid002", "no CRL is about our own cars"


def crl_of(world: World, entry: Entry) -> bytes:
    """The CRL of the CA that has issued a certificate."""
    issuer = world.issuers.standing().cas[entry.issuer or 0]
    lines = [crls.line(each) for each in world.ledger.revoked_by(issuer.number)]
    signer, moment = world.keyring.signer(issuer.key or ""), world.clock()
    return crls.make(issuer, signer, lines, number=1, this_update=moment, next_update=moment + timedelta(days=7))
