"""Roots and inventories over OCPP, at the station: M03, M04, M05."""

from __future__ import annotations

import logging

from voltroot.actors.station import admission, removal
from voltroot.actors.station.networks import Networks
from voltroot.actors.station.outcomes import DeleteStatus, Deletion, Installation, Installed, InstallStatus, Listing
from voltroot.actors.station.ports import CaKind, is_root
from voltroot.actors.station.station import Station
from voltroot.actors.station.succession import Succession
from voltroot.apis.ocpp.station import wire
from voltroot.apis.ocpp.station.link import Turn
from voltroot.apis.ocpp.wire import KINDS, hash_data
from voltroot.errors import Failure
from voltroot.ocppj.frames import Payload
from voltroot.ocppj.schemas import Version
from voltroot.pki.fingerprints import HashData

log = logging.getLogger("voltroot")


class Installing:
    """Answers what is about roots and what is installed. For one event loop."""

    def __init__(self, station: Station, succession: Succession, networks: Networks, turn: Turn) -> None:
        self._station = station
        self._succession = succession
        self._networks = networks
        self._turn = turn

    async def install(self, payload: Payload) -> Payload:
        """Answer InstallCertificate."""
        kind, text = payload["certificateType"], payload["certificate"]
        installation = await self._turn.take(self._install, wire.ROOTS[kind], text)
        status, why = installation
        log.info("root.installed" if not why else "root.rejected", extra={"kind": kind, "status": status, "why": why})
        return wire.installed(installation)

    async def delete(self, payload: Payload) -> Payload:
        """Answer DeleteCertificate."""
        deletion = await self._turn.take(self._delete, hash_data(payload["certificateHashData"]))
        log.info("certificate.deleted", extra={"status": deletion.status.value, "why": deletion.reason})
        return wire.deleted(deletion)

    async def inventory(self, payload: Payload, version: Version) -> Payload:
        """Answer GetInstalledCertificateIds: without types all of them that the version knows (M03.FR.04)."""
        kinds = payload.get("certificateType", KINDS[version])
        found = await self._turn.take(self._list, [wire.LISTINGS[kind] for kind in kinds])
        return wire.listed(found)

    def _install(self, kind: CaKind, text: str) -> Installation:
        """OCPP installs roots only: what is none could not be listed as one afterwards."""
        if kind is CaKind.CSMS and (succeeded := self._succession.install(text)) is not None:
            return succeeded
        try:
            given = admission.read_certificates(text)
        except Failure as failure:
            return Installation(InstallStatus.INVALID_FORMAT, str(failure))
        if not is_root(given[0]):
            return Installation(InstallStatus.INVALID_CHAIN, "it is no root: no CA, or issued by another one")
        return self._station.install_ca(text, kind)

    def _delete(self, given: HashData) -> Deletion:
        """M04.FR.03: what the way to the CSMS hangs on stays."""
        going = removal.authorities_named(given, self._station.store).get(CaKind.CSMS, ())
        trusted = [each for group in self._succession.trusted() for each in group]
        staying = [each for each in trusted if each not in going]
        if any(each in trusted for each in going) and not staying and self._networks.active.profile > 1:
            reason = "it is the last CSMS root: without one there is no way to the CSMS"
            return Deletion(DeleteStatus.FAILED, (CaKind.CSMS,), reason)
        return self._station.delete(given)

    def _list(self, listings: list[Listing]) -> list[Installed]:
        found = self._station.installed(listings)
        return self._succession.listed(found) if Listing.CSMS_ROOT in listings else found
