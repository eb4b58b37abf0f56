"""Who issued whom among the station's certificates: by names and key identifiers, and by signatures only in doubt."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from voltroot.actors.station.outcomes import Installed, Listing, OcspRequest
from voltroot.actors.station.ports import Authorities, CaKind, Leaves
from voltroot.errors import Failure
from voltroot.pki import names
from voltroot.pki.certificates import Certificate
from voltroot.pki.fingerprints import HashData, hash_data
from voltroot.pki.judging.inputs import DEEPEST

MOST_TRIED = 20  # CAs of one name whose signature is looked for

Path = tuple[Certificate, ...]
LISTINGS = {
    Listing.V2G_ROOT: CaKind.V2G,
    Listing.MO_ROOT: CaKind.MO,
    Listing.CSMS_ROOT: CaKind.CSMS,
    Listing.MF_ROOT: CaKind.MF,
    Listing.OEM_ROOT: CaKind.OEM,
}


def climb(certificate: Certificate, beside: Sequence[Certificate], *places: Authorities) -> Path:
    """Return the certificate and those above it as far as they are here, an anchor last where one is reached."""
    path: Path = (certificate,)
    while len(path) <= DEEPEST and not path[-1].self_issued:
        issuer = issuer_of(path[-1], beside, *places)
        if issuer is None or issuer in path:
            break
        path = (*path, issuer)
    return path


def issuer_of(certificate: Certificate, beside: Sequence[Certificate], *places: Authorities) -> Certificate | None:
    """Return who issued a certificate, a root being its own issuer; None where nobody here seems to have."""
    if certificate.self_issued and certificate.is_ca:
        return certificate
    wanted = certificate.issuer_der
    named = [each for each in beside if each.subject_der == wanted]
    named += [each for place in places for each in place.named(wanted)]
    if not named:
        named = [each for each in beside if _is_named(certificate, each)]
        named += [each for place in places for each in place.spelled_otherwise(wanted)]
    likely = [each for each in dict.fromkeys(named) if each.is_ca and _keys_agree(certificate, each)]
    if len({each.spki for each in likely}) > 1:
        likely = [each for each in likely[:MOST_TRIED] if _has_signed(each, certificate)]
    # Of one CA with several certificates the one that lasts longest, a root of that name before all.
    return max(likely, key=lambda each: (each.self_issued, each.not_after), default=None)


def descendants(above: Iterable[Certificate], place: Authorities) -> list[Certificate]:
    """Return those in a place that stand below any of some certificates, nearest first."""
    issued, found, waiting = _issued(place), dict[Certificate, None](), [*above]
    while waiting:
        below = [each for each in issued.get(waiting.pop(0), ()) if each not in found]
        found |= dict.fromkeys(below)
        waiting += below
    return [*found]


def installed_roots(listing: Listing, place: Authorities) -> Iterator[Installed]:
    """Yield one entry for each root, its sub-CAs as children."""
    for root in place.roots:
        below = descendants([root], place)
        issuers = {each: issuer for issuer in (root, *below) for each in _issued(place).get(issuer, ())}
        children = tuple(hash_data(each, issuers[each]) for each in below)
        yield Installed(listing, hash_data(root, root), children)


def installed_chains(leaves: Leaves, place: Authorities) -> Iterator[Installed]:
    """Yield one entry for each leaf, those above it as children from the leaf's side, the root left out."""
    for path in paths(leaves, place).values():
        hashes = [about for _, about in hashed(path)]
        if hashes:
            yield Installed(Listing.V2G_CHAIN, hashes[0], tuple(hashes[1:]))


@lru_cache(maxsize=8)
def paths(leaves: Leaves, place: Authorities) -> dict[Certificate, Path]:
    """Return each leaf with those above it, found once until something changes; its own chain goes before all else."""
    return {
        leaf.certificate: climb(leaf.certificate, (*leaf.chain[1:], *leaves.others), place) for leaf in leaves.leaves
    }


def hashed(path: Path) -> Iterator[tuple[Certificate, HashData]]:
    """Yield each certificate of a path with what names it, but not the root, nor one whose issuer is not here."""
    for own, issuer in itertools.pairwise(path):
        yield own, hash_data(own, issuer)


def ocsp_requests(paths: Iterable[Path]) -> tuple[OcspRequest, ...]:
    """Return what is to be asked about all certificates of paths that name a responder, each once."""
    found: dict[HashData, str] = {}
    for path in paths:
        for own, about in hashed(path):
            if addresses := own.ocsp_addresses:
                found.setdefault(about, addresses[0])
    return tuple(OcspRequest(about, url) for about, url in found.items())


@lru_cache(maxsize=16)
def _issued(place: Authorities) -> dict[Certificate, list[Certificate]]:
    """Return whom each CA of a place has issued there."""
    found: dict[Certificate, list[Certificate]] = {}
    for each in place.others:
        if (issuer := issuer_of(each, (), place)) is not None:
            found.setdefault(issuer, []).append(each)
    return found


def _is_named(certificate: Certificate, issuer: Certificate) -> bool:
    try:
        return names.same(certificate.issuer_der, issuer.subject_der)
    except (Failure, ValueError):
        return False


def _keys_agree(certificate: Certificate, issuer: Certificate) -> bool:
    wanted, found = certificate.authority_key_identifier, issuer.subject_key_identifier
    return wanted is None or found is None or wanted == found


def _has_signed(issuer: Certificate, certificate: Certificate) -> bool:
    try:
        return certificate.signed.objection(issuer.key) is None
    except (Failure, ValueError):
        return False
