"""A car of the PyPI package ``iso15118`` 0.31.2 asks our CCP for its contract, verifies what comes and opens it."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from contracting import INSTALLATION, SESSION, Car, Office, opened, text
from voltroot.bench.codecs import Codec
from world import World

pytestmark = pytest.mark.slow

ENVIRONMENT = Path(os.environ.get("VOLTROOT_ISO15118", Path(__file__).parents[2] / ".venv-iso15118"))
EMAID = "DEABCC12345678"


@pytest.fixture(scope="module")
def josev() -> Iterator[Codec]:
    if not (ENVIRONMENT / "bin" / "python").exists():
        pytest.fail(f"there is no {ENVIRONMENT} with the package to compare with: make it with 'make peers'")
    script = Path(__file__).with_name("josev_contract.py")
    with Codec([ENVIRONMENT / "bin" / "python", script], "make peers") as started:
        yield started


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with opened(World.made(tmp_path_factory.mktemp("josev") / "world")) as office:
        yield office


@pytest.fixture(scope="module")
def car(office: Office) -> Car:
    car = office.car()
    office.order(car, EMAID)
    return car


def asked(josev: Codec, car: Car, root: bytes) -> bytes:
    """The request that its code makes and signs for a car."""
    certificate = car.certificate.der.hex()
    return bytes.fromhex(
        josev.ask(certificate=certificate, key=_key(car), root=root.hex(), session=SESSION.hex())["request"]
    )


def test_its_car_asks_our_ccp_verifies_the_answer_and_opens_the_contracts_key(
    josev: Codec, office: Office, car: Car
) -> None:
    root = office.roots()[0]
    answer = office.ask(INSTALLATION, asked(josev, car, root.der))
    assert (answer.code, answer.message) == ("OK", "")
    came = josev.ask(response=answer.octets.hex(), key=_key(car), root=root.der.hex())
    assert (came["code"], came["holds"], came["references"], came["emaid"]) == ("OK", True, 4, EMAID)
    assert bytes.fromhex(came["session"]) == SESSION
    opened_ = ec.derive_private_key(int.from_bytes(bytes.fromhex(came["scalar"])), ec.SECP256R1())
    assert opened_.public_key() == x509.load_der_x509_certificate(bytes.fromhex(came["certificate"])).public_key()


@pytest.mark.parametrize("fault", ["bad_cps_signature", "digest:DHpublickey", "libcbv2g_emaid", "digest:eMAID"])
def test_it_refuses_what_the_lab_gets_wrong_in_the_signature(
    josev: Codec, office: Office, car: Car, fault: str
) -> None:
    root = office.roots()[0]
    data = office.data("POST", INSTALLATION, {"v2gMessage": text(asked(josev, car, root.der)), "fault": fault})
    came = josev.ask(response=base64.b64decode(data["v2gMessage"]).hex(), key=_key(car), root=root.der.hex())
    assert came["holds"] is False


@pytest.mark.parametrize("fault", ["references_reordered", "non_minimal_integers"])
def test_it_takes_what_is_unusual_and_allowed(josev: Codec, office: Office, car: Car, fault: str) -> None:
    root = office.roots()[0]
    data = office.data("POST", INSTALLATION, {"v2gMessage": text(asked(josev, car, root.der)), "fault": fault})
    came = josev.ask(response=base64.b64decode(data["v2gMessage"]).hex(), key=_key(car), root=root.der.hex())
    assert came["holds"] is True


def test_a_car_with_another_root_gets_no_contract(josev: Codec, office: Office, car: Car) -> None:
    other = office.roots("OEM")[0]
    answer = office.ask(INSTALLATION, asked(josev, car, other.der))
    assert answer.code == "FAILED_NoCertificateAvailable"
    assert josev.ask(response=answer.octets.hex(), key=_key(car), root=other.der.hex())["code"] == answer.code


def _key(car: Car) -> str:
    return car.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()).hex()
