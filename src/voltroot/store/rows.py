"""Drafts become rows, and rows become entries."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row

from voltroot.errors import Failure, KeyReused, NameTaken
from voltroot.pki.drafts import Draft, Order
from voltroot.pki.ports import Entry, Reason, State


def row_of(draft: Draft, lease: int) -> dict[str, Any]:
    """Return the row of a draft that is reserved."""
    order = draft.order
    return {
        "issuer": draft.issuer.number if draft.issuer else None,
        "serial": octets(draft.serial),
        "profile": order.profile.name,
        "state": State.RESERVED.value,
        "name": order.name,
        "subject": order.subject.key(),
        "key": order.key_hash,
        "end_entity": not order.profile.is_ca,
        "not_before": seconds(draft.not_before),
        "not_after": seconds(draft.not_after),
        "lease": lease,
        "content": draft.tbs,
    }


def place_of(draft: Draft) -> tuple[str, str]:
    """Return what all processes sort names by."""
    return draft.order.profile.name, draft.order.name or ""


def claims(order: Order) -> bool:
    """Whether an order wants a name that nobody holds."""
    return order.name is not None and not order.renewal


def outcome_of(draft: Draft, number: int | None, lost: set[int]) -> int | Failure:
    """Return the number of a draft that was reserved, or what stood against it."""
    if number is None:
        return KeyReused("this public key has been certified before: make a new key for each certificate")
    if draft.serial in lost:
        name = draft.order.subject.get("CN")
        return NameTaken(
            f"{name} is already occupied: it has a valid certificate, or one is just being issued; "
            "renew that, or revoke it first"
        )
    return number


def entry_of(row: Row[Any]) -> Entry:
    """Return a row as the value that the port deals in."""
    return Entry(
        number=row.number,
        issuer=row.issuer,
        serial=int.from_bytes(row.serial),
        profile=row.profile,
        state=State(row.state),
        not_before=moment_of(row.not_before),
        not_after=moment_of(row.not_after),
        certificate=row.content,
        revoked_at=moment_of(row.revoked_at) if row.revoked_at is not None else None,
        reason=Reason(row.reason) if row.reason is not None else None,
    )


def octets(serial: int) -> bytes:
    """Return a serial number as it is stored."""
    return serial.to_bytes(max(1, (serial.bit_length() + 7) // 8))


def seconds(moment: datetime) -> int:
    """Return a moment as it is stored."""
    return int(moment.timestamp())


def moment_of(seconds: int) -> datetime:
    """Return a stored moment."""
    return datetime.fromtimestamp(seconds, UTC)
