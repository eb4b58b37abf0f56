"""Keeping the store tidy: what may go, what must stay, and what somebody else has changed."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from voltroot.actors.station.choosing import Policy
from voltroot.actors.station.inventory import hashed, paths
from voltroot.actors.station.outcomes import Change, Operation
from voltroot.actors.station.ports import (
    OWN,
    CaKind,
    CertificateStore,
    KeptAnswer,
    Key,
    Leaf,
    LeafKind,
    Leaves,
    Removal,
)
from voltroot.errors import Unavailable
from voltroot.pki.certificates import Certificate
from voltroot.pki.ports import Keyring

Listener = Callable[[Change], None]


@dataclass(frozen=True, slots=True)
class Rules:
    """How a station keeps its store.

    ``strict`` holds new leaves against every lint of their profile. ``most_certificates`` and ``most_octets`` bound the
    store, ``keep`` is how many leaves of a kind stay however old, ``patience`` how long a key waits for a certificate.
    """

    policy: Policy = Policy.NEWEST_NOT_BEFORE
    strict: bool = False
    most_certificates: int = 2000
    most_octets: int = 50 << 20
    keep: int = 10
    patience: timedelta = timedelta(hours=1)


class Collected(NamedTuple):
    """What garbage collection took away."""

    leaves: tuple[Leaf, ...]
    keys: tuple[Key, ...]
    answers: tuple[KeptAnswer, ...]


class Upkeep:
    """Collects garbage and notices changes.

    Of each kind those leaves stay that last longest, and beyond them all that have not expired. A key that no
    certificate uses waits for one from when this process first saw it: a clock that jumps, or a restart, takes no key.
    """

    def __init__(
        self,
        store: CertificateStore,
        rules: Rules,
        elapsed: Callable[[], float] = time.monotonic,
        keyring: Keyring | None = None,
    ) -> None:
        self._store = store
        self._rules = rules
        self._elapsed = elapsed
        self._keyring = keyring
        self._waiting: dict[Path, float] = {}
        self._spared: set[Path] = set()
        self._unwanted: set[str] = set()
        self._known: dict[CaKind | LeafKind, frozenset[Certificate]] | None = None
        self._listeners: list[Listener] = []
        self._lock = threading.Lock()

    def awaits(self, key: Key) -> None:
        """Begin to count for a key that was just made."""
        self._waiting.setdefault(key.path, self._elapsed())

    def spare(self, key: Key) -> None:
        """Never collect a key: its certificate is used elsewhere."""
        self._spared.add(key.path)

    def unwanted(self, label: str) -> None:
        """Destroy a key of the keyring that may be there and that no file refers to, once the device answers."""
        self._unwanted.add(label)
        self.sweep()

    def sweep(self) -> None:
        """Destroy what is unwanted, as far as the device answers."""
        for label in [*self._unwanted]:
            with contextlib.suppress(Unavailable):
                if self._keyring is not None:
                    self._keyring.delete(label)
                self._unwanted.discard(label)

    def collect(self, now: datetime) -> Collected:
        """Take away expired leaves, keys that nobody came back for, and OCSP answers about nothing that is here."""
        self.sweep()
        own = {kind: self._store.leaves(kind) for kind in OWN}
        old = {kind: self._expired(leaves, now) for kind, leaves in own.items()}
        staying = {kind: [leaf for leaf in leaves.leaves if leaf not in old[kind]] for kind, leaves in own.items()}
        used = {leaf.certificate.key_hash for leaves in staying.values() for leaf in leaves}
        gone = tuple(dict.fromkeys(leaf for leaves in old.values() for leaf in leaves))
        keys = [leaf.key for leaf in gone if leaf.key and leaf.key.key_hash not in used]
        keys += self._forsaken(own.values(), used)
        answers = self._about_nothing(own[LeafKind.V2G], staying[LeafKind.V2G])
        collected = Collected(gone, tuple(dict.fromkeys(keys)), tuple(answers))
        if any(collected):
            self.remove(Removal(leaves=collected.leaves, keys=collected.keys, answers=collected.answers))
        return collected

    def remove(self, going: Removal) -> None:
        """Take all of it away, keys in the keyring as well.

        The file of such a key goes after the key: where the device is away it stays, to be collected later.
        """
        self._store.remove(replace(going, keys=[key for key in going.keys if key.label is None]))
        in_keyring = [key for key in going.keys if key.label is not None]
        if in_keyring:
            self._store.remove(Removal(keys=[*self._destroyed(in_keyring)]))

    def make_room(self, certificates: int, octets: int, now: datetime) -> bool:
        """Tell whether so much more may be stored, after taking away garbage where there would be too much."""
        if self._has_room(certificates, octets):
            return True
        self.collect(now)
        return self._has_room(certificates, octets)

    def listen(self, listener: Listener) -> None:
        """Tell somebody of every change from now on."""
        with self._lock:
            self._known = self._known or self._inventory()
            self._listeners.append(listener)

    def notice(self) -> list[Change]:
        """Compare with what was there last, whoever changed it, and tell the listeners."""
        with self._lock:
            if self._known is None:
                return []
            before, after = self._known, self._inventory()
            self._known = after
            listeners = tuple(self._listeners)
        changes = []
        for kind, there in after.items():
            changes += [Change(Operation.DELETED, kind)] if before[kind] - there else []
            changes += [Change(Operation.INSTALLED, kind)] if there - before[kind] else []
        for change in changes:
            for listener in listeners:
                listener(change)
        return changes

    def _destroyed(self, keys: Iterable[Key]) -> Iterator[Key]:
        """Destroy those that no certificate uses, and yield those that are gone."""
        used = {leaf.certificate.key_hash for kind in OWN for leaf in self._store.leaves(kind).leaves}
        for key in keys:
            if key.key_hash in used:
                continue
            self._spared.discard(key.path)
            try:
                if self._keyring is not None and key.label is not None:
                    self._keyring.delete(key.label)
            except Unavailable:
                continue
            yield key

    def _has_room(self, certificates: int, octets: int) -> bool:
        size, rules = self._store.size(), self._rules
        fits = size.certificates + certificates <= rules.most_certificates
        return fits and size.octets + octets <= rules.most_octets

    def _inventory(self) -> dict[CaKind | LeafKind, frozenset[Certificate]]:
        found: dict[CaKind | LeafKind, frozenset[Certificate]] = {
            kind: frozenset(self._store.authorities(kind).certificates) for kind in CaKind
        }
        own = {kind: frozenset(leaf.certificate for leaf in self._store.leaves(kind).leaves) for kind in OWN}
        return found | own

    def _expired(self, leaves: Leaves, now: datetime) -> list[Leaf]:
        lasting = sorted(leaves.leaves, key=lambda leaf: leaf.certificate.not_after, reverse=True)
        return [leaf for leaf in lasting[self._rules.keep :] if now > leaf.certificate.not_after]

    def _forsaken(self, places: Iterable[Leaves], used: set[bytes]) -> Iterator[Key]:
        moment = self._elapsed()
        places = list(places)
        idle = {key.path: key for leaves in places for key in leaves.unused_keys if key.key_hash not in used}
        self._waiting = {path: self._waiting.get(path, moment) for path in idle}
        if any(leaves.faults for leaves in places):
            return  # What cannot be read may be the certificate of any of these keys.
        patience = self._rules.patience.total_seconds()
        long_ago = (key for path, key in idle.items() if moment - self._waiting[path] > patience)
        yield from (key for key in long_ago if key.path not in self._spared)

    def _about_nothing(self, leaves: Leaves, staying: list[Leaf]) -> Iterator[KeptAnswer]:
        known = paths(leaves, self._store.authorities(CaKind.V2G))
        about = {each for leaf in staying for _, each in hashed(known[leaf.certificate])}
        return (answer for answer in self._store.answers(LeafKind.V2G) if answer.about not in about)
