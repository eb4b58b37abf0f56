"""How certificates hang together: who signed one, and whether several are a chain in its right order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from voltroot.cli.inspection.reports import Fact, Section, Sight, error
from voltroot.errors import Failure
from voltroot.pki.certificates import Certificate
from voltroot.pki.chains import Verdict, judge
from voltroot.pki.lints import Finding
from voltroot.pki.profiles import Edition

DEEPEST = 3  # certificates below the root


def chain_section(certificates: Sequence[Certificate], sight: Sight) -> Section:
    """Tell which of several certificates signs which, and whether they are a chain in its right order."""
    signed = [_first(certificates, place, signs) for place in range(len(certificates))]
    # By names alone, too: what claims to be a chain is one that does not hold, no heap of certificates.
    named = [_first(certificates, place, names) if by is None else by for place, by in enumerate(signed)]
    order = _path(named)
    told = [Fact("order", order), Fact("signedBy", signed)]
    for place, certificate in enumerate(certificates):
        told.append(Fact("", None, f"{place + 1}", _line(certificate, place, signed[place], named[place], sight)))
    if order is None:
        return Section("bundle", f"{len(certificates)} certificates that are not one chain", told)
    path = [certificates[place] for place in order]
    judgement = judge(path, path[-1:], sight.at)
    verdict = f"{judgement.verdict}: {judgement.text or f'it holds up to {short_name_of(path[-1])}'}"
    told.append(Fact("verdict", judgement.verdict.value, "verdict", verdict))
    section = Section("chain", f"Chain of {len(certificates)} certificates", told)
    section.findings += _chain_findings(path, order, sight)
    if judgement.verdict is Verdict.CHAIN_ERROR:
        section.findings.append(error("chain", "RFC 5280 6.1", judgement.text))
    return section


def signer(certificate: Certificate, pool: Sequence[Certificate]) -> Certificate | None:
    """Return the certificate under whose key the signature holds; if need be one that goes by another name."""
    return next((other for test in (signs, _signs_nameless) for other in pool if test(other, certificate)), None)


def signs(issuer: Certificate, certificate: Certificate) -> bool:
    """Tell whether names and signature agree."""
    return names(issuer, certificate) and _holds(issuer, certificate)


def names(issuer: Certificate, certificate: Certificate) -> bool:
    """Tell whether the certificate names the other as its issuer."""
    try:
        return certificate.issuer.matches(issuer.subject)
    except (Failure, ValueError):
        return False


def name_of(certificate: Certificate | None) -> str | None:
    """Return the subject, if there is a certificate."""
    return certificate.subject.print() if certificate else None


def short_name_of(certificate: Certificate) -> str:
    """Return the common name, or what there is in its place."""
    try:
        return certificate.subject.get("CN") or certificate.subject.print() or "(no name)"
    except (Failure, ValueError):
        return "(a name that cannot be read)"


def _first(
    certificates: Sequence[Certificate], place: int, test: Callable[[Certificate, Certificate], bool]
) -> int | None:
    """The place of the issuer; of several the next one, as it stands in a chain."""
    around = sorted(range(len(certificates)), key=lambda other: (other - place - 1) % len(certificates))
    return next((other for other in around if test(certificates[other], certificates[place])), None)


def _path(issuers: Sequence[int | None]) -> list[int] | None:
    """The places in the order leaf first, if all of them are one path."""
    above = {place: by for place, by in enumerate(issuers) if by is not None and by != place}
    leaves = [place for place in range(len(issuers)) if place not in above.values()]
    if len(leaves) != 1:
        return None
    path = leaves
    while (place := above.get(path[-1])) is not None and place not in path:
        path.append(place)
    return path if len(path) == len(issuers) else None


def _line(certificate: Certificate, place: int, signed: int | None, named: int | None, sight: Sight) -> str:
    profile = sight.profile_of(certificate)
    tie = "issuer not given"
    if signed is not None:
        tie = "signs itself" if signed == place else f"signed by {signed + 1}"
    elif named is not None:
        tie = f"names {named + 1} as its issuer, but is not signed by it"
    return f"{(profile.name if profile else 'unknown').ljust(12)} {short_name_of(certificate)}, {tie}"


def _chain_findings(path: Sequence[Certificate], order: Sequence[int], sight: Sight) -> Iterator[Finding]:
    if list(order) != sorted(order):
        right = ", ".join(str(place + 1) for place in order)
        yield error("chain_order", "RFC 8446 4.4.2", f"it is not leaf first: the order is {right}")
    below = sum(1 for certificate in path if certificate.issuer_der != certificate.subject_der)
    profile = sight.profile_of(path[0])
    if below > DEEPEST and (profile is None or profile.edition is not Edition.OCPP):
        yield error("chain_length", "V2G2-009", f"{below} certificates stand below the root, {DEEPEST} are allowed")


def _signs_nameless(issuer: Certificate, certificate: Certificate) -> bool:
    try:
        wanted = certificate.authority_key_identifier
        return wanted is not None and wanted == issuer.subject_key_identifier and _holds(issuer, certificate)
    except (Failure, ValueError):
        return False


def _holds(issuer: Certificate, certificate: Certificate) -> bool:
    try:
        return certificate.signed_by(issuer.public_key)
    except (Failure, ValueError):
        return False
