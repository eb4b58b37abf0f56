"""Which CA a CertID or a CRL speaks of, and who signs its OCSP answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from voltroot.pki import ocsp
from voltroot.pki.certificates import Certificate
from voltroot.pki.drafts import Issuer
from voltroot.pki.issuers import OCSP, Issuers, Standing


@dataclass(frozen=True, slots=True)
class Delegate:
    """An OCSP signer of one CA (RFC 6960 4.2.2.2): its certificate, and the label of its key."""

    certificate: Certificate
    key: str

    def is_valid(self, moment: datetime) -> bool:
        """Whether its certificate has begun and has not expired."""
        return self.certificate.not_before <= moment < self.certificate.not_after


@dataclass(frozen=True, slots=True)
class Family:
    """CAs with one name and one key: to a relying party they are one CA, whatever its certificates."""

    issuers: tuple[Issuer, ...]
    delegates: tuple[Delegate, ...]

    @property
    def slug(self) -> str:
        """The name of the newest."""
        return self.issuers[-1].slug


class Directory:
    """The families of one ``Standing``, by every way to name them."""

    def __init__(self, standing: Standing) -> None:
        self.standing = standing

    def find(self, ids: Sequence[ocsp.CertID]) -> Family | None:
        """Return the one CA that all CertIDs name; None for an unknown one, or for several."""
        families = {asked.issuer: self._by_hashes.get(asked.issuer) if asked.issuer else None for asked in ids}
        found = list(families.values())
        return found[0] if all(family is found[0] for family in found) else None

    def family(self, issuer: Issuer) -> Family:
        """Return a CA with those that share its name and key."""
        return self._by_issuer[issuer.certificate.subject_der, issuer.certificate.spki]

    @cached_property
    def _by_issuer(self) -> dict[tuple[bytes, bytes], Family]:
        members: dict[tuple[bytes, bytes], list[Issuer]] = {}
        for issuer in self.standing.cas.values():
            members.setdefault((issuer.certificate.subject_der, issuer.certificate.spki), []).append(issuer)
        return {place: self._family(issuers) for place, issuers in members.items()}

    @cached_property
    def _by_hashes(self) -> dict[ocsp.IssuerHashes, Family]:
        return {
            hashes: family
            for family in self._by_issuer.values()
            for hashes in ocsp.issuer_hashes(family.issuers[0].certificate)
        }

    def _family(self, issuers: Sequence[Issuer]) -> Family:
        newest = [self.standing.newest.get(f"ocsp-{issuer.slug}") for issuer in reversed(issuers)]
        delegates = [
            Delegate(credential.entry.read(), credential.key)
            for credential in newest
            if credential is not None and credential.use == OCSP and credential.key is not None
        ]
        return Family(tuple(issuers), tuple(delegates))


class Directories:
    """The ``Directory`` of the present ``Standing``, made anew when that changes. Safe among threads."""

    def __init__(self, issuers: Issuers) -> None:
        self._issuers = issuers
        self._directory: Directory | None = None

    def current(self) -> Directory:
        """Return the directory of what stands now."""
        standing, directory = self._issuers.standing(), self._directory
        if directory is None or directory.standing is not standing:
            self._directory = directory = Directory(standing)
        return directory
