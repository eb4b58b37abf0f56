"""The handshake in which a car and a station agree on an edition of ISO 15118 (SupportedAppProtocol)."""

from __future__ import annotations

from typing import Annotated, Literal

from voltroot.v2g.exi.builtin import UnsignedByte, UnsignedInt
from voltroot.v2g.exi.datatypes import Integer, String
from voltroot.v2g.exi.declare import Model, Occurs

# Its schema qualifies the two messages and none of the elements in them.
P = "urn:iso:15118:2:2010:AppProtocol"

protocolNamespaceType = Annotated[str, String(longest=100, xml="anyURI")]
priorityType = Annotated[int, Integer(1, 20)]
responseCodeType = Literal[
    "OK_SuccessfulNegotiation", "OK_SuccessfulNegotiationWithMinorDeviation", "Failed_NoNegotiation"
]


class AppProtocolType(Model):
    """One edition of ISO 15118 that the car speaks, with its priority."""

    ProtocolNamespace: protocolNamespaceType
    VersionNumberMajor: UnsignedInt
    VersionNumberMinor: UnsignedInt
    SchemaID: UnsignedByte
    Priority: priorityType


class supportedAppProtocolReq(Model):
    """The car says what it speaks."""

    AppProtocol: Annotated[tuple[AppProtocolType, ...], Occurs(1, 20)]


class supportedAppProtocolRes(Model):
    """The station chooses."""

    ResponseCode: responseCodeType
    SchemaID: UnsignedByte | None = None
