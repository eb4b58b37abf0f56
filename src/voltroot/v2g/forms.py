"""Messages as JSON, in the form that users of EXICodec.jar know: element names, octets as base64, lists as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voltroot.v2g.exi.datatypes import Binary, Boolean, Enumeration, Integer, String
from voltroot.v2g.exi.declare import Field, Model, fields
from voltroot.v2g.exi.faults import Unreadable, inside

if TYPE_CHECKING:
    from voltroot.v2g.exi.codec import Kind, Schema


def to_json(element: str, value: Model) -> dict[str, Any]:
    """An element as JSON: numbers and booleans as such, octets as text, what is absent left out."""
    return {element: _members(value)}


def from_json(given: object, schema: Schema, kind: Kind = "document") -> tuple[str, Model]:
    """The element that a JSON object describes, and its name; Unreadable, a Malformed, with the path to the fault."""
    roots = schema.documents if kind == "document" else schema.fragments
    if not isinstance(given, dict) or len(given) != 1:
        raise Unreadable("the JSON is not an object with one member, the message's element")
    (element, content) = next(iter(given.items()))
    if element not in roots:
        raise Unreadable(f"{element} is no {kind} of {schema.title}: {', '.join(roots)} are")
    with inside(element):
        return element, _model(roots[element].model, content)


def _members(value: Model) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for field in fields(type(value)):
        member = getattr(value, field.name)
        if member is None:
            continue
        name = type(member).__name__ if field.members else field.name
        given[name] = [_one(field, item) for item in member] if field.listed else _one(field, member)
    return given


def _one(field: Field, value: Any) -> Any:
    if field.datatype is None:
        return _members(value)
    return field.datatype.text(value) if isinstance(field.datatype, Binary) else value


def _model(model: type[Model], given: object) -> Model:
    if not isinstance(given, dict):
        raise Unreadable("an object belongs here")
    values: dict[str, Any] = {}
    places = {name: (field, inner) for field in fields(model) for name, inner in _names(field)}
    for name, content in given.items():
        if name not in places:
            raise Unreadable(f"{name} has no place here: {', '.join(places) or 'nothing'} may stand here")
        field, inner = places[name]
        if field.name in values:
            raise Unreadable(f"{name} cannot stand beside another {field.name}")
        with inside(name):
            values[field.name] = _value(field, inner, content)
    for field in fields(model):
        if field.least and field.name not in values:
            raise Unreadable(f"{' or '.join(name for name, _ in _names(field))} is missing")
    return model(**values)


def _names(field: Field) -> list[tuple[str, type[Model] | None]]:
    return [(member.__name__, member) for member in field.members] or [(field.name, field.model)]


def _value(field: Field, model: type[Model] | None, given: Any) -> Any:
    if not field.listed:
        return _single(field, model, given)
    if not isinstance(given, list):
        raise Unreadable("an array belongs here")
    return tuple(_single(field, model, item) for item in given)


def _single(field: Field, model: type[Model] | None, given: Any) -> Any:
    if model is not None:
        return _model(model, given)
    datatype = field.datatype
    match datatype, given:
        case ((Binary() | Enumeration()), str()):
            return datatype.parse(given)
        case (String(), str()) | (Boolean(), bool()):
            return given
        case Integer(), int() if not isinstance(given, bool):
            return given
    raise Unreadable(f"{datatype} belongs here, not {type(given).__name__}")
