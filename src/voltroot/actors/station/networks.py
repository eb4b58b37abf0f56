"""The ways to CSMSs: which is tried next and after how long, and which new ones a station takes (A05, B09, B10)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from enum import StrEnum
from urllib.parse import urlsplit

from voltroot.actors.station.choosing import Wish
from voltroot.actors.station.outcomes import Fitness
from voltroot.actors.station.ports import CaKind, LeafKind
from voltroot.actors.station.state import Network, Record
from voltroot.actors.station.station import Station
from voltroot.actors.station.variables import Variables

SLOTS = range(1, 9)
OWN_SLOT = 1  # of what the station's file says
PRIORITY = "OCPPCommCtrlr.NetworkConfigurationPriority"
LEAST_WAIT = 0.2  # seconds, whatever the variables say
SCHEMES = {1: "ws", 2: "wss", 3: "wss"}


class Trouble(StrEnum):
    """Why there is no connection."""

    AWAY = "nobody answers"
    CERTIFICATE = "the CSMS's certificate is no good"
    VERSION = "the CSMS's TLS is too old"
    CIPHER = "the CSMS has no cipher that is good enough"
    PASSWORD = "the password is refused"  # noqa: S105 -- a sentence
    REFUSED = "the station is refused"
    ENDED = "the CSMS ends the connection"
    PROTOCOL = "the CSMS speaks no version of OCPP that is known here"


class Networks:
    """The configured networks by their slots, and their order."""

    def __init__(self, record: Record, station: Station, *, downgrade: bool = False) -> None:
        self._record = record
        self._station = station
        self._downgrade = downgrade

    def take(self, given: Network, password: str) -> None:
        """Take what the station's file says, where it says something else than before."""
        state = self._record.state
        if password != state.given_password:
            self._record.change(password=password, given_password=password)
        if given != state.given:
            order = [OWN_SLOT, *(each for each in self.order if each != OWN_SLOT)]
            networks = {**state.networks, OWN_SLOT: given}
            values = {**state.values, PRIORITY: _text(order)}
            self._record.change(given=given, networks=networks, values=values, slot=OWN_SLOT)

    @property
    def order(self) -> list[int]:
        """The slots that are tried, the best first."""
        state = self._record.state
        wanted = _slots(state.values.get(PRIORITY, ""))
        return [slot for slot in wanted if slot in state.networks] or sorted(state.networks)

    @property
    def priority(self) -> str:
        """The order as the variable has it."""
        return _text(self.order)

    @property
    def active(self) -> Network:
        """The network in use, or that was last in use."""
        state = self._record.state
        return state.networks.get(state.slot) or state.networks[self.order[0]]

    def put(self, slot: int, network: Network) -> str | None:
        """Configure a slot; returns why it cannot be."""
        if slot not in SLOTS:
            return f"there are the slots {SLOTS[0]} to {SLOTS[-1]}"
        if slot == self._record.state.slot:
            return "this slot is in use"
        if objection := self._objection(network):
            return objection
        self._record.change(networks={**self._record.state.networks, slot: network})
        return None

    def objection_to_priority(self, text: str) -> str | None:
        """Return why slots cannot have this order, or None."""
        slots = _slots(text)
        if not slots or len(set(slots)) < len(slots):
            return "write numbers of slots with commas between them, the first first"
        for slot in slots:
            network = self._record.state.networks.get(slot)
            if network is None:
                return f"slot {slot} is not configured"
            # What could be when it was configured may not be any more.
            if slot != self._record.state.slot and (objection := self._objection(network)):
                return f"slot {slot}: {objection}"
        return None

    def used(self, slot: int) -> None:
        """Note that the station is connected; lower security profiles end now (A05.FR.06)."""
        state = self._record.state
        profile = state.networks[slot].profile
        kept = {key: each for key, each in state.networks.items() if key == slot or each.profile >= profile}
        if self._downgrade:
            kept = dict(state.networks)
        values = {**state.values, PRIORITY: _text([each for each in self.order if each in kept])}
        self._record.change(networks=kept, values=values, slot=slot)

    def _objection(self, network: Network) -> str | None:
        active = self.active.profile
        scheme = SCHEMES.get(network.profile)
        if scheme is None:
            return f"there is no security profile {network.profile}: choose 1, 2 or 3"
        # A05: never lower, but from 3 to 2 where the station's file allows it.
        if network.profile < active and not (self._downgrade and (active, network.profile) == (3, 2)):
            return f"security profile {network.profile} is lower than {active}, which is in use"
        parts = urlsplit(network.url)
        if parts.scheme != scheme or not parts.hostname:
            return f"the address for security profile {network.profile} begins with {scheme}://"
        if network.profile > 1 and not self._station.is_ca_installed(CaKind.CSMS):
            return "no valid CSMSRootCertificate is installed (A05.FR.02)"
        if network.profile == 3 and not has_certificate(self._station):
            return "no valid ChargingStationCertificate is installed (A05.FR.03)"
        return None


class Attempts:
    """Says which slot is tried next and how long to wait before it: OCPP's back-off (2.0.1 part 4, 5.3)."""

    def __init__(self, networks: Networks, variables: Variables, chance: random.Random | None = None) -> None:
        self._networks = networks
        self._variables = variables
        self._chance = chance or random.SystemRandom()
        self.restart()

    def restart(self) -> None:
        """Begin anew with the first slot."""
        self._place = self._tries = self._failures = 0

    @property
    def slot(self) -> int:
        """The slot to be tried."""
        order = self._networks.order
        return order[self._place % len(order)]

    def failed(self) -> float:
        """Note that it did not work; returns the seconds to wait."""
        number = self._variables.number
        self._tries += 1
        if self._tries >= number("OCPPCommCtrlr.NetworkProfileConnectionAttempts"):
            self._place, self._tries = self._place + 1, 0
        doubled = min(self._failures, number("OCPPCommCtrlr.RetryBackOffRepeatTimes"))
        self._failures += 1
        wait = number("OCPPCommCtrlr.RetryBackOffWaitMinimum") << doubled
        return max(LEAST_WAIT, wait + self._chance.uniform(0, number("OCPPCommCtrlr.RetryBackOffRandomRange")))


def has_certificate(station: Station) -> bool:
    """Whether there is a ChargingStationCertificate that can be used now."""
    return any(each.fitness is Fitness.USABLE for each in station.candidates(Wish(LeafKind.CSMS)))


def _slots(text: str) -> list[int]:
    try:
        return [int(each) for each in text.split(",")]
    except ValueError:
        return []


def _text(slots: Sequence[int]) -> str:
    return ",".join(map(str, slots))
