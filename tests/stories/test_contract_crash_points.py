"""A backend that dies between any two steps of making, renewing or handing out a contract: it stands whole, or not."""

from __future__ import annotations

import base64
import sqlite3
import time
from contextlib import closing
from itertools import count

import pytest

from backend import Backend
from contracting import CONTRACT, INSTALLATION, UPDATE, Abroad, Car, Contract, text, update_request
from stories.test_crash_points import LEASE, killed_at
from voltroot.pki.suites import P256_SHA256, P521_SHA512, Suite

pytestmark = pytest.mark.slow

HALF = "SELECT state, count(*) FROM packages JOIN certificates ON certificate = number GROUP BY state"
# Superseded certificates whose contract has no newer one that was delivered.
LOST = """
    SELECT count(*) FROM certificates AS old WHERE state = 'revoked' AND reason = 4 AND profile LIKE 'CONTRACT%'
    AND NOT EXISTS (SELECT * FROM packages JOIN certificates AS new ON certificate = new.number
        WHERE new.name = old.name AND new.number > old.number AND delivered IS NOT NULL)
"""


def records(backend: Backend, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(backend.data / "ledger.db")) as connection:
        return connection.execute(query).fetchall()


def check(backend: Backend) -> None:
    """No package without its certificate but for the lease of a reservation; nothing revoked that has no successor."""
    assert {state for state, _ in records(backend, HALF)} <= {"valid", "revoked", "reserved"}
    assert records(backend, LOST) == [(0,)]


def held(office: Abroad, car: Car) -> Contract | None:
    """What a car is given, which has to open; None where there is no contract."""
    answer = office.ask(INSTALLATION, car.request(office.roots()))
    if answer.code in ("FAILED_NoCertificateAvailable", "WARNING_NoContractMatchingPCIDFound"):
        return None
    assert answer.code == "OK", answer.message
    return car.open(answer.octets)


# A write that completes a commit is its last one, so none is left to die at between that and the answer.
CALLS = [("fdatasync", True), pytest.param("pwrite64", False, marks=pytest.mark.soak)]


@pytest.mark.parametrize(("call", "dies_after_the_commit"), CALLS)
def test_a_contract_is_made_whole_or_not_at_all(own_backend: Backend, call: str, dies_after_the_commit: bool) -> None:
    office = Abroad(own_backend)
    car = office.car()
    made, lost, kept = [], [], 0
    # What else syncs at that moment, such as the audit log, may take the kill: then it is tried again.
    for attempt in range(5):
        for turn in count(1):
            body = {"dhCert": text(car.certificate.der), "emaid": f"emaid{attempt}x{turn}"}
            lived = not killed_at(own_backend, call, turn, "POST", CONTRACT, body)
            check(own_backend)
            contract = held(office, car)
            if contract is not None and contract.emaid == body["emaid"]:
                made.append(body)
                kept += not lived
            else:
                assert not lived
                lost.append(body)
            if lived:
                break
        if lost and (kept or not dies_after_the_commit):
            break
    assert lost, "it syncs before it signs"
    assert kept or not dies_after_the_commit, "it syncs before it answers"
    time.sleep(LEASE + 2)
    for body in made:
        assert "occupied" in office.refusal("POST", CONTRACT, body)
    for body in lost:
        assert car.open(base64.b64decode(office.data("POST", CONTRACT, body)["certInstRes"])).emaid == body["emaid"]
    assert {state for state, _ in records(own_backend, HALF)} == {"valid"}


@pytest.mark.parametrize("suite", [P256_SHA256, P521_SHA512], ids=lambda suite: suite.name)
def test_a_renewal_is_made_whole_or_not_at_all_and_supersedes_nothing_yet(own_backend: Backend, suite: Suite) -> None:
    office = Abroad(own_backend)
    car = office.car(suite=suite)
    old = office.order(car)
    body = {"dhCert": text(old.certificate.der), "emaid": old.emaid}
    for turn in count(1):
        lived = not killed_at(own_backend, "fdatasync", turn, "PUT", CONTRACT, body)
        check(own_backend)
        assert records(own_backend, "SELECT count(*) FROM revocations WHERE reason = 4") == [(0,)]
        if lived:
            break
    assert turn > 2, "it syncs before it signs, and before it answers"
    assert held(office, car) is not None


@pytest.mark.parametrize("suite", [P256_SHA256, P521_SHA512], ids=lambda suite: suite.name)
def test_the_old_certificate_goes_only_when_the_new_one_was_handed_out(own_backend: Backend, suite: Suite) -> None:
    office = Abroad(own_backend)
    car = office.car(suite=suite)
    contract = office.order(car)
    for turn in count(1):
        body = {"dhCert": text(contract.certificate.der), "emaid": contract.emaid}
        made = office.data("PUT", CONTRACT, body)
        path, request, key = INSTALLATION, car.request(office.roots()), car
        if suite is P256_SHA256:
            path, request = UPDATE, update_request(contract, office.roots())
            key = Car(contract.certificate, contract.key)
        lived = not killed_at(own_backend, "fdatasync", turn, "POST", path, {"v2gMessage": text(request)})
        check(own_backend)
        answer = office.ask(path, request)
        assert answer.code == "OK", answer.message
        new = key.open(answer.octets)
        assert new.certificate == key.open(base64.b64decode(made[list(made)[1]])).certificate
        query = f"SELECT state, reason FROM certificates WHERE hex(serial) = '{contract.certificate.serial:040X}'"
        assert records(own_backend, query) == [("revoked", 4)]
        contract = new
        if lived:
            break
    assert turn > 2, "handing out and revoking are two commits"
    valid = "SELECT count(*) FROM certificates WHERE profile LIKE 'CONTRACT%' AND state = 'valid'"
    assert records(own_backend, valid) == [(1,)]
