"""The OCSP side of the station: what to ask about, and the answers that are kept to be stapled."""

from __future__ import annotations

from datetime import datetime

from voltroot.actors.station import admission, inventory
from voltroot.actors.station.outcomes import OcspRequest, Stapled
from voltroot.actors.station.ports import CaKind, CertificateStore, LeafKind, is_root
from voltroot.errors import Refused
from voltroot.pki import answers, chains
from voltroot.pki.answers import Answer
from voltroot.pki.chains import Evidence
from voltroot.pki.fingerprints import HashData
from voltroot.pki.ports import Clock


class Stapling:
    """Asks for and keeps OCSP answers about the certificates that are shown to cars."""

    def __init__(self, store: CertificateStore, now: Clock) -> None:
        self._store = store
        self._now = now

    def requests(self) -> tuple[OcspRequest, ...]:
        """Return what is to be asked about the station's certificates, those that begin later as well."""
        place, leaves = self._store.authorities(CaKind.V2G), self._store.leaves(LeafKind.V2G)
        now = self._now()
        wanted = [leaf.certificate for leaf in leaves.leaves if leaf.key and now <= leaf.certificate.not_after]
        paths = inventory.paths(leaves, place)
        return inventory.ocsp_requests(paths[each] for each in wanted)

    def contract_requests(self, text: str) -> tuple[OcspRequest, ...]:
        """Return what is to be asked about a car's contract chain; Malformed, or Refused where it has no root here."""
        given = admission.read_certificates(text)
        places = [self._store.authorities(kind) for kind in (CaKind.MO, CaKind.V2G)]
        path = inventory.climb(given[0], [each for each in given[1:] if not each.self_issued], *places)
        if not any(path[-1] in place.roots for place in places):
            raise Refused("the chain leads to none of the roots that are installed for MO and V2G")
        return inventory.ocsp_requests([path])

    def keep(self, given: HashData, response: bytes) -> None:
        """Keep an OCSP answer in DER about a certificate of the station's chains; Malformed or Refused says why not."""
        answer = answers.read(response)
        place, leaves = self._store.authorities(CaKind.V2G), self._store.leaves(LeafKind.V2G)
        for path in inventory.paths(leaves, place).values():
            for number, (own, about) in enumerate(inventory.hashed(path)):
                if given.names(own, path[number + 1]):
                    _require_told(answer, path[number:], self._now())
                    self._store.keep_answer(LeafKind.V2G, about, response)
                    return
        raise Refused("the OCSP answer is about no certificate of this station")

    def of(self, kind: LeafKind, path: inventory.Path) -> tuple[Stapled, ...]:
        """Return what is kept about each certificate of a path but its root."""
        kept = {answer.about: answer.path for answer in self._store.answers(kind)}
        known = dict(inventory.hashed(path))
        below = [each for each in path if not is_root(each)]
        return tuple(Stapled(about := known.get(each), kept.get(about) if about else None) for each in below)


def _require_told(answer: Answer, path: inventory.Path, now: datetime) -> None:
    """Raise Refused unless somebody who may do so says now whether the first certificate is revoked."""
    if not any(single.speaks_of(path[0], path[1]) for single in answer.singles):
        raise Refused("the OCSP answer is about another certificate than its hash data")
    judgement = chains.judge(path, path[-1:], now, evidence=Evidence(answers=(answer,)))
    unclear = next((each for each in judgement.findings if each.rule == "status" and each.place == 0), None)
    if unclear is not None:
        raise Refused(unclear.text)
