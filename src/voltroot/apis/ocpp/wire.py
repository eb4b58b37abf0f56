"""The payloads of OCPP that have to do with certificates, as values; the schemas have been checked before."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from voltroot.actors.csms.csms import Wanted
from voltroot.actors.csms.stations import LONGEST_CHAIN, Signing
from voltroot.errors import Malformed
from voltroot.ocppj import schemas
from voltroot.ocppj.frames import Payload
from voltroot.ocppj.schemas import Version
from voltroot.pki.certificates import Certificate, read_base64, read_pem
from voltroot.pki.fingerprints import HashAlgorithm, HashData, issued_by

# GetCertificateIdUseEnumType
_KINDS = (
    "V2GRootCertificate",
    "MORootCertificate",
    "CSMSRootCertificate",
    "V2GCertificateChain",
    "ManufacturerRootCertificate",
)
KINDS = {Version.V2_0_1: _KINDS, Version.V2_1: (*_KINDS, "OEMRootCertificate")}
# The most characters of InstallCertificate's certificate and of GetCertificateStatus's ocspResult.
LONGEST_CERTIFICATE = {Version.V2_0_1: 5_500, Version.V2_1: 10_000}
LONGEST_OCSP_RESULT = {Version.V2_0_1: 5_500, Version.V2_1: 18_000}
LONGEST_EXI_RESPONSE = {Version.V2_0_1: 7_500, Version.V2_1: 17_000}
# OCPP's integers have 32 bits (part 2, 2.1 of the data types), which its schemas do not say.
LARGEST_NUMBER = (1 << 31) - 1
# More than any station holds: what says so is no capacity.
MOST_CERTIFICATES = 1_000_000


class Question(NamedTuple):
    """One certificate whose status is asked for, and where."""

    asked: HashData
    urls: tuple[str, ...]


def moment(at: datetime) -> str:
    """Return a moment in RFC 3339."""
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def wanted(payload: Payload, version: Version) -> Wanted:
    """Read SignCertificateRequest."""
    root, request = payload.get("hashRootCertificate"), payload.get("requestId")
    if request is not None and abs(request) > LARGEST_NUMBER:
        raise Malformed(f"requestId: OCPP's integers go up to {LARGEST_NUMBER}")
    return Wanted(
        csr=payload["csr"],
        named=payload.get("certificateType", ""),
        # The schemas take 1.0 for an integer.
        request=None if request is None else int(request),
        root=hash_data(root) if root else None,
        is_2_1=version is Version.V2_1,
    )


def certificate_signed(signing: Signing, chain: str) -> Payload:
    """Return CertificateSignedRequest: type and requestId go back as they came, or not at all (A02.FR.14, 25)."""
    payload: Payload = {"certificateChain": chain}
    if signing.named:
        payload["certificateType"] = signing.named
    if signing.request is not None:
        payload["requestId"] = signing.request
    return payload


def hash_data(given: Mapping[str, Any]) -> HashData:
    """Read CertificateHashDataType or OCSPRequestDataType."""
    algorithm = HashAlgorithm(given["hashAlgorithm"])
    return HashData(algorithm, given["issuerNameHash"], given["issuerKeyHash"], given["serialNumber"])


def question(given: Mapping[str, Any]) -> Question:
    """Read OCSPRequestDataType."""
    url = given.get("responderURL", "")
    return Question(hash_data(given), (url,) if url else ())


def require_hash_data(given: Mapping[str, Any], version: Version) -> None:
    """Raise Malformed for what is no CertificateHashDataType."""
    violation = schemas.check(version, "DeleteCertificate", "Request", {"certificateHashData": dict(given)})
    if violation is not None:
        raise Malformed(violation.text)


def same(one: Mapping[str, Any], other: Mapping[str, Any], cas: Iterable[Certificate] = ()) -> bool:
    """Tell whether two hash data mean the same certificate, however they are written.

    Where one of ``cas`` has issued it, that goes for another hash and for a key that was hashed in another way, too.
    """
    first, second = hash_data(one), hash_data(other)
    if first.plain != second.plain and first.plain.serial_number == second.plain.serial_number:
        return any(issued_by(first, ca) and issued_by(second, ca) for ca in cas)
    return first.plain == second.plain


def inventory(payload: Payload, asked: Sequence[str]) -> dict[str, list[Mapping[str, Any]]]:
    """Read GetInstalledCertificateIdsResponse: what each type that was asked for has, which may be nothing."""
    found: dict[str, list[Mapping[str, Any]]] = {kind: [] for kind in asked}
    for each in payload.get("certificateHashDataChain", ()) if payload["status"] == "Accepted" else ():
        content = {name: value for name, value in each.items() if name != "certificateType"}
        found.setdefault(each["certificateType"], []).append(content)
    return found


def limits(payload: Payload) -> dict[str, int]:
    """Read from NotifyReportRequest how large a chain a station takes, and how many certificates."""
    found: dict[str, int] = {}
    for each in payload.get("reportData", ()):
        place = each["component"]["name"], each["variable"]["name"]
        if place == ("SecurityCtrlr", "MaxCertificateChainSize"):
            value = each["variableAttribute"][0].get("value", "")
            if value.isdecimal() and 0 < int(value) <= LONGEST_CHAIN:
                found["longest_chain"] = int(value)
        if place == ("SecurityCtrlr", "CertificateEntries"):
            # The capacity is the limit of the variable, not its value.
            most = each.get("variableCharacteristics", {}).get("maxLimit")
            if most is not None and 0 <= most <= MOST_CERTIFICATES:
                found["most_certificates"] = int(most)
    return found


def chain(text: str) -> list[Certificate]:
    """Read certificates in PEM, leaf first, in whatever order the others are, and none of them twice."""
    blocks = [octets for label, octets in read_pem(text) if label == "CERTIFICATE"]
    if not blocks:
        raise Malformed("certificate holds no certificate in PEM")
    return [*dict.fromkeys(map(Certificate.read, blocks))]


def exi(text: str) -> bytes:
    """Read exiRequest."""
    return read_base64(text, "exiRequest")


def to_base64(octets: bytes) -> str:
    """Return octets in base64."""
    return base64.b64encode(octets).decode()
