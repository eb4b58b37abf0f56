"""The description of the operators' API in OpenAPI 3.1, made from its table and its wire types."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from voltroot.actors.csms.operations import IDENTITY
from voltroot.apis.operators import views, wire
from voltroot.apis.operators.calls import CALLS, Call
from voltroot.apis.operators.errors import PROBLEM

PATH = "/openapi.json"
_REFS = "#/components/schemas/{name}"
# What a star in a path is, by what comes before it.
_IN_PATH = {
    "stations": ("identity", {"type": "string", "pattern": IDENTITY}),
    "jobs": ("number", {"type": "integer", "minimum": 1, "maximum": 10**15 - 1}),
    "operations": ("number", {"type": "integer", "minimum": 1, "maximum": 10**15 - 1}),
}
_ANYWHERE = {
    "400": "The request cannot be read: the detail says where it is wrong.",
    "401": "No token, or nobody's.",
    "403": "The token may look only.",
    "503": "The database does not answer.",
}
_BY_KIND = {
    "body": {"413": "The request has more than 64 KiB.", "422": "It can be read, and the answer is no."},
    "path": {"404": "There is no such station, job or operation."},
}


@cache
def document() -> bytes:
    """Return the description as JSON."""
    calls = [call for methods in CALLS.values() for call in methods.values()]
    types = {each for call in calls for each in (call.answer, call.body) if each is not None}
    ordered = sorted(types, key=str)
    shown, schemas = msgspec.json.schema_components([*ordered, views.Problem], ref_template=_REFS)
    named = dict(zip(ordered, shown, strict=False))
    paths = {}
    for path, methods in CALLS.items():
        where, parameter = _place(path)
        paths[where] = {method.lower(): _operation(call, parameter, named) for method, call in methods.items()}
    described = {
        "openapi": "3.1.0",
        "info": {
            "title": "Voltroot CSMS operators' API",
            "version": "1.0.0",
            "description": "Charging stations, their certificates, and what they are to do about them.",
        },
        "security": [{"token": []}, {}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }
    return msgspec.json.encode(described)


def _place(path: str) -> tuple[str, list[dict[str, Any]]]:
    before, star, after = path.partition("*")
    if not star:
        return path, []
    name, schema = _IN_PATH[before.split("/")[2]]
    return f"{before}{{{name}}}{after}", [{"name": name, "in": "path", "required": True, "schema": schema}]


def _operation(call: Call, in_path: list[dict[str, Any]], named: dict[Any, Any]) -> dict[str, Any]:
    told = {"description": "Done."}
    answer = told if call.answer is None else told | {"content": {wire.JSON: {"schema": named[call.answer]}}}
    refusals = _ANYWHERE | (_BY_KIND["body"] if call.body else {}) | (_BY_KIND["path"] if in_path or call.body else {})
    if call.name == "addStation":
        refusals |= {"409": "There is a station of this identity."}
    problem = {"content": {PROBLEM: {"schema": {"$ref": _REFS.format(name="Problem")}}}}
    described: dict[str, Any] = {
        "operationId": call.name,
        "summary": call.summary,
        "responses": {str(call.status): answer}
        | {status: {"description": text} | problem for status, text in refusals.items()},
    }
    if parameters := in_path + _parameters(call.query):
        described["parameters"] = parameters
    if call.body is not None:
        described["requestBody"] = {"required": True, "content": {wire.JSON: {"schema": named[call.body]}}}
    return described


def _parameters(query: Any) -> list[dict[str, Any]]:
    """The question of an address: each member may be left out; null is nothing that an address can say."""
    found = []
    schema = msgspec.json.schema(query)
    (properties,) = (each["properties"] for each in schema["$defs"].values() if each.get("properties") is not None)
    for name, each in properties.items():
        kinds = [kind for kind in each.get("anyOf", [each]) if kind.get("type") != "null"]
        kind = schema["$defs"][kinds[0]["$ref"].rpartition("/")[2]] if "$ref" in kinds[0] else kinds[0]
        found.append({"name": name, "in": "query", "required": False, "schema": kind})
    return found
