"""Keys of the station whose certificates somebody else gets: made once for each application, kept while needed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from voltroot.actors.station.outcomes import Installation, RequestStatus
from voltroot.actors.station.ports import OWN, Key, LeafKind
from voltroot.actors.station.requesting import KeyOrder
from voltroot.actors.station.station import Station
from voltroot.errors import NotFound, Refused, Unavailable
from voltroot.pki.profiles import ISO20
from voltroot.pki.requests import read_named_request, request_octets
from voltroot.pki.suites import suite_of

MOST_WAITING = 32  # keys: a TPM or HSM has room for few
REMEMBERED = 256  # applications, those included that have come to an end
LONGEST_ID = 64


class Fate(StrEnum):
    """What became of the certificate for a key."""

    INSTALLED = "installed"
    DELETED = "deleted"
    FAILED = "failed_installation"


@dataclass(frozen=True, slots=True)
class Application:
    """A key that was asked for under an id; ``terms`` says for what exactly, ``bound`` that a certificate uses it."""

    id: str
    terms: str
    kind: LeafKind
    key: str
    csr: str = field(repr=False)
    bound: bool = False


class ApplicationBook(Protocol):
    """What has been applied for. Each method is durable when it returns; Unavailable where the file cannot be used."""

    def all(self) -> Sequence[Application]:
        """Return all, oldest first."""
        ...

    def keep(self, applications: Sequence[Application]) -> None:
        """Put these in place of all."""
        ...


class Signatory(Protocol):
    """A CA, or somebody who speaks to one."""

    def certify(self, kind: LeafKind, name: str, request: bytes) -> str:
        """Return the certificate for a request in DER with those above it, in PEM; raises what a server may answer."""
        ...


class Applications:
    """Makes a key for each application, gives the same answer to the same one, and hears what became of it.

    For one thread at a time.
    """

    def __init__(self, station: Station, book: ApplicationBook) -> None:
        self._station = station
        self._book = book
        for application in book.all():
            if application.bound and (key := self._key(application)):
                station.upkeep.spare(key)

    def apply(self, id_: str, order: KeyOrder) -> str:
        """Return the request in PEM for a key that was made for this id; Refused says why there is none."""
        if not 1 <= len(id_) <= LONGEST_ID:
            raise Refused(f"an id has 1 to {LONGEST_ID} characters")
        terms = _terms(order)
        known = list(self._book.all())
        for earlier in known:
            if earlier.id == id_:
                return self._again(earlier, terms)
        waiting = [each for each in known if not each.bound and self._key(each)]
        if len(waiting) >= MOST_WAITING:
            raise Refused(f"{len(waiting)} keys wait for their certificates already: no more are made")
        made = self._station.requests.make(order)
        if made.key is None:
            unavailable = made.status is RequestStatus.KEY_ERROR
            raise (Unavailable if unavailable else Refused)(made.reason)
        application = Application(id_, terms, order.kind, str(made.key.path), made.csr)
        try:
            self._book.keep([*self._recent(known), application])
        except Unavailable:
            self._station.requests.discard(made.key)
            raise
        return made.csr

    def settle(self, kind: LeafKind, fate: Fate, path: str = "") -> Application:
        """Bind the key of an application to the certificate that was installed for it, or destroy it.

        ``path`` names the key file; without one that is ours the newest key that fits is meant. NotFound where none
        does, Refused where the key belongs to a certificate that is in use.
        """
        application = self._meant(kind, fate, path)
        key = self._key(application)
        if fate is Fate.INSTALLED:
            if key is not None:
                self._station.upkeep.spare(key)
            self._replace(application, replace(application, bound=True))
        elif key is not None:
            self._station.requests.discard(key)
        return application

    def certify(self, text: str, signatory: Signatory) -> Installation:
        """Have a request signed whose key is here, and install what comes back."""
        kind, name, _ = self.read(text)
        return self._station.update_leaf(signatory.certify(kind, name, request_octets(text)), kind)

    def read(self, text: str) -> tuple[LeafKind, str, Key]:
        """Return what a request is for, by where its key is, whom it names, and its key; NotFound where that is not."""
        request = read_named_request(text)
        spki = request.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        digest = hashlib.sha256(spki).digest()
        for kind in OWN:
            for key in self._station.store.leaves(kind).keys:
                if key.key_hash == digest:
                    of_20 = kind is LeafKind.V2G and suite_of(request.key) in ISO20
                    return (LeafKind.V2G20 if of_20 else kind), request.subject.get("CN") or "", key
        raise NotFound("the key of this request is not here")

    def collect(self) -> None:
        """Collect garbage."""
        self._station.upkeep.collect(self._station.now())

    def _again(self, earlier: Application, terms: str) -> str:
        if earlier.terms != terms:
            raise Refused("the same id was used for something else")
        if self._key(earlier) is None:
            raise Refused("the key of this application is gone: apply anew with another id")
        return earlier.csr

    def _meant(self, kind: LeafKind, fate: Fate, path: str) -> Application:
        known = [each for each in self._book.all() if each.kind is kind and self._key(each)]
        named = [each for each in known if each.key == path]
        # Which of several that are in use was deleted cannot be told without a name.
        fitting = [each for each in known if each.bound is (fate is Fate.DELETED)]
        found = named or (fitting if fate is not Fate.DELETED or len(fitting) == 1 else [])
        if not found:
            raise NotFound(f"no key for a certificate of {kind} was made here that could be meant")
        return found[-1]

    def _replace(self, old: Application, new: Application) -> None:
        self._book.keep([new if each == old else each for each in self._book.all()])

    def _recent(self, known: Sequence[Application]) -> Sequence[Application]:
        """Return those that stay when one more comes: all whose key is here, and of the others the newest."""
        gone = [each for each in known if self._key(each) is None]
        forgotten = {each.id for each in gone[: max(0, len(known) + 1 - REMEMBERED)]}
        return [each for each in known if each.id not in forgotten]

    def _key(self, application: Application) -> Key | None:
        keys = self._station.store.leaves(application.kind).keys
        return next((key for key in keys if key.path == Path(application.key)), None)


def _terms(order: KeyOrder) -> str:
    """Return what an order says, in short."""
    suite = order.suite.name if order.suite else ""
    names = (order.country, order.organization, order.common_name, *order.alternative_names)
    text = "\0".join((order.kind, suite, str(order.in_keyring), *names))
    return hashlib.sha256(text.encode()).hexdigest()
