"""What is meant by hash data that come with a request to delete, and what has to go with it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from voltroot.actors.station import inventory
from voltroot.actors.station.ports import AUTHORITY_OF, OWN, CaKind, CertificateStore, Leaf, LeafKind, Removal, is_root
from voltroot.pki.certificates import Certificate
from voltroot.pki.fingerprints import HashData


def authorities_named(given: HashData, store: CertificateStore) -> dict[CaKind, list[Certificate]]:
    """Return the CAs that are meant, by the places in which they are installed, with those below them."""
    found = {}
    for kind in CaKind:
        place = store.authorities(kind)
        named = [each for each in place.certificates if given.names(each, inventory.issuer_of(each, (), place))]
        if named:
            found[kind] = [*named, *inventory.descendants(named, place)]
    return found


def leaves_named(given: HashData, kind: LeafKind, store: CertificateStore) -> list[Leaf]:
    """Return the leaves that are meant, or that stand below the sub-CA that is meant in chains of their own."""
    place, leaves = store.authorities(AUTHORITY_OF[kind]), store.leaves(kind)
    paths, found = inventory.paths(leaves, place), []
    for leaf in leaves.leaves:
        path = paths[leaf.certificate]
        pairs = zip(path, (*path[1:], None), strict=True)
        if any(given.names(own, issuer) for own, issuer in pairs if not is_root(own)):
            found.append(leaf)
    return found


def of_leaves(going: Sequence[Leaf], store: CertificateStore) -> Removal:
    """Return what goes with leaves that are shown to cars: files, keys that nothing else uses, and OCSP answers."""
    place, leaves = store.authorities(CaKind.V2G), store.leaves(LeafKind.V2G)
    staying = [leaf for kind in OWN for leaf in store.leaves(kind).leaves if leaf not in going]
    used = {leaf.certificate.key_hash for leaf in staying}
    paths = inventory.paths(leaves, place)
    about = {about for leaf in going for _, about in itertools.islice(inventory.hashed(paths[leaf.certificate]), 1)}
    return Removal(
        leaves=going,
        keys=[leaf.key for leaf in going if leaf.key and leaf.key.key_hash not in used],
        answers=[answer for answer in store.answers(LeafKind.V2G) if answer.about in about],
    )
