"""CSMS roots that are each signed by the one before: OCPP's AdditionalRootCertificateCheck (M05.FR.09 to 16)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from voltroot.actors.station import admission
from voltroot.actors.station.outcomes import Installation, Installed, InstallStatus, Listing
from voltroot.actors.station.ports import CaKind, Removal
from voltroot.actors.station.state import Record, Successor
from voltroot.actors.station.station import Station
from voltroot.errors import Failure
from voltroot.pki.certificates import Certificate
from voltroot.pki.fingerprints import hash_data

CSMS = CaKind.CSMS


class Succession:
    """Which CSMS roots are trusted, and how one takes the place of another. For one thread at a time."""

    def __init__(self, record: Record, station: Station, is_on: Callable[[], bool]) -> None:
        self._record = record
        self._station = station
        self._is_on = is_on
        station.anchors[CSMS] = self.anchors

    def anchors(self) -> tuple[Certificate, ...]:
        """Return the roots that took over, which have not issued themselves: the newest, and the one before."""
        return tuple(each for about in self._known() if (each := self._here(about)) is not None)

    def trusted(self) -> list[tuple[Certificate, ...]]:
        """Return the CSMS roots, in the sets in which they are to be tried; without any there is none."""
        now = self._station.now()
        roots = self._station.store.authorities(CSMS).roots
        newest, *before = [self._here(about) for about in self._known()] or [None]
        rest = [each for each in before if each is not None] + [each for each in roots if each.not_after >= now]
        return [each for each in ((newest,) if newest is not None else (), tuple(rest)) if each]

    def worked(self, attempt: int) -> None:
        """Note which of the sets led to the CSMS: once the new root has, the old ones go (M05.FR.14)."""
        newest = next(iter(self._known()), None)
        if attempt or newest is None or (here := self._here(newest)) is None:
            return
        old = [each for each in (*self.anchors(), *self._station.store.authorities(CSMS).roots) if each != here]
        if old:
            self._station.store.remove(Removal(authorities={CSMS: old}))
            self._record.change(successor=replace(newest, before=None))
            self._station.upkeep.notice()

    def install(self, text: str) -> Installation | None:
        """Install a CSMS root in place of the one that is here; None where it is installed like any other."""
        roots, known = self._station.store.authorities(CSMS).roots, self._record.state.successor
        # Who is in office: not one that still waits for its first connection.
        settled = None if roots or known is None else known.before or known
        before = roots if settled is None else tuple(filter(None, [self._here(settled)]))
        if not self._is_on() or not before:
            return None
        try:
            new = admission.read_certificates(text)[0]
        except Failure as failure:
            return Installation(InstallStatus.INVALID_FORMAT, str(failure))
        if new in (*before, *self.anchors()):
            return Installation(InstallStatus.ACCEPTED)
        issuer = next((each for each in before if each.subject_der == new.issuer_der), None)
        if issuer is None or new.signed.objection(issuer.key) is not None:
            why = "it is not signed by the CSMS root that it is to replace (M05.FR.11)"
            return Installation(InstallStatus.INVALID_SIGNATURE, why)
        waiting = [each for each in self.anchors() if each not in before]
        # On record first: what is not in the store is passed over.
        self._record.change(successor=Successor(new.fingerprint.hex(), hash_data(new, issuer), settled))
        installation = self._station.install_ca(text, CSMS)
        if installation.status is not InstallStatus.ACCEPTED:
            self._record.change(successor=known)
        elif waiting:
            self._station.store.remove(Removal(authorities={CSMS: waiting}))
        return installation

    def listed(self, found: list[Installed]) -> list[Installed]:
        """Return what is installed, with the roots that took over among it."""
        here = (each for each in self._known() if self._here(each) is not None)
        return [*found, *(Installed(Listing.CSMS_ROOT, each.about, ()) for each in here)]

    def _known(self) -> list[Successor]:
        known = self._record.state.successor
        return [each for each in (known, known.before if known else None) if each is not None]

    def _here(self, about: Successor) -> Certificate | None:
        place = self._station.store.authorities(CSMS).certificates
        return next((each for each in place if each.fingerprint.hex() == about.fingerprint), None)
