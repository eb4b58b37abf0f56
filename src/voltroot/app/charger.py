"""A charging station as a car sees it: what takes the car's requests on to the backend, at its door on the loopback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from voltroot.apis.car.client import Client
from voltroot.apis.pnc.wire import to_base64
from voltroot.errors import Malformed, Refused
from voltroot.pki.certificates import Certificate, read_base64
from voltroot.pki.profiles import Edition

T = TypeVar("T")
SCHEMAS = {
    Edition.ISO15118_2: "urn:iso:15118:2:2013:MsgDef",
    Edition.ISO15118_20: "urn:iso:std:iso:15118:-20:CommonMessages",
}


class Status(Struct, frozen=True):
    """How a station stands: whether the CSMS has ``accepted`` it, by which version of OCPP and security profile."""

    accepted: bool
    version: str | None = None
    profile: int | None = None


class Authorization(Struct, frozen=True, rename="camel"):
    """Whether a car may charge, and the CSMS's words for it; ``why`` says what the station has to add."""

    accepted: bool
    emaid: str
    id_token_status: str | None
    certificate_status: str | None
    online: bool
    why: str


class Installed(Struct, frozen=True):
    """What became of a certificate that was asked for."""

    status: str
    reason: str


class _Response(Struct, frozen=True, rename="camel"):
    status: str
    exi_response: str = ""
    status_info: Mapping[str, Any] = {}


class Charger:
    """Speaks to the door of one station, HOST:PORT.

    Refused where it says no, Unavailable where it or its CSMS is not there, Malformed for an answer that is none.
    """

    def __init__(self, address: str) -> None:
        self._door = Client(address)

    def status(self) -> Status:
        """Return how the station stands."""
        return _read(self._door.status(), Status)

    def contract(self, request: bytes, edition: Edition, *, update: bool = False) -> bytes:
        """Return the answer to a CertificateInstallationReq or CertificateUpdateReq, by Get15118EVCertificate."""
        action, text = "Update" if update else "Install", to_base64(request)
        told = self._door.install(iso15118SchemaVersion=SCHEMAS[edition], action=action, exiRequest=text)
        answer = _read(told, _Response)
        if answer.status != "Accepted":
            info = " ".join(map(str, answer.status_info.values()))
            raise Refused(f"Get15118EVCertificate: {answer.status} {info}".strip())
        return read_base64(answer.exi_response, "exiResponse")

    def authorize(self, chain: Sequence[Certificate]) -> Authorization:
        """Have the station find out, by Authorize, whether a contract may charge."""
        return _read(self._door.authorize("".join(each.pem for each in chain)), Authorization)

    def certify(self, csr: str) -> Installed:
        """Have the station get a certificate for a key of its own, by SignCertificate, and install it."""
        return _read(self._door.certify(csr), Installed)

    def make_key(self, kind: str) -> Installed:
        """Have the station make a key and get a certificate of a type for it: as ``certify``, from the beginning."""
        return _read(self._door.renew(kind), Installed)


def _read(told: Mapping[str, Any], kind: type[T]) -> T:
    try:
        return msgspec.convert(told, kind)
    except msgspec.ValidationError as error:
        raise Malformed(f"the station's answer cannot be read: {error}") from error
