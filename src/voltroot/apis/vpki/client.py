"""The plant's end of the vPKI API: a client that keeps its connection and loses no answer."""

from __future__ import annotations

import http.client
import json
import secrets
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import SplitResult, urlsplit

from voltroot.apis.vpki import wire
from voltroot.decoding import UNREADABLE
from voltroot.errors import Malformed, Unavailable
from voltroot.pki.certificates import Certificate, read_pem
from voltroot.pki.registrations import Codes

# What is worth asking again: a server that is away, overloaded, or still at it.
AGAIN = frozenset({409, 429, 500, 502, 503, 504})
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
TIMEOUT = 30.0


class Answered(Exception):
    """The service said no: the HTTP status and its words. It is theirs, and no Failure of ours."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message or f"the service answered {status} without a word: may this machine call it?")
        self.status = status


@dataclass(frozen=True, slots=True)
class Server:
    """Where the service is, whose certificates it is trusted by, and the certificate that is shown to it.

    ``url`` is what stands before /api; without ``ca`` the system's roots are trusted.
    """

    url: str
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def parts(self) -> SplitResult:
        """Return the address in its parts; Malformed where it is none."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Malformed(f"{self.url!r} is not the address of a service: write https://vpki.example.com")
        return parts

    def context(self) -> ssl.SSLContext | None:
        """Return how TLS is spoken, None for plain HTTP."""
        if self.parts().scheme == "http":
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            raise Malformed(f"the certificates for TLS cannot be used: {error}") from error
        return context


class Client:
    """Speaks to one service over one connection; for one thread.

    ``patience`` is for how many seconds a call is repeated where the service is away or busy. A call is repeated under
    its Idempotency-Key, so that it never issues twice and its answer is never lost.
    """

    def __init__(self, server: Server, patience: float = 60.0, sleep: Callable[[float], None] = time.sleep) -> None:
        self._patience = patience
        self._sleep = sleep
        parts = server.parts()
        context, host = server.context(), str(parts.hostname)
        self._path = parts.path.rstrip("/")
        self._connection: http.client.HTTPConnection = (
            http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT)
            if context is None
            else http.client.HTTPSConnection(host, parts.port, timeout=TIMEOUT, context=context)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def issue(self, product: str, csr: str, codes: Codes, key: str | None = None) -> Certificate:
        """Return the first certificate of a name; ``product`` as in the path: v1/prov."""
        return self._enrol(f"{product}/{wire.ISSUE}", csr, codes, key)

    def reissue(self, product: str, csr: str, codes: Codes, key: str | None = None) -> Certificate:
        """Return a further certificate of a name."""
        return self._enrol(f"{product}/{wire.REISSUE}", csr, codes, key)

    def revoke(self, product: str, dn: str) -> None:
        """Revoke all certificates of a name; one that a repeated call finds revoked was revoked by this call."""
        status, answer, repeated = self._ask(f"{product}/{wire.REVOKE}", {"dn": dn}, {})
        if status != 200 and not (repeated and status == 403 and answer):
            raise Answered(status, str(answer.get("resultMessage", "")))

    def _enrol(self, path: str, csr: str, codes: Codes, key: str | None) -> Certificate:
        body = {"csr": csr} | {f"{name}Code": value for name, value in codes._asdict().items()}
        status, answer, _ = self._ask(path, body, {"Idempotency-Key": key or secrets.token_hex(16)})
        if status != 200:
            raise Answered(status, str(answer.get("resultMessage", "")))
        try:
            ((_, octets),) = read_pem(str(answer["cert"]))
            return Certificate.read(octets)
        except (KeyError, ValueError, Malformed) as error:
            raise Unavailable("the service answered something that is no certificate") from error

    def _ask(self, path: str, body: Mapping[str, str], headers: Mapping[str, str]) -> tuple[int, dict[str, Any], bool]:
        """Ask until there is an answer or patience is over: the status, the JSON, whether it was asked before."""
        deadline, pause, repeated = time.monotonic() + self._patience, FIRST_PAUSE, False
        content = json.dumps(body).encode()
        while True:
            status, said = 0, ""
            try:
                status, octets = self._send(path, content, headers)
                if status not in AGAIN:
                    return status, _object(octets), repeated
                said = str(_object(octets).get("resultMessage", status))
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                if _is_final(error):
                    raise Unavailable(f"the service and this client do not trust each other: {error}") from error
                said = str(error) or type(error).__name__
            if time.monotonic() + pause > deadline:
                raise Unavailable(f"no answer from the service within {self._patience:g} s: {said}")
            self._sleep(pause)
            pause, repeated = min(2 * pause, LONGEST_PAUSE), True

    def _send(self, path: str, content: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        sent = {"Content-Type": wire.JSON, **headers}
        self._connection.request("POST", f"{self._path}/api/{path}", content, sent)
        response = self._connection.getresponse()
        return response.status, response.read()


def _is_final(error: Exception) -> bool:
    """Whether TLS was refused for a reason that will be the same next time."""
    return isinstance(error, ssl.SSLCertVerificationError) or "ALERT" in str(getattr(error, "reason", "") or "")


def _object(octets: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(octets) if octets else {}
    except UNREADABLE:
        return {}
    return answer if isinstance(answer, dict) else {}
