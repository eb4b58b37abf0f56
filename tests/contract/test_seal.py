"""A contract's key reaches the car that it is meant for, and nobody else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given, settings
from hypothesis import strategies as st

from voltroot.contract.seal import FORMS, Sealed, additional_data, make_key, seal, unseal, x448_private, x448_public
from voltroot.errors import Refused
from voltroot.pki import suites
from voltroot.pki.suites import ED448, P256_SHA256, P521_SHA512, SUITES, Suite

FOLDER = Path(__file__).parents[1] / "vectors"
PKI = json.loads((FOLDER / "exi" / "testpki.json").read_text())
SECP521 = json.loads((FOLDER / "contract" / "key_transport_iso20_secp521.json").read_text())
VECTORS = [
    (case, case["DHpublickey"], case["ContractSignatureEncryptedPrivateKey"], b"")
    for case in json.loads((FOLDER / "contract" / "key_transport_iso2.json").read_text()).values()
] + [(SECP521, SECP521["DHPublicKey"], SECP521["SECP521_EncryptedPrivateKey"], SECP521["aad"].encode())]
SUITES_OF_CARS = (P256_SHA256, P521_SHA512, ED448)


def key(place: str) -> Any:
    kind, name = place.split()
    return load_pem_private_key((PKI[kind].get(name) or PKI[kind]["keys_pem"][name]).encode(), None)


@pytest.mark.parametrize(("case", "public", "encrypted", "additional"), VECTORS)
def test_a_key_is_sealed_to_the_octets_of_the_vectors(
    case: Any, public: str, encrypted: str, additional: bytes
) -> None:
    receiver, iv = key(case["receiver"]), bytes.fromhex(case["iv"])
    sealed = seal(key(case["contract"]), receiver.public_key(), additional, ephemeral=key(case["sender"]), iv=iv)
    assert (sealed.public.hex(), sealed.encrypted.hex()) == (public, encrypted)


@pytest.mark.parametrize(("case", "public", "encrypted", "additional"), VECTORS)
def test_the_vectors_open_to_the_contract_s_key(case: Any, public: str, encrypted: str, additional: bytes) -> None:
    opened = unseal(Sealed(bytes.fromhex(public), bytes.fromhex(encrypted)), key(case["receiver"]), additional)
    assert opened.public_key() == key(case["contract"]).public_key()


def test_the_additional_data_are_those_of_the_vector() -> None:
    aad = SECP521["aad"]
    identifier = bytes.fromhex(aad[18:])
    assert additional_data("WMI-V1234567890ABC-D".lower(), identifier) == aad.encode()
    assert len(identifier) == 8


@pytest.mark.parametrize("suite", SUITES_OF_CARS, ids=lambda suite: suite.name)
def test_what_is_sealed_has_the_sizes_of_the_standard(suite: Suite) -> None:
    sealed = seal(make_key(suite), suites.generate(suite).public_key(), b"aad")
    sizes = {"P-256": (65, 48), "P-521": (133, 94), "Ed448": (57, 84)}
    assert (len(sealed.public), len(sealed.encrypted)) == sizes[suite.name]
    assert sealed.public[0] == 4


@settings(max_examples=20)
@given(st.sampled_from(SUITES_OF_CARS), st.integers(1, 40), st.binary(max_size=40), st.data())
def test_only_the_right_car_opens_a_key_whatever_its_scalar(
    suite: Suite, bits: int, additional: bytes, data: st.DataObject
) -> None:
    # A scalar of few bits has leading zeros: it is padded, or RISE-V2G's mistake would be ours.
    scalar = data.draw(st.integers(1, (1 << bits) - 1))
    own = ec.derive_private_key(scalar, suite.curve) if suite.curve else make_key(suite)
    car = suites.generate(suite)
    sealed = seal(own, car.public_key(), additional)
    assert unseal(sealed, car, additional).public_key() == own.public_key()
    other = suites.generate(suite)
    if FORMS[suite.name].authenticated:
        with pytest.raises(Refused, match="does not open"):
            unseal(sealed, other, additional)
        with pytest.raises(Refused, match="does not open"):
            unseal(sealed, car, additional + b"!")
    else:  # [V2G2-823] anything opens to something: it has to be held against the certificate
        try:
            assert unseal(sealed, other).public_key() != own.public_key()
        except Refused as refused:
            assert "no private key" in str(refused)  # noqa: PT017 -- most octets are a key, some are not


@pytest.mark.parametrize("suite", SUITES_OF_CARS, ids=lambda suite: suite.name)
def test_what_is_no_sealed_key_is_refused(suite: Suite) -> None:
    car = suites.generate(suite)
    sealed = seal(make_key(suite), car.public_key())
    for wrong in (
        sealed._replace(encrypted=sealed.encrypted[:-1]),
        sealed._replace(encrypted=b""),
        sealed._replace(public=sealed.public[:-1]),
        sealed._replace(public=b""),
        sealed._replace(public=b"\x04" + bytes(len(sealed.public) - 1)),
    ):
        with pytest.raises(Refused):
            unseal(wrong, car)


def test_a_key_of_a_kind_that_no_car_has_is_refused() -> None:
    rsa = suites.generate(SUITES["RSA-SHA256"])
    with pytest.raises(Refused):
        seal(make_key(P256_SHA256), rsa.public_key())


def test_no_two_sealings_are_alike() -> None:
    own, car = make_key(P256_SHA256), suites.generate(P256_SHA256)
    first, second = (seal(own, car.public_key()) for _ in range(2))
    assert first.public != second.public
    assert first.encrypted[:16] != second.encrypted[:16]


def test_the_x448_key_of_an_ed448_car_is_one_key_whichever_half_it_is_made_from() -> None:
    for _ in range(20):
        car = ed448.Ed448PrivateKey.generate()
        ours, theirs = x448_public(car.public_key()), x448_private(car).public_key()
        assert ours.public_bytes_raw() == theirs.public_bytes_raw()
