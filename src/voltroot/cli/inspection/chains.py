"""How several certificates hang together: which signs which, and whether they are a chain in its right order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voltroot.cli.inspection.reports import Fact, Section, Sight, error
from voltroot.cli.inspection.signers import signs
from voltroot.pki.certificates import Certificate
from voltroot.pki.chains import Verdict, judge
from voltroot.pki.lints import Finding
from voltroot.pki.profiles import Edition
from voltroot.pki.recognise import recognise

DEEPEST = 3  # certificates below the root


def chain_section(certificates: Sequence[Certificate], sight: Sight) -> Section:
    """Tell which of several certificates signs which, and whether they are a chain in its right order."""
    signers = [_place(certificate, certificates, place) for place, certificate in enumerate(certificates)]
    order = _path(signers)
    lines = [_line(place, certificates, signers, sight) for place in range(len(certificates))]
    told = [
        Fact("order", order),
        Fact("signedBy", signers),
        *(Fact("", None, f"{place + 1}", text) for place, text in enumerate(lines)),
    ]
    if order is None:
        return Section("bundle", f"{len(certificates)} certificates that are not one chain", told)
    path = [certificates[place] for place in order]
    judgement = judge(path, path[-1:], sight.at)
    verdict = f"{judgement.verdict}: {judgement.text or f'it holds up to {path[-1].subject}'}"
    told.append(Fact("verdict", judgement.verdict.value, "verdict", verdict))
    section = Section("chain", f"Chain of {len(certificates)} certificates", told)
    section.findings += _chain_findings(path, order, sight)
    if judgement.verdict is Verdict.CHAIN_ERROR:
        section.findings.append(error("chain", "RFC 5280 6.1", judgement.text))
    return section


def _place(certificate: Certificate, certificates: Sequence[Certificate], place: int) -> int | None:
    """The place of the signer; of several the next one, as it stands in a chain."""
    around = sorted(range(len(certificates)), key=lambda other: (other - place - 1) % len(certificates))
    return next((other for other in around if signs(certificates[other], certificate)), None)


def _path(signers: Sequence[int | None]) -> list[int] | None:
    """The places in the order leaf first, if all of them are one path."""
    above = {place: by for place, by in enumerate(signers) if by is not None and by != place}
    leaves = [place for place in range(len(signers)) if place not in above.values()]
    if len(leaves) != 1:
        return None
    path = leaves
    while (place := above.get(path[-1])) is not None and place not in path:
        path.append(place)
    return path if len(path) == len(signers) else None


def _line(place: int, certificates: Sequence[Certificate], signers: Sequence[int | None], sight: Sight) -> str:
    profile = sight.chosen or recognise(certificates[place], sight.profiles)
    by = signers[place]
    tie = "issuer not given" if by is None else "signs itself" if by == place else f"signed by {by + 1}"
    name = profile.name if profile else "unknown"
    return f"{name.ljust(12)} {certificates[place].subject.get('CN')}, {tie}"


def _chain_findings(path: Sequence[Certificate], order: Sequence[int], sight: Sight) -> Iterator[Finding]:
    if list(order) != sorted(order):
        right = ", ".join(str(place + 1) for place in order)
        yield error("chain_order", "RFC 8446 4.4.2", f"it is not leaf first: the order is {right}")
    below = sum(1 for certificate in path if not certificate.self_issued)
    profile = recognise(path[0], sight.profiles)
    if below > DEEPEST and (profile is None or profile.edition is not Edition.OCPP):
        yield error("chain_length", "V2G2-009", f"{below} certificates stand below the root, {DEEPEST} are allowed")
