"""A thread for each API that is spoken over a line of MQTT: it answers what comes, and speaks when that is due."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

from voltroot.errors import Failure, Refused
from voltroot.serve.mqtt import Line

log = logging.getLogger("voltroot")

WAITING = 1000  # messages that one API may be behind

Said = tuple[str, bytes]


class Api(Protocol):
    """What is spoken over a line. All methods are called by one thread, and may take their time."""

    name: str
    qos: int  # of what it says

    @property
    def topics(self) -> Mapping[str, int]:
        """What it wants to hear, with the quality of service."""
        ...

    @property
    def due(self) -> float:
        """When it wants to speak unasked, on the monotonic clock."""
        ...

    def greet(self) -> Iterable[Said]:
        """Return what it says whenever a connection begins."""
        ...

    def beat(self) -> Iterable[Said]:
        """Return what it says at the time that is due."""
        ...

    def receive(self, topic: str, octets: bytes) -> Iterable[Said]:
        """Return its answers to a message; a Failure is one that nobody is told of."""
        ...


class Heard(NamedTuple):
    """A message that waits for its turn."""

    topic: str
    octets: bytes


class Worker:
    """Lets one API answer what comes over a line, in the order in which it came.

    ``count`` is told what became of each message: answered, taken (nothing is to be said), silent, failed, retained,
    crowded_out (too many waited), unsaid (the line was lost meanwhile).
    """

    def __init__(self, line: Line, api: Api, count: Callable[[str], None] = lambda outcome: None) -> None:
        self._line = line
        self._api = api
        self._count = count
        self._waiting: queue.Queue[Heard | Callable[[], Iterable[Said]] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name=api.name, daemon=True)
        for number, (topic, qos) in enumerate(api.topics.items()):
            line.listen(topic, self._heard, qos, None if number else lambda: self._waiting.put(api.greet))

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Answer what has come until now, and end."""
        self._waiting.put(None)
        self._thread.join(10)

    def _heard(self, topic: str, octets: bytes, retained: bool) -> None:
        # A retained request would be carried out again at every connection.
        outcome = "retained" if retained else "crowded_out" if self._waiting.qsize() >= WAITING else ""
        if not outcome:
            self._waiting.put(Heard(topic, octets))
            return
        self._count(outcome)
        log.info("request.dropped", extra={"api": self._api.name, "topic": topic, "why": outcome})

    def _run(self) -> None:
        while True:
            next_one = self._next()
            if next_one is None:
                return
            if isinstance(next_one, Heard):
                self._count(self._answered(next_one))
                continue
            try:
                self._say(next_one())
            except Exception:
                log.exception("request.failed", extra={"api": self._api.name})

    def _next(self) -> Heard | Callable[[], Iterable[Said]] | None:
        """Wait for a message, or until something is due."""
        pause = min(self._api.due - time.monotonic(), threading.TIMEOUT_MAX)
        if pause <= 0:
            return self._api.beat
        try:
            return self._waiting.get(timeout=pause)
        except queue.Empty:
            return self._api.beat

    def _answered(self, heard: Heard) -> str:
        """Answer a message, and return what became of it."""
        api = self._api
        about = {"api": api.name, "topic": heard.topic}
        try:
            answers = list(api.receive(heard.topic, heard.octets))
        except Failure as failure:
            kind = "refused" if isinstance(failure, Refused) else "dropped"
            log.info(f"request.{kind}", extra=about | {"why": str(failure)})
            return "silent"
        except Exception:
            log.exception("request.failed", extra=about)
            return "failed"
        if not self._say(answers):
            return "unsaid"
        return "answered" if answers else "taken"

    def _say(self, messages: Iterable[Said]) -> bool:
        said = [self._line.say(topic, octets, self._api.qos) for topic, octets in messages]
        return all(said)
