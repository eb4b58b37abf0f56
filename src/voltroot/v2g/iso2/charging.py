"""The messages of ISO 15118-2 by which a car charges (MsgBody): names, order and types as in the standard."""

from __future__ import annotations

from typing import Annotated

from voltroot.v2g.exi.builtin import ID, UnsignedShort
from voltroot.v2g.exi.declare import Attribute, Group
from voltroot.v2g.iso2.datatypes import (
    AC_EVChargeParameter,
    AC_EVSEChargeParameter,
    AC_EVSEStatus,
    DC_EVChargeParameter,
    DC_EVPowerDeliveryParameter,
    DC_EVSEChargeParameter,
    DC_EVSEStatus,
    DC_EVStatus,
    MeterInfoType,
    PhysicalValueType,
    T,
)
from voltroot.v2g.iso2.schedules import ChargingProfileType, SAScheduleList
from voltroot.v2g.iso2.session import B, Message
from voltroot.v2g.iso2.values import (
    EnergyTransferModeType,
    EVSEProcessingType,
    SAIDType,
    chargeProgressType,
    evseIDType,
    responseCodeType,
    sessionIDType,
)


class ChargeParameterDiscoveryReq(Message):
    """The car says what it can take."""

    MaxEntriesSAScheduleTuple: UnsignedShort | None = None
    RequestedEnergyTransferMode: EnergyTransferModeType
    EVChargeParameter: Annotated[AC_EVChargeParameter | DC_EVChargeParameter, Group("EVChargeParameter", T)]


class ChargeParameterDiscoveryRes(Message):
    """The station says what it gives, when and at which price."""

    ResponseCode: responseCodeType
    EVSEProcessing: EVSEProcessingType
    SASchedules: Annotated[SAScheduleList | None, Group("SASchedules", T)] = None
    EVSEChargeParameter: Annotated[AC_EVSEChargeParameter | DC_EVSEChargeParameter, Group("EVSEChargeParameter", T)]


class PowerDeliveryReq(Message):
    """The car begins to charge, changes its profile or stops."""

    ChargeProgress: chargeProgressType
    SAScheduleTupleID: SAIDType
    ChargingProfile: ChargingProfileType | None = None
    EVPowerDeliveryParameter: Annotated[DC_EVPowerDeliveryParameter | None, Group("EVPowerDeliveryParameter", T)] = None


class PowerDeliveryRes(Message):
    """The station confirms that power flows or stops."""

    ResponseCode: responseCodeType
    EVSEStatus: Annotated[AC_EVSEStatus | DC_EVSEStatus, Group("EVSEStatus", T)]


class MeteringReceiptReq(Message):
    """The car signs what the meter reads."""

    signable = True

    Id: Annotated[ID | None, Attribute(B)] = None
    SessionID: sessionIDType
    SAScheduleTupleID: SAIDType | None = None
    MeterInfo: MeterInfoType


class MeteringReceiptRes(Message):
    """The station takes the receipt."""

    ResponseCode: responseCodeType
    EVSEStatus: Annotated[AC_EVSEStatus | DC_EVSEStatus, Group("EVSEStatus", T)]


class ChargingStatusReq(Message):
    """The car that charges by AC asks for news."""


class ChargingStatusRes(Message):
    """The station tells limits and meter."""

    ResponseCode: responseCodeType
    EVSEID: evseIDType
    SAScheduleTupleID: SAIDType
    EVSEMaxCurrent: PhysicalValueType | None = None
    MeterInfo: MeterInfoType | None = None
    ReceiptRequired: bool | None = None
    AC_EVSEStatus: AC_EVSEStatus


class CableCheckReq(Message):
    """The car that will charge by DC asks to test the cable."""

    DC_EVStatus: DC_EVStatus


class CableCheckRes(Message):
    """The station tells how the test of the insulation goes."""

    ResponseCode: responseCodeType
    DC_EVSEStatus: DC_EVSEStatus
    EVSEProcessing: EVSEProcessingType


class PreChargeReq(Message):
    """The car asks to match the voltage."""

    DC_EVStatus: DC_EVStatus
    EVTargetVoltage: PhysicalValueType
    EVTargetCurrent: PhysicalValueType


class PreChargeRes(Message):
    """The station tells its voltage."""

    ResponseCode: responseCodeType
    DC_EVSEStatus: DC_EVSEStatus
    EVSEPresentVoltage: PhysicalValueType


class CurrentDemandReq(Message):
    """The car that charges by DC says what it wants now."""

    DC_EVStatus: DC_EVStatus
    EVTargetCurrent: PhysicalValueType
    EVMaximumVoltageLimit: PhysicalValueType | None = None
    EVMaximumCurrentLimit: PhysicalValueType | None = None
    EVMaximumPowerLimit: PhysicalValueType | None = None
    BulkChargingComplete: bool | None = None
    ChargingComplete: bool
    RemainingTimeToFullSoC: PhysicalValueType | None = None
    RemainingTimeToBulkSoC: PhysicalValueType | None = None
    EVTargetVoltage: PhysicalValueType


class CurrentDemandRes(Message):
    """The station says what it gives now."""

    ResponseCode: responseCodeType
    DC_EVSEStatus: DC_EVSEStatus
    EVSEPresentVoltage: PhysicalValueType
    EVSEPresentCurrent: PhysicalValueType
    EVSECurrentLimitAchieved: bool
    EVSEVoltageLimitAchieved: bool
    EVSEPowerLimitAchieved: bool
    EVSEMaximumVoltageLimit: PhysicalValueType | None = None
    EVSEMaximumCurrentLimit: PhysicalValueType | None = None
    EVSEMaximumPowerLimit: PhysicalValueType | None = None
    EVSEID: evseIDType
    SAScheduleTupleID: SAIDType
    MeterInfo: MeterInfoType | None = None
    ReceiptRequired: bool | None = None


class WeldingDetectionReq(Message):
    """The car looks whether its contactors have opened."""

    DC_EVStatus: DC_EVStatus


class WeldingDetectionRes(Message):
    """The station tells its voltage."""

    ResponseCode: responseCodeType
    DC_EVSEStatus: DC_EVSEStatus
    EVSEPresentVoltage: PhysicalValueType
