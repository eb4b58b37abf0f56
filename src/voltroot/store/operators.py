"""Who may call the operators' API, in the ledger's database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Row, delete, func, select

from voltroot.actors.csms import operators as tokens
from voltroot.actors.csms.operators import Acting, Operator
from voltroot.errors import NameTaken, NotFound
from voltroot.store.engine import reading, retried, writing
from voltroot.store.rows import moment_of, seconds
from voltroot.store.statements import DIALECT_INSERTS
from voltroot.store.stations import audit
from voltroot.store.tables import operators


class SqlOperators:
    """Operators on a database whose schema is up to date; each method is one transaction. ``now`` is the clock."""

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now
        self._insert = DIALECT_INSERTS[engine.dialect.name](operators)

    @retried
    def add(self, name: str, may_change: bool, by: Acting) -> str:
        """Put an operator on record and return the token, which is kept nowhere; NameTaken where the name is there."""
        token, now = tokens.generate(), seconds(self._now())
        values = {"name": name, "digest": tokens.digest(token), "may_change": may_change, "made": now}
        added = self._insert.values(values).on_conflict_do_nothing().returning(operators.c.name)
        with writing(self._engine) as connection:
            if connection.execute(added).first() is None:
                raise NameTaken(f"{name} is an operator already: remove it first, or choose another name")
            audit(connection, now, "operator.added", by, {"operator": name, "mayChange": may_change})
        return token

    @retried
    def remove(self, name: str, by: Acting) -> None:
        """Forget an operator, whose token is good for nothing from now on; NotFound where there is none."""
        with writing(self._engine) as connection:
            gone = delete(operators).where(operators.c.name == name).returning(operators.c.name)
            if connection.execute(gone).first() is None:
                raise NotFound(f"there is no operator {name}")
            audit(connection, seconds(self._now()), "operator.removed", by, {"operator": name})

    def every(self) -> list[Operator]:
        """Return all operators, by name."""
        with reading(self._engine) as connection:
            return [*map(_operator, connection.execute(select(operators).order_by(operators.c.name)))]

    def there_are(self) -> bool:
        """Tell whether anybody is on record."""
        with reading(self._engine) as connection:
            return bool(connection.execute(select(func.count()).select_from(operators)).scalar())

    def with_token(self, token: str) -> Operator | None:
        """Return whose a token is."""
        with reading(self._engine) as connection:
            query = select(operators).where(operators.c.digest == tokens.digest(token))
            row = connection.execute(query).first()
        return _operator(row) if row else None


def _operator(row: Row[Any]) -> Operator:
    return Operator(row.name, row.may_change, moment_of(row.made))
