"""A test for each row of each response-code table of the definition, for all five products, from one table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from cryptography import x509

from apis.vpki.conftest import PRODUCTS, Api, Opened, Product, csr, enrol
from voltroot import errors as failures
from voltroot.apis.vpki import errors
from voltroot.errors import Failure, Unavailable
from voltroot.pki import suites
from world import World

ISSUE, REISSUE, REVOKE = "issue", "reissue", "revoke"
MEMBERS = ("Csr", "UnitCode", "TierCode", "VehicleCode", "LocalCode", "BrandCode")
ORDER = ("csr", "unitCode", "tierCode", "vehicleCode", "localCode", "brandCode")


class Row(NamedTuple):
    """One row: for which verbs, what came before and what is asked, the status and the text."""

    verbs: tuple[str, ...]
    name: str
    ask: Callable[[Api, Product, str], Any]
    status: int
    answer: str  # {dn} is the name that was asked for


def good(api: Api, product: Product, verb: str) -> Any:
    if verb == ISSUE:
        return enrol(csr(product))
    api.issued(f"{product.path}/issue", enrol(csr(product)))
    return {"dn": product.dn()} if verb == REVOKE else enrol(csr(product))


def without(member: str) -> Callable[[Api, Product, str], Any]:
    """A request that lacks a member and every one after it: the first is named."""

    def ask(api: Api, product: Product, verb: str) -> Any:
        body = enrol(csr(product))
        return {name: value for name, value in body.items() if ORDER.index(name) < ORDER.index(member)}

    return ask


def empty(member: str, value: object) -> Callable[[Api, Product, str], Any]:
    return lambda api, product, verb: enrol(csr(product)) | {member: value}


def same_key(api: Api, product: Product, verb: str) -> Any:
    key = suites.generate(product.suite)
    api.issued(f"{product.path}/issue", enrol(csr(product, key=key)))
    # Of a name that is free, so that nothing but the key stands against it.
    other = product.subject("OTHER" if verb == ISSUE else "")
    return enrol(csr(product, other, key))


def taken(api: Api, product: Product, verb: str) -> Any:
    api.issued(f"{product.path}/issue", enrol(csr(product)))
    return enrol(csr(product))


def unknown(api: Api, product: Product, verb: str) -> Any:
    return {"dn": product.dn()} if verb == REVOKE else enrol(csr(product))


def revoked(api: Api, product: Product, verb: str) -> Any:
    api.issued(f"{product.path}/issue", enrol(csr(product)))
    assert api.ask(f"{product.path}/revoke", {"dn": product.dn()}) == (200, {})
    return {"dn": product.dn()}


def other_code(**codes: str) -> Callable[[Api, Product, str], Any]:
    return lambda api, product, verb: enrol(csr(product), **codes)


def other_name(place: int, value: str) -> Callable[[Api, Product, str], Any]:
    def ask(api: Api, product: Product, verb: str) -> Any:
        subject = product.subject()
        subject[place] = (subject[place][0], value)
        return enrol(csr(product, subject))

    return ask


def broken(api: Api, product: Product, verb: str) -> Any:
    """A database that does not answer."""

    def fail(*_: object, **__: object) -> Any:
        raise Unavailable("the ledger's database does not answer: a secret of the house")

    body = good(api, product, verb)
    for method in ("reserve", "find"):
        setattr(api.world.ledger, method, fail)
    return body


ENROL = (ISSUE, REISSUE)
ROWS = (
    Row((ISSUE, REISSUE, REVOKE), "done", good, 200, ""),
    *(Row(ENROL, f"without {name}", without(member), 400, f"{name} is empty")
      for name, member in zip(MEMBERS, ORDER, strict=True)),
    *(Row(ENROL, f"{name} {value!r}", empty(member, value), 400, f"{name} is empty")
      for name, member in zip(MEMBERS, ORDER, strict=True) for value in ("", " \n", None)),
    Row((REVOKE,), "no dn", lambda *_: {}, 400, "dn parameter cannot be null"),
    Row((REVOKE,), "dn null", lambda *_: {"dn": None}, 400, "dn parameter cannot be null"),
    Row((REVOKE,), "dn empty", lambda *_: {"dn": " "}, 400, "dn parameter cannot be null"),
    Row(ENROL, "the same key", same_key, 403, "Same key already used"),
    Row((ISSUE,), "a valid certificate", taken, 403, "Valid certificate exists on this DN. Please reissue."),
    Row((REVOKE,), "revoked before", revoked, 403, "already revoked"),
    Row((REISSUE,), "nothing on the DN", unknown, 404, "No certificates on this DN. Please issue first."),
    Row((REVOKE,), "nothing on the DN", unknown, 404, "no cert exists on dn {dn}"),
    Row(ENROL, "another tier", other_code(tierCode="P002"), 406, "DN Format Error: {dn} (Request TierCode: P002)"),
    Row(ENROL, "another unit", other_code(unitCode="C002"), 406, "DN Format Error: {dn} (Request UnitCode: C002)"),
    Row(ENROL, "both others", other_code(unitCode="C002", tierCode="P002"), 406,
        "DN Format Error: {dn} (Request UnitCode: C002, TierCode: P002)"),
    Row(ENROL, "codes swapped", other_code(unitCode="P001", tierCode="C001"), 406,
        "DN Format Error: {dn} (Request UnitCode: P001, TierCode: C001)"),
    Row(ENROL, "another DC or C", other_name(0, "XX"), 406, "DN Format Error: {asked} (Expected: {dn})"),
    Row(ENROL, "another O", other_name(1, "XX"), 406, "DN Format Error: {asked} (Expected: {dn})"),
    Row(ENROL, "another first OU", other_name(2, "XX"), 406, "DN Format Error: {asked} (Expected: {dn})"),
    Row((ISSUE, REISSUE, REVOKE), "the database is away", broken, 500, "Internal Server Error"),
)  # fmt: skip
CASES = [(row, verb, product) for row in ROWS for verb in row.verbs for product in PRODUCTS]


@pytest.mark.parametrize(
    ("row", "verb", "product"), CASES, ids=[f"{product.path}-{verb}-{row.name}" for row, verb, product in CASES]
)
def test_the_answer_is_that_of_the_table(shared: Api, row: Row, verb: str, product: Product) -> None:
    product = product._replace(holder=f"H{CASES.index((row, verb, product)):04}")
    body = row.ask(shared, product, verb)
    answer = shared.call(f"{product.path}/{verb}", body)
    assert answer.status_code == row.status, answer.text
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    if row.status == 200:
        assert list(answer.json()) == ([] if verb == REVOKE else ["cert"])
        return
    asked = row.answer.replace("{asked}", _asked(body, row)) if "{asked}" in row.answer else row.answer
    assert answer.json() == {"resultMessage": asked.replace("{dn}", product.dn())}


def test_every_failure_has_an_answer_of_its_own() -> None:
    kinds = {kind for kind in vars(failures).values() if isinstance(kind, type) and issubclass(kind, Failure)}
    assert kinds == errors.ANSWERS.keys()


def _asked(body: dict[str, str], row: Row) -> str:
    """The name in a request, as the definition prints names; read by a parser that is not ours."""
    request = x509.load_pem_x509_csr(body["csr"].encode())
    pairs = [part.partition("=") for part in request.subject.rfc4514_string().split(",")]
    return ",".join(f"{kind.lower()}={value}" for kind, _, value in pairs)


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return World.made(tmp_path_factory.mktemp("vpki") / "world")


@pytest.fixture
def shared(shared_world: Any) -> Any:
    """One PKI for the whole table; what a row breaks is whole again for the next."""
    with Opened(shared_world) as (api, _):
        yield api
    for method in ("reserve", "find"):
        shared_world.ledger.__dict__.pop(method, None)
