"""The payloads of OCPP as a station reads and writes them; the schemas have been checked before."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from voltroot.actors.station.contracts import Decision, Question
from voltroot.actors.station.outcomes import (
    DeleteStatus,
    Deletion,
    Installation,
    Installed,
    InstallStatus,
    Listing,
    OcspRequest,
)
from voltroot.actors.station.ports import CaKind, LeafKind
from voltroot.actors.station.state import Asked, Network
from voltroot.actors.station.variables import Access, Answer, Place, Row
from voltroot.actors.station.vehicles import Query, Status, Told
from voltroot.apis.ocpp import wire
from voltroot.errors import Malformed
from voltroot.ocppj.frames import Payload
from voltroot.ocppj.schemas import Version
from voltroot.pki.fingerprints import HashData

# CertificateSigningUseEnumType
USES = {
    "ChargingStationCertificate": LeafKind.CSMS,
    "V2GCertificate": LeafKind.V2G,
    "V2G20Certificate": LeafKind.V2G20,
}
_NAMES = {kind: name for name, kind in USES.items()}
# InstallCertificateUseEnumType; the OEM's is of 2.1.
ROOTS = {
    "V2GRootCertificate": CaKind.V2G,
    "MORootCertificate": CaKind.MO,
    "CSMSRootCertificate": CaKind.CSMS,
    "ManufacturerRootCertificate": CaKind.MF,
    "OEMRootCertificate": CaKind.OEM,
}
# GetCertificateIdUseEnumType: the manufacturer's has another name in EVerest.
LISTINGS = {
    "V2GRootCertificate": Listing.V2G_ROOT,
    "MORootCertificate": Listing.MO_ROOT,
    "CSMSRootCertificate": Listing.CSMS_ROOT,
    "V2GCertificateChain": Listing.V2G_CHAIN,
    "ManufacturerRootCertificate": Listing.MF_ROOT,
    "OEMRootCertificate": Listing.OEM_ROOT,
}
_LISTED = {listing: name for name, listing in LISTINGS.items()}
MOST_CHILDREN = 4
# The most characters of Authorize's certificate.
LONGEST_CHAIN = {Version.V2_0_1: 5_500, Version.V2_1: 10_000}
LONGEST_URL = {Version.V2_0_1: 512, Version.V2_1: 2_000}
# Entries of GetCertificateChainStatusRequest, and addresses in each.
MOST_STATUSES, MOST_URLS = 4, 5
# OCPPVersionEnumType; "" leaves it to the CSMS.
VERSIONS = {"OCPP20": "", "OCPP201": Version.V2_0_1, "OCPP21": Version.V2_1}
LONGEST_REASON, LONGEST_INFO = 20, 512
ITEMS_A_MESSAGE = 100
_REASONS = {
    InstallStatus.FULL: "OutOfStorage",
    InstallStatus.WRITE_ERROR: "InternalError",
}


def sign_certificate(asked: Asked, version: Version) -> Payload:
    """Return SignCertificateRequest; 2.0.1 has one word for both editions of ISO 15118, and the key tells which."""
    payload: Payload = {"csr": asked.csr}
    if asked.typed:
        kind = LeafKind.V2G if version is Version.V2_0_1 and asked.kind is LeafKind.V2G20 else asked.kind
        payload["certificateType"] = _NAMES[kind]
    if version is Version.V2_1:
        payload["requestId"] = asked.request
        if asked.wanted is not None:
            payload["hashRootCertificate"] = hash_data(asked.wanted)
    return payload


def signed(payload: Payload) -> tuple[str, LeafKind | None, int | None]:
    """Read CertificateSignedRequest."""
    named = payload.get("certificateType")
    return payload["certificateChain"], USES[named] if named else None, payload.get("requestId")


def installed(installation: Installation) -> Payload:
    """Return InstallCertificateResponse."""
    status = {InstallStatus.ACCEPTED: "Accepted", InstallStatus.WRITE_ERROR: "Failed"}
    return said(status.get(installation.status, "Rejected"), _reason(installation), installation.reason)


def taken(installation: Installation) -> Payload:
    """Return CertificateSignedResponse."""
    status = "Accepted" if installation.status is InstallStatus.ACCEPTED else "Rejected"
    return said(status, _reason(installation), installation.reason)


def deleted(deletion: Deletion) -> Payload:
    """Return DeleteCertificateResponse."""
    reason = "NotFound" if deletion.status is DeleteStatus.NOT_FOUND else "Unspecified"
    return said(deletion.status.value, reason, deletion.reason)


def listed(found: Iterable[Installed]) -> Payload:
    """Return GetInstalledCertificateIdsResponse: with nothing found no list at all (M03.FR.02)."""
    chains = [_chain(each) for each in found]
    if not chains:
        return {"status": "NotFound", "statusInfo": {"reasonCode": "NotFound"}}
    return {"status": "Accepted", "certificateHashDataChain": chains}


def said(status: str, reason: str = "", info: str = "") -> Payload:
    """Return a response of a status, with the reason where it is not a plain yes."""
    if status == "Accepted" or not (reason or info):
        return {"status": status}
    told = {"reasonCode": (reason or "Unspecified")[:LONGEST_REASON]}
    return {"status": status, "statusInfo": told | ({"additionalInfo": info[:LONGEST_INFO]} if info else {})}


def hash_data(about: HashData) -> Payload:
    """Return CertificateHashDataType."""
    return {
        "hashAlgorithm": about.algorithm.value,
        "issuerNameHash": about.issuer_name_hash,
        "issuerKeyHash": about.issuer_key_hash,
        "serialNumber": about.serial_number,
    }


def ocsp_request(asked: OcspRequest) -> Payload:
    """Return OCSPRequestDataType."""
    return hash_data(asked.about) | {"responderURL": asked.url}


def ocsp_answer(payload: Payload) -> bytes | None:
    """Read GetCertificateStatusResponse: the OCSP answer in DER, if there is one."""
    if payload["status"] != "Accepted" or not payload.get("ocspResult"):
        return None
    try:
        return base64.b64decode(payload["ocspResult"], validate=True)
    except binascii.Error as error:
        raise Malformed("ocspResult is not base64") from error


def authorize(question: Question) -> Payload:
    """Return AuthorizeRequest."""
    payload: Payload = {"idToken": {"idToken": question.emaid, "type": "eMAID"}}
    if question.chain:
        return payload | {"certificate": question.chain}
    return payload | {"iso15118CertificateHashData": [ocsp_request(each) for each in question.requests]}


def authorized(emaid: str, payload: Payload) -> Decision:
    """Read AuthorizeResponse."""
    return Decision(emaid, payload["idTokenInfo"]["status"], payload.get("certificateStatus"), True)


def chain_status(asked: Iterable[Query]) -> Payload:
    """Return GetCertificateChainStatusRequest."""
    return {
        "certificateStatusRequests": [
            {
                "certificateHashData": hash_data(each.about),
                "source": each.source.value,
                "urls": [*each.urls[:MOST_URLS]],
            }
            for each in asked
        ]
    }


def chain_statuses(payload: Payload, asked: Sequence[Query]) -> Iterator[tuple[Query, Told]]:
    """Read GetCertificateChainStatusResponse; what is about something else is passed over."""
    for each in payload["certificateStatus"]:
        about = wire.hash_data(each["certificateHashData"]).plain
        query = next((one for one in asked if one.about.plain == about), None)
        if query is not None:
            yield query, Told(Status(each["status"]), datetime.fromisoformat(each["nextUpdate"].upper()))


def network(payload: Payload) -> Network:
    """Read SetNetworkProfileRequest; Malformed says what this station does not do."""
    data = payload["connectionData"]
    version = VERSIONS.get(data.get("ocppVersion", "OCPP20"))
    if version is None:
        raise Malformed(f"ocppVersion: {data['ocppVersion']} is not spoken here")
    if data["ocppTransport"] != "JSON":
        raise Malformed(f"ocppTransport: {data['ocppTransport']} is not spoken here")
    if "vpn" in data or "apn" in data:
        raise Malformed("this station sets up neither VPNs nor mobile networks")
    own = data.get("identity", ""), data.get("basicAuthPassword", "")
    return Network(data["ocppCsmsUrl"], data["securityProfile"], version, *own)


def place(given: Mapping[str, Any]) -> Place:
    """Read ComponentType and VariableType."""
    component, variable = given["component"], given.get("variable", {})
    instance = variable.get("instance") or component.get("instance") or ""
    return Place(component["name"], variable.get("name", ""), instance, component.get("evse", {}).get("id"))


def result(given: Mapping[str, Any], answer: Answer, *, reading: bool) -> Payload:
    """Return GetVariableResultType or SetVariableResultType."""
    told = {name: given[name] for name in ("component", "variable", "attributeType") if name in given}
    told["attributeStatus"] = answer.status.value
    if answer.status.value != "Accepted" and answer.text:
        told["attributeStatusInfo"] = {"reasonCode": "InvalidValue", "additionalInfo": answer.text[:LONGEST_INFO]}
    elif reading and answer.status.value == "Accepted":
        told["attributeValue"] = answer.text
    return told


def reports(
    request: int, found: Sequence[tuple[Place, Row, str | None]], limits: Mapping[str, int], now: datetime
) -> Iterator[Payload]:
    """Yield NotifyReportRequests; ``limits`` are the most that variables may be, by component and name."""
    parts = [found[at : at + ITEMS_A_MESSAGE] for at in range(0, len(found), ITEMS_A_MESSAGE)]
    for number, part in enumerate(parts):
        yield {
            "requestId": request,
            "generatedAt": wire.moment(now),
            "seqNo": number,
            "tbc": number < len(parts) - 1,
            "reportData": [_reported(*each, limits) for each in part],
        }


def _reported(own: Place, row: Row, value: str | None, limits: Mapping[str, int]) -> Payload:
    component: Payload = {"name": own.component}
    if own.evse is not None:
        component["evse"] = {"id": own.evse}
    variable = {"name": own.name} | ({"instance": own.instance} if own.instance else {})
    attribute = {"type": "Actual", "mutability": row.access.value, "persistent": row.access is not Access.READ}
    about: Payload = {"dataType": row.type, "supportsMonitoring": False}
    most = limits.get(f"{row.component}.{row.name}", row.most)
    about |= {name: each for name, each in (("minLimit", row.least), ("maxLimit", most)) if each is not None}
    about |= {name: each for name, each in (("unit", row.unit), ("valuesList", row.options)) if each}
    return {
        "component": component,
        "variable": variable,
        "variableAttribute": [attribute | ({} if value is None else {"value": value})],
        "variableCharacteristics": about,
    }


def _chain(each: Installed) -> Payload:
    told: Payload = {"certificateType": _LISTED[each.listing], "certificateHashData": hash_data(each.about)}
    # M03.FR.05: a root stands for itself.
    if each.listing is Listing.V2G_CHAIN and each.children:
        told["childCertificateHashData"] = [hash_data(child) for child in each.children[:MOST_CHILDREN]]
    return told


def _reason(installation: Installation) -> str:
    return _REASONS.get(installation.status, "InvalidCertificate")
