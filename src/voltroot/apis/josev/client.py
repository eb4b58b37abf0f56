"""Josev's end, for those who want to try a station without Josev."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from voltroot.actors.station.applications import Fate
from voltroot.apis.josev import wire
from voltroot.apis.josev.wire import Algorithm, CertificateType
from voltroot.errors import Failure, Refused, Unavailable


class Line(Protocol):
    """A connection to a broker."""

    def listen(self, topic: str, hearing: Callable[[str, bytes, bool], None], qos: int = 0) -> None:
        """Hear a topic, from the connection's start on."""
        ...

    def say(self, topic: str, octets: bytes, qos: int = 0) -> bool:
        """Send a message, or return False."""
        ...


class Client:
    """Asks the station of a broker; to be made before the line is started. Safe among threads.

    ``timeout`` is in seconds: an RSA key in a TPM takes its time.
    """

    def __init__(
        self, line: Line, *, says: str = wire.FROM_JOSEV, hears: str = wire.TO_JOSEV, timeout: float = 60
    ) -> None:
        self._line = line
        self._topic = says
        self._timeout = timeout
        self._open: dict[str, Future[wire.CsrResult]] = {}
        line.listen(hears, self._heard, 1)

    def generate_csr(
        self,
        certificate_type: CertificateType,
        common_name: str,
        organization_name: str,
        country_name: str,
        *,
        algorithm: Algorithm | None = None,
        evse_id: str = "",
        id_: str = "",
    ) -> str:
        """Return a request in PEM for a new key; Refused where the station rejects, Unavailable where it is silent."""
        given = {
            "certificate_type": certificate_type,
            "common_name": common_name,
            "organization_name": organization_name,
            "country_name": country_name,
            "algorithm": algorithm,
            "evse_id": evse_id,
        }
        id_ = id_ or str(uuid.uuid4())
        response = self._open.setdefault(id_, Future())
        try:
            self._say(id_, wire.GENERATE_CSR, "request", {name: value for name, value in given.items() if value})
            result = response.result(self._timeout)
        except TimeoutError:
            raise Unavailable("the station does not answer") from None
        finally:
            self._open.pop(id_, None)
        if result.status is not wire.Status.ACCEPTED or not isinstance(result.csr, str):
            raise Refused("the station rejects the request; its log says why")
        return result.csr

    def installation_status(self, certificate_type: CertificateType, status: Fate, private_key_path: str = "") -> None:
        """Tell what became of the certificate for the last key of a type, or for the one in a file."""
        path = {"private_key_path": private_key_path} if private_key_path else {}
        data = {"certificate_type": certificate_type, "status": status, **path}
        self._say(str(uuid.uuid4()), wire.INSTALLATION_STATUS, "update", data)

    def _say(self, id_: str, name: str, type_: str, data: object) -> None:
        if not self._line.say(self._topic, wire.write(id_, name, type_, data), 1):
            raise Unavailable("the broker cannot be reached")

    def _heard(self, _: str, octets: bytes, __: bool) -> None:
        try:
            message = wire.read_message(octets)
            if (message.name, message.type) != (wire.GENERATE_CSR, "response") or message.id not in self._open:
                return
            result = wire.read_data(message, wire.CsrResult)
        except Failure:
            return
        response = self._open.get(message.id)
        if response is not None and not response.done():
            response.set_result(result)
