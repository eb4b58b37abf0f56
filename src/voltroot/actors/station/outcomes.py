"""What the station answers: a status in the words of EVerest's evse_security, and the reason for every no."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from voltroot.actors.station.ports import CaKind, Key, Leaf, LeafKind
from voltroot.pki.certificates import Certificate
from voltroot.pki.fingerprints import HashData
from voltroot.pki.judging.findings import Judgement


class InstallStatus(StrEnum):
    """What came of installing a CA or a leaf."""

    ACCEPTED = "Accepted"
    INVALID_FORMAT = "InvalidFormat"
    INVALID_SIGNATURE = "InvalidSignature"
    INVALID_CHAIN = "InvalidCertificateChain"
    NO_ROOT = "NoRootCertificateInstalled"
    EXPIRED = "Expired"
    FULL = "CertificateStoreMaxLengthExceeded"
    WRITE_ERROR = "WriteError"


class Installation(NamedTuple):
    """The status and, unless it was accepted, why not and what to do."""

    status: InstallStatus
    reason: str = ""


class DeleteStatus(StrEnum):
    """What came of deleting."""

    ACCEPTED = "Accepted"
    FAILED = "Failed"
    NOT_FOUND = "NotFound"


class Deletion(NamedTuple):
    """The status and the kinds that it was deleted from; the reason where it was not."""

    status: DeleteStatus
    kinds: tuple[CaKind | LeafKind, ...] = ()
    reason: str = ""


class VerifyStatus(StrEnum):
    """What a chain is worth."""

    VALID = "Valid"
    EXPIRED = "Expired"
    INVALID_SIGNATURE = "InvalidSignature"
    ISSUER_NOT_FOUND = "IssuerNotFound"
    INVALID_LEAF_SIGNATURE = "InvalidLeafSignature"
    INVALID_CHAIN = "InvalidChain"
    UNKNOWN = "Unknown"


class Verification(NamedTuple):
    """The status, the reason, and the judgement where there was anything to judge."""

    status: VerifyStatus
    reason: str = ""
    judgement: Judgement | None = None


class RequestStatus(StrEnum):
    """What came of making a certification request."""

    ACCEPTED = "Accepted"
    INVALID_TYPE = "InvalidRequestedType"
    KEY_ERROR = "KeyGenError"
    GENERATION_ERROR = "GenerationError"


class Requested(NamedTuple):
    """The request in PEM and its key, or the reason why there is none."""

    status: RequestStatus
    csr: str = ""
    key: Key | None = None
    reason: str = ""


class LeafStatus(StrEnum):
    """Whether there is a certificate to be used."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    NOT_FOUND = "NotFound"
    NOT_FOUND_VALID = "NotFoundValid"
    PRIVATE_KEY_NOT_FOUND = "PrivateKeyNotFound"


class Fitness(StrEnum):
    """What one certificate is good for now."""

    USABLE = "usable"
    NOT_YET_VALID = "not yet valid"
    EXPIRED = "expired"
    BROKEN = "broken chain"
    NO_KEY = "no private key"
    OTHER = "another one was asked for"


class Candidate(NamedTuple):
    """A certificate that was looked at, and why it is not used; of one that could be, that another is better.

    ``path`` is the certificate with those above it as far as they are here, the root last.
    """

    leaf: Leaf
    fitness: Fitness
    text: str
    path: tuple[Certificate, ...]


class Stapled(NamedTuple):
    """The OCSP side of one certificate of a chain: None where its issuer or an answer is not here."""

    about: HashData | None
    answer: Path | None


class LeafInfo(NamedTuple):
    """What a TLS server or client needs to use a certificate: paths for OpenSSL, and what stands in them."""

    key: Key
    single: Path | None
    chain: Path | None
    certificate_count: int
    root: Certificate | None
    ocsp: tuple[Stapled, ...]
    leaf: Leaf


class LeafAnswer(NamedTuple):
    """The status and the certificates to be used; where there is none, what is wrong with each candidate."""

    status: LeafStatus
    infos: tuple[LeafInfo, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    reason: str = ""

    @property
    def info(self) -> LeafInfo | None:
        """The one to be used."""
        return self.infos[0] if self.infos else None


class OcspRequest(NamedTuple):
    """One certificate whose status is to be asked for, and the address of its responder."""

    about: HashData
    url: str


class Listing(StrEnum):
    """What GetInstalledCertificateIds asks for."""

    V2G_ROOT = "V2GRootCertificate"
    MO_ROOT = "MORootCertificate"
    CSMS_ROOT = "CSMSRootCertificate"
    MF_ROOT = "MFRootCertificate"
    OEM_ROOT = "OEMRootCertificate"
    V2G_CHAIN = "V2GCertificateChain"


class Installed(NamedTuple):
    """A root or a leaf with those that belong to it: a root's sub-CAs, or those above a leaf but for the root."""

    listing: Listing
    about: HashData
    children: tuple[HashData, ...]


class Operation(StrEnum):
    """What has happened to a certificate."""

    INSTALLED = "Installed"
    DELETED = "Deleted"


class Change(NamedTuple):
    """Something that a program with open TLS connections has to know."""

    operation: Operation
    kind: CaKind | LeafKind
