"""Who may come in: callers that are known by their network, by a client certificate, or by both.

Whoever is refused learns nothing; the log learns why.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from voltroot.errors import Failure, Forbidden, RateLimited
from voltroot.pki import oids
from voltroot.pki.certificates import Certificate
from voltroot.pki.chains import Evidence, Inputs, Verdict, search
from voltroot.pki.lists import Crl
from voltroot.pki.ports import Clock

log = logging.getLogger("voltroot")

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# How long the judgement of a client certificate is believed, and how many are kept.
BELIEVED = timedelta(seconds=30)
MOST = 1024
FORWARDED = b"x-forwarded-for"
FINGERPRINT = "sha256:"


@dataclass(frozen=True, slots=True)
class Caller:
    """A server that may call: where it is, what certificates it shows, what it may ask for and how often.

    Without ``networks`` it may be anywhere, without ``certificates`` it needs none; it must have one of them.
    ``certificates`` are names in the certificate (CN, subjectAltName) or sha256:FINGERPRINT. ``rate`` is in requests
    a second, 0 for no limit; ``tiers`` None allows all suppliers.
    """

    name: str
    networks: tuple[Network, ...] = ()
    certificates: tuple[str, ...] = ()
    products: frozenset[str] = frozenset()
    tiers: frozenset[str] | None = None
    rate: float = 0

    def require_tier(self, tier: str) -> None:
        """Raise Forbidden where the caller may not ask for a supplier."""
        if self.tiers is not None and tier.casefold() not in self.tiers:
            raise Forbidden(f"{self.name} may not ask for the tier {tier}")

    def require_product(self, product: str) -> None:
        """Raise Forbidden where the caller may not ask for a product."""
        if product not in self.products:
            raise Forbidden(f"{self.name} may not ask for {product}")


@dataclass(frozen=True, slots=True)
class Clients:
    """Whose client certificates are good: CAs that are trusted, CRLs, and what our own record says."""

    cas: Sequence[Certificate] = ()
    crls: tuple[Crl, ...] = ()
    is_revoked: Callable[[Certificate], bool] = lambda certificate: False

    def objection(self, certificate: Certificate, moment: datetime) -> str | None:
        """Return why a certificate is no good as a client's."""
        inputs, evidence = Inputs(key_purpose=oids.CLIENT_AUTH), Evidence(crls=self.crls)
        judgement = search(certificate, [], self.cas, moment, inputs=inputs, evidence=evidence)
        if judgement.verdict is not Verdict.OK:
            return judgement.text
        return "it is revoked" if self.is_revoked(certificate) else None


@dataclass(slots=True)
class _Bucket:
    """A token bucket: a second's worth of requests at once, at least one."""

    tokens: float
    filled: datetime

    def take(self, rate: float, moment: datetime) -> bool:
        """Take a token, if there is one."""
        elapsed = max(0.0, (moment - self.filled).total_seconds())
        self.tokens = min(max(rate, 1.0), self.tokens + elapsed * rate)
        self.filled = moment
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass
class Door:
    """Lets callers in; ``proxies`` may say in X-Forwarded-For whom they speak for, ``share`` is this process's part
    of each rate. For one event loop."""

    callers: Sequence[Caller]
    now: Clock
    clients: Clients = field(default_factory=Clients)
    proxies: Sequence[Network] = ()
    share: float = 1.0
    _buckets: dict[str, _Bucket] = field(default_factory=dict)
    _judged: dict[bytes, tuple[datetime, str | None]] = field(default_factory=dict)

    def admit(self, peer: str, headers: Sequence[tuple[bytes, bytes]], certificate: bytes | None) -> Caller:
        """Return who calls, or raise Forbidden or RateLimited; ``certificate`` is the client's in DER."""
        address = self._address(peer, headers)
        shown = Certificate.read(certificate) if certificate else None
        objections = []
        for caller in self.callers:
            objection = self._objection(caller, address, shown)
            if objection is None:
                return self._within_rate(caller)
            objections.append(f"{caller.name}: {objection}")
        raise Forbidden(f"{address} is no caller ({'; '.join(objections)})")

    def _address(self, peer: str, headers: Sequence[tuple[bytes, bytes]]) -> Address:
        try:
            address = _plain(peer)
            if not _within(address, self.proxies):
                return address
            named = b",".join(value for name, value in headers if name == FORWARDED).decode("latin-1")
            # The proxy wrote the last address; those before it are as true as whoever wrote them.
            for text in reversed(named.split(",")):
                address = _plain(text.strip())
                if not _within(address, self.proxies):
                    return address
        except ValueError as error:
            raise Forbidden(f"{peer} speaks for nobody that can be told: {error}") from error
        return address

    def _objection(self, caller: Caller, address: Address, shown: Certificate | None) -> str | None:
        if caller.networks and not _within(address, caller.networks):
            return "another network"
        if not caller.certificates:
            return None if caller.networks else "neither a network nor a certificate is set"
        if shown is None:
            return "no client certificate"
        if not _is_named(shown, caller.certificates):
            return f"the certificate of {shown.subject} is another's"
        return self._judgement(shown)

    def _judgement(self, shown: Certificate) -> str | None:
        moment = self.now()
        believed = self._judged.get(shown.der)
        if believed is None or not believed[0] - BELIEVED <= moment < believed[0]:
            if len(self._judged) >= MOST:
                self._judged.clear()
            try:
                objection = self.clients.objection(shown, moment)
            except Failure as failure:
                objection = str(failure)
            self._judged[shown.der] = believed = moment + BELIEVED, objection
        return believed[1]

    def _within_rate(self, caller: Caller) -> Caller:
        if caller.rate:
            rate, moment = caller.rate * self.share, self.now()
            bucket = self._buckets.setdefault(caller.name, _Bucket(max(rate, 1.0), moment))
            if not bucket.take(rate, moment):
                raise RateLimited(f"more than {caller.rate:g} requests a second: ask again later")
        return caller


def peer_certificate(state: Mapping[str, object]) -> bytes | None:
    """Return the client certificate that the server of a connection has put into its scope."""
    certificate = state.get("peer_certificate")
    return certificate if isinstance(certificate, bytes) else None


def _plain(text: str) -> Address:
    """Read an address; an IPv4 address that came over an IPv6 socket is one."""
    address = ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks if network.version == address.version)


def _is_named(shown: Certificate, names: Sequence[str]) -> bool:
    own = {name.casefold() for name in (*shown.subject.all("CN"), *shown.alternative_names)}
    own.add(FINGERPRINT + shown.fingerprint.hex())
    return any(name.casefold() in own for name in names)
