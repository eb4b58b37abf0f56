"""Random values of any declared model, within its facets and at their edges."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from hypothesis import strategies as st

from voltroot.v2g.exi.datatypes import Binary, Boolean, Enumeration, Integer, String
from voltroot.v2g.exi.declare import Field, Model, fields

_WORDS = st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
_WIDE = 2**150


def values(model: type[Model], *, shortest: int = 0) -> st.SearchStrategy[Model]:
    """Values of a model; `shortest` 1 leaves out empty strings and octets."""
    return st.composite(_value)(model, shortest)


def _value(draw: st.DrawFn, model: type[Model], shortest: int) -> Model:
    members: dict[str, Any] = {}
    for _, run in groupby(fields(model), key=lambda field: field.choice or field.name):
        particle = list(run)
        field = draw(st.sampled_from(particle)) if particle[0].choice else particle[0]
        if field.least or field.choice or draw(st.booleans()):
            members[field.name] = draw(_member(field, shortest))
    return model(**members)


def _member(field: Field, shortest: int) -> st.SearchStrategy[Any]:
    one = _single(field, shortest)
    if not field.listed:
        return one
    most = field.most or field.cap
    sizes = st.one_of(st.integers(max(field.least, 1), min(most, 4)), st.just(most if most <= 24 else 2))
    return sizes.flatmap(lambda size: st.tuples(*[one] * size))


def _single(field: Field, shortest: int) -> st.SearchStrategy[Any]:
    match field.datatype:
        case None:
            return st.one_of([values(model, shortest=shortest) for model in field.members or (field.model,) if model])
        case Boolean():
            return st.booleans()
        case Enumeration(words):
            return st.sampled_from(words)
        case Integer(least, most, facet):
            return st.integers(-_WIDE if least is None else least, _WIDE if most is None else facet or most)
        case Binary(longest, sizes):
            size = st.sampled_from(sizes) if sizes else st.one_of(st.integers(shortest, min(longest, 70)))
            return size.flatmap(lambda size: st.binary(min_size=size, max_size=size))
        case String(least, most, "string"):
            return st.text(_WORDS, min_size=max(least, shortest), max_size=min(most, 40))
        case String(least, most):
            return st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,30}", fullmatch=True)
    raise TypeError(f"{field.name} has a datatype that this does not know")
