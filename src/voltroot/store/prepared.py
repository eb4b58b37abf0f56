"""The busy path's statements: compiled once and handed to the driver itself, a quarter of what the toolkit's way takes.

What types would do to values is left out: octets, texts, integers and truth values are what the drivers take and give.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Dialect, Executable
from sqlalchemy.exc import DBAPIError


class Prepared(NamedTuple):
    """A statement as the driver takes it: its text, the order of its marks where they are counted, and set marks."""

    text: str
    order: Sequence[str] | None
    constants: Mapping[str, Any]

    def bound(self, marks: Mapping[str, Any]) -> Any:
        """Return the values of the marks as the driver takes them."""
        every = {**self.constants, **marks}
        return every if self.order is None else tuple([every[name] for name in self.order])


def execute_many(connection: Connection, statement: Executable, rows: Sequence[Mapping[str, Any]]) -> None:
    """Execute a statement for each of many rows, which have the same members."""
    if not rows:
        return
    prepared = _prepared(statement, connection.dialect, tuple(rows[0]), ())
    with _cursor(connection) as cursor:
        cursor.executemany(prepared.text, [prepared.bound(row) for row in rows])


def rows_of(connection: Connection, statement: Executable, marks: Mapping[str, Any]) -> list[Any]:
    """Return the rows of a statement, by the names of their columns; a list stands for an expanding mark."""
    lists = {name: value for name, value in marks.items() if isinstance(value, list)}
    if not all(lists.values()):
        return []
    sizes = tuple((name, len(values)) for name, values in lists.items())
    prepared = _prepared(statement, connection.dialect, tuple(marks.keys() - lists), sizes)
    single = {name: value for name, value in marks.items() if name not in lists}
    expanded = {f"{name}_{place}": each for name, values in lists.items() for place, each in enumerate(values, 1)}
    with _cursor(connection) as cursor:
        cursor.execute(prepared.text, prepared.bound(single | expanded))
        found = cursor.fetchall()
        return list(map(_row(tuple(column[0] for column in cursor.description))._make, found)) if found else []


@lru_cache(maxsize=2048)
def _prepared(
    statement: Any, dialect: Dialect, members: tuple[str, ...], sizes: tuple[tuple[str, int], ...]
) -> Prepared:
    compiled = statement.compile(dialect=dialect, column_keys=None if sizes else list(members))
    if not sizes:
        return Prepared(str(compiled), compiled.positiontup, compiled.params)
    expanded = compiled.construct_expanded_state({name: [None] * size for name, size in sizes} | dict.fromkeys(members))
    return Prepared(expanded.statement, expanded.positiontup, expanded.parameters)


@lru_cache(maxsize=64)
def _row(names: tuple[str, ...]) -> Any:
    return namedtuple("Row", names)


@contextmanager
def _cursor(connection: Connection) -> Iterator[Any]:
    """The driver's own cursor; its errors come as the toolkit tells them."""
    cursor = connection.connection.cursor()
    try:
        yield cursor
    except connection.dialect.loaded_dbapi.Error as error:
        raise DBAPIError.instance(
            None, None, error, connection.dialect.loaded_dbapi.Error, dialect=connection.dialect
        ) from error
    finally:
        cursor.close()
