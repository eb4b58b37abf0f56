"""All that is published, put together from what the authority has."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry

from voltroot.apis.publish import wire
from voltroot.apis.publish.directory import Directories
from voltroot.apis.publish.lists import Lists
from voltroot.apis.publish.metrics import Metrics
from voltroot.apis.publish.readiness import Readiness
from voltroot.apis.publish.responder import Responder
from voltroot.apis.publish.settings import Settings
from voltroot.errors import Malformed
from voltroot.pki.addresses import Addresses
from voltroot.pki.drafts import Issuer
from voltroot.pki.issuers import Issuers, require_ca
from voltroot.pki.ports import Clock, Keyring, Ledger
from voltroot.pki.profiles import Edition


class Publisher:
    """The CRLs, the OCSP responder and the CA certificates of one authority; ``registry`` takes its metrics."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        keyring: Keyring,
        issuers: Issuers,
        addresses: Addresses,
        now: Clock,
        registry: CollectorRegistry,
        settings: Settings | None = None,
    ) -> None:
        settings = settings or Settings()
        revision = issuers.revision
        directories = Directories(issuers)
        self.metrics = Metrics(registry, issuers)
        self.responder = Responder(ledger, keyring, directories, revision, now, settings, self.metrics)
        self.lists = Lists(ledger, keyring, directories, addresses, revision, now, settings, self.metrics)
        self.readiness = Readiness(ledger, keyring, issuers.profiles, now)
        self._issuers = issuers
        self._addresses = addresses

    def cas(self) -> bytes:
        """Return the list of all CAs as JSON."""
        return wire.listing(self._issuers.standing().cas.values(), self._addresses)

    def certificate(self, slug: str) -> bytes:
        """Return the certificate of a CA in DER."""
        return self._ca(slug).certificate.der

    def pem(self, slug: str) -> bytes:
        """Return the certificate of a CA in PEM."""
        return wire.pem([self._ca(slug).certificate])

    def chain(self, slug: str) -> bytes:
        """Return the certificates of a CA and those above it in PEM, the root last."""
        return wire.pem(self._issuers.standing().chain(self._ca(slug).number))

    def certs_only(self, slug: str) -> bytes:
        """Return the same certificates as PKCS #7."""
        return wire.certs_only(self._issuers.standing().chain(self._ca(slug).number))

    def roots(self, edition: str | None) -> bytes:
        """Return the certificates of all roots in PEM, or of those of one edition."""
        if edition is not None and edition not in tuple(Edition):
            raise Malformed(f"edition is {edition}: use {', '.join(Edition)}, or leave it out for all")
        return wire.pem(issuer.certificate for issuer in self._roots() if edition in (None, issuer.profile.edition))

    def _roots(self) -> Iterable[Issuer]:
        return (issuer for issuer in self._issuers.standing().cas.values() if issuer.certificate.self_issued)

    def _ca(self, slug: str) -> Issuer:
        return require_ca(self._issuers.standing(), slug)
