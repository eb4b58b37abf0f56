"""The charging-point operator: SECC certificates for its stations."""

from __future__ import annotations

from collections.abc import Mapping

from voltroot.actors.registrar import Registrar, Subjects
from voltroot.pki.authority import Authority
from voltroot.pki.ports import Clock, Escrow
from voltroot.pki.profiles import Edition, Profile
from voltroot.terms import SECCID


class CPO(Registrar):
    """Issues, renews and revokes SECC certificates under the ids of stations."""

    def __init__(
        self, profiles: Mapping[str, Profile], subjects: Subjects, authority: Authority, escrow: Escrow, now: Clock
    ) -> None:
        rows = {Edition.ISO15118_2: profiles["SECC_2"], Edition.ISO15118_20: profiles["SECC_20"]}
        super().__init__("cpo", rows, SECCID, subjects, authority, escrow, now)
