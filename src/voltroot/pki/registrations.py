"""Who called for a certificate and for what, as it goes on record with the certificate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple


class Codes(NamedTuple):
    """What a part is for: control unit, its supplier (tier), type of vehicle, region, brand."""

    unit: str
    tier: str
    vehicle: str
    local: str
    brand: str


@dataclass(frozen=True, slots=True)
class Registration:
    """Who called for a certificate, and for what: it goes on record in the transaction that reserves the certificate.

    ``request`` is the name that the caller gave its request, unique for the caller, ``digest`` that of what was asked.
    ``due`` is when the earlier certificates of the same name are superseded; None leaves them valid.
    """

    caller: str
    codes: Codes
    request: str | None = None
    digest: bytes = b""
    due: datetime | None = None
