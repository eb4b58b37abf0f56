"""OCSP answers kept by the octets of their requests, until something is revoked."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from voltroot.apis.publish.published import Published

# Longer requests are rare and may be made up to fill the memory.
LONGEST_REQUEST = 2048


@dataclass(frozen=True, slots=True)
class Answer:
    """One OCSP answer; ``says`` is what it says, for counting. From ``renew_at`` on it is to be signed again."""

    published: Published
    says: tuple[str, ...]
    renew_at: datetime | None = None


class Answers:
    """At most ``most`` answers, the least used go first; all belong to one revision. Safe among threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._revision = -1
        self._kept: OrderedDict[bytes, Answer] = OrderedDict()

    def find(self, request: bytes, revision: int, moment: datetime) -> Answer | None:
        """Return the answer to a request if it still holds."""
        with self._lock:
            if revision != self._revision:
                return None
            answer = self._kept.get(request)
            if answer is None or answer.renew_at is None or moment >= answer.renew_at:
                return None
            self._kept.move_to_end(request)
            return answer

    def keep(self, request: bytes, revision: int, answer: Answer) -> None:
        """Keep an answer that was made at a revision; an older one than what is kept is let go."""
        if answer.renew_at is None or len(request) > LONGEST_REQUEST:
            return
        with self._lock:
            if revision < self._revision:
                return
            if revision > self._revision:
                self._kept.clear()
                self._revision = revision
            self._kept[request] = answer
            self._kept.move_to_end(request)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
