"""The consumer's end of EVerest's API, for EVerest itself with its deviations as for ours."""

from __future__ import annotations

import itertools
import json
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Protocol

import msgspec

from voltroot.actors.station.ports import CaKind, LeafKind
from voltroot.apis.everest import wire
from voltroot.apis.everest.wire import Command, Encoding
from voltroot.decoding import UNREADABLE
from voltroot.errors import Malformed, Unavailable


class Line(Protocol):
    """A connection to a broker."""

    def listen(self, topic: str, hearing: Callable[[str, bytes, bool], None], qos: int = 0) -> None:
        """Hear a topic or pattern, from the connection's start on."""
        ...

    def say(self, topic: str, octets: bytes, qos: int = 0) -> bool:
        """Send a message, or return False."""
        ...


class Client:
    """Asks one module; to be made before the line is started. Safe among threads.

    The API has no replies that say no: a request that is refused raises Unavailable after ``timeout`` seconds.
    EVerest answers twice, and the second answer may be wrong: the first one counts.
    """

    def __init__(self, line: Line, module: str, *, prefix: str = "", timeout: float = 5) -> None:
        self._line = line
        self._module = module
        self._prefix = prefix
        self._timeout = timeout
        self._replies = wire.topic(module, "e2m", f"reply/{uuid.uuid4()}")
        self._numbers = itertools.count()
        self._open: dict[str, Future[bytes]] = {}
        self._found: dict[str, list[wire.Module]] = {}
        self._heartbeats = 0
        self._beaten = threading.Condition()
        line.listen(f"{prefix}{self._replies}/+", self._heard, 2)
        line.listen(prefix + wire.topic(module, "e2m", "heartbeat"), self._beat)

    def is_ca_certificate_installed(self, kind: CaKind) -> bool:
        """Ask whether there is a CA certificate of a kind."""
        return wire.read(self._ask(Command.IS_CA_INSTALLED, wire.CaType(kind)), bool)

    def get_verify_location(self, kind: CaKind) -> Path | None:
        """Ask for the file or folder to verify peers with; EVerest writes it without quotes."""
        octets = self._ask(Command.VERIFY_LOCATION, wire.CaType(kind))
        try:
            text = msgspec.json.decode(octets, type=str)
        except UNREADABLE:
            text = octets.decode(errors="surrogateescape")
        return Path(text) if text else None

    def get_leaf_certificate_info(
        self, kind: LeafKind, *, encoding: Encoding = Encoding.PEM, include_ocsp: bool = False
    ) -> wire.LeafResult:
        """Ask for the certificate to be used now."""
        return wire.read(self._ask(Command.LEAF_INFO, wire.LeafRequest(kind, encoding, include_ocsp)), wire.LeafResult)

    def communication_check(self, going_on: bool = True) -> None:
        """Tell that we are there, or that we say so no more."""
        self._say(wire.topic(self._module, "m2e", "communication_check"), json.dumps(going_on).encode())

    def discover(self, seconds: float = 1) -> list[wire.Module]:
        """Ask who offers this API, and gather the replies for a while."""
        reply_to = self._reply_topic()
        found: list[wire.Module] = []
        self._found[self._prefix + reply_to] = found
        try:
            self._say(wire.QUERY, _request(reply_to))
            time.sleep(seconds)
            return found
        finally:
            del self._found[self._prefix + reply_to]

    def heartbeat(self) -> int:
        """Wait for the next heartbeat and return its number; Unavailable where none comes."""
        with self._beaten:
            if not self._beaten.wait(self._timeout):
                raise Unavailable(f"the module {self._module} sends no heartbeat")
            return self._heartbeats

    def _ask(self, command: Command, argument: wire.Argument) -> bytes:
        reply_to = self._reply_topic()
        reply: Future[bytes] = Future()
        self._open[self._prefix + reply_to] = reply
        try:
            self._say(wire.topic(self._module, "m2e", command), _request(reply_to, payload=argument))
            return reply.result(self._timeout)
        except TimeoutError:
            raise Unavailable(f"the module {self._module} does not answer {command}") from None
        finally:
            self._open.pop(self._prefix + reply_to, None)

    def _reply_topic(self) -> str:
        return f"{self._replies}/{next(self._numbers)}"

    def _say(self, topic: str, octets: bytes) -> None:
        if not self._line.say(self._prefix + topic, octets):
            raise Unavailable("the broker cannot be reached")

    def _heard(self, topic: str, octets: bytes, _: bool) -> None:
        if (reply := self._open.pop(topic, None)) is not None:
            reply.set_result(octets)
        elif (found := self._found.get(topic)) is not None:
            found += _modules(octets)

    def _beat(self, _: str, octets: bytes, __: bool) -> None:
        with self._beaten:
            if octets.isdigit():
                self._heartbeats = int(octets)
                self._beaten.notify_all()


def _request(reply_to: str, **members: object) -> bytes:
    return wire.write({"headers": {"replyTo": reply_to}, **members})


def _modules(octets: bytes) -> list[wire.Module]:
    try:
        return wire.read(octets, wire.Modules).apis
    except Malformed:
        return []
