"""A client of the station's local door."""

from __future__ import annotations

import http.client
from typing import Any

import msgspec

from voltroot.decoding import UNREADABLE
from voltroot.errors import Refused, Unavailable


class Client:
    """Asks the station that listens at ``HOST:PORT``; one connection for each call."""

    def __init__(self, address: str, timeout: float = 90) -> None:
        self._address = address
        self._timeout = timeout

    def status(self) -> dict[str, Any]:
        """Return how the station stands."""
        return self._call("GET", "/status")

    def install(self, **request: Any) -> dict[str, Any]:
        """Return Get15118EVCertificateResponse for the members of the request."""
        return self._call("POST", "/installation", request)

    def authorize(self, chain: str) -> dict[str, Any]:
        """Return whether a car may charge, by its contract chain in PEM."""
        return self._call("POST", "/authorization", {"chain": chain})

    def admit(self, chain: str) -> dict[str, Any]:
        """Return whether a car's certificate for TLS of ISO 15118-20 will do, by its chain in PEM."""
        return self._call("POST", "/vehicle", {"chain": chain})

    def certify(self, csr: str) -> dict[str, Any]:
        """Have the CSMS sign a request, and the station install the certificate; returns status and reason."""
        return self._call("POST", "/certification", {"csr": csr})

    def renew(self, type_: str, evse: int | None = None) -> dict[str, Any]:
        """Have the station get a certificate with a new key; returns status and reason."""
        return self._call("POST", "/key", {"type": type_, "evse": evse})

    def _call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        connection = http.client.HTTPConnection(self._address, timeout=self._timeout)
        try:
            content = msgspec.json.encode(body) if body is not None else None
            connection.request(method, path, content, {"Content-Type": "application/json"})
            response = connection.getresponse()
            status, answer = response.status, msgspec.json.decode(response.read(), type=dict[str, Any])
        except (OSError, http.client.HTTPException, *UNREADABLE) as error:
            raise Unavailable(f"no station answers at {self._address}: is it running, with [car] listen?") from error
        finally:
            connection.close()
        if status == 503:
            raise Unavailable(str(answer.get("why")))
        if status != 200:
            raise Refused(str(answer.get("why")))
        return answer
