"""Certificates that the CSMS has signed for the station: asking in time, and taking what comes (A02, A03)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from voltroot.actors.station import admission
from voltroot.actors.station.choosing import Wish, is_of_20
from voltroot.actors.station.outcomes import Candidate, Fitness, Installation, InstallStatus, RequestStatus
from voltroot.actors.station.ports import CaKind, Key, LeafKind, is_root
from voltroot.actors.station.requesting import KeyOrder
from voltroot.actors.station.state import Asked, Record
from voltroot.actors.station.station import Station
from voltroot.actors.station.variables import Variables
from voltroot.errors import Failure, Refused, Unavailable
from voltroot.pki.certificates import Certificate
from voltroot.pki.fingerprints import HashData, hash_data
from voltroot.pki.suites import Suite, suite_of

# A03.FR.02 asks a month before the end; certificates that live for less than a quarter are renewed in their last third.
BEFORE_END, LAST_PART = timedelta(days=30), 3
REMEMBERED = 4  # requests for one name: the CSMS may answer an earlier one late
ASK_AGAIN = timedelta(hours=1)  # after it came to nothing
FOR_CARS = (LeafKind.V2G, LeafKind.V2G20)
# What says nothing about the certificate: the CSMS may try once more.
PASSING = (InstallStatus.WRITE_ERROR, InstallStatus.FULL)


class Order(NamedTuple):
    """A certificate that the station wants: of a kind, for a name, with a key of a suite, below a root."""

    kind: LeafKind
    name: str
    suite: Suite | None = None
    root: HashData | None = None
    typed: bool = True
    adopted: bool = False


@dataclass(frozen=True, slots=True)
class Names:
    """What certificates of the station say of it: the CN for the CSMS, and the country for both."""

    serial_number: str
    country: str
    evses: int = 1


class Taken(NamedTuple):
    """What came of a certificate: the request that it answers, where it answers one."""

    installation: Installation
    asked: Asked | None = None

    @property
    def is_good(self) -> bool:
        """Whether the station has it now."""
        return self.installation.status is InstallStatus.ACCEPTED


class Signings:
    """Makes requests with a new key each (A02.FR.02) and keeps them until they are answered. ``device`` makes keys in
    the keyring. ``wants`` are the kinds that are asked for where there is none yet. ``v2g`` are the V2G roots to ask
    for certificates below, where several are installed. For one thread at a time."""

    def __init__(
        self,
        station: Station,
        record: Record,
        variables: Variables,
        names: Names,
        *,
        device: bool = False,
        wants: Sequence[LeafKind] = (),
        v2g: Sequence[Certificate] = (),
    ) -> None:
        self._station = station
        self._record = record
        self._variables = variables
        self._names = names
        self._device = device
        self._wants = wants
        self._v2g = v2g
        self._not_before: dict[tuple[LeafKind, str], datetime] = {}
        for asked in record.state.asked:
            if (key := self._key(asked)) is not None:
                station.upkeep.spare(key)

    @property
    def asked(self) -> Sequence[Asked]:
        """The requests that wait, oldest first."""
        return self._record.state.asked

    @property
    def longest(self) -> int:
        """The most characters of a chain that is taken."""
        return self._variables.number("SecurityCtrlr.MaxCertificateChainSize")

    def orders(self, kind: LeafKind, evse: int | None = None) -> list[Order]:
        """Return what is wanted of a kind: for an EVSE its own, else for all; Refused where it has no name."""
        if kind is LeafKind.CSMS:
            return [Order(kind, self._names.serial_number)]
        if not self._variables.is_on("ISO15118Ctrlr.V2GCertificateInstallationEnabled"):
            raise Refused("V2GCertificateInstallationEnabled is off")
        evses = range(1, self._names.evses + 1)
        if evse is not None and evse not in evses:
            raise Refused(f"there is no EVSE {evse}")
        found = [self._variables.text("ISO15118Ctrlr.SeccId", each) for each in ([evse] if evse else evses)]
        names = [*dict.fromkeys(filter(None, found))]
        if not names:
            raise Refused("no SeccId is configured: set ISO15118Ctrlr.SeccId")
        return [Order(kind, name) for name in names]

    def due(self) -> list[Order]:
        """Return what is to be asked for now: what ends soon, and what is wanted and not there."""
        now, found = self._station.now(), dict[tuple[LeafKind, str], Order]()
        for order in (*self._ending(now), *self._missing()):
            about = order.kind, order.name
            waits = any((each.kind, each.name) == about for each in self.asked)
            if not waits and self._not_before.get(about, now) <= now:
                found.setdefault(about, order)
        return [*found.values()]

    def begin(self, order: Order) -> Asked:
        """Make a key and a request, on record before it is sent; Refused or Unavailable where that cannot be."""
        text = self._variables.text
        cars = order.kind is not LeafKind.CSMS
        owner = "ISO15118Ctrlr.OrganizationName" if cars else "SecurityCtrlr.OrganizationName"
        if not (organization := text(owner)):
            self._later(order.kind, order.name)
            raise Refused(f"{owner} is empty: set it, or csms.organization in the station's file")
        country = (text("ISO15118Ctrlr.CountryName") if cars else "") or self._names.country
        made = self._station.requests.make(
            KeyOrder(order.kind, country, organization, order.name, order.suite, in_keyring=self._device)
        )
        if made.key is None:
            self._later(order.kind, order.name)
            raise (Unavailable if made.status is RequestStatus.KEY_ERROR else Refused)(made.reason)
        return self._keep(order, made.csr, made.key)

    def adopt(self, kind: LeafKind, name: str, csr: str, key: Key) -> Asked:
        """Ask for a request that somebody else had made here; the same one is not asked for twice."""
        for asked in self.asked:
            if asked.csr == csr:
                return asked
        return self._keep(Order(kind, name, adopted=True), csr, key)

    def sent(self, asked: Asked) -> Asked:
        """Note that a request goes out once more."""
        again = replace(asked, sent=asked.sent + 1)
        self._replace(asked, again)
        return again

    def patience(self, asked: Asked) -> float | None:
        """Return how many seconds to wait before a request is sent again, None for never (A02.FR.17 to 19)."""
        number = self._variables.number
        if asked.sent > number("SecurityCtrlr.CertSigningRepeatTimes"):
            return None
        return float(number("SecurityCtrlr.CertSigningWaitMinimum") * 2 ** max(0, asked.sent - 1))

    def refused(self, asked: Asked) -> None:
        """Give up a request that the CSMS does not want, with its key; it is asked for again much later."""
        self._later(asked.kind, asked.name)
        self._drop(asked)

    def take(self, text: str, kind: LeafKind | None, request: int | None) -> Taken:
        """Install a certificate that was asked for, or say why not; one that is there already is accepted again."""
        try:
            given = admission.read_certificates(text)
        except Failure as failure:
            return _refused(InstallStatus.INVALID_FORMAT, str(failure))
        asked = next((each for each in self.asked if self._is_for(each, given[0])), None)
        if asked is None:
            if self._is_here(given[0]):
                return Taken(Installation(InstallStatus.ACCEPTED))
            return _refused(InstallStatus.INVALID_CHAIN, "its key is none that waits for a certificate")
        if request is not None and request != asked.request:
            return _refused(InstallStatus.INVALID_CHAIN, f"requestId is {request}, not {asked.request}")
        installation = self._objection(asked, kind, given[0]) or self._station.update_leaf(text, asked.kind)
        if installation.status is InstallStatus.ACCEPTED:
            # Earlier requests for the same name are answered by this one as well.
            before = self.asked[: self.asked.index(asked) + 1]
            self._forget([each for each in before if (each.kind, each.name) == (asked.kind, asked.name)], asked)
        elif installation.status not in PASSING:
            self._later(asked.kind, asked.name)
            self._drop(asked)
        return Taken(installation, asked)

    def _objection(self, asked: Asked, kind: LeafKind | None, leaf: Certificate) -> Installation | None:
        if kind is not None and kind is not asked.kind and {kind, asked.kind} != set(FOR_CARS):
            return Installation(InstallStatus.INVALID_CHAIN, f"it was asked for as one for {asked.kind}")
        if leaf.subject.get("CN") != asked.name:
            return Installation(InstallStatus.INVALID_CHAIN, f"its CN is {leaf.subject.get('CN')}, not {asked.name}")
        if leaf.not_before > self._station.now():
            text = f"it is valid from {leaf.not_before:%Y-%m-%d %H:%M:%S} UTC on: is the clock right?"
            return Installation(InstallStatus.EXPIRED, text)
        return None

    def _ending(self, now: datetime) -> Iterator[Order]:
        for own in (LeafKind.CSMS, LeafKind.V2G):
            newest: dict[tuple[Certificate, bytes, str | None], Candidate] = {}
            for each in self._station.candidates(Wish(own)):
                leaf = each.leaf.certificate
                if each.leaf.key is not None and each.fitness in (Fitness.USABLE, Fitness.EXPIRED):
                    key = each.path[-1], leaf.key_algorithm, leaf.subject.get("CN")
                    known = newest.setdefault(key, each)
                    if leaf.not_after > known.leaf.certificate.not_after:
                        newest[key] = each
            for each in newest.values():
                leaf = each.leaf.certificate
                if now < renewal(leaf) or not (name := leaf.subject.get("CN")):
                    continue
                kind = LeafKind.V2G20 if own is LeafKind.V2G and is_of_20(leaf) else own
                root = each.path[-1]
                wanted = hash_data(root, root) if kind in FOR_CARS and is_root(root) else None
                yield Order(kind, name, suite_of(leaf.public_key), wanted)

    def _missing(self) -> Iterator[Order]:
        for kind in self._wants:
            try:
                orders = self.orders(kind)
            except Refused:
                continue
            candidates = self._station.candidates(Wish(kind))
            # A certificate of -20 does not do for -2.
            fit = [each for each in candidates if kind is not LeafKind.V2G or not is_of_20(each.leaf.certificate)]
            there = {each.leaf.certificate.subject.get("CN") for each in fit if each.leaf.key is not None}
            yield from (order for order in orders if order.name not in there)

    def _keep(self, order: Order, csr: str, key: Key) -> Asked:
        number = self._record.state.requests + 1
        wanted = order.root or self._only_root(order)
        asked = Asked(order.kind, order.name, csr, str(key.path), number, order.typed, wanted, order.adopted)
        same = [each for each in self.asked if (each.kind, each.name) == (order.kind, order.name)]
        for each in same[: max(0, len(same) + 1 - REMEMBERED)]:
            self._drop(each)
        try:
            self._record.change(asked=(*self.asked, asked), requests=number)
        except Unavailable:
            if not order.adopted:
                self._station.requests.discard(key)
            raise
        self._station.upkeep.spare(key)
        return asked

    def _only_root(self, order: Order) -> HashData | None:
        """Name the V2G root where only one of the right kind is configured, or is here (A02.FR.27, A03.FR.23)."""
        if order.kind not in FOR_CARS:
            return None
        for roots in (self._v2g, self._station.store.authorities(CaKind.V2G).roots):
            fit = [each for each in roots if is_of_20(each) is (order.kind is LeafKind.V2G20)]
            if len(fit) == 1:
                return hash_data(fit[0], fit[0])
        return None

    def _later(self, kind: LeafKind, name: str) -> None:
        """By itself the station does not ask for this for a while."""
        self._not_before[kind, name] = self._station.now() + ASK_AGAIN

    def _drop(self, asked: Asked) -> None:
        self._forget([asked])

    def _forget(self, gone: Sequence[Asked], used: Asked | None = None) -> None:
        self._record.change(asked=tuple(each for each in self.asked if each not in gone))
        for each in gone:
            key = self._key(each)
            if key is not None and each is not used and not each.adopted:
                self._station.requests.discard(key)

    def _replace(self, old: Asked, new: Asked) -> None:
        self._record.change(asked=tuple(new if each == old else each for each in self.asked))

    def _is_for(self, asked: Asked, leaf: Certificate) -> bool:
        key = self._key(asked)
        return key is not None and key.key_hash == leaf.key_hash

    def _is_here(self, leaf: Certificate) -> bool:
        places = (self._station.store.leaves(kind).leaves for kind in (LeafKind.CSMS, LeafKind.V2G))
        return any(each.certificate == leaf and each.key for leaves in places for each in leaves)

    def _key(self, asked: Asked) -> Key | None:
        keys = self._station.store.leaves(asked.kind).keys
        return next((key for key in keys if str(key.path) == asked.key), None)


def renewal(leaf: Certificate) -> datetime:
    """Return when a certificate is to be renewed."""
    return leaf.not_after - min(BEFORE_END, (leaf.not_after - leaf.not_before) / LAST_PART)


def _refused(status: InstallStatus, why: str) -> Taken:
    return Taken(Installation(status, why))
