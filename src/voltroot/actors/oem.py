"""The car maker: provisioning certificates for its cars, and whether one is still good."""

from __future__ import annotations

from collections.abc import Mapping

from voltroot.actors.registrar import Registrar, Subjects
from voltroot.pki.authority import Authority
from voltroot.pki.chains import Evidence, Inputs, Judgement, Purpose, judge
from voltroot.pki.ports import Clock, Escrow, State
from voltroot.pki.profiles import Edition, Profile
from voltroot.terms import PCID

PROVISIONING = Inputs(purpose=Purpose.PROVISIONING)


class OEM(Registrar):
    """Issues, renews and revokes OEM provisioning certificates under PCIDs."""

    def __init__(
        self, profiles: Mapping[str, Profile], subjects: Subjects, authority: Authority, escrow: Escrow, now: Clock
    ) -> None:
        rows = {Edition.ISO15118_2: profiles["OEM_PROV_2"], Edition.ISO15118_20: profiles["OEM_PROV_20"]}
        super().__init__("oem", rows, PCID, subjects, authority, escrow, now)

    def verify(self, pcid: str, edition: Edition) -> Judgement:
        """Judge the newest certificate of a car with its chain and all revocations on record, now."""
        path = [self.newest(pcid, edition)]
        while (above := path[-1].issuer) is not None:
            path += self._authority.ledger.find(number=above)
        revoked = {(one.read().issuer_der, one.serial) for one in path if one.state is State.REVOKED}
        roots = self._authority.issuers.standing().roots
        chain, evidence = self.chain(path[0]), Evidence(revoked=revoked)
        return judge(chain, roots, self._now(), inputs=PROVISIONING, evidence=evidence)
