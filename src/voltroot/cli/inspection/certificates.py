"""What is told of a certificate for itself."""

from __future__ import annotations

from collections.abc import Iterator

from voltroot.cli.inspection.chains import names, signer
from voltroot.cli.inspection.reports import Fact, Json, Row, Section, Sight, error, facts, warning
from voltroot.cli.inspection.values import SIGNATURES, counted, iso, key_kind, moment, serial, serial_text
from voltroot.errors import Failure
from voltroot.pki import lints, oids
from voltroot.pki.certificates import Certificate
from voltroot.pki.lints import Finding
from voltroot.pki.profiles import ANY_CA, Edition, Profile
from voltroot.pki.recognise import role_of_issuer
from voltroot.pki.rules.extensions import usage_names


def certificate_section(certificate: Certificate, sight: Sight) -> Section:
    """Tell what a certificate is and says, and hold it against the profile that it means or was chosen."""
    profile = sight.profile_of(certificate)
    issuer = signer(certificate, sight.pool)
    section = Section("certificate", title(certificate, profile), [*_facts(certificate, profile, issuer, sight)])
    section.findings += _readable(_signature_findings(certificate, issuer, sight))
    section.findings += _time_findings(certificate, sight)
    if profile is not None:
        section.rules = len(lints.LINTS)
        section.findings += lints.lint(certificate, profile, issuer)
        section.findings += _readable(_role_findings(certificate, profile))
    return section


def title(certificate: Certificate, profile: Profile | None) -> str:
    """Return what a certificate is in the words of the field."""
    if profile is None:
        return f"{'CA certificate' if _is_ca(certificate) else 'Certificate'} of no profile that is known here"
    edition = profile.edition.replace("ISO", "ISO ")
    return f"{profile.title[0].upper()}{profile.title[1:]}, {edition} ({profile.name})"


def _facts(own: Certificate, profile: Profile | None, issuer: Certificate | None, sight: Sight) -> Iterator[Fact]:
    rows = (
        Row("profile", "", lambda: profile.name if profile else None),
        Row("subject", "subject", lambda: own.subject.print()),
        Row("issuer", "issuer", lambda: own.issuer.print(), lambda: _issuer_text(own)),
        Row(
            "signedBy",
            "signed by",
            lambda: issuer.subject.print() if issuer else None,
            lambda: _signer_text(own, issuer),
        ),
        Row("serial", "serial", lambda: serial(own.serial), lambda: serial_text(own.serial)),
        Row("notBefore", "", lambda: iso(own.not_before)),
        Row("notAfter", "", lambda: iso(own.not_after)),
        Row("daysLeft", "valid", lambda: (own.not_after - sight.at).days, lambda: _valid_text(own, sight)),
        Row("key", "key", lambda: key_kind(own.spki)),
        Row("signature", "signature", lambda: SIGNATURES.get(own.signature_oid, own.signature_oid)),
        Row("size", "size", lambda: len(own.der), lambda: _size_text(own, profile)),
        Row("subjectKeyIdentifier", "SKI", lambda: _hex(own.subject_key_identifier)),
        Row("authorityKeyIdentifier", "AKI", lambda: _hex(own.authority_key_identifier)),
        Row("ca", "CA", lambda: own.is_ca, lambda: _ca_text(own)),
        Row("pathLength", "", lambda: own.path_length),
        Row("keyUsage", "usage", lambda: _usages(own.key_usage)),
        Row("extendedKeyUsage", "purposes", lambda: [*map(_purpose, own.extended_key_usage)]),
        Row("subjectAltName", "names", lambda: own.alternative_names),
        Row("ocsp", "OCSP", lambda: own.ocsp_addresses),
        Row("crl", "CRL", lambda: own.crl_addresses),
        Row("critical", "critical", lambda: [*_critical(own)]),
        Row("identifier", "identifier", lambda: _identifier(own, profile), lambda: _identifier_text(own, profile)),
        Row("fingerprint", "SHA-256", own.fingerprint.hex),
    )
    return facts(rows)


def _issuer_text(certificate: Certificate) -> str:
    return "the same: self-issued" if certificate.self_issued else certificate.issuer.print()


def _signer_text(certificate: Certificate, issuer: Certificate | None) -> str:
    if issuer is None:
        return ""
    return "its own key" if issuer.spki == certificate.spki else f"{issuer.subject.get('CN')}, given here"


def _valid_text(certificate: Certificate, sight: Sight) -> str:
    span = f"{certificate.not_before:%Y-%m-%d %H:%M:%S} to {moment(certificate.not_after)}"
    if sight.at < certificate.not_before:
        return f"{span}, begins in {counted((certificate.not_before - sight.at).days, 'day')}"
    if sight.at > certificate.not_after:
        return f"{span}, expired {counted((sight.at - certificate.not_after).days, 'day')} ago"
    return f"{span}, {counted((certificate.not_after - sight.at).days, 'day')} left"


def _size_text(certificate: Certificate, profile: Profile | None) -> str:
    allowed = f" of {profile.largest}" if profile and profile.largest else ""
    return f"{len(certificate.der)} octets{allowed}"


def _hex(octets: bytes | None) -> str | None:
    return None if octets is None else octets.hex()


def _is_ca(certificate: Certificate) -> bool:
    try:
        return certificate.is_ca
    except (Failure, ValueError):
        return False


def _ca_text(certificate: Certificate) -> str:
    if not certificate.is_ca:
        return "no"
    length = certificate.path_length
    return "yes" if length is None else f"yes, with {length} below it at most"


def _usages(value: int | None) -> list[str] | None:
    return None if value is None else usage_names(value)


def _purpose(oid: str) -> str:
    return oids.PURPOSE_NAMES.get(oid, oid)


def _critical(certificate: Certificate) -> Iterator[str]:
    return (oids.EXTENSION_NAMES.get(oid, oid) for oid, extension in certificate.extension_list if extension.critical)


def _identifier(certificate: Certificate, profile: Profile | None) -> Json:
    name = certificate.subject.get("CN")
    kinds = lints.IDENTIFIERS.get(profile.name, ()) if profile else ()
    if not kinds or name is None:
        return None
    read = [kind(name) for kind in kinds]
    best = next((each for each in read if each.is_canonical), read[0])
    return {
        "kind": type(best).__name__,
        "normal": best.normal,
        "canonical": best.is_canonical,
        "finding": best.finding,
    }


def _identifier_text(certificate: Certificate, profile: Profile | None) -> str:
    match _identifier(certificate, profile):
        case {"kind": kind, "normal": normal, "canonical": True}:
            return f"{kind} {normal}, well-formed"
        case {"kind": kind, "normal": normal}:
            return f"{kind} {normal}, not in the standard's form"
        case _:
            return ""


def _readable(findings: Iterator[Finding]) -> list[Finding]:
    try:
        return list(findings)
    except (Failure, ValueError):
        return []  # the facts and the lints say what cannot be read


def _signature_findings(certificate: Certificate, issuer: Certificate | None, sight: Sight) -> Iterator[Finding]:
    if issuer is not None:
        return
    for other in sight.pool:
        if not names(other, certificate):
            continue
        wanted = certificate.authority_key_identifier
        if other is certificate or wanted is None or wanted == other.subject_key_identifier:
            text = f"the signature does not hold under the key of {other.subject}"
            yield error("signature", "RFC 5280 6.1.3 (a)(1)", text)
        else:
            text = f"a certificate of its issuer's name, {other.subject}, is given here, but with another key"
            yield warning("issuer_key", "RFC 5280 4.2.1.1", text)
        return


def _time_findings(certificate: Certificate, sight: Sight) -> Iterator[Finding]:
    clause = "RFC 5280 6.1.3 (a)(2)"
    if sight.at > certificate.not_after:
        yield error("expired", clause, f"it expired on {moment(certificate.not_after)}")
    if sight.at < certificate.not_before:
        yield error("not_yet_valid", clause, f"it is valid from {moment(certificate.not_before)} on")


def _role_findings(certificate: Certificate, profile: Profile) -> Iterator[Finding]:
    if profile.is_ca or profile.issuer == ANY_CA or profile.edition is Edition.OCPP:
        return
    issued = role_of_issuer(certificate)
    # [V2G20-2331] vehicle certificates may come from the OEM's own CAs.
    if issued and issued.leaf and profile.name[: len(issued.leaf)] != issued.leaf and profile.name != "VEHICLE_20":
        name = certificate.issuer.get("CN")
        yield warning("issuer_role", "V2G2-925", f"the {profile.title} is issued by {name}, a CA of another role")
