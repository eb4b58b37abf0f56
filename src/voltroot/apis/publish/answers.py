"""OCSP answers kept by the octets of their requests."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from voltroot.apis.publish.published import Published

# Longer requests are rare, and may be made up to fill the memory.
LONGEST_REQUEST = 2048


@dataclass(frozen=True, slots=True)
class Answer:
    """One OCSP answer; ``says`` is what it says of each certificate, or why it says nothing."""

    published: Published
    says: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeptAnswer(Answer):
    """An answer for all who ask the same: true at ``revision``, signed by ``delegate`` (the serial number of its
    certificate), to be signed again from ``renew_at`` on, and before ``made_at``: then the clock was ahead."""

    revision: int
    delegate: int
    made_at: datetime
    renew_at: datetime


class Answers:
    """At most ``most`` answers; the least used go first. Safe among threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, KeptAnswer] = OrderedDict()

    def find(self, request: bytes, moment: datetime) -> KeptAnswer | None:
        """Return the answer to a request unless it is due; whether it is still true, its revision tells."""
        with self._lock:
            answer = self._kept.get(request)
            if answer is None or not answer.made_at <= moment < answer.renew_at:
                return None
            self._kept.move_to_end(request)
            return answer

    def keep(self, request: bytes, answer: KeptAnswer) -> None:
        """Keep an answer instead of one that is older."""
        if len(request) > LONGEST_REQUEST:
            return
        with self._lock:
            last = self._kept.get(request)
            if last is not None and last.revision > answer.revision:
                return
            self._kept[request] = answer
            self._kept.move_to_end(request)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
