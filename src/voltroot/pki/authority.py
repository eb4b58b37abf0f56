"""Issuing and revoking: draft, lint, reserve, sign, record; the only place where CA keys are used on certificates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from voltroot.errors import Failure, Forbidden, Unavailable
from voltroot.pki import lints, suites
from voltroot.pki.certificates import Certificate
from voltroot.pki.drafts import Draft, Drafter, Issuer, Order, prove
from voltroot.pki.issuers import Issuers
from voltroot.pki.ports import Clock, Entry, Keyring, Ledger, Reason, Signed
from voltroot.pki.profiles import ANY_CA, require_suite
from voltroot.pki.suites import Signer

# Long enough for a batch on a slow disk or HSM, short enough that a name is free again soon after a crash.
LEASE = timedelta(seconds=10)


class Authority:
    """Issues and revokes. ``days`` overrides the validity of profiles by name. Safe among threads.

    With a ``lab`` it takes orders for certificates that are wrong on purpose, as long as all CAs are of its own making.
    """

    def __init__(
        self,
        ledger: Ledger,
        keyring: Keyring,
        issuers: Issuers,
        drafter: Drafter,
        now: Clock,
        days: Mapping[str, int] | None = None,
        *,
        lab: bool = False,
    ) -> None:
        self.ledger = ledger
        self.issuers = issuers
        self._keyring = keyring
        self._drafter = drafter
        self._now = now
        self._days = days or {}
        self._lab = lab
        self._proved: set[tuple[str, str, str]] = set()

    def issue(self, order: Order) -> Entry:
        """Issue one certificate, or raise the Failure that stands against it."""
        (outcome,) = self.issue_all([order])
        if isinstance(outcome, Failure):
            raise outcome
        return outcome

    def issue_all(self, orders: Sequence[Order]) -> list[Entry | Failure]:
        """Issue many in two commits; each order meets its own outcome, in order.

        Nothing is signed that was not linted and written down; what is returned as an Entry is durable.
        """
        outcomes: dict[int, Entry | Failure] = {}
        drafts = self._drafted(orders, outcomes)
        until = self._now() + LEASE
        numbers = self.ledger.reserve([draft for _, draft in drafts], until) if drafts else []
        signed: list[Signed] = []
        reserved: list[int] = []
        for (place, draft), number in zip(drafts, numbers, strict=True):
            if isinstance(number, Failure):
                outcomes[place] = number
                continue
            try:
                certificate = draft.signed(suites.sign(self._signer(draft), draft.tbs))
                order, fault = draft.order, draft.order.deviation.name if draft.order.deviation else ""
                signed.append(Signed(number, certificate, order.door, order.by, fault))
                reserved.append(place)
            except Failure as failure:
                self.ledger.abandon([number])
                outcomes[place] = failure
        if signed:
            outcomes |= dict(zip(reserved, self.ledger.record(signed), strict=True))
            self._revoke_at_birth([(orders[place], outcomes[place]) for place in reserved])
        return [outcomes[place] for place in range(len(orders))]

    def revoke(self, entries: Sequence[Entry], reason: Reason, *, door: str, by: str = "") -> list[Entry]:
        """Revoke the valid ones among entries; returns those that changed, durable."""
        return self.ledger.revoke([entry.number for entry in entries], reason, door=door, by=by)

    def _revoke_at_birth(self, issued: Sequence[tuple[Order, Entry | Failure]]) -> None:
        for order, entry in issued:
            if order.deviation is not None and order.deviation.revoked and isinstance(entry, Entry):
                self.revoke([entry], Reason.UNSPECIFIED, door=order.door, by=order.by)

    def require_lab(self) -> None:
        """Raise Forbidden unless things may be got wrong on purpose here."""
        if not self._lab:
            raise Forbidden("there is no lab here: the configuration says lab = false")
        if self.ledger.has_imported():
            raise Forbidden("there is no lab here: with a CA from elsewhere nothing is got wrong on purpose")

    def _drafted(self, orders: Sequence[Order], outcomes: dict[int, Entry | Failure]) -> list[tuple[int, Draft]]:
        drafts: list[tuple[int, Draft]] = []
        for place, order in enumerate(orders):
            try:
                drafts.append((place, self._draft(order)))
            except Failure as failure:
                outcomes[place] = failure
        return drafts

    def _draft(self, order: Order) -> Draft:
        require_suite(order.profile, suites.suite_of(order.public_key))
        issuer = self._issuer(order)
        if order.deviation is not None:
            self.require_lab()
        draft = self._drafter.draft(order, issuer, self._now(), days=self._days.get(order.profile.name))
        placeholder = draft.placeholder()
        waived = order.deviation.waives if order.deviation else frozenset[str]()
        lints.require(placeholder, order.profile, issuer.certificate if issuer else None, waived)
        if order.deviation is None:
            self._prove(draft, placeholder)
        return draft

    def _prove(self, draft: Draft, placeholder: Certificate) -> None:
        """Let another parser read the first draft of each profile and issuer: the rest differ in values only."""
        place = (draft.order.profile.name, draft.issuer.slug if draft.issuer else "", draft.signing_suite.name)
        if place not in self._proved:
            prove(placeholder)
            self._proved.add(place)

    def _issuer(self, order: Order) -> Issuer | None:
        profile = order.profile
        if profile.issuer is None:
            return None
        standing = self.issuers.standing()
        if order.issuer is not None:
            return standing.by_slug[order.issuer]
        assert profile.issuer != ANY_CA, "an order for such a profile says which CA"
        return standing.for_profile(profile, suites.suite_of(order.public_key))

    def _signer(self, draft: Draft) -> Signer:
        if draft.order.deviation is not None and draft.order.deviation.forged:
            return suites.generate(draft.signing_suite)
        label = draft.issuer.key if draft.issuer else draft.order.own_key
        if label is None:
            raise Unavailable("the key of the issuing CA is not here: only its certificate is known")
        signer = self._keyring.signer(label)
        expected = draft.issuer.certificate.public_key if draft.issuer else draft.order.public_key
        if signer.public_key() != expected:
            raise Unavailable(f"the keyring's key {label} is not the key of the issuing CA's certificate")
        return signer
