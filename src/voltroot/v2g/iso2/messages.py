"""The frame of every message of ISO 15118-2 (MsgDef, MsgHeader, MsgBody)."""

from __future__ import annotations

from typing import Annotated

from voltroot.v2g.exi.declare import Group, In, Model
from voltroot.v2g.iso2.charging import (
    CableCheckReq,
    CableCheckRes,
    ChargeParameterDiscoveryReq,
    ChargeParameterDiscoveryRes,
    ChargingStatusReq,
    ChargingStatusRes,
    CurrentDemandReq,
    CurrentDemandRes,
    MeteringReceiptReq,
    MeteringReceiptRes,
    PowerDeliveryReq,
    PowerDeliveryRes,
    PreChargeReq,
    PreChargeRes,
    WeldingDetectionReq,
    WeldingDetectionRes,
)
from voltroot.v2g.iso2.datatypes import NotificationType
from voltroot.v2g.iso2.session import (
    AuthorizationReq,
    AuthorizationRes,
    B,
    CertificateInstallationReq,
    CertificateInstallationRes,
    CertificateUpdateReq,
    CertificateUpdateRes,
    PaymentDetailsReq,
    PaymentDetailsRes,
    PaymentServiceSelectionReq,
    PaymentServiceSelectionRes,
    ServiceDetailReq,
    ServiceDetailRes,
    ServiceDiscoveryReq,
    ServiceDiscoveryRes,
    SessionSetupReq,
    SessionSetupRes,
    SessionStopReq,
    SessionStopRes,
)
from voltroot.v2g.iso2.values import sessionIDType
from voltroot.v2g.signature import DS, Signature

D = "urn:iso:15118:2:2013:MsgDef"
H = "urn:iso:15118:2:2013:MsgHeader"


class MessageHeaderType(Model):
    """What every message begins with: session, fault, signature."""

    namespace = H

    SessionID: sessionIDType
    Notification: NotificationType | None = None
    Signature: Annotated[Signature | None, In(DS)] = None


class BodyType(Model):
    """What a message says: one of 34 messages, or nothing."""

    namespace = B

    BodyElement: (
        Annotated[
            AuthorizationReq
            | AuthorizationRes
            | CableCheckReq
            | CableCheckRes
            | CertificateInstallationReq
            | CertificateInstallationRes
            | CertificateUpdateReq
            | CertificateUpdateRes
            | ChargeParameterDiscoveryReq
            | ChargeParameterDiscoveryRes
            | ChargingStatusReq
            | ChargingStatusRes
            | CurrentDemandReq
            | CurrentDemandRes
            | MeteringReceiptReq
            | MeteringReceiptRes
            | PaymentDetailsReq
            | PaymentDetailsRes
            | PaymentServiceSelectionReq
            | PaymentServiceSelectionRes
            | PowerDeliveryReq
            | PowerDeliveryRes
            | PreChargeReq
            | PreChargeRes
            | ServiceDetailReq
            | ServiceDetailRes
            | ServiceDiscoveryReq
            | ServiceDiscoveryRes
            | SessionSetupReq
            | SessionSetupRes
            | SessionStopReq
            | SessionStopRes
            | WeldingDetectionReq
            | WeldingDetectionRes,
            Group("BodyElement", B),
        ]
        | None
    ) = None


class V2G_Message(Model):
    """Every message of ISO 15118-2."""

    namespace = D

    Header: MessageHeaderType
    Body: BodyType
