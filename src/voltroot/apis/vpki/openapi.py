"""The description of the vPKI API in OpenAPI 3.1, made from its tables."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from voltroot.apis.vpki import wire

TITLES = {
    "v1/prov": "Provisioning (ISO 15118-2)",
    "v2/prov": "Provisioning (ISO 15118-20)",
    "v2/vehicle": "Vehicle (ISO 15118-20)",
    "v1/est": "CCU (ecdsa-with-SHA256)",
    "v2/est": "CCU (ecdsa-with-SHA512)",
}
EXAMPLES = {
    "csr": "-----BEGIN CERTIFICATE REQUEST-----\nMIIB...\n-----END CERTIFICATE REQUEST-----",
    "unitCode": "C001",
    "tierCode": "P001",
    "vehicleCode": "SX2",
    "localCode": "KR",
    "brandCode": "HMC",
}
MISSING = "400", "A member is missing or empty; the first in the order of the schema is named."
USED = "403", "The key was used before, or the DN has a valid certificate; without a body: this caller may not ask."
NOT_THERE = "404", "There is no certificate on this DN."
WRONG = "406", "The CSR, its DN, its key or its signature is not as it should be."
NAMED = (
    ("409", "The request with this Idempotency-Key is being worked on."),
    ("422", "This Idempotency-Key was sent before with another request."),
)
ANYWAY = (
    ("413", "The request has more than 64 KiB."),
    ("429", "The caller asks too often."),
    ("500", "The service could not do its work."),
)
RESPONSES = {
    wire.ISSUE: (MISSING, USED, WRONG, *NAMED, *ANYWAY),
    wire.REISSUE: (MISSING, USED, NOT_THERE, WRONG, *NAMED, *ANYWAY),
    wire.REVOKE: (MISSING, ("403", "All certificates on this DN are revoked already."), NOT_THERE, *ANYWAY),
}


@cache
def document() -> bytes:
    """Return the description as JSON."""
    paths = {
        f"/api/{product}/{verb}": {"post": _operation(product, verb)}
        for product in wire.PRODUCTS
        for verb in wire.VERBS
    }
    schemas = {
        "Enrol": _object({name: _filled(example) for name, example in EXAMPLES.items()}),
        "Revoke": _object({"dn": _filled("cn=KM8P2844A9TD84HR91,ou=P001,ou=C001,ou=ECC,o=HKMC,dc=OEM")}),
        "Certificate": _object({"cert": {"type": "string", "description": "PEM with CRLF between its lines."}}),
        "Done": _object({}),
        "Refusal": _object({"resultMessage": {"type": "string"}}),
    }
    described = {
        "openapi": "3.1.0",
        "info": {"title": "vPKI API", "version": "2.1", "description": "Certificates for the parts of cars."},
        "paths": paths,
        "components": {"schemas": schemas},
    }
    return msgspec.json.encode(described)


def _operation(product: str, verb: str) -> dict[str, Any]:
    request, answer = ("Revoke", "Done") if verb == wire.REVOKE else ("Enrol", "Certificate")
    described: dict[str, Any] = {
        "summary": f"{TITLES[product]}: {verb}",
        "operationId": verb + product.title().replace("/", ""),
        "requestBody": {"required": True, "content": _json(request)},
        "responses": {
            "200": {"description": "Done.", "content": _json(answer)},
            **{status: {"description": text, "content": _json("Refusal")} for status, text in RESPONSES[verb]},
        },
    }
    if verb != wire.REVOKE:
        text = "The same key with the same request has the same answer, for ever."
        key = {"type": "string", "minLength": 1, "maxLength": 255}
        described["parameters"] = [{"name": "Idempotency-Key", "in": "header", "description": text, "schema": key}]
    return described


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _filled(example: str) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "examples": [example]}


def _object(members: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": members, "required": list(members)}
