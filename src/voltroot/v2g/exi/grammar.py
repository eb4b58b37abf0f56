"""From a model to the grammar of its content (EXI 8.5.4), and to the functions that read and write it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from voltroot.v2g.exi.declare import Field, Model, fields
from voltroot.v2g.exi.faults import Unreadable
from voltroot.v2g.exi.states import END, ENDED, UNFORESEEN, Production, State, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from voltroot.v2g.exi.bits import Reader, Writer
    from voltroot.v2g.exi.datatypes import Datatype


_BATCH = 64  # items of a list after which a writer puts away what it holds: it may not grow with the list


class Access(NamedTuple):
    """How a value is read and written."""

    read: Callable[[Reader], Any]
    write: Callable[[Writer, Any], None]


class Grammar(NamedTuple):
    """What an element holds: its states, the first first."""

    states: tuple[State, ...]
    access: Access


@cache
def grammar_of(model: type[Model]) -> Grammar:
    """The grammar of a model's content, made when it is first asked for."""
    states = _states(model)
    return Grammar(states, Access(_reader(model, states[0]), _writer(model, states[0])))


def relaxed(model: type[Model], codes: Mapping[str, tuple[int, int]]) -> Access:
    """By an element-fragment grammar (EXI 8.5.3), as far as a model needs it: width and code of each event."""
    events = [event for field in fields(model) for event in _events(model, field)] + [Production("EE")]
    states = [
        State(f"{model.__name__} (relaxed) before {event.label}", [event], width=width, codes=[code])
        for event in events
        for width, code in [codes[event.label]]
    ]
    for event, state in zip(events, states[1:], strict=False):
        event.next = state
    return Access(_reader(model, states[0]), _writer(model, states[0]))


def _states(model: type[Model]) -> tuple[State, ...]:
    """The states, made from the last particle to the first, so that each is made after those that follow it."""
    coming = [refused(label) for label in model.refused] + [Production("EE")] + [refused("CH")] * model.mixed
    states = [State(f"{model.__name__} at its end", coming)]
    particles = [list(run) for _, run in groupby(fields(model), key=lambda field: field.choice or field.name)]
    for particle in reversed(particles):
        following = states[-1]
        first = particle[0]
        events = [event for field in particle for event in _events(model, field)]
        if first.listed:
            states.append(State(f"{model.__name__} after {first.name}", events + coming))
        for event in events:
            event.next = states[-1]
            event.full = following if first.most else None
        coming = events + coming if first.least == 0 and not first.choice else events
        states.append(State(f"{model.__name__} before {' or '.join(event.name for event in events)}", coming))
    return tuple(reversed(states))


def _events(model: type[Model], field: Field) -> list[Production]:
    """The events of one member: several for a substitution group, in the order of their names."""
    name, datatype = field.name, field.datatype
    limit = field.most or field.cap if field.listed else 0
    if datatype is None and field.model is not None:
        return [Production(f"SE({name})", name, name, name, *element_of(field.model, name), limit)]
    if datatype is None:
        head = refused(f"SE({field.head})", f"{field.head} is abstract: one of its kind belongs here")
        events = [replace(head, name=field.head)]
        for member in field.members:
            element = member.__name__
            events.append(Production(f"SE({element})", name, element, member, *element_of(member, element), limit))
        return sorted(events, key=lambda event: event.name)
    qname = (field.namespace, name)
    if field.place == "element":
        return [Production(f"SE({name})", name, name, name, *_simple(datatype, qname), limit)]
    if field.place == "attribute":
        return [Production(f"AT({name})", name, f"@{name}", name, datatype.reader(qname), datatype.writer(qname))]
    # The string table goes by the element's name, which is not known here: its type serves as well.
    text = Production("CH", name, "", name, datatype.reader(model), datatype.writer(model))
    text.empty = Production("escape", name, read=lambda reader: _nothing(reader, datatype))
    text.empty.next = ENDED
    return [text]


def element_of(model: type[Model], name: str) -> Access:
    """How an element of a model is read and written; where a signature may refer to it, its bits are remembered."""
    grammar = grammar_of(model)
    if not model.signable:
        return grammar.access

    def read(reader: Reader) -> Any:
        start = reader.pos
        value = grammar.access.read(reader)
        reader.mark(name, value, start)
        return value

    return Access(read, grammar.access.write)


def _simple(datatype: Datatype, name: object) -> Access:
    """How an element that holds a value and nothing else is read and written."""
    start = State("value", [Production("CH")])
    take, put = datatype.reader(name), datatype.writer(name)

    def read(reader: Reader) -> Any:
        if reader.choose(start):
            return _nothing(reader, datatype)
        value = take(reader)
        if reader.choose(END):
            raise reader.fault("the element does not end after its value")
        return value

    def write(writer: Writer, value: Any) -> None:
        writer.choose(start, 0)
        put(writer, value)
        writer.choose(END, 0)

    return Access(read, write)


def _nothing(reader: Reader, datatype: Datatype) -> Any:
    """The value of an element that ends at once: EXIficient writes empty strings and octets so."""
    if reader.choose(UNFORESEEN):
        raise reader.fault("an event that the schema does not foresee")
    if datatype.empty is None:
        raise reader.fault(f"the element is empty, where {datatype} belongs")
    return datatype.empty


def _reader(model: type[Model], start: State) -> Callable[[Reader], Any]:
    lists = [field.name for field in fields(model) if field.listed]

    def read(reader: Reader) -> Any:
        values: dict[str, Any] = {}
        state = start
        while True:
            production = state.table[reader.choose(state)]
            take = production.read
            if take is None:
                break
            try:
                value = take(reader)
            except Unreadable as fault:
                fault.below(production.name)
                raise
            except IndexError:
                raise reader.cut().below(production.name) from None
            if production.limit:
                items = values.setdefault(production.member, [])
                items.append(value)
                state = _after(production, len(items))
            else:
                values[production.member] = value
                state = production.next
        for name in lists:
            if name in values:
                values[name] = tuple(values[name])
        return model(**values)

    return read


def _writer(model: type[Model], start: State) -> Callable[[Writer, Any], None]:
    members = fields(model)
    plan = [(field.name, field.listed, bool(field.members)) for field in members]

    def write(writer: Writer, value: Any) -> None:
        if type(value) is not model:
            raise Unreadable(f"a {model.__name__} belongs here, not {type(value).__name__}")
        state = start
        for name, listed, grouped in plan:
            member = getattr(value, name)
            if member is None:
                continue
            for count, item in enumerate(member if listed else (member,), 1):
                entry = state.by_key.get(type(item) if grouped else name)
                if entry is None:
                    raise Unreadable(_misplaced(state, name, item if grouped else None))
                code, production = entry
                writer.choose(state, code)
                try:
                    production.write(writer, item)
                except Unreadable as fault:
                    fault.below(production.name)
                    raise
                state = _after(production, count) if listed else production.next
                if count % _BATCH == 0:
                    writer.flush()
        if state.end is None:
            raise Unreadable(f"{_wanted(state)} is missing")
        writer.choose(state, state.end)

    return write


def _after(production: Production, count: int) -> State:
    """What follows item number `count` of a list."""
    if count < production.limit:
        return production.next
    if production.full is not None:
        return production.full
    if count == production.limit:
        return production.next
    raise Unreadable(f"more than {production.limit} {production.name}")


def _misplaced(state: State, name: str, item: object) -> str:
    shown = type(item).__name__ if item is not None else name
    wanted = _wanted(state)
    return f"{shown} cannot stand here: {f'{wanted} may' if wanted else 'the element ends'}"


def _wanted(state: State) -> str:
    return " or ".join({event.member: None for event in state.productions.values() if event.member})
