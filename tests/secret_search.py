"""Looking for a private key in octets of any form: its scalar, plain or within PEM."""

from __future__ import annotations

import base64
import re

from cryptography.hazmat.primitives.asymmetric import ec

from voltroot.pki.suites import PublicKey

_BASE64 = re.compile(rb"[A-Za-z0-9+/\n]{40,}={0,2}")
_SMALL = 20_000
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def holds_key_of(octets: bytes, public: PublicKey) -> bool:
    """Whether the octets have the scalar of a P-256 key in them, or base64 that has.

    In a small file at any place; in a large one wherever an OCTET STRING of that size begins.
    """
    plain = [octets]
    for found in _BASE64.findall(octets):
        text = found.replace(b"\n", b"")
        plain.append(base64.b64decode(text[: len(text) // 4 * 4]))
    return any(_is_key(part[place : place + 32], public) for part in plain for place in _places(part))


def _places(octets: bytes) -> list[int]:
    if len(octets) <= _SMALL:
        return list(range(len(octets) - 31))
    return [found.end() for found in re.finditer(rb"(?=\x04\x20)..", octets, re.DOTALL)]


def _is_key(octets: bytes, public: PublicKey) -> bool:
    scalar = int.from_bytes(octets)
    return 0 < scalar < _ORDER and ec.derive_private_key(scalar, ec.SECP256R1()).public_key() == public
