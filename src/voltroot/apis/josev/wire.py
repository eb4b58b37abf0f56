"""The spellings of Josev's generate_csr and certificate_installation_status."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from voltroot.actors.station.applications import Fate
from voltroot.actors.station.ports import LeafKind
from voltroot.actors.station.requesting import KeyOrder
from voltroot.decoding import UNREADABLE, why
from voltroot.errors import Malformed, MissingField, TooLarge, UnsupportedSuite
from voltroot.pki.suites import P256_SHA256, P521_SHA512, RSA_SHA256, RSA_SHA384, Suite

FROM_JOSEV, TO_JOSEV = "josev/cs", "cs/josev"
GENERATE_CSR, INSTALLATION_STATUS = "generate_csr", "certificate_installation_status"
LARGEST = 1 << 16  # octets

T = TypeVar("T")
Id = Annotated[str, Meta(min_length=1, max_length=64)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]  # X.520 ub-common-name, ub-organization-name


class CertificateType(StrEnum):
    """What the certificate will be for."""

    CHARGING_STATION = "charging_station_certificate"
    V2G = "v2g_certificate"
    V2G20 = "v2g20_certificate"


class Algorithm(StrEnum):
    """Key and signature."""

    ECDSA_SHA256 = "ECDSA_SHA256"
    ECDSA_SHA512 = "ECDSA_SHA512"
    RSA_SHA256 = "RSA_SHA256"
    RSA_SHA384 = "RSA_SHA384"


class Status(StrEnum):
    """Whether there is a request."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"


KINDS = {
    CertificateType.CHARGING_STATION: LeafKind.CSMS,
    CertificateType.V2G: LeafKind.V2G,
    CertificateType.V2G20: LeafKind.V2G20,
}
# ISO 15118-2 knows P-256 only; for -20 the caller has to name its algorithm; a CSMS takes any.
SUITES: dict[CertificateType, dict[Algorithm | None, Suite]] = {
    CertificateType.CHARGING_STATION: {
        None: P256_SHA256,
        Algorithm.ECDSA_SHA256: P256_SHA256,
        Algorithm.ECDSA_SHA512: P521_SHA512,
        Algorithm.RSA_SHA256: RSA_SHA256,
        Algorithm.RSA_SHA384: RSA_SHA384,
    },
    CertificateType.V2G: {None: P256_SHA256, Algorithm.ECDSA_SHA256: P256_SHA256},
    CertificateType.V2G20: {Algorithm.ECDSA_SHA512: P521_SHA512},
}


class Message(Struct, frozen=True):
    """The envelope of everything that Josev and the station say to each other."""

    id: Id
    name: str
    type: Literal["request", "response", "update"]
    data: Raw = Raw(b"null")


class GenerateCsr(Struct, frozen=True):
    """A key and a request for its certificate, please."""

    certificate_type: CertificateType
    common_name: Name
    organization_name: Name
    country_name: Annotated[str, Meta(pattern="^[A-Z][A-Z]$")]
    algorithm: Algorithm | None = None
    evse_id: Annotated[str, Meta(max_length=64)] = ""

    def order(self, in_keyring: bool) -> KeyOrder:
        """Return what the station is to make; UnsupportedSuite where the algorithm is not for the certificate."""
        suite = SUITES[self.certificate_type].get(self.algorithm)
        if suite is None:
            allowed = ", ".join(each for each in SUITES[self.certificate_type] if each)
            raise UnsupportedSuite(f"algorithm: a {self.certificate_type} has one of {allowed}")
        return KeyOrder(
            kind=KINDS[self.certificate_type],
            country=self.country_name,
            organization=self.organization_name,
            common_name=self.common_name,
            suite=suite,
            in_keyring=in_keyring,
        )


class CsrResult(Struct, frozen=True, omit_defaults=True):
    """The answer; with a request in PEM if it is accepted."""

    status: Status
    csr: str | UnsetType = UNSET


class InstallationStatus(Struct, frozen=True):
    """What became of the certificate for a key."""

    certificate_type: CertificateType
    status: Fate
    private_key_path: Annotated[str, Meta(max_length=4096)] = ""


def read_message(octets: bytes) -> Message:
    """Read the envelope, or raise Malformed or TooLarge."""
    if len(octets) > LARGEST:
        raise TooLarge(f"the message has {len(octets)} octets: {LARGEST} are allowed")
    return _decoded(octets, Message)


def read_data(message: Message, kind: type[T]) -> T:
    """Read what is in the envelope; MissingField or Malformed says which member is wrong."""
    return _decoded(bytes(message.data), kind)


def write(id_: str, name: str, type_: str, data: object) -> bytes:
    """Return a message."""
    return msgspec.json.encode({"id": id_, "name": name, "type": type_, "data": data})


def _decoded(octets: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(octets, type=kind)
    except msgspec.ValidationError as error:
        what, _, path = why(error, kind).partition(" - at `$.")
        raise MissingField(path.rstrip("`") or "data", what) from error
    except UNREADABLE as error:
        raise Malformed(f"this is no message: {error}") from error
