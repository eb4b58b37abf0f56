"""Making roots and sub-CAs once, and keeping alive the short-lived certificates that serve them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from voltroot.errors import Refused
from voltroot.pki import chains, suites
from voltroot.pki.authority import Authority
from voltroot.pki.certificates import Certificate
from voltroot.pki.drafts import Issuer, Order
from voltroot.pki.issuers import CA, CPS, OCSP, TLS
from voltroot.pki.names import Name
from voltroot.pki.ports import Clock, Credential, Keyring, State
from voltroot.pki.profiles import CERTIFY, Edition, Profile, issuer_suite, slug
from voltroot.pki.suites import P256_SHA256, PublicKey, Suite

OCSP_PROFILES = {
    Edition.ISO15118_2: "OCSP_2",
    Edition.ISO15118_20: "OCSP_20",
    Edition.OCPP: "OCSP",
    Edition.VPKI: "VPKI_OCSP",
}
CPS_PROFILES = {"CPS_SUB2_2": "CPS_2", "CPS_SUB2_20": "CPS_20"}


@dataclass(frozen=True, slots=True)
class CaNames:
    """The subjects of the CAs: one organization and country.

    By CA label ``common_names`` replaces the common name, ``subjects`` the whole name.
    """

    organization: str = "Voltroot Test"
    country: str = "DE"
    common_names: Mapping[str, str] = field(default_factory=dict)
    subjects: Mapping[str, Name] = field(default_factory=dict)

    def subject(self, profile: Profile, common_name: str) -> Name:
        """Return a CA's or service's name in the order of its profile."""
        values = {"CN": common_name, "O": self.organization, "C": self.country, "DC": profile.dc}
        return Name.of([(part, value) for part in profile.shape if (value := values.get(part))])


@dataclass(frozen=True, slots=True)
class Slot:
    """One CA that the ceremony makes: a profile with the suite of its key; the parent's label is None for a root."""

    label: str
    profile: Profile
    suite: Suite
    parent: str | None

    @property
    def common_name(self) -> str:
        """The name of the CA unless configured, no two alike."""
        kind = "" if self.suite == self.profile.suites[0] else f" {self.suite.kind}"
        return f"{self.profile.title[0].upper()}{self.profile.title[1:]} {self.profile.edition}{kind}"


def slots(profiles: Mapping[str, Profile]) -> Iterator[Slot]:
    """Yield every CA, parents first."""
    for profile in profiles.values():
        if profile.is_ca:
            for suite in profile.suites:
                parent = None
                if profile.issuer is not None:
                    above = profiles[profile.issuer]
                    parent = slug(above, issuer_suite(above, suite))
                yield Slot(slug(profile, suite), profile, suite, parent)


class Ceremony:
    """Makes what is missing, so that it may be interrupted and begun again.

    A CA that would not outlive what it signs any more gets a successor; it stays behind what it signed.

    ``progress`` hears each label; ``by`` tells the audit log who does it.
    """

    def __init__(
        self,
        authority: Authority,
        keyring: Keyring,
        names: CaNames,
        now: Clock,
        progress: Callable[[str], None] = lambda label: None,
        by: str = "",
    ) -> None:
        self._authority = authority
        self._keyring = keyring
        self._names = names
        self._now = now
        self._progress = progress
        self._by = by
        self._profiles = authority.issuers.profiles

    def perform(self) -> None:
        """Make every CA that is missing, and every certificate that serves one."""
        known = self._authority.issuers.standing().newest
        for slot in slots(self._profiles):
            # A device may lack the kinds of keys that come second in a role: then nothing is issued for them.
            if slot.label not in known and (slot.suite == slot.profile.suites[0] or slot.suite in self._keyring.suites):
                self._make_ca(slot)
        self.renew()

    def renew(self) -> list[Credential]:
        """Renew the OCSP signers and CPS leaves that are missing, revoked or in the last third of their life."""
        self._authority.issuers.reload()
        made = [self._make_ca(slot, successor=True) for slot in slots(self._profiles) if self._is_spent(slot)]
        made += [self._make_ocsp_signer(issuer) for issuer in self._cas() if self._due(f"ocsp-{issuer.slug}")]
        for ca, profile in CPS_PROFILES.items():
            for suite in self._profiles[ca].suites:
                label = slug(self._profiles[profile], suite)
                if self._due(label) and slug(self._profiles[ca], suite) in self._authority.issuers.standing().newest:
                    made.append(self._make_service(CPS, label, self._profiles[profile], suite, f"CPS {suite.kind}"))
        return made

    def tls_server(
        self,
        hosts: Sequence[str],
        keyring: Keyring | None = None,
        profile: str = "TLS_SERVER",
        suite: Suite = P256_SHA256,
    ) -> Credential:
        """Return a TLS certificate of the backend's own for the given host names and addresses, renewed where due.

        Its key is in ``keyring``, if that is to be another one. Other backends on the same ledger may have certificates
        of their own, with keys that are not here and for other names.
        """
        row = self._profiles[profile]
        label = TLS if profile == "TLS_SERVER" else slug(row, suite)
        keys = set((keyring or self._keyring).labels())
        every = reversed(self._authority.issuers.standing().credentials)
        own = (each for each in every if each.label == label and each.key in keys and not self._is_old(each))
        fit = next((each for each in own if each.entry.read().alternative_names == tuple(hosts)), None)
        return fit or self._make_service(TLS, label, row, suite, hosts[0], hosts=hosts, keyring=keyring)

    def take_in(self, label: str, chain: Sequence[Certificate], key: str | None) -> Credential:
        """Put a CA from elsewhere in a slot's place: its certificate first, those above it after, the root last.

        The slot's own CA, if there is one, stays behind what it signed. ``key`` is the label of its key in the keyring.
        """
        by_label = {slot.label: slot for slot in slots(self._profiles)}
        if label not in by_label:
            raise Refused(f"there is no place for a CA called {label}: choose one of {', '.join(by_label)}")
        slot = by_label[label]
        _check_import(slot, chain, self._keyring.signer(key).public_key() if key else None, self._now())
        places = [(label, slot.profile)]
        while (parent := by_label[slot.label].parent) is not None:
            slot = by_label[parent]
            places.append((f"above-{label}", slot.profile))
        number, credential = None, None
        for (place, profile), certificate in reversed(list(zip(places, chain, strict=False))):
            entry = self._authority.ledger.take_in(certificate.der, profile.name, number, by=self._by)
            own = key if certificate is chain[0] else None
            credential = self._authority.ledger.add_credential(entry.number, CA, place, own, by=self._by)
            number = entry.number
        assert credential is not None, "the chain holds the CA itself at least"
        self._authority.issuers.reload()
        return credential

    def _cas(self) -> list[Issuer]:
        now, cas = self._now(), self._authority.issuers.standing().cas.values()
        # One that has expired needs nobody to speak for it, and must not keep the others from being served.
        return [issuer for issuer in cas if issuer.key is not None and issuer.certificate.not_after > now]

    def _is_spent(self, slot: Slot) -> bool:
        """Whether a CA of our own making would not outlive what it signs."""
        standing = self._authority.issuers.standing()
        credential = standing.newest.get(slot.label)
        if credential is None or credential.key is None or not slot.profile.outlives:
            return False
        above = credential.entry.issuer
        if above is not None and standing.cas[above].key is None:  # it came from elsewhere, and so must its successor
            return False
        return credential.entry.not_after - self._now() < timedelta(days=slot.profile.outlives)

    def _make_ca(self, slot: Slot, *, successor: bool = False) -> Credential:
        self._progress(slot.label)
        common_name = self._names.common_names.get(slot.label, slot.common_name)
        subject = self._names.subjects.get(slot.label) or self._names.subject(slot.profile, common_name)
        key = slot.label
        if successor:
            key = _own_key(slot.label)
            subject = _named_by_key(subject, key)
        order = Order(
            profile=slot.profile,
            subject=subject,
            public_key=self._keyring.create(key, slot.suite),
            door="pki",
            by=self._by,
            issuer=self._authority.issuers.standing().current(slot.parent).slug if slot.parent else None,
            own_key=key,
        )
        entry = self._authority.issue(order)
        credential = self._authority.ledger.add_credential(entry.number, CA, slot.label, key, by=self._by)
        self._authority.issuers.reload()
        return credential

    def _make_ocsp_signer(self, issuer: Issuer) -> Credential:
        profile = self._profiles[OCSP_PROFILES[issuer.profile.edition]]
        name = f"OCSP {issuer.slug}"
        return self._make_service(OCSP, f"ocsp-{issuer.slug}", profile, issuer.suite, name, issuer=issuer.slug)

    def _make_service(
        self,
        use: str,
        label: str,
        profile: Profile,
        suite: Suite,
        common_name: str,
        *,
        issuer: str | None = None,
        hosts: Sequence[str] = (),
        keyring: Keyring | None = None,
    ) -> Credential:
        self._progress(label)
        key = _own_key(label)
        order = Order(
            profile=profile,
            subject=self._names.subject(profile, common_name),
            public_key=(keyring or self._keyring).create(key, suite),
            door="pki",
            by=self._by,
            issuer=issuer,
            alternative_names=tuple(hosts),
        )
        entry = self._authority.issue(order)
        credential = self._authority.ledger.add_credential(entry.number, use, label, key, by=self._by)
        self._authority.issuers.reload()
        return credential

    def _due(self, label: str) -> bool:
        credential = self._authority.issuers.standing().newest.get(label)
        return credential is None or self._is_old(credential)

    def _is_old(self, credential: Credential) -> bool:
        """Whether it is revoked or in the last third of its life."""
        if credential.entry.state is not State.VALID:
            return True
        entry = credential.entry
        return self._now() > entry.not_after - (entry.not_after - entry.not_before) / 3


def _named_by_key(subject: Name, key: str) -> Name:
    """Tell a successor from the CA before it: by the first word of its name, which addresses are made of as well."""
    first, *rest = (subject.get("CN") or "CA").split()
    words = " ".join([f"{first}-{key.rpartition('.')[2]}", *rest])
    cn = Name.of([("CN", words)]).rdns[0]
    return Name(tuple([cn if rdn[0].keyword == "CN" else rdn for rdn in subject.rdns]))


def _own_key(label: str) -> str:
    """A label of its own for each key: after a crash the key without a certificate is simply never used."""
    return f"{label}.{secrets.token_hex(4)}"


def _check_import(slot: Slot, chain: Sequence[Certificate], key: PublicKey | None, moment: datetime) -> None:
    """Refuse a CA that could not do the slot's work; what is merely unusual in it is accepted."""
    if not chain:
        raise Refused("the file holds no certificate")
    own = chain[0]
    if suites.suite_of(own.public_key) != slot.suite:
        raise Refused(f"{slot.label} needs a key of {slot.suite.name}, this certificate's is another")
    if not own.is_ca or not (own.key_usage or 0) & CERTIFY:
        raise Refused("this certificate is not that of a CA: cA or keyCertSign is missing")
    if key is not None and key != own.public_key:
        raise Refused("the key is not the key of the certificate")
    if slot.profile.outlives and own.not_after - moment < timedelta(days=slot.profile.outlives):
        needed = slot.profile.outlives // 365
        raise Refused(
            f"{slot.label} must outlive what it signs: {needed} years, this one ends on {own.not_after:%Y-%m-%d}"
        )
    if not chain[-1].self_issued:
        raise Refused("the chain does not end in a root: give the certificates above the CA as well, the root last")
    finding = chains.judge(chain, [chain[-1]], moment)
    if finding.verdict is not chains.Verdict.OK:
        raise Refused(f"the chain does not hold: {finding.text}")
