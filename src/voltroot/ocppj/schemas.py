"""What each action's request and response look like: OCA's own JSON schemas, compiled, and what a violation is called.

The schemas are those that the package ``ocpp`` carries, unmodified.
"""

from __future__ import annotations

import json
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any, Literal, NamedTuple

import jsonschema_rs

from voltroot.ocppj.frames import Code, Payload

Part = Literal["Request", "Response"]


class Version(StrEnum):
    """The versions of OCPP, by their WebSocket subprotocols."""

    V2_0_1 = "ocpp2.0.1"
    V2_1 = "ocpp2.1"


class Violation(NamedTuple):
    """What a payload breaks: the code for a CALLERROR, and a sentence that names the member."""

    code: Code
    text: str


def actions(version: Version) -> frozenset[str]:
    """Return the names of all actions that are answered."""
    return frozenset(name.removesuffix("Request") for name in _sources(version) if name.endswith("Request"))


def check(version: Version, action: str, part: Part | None, payload: Payload) -> Violation | None:
    """Return the first violation of a payload, or None; ``part`` is None for what nobody answers."""
    validator = _validator(version, action + (part or ""))
    if validator is None:
        return Violation(Code.NOT_IMPLEMENTED, f"{version} knows no {action}")
    if validator.is_valid(payload):
        return None
    return _violation(next(validator.iter_errors(payload)))


def mended(action: str, response: Payload) -> Payload:
    """Return a response without the mistakes that stations in the field are known for."""
    match action:
        case "Get15118EVCertificate":
            # OCTT itself leaves it away where the status is Failed.
            return {"exiResponse": ""} | response
        case "GetInstalledCertificateIds":
            chains = response.get("certificateHashDataChain")
            kept = {name: value for name, value in response.items() if value != []}
            return kept | ({"certificateHashDataChain": [*map(_without_empty, chains)]} if chains else {})
    return response


def _without_empty(chain: Any) -> Any:
    return {name: value for name, value in chain.items() if value != []} if isinstance(chain, dict) else chain


@cache
def _sources(version: Version) -> frozenset[str]:
    return frozenset(each.name.removesuffix(".json") for each in _folder(version).iterdir())


@cache
def _validator(version: Version, name: str) -> jsonschema_rs.Validator | None:
    if name not in _sources(version):
        return None
    text = _folder(version).joinpath(f"{name}.json").read_text(encoding="utf-8-sig")
    return jsonschema_rs.validator_for(json.loads(text))


def _folder(version: Version) -> Any:
    package = {Version.V2_0_1: "v201", Version.V2_1: "v21"}[version]
    # Its other modules are not imported: only the files are wanted.
    return files("ocpp").joinpath(package, "schemas")


def _violation(error: jsonschema_rs.ValidationError) -> Violation:
    kind = error.kind
    code, text = _WORDS.get(type(kind).__name__, (Code.FORMAT_VIOLATION, "it is not of the expected form"))
    place = ".".join(map(str, error.instance_path)) or "the payload"
    return Violation(code, f"{place}: {text.format(kind=kind)}")


_WORDS = {
    "Required": (Code.OCCURRENCE_CONSTRAINT_VIOLATION, "{kind.property} is missing"),
    "MinItems": (Code.OCCURRENCE_CONSTRAINT_VIOLATION, "fewer than {kind.limit} items"),
    "MaxItems": (Code.OCCURRENCE_CONSTRAINT_VIOLATION, "more than {kind.limit} items"),
    "Type": (Code.TYPE_CONSTRAINT_VIOLATION, "is not of the type {kind.types}"),
    "Enum": (Code.PROPERTY_CONSTRAINT_VIOLATION, "is none of {kind.options}"),
    "Format": (Code.PROPERTY_CONSTRAINT_VIOLATION, "is no {kind.format}"),
    "MaxLength": (Code.PROPERTY_CONSTRAINT_VIOLATION, "is longer than {kind.limit} characters"),
    "Minimum": (Code.PROPERTY_CONSTRAINT_VIOLATION, "is less than {kind.limit}"),
    "Maximum": (Code.PROPERTY_CONSTRAINT_VIOLATION, "is more than {kind.limit}"),
    "AdditionalProperties": (Code.FORMAT_VIOLATION, "has members that are not known: {kind.unexpected}"),
}
