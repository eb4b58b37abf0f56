"""Printing grammars: the states of an element's content with the width and the code of every event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voltroot.errors import NotFound
from voltroot.v2g.exi.codec import document_state, fragment_state
from voltroot.v2g.exi.declare import Model, fields
from voltroot.v2g.exi.grammar import grammar_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voltroot.v2g.exi.codec import Schema
    from voltroot.v2g.exi.states import State


def type_names(schema: Schema) -> list[str]:
    """Every type that a schema set's messages are made of, by name."""
    return sorted(_models(schema))


def grammar(schema: Schema, name: str) -> str:
    """The grammar of one type, or of a "document" or a "fragment", for people; NotFound if there is none."""
    if name == "document":
        return "\n".join(_state(document_state(schema)))
    if name == "fragment":
        return "\n".join(_state(fragment_state(schema)))
    models = _models(schema)
    if name not in models:
        raise NotFound(f"{schema.title} has no type {name} here; those that are known: {', '.join(sorted(models))}")
    lines = [line for state in grammar_of(models[name]).states for line in _state(state)]
    return "\n".join([*lines, "", *_members(models[name])])


def _models(schema: Schema) -> dict[str, type[Model]]:
    found: dict[str, type[Model]] = {}
    waiting = [root.model for roots in (schema.documents, schema.fragments) for root in roots.values()]
    while waiting:
        model = waiting.pop()
        if model.__name__ not in found:
            found[model.__name__] = model
            for field in fields(model):
                waiting += [field.model] if field.model else field.members
    return found


def _state(state: State) -> Iterator[str]:
    yield f"{state.name}: {state.width} bit{'s' if state.width != 1 else ''}"
    for code, production in state.productions.items():
        yield f"  {code:0{state.width}b}  {code:>3}  {production.label}"


def _members(model: type[Model]) -> Iterator[str]:
    for field in fields(model):
        what = field.datatype or (
            field.model.__name__ if field.model else f"one of the {len(field.members)} {field.head}"
        )
        most = "unbounded" if field.most is None else field.most
        often = "" if (field.least, field.most) == (1, 1) else f", {field.least} to {most}"
        yield f"{'@' if field.place == 'attribute' else ''}{field.name}: {what}{often}"
