"""A backend in process with every call of the Secondary Actor API, and cars that ask it for contracts."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import httpx2 as httpx
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12
from starlette.testclient import TestClient

from backend import Backend as Started
from voltroot.app.backend import Backend
from voltroot.app.config import Config
from voltroot.contract.seal import Sealed, additional_data, unseal
from voltroot.pki import suites
from voltroot.pki.certificates import Certificate
from voltroot.pki.suites import P256_SHA256, Signer, Suite
from voltroot.serve.http import RawPath
from voltroot.v2g import iso2, iso20, xmldsig
from voltroot.v2g.exi import decode, encode
from voltroot.v2g.schemas import ISO_2, ISO_20
from voltroot.v2g.signature import X509IssuerSerialType
from world import World

CONTRACT, PAYMENT = "/api/v2/mo/contract", "/api/v2/mo/paymentDetail"
INSTALLATION, UPDATE = "/api/v2/ccp/certificateInstallation", "/api/v2/ccp/certificateUpdate"
SESSION = bytes.fromhex("3D4CBF93374ED89B")


@dataclass
class Office:
    """A backend's calls, in process."""

    client: TestClient
    world: World
    backend: Backend

    def call(self, method: str, path: str, body: Any) -> dict[str, Any]:
        """The envelope of an answer, which never has another status than 200 here."""
        content = httpx.Request("POST", "http://x", json=body).content
        answer = self.client.request(method, f"http://testserver{path}", content=content)
        assert answer.status_code == 200, answer.text
        envelope: dict[str, Any] = answer.json()
        return envelope

    def data(self, method: str, path: str, body: Any) -> Any:
        """The data of an answer that must be a success."""
        envelope = self.call(method, path, body)
        assert envelope["status"] == "success", envelope
        return envelope["data"]

    def refusal(self, method: str, path: str, body: Any) -> str:
        """The message of an answer that must be a refusal."""
        envelope = self.call(method, path, body)
        assert (envelope["status"], envelope["data"]) == ("error", ""), envelope
        message: str = envelope["message"]
        return message

    def car(self, pcid: str = "WMIV1234567890ABCD", suite: Suite = P256_SHA256) -> Car:
        """A car with an OEM provisioning certificate of ours."""
        key = suites.generate(suite)
        profile = "OEM_PROV_2" if suite is P256_SHA256 else "OEM_PROV_20"
        order = replace(self.world.order(profile, pcid, suite), public_key=key.public_key())
        return Car(self.world.authority.issue(order).read(), key)

    def order(self, car: Car, emaid: str = "emaid001") -> Contract:
        """A contract for a car, opened by it."""
        made = self.data("POST", CONTRACT, {"dhCert": text(car.certificate.der), "emaid": emaid})
        assert (list(made), made["version"]) == (["version", "certInstRes"], "penta-v2g-0.1")
        return car.open(base64.b64decode(made["certInstRes"]))

    def ask(self, path: str, request: bytes) -> Answer:
        """What the CCP answers a car."""
        envelope = self.call("POST", path, {"v2gMessage": text(request)})
        assert (envelope["status"], list(envelope["data"])) == ("success", ["v2gMessage"]), envelope
        return Answer(base64.b64decode(envelope["data"]["v2gMessage"]), envelope["message"])

    def roots(self, role: str = "V2G") -> list[Certificate]:
        """The roots of a role."""
        return [root for root in self.world.issuers.standing().roots if root.subject.get("DC") == role]


@dataclass
class Answer:
    """A message as it came, and what the envelope said."""

    octets: bytes
    message: str

    @property
    def value(self) -> Any:
        """The V2G message."""
        return decode(self.octets, ISO_2 if self.octets[1] & 0xFE == 0x98 else ISO_20).value

    @property
    def body(self) -> Any:
        """The message's own part."""
        return self.value.Body.BodyElement if isinstance(self.value, iso2.V2G_Message) else self.value

    @property
    def code(self) -> str:
        """Its ResponseCode, which the envelope's message begins with unless it is OK."""
        code: str = self.body.ResponseCode
        assert self.message.startswith("" if code == "OK" else f"{code}: ")
        assert self.value.Header.SessionID == SESSION
        return code


@dataclass
class Contract:
    """A contract as a car has it."""

    emaid: str
    chain: list[Certificate]
    key: Signer
    remaining: int = 0

    @property
    def certificate(self) -> Certificate:
        """The contract certificate."""
        return self.chain[0]


@dataclass
class Car:
    """A car: its provisioning certificate and key."""

    certificate: Certificate
    key: Signer
    between: list[Certificate] = field(default_factory=list)

    @property
    def is_20(self) -> bool:
        """Whether it speaks ISO 15118-20."""
        return suites.suite_of(self.key) is not P256_SHA256

    def request(
        self,
        roots: Sequence[Certificate],
        *,
        session: bytes = SESSION,
        most: int = 1,
        emaids: Sequence[str] = (),
        signer: Signer | None = None,
    ) -> bytes:
        """A signed CertificateInstallationReq."""
        if not self.is_20:
            body = iso2.CertificateInstallationReq(
                Id="id1",
                OEMProvisioningCert=self.certificate.der,
                ListOfRootCertificateIDs=iso2.ListOfRootCertificateIDsType(RootCertificateID=ids(roots)),
            )
            return signed_2(body, signer or self.key, session)
        message = iso20.CertificateInstallationReq(
            Header=iso20.MessageHeaderType(SessionID=session, TimeStamp=1_735_689_600),
            OEMProvisioningCertificateChain=iso20.SignedCertificateChainType(
                Id="id1", Certificate=self.certificate.der, SubCertificates=subs_20(self.between)
            ),
            ListOfRootCertificateIDs=iso20.ListOfRootCertificateIDsType(RootCertificateID=ids(roots)),
            MaximumContractCertificateChains=most,
            PrioritizedEMAIDs=iso20.EMAIDListType(EMAID=tuple(emaids)) if emaids else None,
        )
        return encode(xmldsig.sign(message, signer or self.key), ISO_20)

    def open(self, message: bytes) -> Contract:
        """The contract in a CertificateInstallationRes or, if this is the contract's own key, CertificateUpdateRes."""
        read = decode(message, ISO_20 if self.is_20 else ISO_2)
        if self.is_20:
            data = read.value.SignedInstallationData
            chain = [
                data.ContractCertificateChain.Certificate,
                *data.ContractCertificateChain.SubCertificates.Certificate,
            ]
            own = Certificate.read(chain[0])
            additional = additional_data(self.certificate.subject.get("CN") or "", own.subject_key_identifier or b"")
            secret = data.SECP521_EncryptedPrivateKey or data.X448_EncryptedPrivateKey
            provider, emaid = read.value.CPSCertificateChain.Certificate, own.subject.get("CN") or ""
            key = unseal(Sealed(data.DHPublicKey, secret), self.key, additional)
            remaining = read.value.RemainingContractCertificateChains
        else:
            body = read.value.Body.BodyElement
            chain = [body.ContractSignatureCertChain.Certificate]
            chain += body.ContractSignatureCertChain.SubCertificates.Certificate
            provider, emaid = body.SAProvisioningCertificateChain.Certificate, body.eMAID.value
            key = unseal(Sealed(body.DHpublickey.value, body.ContractSignatureEncryptedPrivateKey.value), self.key)
            remaining = 0
        assert xmldsig.verify(read, Certificate.read(provider).public_key).holds
        certificates = [Certificate.read(each) for each in chain]
        assert key.public_key() == certificates[0].public_key
        assert certificates[0].subject.get("CN") == emaid
        return Contract(emaid, certificates, key, remaining)


def update_request(contract: Contract, roots: Sequence[Certificate], **other: Any) -> bytes:
    """A CertificateUpdateReq of -2, signed with the contract's key."""
    above = tuple(each.der for each in contract.chain[1:])
    subs = iso2.SubCertificatesType(Certificate=above) if above else None
    body = iso2.CertificateUpdateReq(
        Id="id1",
        ContractSignatureCertChain=iso2.CertificateChainType(
            Certificate=contract.certificate.der, SubCertificates=subs
        ),
        eMAID=other.get("emaid", contract.emaid),
        ListOfRootCertificateIDs=iso2.ListOfRootCertificateIDsType(RootCertificateID=ids(roots)),
    )
    return signed_2(body, other.get("signer", contract.key))


def signed_2(body: Any, signer: Signer, session: bytes = SESSION) -> bytes:
    """A signed message of -2; EMAIDs of any length."""
    message = iso2.V2G_Message(Header=iso2.MessageHeaderType(SessionID=session), Body=iso2.BodyType(BodyElement=body))
    return encode(xmldsig.sign(message, signer, facets=False), ISO_2, facets=False)


def ids(roots: Sequence[Certificate]) -> tuple[X509IssuerSerialType, ...]:
    """What ListOfRootCertificateIDs calls roots."""
    return tuple(X509IssuerSerialType(X509IssuerName=str(root.issuer), X509SerialNumber=root.serial) for root in roots)


def subs_20(chain: Sequence[Certificate]) -> iso20.SubCertificatesType | None:
    """The SubCertificates of -20."""
    return iso20.SubCertificatesType(Certificate=tuple(each.der for each in chain)) if chain else None


def text(octets: bytes) -> str:
    """Base64."""
    return base64.b64encode(octets).decode()


@contextmanager
def opened(world: World, **sections: Any) -> Iterator[Office]:
    """The calls on a world, with sections of the configuration."""
    backend = Backend(Config(data=str(world.folder), **sections), now=world.clock)
    with TestClient(RawPath(backend.application), raise_server_exceptions=False) as client:
        yield Office(client, world, backend)
    backend.close()


class Abroad(Office):
    """The same calls on a backend that runs elsewhere."""

    def __init__(self, started: Started) -> None:
        self.started = started

    def call(self, method: str, path: str, body: Any) -> dict[str, Any]:
        """See ``Office.call``."""
        answer = self.started.call(method, path, body)
        assert answer.status == 200, answer
        return answer.envelope

    def car(self, pcid: str = "WMIV1234567890ABCD", suite: Suite = P256_SHA256) -> Car:
        """A car that got its key and certificate from the API."""
        edition = "ISO15118-2" if suite is P256_SHA256 else "ISO15118-20"
        body = {"pcid": pcid, "edition": edition, "suite": suite.name}
        pfx = base64.b64decode(self.data("POST", "/api/v2/oem/provCert", body)["pfxCert"])
        key, own, _ = pkcs12.load_key_and_certificates(pfx, b"123123")
        assert own is not None
        return Car(Certificate.read(own.public_bytes(Encoding.DER)), cast(Signer, key))

    def roots(self, role: str = "V2G") -> list[Certificate]:
        """The roots of a role."""
        return [Certificate.read(self.started.fetch(f"/ca/{role.lower()}-root-{edition}.cer")) for edition in (2, 20)]
