"""Declaring messages: a model is a class whose members stand in the schema's order; annotations say the rest."""

from __future__ import annotations

import types
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, Union, dataclass_transform, get_args, get_origin, get_type_hints

from msgspec import Struct, StructMeta

from voltroot.v2g.exi.datatypes import Binary, Boolean, Datatype, Enumeration, Integer, String

Place = Literal["attribute", "element", "content"]


class _ByName(StructMeta):
    """Makes members known by name only, so that those that may be absent stand where the schema puts them."""

    def __new__(cls, name: str, bases: tuple[type, ...], members: dict[str, Any], **options: Any) -> Any:
        return super().__new__(cls, name, bases, members, kw_only=True, **options)


@dataclass_transform(frozen_default=True, kw_only_default=True)  # what holds for all models, said to type checkers
class Model(Struct, metaclass=_ByName, frozen=True):
    """An element's content: attributes first, then child elements or `value`, as the schema orders them."""

    namespace: ClassVar[str] = ""  # of the child elements
    signable: ClassVar[bool] = False  # a signature may refer to it: its bits are remembered
    refused: ClassVar[tuple[str, ...]] = ()  # events that the schema allows before the end and ISO 15118 does not
    mixed: ClassVar[bool] = False  # the schema allows text beside child elements; ISO 15118 does not


@dataclass(frozen=True, slots=True)
class Attribute:
    """The member is an attribute."""

    namespace: str = ""


@dataclass(frozen=True, slots=True)
class In:
    """The member's element belongs to another namespace than its siblings."""

    namespace: str


@dataclass(frozen=True, slots=True)
class Occurs:
    """The member is a list; `most` None is unbounded in the schema, and `cap` what we read at most."""

    least: int
    most: int | None
    cap: int = 1024


@dataclass(frozen=True, slots=True)
class Group:
    """The member is one element of a substitution group; its abstract head takes a code as well."""

    head: str
    namespace: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One of neighbouring members with the same choice is there."""

    name: str = "choice"


CONTENT = object()  # the member is the text of the element


@dataclass(frozen=True, slots=True)
class Field:
    """A member of a model."""

    name: str
    namespace: str
    place: Place
    datatype: Datatype | None = None
    model: type[Model] | None = None
    members: tuple[type[Model], ...] = ()  # of a substitution group: elements are named as their classes
    head: str = ""
    least: int = 1
    most: int | None = 1
    cap: int = 0  # not 0: a list
    choice: str = ""

    @property
    def listed(self) -> bool:
        """Whether the member is a tuple of values."""
        return self.cap > 0


@cache
def fields(model: type[Model]) -> tuple[Field, ...]:
    """The members of a model: attributes in the order of their names, then elements in that of the schema."""
    hints = get_type_hints(model, include_extras=True)
    declared = [_field(model, name, hints[name]) for name in model.__struct_fields__]
    attributes = sorted((field for field in declared if field.place == "attribute"), key=lambda field: field.name)
    return (*attributes, *(field for field in declared if field.place != "attribute"))


def _field(model: type[Model], name: str, hint: Any) -> Field:
    field = Field(name, model.namespace, "element")
    hint, notes = _bare(hint)
    if get_origin(hint) in (Union, types.UnionType) and type(None) in get_args(hint):
        field = replace(field, least=0)
        rest = tuple(option for option in get_args(hint) if option is not type(None))
        hint, inner = _bare(rest[0] if len(rest) == 1 else Union[rest])  # noqa: UP007  # built at run time
        notes += inner
    if get_origin(hint) is tuple:
        hint, inner = _bare(get_args(hint)[0])
        notes += inner
    for note in notes:
        field = _noted(field, note)
    return _typed(field, hint)


def _bare(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    return (get_args(hint)[0], tuple(hint.__metadata__)) if get_origin(hint) is Annotated else (hint, ())


def _noted(field: Field, note: Any) -> Field:
    match note:
        case Attribute(namespace):
            return replace(field, place="attribute", namespace=namespace)
        case In(namespace):
            return replace(field, namespace=namespace)
        case Occurs(least, most, cap):
            return replace(field, least=least, most=most, cap=most or cap)
        case Group(head, namespace):
            return replace(field, head=head, namespace=namespace)
        case Choice(name):
            return replace(field, choice=name)
        case String() | Binary() | Integer():
            return replace(field, datatype=note)
        case _ if note is CONTENT:
            return replace(field, place="content", namespace="")
        case _:
            raise TypeError(f"{field.name}: {note!r} says nothing about a member")


def _typed(field: Field, hint: Any) -> Field:
    if field.datatype is not None:
        return field
    if hint is bool:
        return replace(field, datatype=Boolean())
    if get_origin(hint) is Literal:
        return replace(field, datatype=Enumeration(get_args(hint)))
    if field.head:
        return replace(field, members=get_args(hint) or (hint,))
    if isinstance(hint, type) and issubclass(hint, Model):
        return replace(field, model=hint)
    raise TypeError(f"{field.name}: {hint!r} has no datatype")
