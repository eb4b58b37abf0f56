"""Rules on a certificate's extensions."""

from __future__ import annotations

import hashlib

from voltroot.errors import UnsupportedSuite
from voltroot.pki import der, oids, suites
from voltroot.pki.drafts import key_bits
from voltroot.pki.profiles import CERTIFY, REVOKE, SIGN, Edition
from voltroot.pki.rules.rule import Case, Level, Lint

USAGE_NAMES = (
    "digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement", "keyCertSign",
    "cRLSign", "encipherOnly", "decipherOnly",
)  # fmt: skip


def usage_names(usage: int) -> list[str]:
    """Return the names of keyUsage bits as RFC 5280 4.2.1.3 has them."""
    return [name for bit, name in enumerate(USAGE_NAMES) if usage & 0x8000 >> bit]


def _basic_constraints(case: Case) -> str | None:
    certificate, profile = case.certificate, case.profile
    if oids.BASIC_CONSTRAINTS not in certificate.extensions:
        return "basicConstraints is absent"
    if certificate.is_ca != profile.is_ca:
        return f"cA is {certificate.is_ca}, the profile says {profile.is_ca}"
    if profile.is_ca and certificate.path_length != profile.path_length:
        return f"pathLenConstraint is {certificate.path_length}, the profile says {profile.path_length}"
    return None


def _basic_constraints_der(case: Case) -> str | None:
    certificate, extension = case.certificate, case.certificate.extensions.get(oids.BASIC_CONSTRAINTS)
    length = b"" if certificate.path_length is None else der.integer(certificate.path_length)
    if extension is None or extension.value == der.sequence(der.TRUE if certificate.is_ca else b"", length):
        return None
    if b"\x01\x01\x00" in extension.value:
        return "cA FALSE is written out, though DER leaves a default value away"
    return "basicConstraints are not written as DER has it"


def _key_usage(case: Case) -> str | None:
    found = case.certificate.key_usage
    if found is None:
        return "keyUsage is absent"
    try:
        want = case.profile.usage_for(suites.suite_of(case.certificate.public_key))
    except UnsupportedSuite:  # which the lint of the key says
        want = case.profile.usage
    if found == OPTIONAL_USAGE.get(case.profile.name, want):
        return None
    return None if found == want else f"keyUsage is {_bits(found)}, the profile says {_bits(want)}"


def _purposes(case: Case) -> str | None:
    found, want = case.certificate.extended_key_usage, case.profile.purposes
    if set(found) == set(want):
        return None
    return f"extKeyUsage is {_purpose_names(found)}, the profile says {_purpose_names(want)}"


def _subject_key_identifier(case: Case) -> str | None:
    found, spki = case.certificate.subject_key_identifier, case.certificate.spki
    if found is None:
        return "subjectKeyIdentifier is absent"
    if found in (*_identifiers(key_bits(spki)), *_identifiers(spki)):
        return None
    return "subjectKeyIdentifier does not follow from the key by method 1 or 2"


def _key_identifier_input(case: Case) -> str | None:
    # The field's largest PKI does so; RFC 5280 lets it, as long as issuer and subject agree.
    if case.certificate.subject_key_identifier in _identifiers(case.certificate.spki):
        return "subjectKeyIdentifier is made of the whole SubjectPublicKeyInfo, not of the key alone"
    return None


def _identifiers(octets: bytes) -> tuple[bytes, bytes]:
    """By method 1 and method 2 of RFC 5280 4.2.1.2."""
    digest = hashlib.sha1(octets, usedforsecurity=False).digest()
    return digest, bytes((0x40 | digest[-8] & 0x0F,)) + digest[-7:]


def _authority_key_identifier(case: Case) -> str | None:
    found = case.certificate.authority_key_identifier
    if case.profile.issuer is None:
        return None
    if found is None:
        return "authorityKeyIdentifier is absent or has no keyIdentifier"
    if case.issuer is not None and found != case.issuer.subject_key_identifier:
        return "authorityKeyIdentifier is not the issuer's subjectKeyIdentifier"
    return None


def _criticality(case: Case) -> str | None:
    critical = case.profile.critical
    wrong = [
        f"{oids.EXTENSION_NAMES[oid]} is {'' if extension.critical else 'not '}critical"
        for oid, extension in case.certificate.extensions.items()
        if oid in oids.EXTENSION_NAMES and extension.critical != (oid in critical)
    ]
    return ", ".join(wrong) or None


def _extensions_unique(case: Case) -> str | None:
    extensions = case.certificate.extension_list
    return None if len({oid for oid, _ in extensions}) == len(extensions) else "an extension stands there twice"


def _unknown_critical(case: Case) -> str | None:
    found = case.certificate.extensions.items()
    unknown = [oid for oid, extension in found if extension.critical and oid not in oids.EXTENSION_NAMES]
    return f"a critical extension is unknown: {', '.join(unknown)}" if unknown else None


def _no_constraints(case: Case) -> str | None:
    found = [oid for oid in (oids.NAME_CONSTRAINTS, oids.POLICY_MAPPINGS) if oid in case.certificate.extensions]
    return f"it carries {oids.EXTENSION_NAMES[found[0]]}" if found else None


def _ocsp_address(case: Case) -> str | None:
    found = case.certificate.ocsp_addresses
    if not case.profile.ocsp:
        return "it names an OCSP responder, though its own status is never asked" if found else None
    if len(found) != 1:
        return f"authorityInfoAccess names {len(found)} OCSP responders instead of one"
    right = found[0].startswith(("http://", "https://")) and len(found[0]) <= 255
    return None if right else "the OCSP address is not http(s) of at most 255 characters"


def _crl_address(case: Case) -> str | None:
    found = case.certificate.crl_addresses
    if found and not case.profile.crl:
        return "it names a CRL, though this kind of certificate has none"
    if any(not place.startswith(("http://", "https://", "ldap")) for place in found):
        return "the CRL address is not a URL"
    return None


def _nocheck(case: Case) -> str | None:
    present = oids.OCSP_NOCHECK in case.certificate.extensions
    return None if present or not case.profile.nocheck else "id-pkix-ocsp-nocheck is absent"


def _alternative_names(case: Case) -> str | None:
    found = case.certificate.alternative_names
    if any("*" in name for name in found):
        return "a wildcard stands in subjectAltName"
    needs = case.profile.edition is Edition.OCPP and oids.SERVER_AUTH in case.profile.purposes
    return "a TLS server certificate needs a subjectAltName" if needs and not found else None


def _bits(value: int) -> str:
    return "+".join(usage_names(value)) or "empty"


def _purpose_names(purposes: tuple[str, ...]) -> str:
    return "+".join(oids.PURPOSE_NAMES.get(purpose, purpose) for purpose in purposes) or "absent"


# What is right as well: MO_SUB2_2 signs contract data only where there is no CPS, and keyAgreement and cRLSign are
# options that our own profiles take.
OPTIONAL_USAGE = {
    "MO_SUB2_2": CERTIFY | REVOKE,
    **dict.fromkeys(("SECC_2", "SECC_20", "CONTRACT_20", "VEHICLE_20"), SIGN),
    **dict.fromkeys(("V2G_ROOT_20", "OEM_ROOT_20", "MO_ROOT_20", "VEHICLE_SUB1_20", "VEHICLE_SUB2_20"), CERTIFY),
}

RULES = (
    Lint("basic_constraints", "RFC 5280 4.2.1.9, V2G2-009", _basic_constraints),
    Lint("basic_constraints_der", "X.690 11.5", _basic_constraints_der),
    Lint("key_usage", "RFC 5280 4.2.1.3, ISO 15118 profile", _key_usage),
    Lint("extended_key_usage", "RFC 5280 4.2.1.12, ISO 15118 profile", _purposes),
    Lint("subject_key_identifier", "RFC 5280 4.2.1.2, V2G20-3431", _subject_key_identifier),
    Lint("key_identifier_input", "RFC 5280 4.2.1.2, V2G20-3431", _key_identifier_input, Level.WARNING),
    Lint("authority_key_identifier", "RFC 5280 4.2.1.1, V2G20-3432", _authority_key_identifier),
    Lint("criticality", "ISO 15118-2 Annex F, ISO 15118-20 Annex B", _criticality),
    Lint("extensions_unique", "RFC 5280 4.2", _extensions_unique),
    Lint("unknown_critical", "RFC 5280 4.2", _unknown_critical),
    Lint("no_constraints", "ISO 15118-2 Annex F", _no_constraints),
    Lint("ocsp_address", "RFC 5280 4.2.2.1, ISO 15118-20 Annex B", _ocsp_address),
    Lint("crl_address", "RFC 5280 4.2.1.13, ISO 15118-20 amendment 1", _crl_address),
    Lint("ocsp_nocheck", "RFC 6960 4.2.2.2.1", _nocheck),
    Lint("alternative_names", "RFC 9525 6.3", _alternative_names),
)
