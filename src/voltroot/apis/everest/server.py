"""EVerest's end of the API: answers what consumers ask of a station, and tells them that it is there."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import UNSET, UnsetType

from voltroot.actors.station.outcomes import LeafInfo, LeafStatus
from voltroot.actors.station.ports import CaKind
from voltroot.actors.station.station import Station
from voltroot.apis.everest import errors, wire
from voltroot.apis.everest.wire import Command, Encoding
from voltroot.errors import Failure, Refused

log = logging.getLogger("voltroot")

Said = tuple[str, bytes]
_IDS = 1 << 64


@dataclass(frozen=True, slots=True)
class Settings:
    """``module`` is the id in topics, ``prefix`` what all topics begin with (EVerest's mqtt_external_prefix).

    Intervals of 0 switch a side off. The password of the key files is told only if it stands here.
    """

    module: str = "voltroot"
    prefix: str = ""
    heartbeat_ms: int = 1000
    check_s: int = 5
    key_password: str | None = field(default=None, repr=False)


class Server:
    """Answers each request once, and is silent to what it cannot read. For one thread."""

    name = "everest"
    qos = 2

    def __init__(self, station: Station, settings: Settings, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._station = station
        self._settings = settings
        self._elapsed = elapsed
        self._next_beat = elapsed() if settings.heartbeat_ms > 0 else math.inf
        self._beats = 0
        self.check = CommunicationCheck(settings.check_s, elapsed)
        self._heartbeat = self._topic("e2m", "heartbeat")
        self._commands = {self._topic("m2e", command): command for command in Command}
        self._check = self._topic("m2e", "communication_check")
        self._queries = tuple(settings.prefix + name for name in (wire.DISCOVER, wire.QUERY))

    @property
    def topics(self) -> Mapping[str, int]:
        """As EVerest listens: whoever wants to be sure asks again."""
        return dict.fromkeys((*self._commands, self._check, *self._queries), 0)

    @property
    def due(self) -> float:
        """When the next heartbeat is to be sent, or a silence begins to be too long."""
        return min(self._next_beat, self.check.deadline)

    def greet(self) -> Iterable[Said]:
        """Tell everybody that EVerest's APIs can be discovered."""
        return [(self._settings.prefix + wire.READY, b"{}")]

    def beat(self) -> Iterable[Said]:
        """Send the heartbeat, on the grid that its interval makes; watch whether the other side is there."""
        self.check.watch()
        if (late := self._elapsed() - self._next_beat) < 0:
            return []
        period = self._settings.heartbeat_ms / 1000
        self._next_beat += period * (1 + late // period)
        number, self._beats = self._beats, (self._beats + 1) % _IDS
        return [(self._heartbeat, wire.write(number))]

    def receive(self, topic: str, octets: bytes) -> Iterable[Said]:
        """Return the reply, if one is wanted; Malformed or Refused, before anything is done, for what gets none."""
        if topic == self._check:
            self.check.told(wire.read(octets, bool))
            return []
        if topic in self._queries:
            reply_to = self._reply_to(wire.read(octets, wire.Query).headers)
            return [] if reply_to is None else [(reply_to, wire.write(self._modules()))]
        command = self._commands[topic]
        envelope = wire.read(octets, wire.REQUESTS[command])
        reply_to = self._reply_to(envelope.headers)
        reply = self._answer(command, envelope.payload)
        return [] if reply_to is None else [(reply_to, reply)]

    def _reply_to(self, headers: wire.Headers | None) -> str | None:
        reply_to = wire.reply_topic(headers, self._settings.prefix)
        if reply_to in self.topics:
            raise Refused("replyTo is a topic of requests")
        return reply_to

    def _answer(self, command: Command, argument: wire.Argument) -> bytes:
        if isinstance(argument, wire.LeafRequest):
            return wire.write(self._leaf(argument))
        kind = CaKind(argument)
        if command is Command.IS_CA_INSTALLED:
            return wire.write(self._station.is_ca_installed(kind))
        location = self._station.verify_location(kind)
        return wire.write("" if location is None else str(location))

    def _leaf(self, asked: wire.LeafRequest) -> wire.LeafResult:
        try:
            answer = self._station.leaf(asked.certificate_type, include_ocsp=asked.include_ocsp)
            if answer.info is not None:
                return wire.LeafResult(answer.status, self._info(asked, answer.info))
        except Failure as failure:
            status = errors.status(failure)
            if status is None:
                raise
            log.warning("leaf.unavailable", extra={"kind": asked.certificate_type.value, "why": str(failure)})
            return wire.LeafResult(status)
        if answer.status is not LeafStatus.NOT_FOUND:
            log.info("leaf.refused", extra={"kind": asked.certificate_type.value, "why": answer.reason})
        return wire.LeafResult(answer.status)

    def _info(self, asked: wire.LeafRequest, info: LeafInfo) -> wire.CertificateInfo:
        """A file in DER holds one certificate and no chain; of one that was given in DER there is PEM too."""
        count, chain, single = info.certificate_count, info.chain, info.single
        if asked.encoding is Encoding.DER:
            count, chain, single = 1, None, self._station.der_file(asked.certificate_type, info)
        elif chain is None and single is None:
            single = self._station.pem_file(asked.certificate_type, info)
        password = self._settings.key_password
        return wire.CertificateInfo(
            key=str(info.key.path),
            certificate_count=count,
            certificate=_text(chain),
            certificate_single=_text(single),
            ocsp=_ocsp(info) if asked.include_ocsp else UNSET,
            password=UNSET if password is None or info.key.label else password,
        )

    def _modules(self) -> wire.Modules:
        own = self._settings
        monitoring = wire.Monitoring(max(0, own.heartbeat_ms), max(0, own.check_s))
        return wire.Modules([wire.Module(wire.TYPE, own.module, wire.VERSION, monitoring)])

    def _topic(self, way: str, name: str) -> str:
        return self._settings.prefix + wire.topic(self._settings.module, way, name)


class CommunicationCheck:
    """Whether the other side keeps telling that it is there; once it says that it ends, nobody asks any more."""

    def __init__(self, seconds: int, elapsed: Callable[[], float]) -> None:
        self._seconds = seconds
        self._elapsed = elapsed
        self.fault = "Initial communication check" if seconds > 0 else ""
        self.deadline = math.inf
        self._ended = seconds <= 0

    def told(self, going_on: bool) -> None:
        """Take what the other side says: true that it is there, false that it says no more."""
        if self._ended:
            return
        if self.fault:
            log.info("communication.restored", extra={"was": self.fault})
        self.fault = ""
        self._ended = not going_on
        self.deadline = self._elapsed() + self._seconds if going_on else math.inf

    def watch(self) -> None:
        """Notice a silence that is too long."""
        if self._elapsed() >= self.deadline:
            self.fault, self.deadline = "Bridge to implementation connection lost", math.inf
            log.warning("communication.lost", extra={"why": f"no communication_check for {self._seconds} s"})


def _text(path: Path | None) -> str | UnsetType:
    return UNSET if path is None else str(path)


def _ocsp(info: LeafInfo) -> list[wire.CertificateOcsp]:
    return [
        wire.CertificateOcsp(
            wire.CertificateHashData(
                about.algorithm, about.issuer_key_hash, about.issuer_name_hash, about.serial_number
            ),
            _text(answer),
        )
        for about, answer in info.ocsp
        if about is not None
    ]
