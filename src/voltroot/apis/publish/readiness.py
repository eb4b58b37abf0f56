"""Whether this backend can do its work: the ledger answers, and every CA can sign and be asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from voltroot.errors import Failure
from voltroot.pki.issuers import CA
from voltroot.pki.ports import Clock, Credential, Keyring, Ledger
from voltroot.pki.profiles import Profile


class Readiness:
    """Looks afresh each time: what another process revoked or renewed counts too."""

    def __init__(self, ledger: Ledger, keyring: Keyring, profiles: Mapping[str, Profile], now: Clock) -> None:
        self._ledger = ledger
        self._keyring = keyring
        self._now = now
        # The CAs that issue to subscribers: without their keys nothing is issued.
        self._issuing = {profile.issuer for profile in profiles.values() if not profile.is_ca}

    def obstacles(self) -> list[str]:
        """Return what stands against it, in words; nothing means ready."""
        try:
            newest = {credential.label: credential for credential in self._ledger.credentials()}
        except Failure as failure:
            return [str(failure)]
        moment = self._now()
        cas = [credential for credential in newest.values() if credential.use == CA]
        found = [*self._device(), *(reason for ca in cas for reason in self._of_ca(ca, newest, moment))]
        return found if cas else ["there are no CAs: run 'voltroot pki init'"]

    def _device(self) -> list[str]:
        try:
            self._keyring.check()
        except Failure as failure:
            return [str(failure)]
        return []

    def _of_ca(self, ca: Credential, newest: Mapping[str, Credential], moment: datetime) -> Iterator[str]:
        issuing = ca.entry.profile in self._issuing
        if ca.key is None and not issuing:
            # A CA above an imported one: known, not run here.
            return
        if not ca.entry.is_valid(moment):
            yield f"the certificate of the CA {ca.slug} is revoked or has expired"
        if issuing and (reason := self._without_key(ca)):
            yield reason
        signer = newest.get(f"ocsp-{ca.slug}")
        if ca.key is not None and (signer is None or not signer.entry.is_valid(moment)):
            yield f"the CA {ca.slug} has no valid OCSP signer"

    def _without_key(self, ca: Credential) -> str | None:
        if ca.key is None:
            return f"the key of the CA {ca.slug} is not here: only its certificate is known"
        try:
            self._keyring.signer(ca.key)
        except Failure as failure:
            return f"the CA {ca.slug} cannot sign: {failure}"
        return None
