"""The package ``iso15118`` verifies what we sign, and we verify what it signs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from peers import environment
from signing import VECTORS, certificate, key, with_signature
from voltroot.bench.codecs import Codec
from voltroot.v2g import iso2, xmldsig
from voltroot.v2g.exi import decode, encode
from voltroot.v2g.schemas import ISO_2

pytestmark = pytest.mark.slow

HEADER = iso2.MessageHeaderType(SessionID=bytes.fromhex("3D4CBF93374ED89B"))
AUTHORIZATION = iso2.AuthorizationReq(Id="id1", GenChallenge=bytes(16))
MESSAGES: dict[str, tuple[Any, str]] = {
    "CertificateInstallationReq": (VECTORS["iso2_cert_install_req_min"].decoded.value, "oem"),
    "CertificateInstallationRes": (VECTORS["iso2_cert_install_res_2sub"].decoded.value, "cps"),
    "AuthorizationReq": (iso2.V2G_Message(Header=HEADER, Body=iso2.BodyType(BodyElement=AUTHORIZATION)), "contract"),
}


@pytest.fixture(scope="module")
def josev() -> Iterator[Codec]:
    script = Path(__file__).with_name("josev_signatures.py")
    with Codec([environment() / "bin" / "python", script], "make peers") as started:
        yield started


def holds(josev: Codec, octets: bytes, who: str) -> bool:
    der = certificate(ISO_2, who).public_bytes(Encoding.DER)
    return bool(josev.ask(exi=octets.hex(), certificate=der.hex())["holds"])


@pytest.mark.parametrize("name", MESSAGES)
def test_it_verifies_what_we_sign(josev: Codec, name: str) -> None:
    message, who = MESSAGES[name]
    signed = xmldsig.sign(with_signature(message, None), key(ISO_2, who))
    assert holds(josev, encode(signed, ISO_2), who)
    references = signed.Header.Signature.SignedInfo.Reference
    wrong = msgspec.structs.replace(references[-1], DigestValue=bytes(32))
    info = msgspec.structs.replace(signed.Header.Signature.SignedInfo, Reference=(*references[:-1], wrong))
    changed = msgspec.structs.replace(signed.Header.Signature, SignedInfo=info)
    assert not holds(josev, encode(with_signature(message, changed), ISO_2), who)


@pytest.mark.parametrize("name", MESSAGES)
def test_we_verify_what_it_signs(josev: Codec, name: str) -> None:
    message, who = MESSAGES[name]
    own = key(ISO_2, who)
    der = own.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    unsigned = encode(with_signature(message, None), ISO_2)
    octets = bytes.fromhex(josev.ask(exi=unsigned.hex(), key=der.hex())["exi"])
    outcome = xmldsig.verify(decode(octets, ISO_2), own.public_key())
    assert outcome.holds, outcome.faults
