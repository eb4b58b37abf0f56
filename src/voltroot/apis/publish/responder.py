"""The OCSP responder (RFC 6960): one for all CAs, it knows them by the hashes in the request."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from voltroot.apis.publish.answers import Answer, Answers, KeptAnswer
from voltroot.apis.publish.directory import Delegate, Directories, Family
from voltroot.apis.publish.metrics import Metrics
from voltroot.apis.publish.published import cacheable, uncacheable
from voltroot.apis.publish.settings import Settings
from voltroot.errors import Failure, Malformed, Unavailable
from voltroot.pki import ocsp
from voltroot.pki.ocsp import CertStatus, ResponseStatus
from voltroot.pki.ports import Clock, Entry, Keyring, Ledger, State
from voltroot.pki.revision import Revision

log = logging.getLogger("voltroot")

# Serial numbers have at most 20 octets (RFC 5280 4.1.2.2): what is beyond is on no record.
SERIALS = range(1, 1 << 160)


class Responder:
    """Answers what is asked in OCSP requests. Safe among threads."""

    def __init__(
        self,
        ledger: Ledger,
        keyring: Keyring,
        directories: Directories,
        revision: Revision,
        now: Clock,
        settings: Settings,
        metrics: Metrics,
    ) -> None:
        self._ledger = ledger
        self._keyring = keyring
        self._directories = directories
        self._revision = revision
        self._now = now
        self._settings = settings
        self._metrics = metrics
        self._answers = Answers(settings.cached_answers)

    def ready(self, octets: bytes) -> Answer | None:
        """Return the answer if one is there that surely still holds; never blocks."""
        revision = self._revision.known()
        answer = self._answers.find(octets, self._now())
        if answer is None or answer.revision != revision:
            return None
        self._metrics.answered(answer.says)
        return answer

    def answer(self, octets: bytes) -> Answer:
        """Return the answer to any octets whatsoever; asks the ledger, and signs where it has to."""
        try:
            answer = self._answer(octets)
        except Malformed:
            answer = _no_answer(ResponseStatus.MALFORMED_REQUEST)
        except Failure as failure:
            log.error("ocsp.unanswered", extra={"door": "ocsp", "why": str(failure)})
            answer = _no_answer(ResponseStatus.TRY_LATER)
        self._metrics.answered(answer.says)
        return answer

    def _answer(self, octets: bytes) -> Answer:
        request = ocsp.read(octets)
        family = self._directories.current().find(request.ids)
        if family is None:
            return _no_answer(ResponseStatus.UNAUTHORIZED)
        # Before the record is read: what is revoked in between is merely looked up once more.
        revision, moment = self._revision.read(), self._now()
        kept = self._answers.find(octets, moment)
        if kept is not None and kept.revision == revision:
            return kept
        record = self._record(family, request, moment)
        delegate = _delegate(family, record, moment)
        says = tuple(ocsp.status(record.get(asked.serial)) for asked in request.ids)
        if kept is not None and kept.says == says and kept.delegate == delegate.certificate.serial:
            # Something else was revoked: what was signed is still true.
            answer: Answer = replace(kept, revision=revision)
        else:
            answer = self._signed(delegate, request, record, says, moment, revision)
        if isinstance(answer, KeptAnswer):
            self._answers.keep(octets, answer)
        return answer

    def _record(self, family: Family, request: ocsp.Request, moment: datetime) -> dict[int, Entry]:
        """What the ledger has on all that is asked for, and on the signers: what was revoked must not sign."""
        asked = [each.serial for each in request.ids if each.serial in SERIALS]
        signers = [delegate.certificate.serial for delegate in family.delegates if delegate.is_valid(moment)]
        return {
            entry.serial: entry
            for issuer in family.issuers
            for entry in self._ledger.statuses(issuer.number, asked + signers)
            if entry is not None
        }

    def _signed(
        self,
        delegate: Delegate,
        request: ocsp.Request,
        record: Mapping[int, Entry],
        says: tuple[CertStatus, ...],
        moment: datetime,
        revision: int,
    ) -> Answer:
        settings, certificate = self._settings, delegate.certificate
        # What is unknown now may be issued in a moment: a client that keeps the answer must not keep it long.
        unknown = CertStatus.UNKNOWN in says
        this_update = moment.replace(microsecond=0)
        next_update = this_update + (settings.unknown_life if unknown else settings.ocsp_life)
        next_update = min(next_update, certificate.not_after)
        signer = self._keyring.signer(delegate.key)
        entries = [record.get(asked.serial) for asked in request.ids]
        signed = ocsp.make(certificate, signer, request, entries, this_update=this_update, next_update=next_update)
        self._metrics.ocsp_signed.inc()
        if unknown or request.nonce is not None:
            return Answer(uncacheable(signed), says)
        published = cacheable(signed, this_update, next_update, settings.ocsp_age)
        renew_at = this_update + (next_update - this_update) / 2
        return KeptAnswer(published, says, revision, certificate.serial, this_update, renew_at)


def _delegate(family: Family, record: Mapping[int, Entry], moment: datetime) -> Delegate:
    for delegate in family.delegates:
        entry = record.get(delegate.certificate.serial)
        if delegate.is_valid(moment) and entry is not None and entry.state is State.VALID:
            return delegate
    raise Unavailable(f"the CA {family.slug} has no valid OCSP signer: make one with 'voltroot pki init'")


def _no_answer(status: ResponseStatus) -> Answer:
    return Answer(uncacheable(ocsp.error(status)), (status.name.lower(),))
