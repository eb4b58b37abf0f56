"""The client's end of the Secondary Actor API: every call of the manual, on any server that speaks it."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import msgspec

from voltroot.apis.pnc import wire
from voltroot.decoding import UNREADABLE
from voltroot.errors import Malformed, Refused, Unavailable
from voltroot.pki.certificates import read_base64

LARGEST = 1 << 22  # octets of an answer
_HEADERS = {"Accept": "application/json", "Content-Type": "application/json"}


class Reply(NamedTuple):
    """What a server answered: the members of ``data`` as text, and its message."""

    data: Mapping[str, Any]
    message: str = ""

    def text(self, member: str) -> str:
        """Return a member, or raise Malformed if the server left it out."""
        value = self.data.get(member)
        if not isinstance(value, str) or not value.strip():
            raise Malformed(f"the server's answer has no {member}")
        return value.strip()

    def octets(self, member: str) -> bytes:
        """Return what a member has in base64."""
        return read_base64(self.text(member), member)


class Client:
    """Speaks to one server, each call on a connection of its own.

    ``base`` is its address without /api/v2, ``roots`` a file for https. Each call raises Refused with the server's
    words if it says no, Malformed for an answer that is none, Unavailable if there is none. ``optional`` are members
    that the manual does not know: edition, suite, pkcs10Data, fault.
    """

    def __init__(self, base: str, *, roots: Path | None = None, timeout: float = 30) -> None:
        parts = urlsplit(base if "://" in base else f"http://{base}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Malformed(f"{base!a} is no address of a server: write http://HOST:PORT")
        self.base = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._prefix = parts.path.rstrip("/")
        self._connect: Callable[[], http.client.HTTPConnection]
        if parts.scheme == "http":
            self._connect = partial(http.client.HTTPConnection, parts.hostname, parts.port, timeout=timeout)
        else:
            context = ssl.create_default_context(cafile=None if roots is None else str(roots))
            self._connect = partial(
                http.client.HTTPSConnection, parts.hostname, parts.port, timeout=timeout, context=context
            )

    # 3.1, 3.2: certificates of stations and cars

    def issue_secc(self, secc_id: str, **optional: str) -> Reply:
        """3.1.1."""
        return self._call("POST", "cpo/seccCert", {"seccId": secc_id, **optional})

    def issue_secc_by_csr(self, request: bytes, name: str, **optional: str) -> Reply:
        """3.1.2; the request is PKCS#10 in DER."""
        return self._call("POST", "cpo/seccCertByCsr", {"pkcs10Data": _base64(request), "cn": name, **optional})

    def secc(self, secc_id: str, edition: str = "") -> Reply:
        """3.1.3."""
        return self._call("GET", f"cpo/seccCert/{quote(secc_id, safe='')}{_query(edition)}")

    def renew_secc(self, secc_id: str, **optional: str) -> Reply:
        """3.1.4."""
        return self._call("PUT", "cpo/seccCert", {"seccId": secc_id, **optional})

    def revoke_secc(self, subject_dn: str, **optional: str) -> Reply:
        """3.1.5."""
        return self._call("DELETE", "cpo/seccCert", {"subjectDn": subject_dn, **optional})

    def download_pfx(self, serial: str, password: str) -> Reply:
        """3.1.6."""
        return self._call("POST", "cpo/downloadSeccCert", {"serial": serial, "password": password})

    def issue_prov(self, pcid: str, **optional: str) -> Reply:
        """3.2.1."""
        return self._call("POST", "oem/provCert", {"pcid": pcid, **optional})

    def prov(self, pcid: str, edition: str = "") -> Reply:
        """3.2.2."""
        return self._call("GET", f"oem/provCert/{quote(pcid, safe='')}{_query(edition)}")

    def renew_prov(self, pcid: str, **optional: str) -> Reply:
        """3.2.3."""
        return self._call("PUT", "oem/provCert", {"pcid": pcid, **optional})

    def revoke_prov(self, subject_dn: str, **optional: str) -> Reply:
        """3.2.4."""
        return self._call("DELETE", "oem/provCert", {"subjectDn": subject_dn, **optional})

    def verify_prov(self, pcid: str, edition: str = "") -> Reply:
        """3.2.5."""
        return self._call("GET", f"oem/verifyByPcid/{quote(pcid, safe='')}{_query(edition)}")

    # 3.3: contracts

    def create_contract(self, certificate: bytes, emaid: str, **optional: str) -> Reply:
        """3.3.1; the certificate is the car's OEM provisioning certificate."""
        return self._call("POST", "mo/contract", {"dhCert": _base64(certificate), "emaid": emaid, **optional})

    def renew_contract(self, certificate: bytes, emaid: str, **optional: str) -> Reply:
        """3.3.2; the certificate is that of the expiring contract."""
        return self._call("PUT", "mo/contract", {"dhCert": _base64(certificate), "emaid": emaid, **optional})

    def revoke_contract(self, subject_dn: str, **optional: str) -> Reply:
        """3.3.3."""
        return self._call("DELETE", "mo/contract", {"subjectDn": subject_dn, **optional})

    def payment_detail(self, leaf: bytes, subca2: bytes, subca1: bytes) -> Reply:
        """3.3.4."""
        chain = {"leaf": _base64(leaf), "subca2": _base64(subca2), "subca1": _base64(subca1)}
        return self._call("POST", "mo/paymentDetail", chain)

    # 3.4: what a station asks for its car

    def certificate_installation(self, message: bytes, **optional: str) -> Reply:
        """3.4.1; the message is a CertificateInstallationReq in EXI."""
        return self._call("POST", "ccp/certificateInstallation", {"v2gMessage": _base64(message), **optional})

    def certificate_update(self, message: bytes, **optional: str) -> Reply:
        """3.4.2; the message is a CertificateUpdateReq in EXI."""
        return self._call("POST", "ccp/certificateUpdate", {"v2gMessage": _base64(message), **optional})

    def fetch(self, path: str) -> bytes:
        """Return what else stands on the server, such as its roots."""
        status, body = self._exchange("GET", path, None)
        if status != 200:
            raise Unavailable(f"{self.base}{path} answers with status {status}")
        return body

    def _call(self, method: str, path: str, body: Mapping[str, str] | None = None) -> Reply:
        content = None if body is None else msgspec.json.encode(body)
        status, octets = self._exchange(method, f"/api/v2/{path}", content)
        envelope = _envelope(octets)
        if envelope is None:
            raise Malformed(f"{self.base} answers {method} {path} with status {status} and without an envelope")
        if envelope.status != "success":
            raise Refused(envelope.message or f"{self.base} refuses {method} {path} without saying why")
        if not isinstance(envelope.data, dict):
            raise Malformed(f"{self.base} answers {method} {path} without data")
        return Reply(envelope.data, envelope.message)

    def _exchange(self, method: str, path: str, content: bytes | None) -> tuple[int, bytes]:
        try:
            with closing(self._connect()) as connection:
                connection.request(method, self._prefix + path, content, _HEADERS)
                response = connection.getresponse()
                body = response.read(LARGEST + 1)
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"{self.base} does not answer: {error or type(error).__name__}") from error
        if len(body) > LARGEST:
            raise Malformed(f"{self.base} answers with more than {LARGEST >> 20} MiB")
        return response.status, body


class _Envelope(msgspec.Struct):
    status: str
    message: str = ""
    data: Any = None


def _envelope(octets: bytes) -> _Envelope | None:
    try:
        return msgspec.json.decode(octets, type=_Envelope)
    except UNREADABLE:
        return None


def _query(edition: str) -> str:
    return f"?edition={quote(edition)}" if edition else ""


_base64 = wire.to_base64
