"""Which row of the table a certificate from anywhere means to be."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from voltroot import terms
from voltroot.errors import Failure, UnsupportedSuite
from voltroot.pki import oids, suites
from voltroot.pki.certificates import Certificate
from voltroot.pki.names import Name
from voltroot.pki.profiles import CERTIFY, Profile, Usage


class Role(NamedTuple):
    """One market role: the rows of its CAs begin with ``ca``, those of what they issue with ``leaf``.

    ``words`` is how CAs of the role are called in the field; the same words mark it as a domainComponent.
    """

    ca: str
    leaf: str | None
    words: str


ROLES = (
    Role("OEM", "OEM_PROV", "OEM"),
    Role("CPO", "SECC", "CPO|CSO"),
    Role("CPS", "CPS", "CPS|Prov"),
    Role("VEHICLE", "VEHICLE", "EV|Vehicle"),
    Role("MO", "CONTRACT", "MO|e?MSP"),
    Role("CSMS", None, "CSMS"),
    Role("MF", None, "MF|Manufacturer"),
    # Last: CAs of every role stand below a V2G root and say so.
    Role("V2G", None, "V2G"),
)
IDENTIFIERS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("CONTRACT", terms.EMAID.pattern),
    ("OEM_PROV", terms.PCID.pattern),
    ("SECC", terms.SECCID.pattern),
    ("VEHICLE", terms.EVCCID.pattern),
)
VPKI_DC = {"OEM": "VPKI_PROV", "OEM20": "VPKI_PROV", "EV": "VPKI_VEHICLE"}
CONTRACT_USAGE = Usage.DIGITAL_SIGNATURE | Usage.NON_REPUDIATION | Usage.KEY_ENCIPHERMENT | Usage.KEY_AGREEMENT


def recognise(certificate: Certificate, profiles: Mapping[str, Profile]) -> Profile | None:
    """Return the profile that the certificate means to have, however badly it meets it, or None."""
    try:
        return next((profiles[name] for name in _names(certificate) if name in profiles), None)
    except (Failure, ValueError):
        return None


def role_of_issuer(certificate: Certificate) -> Role | None:
    """Return whose CA the issuer is, judged by its name."""
    return _role_by_words(certificate.issuer) or _role_by_dc(certificate.issuer)


def _names(certificate: Certificate) -> Iterator[str]:
    """The names of rows that it could mean, the likeliest first."""
    kinds = _ca_kinds(certificate) if _means_ca(certificate) else (clue(certificate) for clue in CLUES)
    for kind in filter(None, kinds):
        for edition in _editions(certificate):
            yield kind + edition


def _means_ca(certificate: Certificate) -> bool:
    silent = oids.BASIC_CONSTRAINTS not in certificate.extensions
    return certificate.is_ca or (silent and bool((certificate.key_usage or 0) & CERTIFY))


def _ca_kinds(certificate: Certificate) -> Iterator[str | None]:
    # The field's sub-CAs have DC=V2G or none: only the common name tells whose they are.
    role = _role_by_words(certificate.subject) or _role_by_dc(certificate.subject)
    if role and certificate.self_issued:
        yield f"{role.ca}_ROOT"
    elif role and (level := _level(certificate)):
        yield f"{role.ca}_SUB{level}"
        yield f"{role.ca}_SUB"
    else:  # a leaf that claims to be a CA
        yield _by_own_dc(certificate)


def _level(certificate: Certificate) -> int | None:
    if certificate.path_length in (0, 1):
        return 2 - certificate.path_length
    called = re.search("sub[^0-9]{0,5}([12])", certificate.subject.get("CN") or "", re.IGNORECASE)
    return int(called[1]) if called else None


def _editions(certificate: Certificate) -> tuple[str, ...]:
    """The suffixes of rows, the likeliest first: ISO 15118-20 has curves of its own, OCPP shares those of -2."""
    if role_of_issuer(certificate) in _OCPP:
        return "", "_2", "_20"
    try:
        suite = suites.suite_of(certificate.public_key)
    except (UnsupportedSuite, ValueError):
        return "_2", "_20", ""
    if suite.key_bits:
        return "", "_2", "_20"
    return ("_2", "_20", "") if suite is suites.P256_SHA256 else ("_20", "_2", "")


def _by_ocsp_signing(certificate: Certificate) -> str | None:
    return "OCSP" if oids.OCSP_SIGNING in certificate.extended_key_usage else None


def _by_units(certificate: Certificate) -> str | None:
    """A car maker's vPKI names its own unit, the control unit and the supplier."""
    if len(certificate.subject.all("OU")) != 3:
        return None
    ccu = "VPKI_CCU_SHA256" if suites.suite_of(certificate.public_key) is suites.P256_SHA256 else "VPKI_CCU_SHA512"
    return VPKI_DC.get(certificate.subject.get("DC") or "", ccu)


def _by_own_dc(certificate: Certificate) -> str | None:
    role = _role_by_dc(certificate.subject)
    return role.leaf if role else None


def _by_usage(certificate: Certificate) -> str | None:
    return "CONTRACT" if certificate.key_usage == CONTRACT_USAGE else None


def _by_issuer(certificate: Certificate) -> str | None:
    role = role_of_issuer(certificate)
    return role.leaf if role else None


def _by_purpose(certificate: Certificate) -> str | None:
    if oids.SERVER_AUTH in certificate.extended_key_usage:
        return "CSMS_SERVER" if role_of_issuer(certificate) in _OCPP else "TLS_SERVER"
    return "CHARGING_STATION" if oids.CLIENT_AUTH in certificate.extended_key_usage else None


def _by_identifier(certificate: Certificate) -> str | None:
    name = certificate.subject.get("CN") or ""
    return next((kind for kind, pattern in IDENTIFIERS if pattern.fullmatch(name)), None)


# What a leaf gives away, the most telling first. Real contract certificates have no DC, some real leaves not even a
# keyUsage; identifiers come last, because anybody's common name may happen to look like one.
CLUES: tuple[Callable[[Certificate], str | None], ...] = (
    _by_ocsp_signing,
    _by_units,
    _by_own_dc,
    _by_usage,
    _by_issuer,
    _by_purpose,
    _by_identifier,
)

_OCPP = tuple(role for role in ROLES if role.ca in ("CSMS", "MF"))
# As a word of its own, or run together as in "CPOSubCA1" and "V2GRootCA".
_BY_WORDS = [(re.compile(rf"(?<![a-z])(?:{r.words})(?=sub|root|[^a-z]|$)", re.IGNORECASE), r) for r in ROLES]
_BY_DC = [(re.compile(rf"(?:{role.words})(?:20)?$"), role) for role in ROLES]


def _role_by_words(name: Name) -> Role | None:
    text = name.get("CN") or ""
    return next((role for pattern, role in _BY_WORDS if pattern.search(text)), None)


def _role_by_dc(name: Name) -> Role | None:
    return next((role for dc in name.all("DC") for pattern, role in _BY_DC if pattern.search(dc)), None)
