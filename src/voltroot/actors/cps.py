"""The certificate provisioning service: it vouches for contracts, whoever made them, with its own chain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from voltroot.actors.lab import Lab
from voltroot.contract import package
from voltroot.contract.faults import Fault, Level
from voltroot.contract.package import NO_SESSION, Contract
from voltroot.contract.seal import Sealed
from voltroot.errors import Unavailable
from voltroot.pki.certificates import Certificate
from voltroot.pki.drafts import Order
from voltroot.pki.issuers import CPS as SERVICE
from voltroot.pki.issuers import Issuers
from voltroot.pki.ports import Clock, Credential, Entry, Keyring
from voltroot.pki.profiles import Edition, Profile, slug
from voltroot.pki.suites import Signer, Suite, suite_of


class Provider(NamedTuple):
    """One certificate of the CPS that may sign now: its chain without the root, that root, and its key."""

    chain: tuple[bytes, ...]
    root: Certificate
    signer: Signer


def _any_root(root: Certificate) -> bool:
    return True


class CPS:
    """Signs what is handed out with its certificate of the day; sealed keys are untouched by that.

    What a contract has of faults, the lab gets wrong in it.
    """

    def __init__(
        self, profiles: Mapping[str, Profile], issuers: Issuers, keyring: Keyring, now: Clock, lab: Lab
    ) -> None:
        self._rows = {Edition.ISO15118_2: profiles["CPS_2"], Edition.ISO15118_20: profiles["CPS_20"]}
        self._issuers = issuers
        self._keyring = keyring
        self._now = now
        self._lab = lab

    def provider(
        self, edition: Edition, suite: Suite, anchored: Callable[[Certificate], bool] = _any_root
    ) -> Provider | None:
        """Return the newest certificate for an edition and kind of key whose root is one of those wanted."""
        standing, now, row = self._issuers.standing(), self._now(), self._rows[edition]
        label = slug(row, suite)
        if label not in standing.newest:
            label = slug(row, row.suites[0])
        for credential in reversed(standing.credentials):
            if credential.use == SERVICE and credential.label == label and _may_sign(credential, now):
                above = standing.chain(credential.entry.issuer)
                if above and anchored(above[-1]):
                    return self._provider(credential, above)
        return None

    def require(self, order: Order) -> Provider:
        """Return who vouches for what is ordered; Unavailable, before anything is issued, where nobody does."""
        provider = self.provider(order.profile.edition, suite_of(order.public_key))
        if provider is None:
            raise Unavailable("the CPS has no valid certificate: the ceremony makes one within the hour")
        return provider

    def contract(self, emaid: str, entry: Entry, sealed: Sealed, fault: str = "") -> Contract:
        """Return a contract with its chain, ready to be packed."""
        above = self._issuers.standing().chain(entry.issuer)
        return Contract(emaid, (entry.certificate, *(each.der for each in above[:-1])), sealed, fault)

    def install(
        self, provider: Provider, edition: Edition, contract: Contract, session: bytes = NO_SESSION, remaining: int = 0
    ) -> bytes:
        """Return a CertificateInstallationRes, signed."""
        fault, provider = self._as_wanted(contract, provider, edition)
        if edition is Edition.ISO15118_20:
            message = package.installation_20(contract, provider.chain, self._now(), session, remaining)
            return fault.signed(message, provider.signer)
        return fault.signed(package.installation_2(contract, provider.chain, session), provider.signer)

    def update(self, provider: Provider, contract: Contract, session: bytes = NO_SESSION) -> bytes:
        """Return a CertificateUpdateRes of -2, signed."""
        fault, provider = self._as_wanted(contract, provider, Edition.ISO15118_2)
        return fault.signed(package.update_2(contract, provider.chain, session), provider.signer)

    def first(self, order: Order, entry: Entry) -> bytes:
        """Return the message that answers the one who ordered a contract: for no car's session yet."""
        enclosure, edition = order.enclosure, order.profile.edition
        assert enclosure is not None, "an order for a contract has its sealed key with it"
        contract = self.contract(enclosure.emaid, entry, Sealed(enclosure.public, enclosure.encrypted), enclosure.fault)
        provider = self.require(order)
        if enclosure.supersedes and edition is Edition.ISO15118_2:
            return self.update(provider, contract)
        return self.install(provider, edition, contract)

    def _as_wanted(self, contract: Contract, provider: Provider, edition: Edition) -> tuple[Fault, Provider]:
        """Return what is to be got wrong, and who signs then; Forbidden where there is no lab any more."""
        fault = self._lab.fault(contract.fault, *Level)
        if fault.provider is None:
            return fault, provider
        leaf, signer = self._lab.provider(self._rows[edition], suite_of(provider.signer), fault)
        return fault, Provider((leaf, *provider.chain[1:]), provider.root, signer)

    def _provider(self, credential: Credential, above: Sequence[Certificate]) -> Provider:
        if credential.key is None:
            raise Unavailable(f"the key of {credential.slug} is not here")
        chain = (credential.entry.certificate, *(each.der for each in above[:-1]))
        return Provider(chain, above[-1], self._keyring.signer(credential.key))


def _may_sign(credential: Credential, moment: datetime) -> bool:
    return credential.entry.not_before <= moment and credential.entry.is_valid(moment)
