"""What a car gets: messages in the shape of the field, signed by the CPS, and refusals that every codec reads."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from voltroot.contract import package
from voltroot.contract.package import Contract
from voltroot.contract.seal import additional_data, make_key, seal
from voltroot.pki import suites
from voltroot.pki.suites import P256_SHA256, P521_SHA512, Suite
from voltroot.v2g import xmldsig
from voltroot.v2g.exi import decode
from voltroot.v2g.schemas import ISO_2, ISO_20

VECTORS = Path(__file__).parents[1] / "vectors" / "exi"
SESSION, MOMENT = bytes.fromhex("3D4CBF93374ED89B"), datetime(2025, 1, 1, tzinfo=UTC)


def made(suite: Suite, emaid: str = "DEABCC12345678") -> Contract:
    additional = additional_data("WMIV1234567890ABCD", bytes(8)) if suite is not P256_SHA256 else b""
    sealed = seal(make_key(suite), suites.generate(suite).public_key(), additional)
    return Contract(emaid, (b"leaf", b"sub 2", b"sub 1"), sealed)


def signed(message: Any, key: Any) -> bytes:
    return package.encoded(xmldsig.sign(message, key, facets=False))


def vector(name: str) -> Any:
    return decode(bytes.fromhex(json.loads((VECTORS / f"{name}.json").read_text())["exi_hex"]), ISO_2).value


@pytest.mark.parametrize("kind", ["installation", "update"])
@pytest.mark.parametrize("emaid", ["DEABCC12345678", "emaid001"])
def test_a_message_of_2_refers_to_its_four_parts_in_the_order_of_the_field(kind: str, emaid: str) -> None:
    key = suites.generate(P256_SHA256)
    pack = package.installation_2 if kind == "installation" else package.update_2
    contract = made(P256_SHA256, emaid)
    read = decode(signed(pack(contract, (b"cps", b"cps 2"), SESSION), key), ISO_2)
    assert xmldsig.verify(read, key.public_key()).holds
    body = read.value.Body.BodyElement
    referred = [each.URI for each in read.value.Header.Signature.SignedInfo.Reference]
    parts = (
        body.ContractSignatureCertChain,
        body.ContractSignatureEncryptedPrivateKey,
        body.DHpublickey,
        body.eMAID,
    )
    assert referred == [f"#{each.Id}" for each in parts] == ["#id1", "#id2", "#id3", "#id4"]
    assert read.value.Header.SessionID == SESSION
    assert body.eMAID.value == emaid
    assert body.SAProvisioningCertificateChain.Id is None
    assert (body.DHpublickey.value, body.ContractSignatureEncryptedPrivateKey.value) == contract.sealed


@pytest.mark.parametrize("suite", [P521_SHA512, suites.ED448], ids=lambda suite: suite.name)
def test_a_message_of_20_names_the_curve_of_its_key(suite: Suite) -> None:
    key, contract = suites.generate(suite), made(suite)
    message = package.installation_20(contract, (b"cps", b"cps 2"), MOMENT, SESSION, 2)
    read = decode(signed(message, key), ISO_20)
    assert xmldsig.verify(read, key.public_key()).holds
    data = read.value.SignedInstallationData
    assert data.ECDHCurve == ("SECP521" if suite is P521_SHA512 else "X448")
    keys = {data.SECP521_EncryptedPrivateKey, data.X448_EncryptedPrivateKey, data.TPM_EncryptedPrivateKey}
    assert keys == {contract.sealed.encrypted, None}
    assert (read.value.Header.TimeStamp, read.value.RemainingContractCertificateChains) == (1735689600, 2)


def test_a_refusal_is_the_smallest_message_that_every_codec_reads() -> None:
    ours = decode(package.encoded(package.refusal_installation_2("FAILED_NoCertificateAvailable", SESSION)), ISO_2)
    theirs = vector("iso2_cert_install_res_failed_min_ch0")
    body = theirs.Body.BodyElement
    assert ours.value.Header == theirs.Header
    ours_body = ours.value.Body.BodyElement
    assert ours_body.ContractSignatureCertChain == body.ContractSignatureCertChain
    assert ours_body.SAProvisioningCertificateChain == body.SAProvisioningCertificateChain
    assert (ours_body.ResponseCode, len(ours_body.eMAID.value)) == (body.ResponseCode, 14)
    assert len(ours.octets) < 60


def test_refusals_of_all_kinds_can_be_read_again() -> None:
    update = decode(package.encoded(package.refusal_update_2("FAILED_NoCertificateAvailable", SESSION, 300)), ISO_2)
    assert update.value.Body.BodyElement.RetryCounter == 300
    assert update.value == package.refusal_update_2("FAILED_NoCertificateAvailable", SESSION, 300)
    refusal = package.refusal_20("WARNING_NoContractMatchingPCIDFound", MOMENT, SESSION)
    read = decode(package.encoded(refusal), ISO_20)
    assert read.value == refusal
    assert read.value.SignedInstallationData.SECP521_EncryptedPrivateKey == b""
