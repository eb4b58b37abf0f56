"""The car's side: what it checks, in which order, and where it stops; on the vectors, and on what anybody may send."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

import signing
from contracting import CONTRACT, INSTALLATION, opened, text
from voltroot.actors.vehicle import Vehicle
from voltroot.contract.unpack import STEPS, Car, Unpacked, unpack
from voltroot.pki.certificates import Certificate
from voltroot.pki.suites import ED448, P256_SHA256, P521_SHA512, generate, suite_of
from voltroot.v2g import iso2, iso20
from voltroot.v2g.schemas import ISO_2, ISO_20
from world import World

VECTORS = {each.name: each for each in (signing._read(path) for path in signing.FOLDER.glob("iso*_cert_*res*.json"))}
NOW = datetime(2026, 6, 1, tzinfo=UTC)
PARTS = [step.part for step in STEPS]


def certificate(schema: Any, name: str) -> Certificate:
    return Certificate.read(signing.certificate(schema, name).public_bytes(Encoding.DER))


def car(name: str, **other: Any) -> Car:
    """The car to which a vector is sealed; it answers no request of its own."""
    schema = VECTORS[name].schema
    wanted = iso20.CertificateInstallationRes if schema is ISO_20 else iso2.CertificateInstallationRes
    key = "oem"
    if "update" in name:
        wanted, key = iso2.CertificateUpdateRes, "contract_old"
    usual = Car(wanted, None, [certificate(schema, "v2groot")], signing.key(schema, key), "WMIV1234567890ABCD", NOW)
    return replace(usual, **other)


def parts(unpacked: Unpacked) -> list[str]:
    """The steps that were taken, in order; those of the signature as one."""
    named = ["signature" if each.part.startswith(("Sig", "Ref")) else each.part for each in unpacked.checks]
    return list(dict.fromkeys(named))


@pytest.mark.parametrize("name", ["iso2_cert_install_res_2sub", "iso2_cert_install_res_notification",
                                  "iso2_cert_update_res_noretry", "iso20_cert_install_res_secp521_2sub"])  # fmt: skip
def test_a_good_response_of_another_codec_passes_every_step_in_order(name: str) -> None:
    unpacked = unpack(VECTORS[name].exi, car(name))
    assert unpacked.stopped is None
    assert parts(unpacked) == PARTS
    assert unpacked.contract is not None
    schema = VECTORS[name].schema
    assert unpacked.contract.emaid == ("DEABCC12345678" if schema is ISO_2 else "DEABCC123456789")
    assert unpacked.contract.key.private_numbers() == signing.key(schema, "contract").private_numbers()


@pytest.mark.parametrize(
    ("name", "part", "fault"),
    [
        ("iso2_cert_install_res_3sub", "CPS chain", "depth"),
        ("iso2_cert_install_res_nosub", "CPS chain", "anchor"),
        ("iso2_cert_install_res_failed_min_ch0", "ResponseCode", "response_code"),
        ("iso2_cert_update_res_retry_300", "signature", "signature.unsigned"),
        ("iso20_cert_install_res_ongoing_failed", "ResponseCode", "response_code"),
        ("iso20_cert_install_res_x448", "sealed key", "key.unsealed"),  # the car's key is on secp521r1
    ],
)
def test_the_car_stops_at_the_first_fault_and_names_it(name: str, part: str, fault: str) -> None:
    unpacked = unpack(VECTORS[name].exi, car(name))
    assert unpacked.contract is None
    assert unpacked.stopped is not None
    assert (unpacked.stopped.part, unpacked.stopped.fault) == (part, fault)
    assert parts(unpacked) == PARTS[: PARTS.index(part) + 1]
    assert sum(each.fault is not None for each in unpacked.checks) == 1


def test_what_answers_another_request_is_not_looked_at() -> None:
    name = "iso2_cert_install_res_2sub"
    own = bytes.fromhex("3D4CBF93374ED89B")
    assert unpack(VECTORS[name].exi, car(name, session=own)).contract is not None
    for session, part in ((bytes(8), "SessionID"), (own[:7], "SessionID")):
        stopped = unpack(VECTORS[name].exi, car(name, session=session)).stopped
        assert stopped is not None
        assert stopped.part == part
    update = unpack(VECTORS[name].exi, replace(car(name), response=iso2.CertificateUpdateRes)).stopped
    assert update is not None
    assert (update.part, update.fault) == ("message", "unexpected")


def test_a_root_that_the_car_does_not_trust_is_none() -> None:
    name = "iso2_cert_install_res_2sub"
    stopped = unpack(VECTORS[name].exi, car(name, roots=[certificate(ISO_2, "oemroot")])).stopped
    assert stopped is not None
    assert (stopped.part, stopped.fault) == ("CPS chain", "anchor")


def test_a_contract_chain_is_judged_to_the_root_of_the_mo_where_the_car_knows_it() -> None:
    name = "iso2_cert_install_res_2sub"
    known = [certificate(ISO_2, each) for each in ("v2groot", "moroot")]
    assert "below a root that the car does not know" in _said(unpack(VECTORS[name].exi, car(name)), "contract chain")
    assert "below MORootCA" in _said(unpack(VECTORS[name].exi, car(name, roots=known)), "contract chain")


@pytest.mark.parametrize(
    ("now", "part"),
    [(datetime(2024, 1, 1, tzinfo=UTC), "not_yet_valid"), (datetime(2060, 1, 1, tzinfo=UTC), "expired")],
)
def test_the_clock_of_the_car_decides(now: datetime, part: str) -> None:
    name = "iso2_cert_install_res_2sub"
    stopped = unpack(VECTORS[name].exi, replace(car(name), now=now)).stopped
    assert stopped is not None
    assert (stopped.part, stopped.fault) == ("CPS chain", part)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_one_changed_bit_never_raises_and_never_brings_another_contract(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["iso2_cert_install_res_2sub", "iso20_cert_install_res_secp521_2sub"]))
    octets = bytearray(VECTORS[name].exi)
    place = data.draw(st.integers(0, 8 * len(octets) - 1))
    octets[place >> 3] ^= 0x80 >> (place & 7)
    unpacked = unpack(bytes(octets), car(name))
    if unpacked.contract is None:
        assert unpacked.stopped is not None
    else:
        right = unpack(VECTORS[name].exi, car(name)).contract
        assert right is not None
        assert unpacked.contract.chain == right.chain
        assert unpacked.contract.key.private_numbers() == right.key.private_numbers()


@settings(max_examples=100, deadline=None)
@given(octets=st.binary(max_size=200))
def test_any_octets_have_an_answer(octets: bytes) -> None:
    for name in ("iso2_cert_install_res_2sub", "iso20_cert_install_res_secp521_2sub"):
        assert unpack(octets, car(name)).stopped is not None


# Identifiers of the test APIs: anything printable that fits into a common name.
EMAIDS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=20)


@pytest.mark.slow
@pytest.mark.parametrize("count", [pytest.param(100, id="100"), pytest.param(1_000, marks=pytest.mark.soak, id="1000")])
def test_without_a_fault_no_contract_is_ever_refused(count: int, tmp_path: Path) -> None:
    world = World.made(tmp_path / "world")
    with opened(world) as office:
        roots = tuple(world.issuers.standing().roots)
        cars = [_provisioned(world, suite, roots) for suite in (P256_SHA256, P521_SHA512, ED448)]
        seen: set[str] = set()

        @settings(max_examples=count, deadline=None, database=None)
        @given(emaid=EMAIDS, which=st.integers(0, 5))
        def one(emaid: str, which: int) -> None:
            # Half of them are of -2; an EMAID that was drawn before is one that is taken.
            own = cars[max(0, which - 3)]
            name = f"{len(seen)}{emaid}"
            seen.add(name)
            office.data("POST", CONTRACT, {"dhCert": text(own.chain[0].der), "emaid": name})
            session = secrets.token_bytes(8)
            emaids = () if own is cars[0] else (name,)
            request = own.installation_request(session, world.clock(), emaids=emaids)
            unpacked = own.install(office.ask(INSTALLATION, request).octets, session, world.clock())
            assert unpacked.stopped is None
            assert unpacked.contract is not None
            assert unpacked.contract.emaid == name
            assert suite_of(unpacked.contract.key) is suite_of(own.key)

        one()
        assert len(seen) >= count


def _provisioned(world: World, suite: Any, roots: tuple[Certificate, ...]) -> Vehicle:
    key = generate(suite)
    profile = "OEM_PROV_2" if suite is P256_SHA256 else "OEM_PROV_20"
    order = replace(world.order(profile, f"pcid-{suite.name}", suite), public_key=key.public_key())
    chain = world.chain(world.authority.issue(order))[:-1]
    return Vehicle(tuple(chain), key, roots)


def _said(unpacked: Unpacked, part: str) -> str:
    return next(each.text for each in unpacked.checks if each.part == part)
