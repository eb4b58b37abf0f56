"""Which CA signs what: the credentials on record, ordered by what they are asked for."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property

from voltroot.errors import NotFound, Unavailable, UnsupportedSuite
from voltroot.pki.certificates import Certificate
from voltroot.pki.drafts import Issuer
from voltroot.pki.ports import Credential, Ledger
from voltroot.pki.profiles import Profile, issuer_suite, slug
from voltroot.pki.revision import Revision
from voltroot.pki.suites import Suite

CA, OCSP, CPS, TLS = "ca", "ocsp", "cps", "tls"


class Standing:
    """All credentials at one moment; a value that is replaced whole when the ledger has new ones."""

    def __init__(self, credentials: Sequence[Credential], profiles: dict[str, Profile]) -> None:
        self.credentials = tuple(credentials)
        self.newest = {credential.label: credential for credential in credentials}
        self._profiles = profiles

    @cached_property
    def cas(self) -> dict[int, Issuer]:
        """Every CA by the number of its entry, also those that only stand behind what they once signed."""
        return {
            credential.entry.number: Issuer(
                number=credential.entry.number,
                slug=credential.slug,
                profile=self._profiles[credential.entry.profile],
                certificate=credential.entry.read(),
                key=credential.key,
            )
            for credential in self.credentials
            if credential.use == CA
        }

    @cached_property
    def by_slug(self) -> dict[str, Issuer]:
        """Every CA by its name in addresses."""
        return {issuer.slug: issuer for issuer in self.cas.values()}

    @cached_property
    def roots(self) -> list[Certificate]:
        """The certificates of all roots: the only anchors there are."""
        return [issuer.certificate for issuer in self.cas.values() if issuer.certificate.self_issued]

    def current(self, label: str) -> Issuer:
        """Return the CA that is in use under a label."""
        credential = self.newest.get(label)
        if credential is None or credential.use != CA:
            raise Unavailable(f"there is no CA {label}: run 'voltroot pki init' or import one")
        return self.cas[credential.entry.number]

    def for_profile(self, profile: Profile, suite: Suite) -> Issuer:
        """Return the CA that issues a profile for a kind of key; UnsupportedSuite where the role has none for it."""
        role = self._profiles[str(profile.issuer)]
        label = slug(role, issuer_suite(role, suite))
        if label not in self.newest and slug(role, role.suites[0]) in self.newest:
            raise UnsupportedSuite(f"no CA here signs for keys of {suite.name}: the device with the CA keys lacks them")
        return self.current(label)

    def chain(self, number: int | None) -> list[Certificate]:
        """Return a CA's certificate and those above it, the root last."""
        chain: list[Certificate] = []
        while number is not None and number in self.cas:
            chain.append(self.cas[number].certificate)
            number = self._above.get(number)
        return chain

    @cached_property
    def _above(self) -> dict[int, int | None]:
        return {credential.entry.number: credential.entry.issuer for credential in self.credentials}


class Issuers:
    """The present ``Standing``, read from the ledger again whenever its revision has changed. Safe among threads."""

    def __init__(self, ledger: Ledger, profiles: dict[str, Profile], revision: Revision) -> None:
        self._ledger = ledger
        self.profiles = profiles
        self.revision = revision
        self._lock = threading.Lock()
        self._standing: tuple[int, Standing] | None = None

    def standing(self) -> Standing:
        """Return the credentials as they are, or were less than the revision's period ago."""
        revision = self.revision.read()
        with self._lock:
            if self._standing is None or self._standing[0] != revision:
                self._standing = revision, Standing(self._ledger.credentials(), self.profiles)
            return self._standing[1]

    def reload(self) -> None:
        """Look at the ledger's revision at once: this process has changed something."""
        self.revision.forget()


def require_ca(standing: Standing, slug_: str) -> Issuer:
    """Return a CA by its slug, or raise NotFound."""
    issuer = standing.by_slug.get(slug_)
    if issuer is None:
        raise NotFound(f"there is no CA {slug_}")
    return issuer
