"""What the authority needs from outside: a ledger that remembers, a keyring that signs, an escrow that seals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum
from typing import NamedTuple, Protocol

from voltroot.errors import Failure
from voltroot.pki.certificates import Certificate
from voltroot.pki.drafts import Draft
from voltroot.pki.suites import PublicKey, Signer, Suite

Clock = Callable[[], datetime]


class State(StrEnum):
    """The life of an entry; expired is computed, void is a reservation that was never answered."""

    RESERVED = "reserved"
    VALID = "valid"
    REVOKED = "revoked"
    VOID = "void"


class Reason(Enum):
    """Why a certificate was revoked (RFC 5280 5.3.1), by its CRLReason code."""

    UNSPECIFIED = 0
    KEY_COMPROMISE = 1
    CA_COMPROMISE = 2
    AFFILIATION_CHANGED = 3
    SUPERSEDED = 4
    CESSATION_OF_OPERATION = 5
    CERTIFICATE_HOLD = 6
    PRIVILEGE_WITHDRAWN = 9
    AA_COMPROMISE = 10


@dataclass(frozen=True, slots=True)
class Entry:
    """One certificate on record. ``number`` grows with each reservation; ``issuer`` is the number of the CA's entry."""

    number: int
    issuer: int | None
    serial: int
    profile: str
    state: State
    not_before: datetime
    not_after: datetime
    certificate: bytes = field(repr=False)
    revoked_at: datetime | None = None
    reason: Reason | None = None

    def read(self) -> Certificate:
        """Return the certificate as read."""
        return Certificate.read(self.certificate)

    def is_valid(self, moment: datetime) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.state is State.VALID and moment <= self.not_after


class Signed(NamedTuple):
    """A reserved entry with its certificate; ``door`` and ``by`` tell the audit log who asked for it.

    ``fault`` is what the lab got wrong in it on purpose.
    """

    number: int
    certificate: bytes
    door: str = "authority"
    by: str = ""
    fault: str = ""


class Revocation(NamedTuple):
    """One line of a CRL."""

    serial: int
    at: datetime
    reason: Reason


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate whose key signs here: a CA, an OCSP signer, a CPS, the backend's TLS server.

    ``use`` is what it is for ("ca", "ocsp", "cps", "tls"), ``label`` which one of them ("cpo-sub2-2"): the newest of a
    label is in use, older ones still stand behind what they signed. ``key`` is the label of its key in the keyring,
    None where only the certificate is known. ``slug`` is unique for ever.
    """

    entry: Entry
    use: str
    label: str
    slug: str
    key: str | None


class Ledger(Protocol):
    """The record of everything issued. Each method is one transaction, durable when it returns, safe to call from
    several threads and processes; each raises Unavailable when the database does not answer."""

    def reserve(self, drafts: Sequence[Draft], until: datetime) -> list[int | Failure]:
        """Write drafts down before they are signed; the entry's number, or KeyReused or NameTaken, for each.

        A reservation that nobody records becomes void once ``until`` has passed: its name and key are free again.
        """
        ...

    def record(self, signed: Sequence[Signed]) -> list[Entry | Failure]:
        """Turn reserved entries into valid ones with their certificates; Unavailable for one whose lease was lost."""
        ...

    def abandon(self, numbers: Sequence[int]) -> None:
        """Void reserved entries that will not be signed."""
        ...

    def take_in(self, certificate: bytes, profile: str, issuer: int | None, *, by: str = "") -> Entry:
        """Record a CA certificate that was made elsewhere; the same certificate twice is one entry."""
        ...

    def has_imported(self) -> bool:
        """Whether a CA certificate that was made elsewhere was ever taken in."""
        ...

    def find(
        self,
        *,
        profiles: Sequence[str] = (),
        number: int | None = None,
        name: str | None = None,
        serial: int | None = None,
        subject: str | None = None,
        issuer: int | None = None,
    ) -> list[Entry]:
        """Return the recorded entries that meet all the conditions given, newest first."""
        ...

    def statuses(self, issuer: int, serials: Sequence[int]) -> list[Entry | None]:
        """Return the recorded entry of each serial number of one CA, or None."""
        ...

    def revoke(self, numbers: Sequence[int], reason: Reason, *, door: str, by: str = "") -> list[Entry]:
        """Revoke the valid ones among entries, now; returns those that changed."""
        ...

    def revoked_by(self, issuer: int) -> list[Revocation]:
        """Return all revocations of one CA, in the order of their making."""
        ...

    def revision(self) -> int:
        """Return a number that grows with each revocation and each new credential.

        What was computed from the ledger after reading a number holds for as long as the number stays.
        """
        ...

    def sealed_key(self, number: int) -> bytes | None:
        """Return the sealed private key that came with an order."""
        ...

    def add_credential(self, number: int, use: str, label: str, key: str | None, *, by: str = "") -> Credential:
        """Put an entry to use as the newest credential of its label; the same entry twice is one credential."""
        ...

    def credentials(self) -> list[Credential]:
        """Return all credentials, oldest first."""
        ...


class Keyring(Protocol):
    """Where private keys live. Safe to call from several threads; a key is durable when ``create`` returns. Raises
    NotFound for an unknown label, Unavailable when the store or device does not answer.

    What ``signer`` returned outlives a device that was gone for a while.
    """

    @property
    def suites(self) -> tuple[Suite, ...]:
        """The keys that can be made here; devices differ."""
        ...

    def create(self, label: str, suite: Suite) -> PublicKey:
        """Make a key that cannot be overwritten; for a label that exists, return its public key.

        UnsupportedSuite where this keyring has no such keys.
        """
        ...

    def signer(self, label: str) -> Signer:
        """Return what signs with a key, and tells its public key."""
        ...

    def exchange(self, label: str, peer: PublicKey) -> bytes:
        """Return the shared secret of Diffie-Hellman with the key (X coordinate, padded to the field's size)."""
        ...

    def labels(self) -> list[str]:
        """Return the labels of all keys, sorted."""
        ...

    def delete(self, label: str) -> None:
        """Destroy a key, for ever; nothing is to be done for an unknown label."""
        ...

    def check(self) -> None:
        """Raise Unavailable unless keys can be used now."""
        ...


class Escrow(Protocol):
    """Sealing private keys that are handed out again later, as the test APIs do. Needs the escrow key to open only."""

    def seal(self, key: Signer) -> bytes:
        """Return the key, encrypted and authenticated."""
        ...

    def open(self, sealed: bytes) -> Signer:
        """Return a sealed key; Unavailable if it cannot be opened."""
        ...
