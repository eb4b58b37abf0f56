"""The mobility operator: contracts for cars, their renewal and their end, and whether one is good for charging."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from voltroot.actors.registrar import Registrar, Subjects, claim
from voltroot.actors.trust import Trust
from voltroot.contract.faults import NONE, Fault
from voltroot.contract.seal import Sealed, additional_data
from voltroot.errors import NotFound, Refused, SubjectMismatch, Untrusted
from voltroot.pki.authority import Authority
from voltroot.pki.certificates import Certificate
from voltroot.pki.chains import Judgement, Purpose
from voltroot.pki.drafts import Order, key_identifier, short_key_identifier
from voltroot.pki.enclosures import Enclosure
from voltroot.pki.judging.codes import SECONDARY_ACTOR
from voltroot.pki.ports import Clock, Entry, Escrow, Reason
from voltroot.pki.profiles import AGREE, Edition, Profile
from voltroot.pki.suites import ED448, P256_SHA256, P521_SHA512, suite_of
from voltroot.terms import EMAID

DOOR = "mo"
# ISO 15118-2 has P-256 and nothing else, ISO 15118-20 the two others: a key says which edition its car speaks.
EDITIONS = {
    P256_SHA256.name: Edition.ISO15118_2,
    P521_SHA512.name: Edition.ISO15118_20,
    ED448.name: Edition.ISO15118_20,
}
_LENGTHS = range(14, 16)  # eMAIDType of ISO 15118-2


class Kept(NamedTuple):
    """A contract in the pool: its certificate on record, the car's certificate, and the key sealed to that.

    ``delivered`` tells whether it was handed out, as far as anything hangs on that: it is a renewal, or one of several
    of -20, for which ``session`` is the one that it was handed out in last. A renewal ``supersedes`` older certificates
    of the contract as soon as it is delivered, and until they are revoked. ``fault`` is what the lab gets wrong in it.
    """

    entry: Entry
    emaid: str
    holder: bytes
    sealed: Sealed
    supersedes: bool
    delivered: bool
    session: bytes | None
    fault: str = ""


class ContractPool(Protocol):
    """The record of sealed contracts; the ledger writes it as it reserves. Each method is one transaction, durable
    when it returns, safe to call from several threads and processes. Only recorded certificates are seen."""

    def sealed_to(self, receiver: bytes) -> list[Kept]:
        """Return what was sealed to a key, by the hash of its SubjectPublicKeyInfo, newest first."""
        ...

    def of(self, number: int) -> Kept | None:
        """Return what belongs to a contract's certificate, by the number of its entry."""
        ...

    def deliver(self, number: int, session: bytes, again: Sequence[int] = ()) -> None:
        """Note that a contract is handed out; those named in ``again`` have not been in any session."""
        ...

    def superseded(self) -> list[tuple[int, list[Entry]]]:
        """Return the delivered contracts that supersede others, and the older certificates that are still valid."""
        ...

    def settle(self, numbers: Sequence[int]) -> None:
        """Note that the certificates before these are revoked."""
        ...


@dataclass(frozen=True, slots=True)
class Terms:
    """How contracts are made.

    With ``strict`` only EMAIDs as ISO 15118 writes them are taken. ``at_once`` revokes the old certificate as soon as
    the new contract is on record, not when it has first been handed out.
    """

    strict: bool = False
    at_once: bool = False


class MO(Registrar):
    """Makes, renews and ends contracts under EMAIDs; the private key of each is sealed to its car and then gone."""

    def __init__(
        self,
        profiles: Mapping[str, Profile],
        subjects: Subjects,
        authority: Authority,
        escrow: Escrow,
        now: Clock,
        trust: Trust,
        pool: ContractPool,
        terms: Terms = Terms(),
    ) -> None:
        rows = {Edition.ISO15118_2: profiles["CONTRACT_2"], Edition.ISO15118_20: profiles["CONTRACT_20"]}
        super().__init__(DOOR, rows, EMAID, subjects, authority, escrow, now)
        self._trust = trust
        self._pool = pool
        self._terms = terms

    @property
    def at_once(self) -> bool:
        """Whether a renewal supersedes as soon as it is on record."""
        return self._terms.at_once

    def create(self, dh_cert: Certificate, emaid: str, by: str = "", fault: Fault = NONE) -> Order:
        """Return the order for a contract whose key is sealed to the OEM provisioning key of a car."""
        self._check(dh_cert, Purpose.PROVISIONING, self._trust.record_of(dh_cert))
        return self._order_to(dh_cert, emaid, by, fault, renewal=False)

    def extend(self, dh_cert: Certificate, emaid: str, by: str = "", fault: Fault = NONE) -> Order:
        """Return the order for a further certificate of a contract, by the one that is about to expire.

        In -2 the new key is sealed to that of the expiring certificate, in -20 to the provisioning key on record.
        """
        record = self._trust.record_of(dh_cert)
        kept = self._pool.of(record.number) if record is not None else None
        if record is None or kept is None:
            raise NotFound("dhCert is no contract certificate that was issued here: create a contract instead")
        if normal(kept.emaid) != normal(emaid):
            raise SubjectMismatch(f"dhCert is the certificate of {kept.emaid}, not of {emaid}")
        self._check(dh_cert, Purpose.CONTRACT, record)
        if EDITIONS[suite_of(dh_cert.public_key).name] is Edition.ISO15118_2:
            return self._order_to(dh_cert, kept.emaid, by, fault, renewal=True)
        holder = Certificate.read(kept.holder)
        self._check(holder, Purpose.PROVISIONING, self._trust.record_of(holder))
        return self._order_to(holder, kept.emaid, by, fault, renewal=True)

    def supersede(self) -> list[Entry]:
        """Revoke what delivered renewals have taken the place of; returns what was revoked."""
        due = self._pool.superseded()
        if not due:
            return []
        older = [entry for _, entries in due for entry in entries]
        revoked = self._authority.revoke(older, Reason.SUPERSEDED, door=DOOR) if older else []
        self._pool.settle([number for number, _ in due])
        return revoked

    def judge_payment(self, leaf: Certificate, subca2: Certificate, subca1: Certificate) -> Judgement:
        """Judge the chain that a car shows when it wants to charge, in the order given (ISO 15118-2 PaymentDetails)."""
        return self._trust.judge([leaf, subca2, subca1], self._trust.record_of(leaf), Purpose.CONTRACT)

    def _check(self, certificate: Certificate, purpose: Purpose, record: Entry | None) -> None:
        judgement = self._trust.search(certificate, record, purpose)
        if judgement.deciding is not None:
            raise Untrusted(f"dhCert: {SECONDARY_ACTOR.of(judgement)}: {judgement.text}")
        usage = certificate.key_usage
        if suite_of(certificate.public_key).can_agree and usage is not None and not usage & AGREE:
            raise Untrusted("dhCert: its key is not for key agreement, which sealing needs ([V2G20-822])")

    def _order_to(self, holder: Certificate, emaid: str, by: str, fault: Fault, *, renewal: bool) -> Order:
        suite = suite_of(holder.public_key)
        edition = EDITIONS[suite.name]
        profile = self._rows[edition]
        self._require_strict(emaid, edition)
        key = fault.key(suite)
        order = self._order(emaid, profile, key.public_key(), by, renewal=renewal)
        additional = b""
        if edition is Edition.ISO15118_20:
            identify = short_key_identifier if profile.short_key_identifier else key_identifier
            additional = additional_data(holder.subject.get("CN") or "", identify(order.spki))
        sealed = fault.sealing(key, holder.public_key, additional)
        enclosure = Enclosure(
            emaid=emaid,
            holder=holder.der,
            receiver=holder.key_hash,
            public=sealed.public,
            encrypted=sealed.encrypted,
            supersedes=renewal,
            delivered=renewal and self._terms.at_once,
            fault=str(fault),
        )
        return replace(order, name=claim(normal(emaid)), enclosure=enclosure)

    def _require_strict(self, emaid: str, edition: Edition) -> None:
        if not self._terms.strict:
            return
        if finding := EMAID(emaid).finding:
            raise Refused(f"emaid: {finding}")
        if edition is Edition.ISO15118_2 and len(emaid) not in _LENGTHS:
            raise Refused(f"emaid: {emaid} has {len(emaid)} characters: 14 or 15 fit into eMAIDType of ISO 15118-2")


def normal(emaid: str) -> str:
    """Return the form in which EMAIDs compare."""
    return EMAID(emaid).normal
