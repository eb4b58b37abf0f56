"""What CPO and OEM have in common: leaf certificates under the ids of stations and cars."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

from voltroot.errors import Malformed, NotFound, Refused
from voltroot.pki import suites
from voltroot.pki.authority import Authority
from voltroot.pki.certificates import Certificate
from voltroot.pki.drafts import Order
from voltroot.pki.names import Name
from voltroot.pki.pfx import make_pfx
from voltroot.pki.ports import Clock, Entry, Escrow, Reason, State
from voltroot.pki.profiles import Edition, Profile, require_suite
from voltroot.pki.requests import read_request
from voltroot.pki.suites import PublicKey, Signer, Suite
from voltroot.terms import Identifier, Serial

log = logging.getLogger("voltroot")


@dataclass(frozen=True, slots=True)
class Subjects:
    """What is the same in the subject of every leaf."""

    organization: str = "Voltroot Test"
    organizational_unit: str = "Voltroot"
    country: str = "DE"

    def name(self, profile: Profile, common_name: str) -> Name:
        """Return the subject of a leaf: built from the profile, never copied from a request."""
        values = {
            "C": self.country,
            "O": self.organization,
            "OU": self.organizational_unit,
            "DC": profile.dc,
            "CN": common_name,
        }
        return Name.of([(part, value) for part in profile.shape if (value := values[part])])


@dataclass(frozen=True, slots=True)
class Enrolment:
    """An order to place, and the key that was made for it: None where the requester has it."""

    order: Order
    key: Signer | None = field(default=None, repr=False)


class Outcome(Enum):
    """What came of a revocation: a result, not a failure."""

    REVOKED = auto()
    ALREADY = auto()
    NEVER = auto()


class Revoked(NamedTuple):
    """The outcome of a revocation and the newest certificate concerned."""

    outcome: Outcome
    newest: Entry | None


class Registrar:
    """Orders, finds and revokes the certificates of one role; ``rows`` has the role's profile for each edition."""

    def __init__(
        self,
        door: str,
        rows: Mapping[Edition, Profile],
        identifier: type[Identifier],
        subjects: Subjects,
        authority: Authority,
        escrow: Escrow,
        now: Clock,
    ) -> None:
        self._door = door
        self._rows = rows
        self._identifier = identifier
        self._subjects = subjects
        self._authority = authority
        self._escrow = escrow
        self._now = now

    def enrol(self, holder: str, edition: Edition, suite: Suite | None, by: str = "") -> Enrolment:
        """Return the order for a new certificate with a new key, which goes into escrow."""
        return self._with_new_key(holder, self._rows[edition], suite, by, renewal=False)

    def enrol_request(self, holder: str, request: str, edition: Edition, by: str = "") -> Enrolment:
        """Return the order for a new certificate on the key of a PKCS#10 request."""
        return Enrolment(self._order(holder, self._rows[edition], _requested(request), by))

    def renew(
        self, holder: str, edition: Edition, suite: Suite | None, request: str | None = None, by: str = ""
    ) -> Enrolment:
        """Return the order for a further certificate under a name that is in use; the old one stays valid."""
        profile = self._rows[edition]
        newest = self.newest(holder, edition)
        if newest.state is State.REVOKED:
            raise Refused(f"{holder} is revoked: issue a new certificate instead of renewing")
        if request is not None:
            return Enrolment(self._order(holder, profile, _requested(request), by, renewal=True))
        own = suite or suites.suite_of(newest.read().public_key)
        return self._with_new_key(holder, profile, own, by, renewal=True)

    def newest(self, holder: str, edition: Edition) -> Entry:
        """Return the newest certificate of a name, whatever its state, or raise NotFound."""
        profile = self._rows[edition]
        found = self._authority.ledger.find(profiles=[profile.name], name=claim(holder))
        if not found:
            raise NotFound(f"{holder} is unknown: no {profile.title} of {edition} was ever issued for it")
        return found[0]

    def revoke(self, subject: str, edition: Edition | None, reason: Reason, by: str = "") -> Revoked:
        """Revoke all valid certificates of a distinguished name, in any order and spacing of its parts."""
        try:
            key = Name.parse(subject).key()
        except Malformed as error:
            raise Refused(f"the subject DN cannot be read: {error}") from error
        rows = [row.name for own, row in self._rows.items() if edition in (None, own)]
        found = self._authority.ledger.find(profiles=rows, subject=key)
        if not found:
            return Revoked(Outcome.NEVER, None)
        changed = self._authority.revoke(found, reason, door=self._door, by=by)
        return Revoked(Outcome.REVOKED if changed else Outcome.ALREADY, found[0])

    def pfx(self, entry: Entry, key: Signer, password: str) -> bytes:
        """Return a key with its certificate and the chain up to the root as PKCS#12."""
        return make_pfx(key, self.chain(entry), password)

    def pfx_from_escrow(self, serial: str, password: str) -> bytes:
        """Return the PKCS#12 of a certificate whose key was made here, by its serial number in decimal."""
        try:
            number = int(Serial.parse(serial).decimal)
        except Malformed as error:
            raise Refused(f"the serial number cannot be read: {error}") from error
        found = self._authority.ledger.find(profiles=[row.name for row in self._rows.values()], serial=number)
        if not found:
            raise NotFound(f"there is no certificate with the serial number {serial}")
        sealed = self._authority.ledger.sealed_key(found[0].number)
        if sealed is None:
            raise Refused("this certificate was issued on a CSR: its private key was never here to be downloaded")
        return self.pfx(found[0], self._escrow.open(sealed), password)

    def chain(self, entry: Entry) -> list[Certificate]:
        """Return a certificate and those above it, the root last."""
        return [entry.read(), *self._authority.issuers.standing().chain(entry.issuer)]

    def _with_new_key(self, holder: str, profile: Profile, suite: Suite | None, by: str, *, renewal: bool) -> Enrolment:
        own = suite or profile.suites[0]
        require_suite(profile, own)
        key = suites.generate(own)
        sealed = self._escrow.seal(key)
        return Enrolment(self._order(holder, profile, key.public_key(), by, sealed=sealed, renewal=renewal), key)

    def _order(
        self,
        holder: str,
        profile: Profile,
        key: PublicKey,
        by: str,
        *,
        sealed: bytes | None = None,
        renewal: bool = False,
    ) -> Order:
        subject = self._subjects.name(profile, holder)
        if finding := self._identifier(holder).finding:
            log.warning("identifier.not_canonical", extra={"door": self._door, "finding": finding})
        return Order(
            profile=profile,
            subject=subject,
            public_key=key,
            door=self._door,
            by=by,
            name=claim(holder),
            renewal=renewal,
            sealed_key=sealed,
        )


def claim(holder: str) -> str:
    """The form in which an id is held: as X.520 compares common names, so that id and DN agree on what is the same."""
    return Name.of([("CN", holder)]).key()


def _requested(request: str) -> PublicKey:
    try:
        return read_request(request)
    except Malformed as error:
        raise Refused(str(error)) from error
