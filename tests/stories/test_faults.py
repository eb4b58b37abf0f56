"""The lab: every fault that a backend can be asked for is found by the car, and named; what is allowed is installed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

from backend import Backend
from voltroot.apis.pnc.client import Client
from voltroot.cli import cli
from voltroot.contract.faults import FAULTS, Conduct, Fault, Level
from voltroot.pki.certificates import Certificate, read_pem
from voltroot.pki.chains import Inputs, Purpose, judge
from voltroot.pki.profiles import Edition

pytestmark = pytest.mark.slow

KINDS = {"-2": ("2", "P-256"), "-20 P-521": ("20", "P-521"), "-20 Ed448": ("20", "Ed448")}
NUMBERS = count()


def cases(*levels: Level) -> list[Any]:
    """Every row of the table with every kind of car that it is for."""
    # A key on X448 has no leading zeros to lose, which the lab says.
    return [
        pytest.param(fault, kind, id=f"{fault.name} {kind}")
        for fault in FAULTS.values()
        for kind, (iso, suite) in KINDS.items()
        if fault.level in levels
        and (Edition.ISO15118_2 if iso == "2" else Edition.ISO15118_20) in fault.editions
        and (fault.name, suite) != ("leading_zero", "Ed448")
    ]


@pytest.fixture
def car(backend: Backend, tmp_path: Path) -> Callable[[str], Path]:
    def made(kind: str) -> Path:
        iso, suite = KINDS[kind]
        folder = tmp_path / "car"
        words = ["--iso", iso, "--suite", suite, "--api", backend.url, "--car", folder]
        assert ev("provision", f"faulty-{next(NUMBERS)}", *words).exit_code == 0
        return folder

    return made


def ev(*words: Any) -> Any:
    return CliRunner().invoke(cli, ["ev", *map(str, words)])


def came(*words: Any) -> dict[str, Any]:
    """What came of the one response that a command got; its exit code says the same."""
    done = ev(*words, "--json")
    document = json.loads(done.output)
    assert done.exit_code == (0 if document["installed"] else 1)
    (response,) = document["responses"]
    return response  # type: ignore[no-any-return]


def found(response: dict[str, Any]) -> tuple[str, str] | None:
    """At which part the car stopped, or else what it remarked."""
    for check in response["checks"]:
        if name := check["fault"] or check["remark"]:
            return check["part"], name
    return None


def wanted(fault: Fault, kind: str) -> tuple[str, str]:
    return fault.found_20 or fault.found if kind.startswith("-20") else fault.found


@pytest.mark.parametrize(("fault", "kind"), cases(*Level))
def test_each_fault_of_a_contract_is_found_and_named(fault: Fault, kind: str, car: Any) -> None:
    folder, emaid = car(kind), f"contract-{next(NUMBERS)}"
    response = came("install", "--order", emaid, "--fault", fault.name, "--car", folder)
    if fault.car is Conduct.INSTALLS_UNKNOWING:
        assert found(response) is None
        assert ev("pay", "--car", folder).exit_code == 1
        response = came("install", "--status", "--car", folder)
    assert found(response) == wanted(fault, kind)
    assert (response["stopped"] is None) == (fault.car is Conduct.INSTALLS)
    if fault.car is Conduct.INSTALLS:
        assert ev("pay", "--car", folder).output == f"{emaid}: OK\n"


@pytest.mark.parametrize(("fault", "kind"), cases(Level.MESSAGE))
def test_a_fault_of_one_answer_is_gone_with_the_next(fault: Fault, kind: str, car: Any) -> None:
    folder = car(kind)
    came("install", "--order", f"contract-{next(NUMBERS)}", "--car", folder)
    assert found(came("install", "--fault", fault.name, "--car", folder)) == wanted(fault, kind)
    assert found(came("install", "--car", folder)) is None


@pytest.mark.parametrize("element", FAULTS["digest"].values)
def test_the_digest_of_any_reference_may_be_wrong(element: str, car: Any) -> None:
    folder = car("-2")
    response = came("install", "--order", f"c-{next(NUMBERS)}", "--fault", f"digest:{element}", "--car", folder)
    assert found(response) == ("signature", "signature.digest")
    assert element in response["stopped"]["text"]


def test_any_response_code_may_be_chosen(car: Any) -> None:
    folder = car("-2")
    came("install", "--order", f"contract-{next(NUMBERS)}", "--car", folder)
    for code in ("FAILED_ContractCanceled", "FAILED_CertificateRevoked"):
        response = came("install", "--fault", f"response_code:{code}", "--car", folder)
        assert response["stopped"]["text"] == code


def test_libcbv2gs_digest_of_emaid_is_taken_only_where_that_is_wanted(car: Any) -> None:
    folder = car("-2")
    assert came("install", "--order", f"c-{next(NUMBERS)}", "--fault", "libcbv2g_emaid", "--car", folder)["stopped"]
    assert came("install", "--libcbv2g", "--car", folder)["stopped"] is None


@pytest.mark.parametrize("name", ["digest:DHpublickey", "key_mismatch", "expired", "wrong_session"])
def test_a_renewal_may_be_faulty_too_and_the_car_keeps_what_it_has(name: str, car: Any) -> None:
    folder, emaid = car("-2"), f"contract-{next(NUMBERS)}"
    came("install", "--order", emaid, "--car", folder)
    response = json.loads(ev("update", "--renew", "--fault", name, "--car", folder, "--json").output)["responses"][0]
    assert found(response) == FAULTS[name.partition(":")[0]].found
    shown = json.loads(ev("show", "--car", folder, "--json").output)
    assert [each["current"] for each in shown["contracts"]] == [True]


OF_LEAVES = [case for case in cases(Level.CERTIFICATE) if case.values[0].name != "revoked_at_birth"]


@pytest.mark.parametrize(("fault", "kind"), OF_LEAVES)
def test_each_fault_of_a_provisioning_certificate_is_found_and_named(
    fault: Fault, kind: str, backend: Backend, tmp_path: Path
) -> None:
    iso, suite = KINDS[kind]
    words = ["--iso", iso, "--suite", suite, "--api", backend.url, "--car", tmp_path / "car", "--json"]
    done = ev("provision", f"faulty-{next(NUMBERS)}", "--fault", fault.name, *words)
    told = json.loads(done.output)
    assert (done.exit_code, told["kept"]) == (1, False)
    assert told["stopped"]["fault"] == fault.found[1]
    assert not (tmp_path / "car" / "provisioning.pem").exists()


def test_a_bad_certificate_may_be_kept_to_see_what_the_backend_makes_of_it(backend: Backend, tmp_path: Path) -> None:
    words = ["--fault", "expired", "--anyway", "--api", backend.url, "--car", tmp_path]
    assert "The car is in" in ev("provision", f"faulty-{next(NUMBERS)}", *words).output
    assert came("install", "--car", tmp_path)["stopped"]["text"] == "FAILED_CertificateExpired"


@pytest.mark.parametrize("fault", [case.values[0] for case in OF_LEAVES[::3]], ids=str)
@pytest.mark.parametrize("edition", [Edition.ISO15118_2, Edition.ISO15118_20])
def test_each_fault_of_a_stations_certificate_is_seen_by_a_judge(
    fault: Fault, edition: Edition, backend: Backend
) -> None:
    client = Client(backend.url)
    reply = client.issue_secc(f"station-{next(NUMBERS)}", edition=edition.value, fault=fault.name)
    _, own, above = pkcs12.load_key_and_certificates(reply.octets("pfxCert"), b"123123")
    chain = [Certificate.read(each.public_bytes(Encoding.DER)) for each in (own, *above)][:-1]
    roots = [Certificate.read(octets) for _, octets in read_pem(client.fetch("/ca/roots.pem").decode())]
    judgement = judge(chain, roots, datetime.now(UTC), inputs=Inputs(purpose=Purpose.SECC))
    assert judgement.deciding is not None
    assert judgement.deciding.rule == fault.found[1]


def test_what_the_lab_does_not_know_is_named_with_what_it_knows(backend: Backend, car: Any) -> None:
    folder = car("-20 Ed448")
    for name, words in (
        ("nonsense", "expired, not_yet_valid"),
        ("expired:twice", "write the name alone"),
        ("digest:nothing", "ContractSignatureCertChain"),
        ("libcbv2g_emaid", "ISO15118-2 only"),
        ("leading_zero", "X448"),
    ):
        done = ev("install", "--order", "any", "--fault", name, "--car", folder)
        assert done.exit_code == 1
        assert words in str(done.exception), name
    done = ev("install", "--fault", "expired", "--car", folder)
    assert "this call makes a message" in str(done.exception)
