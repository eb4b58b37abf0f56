"""The spellings of evse_security_consumer 1.0.0: topics, envelopes, requests and replies."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from voltroot.actors.station.outcomes import LeafStatus
from voltroot.actors.station.ports import LeafKind
from voltroot.decoding import UNREADABLE, why
from voltroot.errors import Malformed, Refused, TooLarge
from voltroot.pki.fingerprints import HashAlgorithm

TYPE, VERSION = "evse_security_consumer", 1
ROOT = "everest_api"
READY, DISCOVER, QUERY = f"{ROOT}/ready_beacon", f"{ROOT}/discover", f"{ROOT}/query-modules/{TYPE}"

LARGEST = 1 << 16  # octets of a request
LONGEST_TOPIC = 65_535  # octets (MQTT 1.5.4)
MOST_LEVELS = 200  # mosquitto disconnects whoever publishes to a deeper topic
# Wildcards are for those who listen (4.7.1). What is no character, or is for controlling, brokers may answer by
# disconnecting (1.5.4), and topics that begin with a dollar are their own (4.7.2).
_NO_CHARACTERS = "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
_NOT_IN_TOPICS = re.compile(f"[+#\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef{_NO_CHARACTERS}]|^[$]")

T = TypeVar("T")


class Command(StrEnum):
    """What can be asked."""

    IS_CA_INSTALLED = "is_ca_certificate_installed"
    LEAF_INFO = "get_leaf_certificate_info"
    VERIFY_LOCATION = "get_verify_location"


class CaType(StrEnum):
    """CaCertificateType: the station's CaKind but for the OEMs', of which EVerest knows nothing."""

    V2G = "V2G"
    MO = "MO"
    CSMS = "CSMS"
    MF = "MF"


class Encoding(StrEnum):
    """How the certificate's file is to be written."""

    DER = "DER"
    PEM = "PEM"


class Headers(Struct, rename="camel", frozen=True):
    """Where the reply is to go; without it there is none."""

    reply_to: str | UnsetType = UNSET


class Envelope(Struct, Generic[T], frozen=True):
    """A request."""

    payload: T
    headers: Headers | None = None


class Query(Struct, frozen=True):
    """A request for the APIs that are there."""

    headers: Headers | None = None


class LeafRequest(Struct, frozen=True):
    """The argument of get_leaf_certificate_info."""

    certificate_type: LeafKind
    encoding: Encoding
    include_ocsp: bool


Argument = CaType | LeafRequest
REQUESTS: dict[Command, Any] = {
    Command.IS_CA_INSTALLED: Envelope[CaType],
    Command.LEAF_INFO: Envelope[LeafRequest],
    Command.VERIFY_LOCATION: Envelope[CaType],
}

Hash = Annotated[str, Meta(max_length=128)]


class CertificateHashData(Struct, frozen=True):
    """Which certificate an OCSP answer is about."""

    hash_algorithm: HashAlgorithm
    issuer_key_hash: Hash
    issuer_name_hash: Hash
    serial_number: Annotated[str, Meta(max_length=40)]


class CertificateOcsp(Struct, frozen=True, omit_defaults=True):
    """A certificate of the chain, and the file with its OCSP answer in DER."""

    hash: CertificateHashData
    ocsp_path: str | UnsetType = UNSET


class CertificateInfo(Struct, frozen=True, omit_defaults=True):
    """The paths of a certificate and its key."""

    key: str
    certificate_count: int
    certificate: str | UnsetType = UNSET
    certificate_single: str | UnsetType = UNSET
    certificate_root: str | UnsetType = UNSET
    ocsp: list[CertificateOcsp] | UnsetType = UNSET
    password: str | UnsetType = UNSET


class LeafResult(Struct, frozen=True, omit_defaults=True):
    """The reply to get_leaf_certificate_info."""

    status: LeafStatus
    info: CertificateInfo | UnsetType = UNSET


class Monitoring(Struct, frozen=True):
    """How often the two sides tell each other that they are there."""

    heartbeat_period_ms: int
    communication_check_period_s: int


class Module(Struct, frozen=True):
    """One API of one module."""

    type: str
    module_id: str
    version: int
    communication_monitoring: Monitoring | UnsetType = UNSET


class Modules(Struct, frozen=True):
    """The reply to a query: one from each module."""

    apis: list[Module] = field(default_factory=list)


def topic(module: str, way: str, name: str) -> str:
    """Return a topic of a module; the way is m2e, to EVerest, or e2m, from it."""
    return f"{ROOT}/{VERSION}/{TYPE}/{module}/{way}/{name}"


def read(octets: bytes, kind: type[T]) -> T:
    """Read JSON, or raise Malformed or TooLarge; members that are not known are passed over."""
    if len(octets) > LARGEST:
        raise TooLarge(f"the message has {len(octets)} octets: {LARGEST} are allowed")
    try:
        return msgspec.json.decode(octets, type=kind)
    except UNREADABLE as error:
        raise Malformed(f"this is no such message: {why(error, kind)}") from error


def reply_topic(headers: Headers | None, prefix: str = "") -> str | None:
    """Return where a reply goes, or None where nobody wants one; Refused for what no broker takes as a topic."""
    if headers is None or isinstance(headers.reply_to, UnsetType):
        return None
    whole = prefix + headers.reply_to
    if not headers.reply_to or _NOT_IN_TOPICS.search(whole):
        raise Refused("replyTo is no topic that can be published to")
    if len(whole.encode()) > LONGEST_TOPIC or whole.count("/") >= MOST_LEVELS:
        raise TooLarge(f"replyTo has more than {LONGEST_TOPIC} octets or {MOST_LEVELS} levels")
    return whole


write = msgspec.json.encode
