"""Rules on a certificate itself: its number, algorithms, key, times and names."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ed448, rsa

from voltroot import terms
from voltroot.pki import der, names, suites
from voltroot.pki.profiles import Edition
from voltroot.pki.rules.rule import Case, Level, Lint


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
    if case.profile.calendar and certificate.not_after != case.profile.calendar.end(certificate.not_before):
        return f"it does not end with the day, {case.profile.calendar.years} years on"
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
        same = names.same(case.certificate.issuer_der, case.issuer.subject_der)
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
    if want is None or found in OPTIONAL_DC.get(case.profile.name, ()):
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


def _identifier(case: Case) -> str | None:
    name = case.certificate.subject.get("CN")
    findings = [kind(name).finding for kind in IDENTIFIERS.get(case.profile.name, ())] if name else []
    # The clause that a finding ends with stands in the table as well.
    return None if None in findings or not findings else str(findings[0]).rpartition(" (")[0]


# The CN of a SECC of -2 is an EVSEID, or a SECC ID as in -20.
IDENTIFIERS: dict[str, tuple[type[terms.Identifier], ...]] = {
    "SECC_2": (terms.SECCID, terms.EVSEID),
    "SECC_20": (terms.SECCID,),
    "OEM_PROV_2": (terms.PCID,),
    "OEM_PROV_20": (terms.PCID,),
    "VEHICLE_20": (terms.EVCCID,),
    "CONTRACT_2": (terms.EMAID,),
    "CONTRACT_20": (terms.EMAID,),
    "VPKI_PROV_2": (terms.PCID,),
    "VPKI_PROV_20": (terms.PCID,),
    "VPKI_VEHICLE_20": (terms.EVCCID,),
}

# ISO 15118-2 Annex F leaves the DC of contract and provisioning certificates open; MO and OEM sub-CAs below a V2G root
# have the root's, or none.
OPTIONAL_DC: dict[str, tuple[tuple[str, ...], ...]] = {
    **dict.fromkeys(("CONTRACT_2", "CONTRACT_20", "OEM_PROV_2"), ((),)),
    **dict.fromkeys(("MO_SUB1_2", "MO_SUB2_2", "OEM_SUB1_2", "OEM_SUB2_2"), ((), ("V2G",))),
}

RULES = (
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
    Lint("identifier", "ISO 15118-2 Annex H, ISO 15118-20 Annex C", _identifier, Level.WARNING),
)
