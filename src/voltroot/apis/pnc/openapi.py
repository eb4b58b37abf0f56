"""The description of the Secondary Actor API in OpenAPI 3.1, made from the wire types."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import msgspec

from voltroot.apis.pnc import wire


class Operation(NamedTuple):
    """One call of the manual: its section, method, path, what it takes, what it answers and what in -20."""

    section: str
    method: str
    path: str
    title: str
    request: type[wire.Request] | None
    answer: type[wire.Data]
    otherwise: type[wire.Data] | None = None


OPERATIONS = (
    Operation("3.1.1", "post", "/cpo/seccCert", "Issue SECC certificate by SECC ID", wire.IssueSecc,
              wire.SeccCertificate),
    Operation("3.1.2", "post", "/cpo/seccCertByCsr", "Issue SECC certificate by CSR", wire.IssueSeccByCsr,
              wire.PlainCertificate),
    Operation("3.1.3", "get", "/cpo/seccCert/{seccId}", "Download SECC certificate by SECC ID", None,
              wire.PlainCertificate),
    Operation("3.1.4", "put", "/cpo/seccCert", "Renew SECC certificate by SECC ID", wire.RenewSecc,
              wire.SeccCertificate),
    Operation("3.1.5", "delete", "/cpo/seccCert", "Revoke SECC certificate by subject DN", wire.Revoke,
              wire.RevokeResult),
    Operation("3.1.6", "post", "/cpo/downloadSeccCert", "Download SECC certificate and private key as PFX by serial",
              wire.DownloadPfx, wire.PfxResult),
    Operation("3.2.1", "post", "/oem/provCert", "Issue OEM provisioning certificate by PCID", wire.IssueProv,
              wire.ProvCertificate),
    Operation("3.2.2", "get", "/oem/provCert/{pcid}", "Download OEM provisioning certificate by PCID", None,
              wire.ProvCertificate),
    Operation("3.2.3", "put", "/oem/provCert", "Renew OEM provisioning certificate by PCID", wire.RenewProv,
              wire.ProvCertificate),
    Operation("3.2.4", "delete", "/oem/provCert", "Revoke OEM provisioning certificate by subject DN", wire.Revoke,
              wire.RevokeResult),
    Operation("3.2.5", "get", "/oem/verifyByPcid/{pcid}", "Verify OEM provisioning certificate by PCID", None,
              wire.VerifyResult),
    Operation("3.3.1", "post", "/mo/contract", "Create contract", wire.CreateContract, wire.ContractInstallation),
    Operation("3.3.2", "put", "/mo/contract", "Renew contract", wire.RenewContract, wire.ContractUpdate,
              wire.ContractInstallation),
    Operation("3.3.3", "delete", "/mo/contract", "Revoke contract by subject DN", wire.Revoke, wire.RevokeResult),
    Operation("3.3.4", "post", "/mo/paymentDetail", "Verify contract certificate for PaymentDetails",
              wire.VerifyPayment, wire.VerifyResult),
    Operation("3.4.1", "post", "/ccp/certificateInstallation", "Answer a CertificateInstallationReq",
              wire.V2gMessage, wire.V2gAnswer),
    Operation("3.4.2", "post", "/ccp/certificateUpdate", "Answer a CertificateUpdateReq", wire.V2gMessage,
              wire.V2gAnswer),
)  # fmt: skip

REFUSALS = {
    "405": "The request is not JSON, or a member is missing, empty or of the wrong type; or the method is wrong.",
    "413": "The request has more than 64 KiB.",
    "500": "The service could not do its work.",
}


@cache
def document() -> bytes:
    """Return the description as JSON."""
    types = {kind for operation in OPERATIONS for kind in (operation.request, *_answers(operation)) if kind}
    ordered = sorted(types, key=lambda kind: kind.__name__)
    _, schemas = msgspec.json.schema_components(ordered, ref_template="#/components/schemas/{name}")
    schemas["Refusal"] = _object(status={"const": "error"}, message={"type": "string"}, data={"const": ""})
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault("/api/v2" + operation.path, {})[operation.method] = _operation(operation)
    described = {
        "openapi": "3.1.0",
        "info": {
            "title": "PnC Secondary Actor Service API",
            "version": "1.1.0",
            "description": "SECC and OEM provisioning certificates of ISO 15118, and contracts for cars.",
        },
        "paths": paths,
        "components": {"schemas": schemas},
    }
    return msgspec.json.encode(described)


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": f"{operation.section} {operation.title}",
        "operationId": operation.method + operation.path.split("{")[0].title().replace("/", ""),
        "responses": {
            "200": _response(
                "Done, or refused by the service.", [*map(_envelope, _answers(operation)), _ref("Refusal")]
            ),
            **{status: _response(text, [_ref("Refusal")]) for status, text in REFUSALS.items()},
        },
    }
    if operation.request is not None:
        content = {"application/json": {"schema": _ref(operation.request.__name__)}}
        described["requestBody"] = {"required": True, "content": content}
    if "{" in operation.path:
        holder = operation.path.split("{")[1].rstrip("}")
        described["parameters"] = [
            {"name": holder, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}},
            {"name": "edition", "in": "query", "required": False, "schema": _ref("IsoEdition")},
        ]
    return described


def _answers(operation: Operation) -> list[type[wire.Data]]:
    return [operation.answer, *([operation.otherwise] if operation.otherwise else [])]


def _envelope(answer: type[wire.Data]) -> dict[str, Any]:
    return _object(status={"const": "success"}, message={"type": "string"}, data=_ref(answer.__name__))


def _response(text: str, schemas: list[dict[str, Any]]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": {"oneOf": schemas}}}}


def _object(**members: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}
