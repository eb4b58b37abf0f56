"""The car maker's vehicle PKI: certificates for parts of cars, on the requests of plants and their suppliers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from voltroot.actors.registrar import Outcome
from voltroot.errors import Malformed, NotFound, Refused, SubjectMismatch
from voltroot.pki.authority import Authority
from voltroot.pki.drafts import Order
from voltroot.pki.names import Attribute, Name
from voltroot.pki.ports import Clock, Entry, Reason
from voltroot.pki.profiles import Profile, require_suite
from voltroot.pki.registrations import Codes, Registration
from voltroot.pki.requests import Request, read_named_request
from voltroot.pki.rules.contents import IDENTIFIERS
from voltroot.pki.suites import suite_of
from voltroot.pki.vpki import Operator

log = logging.getLogger("voltroot")

DOOR = "vpki"


class Registered(NamedTuple):
    """What a named request came to: the digest of what was asked, and the certificate; None while it is being made."""

    digest: bytes
    entry: Entry | None


class Line(NamedTuple):
    """One line of a report: what it is grouped by, and how many certificates were issued, are valid, are revoked."""

    group: tuple[str, ...]
    issued: int
    valid: int
    revoked: int


class Register(Protocol):
    """The record of who called for which certificate; the ledger writes it as it reserves. Each method is one
    transaction, durable when it returns, safe to call from several threads and processes."""

    def find(self, caller: str, request: str) -> Registered | None:
        """Return what a caller's request of that name came to."""
        ...

    def superseded(self) -> tuple[list[int], list[Entry]]:
        """Return the certificates whose time has come to supersede those before them, and those to be revoked."""
        ...

    def settle(self, numbers: Sequence[int]) -> None:
        """Note that the ones before these certificates are revoked."""
        ...

    def count(
        self,
        by: Sequence[str],
        where: Mapping[str, str],
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[Line]:
        """Count certificates by members of their registrations."""
        ...

    def search(self, where: Mapping[str, str], subject: str | None, most: int) -> list[tuple[Entry, dict[str, str]]]:
        """Return certificates with their registrations, newest first; ``subject`` is a name's key."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """Who asks, for what, and under what name of the request; ``digest`` is that of the whole request."""

    caller: str
    codes: Codes
    request: str | None = None
    digest: bytes = b""


class VehiclePKI:
    """Orders, finds and revokes certificates by their distinguished names, each product for itself.

    Two names are one where their RDNs are, in whatever order, case and string type. ``overlap`` is how long a
    certificate stays valid beside the one that was reissued.
    """

    def __init__(
        self, operator: Operator, authority: Authority, register: Register, now: Clock, overlap: timedelta
    ) -> None:
        self._operator = operator
        self._authority = authority
        self._register = register
        self._now = now
        self._overlap = overlap

    def issue(self, profile: Profile, csr: str, call: Call) -> Order:
        """Return the order for the first certificate of a name."""
        return self._order(profile, self._requested(profile, csr, call.codes), call)

    def reissue(self, profile: Profile, csr: str, call: Call) -> Order:
        """Return the order for a further certificate of a name that had one, whatever became of it."""
        request = self._requested(profile, csr, call.codes)
        if not self._authority.ledger.find(profiles=[profile.name], name=request.subject.key()):
            raise NotFound("No certificates on this DN. Please issue first.")
        return self._order(profile, request, call, due=self._now() + self._overlap)

    def registered(self, call: Call) -> Registered | None:
        """Return what the request of that name came to."""
        return self._register.find(call.caller, call.request) if call.request is not None else None

    def supersede(self) -> list[Entry]:
        """Revoke what reissued certificates have taken the place of, as far as it is due; returns what was revoked."""
        settled, older = self._register.superseded()
        revoked = self._authority.revoke(older, Reason.SUPERSEDED, door=DOOR, by="") if older else []
        if settled:
            self._register.settle(settled)
        return revoked

    def revoke(self, profile: Profile, name: Name, by: str, require_tier: Callable[[str], None]) -> Outcome:
        """Revoke all valid certificates of a name; ``require_tier`` hears whose supplier's they are before."""
        found = self._authority.ledger.find(profiles=[profile.name], subject=name.key())
        require_tier(_tier(found[0].read().subject if found else _in_der_order(name)))
        if not found:
            return Outcome.NEVER
        changed = self._authority.revoke(found, Reason.UNSPECIFIED, door=DOOR, by=by)
        return Outcome.REVOKED if changed else Outcome.ALREADY

    def _requested(self, profile: Profile, csr: str, codes: Codes) -> Request:
        """Read a request and hold it against the codes; returns the name as the profile writes it."""
        try:
            request = read_named_request(csr)
        except Malformed as error:
            raise Refused(f"CSR Format Error: {error}") from error
        require_suite(profile, suite_of(request.key))
        return Request(self._subject(profile, _in_der_order(request.subject), codes), request.key)

    def _subject(self, profile: Profile, asked: Name, codes: Codes) -> Name:
        head = ("DC", profile.dc) if profile.dc else ("C", self._operator.country)
        pairs = [head, ("O", self._operator.organization), ("OU", self._operator.unit)]
        pairs += [("OU", codes.unit), ("OU", codes.tier), ("CN", asked.get("CN") or "")]
        printed = print_name(asked)
        try:
            name = Name.of([(kind, str(value)) for kind, value in pairs])
        except Refused as error:
            raise SubjectMismatch(f"DN Format Error: {printed} ({error})") from error
        found, wanted = asked.folded(), name.folded()
        if found == wanted:
            return name
        said = f"Expected: {print_name(name)}"
        # Where nothing but codes differ, the definition names them.
        if [*map(_kind, asked.rdns)] == [*map(_kind, name.rdns)] and found[:3] + found[5:] == wanted[:3] + wanted[5:]:
            places = (("UnitCode", codes.unit, 3), ("TierCode", codes.tier, 4))
            differing = [f"{code}: {value}" for code, value, place in places if found[place] != wanted[place]]
            said = f"Request {', '.join(differing)}"
        raise SubjectMismatch(f"DN Format Error: {printed} ({said})")

    def _order(self, profile: Profile, request: Request, call: Call, due: datetime | None = None) -> Order:
        holder = request.subject.get("CN") or ""
        findings = [kind(holder).finding for kind in IDENTIFIERS.get(profile.name, ())]
        if findings and None not in findings:
            log.warning("identifier.not_canonical", extra={"door": DOOR, "finding": findings[0]})
        return Order(
            profile=profile,
            subject=request.subject,
            public_key=request.key,
            door=DOOR,
            by=call.caller,
            name=request.subject.key(),
            renewal=due is not None,
            registration=Registration(call.caller, call.codes, call.request, call.digest, due),
        )


def print_name(name: Name) -> str:
    """Return a name as the definition prints it: cn=KM8P2844A9TD84HR91,ou=P001,ou=C001,ou=ECC,o=HKMC,dc=OEM."""
    return ",".join(["+".join(map(_print_pair, rdn)) for rdn in reversed(name.rdns)])


def _tier(name: Name) -> str:
    """The supplier's code in a name: the last OU in DER order."""
    return name.get("OU") or ""


def _print_pair(pair: Attribute) -> str:
    keyword, _, value = str(pair).partition("=")
    return f"{keyword.lower()}={value}"


def _in_der_order(name: Name) -> Name:
    """Turn a name that begins with its common name round: some requests have it as it is printed."""
    return Name(name.rdns[::-1]) if name.rdns and _kind(name.rdns[0]) == "CN" else name


def _kind(rdn: tuple[Attribute, ...]) -> str:
    return "+".join(pair.keyword for pair in rdn)
