"""Messages to measure with: as large as those in the field, random octets where those have certificates and keys."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from voltroot.pki import suites
from voltroot.pki.suites import P256_SHA256, P521_SHA512
from voltroot.v2g import forms, xmldsig
from voltroot.v2g.exi import Schema, encode
from voltroot.v2g.schemas import ISO_2, ISO_20

Json = dict[str, Any]
TYPICAL, FEW, MANY = "CertificateInstallationRes", "ServiceDetailRes, 20 sets", "ServiceDetailRes, 200 sets"
EMAID = "DEABCC12345678"


class Message(NamedTuple):
    """A message of an edition, and the key that has signed it if it is one that is signed."""

    name: str
    schema: Schema
    value: Any
    signer: Any

    @property
    def element(self) -> str:
        """Its root element."""
        return type(self.value).__name__

    @property
    def octets(self) -> bytes:
        """The message on the wire."""
        return encode(self.value, self.schema)

    @property
    def json(self) -> Json:
        """The message as JSON."""
        return forms.to_json(self.element, self.value)


def messages() -> Iterator[Message]:
    """Make one message of each class: those that carry certificates signed, and two that differ in length alone."""
    signer = suites.generate(P256_SHA256)
    for name, body in _bodies_2():
        document = {"V2G_Message": {"Header": {"SessionID": "3D4CBF93374ED89B"}, "Body": {name.split(",")[0]: body}}}
        yield _message(name, ISO_2, document, signer)
    signer = suites.generate(P521_SHA512)
    for name, body in _bodies_20():
        header = {"SessionID": "3D4CBF93374ED89B", "TimeStamp": 1735689600}
        yield _message(name, ISO_20, {name: {"Header": header} | body}, signer)


def _message(name: str, schema: Schema, document: Json, signer: Any) -> Message:
    value: Any = forms.from_json(document, schema)[1]
    return Message(name, schema, xmldsig.sign(value, signer) if xmldsig.parts(value) else value, signer)


def _bodies_2() -> Iterator[tuple[str, Json]]:
    roots = {"RootCertificateID": [_root(number) for number in range(5)]}
    chain = _chain(480, 480, 480)
    response = {
        "ResponseCode": "OK",
        "SAProvisioningCertificateChain": chain,
        "ContractSignatureCertChain": {"Id": "id1"} | chain,
        "ContractSignatureEncryptedPrivateKey": {"Id": "id2", "value": _octets(48)},
        "DHpublickey": {"Id": "id3", "value": _octets(65)},
        "eMAID": {"Id": "id4", "value": EMAID},
    }
    request = {"Id": "id1", "ListOfRootCertificateIDs": roots}
    yield TYPICAL, response
    yield "CertificateInstallationReq", request | {"OEMProvisioningCert": _octets(480)}
    yield "CertificateUpdateRes", response
    yield "CertificateUpdateReq", request | {"ContractSignatureCertChain": chain, "eMAID": EMAID}
    yield "AuthorizationReq", {"Id": "id1", "GenChallenge": _octets(16)}
    yield "PaymentDetailsReq", {"eMAID": EMAID, "ContractSignatureCertChain": chain}
    yield "PaymentDetailsRes", {"ResponseCode": "OK", "GenChallenge": _octets(16), "EVSETimeStamp": 1735689600}
    for name, count in ((FEW, 20), (MANY, 200)):
        parameters = [{"Name": "Protocol", "stringValue": "https"}, {"Name": "Port", "intValue": 443}]
        sets = [{"ParameterSetID": number, "Parameter": parameters} for number in range(count)]
        yield name, {"ResponseCode": "OK", "ServiceID": 3, "ServiceParameterList": {"ParameterSet": sets}}


def _bodies_20() -> Iterator[tuple[str, Json]]:
    chain = _chain(620, 620, 620)
    yield (
        "CertificateInstallationReq",
        {
            "OEMProvisioningCertificateChain": {"Id": "id1"} | chain,
            "ListOfRootCertificateIDs": {"RootCertificateID": [_root(1)]},
            "MaximumContractCertificateChains": 1,
        },
    )
    yield (
        "CertificateInstallationRes",
        {
            "ResponseCode": "OK",
            "EVSEProcessing": "Finished",
            "CPSCertificateChain": chain,
            "SignedInstallationData": {
                "Id": "id1",
                "ContractCertificateChain": chain,
                "ECDHCurve": "SECP521",
                "DHPublicKey": _octets(133),
                "SECP521_EncryptedPrivateKey": _octets(94),
            },
            "RemainingContractCertificateChains": 0,
        },
    )


def _chain(leaf: int, *below: int) -> Json:
    return {"Certificate": _octets(leaf), "SubCertificates": {"Certificate": [_octets(each) for each in below]}}


def _root(number: int) -> Json:
    return {"X509IssuerName": f"CN=V2G Root CA {number},O=Example,C=DE,DC=V2G", "X509SerialNumber": 2**158 + number}


def _octets(count: int) -> str:
    return base64.b64encode(random.randbytes(count)).decode()  # noqa: S311 -- no secret
