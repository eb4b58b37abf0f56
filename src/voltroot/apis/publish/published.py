"""Signed octets together with what HTTP caches are told of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime


@dataclass(frozen=True, slots=True)
class Published:
    """A CRL or an OCSP answer as it goes out; ``headers`` are those of RFC 5019 6.2."""

    octets: bytes
    headers: Mapping[str, str]

    @property
    def etag(self) -> str | None:
        """The entity tag, if caches may keep it."""
        return self.headers.get("ETag")


def cacheable(octets: bytes, this_update: datetime, next_update: datetime, age: timedelta) -> Published:
    """Return octets that caches may keep for ``age`` and then have to ask again, with the tag that they ask by."""
    headers = {
        # First: some caches go by the first of Cache-Control and Expires.
        "Cache-Control": f"max-age={int(age.total_seconds())}, public, no-transform, must-revalidate",
        "ETag": f'"{hashlib.sha256(octets).hexdigest()}"',
        "Last-Modified": format_datetime(this_update, usegmt=True),
        "Expires": format_datetime(next_update, usegmt=True),
    }
    return Published(octets, headers)


def uncacheable(octets: bytes) -> Published:
    """Return octets that are for one client at one time."""
    return Published(octets, {"Cache-Control": "no-store"})
