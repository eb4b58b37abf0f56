"""What must hold for a draft before it may be signed, and what is wrong with a certificate from elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ed448, rsa

from voltroot import terms
from voltroot.errors import Failure, PolicyViolation, UnsupportedSuite
from voltroot.pki import der, names, oids, suites
from voltroot.pki.certificates import Certificate
from voltroot.pki.drafts import key_identifier, short_key_identifier
from voltroot.pki.profiles import Edition, Profile, Usage


class Level(StrEnum):
    """How grave a finding is: nothing with an ERROR is signed."""

    ERROR = "error"
    WARNING = "warning"


class Finding(NamedTuple):
    """One rule that does not hold: the lint's name, its level, its clause, and what was found."""

    lint: str
    level: Level
    clause: str
    text: str

    def __str__(self) -> str:
        return f"{self.lint}: {self.text} ({self.clause})"


@dataclass(frozen=True, slots=True)
class Case:
    """What a lint looks at; without an issuer the rules about the issuer are not asked."""

    certificate: Certificate
    profile: Profile
    issuer: Certificate | None = None


class Lint(NamedTuple):
    """One rule: its check returns what is wrong, or None."""

    name: str
    clause: str
    check: Callable[[Case], str | None]
    level: Level = Level.ERROR


def lint(certificate: Certificate, profile: Profile, issuer: Certificate | None = None) -> list[Finding]:
    """Return all findings on a certificate that means to be of a profile, in the order of the table."""
    case = Case(certificate, profile, issuer)
    return [Finding(rule.name, rule.level, rule.clause, text) for rule in LINTS if (text := _ask(rule, case))]


def require(certificate: Certificate, profile: Profile, issuer: Certificate | None = None) -> None:
    """Raise PolicyViolation for the errors among the findings: a CA key signs only what passed here."""
    errors = [str(finding) for finding in lint(certificate, profile, issuer) if finding.level is Level.ERROR]
    if errors:
        raise PolicyViolation(f"the {profile.title} would break its profile: " + "; ".join(errors))


def _ask(rule: Lint, case: Case) -> str | None:
    try:
        return rule.check(case)
    except (Failure, ValueError, StopIteration) as error:
        return f"cannot be read: {error}"


def _version(case: Case) -> str | None:
    return None if case.certificate.version == 3 else f"the version is {case.certificate.version}, not 3"


def _serial_number(case: Case) -> str | None:
    serial = case.certificate.serial
    if serial <= 0:
        return "the serial number is not positive"
    return "the serial number has more than 20 octets" if serial.bit_length() > 159 else None


def _serial_random(case: Case) -> str | None:
    bits = case.certificate.serial.bit_length()
    return f"the serial number has {bits} bits: too few to be hard to foresee" if 0 < bits < 64 else None


def _algorithms_agree(case: Case) -> str | None:
    same = case.certificate.inner_signature == case.certificate.outer_signature
    return None if same else "the signature algorithm inside differs from the one outside"


def _signature_algorithm(case: Case) -> str | None:
    oid, profile = case.certificate.signature_oid, case.profile
    allowed = {suite.signature_oid for suite in profile.suites}
    if profile.edition is Edition.OCPP:
        allowed = {suite.signature_oid for suite in suites.SUITES.values()}
    return None if oid in allowed else f"the signature algorithm {oid} is not one of {profile.edition}"


def _signed_like_issuer(case: Case) -> str | None:
    if case.issuer is None:
        return None
    suite = suites.suite_of(case.issuer.public_key)
    if case.certificate.outer_signature != suite.algorithm:
        return f"the issuer's key is of {suite.name}, the signature algorithm is not"
    if case.profile.edition is Edition.ISO15118_20 and suite != suites.suite_of(case.certificate.public_key):
        return "the key is not of the same kind as its issuer's: an Ed448 and a P-521 chain are never mixed"
    return None


def _key(case: Case) -> str | None:
    suite = suites.suite_of(case.certificate.public_key)
    if suite in case.profile.suites:
        return None
    return f"the key is of {suite.name}, the profile wants {' or '.join(s.name for s in case.profile.suites)}"


def _key_uncompressed(case: Case) -> str | None:
    if isinstance(case.certificate.public_key, ed448.Ed448PublicKey | rsa.RSAPublicKey):
        return None
    _algorithm, bits = der.children(der.read(case.certificate.spki).content)
    return None if bits.content[1:2] == b"\x04" else "the public key's point is not in uncompressed form"


def _size(case: Case) -> str | None:
    size, largest = len(case.certificate.der), case.profile.largest
    return f"it has {size} octets, {largest} are allowed" if largest and size > largest else None


def _validity(case: Case) -> str | None:
    certificate, longest = case.certificate, case.profile.longest
    if certificate.not_after <= certificate.not_before:
        return "notAfter is not later than notBefore"
    if longest and certificate.not_after - certificate.not_before > longest:
        return f"it is valid for more than {longest.days} days"
    return None


def _validity_within_issuer(case: Case) -> str | None:
    if case.issuer is None:
        return None
    if case.certificate.not_after > case.issuer.not_after:
        return "it outlives its issuer"
    return "it begins before its issuer" if case.certificate.not_before < case.issuer.not_before else None


def _time_form(case: Case) -> str | None:
    certificate = case.certificate
    for tag, moment in zip(certificate.time_tags, (certificate.not_before, certificate.not_after), strict=True):
        generalized = case.profile.generalized_time_only or moment.year >= 2050
        if tag != (der.GENERALIZED_TIME if generalized else der.UTC_TIME):
            return f"{moment:%Y-%m-%d} is not a {'GeneralizedTime' if generalized else 'UTCTime'}"
    return None


def _issuer_name(case: Case) -> str | None:
    if case.issuer is not None:
        same = case.certificate.issuer.matches(case.issuer.subject)
        return None if same else "the issuer's name is not the subject of the issuing CA"
    if case.profile.issuer is None and not case.certificate.self_issued:
        return "a root's issuer is not its subject"
    return None


def _subject_attributes(case: Case) -> str | None:
    subject, profile = case.certificate.subject, case.profile
    wanted = [part for part in profile.shape if part in ("CN", "O")]
    missing = [part for part in wanted if subject.get(part) is None]
    return f"the subject has no {' and no '.join(missing)}" if missing else None


def _subject_only(case: Case) -> str | None:
    subject = case.certificate.subject
    found = {attribute.keyword for rdn in subject.rdns for attribute in rdn}
    extra = sorted(found - {*case.profile.shape})
    return f"the subject has attributes that the profile does not know: {', '.join(extra)}" if extra else None


def _subject_dc(case: Case) -> str | None:
    want, found = case.profile.dc, case.certificate.subject.all("DC")
    if want is None:
        return None
    right = found == (want,) if case.profile.dc_exact else any(dc.endswith(want) for dc in found)
    return None if right else f"DC is {' and '.join(found) or 'absent'}, the role's is {want}"


def _subject_strings(case: Case) -> str | None:
    text = (der.UTF8_STRING, der.PRINTABLE_STRING)
    wanted = {"C": (der.PRINTABLE_STRING,), "DC": (der.IA5_STRING,), "CN": text, "O": text, "OU": text}
    for rdn in case.certificate.subject.rdns:
        for attribute in rdn:
            if attribute.tag not in wanted.get(attribute.keyword, (attribute.tag,)):
                return f"{attribute.keyword} is of the wrong string type"
    return None


def _subject_bounds(case: Case) -> str | None:
    names.check_bounds(case.certificate.subject)
    return None


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
    if found in (key_identifier(spki), short_key_identifier(spki)):
        return None
    return "subjectKeyIdentifier does not follow from the key by method 1 or 2"


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


def _identifier(case: Case) -> str | None:
    name = case.certificate.subject.get("CN")
    findings = [kind(name).finding for kind in IDENTIFIERS.get(case.profile.name, ())] if name else []
    return None if None in findings else next(iter(findings), None)


def _bits(value: int) -> str:
    parts = [flag.name.lower() for flag in Usage if flag.name and value & flag]
    return "+".join(parts) or "empty"


def _purpose_names(purposes: tuple[str, ...]) -> str:
    return "+".join(oids.PURPOSE_NAMES.get(purpose, purpose) for purpose in purposes) or "absent"


# The CN of a SECC of -2 is an EVSEID, or a SECC ID as in -20.
IDENTIFIERS: dict[str, tuple[type[terms.Identifier], ...]] = {
    "SECC_2": (terms.SECCID, terms.EVSEID),
    "SECC_20": (terms.SECCID,),
    "OEM_PROV_2": (terms.PCID,),
    "OEM_PROV_20": (terms.PCID,),
    "VEHICLE_20": (terms.EVCCID,),
    "CONTRACT_2": (terms.EMAID,),
    "CONTRACT_20": (terms.EMAID,),
}

LINTS = (
    Lint("version", "RFC 5280 4.1.2.1", _version),
    Lint("serial_number", "RFC 5280 4.1.2.2", _serial_number),
    Lint("serial_random", "CA/B BR 7.1", _serial_random, Level.WARNING),
    Lint("signature_algorithms_agree", "RFC 5280 4.1.1.2", _algorithms_agree),
    Lint("signature_algorithm", "V2G2-006, V2G20-2674, V2G20-2319", _signature_algorithm),
    Lint("signed_like_issuer", "RFC 5280 4.1.1.2, V2G20-2320", _signed_like_issuer),
    Lint("key", "V2G2-007, V2G20-2674, V2G20-2319", _key),
    Lint("key_uncompressed", "RFC 5480 2.2, ISO 15118-2 Annex F", _key_uncompressed),
    Lint("size", "V2G2-010", _size),
    Lint("validity", "RFC 5280 4.1.2.5, ISO 15118 profile", _validity),
    Lint("validity_within_issuer", "RFC 5280 6.1, shell model", _validity_within_issuer),
    Lint("time_form", "RFC 5280 4.1.2.5, ISO 15118-20:2022 Annex B", _time_form),
    Lint("issuer_name", "RFC 5280 4.1.2.4", _issuer_name),
    Lint("subject_attributes", "ISO 15118-2 Annex F, ISO 15118-20 Annex B", _subject_attributes),
    Lint("subject_only", "ISO 15118-2 Annex F, V2G20-2598", _subject_only, Level.WARNING),
    Lint("subject_dc", "V2G2-925, V2G20-3406", _subject_dc),
    Lint("subject_strings", "RFC 5280 4.1.2.4, V2G20-3038", _subject_strings),
    Lint("subject_bounds", "X.520 upper bounds, V2G20-3038", _subject_bounds),
    Lint("basic_constraints", "RFC 5280 4.2.1.9, V2G2-009", _basic_constraints),
    Lint("basic_constraints_der", "X.690 11.5", _basic_constraints_der),
    Lint("key_usage", "RFC 5280 4.2.1.3, ISO 15118 profile", _key_usage),
    Lint("extended_key_usage", "RFC 5280 4.2.1.12, ISO 15118 profile", _purposes),
    Lint("subject_key_identifier", "RFC 5280 4.2.1.2, V2G20-3431", _subject_key_identifier),
    Lint("authority_key_identifier", "RFC 5280 4.2.1.1, V2G20-3432", _authority_key_identifier),
    Lint("criticality", "ISO 15118-2 Annex F, ISO 15118-20 Annex B", _criticality),
    Lint("extensions_unique", "RFC 5280 4.2", _extensions_unique),
    Lint("unknown_critical", "RFC 5280 4.2", _unknown_critical),
    Lint("no_constraints", "ISO 15118-2 Annex F", _no_constraints),
    Lint("ocsp_address", "RFC 5280 4.2.2.1, ISO 15118-20 Annex B", _ocsp_address),
    Lint("crl_address", "RFC 5280 4.2.1.13, ISO 15118-20 amendment 1", _crl_address),
    Lint("ocsp_nocheck", "RFC 6960 4.2.2.2.1", _nocheck),
    Lint("alternative_names", "RFC 9525 6.3", _alternative_names),
    Lint("identifier", "ISO 15118-2 Annex H, ISO 15118-20 Annex C", _identifier, Level.WARNING),
)
