"""The spellings of the vPKI API: its paths, its requests and its answers."""

from __future__ import annotations

import hashlib
import re
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from voltroot.decoding import UNREADABLE, why
from voltroot.errors import Malformed
from voltroot.pki import vpki
from voltroot.pki.certificates import pem
from voltroot.pki.registrations import Codes

# What follows /api: a product of the definition, and the profile that it is issued by.
PRODUCTS = {
    "v1/prov": vpki.PROV_2,
    "v2/prov": vpki.PROV_20,
    "v2/vehicle": vpki.VEHICLE_20,
    "v1/est": vpki.CCU_SHA256,
    "v2/est": vpki.CCU_SHA512,
}
ISSUE, REISSUE, REVOKE = VERBS = ("issue", "reissue", "revoke")

JSON = "application/json; charset=UTF-8"
LONGEST_CODE = 64  # characters: as many as an OU may have


class Asked(NamedTuple):
    """A request to issue or reissue, its members all there."""

    csr: str
    codes: Codes


class Enrol(Struct, rename="camel"):
    """3.x.2 of issue and reissue, in the order in which members are missed; more members are passed over."""

    csr: Any = None
    unit_code: Any = None
    tier_code: Any = None
    vehicle_code: Any = None
    local_code: Any = None
    brand_code: Any = None


class Revoke(Struct):
    """3.x.2 of revoke."""

    dn: Any = None


R = TypeVar("R", Enrol, Revoke)


def read_enrol(body: bytes) -> Asked:
    """Read a request to issue or reissue, or raise Malformed in the definition's words."""
    request = _read(body, Enrol)
    csr, *codes = (_text(member, getattr(request, member)) for member in Enrol.__struct_fields__)
    for member, code in zip(Enrol.__struct_fields__[1:], codes, strict=True):
        if len(code) > LONGEST_CODE or not code.isprintable():
            raise Malformed(f"{_said(member)} is not a code of 1 to {LONGEST_CODE} printable characters")
    return Asked(plain_request(csr), Codes(*codes))


def read_revoke(body: bytes) -> str:
    """Read the distinguished name of a request to revoke, or raise Malformed in the definition's words."""
    dn = _read(body, Revoke).dn
    if dn is None or not str(dn).strip():
        raise Malformed("dn parameter cannot be null")
    if not isinstance(dn, str):
        raise Malformed("dn is not a string")
    return dn.strip()


def digest(path: str, asked: Asked) -> bytes:
    """Return what is equal for equal requests, however their JSON is written."""
    return hashlib.sha256(msgspec.json.encode([path, asked.csr, *asked.codes])).digest()


def plain_request(text: str) -> str:
    r"""Return a request as PEM has it: clients send line ends as \n escaped twice, and labels with an underscore."""
    if "\\" in text or "\r" in text:
        text = _LINE_END.sub("\n", text)
    return _LABEL.sub(r"-----\1 CERTIFICATE REQUEST-----", text)


def certificate(octets: bytes) -> bytes:
    """Return the answer with a certificate: PEM with CRLF between its lines and nothing after the last."""
    return msgspec.json.encode({"cert": pem("CERTIFICATE", octets).rstrip("\n").replace("\n", "\r\n")})


def done() -> bytes:
    """Return the answer of a revocation."""
    return b"{}"


def refusal(message: str) -> bytes:
    """Return the answer that says no."""
    return msgspec.json.encode({"resultMessage": message})


_LINE_END = re.compile(r"\\r\\n|\\n|\\r|\r\n")
_LABEL = re.compile(r"----- *(BEGIN|END) +(?:NEW[ _])?CERTIFICATE[ _]REQUEST *-----")


def _read(body: bytes, kind: type[R]) -> R:
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE as error:
        raise Malformed(f"the request is not a JSON object in UTF-8: {why(error, kind)}") from error


def _text(member: str, value: Any) -> str:
    if value is None or (isinstance(value, str) and not value.strip()):
        raise Malformed(f"{_said(member)} is empty")
    if not isinstance(value, str):
        raise Malformed(f"{_said(member)} is not a string")
    return value.strip()


def _said(member: str) -> str:
    """The name of a member as the definition says it: TierCode of tier_code."""
    return member.title().replace("_", "")
