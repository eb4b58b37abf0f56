"""Passwords of charging stations: made, and kept as salted hashes only (A01.FR.08)."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from voltroot.errors import Malformed

# A00.FR.205 and errata 2025-01: at most what BasicAuthPassword.maxLimit says, which is 40 to 64.
SHORTEST, LONGEST = 16, 64
_VERSION = b"\x01"
_COST, _BLOCK, _SALT = 1 << 10, 8, 16


def generate() -> str:
    """Return a new password of 32 characters, 24 octets of chance."""
    return secrets.token_urlsafe(24)


def make(password: str) -> bytes:
    """Return what is kept of a password; Malformed where OCPP does not allow it."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise Malformed(f"a station's password has {SHORTEST} to {LONGEST} characters")
    salt = secrets.token_bytes(_SALT)
    return _VERSION + salt + _hash(password, salt)


def holds(secret: bytes | None, password: str) -> bool:
    """Tell whether a password is the one that a hash was made of; as slow for a station that has none."""
    kept = secret or bytes(len(_VERSION) + _SALT + 32)
    salt = kept[len(_VERSION) :][:_SALT]
    return hmac.compare_digest(_VERSION + salt + _hash(password, salt), kept) and secret is not None


def _hash(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=_COST, r=_BLOCK, p=1, dklen=32)
