"""The OCSP responder (RFC 6960): one for all CAs, it knows them by the hashes in the request."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta

from voltroot.apis.publish.answers import Answer, Answers
from voltroot.apis.publish.directory import Delegate, Directories, Family
from voltroot.apis.publish.metrics import Metrics
from voltroot.apis.publish.published import cacheable, uncacheable
from voltroot.apis.publish.revision import Revision
from voltroot.apis.publish.settings import Settings
from voltroot.errors import Failure, Malformed, Unavailable
from voltroot.pki import ocsp
from voltroot.pki.ocsp import CertStatus, ResponseStatus
from voltroot.pki.ports import Clock, Entry, Keyring, Ledger, State

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
        if revision is None:
            return None
        answer = self._answers.find(octets, revision, self._now())
        if answer is not None:
            self._metrics.answered(answer.says)
        return answer

    def answer(self, octets: bytes) -> Answer:
        """Return the answer to any octets whatsoever; asks the ledger and signs where it has to."""
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
        # Before the statuses are read: if something is revoked in between, the answer is merely thrown away early.
        revision = self._revision.read()
        kept = self._answers.find(octets, revision, self._now())
        if kept is not None:
            return kept
        request = ocsp.read(octets)
        family = self._directories.current().find(request.ids)
        if family is None:
            return _no_answer(ResponseStatus.UNAUTHORIZED)
        answer = self._signed(family, request)
        self._answers.keep(octets, revision, answer)
        return answer

    def _signed(self, family: Family, request: ocsp.Request) -> Answer:
        moment = self._now()
        delegates = [delegate for delegate in family.delegates if delegate.is_valid(moment)]
        serials = [asked.serial for asked in request.ids if asked.serial in SERIALS]
        # The signers' own state is read along: what was revoked must not sign.
        record = self._record(family, [*serials, *(delegate.certificate.serial for delegate in delegates)])
        delegate = _unrevoked(family, delegates, record)
        entries = [record.get(asked.serial) for asked in request.ids]
        says = tuple(map(ocsp.status, entries))
        this_update = moment.replace(microsecond=0)
        next_update = min(this_update + self._life(says), delegate.certificate.not_after)
        signer = self._keyring.signer(delegate.key)
        times = {"this_update": this_update, "next_update": next_update}
        signed = ocsp.make(delegate.certificate, signer, request, entries, **times)
        self._metrics.ocsp_signed.inc()
        if request.nonce is not None or CertStatus.UNKNOWN in says:
            return Answer(uncacheable(signed), says)
        published = cacheable(signed, this_update, next_update, self._settings.ocsp_age)
        return Answer(published, says, this_update + (next_update - this_update) / 2)

    def _record(self, family: Family, serials: Sequence[int]) -> dict[int, Entry]:
        return {
            entry.serial: entry
            for issuer in family.issuers
            for entry in self._ledger.statuses(issuer.number, serials)
            if entry is not None
        }

    def _life(self, says: Sequence[CertStatus]) -> timedelta:
        # What is unknown now may be issued in a moment: a client that keeps the answer must not keep it long.
        return self._settings.unknown_life if CertStatus.UNKNOWN in says else self._settings.ocsp_life


def _unrevoked(family: Family, delegates: Sequence[Delegate], record: dict[int, Entry]) -> Delegate:
    for delegate in delegates:
        entry = record.get(delegate.certificate.serial)
        if entry is not None and entry.state is State.VALID:
            return delegate
    raise Unavailable(f"no valid OCSP signer for {family.slug}: make one with 'voltroot pki init'")


def _no_answer(status: ResponseStatus) -> Answer:
    return Answer(uncacheable(ocsp.error(status)), (status.name.lower(),))
