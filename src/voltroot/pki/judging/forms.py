"""What a certificate must look like (RFC 5280 section 4), whoever issued it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache, partial

from voltroot.errors import Failure
from voltroot.pki import der, extensions, names, oids
from voltroot.pki.certificates import USUAL, Certificate
from voltroot.pki.judging.findings import Finding, Rule, Verdict, ask
from voltroot.pki.points import read_points
from voltroot.pki.profiles import CERTIFY, Edition, Profile, profiles
from voltroot.pki.recognise import recognise
from voltroot.pki.signatures import read_key

# Section 6 has a use for these, wherever they stand.
UNDERSTOOD = frozenset(
    {
        oids.BASIC_CONSTRAINTS,
        oids.KEY_USAGE,
        oids.EXTENDED_KEY_USAGE,
        oids.SUBJECT_ALTERNATIVE_NAME,
        oids.CERTIFICATE_POLICIES,
        oids.POLICY_MAPPINGS,
        oids.POLICY_CONSTRAINTS,
        oids.INHIBIT_ANY_POLICY,
        oids.NAME_CONSTRAINTS,
        oids.CRL_DISTRIBUTION_POINTS,
    }
)
MUST_BE_CRITICAL = (oids.NAME_CONSTRAINTS, oids.POLICY_CONSTRAINTS, oids.INHIBIT_ANY_POLICY)
FOR_CAS_ONLY = (oids.NAME_CONSTRAINTS, oids.POLICY_MAPPINGS)
# All that are understood here but those that section 6 reads itself.
READERS: dict[str, Callable[[bytes], object]] = {
    oids.BASIC_CONSTRAINTS: extensions.read_basic_constraints,
    oids.KEY_USAGE: extensions.read_key_usage,
    oids.EXTENDED_KEY_USAGE: extensions.read_purposes,
    oids.SUBJECT_ALTERNATIVE_NAME: extensions.read_alternative_names,
    oids.SUBJECT_KEY_IDENTIFIER: extensions.read_subject_key_identifier,
    oids.AUTHORITY_KEY_IDENTIFIER: extensions.read_authority_key_identifier,
    oids.AUTHORITY_INFO_ACCESS: extensions.read_access,
    oids.CRL_DISTRIBUTION_POINTS: extensions.remembering(partial(read_points, issuer=der.sequence())),
}
CERT_SIGN = CERTIFY.value


def profile_of_2022(certificate: Certificate) -> Profile | None:
    """Return the profile of ISO 15118-20:2022 that a certificate means to have, if it means to have one."""
    profile = recognise(certificate, _table())
    return profile if profile and profile.edition is Edition.ISO15118_20 else None


def critical_by_profile(certificate: Certificate) -> list[str]:
    """Return the extensions that only ISO 15118-20:2022 marks critical: they constrain nothing."""
    if UNDERSTOOD.issuperset(certificate.critical):
        return []
    profile = profile_of_2022(certificate)
    return [oid for oid in certificate.critical if profile and oid in profile.critical - UNDERSTOOD]


@lru_cache
def _table() -> dict[str, Profile]:
    return profiles(iso15118_20_2022=True)


def rules(*, strict: bool) -> tuple[Rule[Certificate], ...]:
    """Return the rules that are asked."""
    return (*FORMS, *LAPSES, ENCODING) if strict else (*FORMS, *LAPSES)


def findings(certificate: Certificate, place: int, *, strict: bool) -> Iterable[Finding]:
    """Return what is found on the form of a certificate; of a CA's, met again and again, once only."""
    if strict or len(certificate.der) > USUAL:
        return ask(rules(strict=strict), certificate, place, strict=strict)
    return [each._replace(place=place) for each in _usual(certificate)]


@lru_cache(maxsize=1024)
def _usual(certificate: Certificate) -> tuple[Finding, ...]:
    return tuple(ask(rules(strict=False), certificate, None))


def _version(own: Certificate) -> str | None:
    if own.version not in (1, 2, 3):
        return f"its version is {own.version}, which there is not"
    return "it has extensions, but is not of version 3" if own.extension_list and own.version != 3 else None


def _serial(own: Certificate) -> str | None:
    if own.serial == 0:
        return "its serial number is 0"
    return "its serial number has more than 20 octets" if own.serial.bit_length() > 159 else None


def _serial_positive(own: Certificate) -> str | None:
    return "its serial number is negative" if own.serial < 0 else None


def _algorithms(own: Certificate) -> str | None:
    same = own.inner_signature == own.outer_signature
    return None if same else "its signature algorithm is another inside than outside"


def _names(own: Certificate) -> str | None:
    if not der.read_sequence(own.issuer_der):
        return "its issuer has no name"
    rdns = [*der.children(der.read_sequence(own.subject_der))]
    if any(rdn.tag != der.SET or not rdn.content for rdn in rdns):
        return "its subject is no name"
    if rdns:
        return None
    alternative = own.extensions.get(oids.SUBJECT_ALTERNATIVE_NAME)
    if own.is_ca or alternative is None or not alternative.critical:
        return "its subject has no name, and no critical subjectAltName takes its place"
    return None


def _unique(own: Certificate) -> str | None:
    return "an extension stands there twice" if len(own.extensions) != len(own.extension_list) else None


def _constraints(own: Certificate) -> str | None:
    certifies = bool((own.key_usage or 0) & CERT_SIGN)
    if own.is_ca:
        limited = own.path_length is not None and own.key_usage is not None and not certifies
        return "it has a pathLenConstraint, though keyCertSign is not set" if limited else None
    if own.path_length is not None:
        return "it has a pathLenConstraint, though it is not the certificate of a CA"
    return "keyCertSign is set, though it is not the certificate of a CA" if certifies else None


def _must_be_critical(own: Certificate) -> str | None:
    found = [oid for oid in MUST_BE_CRITICAL if oid in own.extensions and not own.extensions[oid].critical]
    return f"{oids.name(found[0])} has to be critical" if found else None


def _for_cas_only(own: Certificate) -> str | None:
    found = [] if own.is_ca else [oid for oid in FOR_CAS_ONLY if oid in own.extensions]
    return f"{oids.name(found[0])} stands there, though it is not the certificate of a CA" if found else None


def _readable(own: Certificate) -> str | None:
    for oid, extension in own.extension_list:
        try:
            READERS.get(oid, bytes)(extension.value)
        except (Failure, ValueError) as error:
            return f"{oids.name(oid)} cannot be read: {error}"
    return None


def _constraints_critical(own: Certificate) -> str | None:
    extension = own.extensions.get(oids.BASIC_CONSTRAINTS)
    return "basicConstraints of a CA are not critical" if own.is_ca and extension and not extension.critical else None


def _usage_present(own: Certificate) -> str | None:
    if own.key_usage is None:
        return "the certificate of a CA has no keyUsage" if own.is_ca else None
    return None if own.key_usage else "keyUsage allows nothing"


def _identifiers(own: Certificate) -> str | None:
    if own.is_ca and own.subject_key_identifier is None:
        return "the certificate of a CA has no subjectKeyIdentifier"
    # Only who signs with the key in the certificate itself may leave it away; a link certificate may not.
    if own.authority_key_identifier is None and not (own.self_issued and _signs_itself(own)):
        return "it has no authorityKeyIdentifier with a keyIdentifier"
    return None


def _signs_itself(own: Certificate) -> bool:
    return own.signed.objection(read_key(own.spki)) is None


def _times(own: Certificate) -> str | None:
    for tag, moment in zip(own.time_tags, (own.not_before, own.not_after), strict=True):
        if tag == der.GENERALIZED_TIME and moment.year < 2050 and not _generalized_by_profile(own):
            return f"{moment:%Y-%m-%d} is a GeneralizedTime"
    return None


def _generalized_by_profile(own: Certificate) -> bool:
    profile = profile_of_2022(own)
    return profile is not None and profile.generalized_time_only


def _encoding(own: Certificate) -> str | None:
    names.Name.decode(own.subject_der)
    octets = (own.der, *(extension.value for _, extension in own.extension_list))
    return next(filter(None, map(der.deviation, octets)), None)


FORMS: tuple[Rule[Certificate], ...] = (
    Rule("version", "RFC 5280 4.1.2.1, 4.1.2.9", "its version goes with what it holds", _version),
    Rule("serial_number", "RFC 5280 4.1.2.2", "its serial number is one", _serial),
    Rule("algorithms_agree", "RFC 5280 4.1.1.2", "it names one signature algorithm", _algorithms),
    Rule("names_present", "RFC 5280 4.1.2.4, 4.1.2.6", "issuer and subject have names", _names),
    Rule("extensions_unique", "RFC 5280 4.2", "no extension stands there twice", _unique),
    Rule("basic_constraints", "RFC 5280 4.2.1.3, 4.2.1.9", "keyUsage and basicConstraints agree", _constraints),
    Rule("for_cas_only", "RFC 5280 4.2.1.5, 4.2.1.10", "only CAs constrain", _for_cas_only),
    Rule("extensions", "RFC 5280 4.2", "what its extensions say can be read", _readable),
)
# What RFC 5280 wants of issuers, while section 6 does without it and the field forgets it.
LAPSES: tuple[Rule[Certificate], ...] = tuple(
    Rule(name, clause, title, check, Verdict.OK, strict=True)
    for name, clause, title, check in (
        ("serial_positive", "RFC 5280 4.1.2.2", "its serial number is positive", _serial_positive),
        ("key_identifiers", "RFC 5280 4.2.1.1, 4.2.1.2", "it has its key identifiers", _identifiers),
        ("key_usage_present", "RFC 5280 4.2.1.3", "it says what its key is for", _usage_present),
        ("constraints_critical", "RFC 5280 4.2.1.9", "basicConstraints are critical", _constraints_critical),
        (
            "must_be_critical",
            "RFC 5280 4.2.1.10, 4.2.1.11, 4.2.1.14",
            "its constraints are critical",
            _must_be_critical,
        ),
        ("time_form", "RFC 5280 4.1.2.5", "its times are of the right form", _times),
    )
)
# A second pass over all octets: for the strict only.
ENCODING: Rule[Certificate] = Rule("encoding", "X.690 10, 11", "it is written in DER", _encoding)
