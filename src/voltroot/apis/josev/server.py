"""The station maker's end: makes keys for Josev, and hears what became of their certificates."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping

from voltroot.actors.station.applications import Applications
from voltroot.apis.josev import errors, wire
from voltroot.apis.josev.wire import Message
from voltroot.errors import Failure

log = logging.getLogger("voltroot")

Said = tuple[str, bytes]
REMEMBERED = 256  # refusals


class Server:
    """Answers generate_csr once for each id, with a key of its own; ``made`` is told each request. For one thread."""

    name = "josev"
    qos = 1
    due = math.inf

    def __init__(
        self,
        applications: Applications,
        made: Callable[[str], None] = lambda csr: None,
        *,
        in_keyring: bool = False,
        hears: str = wire.FROM_JOSEV,
        says: str = wire.TO_JOSEV,
    ) -> None:
        self._applications = applications
        self._made = made
        self._in_keyring = in_keyring
        self._hears = hears
        self._says = says
        self._refused: dict[str, bytes] = {}

    @property
    def topics(self) -> Mapping[str, int]:
        """Where Josev speaks."""
        return {self._hears: 1}

    def greet(self) -> Iterable[Said]:
        """Say nothing."""
        return []

    def beat(self) -> Iterable[Said]:
        """Say nothing."""
        return []

    def receive(self, topic: str, octets: bytes) -> Iterable[Said]:
        """Return the response, if the message is one that has any; others than ours are for others."""
        message = wire.read_message(octets)
        match message.name, message.type:
            case wire.GENERATE_CSR, "request":
                return [(self._says, self._generated(message))]
            case wire.INSTALLATION_STATUS, "update":
                self._settle(message)
        return []

    def _generated(self, message: Message) -> bytes:
        if message.id in self._refused:
            return self._refused[message.id]
        try:
            asked = wire.read_data(message, wire.GenerateCsr)
            csr = self._applications.apply(message.id, asked.order(self._in_keyring))
        except Failure as failure:
            log.info("csr.rejected", extra={"id": message.id, "why": str(failure)})
            return self._refuse(message.id, wire.CsrResult(errors.status(failure)))
        log.info(
            "csr.made", extra={"id": message.id, "type": asked.certificate_type.value, "subject": asked.common_name,
                               "evse": asked.evse_id},
        )  # fmt: skip
        self._made(csr)
        return _response(message.id, wire.CsrResult(wire.Status.ACCEPTED, csr))

    def _refuse(self, id_: str, result: wire.CsrResult) -> bytes:
        """Remember for a while what was refused, so that the same id has the same answer."""
        if len(self._refused) >= REMEMBERED:
            del self._refused[next(iter(self._refused))]
        return self._refused.setdefault(id_, _response(id_, result))

    def _settle(self, message: Message) -> None:
        told = wire.read_data(message, wire.InstallationStatus)
        kind = wire.KINDS[told.certificate_type]
        application = self._applications.settle(kind, told.status, told.private_key_path)
        log.info("key.settled", extra={"id": application.id, "key": application.key, "certificate": told.status.value})


def _response(id_: str, result: wire.CsrResult) -> bytes:
    return wire.write(id_, wire.GENERATE_CSR, "response", result)
