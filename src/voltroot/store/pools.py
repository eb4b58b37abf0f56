"""The pool of contracts: written by the ledger as it reserves, looked up by the key of the car that asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, and_, bindparam, delete, func, insert, select, update

from voltroot.actors.mo import Kept
from voltroot.contract.seal import Sealed
from voltroot.pki.drafts import Draft
from voltroot.pki.ports import Entry
from voltroot.store.engine import reading, retried, writing
from voltroot.store.prepared import execute_many
from voltroot.store.rows import entry_of, seconds
from voltroot.store.statements import RECORDED, VALID
from voltroot.store.tables import certificates, packages

REMOVE = delete(packages).where(packages.c.certificate == bindparam("b_number"))
_ENCLOSE = insert(packages)
_DELIVER = (
    update(packages)
    .where(packages.c.certificate == bindparam("b_number"))
    .values(delivered=func.coalesce(packages.c.delivered, bindparam("b_now")), session=bindparam("b_session"))
)
_RESTART = update(packages).where(packages.c.certificate.in_(bindparam("numbers", expanding=True))).values(session=None)
_SETTLE = update(packages).where(packages.c.certificate == bindparam("b_number")).values(supersedes=False)
_KEPT = (
    select(certificates, packages)
    .join(packages, packages.c.certificate == certificates.c.number)
    .where(RECORDED)
    .order_by(certificates.c.number.desc())
)
_SEALED_TO = _KEPT.where(packages.c.receiver == bindparam("b_receiver"))
_OF = _KEPT.where(packages.c.certificate == bindparam("b_number"))
_DUE = _KEPT.where(packages.c.supersedes, packages.c.delivered.is_not(None))


def enclose(connection: Connection, drafts: Sequence[Draft], numbers: Mapping[int, int], moment: int) -> None:
    """Write down the enclosures of drafts that are being reserved."""
    rows = [
        {
            "certificate": numbers[draft.serial],
            "emaid": each.emaid,
            "holder": each.holder,
            "receiver": each.receiver,
            "public": each.public,
            "encrypted": each.encrypted,
            "supersedes": each.supersedes,
            "delivered": moment if each.delivered else None,
            "fault": each.fault,
        }
        for draft in drafts
        if (each := draft.order.enclosure) is not None
    ]
    execute_many(connection, _ENCLOSE, rows)


class SqlContractPool:
    """A ``ContractPool`` on the ledger's database; ``now`` is the clock."""

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now

    def sealed_to(self, receiver: bytes) -> list[Kept]:
        """See ``ContractPool.sealed_to``."""
        with reading(self._engine) as connection:
            return [_kept_of(row) for row in connection.execute(_SEALED_TO, {"b_receiver": receiver})]

    def of(self, number: int) -> Kept | None:
        """See ``ContractPool.of``."""
        with reading(self._engine) as connection:
            row = connection.execute(_OF, {"b_number": number}).first()
        return _kept_of(row) if row is not None else None

    @retried
    def deliver(self, number: int, session: bytes, again: Sequence[int] = ()) -> None:
        """See ``ContractPool.deliver``."""
        with writing(self._engine) as connection:
            if again:
                connection.execute(_RESTART, {"numbers": list(again)})
            marks = {"b_number": number, "b_now": seconds(self._now()), "b_session": session}
            connection.execute(_DELIVER, marks)

    def superseded(self) -> list[tuple[int, list[Entry]]]:
        """See ``ContractPool.superseded``."""
        table = certificates.c
        with reading(self._engine) as connection:
            found = []
            for row in connection.execute(_DUE).all():
                own = and_(table.profile == row.profile, table.name == row.name, table.state == VALID)
                older = connection.execute(select(certificates).where(own, table.number < row.number))
                found.append((row.number, [entry_of(each) for each in older]))
        return found

    @retried
    def settle(self, numbers: Sequence[int]) -> None:
        """See ``ContractPool.settle``."""
        with writing(self._engine) as connection:
            execute_many(connection, _SETTLE, [{"b_number": number} for number in numbers])


def _kept_of(row: Row[Any]) -> Kept:
    return Kept(
        entry=entry_of(row),
        emaid=row.emaid,
        holder=row.holder,
        sealed=Sealed(row.public, row.encrypted),
        supersedes=row.supersedes,
        delivered=row.delivered is not None,
        session=row.session,
        fault=row.fault,
    )
