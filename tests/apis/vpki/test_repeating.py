"""A request that has a name is answered once and for all: what is asked again is told again."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from apis.vpki.conftest import PRODUCTS, PROV, Api, Opened, csr, enrol
from voltroot.app.vpki import LOOPBACK
from voltroot.errors import KeyReused, NameTaken
from voltroot.pki.drafts import Order
from voltroot.pki.ports import Reason, State
from voltroot.pki.registrations import Codes, Registration
from voltroot.store.contradictions import contradictions
from voltroot.store.engine import reading
from voltroot.store.register import SqlRegister
from world import World

CODES = Codes("C001", "P001", "SX2", "KR", "HMC")
VERBS = ("issue", "reissue")


def prepared(api: Api, verb: str) -> dict[str, Any]:
    if verb == "reissue":
        api.issued("v1/prov/issue", enrol(csr(PROV)))
    return enrol(csr(PROV))


@pytest.mark.parametrize("verb", VERBS)
def test_the_same_key_and_request_have_the_recorded_answer(api: Api, verb: str) -> None:
    body = prepared(api, verb)
    first = api.call(f"v1/prov/{verb}", body, Idempotency_Key="line-1/4711")
    states = api.states(PROV)
    for again in (body, dict(reversed(body.items()))):
        answer = api.call(f"v1/prov/{verb}", again, Idempotency_Key="line-1/4711")
        assert (answer.status_code, answer.content) == (200, first.content)
    assert api.states(PROV) == states
    assert api.ask(f"v1/prov/{verb}", body) == (403, {"resultMessage": "Same key already used"})


def test_it_has_the_recorded_answer_also_when_the_certificate_is_revoked_by_now(api: Api) -> None:
    body = enrol(csr(PROV))
    first = api.call("v1/prov/issue", body, Idempotency_Key="k")
    api.ask("v1/prov/revoke", {"dn": PROV.dn()})
    assert api.call("v1/prov/issue", body, Idempotency_Key="k").content == first.content


def test_the_same_key_with_another_request_is_refused(api: Api) -> None:
    body = enrol(csr(PROV))
    api.issued("v1/prov/issue", body, Idempotency_Key="k")
    others = {
        "another code": ("v1/prov/issue", body | {"vehicleCode": "X"}),
        "another request": ("v1/prov/issue", enrol(csr(PROV))),
        "another verb": ("v1/prov/reissue", body),
        "another product": ("v1/est/issue", enrol(csr(PRODUCTS[3]))),
    }
    for what, (path, other) in others.items():
        status, answer = api.ask(path, other, Idempotency_Key="k")
        assert (status, answer["resultMessage"][:24]) == (422, "this Idempotency-Key was"), what
    assert api.states(PROV) == ["valid"]


def test_a_refused_request_may_be_mended_under_the_same_key(api: Api) -> None:
    request = csr(PROV)
    assert api.ask("v1/prov/issue", enrol(request, tierCode="P002"), Idempotency_Key="k")[0] == 406
    assert api.ask("v1/prov/issue", enrol(request), Idempotency_Key="k")[0] == 200


@pytest.mark.parametrize("key", ["", "x" * 256, "\x7f"])
def test_a_key_of_another_form_is_refused(api: Api, key: str) -> None:
    assert api.ask("v1/prov/issue", enrol(csr(PROV)), Idempotency_Key=key)[0] == 400


def test_keys_belong_to_their_caller(world: World) -> None:
    body = enrol(csr(PROV))
    with Opened(world) as (api, _):
        api.issued("v1/prov/issue", body, Idempotency_Key="k")
    other = replace(LOOPBACK, name="other")
    with Opened(world, [other]) as (api, _):
        assert api.ask("v1/prov/issue", body, Idempotency_Key="k") == (403, {"resultMessage": "Same key already used"})


def registered(world: World, request: str, digest: bytes = b"d", name: str = "") -> Order:
    """An order as a named request places it."""
    order = world.order("VPKI_PROV_2", name or request, name=name or request)
    order.__dict__.update(registration=Registration("ulsan", CODES, request, digest))
    return order


def test_two_requests_of_one_name_at_once_are_one_certificate(dialected: World) -> None:
    """In one batch, and in transactions that overlap: who comes second gets no certificate and holds nothing."""
    world, register = dialected, SqlRegister(dialected.engine, dialected.clock)
    outcomes = world.authority.issue_all([registered(world, "k", name="a"), registered(world, "k", name="b")])
    assert sum(isinstance(outcome, NameTaken | KeyReused) for outcome in outcomes) == 1
    found = register.find("ulsan", "k")
    assert found is not None
    assert found.entry in outcomes
    free = "b" if outcomes[0] == found.entry else "a"
    assert world.authority.issue(registered(world, "k2", name=free)), "its name is free"
    with reading(world.engine) as connection:
        assert list(contradictions(connection)) == [], "the audit log tells it all"

    results: list[object] = []
    orders = [registered(world, "race", name=f"racer {number}") for number in range(6)]
    threads = [
        threading.Thread(target=lambda one: results.extend(world.authority.issue_all([one])), args=(one,))
        for one in orders
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 6
    assert sum(not isinstance(outcome, Exception) for outcome in results) == 1


def test_a_request_whose_process_died_is_in_progress_until_its_lease_is_over_and_then_free(dialected: World) -> None:
    world, register = dialected, SqlRegister(dialected.engine, dialected.clock)
    order = registered(world, "k")
    world.ledger.reserve([world.authority._draft(order)], world.clock() + timedelta(seconds=20))
    found = register.find("ulsan", "k")
    assert found is not None
    assert (found.digest, found.entry) == (b"d", None)
    world.clock.turn(seconds=25)
    entry = world.authority.issue(order)
    assert entry.state is State.VALID
    found = register.find("ulsan", "k")
    assert found is not None
    assert found.entry == entry


def test_what_is_in_progress_is_told_so(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    body = enrol(csr(PROV))

    def die(*_: object) -> Any:
        raise SystemError("as a power cut does it")

    monkeypatch.setattr(api.world.ledger, "record", die)
    assert api.call("v1/prov/issue", body, Idempotency_Key="k").status_code == 500
    monkeypatch.undo()
    answer = api.call("v1/prov/issue", body, Idempotency_Key="k")
    assert (answer.status_code, answer.headers["retry-after"]) == (409, "1")
    api.world.clock.turn(seconds=12)
    assert api.call("v1/prov/issue", body, Idempotency_Key="k").status_code == 200


def test_what_was_called_for_can_be_counted_and_searched(dialected: World) -> None:
    world, register = dialected, SqlRegister(dialected.engine, dialected.clock)
    for number, vehicle in enumerate(("SX2", "SX2", "CN7")):
        order = registered(world, f"r{number}")
        order.__dict__.update(registration=Registration("ulsan", CODES._replace(vehicle=vehicle)))
        world.authority.issue(order)
    (revoked,) = world.ledger.find(name="r0")
    world.authority.revoke([revoked], Reason.UNSPECIFIED, door="test")
    lines = register.count(["vehicle", "profile"], {"caller": "ulsan"})
    assert [tuple(line) for line in lines] == [
        (("CN7", "VPKI_PROV_2"), 1, 1, 0),
        (("SX2", "VPKI_PROV_2"), 2, 1, 1),
    ]
    assert register.count([], {}, until=revoked.not_before) == []
    ((entry, members),) = register.search({"vehicle": "CN7"}, None, 10)
    assert entry.read().subject.get("CN") == "r2"
    assert members == {"profile": "VPKI_PROV_2", "caller": "ulsan"} | CODES._replace(vehicle="CN7")._asdict()
    assert len(register.search({}, revoked.read().subject.key(), 10)) == 1
