"""Values as reports write them: moments, serial numbers, kinds of keys and signatures."""

from __future__ import annotations

from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec, ed448

from voltroot.cli.inspection.reports import Json
from voltroot.errors import Failure
from voltroot.pki.certificates import read_public_key
from voltroot.pki.suites import SUITES

SIGNATURES = {
    "1.2.840.10045.4.3.2": "ecdsa-with-SHA256",
    "1.2.840.10045.4.3.3": "ecdsa-with-SHA384",
    "1.2.840.10045.4.3.4": "ecdsa-with-SHA512",
    "1.2.840.113549.1.1.11": "sha256WithRSAEncryption",
    "1.2.840.113549.1.1.12": "sha384WithRSAEncryption",
    "1.2.840.113549.1.1.13": "sha512WithRSAEncryption",
    "1.3.101.113": "Ed448",
}
_CURVES = {suite.curve.name: suite.name for suite in SUITES.values() if suite.curve is not None}


def counted(count: int, thing: str) -> str:
    """Return a number of things."""
    return f"{count} {thing}" + ("" if count == 1 else "s")


def moment(at: datetime) -> str:
    """Return a moment as people read it."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def iso(at: datetime | None) -> str | None:
    """Return a moment as RFC 3339 has it."""
    return None if at is None else f"{at:%Y-%m-%dT%H:%M:%SZ}"


def serial(number: int) -> dict[str, Json]:
    """Return a serial number in decimal and hexadecimal; a wrong one, negative or endless, too."""
    sign = "-" if number < 0 else ""
    digits = f"{abs(number):x}"
    return {"decimal": f"{number}", "hex": sign + digits.rjust(len(digits) + len(digits) % 2, "0")}


def serial_text(number: int) -> str:
    """Return a serial number for people."""
    written = serial(number)
    return f"{written['decimal']} (hex {written['hex']})"


def key_kind(spki: bytes) -> str:
    """Return the kind of a public key, whether or not it is one that is used here."""
    try:
        key = read_public_key(spki)
    except Failure:
        return "unknown"
    match key:
        case ec.EllipticCurvePublicKey():
            return _CURVES.get(key.curve.name, key.curve.name)
        case ed448.Ed448PublicKey():
            return "Ed448"
        case _:
            return f"RSA {key.key_size}"
