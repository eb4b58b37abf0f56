"""The statements of the ledger's busy path, built once; each takes a list of rows where it says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Insert, bindparam, case, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from voltroot.pki.ports import State
from voltroot.store.tables import audit, certificates, counters, credentials, escrow, holdings, revocations

DIALECT_INSERTS: dict[str, Callable[..., Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
VALID, REVOKED, RESERVED, VOID = (state.value for state in (State.VALID, State.REVOKED, State.RESERVED, State.VOID))
RECORDED = or_(certificates.c.state == VALID, certificates.c.state == REVOKED)

NUMBERS = select(certificates.c.serial, certificates.c.number).where(
    certificates.c.serial.in_(bindparam("serials", expanding=True)), certificates.c.state == RESERVED
)
WINNERS = select(holdings.c.holder).where(holdings.c.holder.in_(bindparam("serials", expanding=True)))
FORGET = delete(certificates).where(certificates.c.number == bindparam("b_number"))
SEAL = insert(escrow)
AUDIT = insert(audit)

RECORD = (
    update(certificates)
    .where(certificates.c.number == bindparam("b_number"), certificates.c.state == RESERVED)
    .values(state=VALID, content=bindparam("b_content"), lease=None)
)
RECORDED_NOW = select(certificates).where(
    certificates.c.number.in_(bindparam("numbers", expanding=True)), certificates.c.state == VALID
)
HOLD = (
    update(holdings)
    .where(holdings.c.profile == bindparam("b_profile"), holdings.c.name == bindparam("b_name"))
    .values(until=case((holdings.c.until > bindparam("b_until"), holdings.c.until), else_=bindparam("b_until")))
)

VOID_LOST = (
    update(certificates)
    .where(certificates.c.state == RESERVED, certificates.c.lease < bindparam("b_now"))
    .values(state=VOID, lease=None)
    .returning(certificates)
)
VOID_THESE = (
    update(certificates)
    .where(certificates.c.state == RESERVED, certificates.c.number.in_(bindparam("numbers", expanding=True)))
    .values(state=VOID, lease=None)
    .returning(certificates)
)
UNSEAL = delete(escrow).where(escrow.c.certificate == bindparam("b_number"))
REVOKE = (
    update(certificates)
    .where(certificates.c.state == VALID, certificates.c.number.in_(bindparam("numbers", expanding=True)))
    .values(state=REVOKED, revoked_at=bindparam("b_now"), reason=bindparam("b_reason"))
    .returning(certificates)
)
LIST_REVOKED = insert(revocations)
REVISION = select(counters.c.value).where(counters.c.name == "revision")
RAISE_REVISION = update(counters).where(counters.c.name == "revision").values(value=counters.c.value + 1)

# A name is held exactly as long as one of its certificates is valid or reserved.
LOCK_NAME = (
    select(holdings.c.until)
    .where(holdings.c.profile == bindparam("b_profile"), holdings.c.name == bindparam("b_name"))
    .with_for_update()
)
HELD_UNTIL = select(
    func.max(case((certificates.c.state == VALID, certificates.c.not_after), else_=certificates.c.lease))
).where(
    certificates.c.name == bindparam("b_name"),
    certificates.c.profile == bindparam("b_profile"),
    certificates.c.state.in_((VALID, RESERVED)),
)
SETTLE = (
    update(holdings)
    .where(holdings.c.profile == bindparam("b_profile"), holdings.c.name == bindparam("b_name"))
    .values(until=bindparam("b_until"))
)

STATUSES = select(certificates).where(
    certificates.c.issuer == bindparam("b_issuer"),
    certificates.c.serial.in_(bindparam("serials", expanding=True)),
    RECORDED,
)

CREDENTIALS = (
    select(certificates, credentials)
    .join(credentials, credentials.c.certificate == certificates.c.number)
    .order_by(certificates.c.number)
)


def reserve(dialect: str) -> Insert:
    """Insert rows of certificates; one whose key is certified already is left out."""
    statement: Insert = DIALECT_INSERTS[dialect](certificates).on_conflict_do_nothing()
    return statement


def claim(dialect: str) -> Insert:
    """Take names that nobody holds any more; a name that somebody holds stays theirs."""
    statement = DIALECT_INSERTS[dialect](holdings)
    taken: Insert = statement.on_conflict_do_update(
        index_elements=["profile", "name"],
        set_={"until": statement.excluded.until, "holder": statement.excluded.holder},
        where=holdings.c.until < bindparam("b_now"),
    )
    return taken


def keep(dialect: str) -> Insert:
    """Hold names at least until a moment, whoever took them: renewals."""
    statement = DIALECT_INSERTS[dialect](holdings)
    later = case((holdings.c.until > statement.excluded.until, holdings.c.until), else_=statement.excluded.until)
    kept: Insert = statement.on_conflict_do_update(index_elements=["profile", "name"], set_={"until": later})
    return kept
