"""The lab: orders whose certificates are wrong on purpose, and CAs that stand where none should; all on record."""

from __future__ import annotations

import threading
from dataclasses import replace

from voltroot.contract import faults
from voltroot.contract.faults import Fault, Level
from voltroot.errors import Refused
from voltroot.pki.authority import Authority
from voltroot.pki.ceremony import CaNames
from voltroot.pki.deviations import Deviation
from voltroot.pki.drafts import Order
from voltroot.pki.issuers import CA
from voltroot.pki.names import Name
from voltroot.pki.ports import Keyring
from voltroot.pki.profiles import Profile, issuer_suite, slug
from voltroot.pki.suites import Signer, Suite, generate, suite_of

DOOR = "lab"


class Lab:
    """Gets things wrong where it is asked to and may. Safe among threads."""

    def __init__(self, authority: Authority, keyring: Keyring, names: CaNames) -> None:
        self._authority = authority
        self._keyring = keyring
        self._names = names
        self._lock = threading.Lock()
        self._providers: dict[tuple[str, str], tuple[bytes, Signer]] = {}

    def fault(self, text: str | None, *levels: Level) -> Fault:
        """Return the fault of a name, of one of some levels; Forbidden where there is no lab."""
        if not text:
            return faults.NONE
        self._authority.require_lab()
        fault = faults.read(text)
        if fault.level not in levels:
            wanted = " or ".join(levels)
            raise Refused(f"fault: {fault.name} is in a {fault.level}, and this call makes a {wanted}")
        return fault

    def order(self, order: Order, fault: Fault) -> Order:
        """Return an order for a certificate that has the fault; the same order where the fault is in other things."""
        if order.profile.edition not in fault.editions:
            raise Refused(f"fault: {fault.name} is one of {' and '.join(fault.editions)} only")
        if fault.level is not Level.CERTIFICATE:
            return order
        deviation = fault.deviation or Deviation(fault.name)
        issuer = self._ca(order, fault) if fault.above else order.issuer
        subject = _of_another_role(order.subject, order.profile) if fault.dc else order.subject
        return replace(order, deviation=deviation, issuer=issuer, subject=subject)

    def provider(self, profile: Profile, suite: Suite, fault: Fault) -> tuple[bytes, Signer]:
        """Return a certificate of the CPS that has the fault, and its key, which is in memory only."""
        assert fault.provider is not None, "only such a fault is one of the CPS"
        with self._lock:
            if (fault.name, suite.name) not in self._providers:
                subject = self._names.subject(profile, f"Lab {fault.name.replace('_', ' ')}")
                key = generate(suite)
                order = Order(
                    profile=profile,
                    subject=_of_another_role(subject, profile) if fault.dc else subject,
                    public_key=key.public_key(),
                    door=DOOR,
                    deviation=fault.provider,
                )
                self._providers[fault.name, suite.name] = self._authority.issue(order).certificate, key
            return self._providers[fault.name, suite.name]

    def _ca(self, order: Order, fault: Fault) -> str:
        """Return the slug of the last of the lab's own CAs above a leaf; they are made when they are first needed."""
        rows, suite = self._authority.issuers.profiles, suite_of(order.public_key)
        sub2 = rows[str(order.profile.issuer)]
        sub1 = rows[str(sub2.issuer)]
        root = rows[str(sub1.issuer)]
        above = sub2 if fault.below_sub2 else root
        parent = slug(above, issuer_suite(above, suite))
        # The schema of -20 has room for one sub-CA less.
        lengths = fault.above if suite.name == "P-256" or fault.below_sub2 else fault.above[1:]
        with self._lock:
            for place, length in enumerate(lengths, 1):
                row = sub1 if length else sub2
                label = f"lab-{fault.name.replace('_', '-')}-{place}-{slug(sub2, issuer_suite(sub2, suite))}"
                name = f"Lab {fault.name.replace('_', ' ')} {place} {slug(sub2, suite)}"
                parent = self._made(label, row, name, parent, fault, length, order)
        return parent

    def _made(
        self, label: str, row: Profile, name: str, parent: str, fault: Fault, path_length: int, order: Order
    ) -> str:
        credential = self._authority.issuers.standing().newest.get(label)
        if credential is not None:
            return credential.slug
        made = self._authority.issue(
            Order(
                profile=row,
                subject=self._names.subject(row, name),
                public_key=self._keyring.create(label, issuer_suite(row, suite_of(order.public_key))),
                door=DOOR,
                by=order.by,
                issuer=parent,
                deviation=Deviation(fault.name, frozenset({"basic_constraints"}), path_length=path_length),
            )
        )
        slug_ = self._authority.ledger.add_credential(made.number, CA, label, label, by=order.by).slug
        self._authority.issuers.reload()
        return slug_


def _of_another_role(subject: Name, profile: Profile) -> Name:
    other = Name.of([("DC", "OEM" if profile.dc != "OEM" else "CPO")]).rdns[0]
    return Name(tuple([other if rdn[0].keyword == "DC" else rdn for rdn in subject.rdns]))
