"""The spellings of what the operators' API is asked: requests, and questions in addresses."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import parse_qsl, unquote

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from voltroot.actors.csms import passwords, wishes
from voltroot.actors.csms.csms import TRIGGERS
from voltroot.actors.csms.operations import IDENTITY, Selection
from voltroot.actors.csms.stations import OperationState, Station
from voltroot.actors.csms.wishes import Wish
from voltroot.decoding import UNREADABLE, why
from voltroot.errors import Malformed, NotFound

JSON = "application/json"
# How long an answer may be waited for: open requests must end soon after a backend is told to stop.
LONGEST_WAIT = 8
MOST_AT_ONCE, USUAL_AT_ONCE = 1000, 20
MOST_NAMED = 1000  # as fit into a request; of more it is said what they have in common
LONGEST_PATIENCE = int(timedelta(days=30).total_seconds())

Identity = Annotated[str, Meta(pattern=IDENTITY, max_length=48, description="A station's name in its address.")]
# In Python a dollar matches before a line's end, too.
_END = r"$(?!\n)"
Line = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,64}" + _END)]
Prefix = Annotated[str, Meta(pattern=r"^[ -~]{0,48}" + _END)]
Password = Annotated[
    str,
    Meta(pattern=f"^[!-~]([ -~]{{{passwords.SHORTEST - 2},{passwords.LONGEST - 2}}}[!-~]){_END}", examples=["x" * 16]),
]
Profile = Annotated[int, Meta(ge=1, le=3, description="Security profile of OCPP.")]
Pem = Annotated[str, Meta(max_length=wishes.LONGEST_CERTIFICATE)]
Limit = Annotated[int, Meta(ge=1, le=1000)]
Number = Annotated[int, Meta(ge=1, le=10**15)]
Wait = Annotated[int, Meta(ge=0, le=LONGEST_WAIT, description="Seconds for which the end is waited for.")]


class _Request(Struct, rename="camel", forbid_unknown_fields=True, frozen=True, kw_only=True):
    pass


class Registration(_Request, frozen=True, kw_only=True):
    """A new station. Without a password one is made and told once, where the profile has passwords."""

    identity: Identity
    profile: Profile = 2
    serial_number: Line | None = None
    organization: Line | None = None
    secc_ids: Annotated[tuple[Line, ...], Meta(max_length=100)] = ()
    password: Password | None = None
    expired_allowed: bool = False


class Change(_Request, frozen=True, kw_only=True):
    """What is to be another in the registry; the station itself is told nothing of it."""

    profile: Profile | UnsetType = UNSET
    serial_number: Line | UnsetType = UNSET
    organization: Line | UnsetType = UNSET
    secc_ids: Annotated[tuple[Line, ...], Meta(max_length=100)] | UnsetType = UNSET
    password: Password | UnsetType = UNSET
    expired_allowed: bool | UnsetType = UNSET


class Where(_Request, frozen=True, kw_only=True):
    """Stations that are so; {} means all."""

    profile: Profile | None = None
    connected: bool | None = None
    beginning: Prefix = ""


class Asked(_Request, frozen=True, kw_only=True, tag_field="kind"):
    """What stations are to do: either those that are named, or all that are so.

    ``atOnce`` of them at a time; those that are away are waited for ``patience`` seconds.
    """

    stations: Annotated[tuple[Identity, ...], Meta(min_length=1, max_length=MOST_NAMED)] | None = None
    where: Where | None = None
    at_once: Annotated[int, Meta(ge=1, le=MOST_AT_ONCE)] = USUAL_AT_ONCE
    patience: Annotated[int, Meta(ge=0, le=LONGEST_PATIENCE)] = 0

    def selection(self) -> Selection:
        """Return which stations are meant; Malformed where that is not said, or said twice."""
        if (self.stations is None) == (self.where is None):
            raise Malformed("say either which stations, or where: {} for all of them")
        if self.where is None:
            return Selection(self.stations or ())
        return Selection((), self.where.profile, self.where.connected, self.where.beginning)


class Trigger(Asked, frozen=True, kw_only=True, tag="trigger"):
    """F06: ask for a new certificate."""

    message: Literal[tuple(TRIGGERS)]  # type: ignore[valid-type]  # the members are the keys of the one table
    evse: Annotated[int, Meta(ge=1, le=10_000)] | None = None


class Install(Asked, frozen=True, kw_only=True, tag="install"):
    """M05: install a root, which is in PEM."""

    certificate_type: Literal[wishes.ROOT_KINDS]  # type: ignore[valid-type]  # as above
    certificate: Pem


class Inventory(Asked, frozen=True, kw_only=True, tag="inventory"):
    """M03: read which certificates there are, of some types or of all."""

    certificate_types: Annotated[tuple[Literal[wishes.KINDS], ...], Meta(max_length=10)] = ()  # type: ignore[valid-type]  # as above


Hash = Annotated[str, Meta(pattern="^[!-~]{1,128}" + _END)]


class HashData(_Request, frozen=True, kw_only=True):
    """CertificateHashDataType, as a station's inventory has it."""

    hash_algorithm: Literal["SHA256", "SHA384", "SHA512"]
    issuer_name_hash: Hash
    issuer_key_hash: Hash
    serial_number: Annotated[str, Meta(pattern="^[!-~]{1,40}" + _END)]


class Delete(Asked, frozen=True, kw_only=True, tag="delete"):
    """M04: delete a certificate: either one in PEM, with its issuer unless it is a root, or by its hash data."""

    certificate: Pem | None = None
    issuer: Pem | None = None
    certificate_hash_data: HashData | None = None


class Renewal(Asked, frozen=True, kw_only=True, tag="password"):
    """A01: take a new password, which nobody is told but the station."""


class Upgrade(Asked, frozen=True, kw_only=True, tag="upgrade"):
    """A05: come back with a higher security profile, from a slot of the station's network configurations."""

    profile: Annotated[int, Meta(ge=2, le=3)]
    url: Annotated[str, Meta(pattern="^wss://[!-~]+" + _END, max_length=wishes.LONGEST_URL)]
    slot: Annotated[int, Meta(ge=0, le=1000)]


class Learn(Asked, frozen=True, kw_only=True, tag="learn"):
    """Report how large a chain and how many certificates it takes."""


class Call(Asked, frozen=True, kw_only=True, tag="call"):
    """Do what there is no word for here: a message of OCPP and its payload."""

    action: Annotated[str, Meta(pattern="^[A-Z][A-Za-z0-9]{1,31}" + _END)]
    payload: dict[str, Any] = {}


AnyAsked = Trigger | Install | Inventory | Delete | Renewal | Upgrade | Learn | Call


class StationsQuery(_Request, frozen=True, kw_only=True):
    """Stations that are so, ``after`` one, in the order of their identities."""

    profile: Profile | None = None
    connected: bool | None = None
    beginning: Prefix = ""
    after: Prefix = ""
    limit: Limit = 100


class JobsQuery(_Request, frozen=True, kw_only=True):
    """The newest jobs, or those ``before`` one."""

    before: Number | None = None
    limit: Limit = 100


class OperationsQuery(_Request, frozen=True, kw_only=True):
    """The newest operations that are so, or those ``before`` one."""

    station: Identity | None = None
    job: Number | None = None
    state: OperationState | None = None
    before: Number | None = None
    limit: Limit = 100


class OneQuery(_Request, frozen=True, kw_only=True):
    """One job or operation, now or when it has ended."""

    wait: Wait = 0


class NoQuery(_Request, frozen=True, kw_only=True):
    """Nothing."""


R = TypeVar("R")


def read_body(body: bytes, kind: type[R]) -> R:
    """Read a request, or raise Malformed that says where it is wrong."""
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE as error:
        raise Malformed(f"the request cannot be used: {why(error, kind)}") from error


def read_query(query: str, kind: type[R]) -> R:
    """Read the question in an address; each member may stand there once."""
    pairs = parse_qsl(query, keep_blank_values=True)
    if len(dict(pairs)) != len(pairs):
        raise Malformed("the question in the address says something twice")
    try:
        asked = msgspec.convert(dict(pairs), kind, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise Malformed(f"the question in the address cannot be used: {why(error, kind)}") from error
    if wrong := [name for name, _ in pairs if getattr(asked, name) is None]:
        raise Malformed(f"the question in the address cannot be used: {wrong[0]} is null: leave it out")
    return asked


def read_identity(segment: str) -> str:
    """Read an identity in a path; what can be nobody's is nobody's."""
    identity = unquote(segment)
    if not re.fullmatch(IDENTITY, identity):
        raise NotFound("there is no such station in the registry")
    return identity


def read_number(segment: str) -> int:
    """Read a number in a path."""
    if not re.fullmatch("[1-9][0-9]{0,14}", segment):
        raise NotFound("the address ends in no number of a job or an operation")
    return int(segment)


def wish(asked: AnyAsked, now: datetime) -> Wish:
    """Return what stations are to do, or raise what stands against it."""
    match asked:
        case Trigger():
            return wishes.trigger(asked.message, asked.evse)
        case Install():
            return wishes.install(asked.certificate_type, asked.certificate, now)
        case Inventory():
            return wishes.inventory(asked.certificate_types)
        case Delete(certificate=None, issuer=None, certificate_hash_data=HashData() as named):
            return wishes.delete(msgspec.to_builtins(named))
        case Delete(certificate=str() as certificate, certificate_hash_data=None):
            return wishes.delete_certificate(certificate, asked.issuer or "")
        case Delete():
            raise Malformed("say either which certificate, or its certificateHashData")
        case Renewal():
            return wishes.password()
        case Upgrade():
            return wishes.upgrade(asked.profile, asked.url, asked.slot)
        case Learn():
            return wishes.learn()
        case Call():
            return wishes.call(asked.action, asked.payload)


def registered(asked: Registration, organization: str, secret: bytes | None) -> Station:
    """Return the station that is to be in the registry."""
    return Station(
        identity=asked.identity,
        serial_number=asked.serial_number or asked.identity,
        organization=asked.organization or organization,
        secc_ids=asked.secc_ids,
        profile=asked.profile,
        secret=secret,
        expired_allowed=asked.expired_allowed,
    )
