"""The CRLs of all CAs, each signed when something was revoked or a third of its life has gone."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from voltroot.apis.publish.directory import Directories
from voltroot.apis.publish.metrics import Metrics
from voltroot.apis.publish.published import Published, cacheable
from voltroot.apis.publish.settings import Settings
from voltroot.apis.publish.shelf import Shelf, SignedList
from voltroot.errors import NotFound, Unavailable
from voltroot.pki import crls
from voltroot.pki.addresses import Addresses
from voltroot.pki.drafts import Issuer
from voltroot.pki.issuers import require_ca
from voltroot.pki.ports import Clock, Keyring, Ledger
from voltroot.pki.revision import Revision

log = logging.getLogger("voltroot")

# A CRL that takes longer than this to make is made only this part of the time: many revocations in a row cannot occupy
# a processor.
QUICK = timedelta(seconds=0.1)
WORK = 0.1


class Lists:
    """Hands out CRLs; ``shard`` None is the complete one. Safe among threads."""

    def __init__(
        self,
        ledger: Ledger,
        keyring: Keyring,
        directories: Directories,
        addresses: Addresses,
        revision: Revision,
        now: Clock,
        settings: Settings,
        metrics: Metrics,
    ) -> None:
        self._ledger = ledger
        self._keyring = keyring
        self._directories = directories
        self._addresses = addresses
        self._revision = revision
        self._now = now
        self._settings = settings
        self._metrics = metrics
        self._shelves: dict[str, Shelf] = {}

    def ready(self, slug: str, shard: int | None) -> Published | None:
        """Return a CRL that is there and surely current; never blocks."""
        shelf, revision = self._shelves.get(slug), self._revision.known()
        if shelf is None or revision is None:
            return None
        signed = shelf.current(shard, revision, self._now())
        return signed.published if signed else None

    def read(self, slug: str, shard: int | None) -> Published:
        """Return a CRL, signed now where it has to be; NotFound says why there is none.

        While one thread makes it, the others get the one before, as long as that is valid.
        """
        issuer = self._require(slug, shard)
        revision = self._revision.read()
        shelf = self._shelves.setdefault(slug, Shelf())
        last = shelf.signed.get(shard)
        usable = last is not None and self._now() < last.next_update
        if shelf.lock.acquire(blocking=not usable):
            try:
                last = shelf.current(shard, revision, self._now()) or self._renewed(shelf, issuer, shard, revision)
            finally:
                shelf.lock.release()
        assert last is not None, "whoever has none waits for the lock"
        return last.published

    def _require(self, slug: str, shard: int | None) -> Issuer:
        issuer = require_ca(self._directories.current().standing, slug)
        if not issuer.signs_crls:
            ocsp = self._addresses.ocsp(issuer)
            raise NotFound(f"the CA {slug} signs no CRLs, its certificate has no cRLSign: ask {ocsp}")
        if issuer.key is None:
            raise NotFound(f"the key of the CA {slug} is not here: its CRLs are published by whoever holds it")
        if shard is not None and shard not in range(self._addresses.shards):
            raise NotFound(f"the CRL of {slug} comes in the parts 0 to {self._addresses.shards - 1}")
        return issuer

    def _renewed(self, shelf: Shelf, issuer: Issuer, shard: int | None, revision: int) -> SignedList:
        """Bring one CRL up to date; it is signed only if something in it changes."""
        began = self._now()
        self._collect(shelf, issuer, revision)
        last, lines = shelf.signed.get(shard), shelf.lines(shard)
        if last is None or last.lines != len(lines) or last.is_due(began):
            last = self._sign(shelf, issuer, shard, lines)
        ended = self._now()
        rest = min((ended - began - QUICK) / WORK, self._settings.longest_rest)
        shelf.signed[shard] = signed = replace(last, revision=revision, checked_at=ended, rest=rest)
        return signed

    def _collect(self, shelf: Shelf, issuer: Issuer, revision: int) -> None:
        if shelf.revision < revision:
            for member in self._directories.current().family(issuer).issuers:
                shelf.take(member.number, self._ledger.revoked_by(member.number), self._addresses)
            shelf.revision = revision

    def _sign(self, shelf: Shelf, issuer: Issuer, shard: int | None, lines: Sequence[bytes]) -> SignedList:
        signer = self._keyring.signer(str(issuer.key))
        if signer.public_key() != issuer.certificate.public_key:
            raise Unavailable(f"the keyring's key {issuer.key} is not the key of the CA {issuer.slug}")
        this_update = self._now()
        next_update = this_update + self._settings.crl_life
        signed = crls.make(
            issuer,
            signer,
            lines,
            number=shelf.next_number(this_update),
            this_update=this_update,
            next_update=next_update,
            place=None if shard is None else self._addresses.crl(issuer, shard),
        )
        self._metrics.crl_signed.inc()
        facts = {"ca": issuer.slug, "shard": shard, "number": shelf.number, "lines": len(lines)}
        log.info("crl.signed", extra=facts)
        published = cacheable(signed, this_update, next_update, self._settings.crl_age)
        renew_at = this_update + self._settings.crl_life / 3
        return SignedList(
            published=published,
            lines=len(lines),
            revision=shelf.revision,
            checked_at=this_update,
            rest=timedelta(0),
            made_at=this_update.replace(microsecond=0),
            renew_at=renew_at,
            next_update=next_update,
        )
