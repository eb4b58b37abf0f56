"""What the ledger says of certificates against what its audit rows tell of them."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select

from voltroot.store.statements import RESERVED, REVOKED, VALID, VOID
from voltroot.store.tables import audit, certificates, credentials, revocations


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """A trace of tampering in words, and the numbers of the audit row, certificate and log entry that it is about."""

    text: str
    audit: int | None = None
    certificate: int | None = None
    entry: int | None = None


def contradictions(connection: Connection) -> Iterator[Finding]:
    """Yield what cannot be true of certificates, revocations and credentials together with the audit rows."""
    for number, state in connection.execute(_OTHER_HISTORY):
        told = connection.execute(_EVENTS.where(audit.c.certificate == number)).all()
        history = ", ".join(f"{event} ({row})" for row, event in told) or "nothing"
        last = told[-1].number if told else None
        yield Finding(f"certificate {number} is {state}, but the audit rows of it say: {history}", last, number)
    for row, event, number in connection.execute(_WITHOUT_CERTIFICATE):
        yield Finding(f"audit row {row} says {event} of certificate {number}, which is not there", row, number)
    for (number,) in connection.execute(_WITHOUT_REVOCATION):
        yield Finding(f"certificate {number} is revoked, but the list of revocations lacks it", None, number)
    for row, number in connection.execute(_WITHOUT_REVOKED):
        yield Finding(f"revocation {row} is not what certificate {number} says", None, number)


def _times(*events: str) -> ColumnElement[int]:
    return func.count(case((audit.c.event.in_(events), 1)))


_history = (
    select(
        audit.c.certificate,
        func.count().label("all"),
        _times("certificate.reserved", "certificate.taken_in").label("begun"),
        _times("certificate.issued").label("issued"),
        _times("certificate.issued", "certificate.taken_in").label("valid"),
        _times("certificate.voided").label("voided"),
        _times("certificate.revoked").label("revoked"),
        _times("credential.added").label("used"),
    )
    .group_by(audit.c.certificate)
    .subquery("history")
)
_told = _history.c
_state = case((_told.revoked > 0, REVOKED), (_told.voided > 0, VOID), (_told.valid > 0, VALID), else_=RESERVED)
_OTHER_HISTORY = (
    select(certificates.c.number, certificates.c.state)
    .outerjoin(_history, _told.certificate == certificates.c.number)
    .outerjoin(credentials, credentials.c.certificate == certificates.c.number)
    .where(
        or_(
            _told.certificate.is_(None),
            certificates.c.state != _state,
            _told.begun != 1,
            _told.valid + _told.voided > 1,
            _told.revoked > _told.valid,
            _told.used != case((credentials.c.certificate.is_(None), 0), else_=1),
            _told.all != _told.begun + _told.issued + _told.voided + _told.revoked + _told.used,
        )
    )
    .order_by(certificates.c.number)
)
_EVENTS = select(audit.c.number, audit.c.event).order_by(audit.c.number)
_WITHOUT_CERTIFICATE = (
    select(audit.c.number, audit.c.event, audit.c.certificate)
    .outerjoin(certificates, certificates.c.number == audit.c.certificate)
    # What is told of stations and operators is told of no certificate.
    .where(
        certificates.c.number.is_(None),
        or_(
            audit.c.certificate.is_not(None),
            audit.c.event.startswith("certificate."),
            audit.c.event.startswith("credential."),
        ),
    )
)

_alike = and_(
    revocations.c.certificate == certificates.c.number,
    revocations.c.issuer == certificates.c.issuer,
    revocations.c.serial == certificates.c.serial,
    revocations.c.at == certificates.c.revoked_at,
    revocations.c.reason == certificates.c.reason,
    certificates.c.state == REVOKED,
)
_WITHOUT_REVOCATION = (
    select(certificates.c.number)
    .outerjoin(revocations, _alike)
    .where(certificates.c.state == REVOKED, certificates.c.issuer.is_not(None), revocations.c.number.is_(None))
)
_WITHOUT_REVOKED = (
    select(revocations.c.number, revocations.c.certificate)
    .outerjoin(certificates, _alike)
    .where(certificates.c.number.is_(None))
)
