"""Which ChargingStationCertificate is shown to the CSMS: the newest, and the one before where that is refused (A02)."""

from __future__ import annotations

from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ec

from voltroot.actors.station.choosing import Wish
from voltroot.actors.station.outcomes import Candidate, Fitness
from voltroot.actors.station.ports import Leaf, LeafKind, Removal
from voltroot.actors.station.station import Station
from voltroot.pki.certificates import Certificate


class Presenting:
    """Chooses, remembers which were refused, and clears up once one has worked."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._refused: set[Certificate] = set()

    def leaf(self) -> Leaf | None:
        """Return the certificate to be shown, None where there is none; of those that were all refused the newest."""
        leaves = [each.leaf for each in self._candidates()]
        good = [leaf for leaf in leaves if leaf.certificate not in self._refused]
        if not good:
            self._refused.clear()
        chosen = next(iter(good or leaves), None)
        if chosen is not None and chosen.chain_file is None and chosen.single_file is None:
            # It is there in DER only, which TLS does not read.
            return replace(chosen, single_file=self._station.store.pem_file(LeafKind.CSMS, chosen.certificate))
        return chosen

    def refused(self, leaf: Leaf) -> bool:
        """Note that a certificate did not open a connection; returns whether there is another to be tried at once."""
        self._refused.add(leaf.certificate)
        return any(each.leaf.certificate not in self._refused for each in self._candidates())

    def worked(self, leaf: Leaf) -> Certificate | None:
        """Take away all others (A02.FR.10); returns one that had been refused before this one (A02.FR.28, 29)."""
        refused, self._refused = self._refused, set()
        others = [each.leaf for each in self._candidates() if each.leaf.certificate != leaf.certificate]
        if not others:
            return None
        self._station.upkeep.remove(Removal(leaves=others, keys=[each.key for each in others if each.key]))
        self._station.upkeep.notice()
        return next((each.certificate for each in others if each.certificate in refused), None)

    def _candidates(self) -> list[Candidate]:
        """Those with a key, expired ones later: a CSMS may take them to give us another (A00.FR.430)."""
        fit = (Fitness.USABLE, Fitness.EXPIRED)
        found = [each for each in self._station.candidates(Wish(LeafKind.CSMS)) if each.fitness in fit]
        found.sort(key=lambda each: (not _does_tls(each.leaf), fit.index(each.fitness)))
        return [each for each in found if each.leaf.key]


def _does_tls(leaf: Leaf) -> bool:
    """Whether OpenSSL can use the key: one in a device only if it is one of ECDSA (ADR 27)."""
    in_device = leaf.key is not None and leaf.key.label is not None
    return not in_device or isinstance(leaf.certificate.public_key, ec.EllipticCurvePublicKey)
