"""The spellings of the Secondary Actor API: what its requests and answers look like in JSON."""

from __future__ import annotations

import base64
import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from voltroot.decoding import UNREADABLE, why
from voltroot.errors import Malformed, MissingField, Refused
from voltroot.pki.certificates import Certificate, read_base64, read_pem
from voltroot.pki.names import Name
from voltroot.pki.ports import Entry, State
from voltroot.pki.profiles import Edition
from voltroot.pki.suites import SUITES, Suite, suite_of

# Not white space alone. What \s means differs: Python counts 1C to 1F and 85 in, JSON Schema (ECMA-262) FEFF.
Text = Annotated[str, Meta(min_length=1, pattern=r"[^\s\x1c-\x1f\x85\ufeff]")]
SuiteName = Literal["P-256", "P-521", "Ed448"]


class IsoEdition(StrEnum):
    """The optional member ``edition``: which standard's certificate is meant."""

    ISO15118_2 = "ISO15118-2"
    ISO15118_20 = "ISO15118-20"

    @property
    def edition(self) -> Edition:
        """The edition of the profiles."""
        return Edition(self.value)


class Request(Struct, rename="camel", frozen=True):
    """A request; members beyond those declared are passed over."""


class Making(Request, frozen=True, kw_only=True):
    """A request that has something made; ``fault`` is what a lab gets wrong in it on purpose."""

    fault: Text | None = None


class IssueSecc(Making, frozen=True):
    """3.1.1: a new certificate for a station."""

    secc_id: Text
    edition: IsoEdition = IsoEdition.ISO15118_2
    suite: SuiteName | None = None


class IssueSeccByCsr(Making, frozen=True):
    """3.1.2: a new certificate on a key that the station keeps."""

    pkcs10_data: Text
    cn: Text
    edition: IsoEdition = IsoEdition.ISO15118_2


class RenewSecc(IssueSecc, frozen=True):
    """3.1.4: a further certificate for a station; with ``pkcs10Data`` on a key that the station keeps."""

    pkcs10_data: Text | None = None


class IssueProv(Making, frozen=True):
    """3.2.1: a new certificate for a car; with ``pkcs10Data`` on a key that the car keeps."""

    pcid: Text
    edition: IsoEdition = IsoEdition.ISO15118_2
    suite: SuiteName | None = None
    pkcs10_data: Text | None = None


class RenewProv(IssueProv, frozen=True):
    """3.2.3: a further certificate for a car."""


class Revoke(Request, frozen=True):
    """3.1.5, 3.2.4 and 3.3.3: revoke what a distinguished name has; without ``edition`` in every edition."""

    subject_dn: Text
    edition: IsoEdition | None = None


class CreateContract(Making, frozen=True):
    """3.3.1: a contract for the car that has the certificate."""

    dh_cert: Text
    emaid: Text


class RenewContract(CreateContract, frozen=True):
    """3.3.2: a further certificate of a contract; ``dhCert`` is the one that is about to expire."""


class VerifyPayment(Request, frozen=True):
    """3.3.4: the chain that a car shows when it wants to charge."""

    leaf: Text
    subca2: Text
    subca1: Text


class V2gMessage(Making, frozen=True):
    """3.4.1 and 3.4.2: what a car asks, in EXI and base64; so is the answer."""

    v2g_message: Text


class DownloadPfx(Request, frozen=True):
    """3.1.6: a certificate with its key, protected with the caller's password."""

    serial: Text
    password: Text


class SeccCertificate(Struct, rename="camel", frozen=True):
    """The answer to 3.1.1 and 3.1.4."""

    id: str
    secc_id: str
    prov_cert: str
    pfx_cert: str
    subject_dn: str
    not_before: str
    not_after: str
    serial: str
    version: str
    sig_algo: str
    issuer_dn: str
    status: str


class ProvCertificate(Struct, rename="camel", frozen=True):
    """The answer to 3.2.1, 3.2.2 and 3.2.3."""

    id: str
    pcid: str
    prov_cert: str
    pfx_cert: str
    subject_dn: str
    not_before: str
    not_after: str
    serial: str
    version: str
    sig_algo: str
    issuer_dn: str
    status: str


class PlainCertificate(Struct, rename="camel", frozen=True):
    """The answer to 3.1.2 and 3.1.3."""

    subject: str
    serial: str
    certificate_data: str


class RevokeResult(Struct, rename="camel", frozen=True):
    """The answer to 3.1.5, 3.2.4 and 3.3.3: 4000 done, 4002 already revoked, 4003 not existing."""

    result_code: str
    message: str
    serial: str


class PfxResult(Struct, rename="camel", frozen=True):
    """The answer to 3.1.6."""

    pfx_cert: str


class VerifyResult(Struct, rename="camel", frozen=True):
    """The answer to 3.2.5 and 3.3.4: OK, FAILED_CertChainError, FAILED_CertificateExpired or as configured."""

    res_code: str


class ContractInstallation(Struct, rename="camel", frozen=True):
    """The answer to 3.3.1, and in -20 to 3.3.2: a CertificateInstallationRes in EXI and base64."""

    version: str
    cert_inst_res: str


class ContractUpdate(Struct, rename="camel", frozen=True):
    """The answer to 3.3.2 in -2: a CertificateUpdateRes in EXI and base64."""

    version: str
    cert_updt_res: str


class V2gAnswer(Struct, rename="camel", frozen=True):
    """The answer to 3.4.1 and 3.4.2: a V2G message in EXI and base64, whatever its ResponseCode."""

    v2g_message: str


Data = (
    SeccCertificate
    | ProvCertificate
    | PlainCertificate
    | RevokeResult
    | PfxResult
    | VerifyResult
    | ContractInstallation
    | ContractUpdate
    | V2gAnswer
)
R = TypeVar("R", bound=Request)


def read(body: bytes, kind: type[R]) -> R:
    """Read a request, or raise Malformed or MissingField with a message that names the member."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise _explained(why(error, kind)) from error
    except UNREADABLE as error:
        raise Malformed(f"the request is not JSON: {error}") from error


def success(data: Data, message: str = "") -> bytes:
    """Return the envelope of an answer."""
    return msgspec.json.encode({"status": "success", "message": message, "data": data})


def error(message: str) -> bytes:
    """Return the envelope of a refusal or failure."""
    return msgspec.json.encode({"status": "error", "message": message, "data": ""})


def read_suite(name: SuiteName | None) -> Suite | None:
    """Return the suite that the optional member names, or None where it is absent."""
    return SUITES[name] if name is not None else None


def secc_certificate(entry: Entry, pfx: bytes, now: datetime) -> SeccCertificate:
    """Return what the API tells of a SECC certificate."""
    certificate = entry.read()
    return SeccCertificate(secc_id=_common_name(certificate), **_details(entry, certificate, pfx, now))


def prov_certificate(entry: Entry, pfx: bytes, now: datetime) -> ProvCertificate:
    """Return what the API tells of an OEM provisioning certificate."""
    certificate = entry.read()
    return ProvCertificate(pcid=_common_name(certificate), **_details(entry, certificate, pfx, now))


def plain_certificate(entry: Entry, subject: Name) -> PlainCertificate:
    """Return what the API tells of a certificate whose key it does not know."""
    return PlainCertificate(subject.get("CN") or "", str(entry.serial), to_base64(entry.certificate))


def read_certificate(text: str, member: str) -> Certificate:
    """Read a certificate in base64 DER or in PEM, or raise Refused naming the member."""
    try:
        if "-----BEGIN" not in text:
            return Certificate.read(read_base64(text, "it"))
        return Certificate.read(next(octets for label, octets in read_pem(text) if label == "CERTIFICATE"))
    except (Malformed, StopIteration) as error:
        raise Refused(f"{member} is no certificate in base64 or PEM: {error}".removesuffix(": ")) from error


def read_message(text: str) -> bytes:
    """Return the octets of a V2G message in base64, or raise Refused."""
    try:
        return read_base64(text, "v2gMessage")
    except Malformed as error:
        raise Refused(f"{error}") from error


def to_base64(octets: bytes) -> str:
    """Return base64 without line breaks."""
    return base64.b64encode(octets).decode()


def _details(entry: Entry, certificate: Certificate, pfx: bytes, now: datetime) -> dict[str, str]:
    return {
        # The manual's "internal unique id" has 16 octets: the fingerprint begins as uniquely as any number would.
        "id": to_base64(certificate.fingerprint[:16]),
        "prov_cert": to_base64(entry.certificate),
        "pfx_cert": to_base64(pfx),
        "subject_dn": certificate.subject.print(),
        "not_before": f"{entry.not_before:%Y-%m-%d}",
        "not_after": f"{entry.not_after:%Y-%m-%d}",
        "serial": str(entry.serial),
        "version": str(certificate.version),
        "sig_algo": _signature_algorithm(certificate),
        "issuer_dn": certificate.issuer.print(),
        "status": _status(entry, now),
    }


def _status(entry: Entry, now: datetime) -> str:
    if entry.state is State.REVOKED:
        return "REVOKED"
    return "VALID" if entry.is_valid(now) else "EXPIRED"


def _signature_algorithm(certificate: Certificate) -> str:
    names = {suite.signature_oid: suite.java_name for suite in SUITES.values()}
    return names.get(certificate.signature_oid, suite_of(certificate.public_key).java_name)


def _common_name(certificate: Certificate) -> str:
    return certificate.subject.get("CN") or ""


_MISSING = re.compile(r"Object missing required field `(\w+)`")
_AT = re.compile(r"(.*) - at `\$\.(\w+)`")


def _explained(text: str) -> Malformed:
    """Say what the decoder found in the words of somebody who writes JSON."""
    if missing := _MISSING.match(text):
        return MissingField(missing[1], "is missing")
    if at := _AT.match(text):
        empty = "length >= 1" in at[1] or "matching regex" in at[1]
        return MissingField(at[2], "is empty" if empty else at[1].replace("`", "'"))
    return Malformed(f"the request is not a JSON object of the expected form: {text}")
