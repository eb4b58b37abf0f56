"""What messages of ISO 15118-2 are made of (MsgDataTypes): names, order, types and occurrences as in the standard."""

from __future__ import annotations

from typing import Annotated

from voltroot.v2g.exi.builtin import (
    ID,
    Byte,
    Int,
    Long,
    Short,
    Text,
    UnsignedInt,
    UnsignedLong,
    UnsignedShort,
)
from voltroot.v2g.exi.declare import CONTENT, Attribute, Choice, Model, Occurs
from voltroot.v2g.iso2.values import (
    DC_EVErrorCodeType,
    DC_EVSEStatusCodeType,
    EnergyTransferModeType,
    EVSENotificationType,
    certificateType,
    dHpublickeyType,
    eMAIDType,
    faultCodeType,
    faultMsgType,
    isolationLevelType,
    meterIDType,
    paymentOptionType,
    percentValueType,
    privateKeyType,
    serviceCategoryType,
    serviceIDType,
    serviceNameType,
    serviceScopeType,
    sigMeterReadingType,
    unitMultiplierType,
    unitSymbolType,
)
from voltroot.v2g.signature import X509IssuerSerialType

T = "urn:iso:15118:2:2013:MsgDataTypes"


class DataType(Model):
    """A type of the namespace of data types."""

    namespace = T


class ServiceType(DataType):
    """A service of the station: charging, or one that is sold beside it."""

    ServiceID: serviceIDType
    ServiceName: serviceNameType | None = None
    ServiceCategory: serviceCategoryType
    ServiceScope: serviceScopeType | None = None
    FreeService: bool


class ServiceListType(DataType):
    """Services beside charging."""

    Service: Annotated[tuple[ServiceType, ...], Occurs(1, 8)]


class SelectedServiceListType(DataType):
    """The services that the car takes."""

    SelectedService: Annotated[tuple[SelectedServiceType, ...], Occurs(1, 16)]


class SelectedServiceType(DataType):
    """A service that the car takes, with its set of parameters."""

    ServiceID: serviceIDType
    ParameterSetID: Short | None = None


class ServiceParameterListType(DataType):
    """The sets of parameters of a service."""

    ParameterSet: Annotated[tuple[ParameterSetType, ...], Occurs(1, 255)]


class ParameterSetType(DataType):
    """A set of parameters that is chosen as one."""

    ParameterSetID: Short
    Parameter: Annotated[tuple[ParameterType, ...], Occurs(1, 16)]


class ParameterType(DataType):
    """A parameter of a service: a name and one value."""

    Name: Annotated[Text, Attribute(T)]
    boolValue: Annotated[bool | None, Choice()] = None
    byteValue: Annotated[Byte | None, Choice()] = None
    shortValue: Annotated[Short | None, Choice()] = None
    intValue: Annotated[Int | None, Choice()] = None
    physicalValue: Annotated[PhysicalValueType | None, Choice()] = None
    stringValue: Annotated[Text | None, Choice()] = None


class ChargeServiceType(DataType):
    """The charging service and how energy may flow."""

    ServiceID: serviceIDType
    ServiceName: serviceNameType | None = None
    ServiceCategory: serviceCategoryType
    ServiceScope: serviceScopeType | None = None
    FreeService: bool
    SupportedEnergyTransferMode: SupportedEnergyTransferModeType


class SupportedEnergyTransferModeType(DataType):
    """The ways in which energy may flow."""

    EnergyTransferMode: Annotated[tuple[EnergyTransferModeType, ...], Occurs(1, 6)]


class ContractSignatureEncryptedPrivateKeyType(DataType):
    """The contract key, sealed for the car: initialisation vector and ciphertext ([V2G2-815])."""

    signable = True

    Id: Annotated[ID, Attribute(T)]
    value: Annotated[privateKeyType, CONTENT]


class DiffieHellmanPublickeyType(DataType):
    """The ephemeral public key by which the contract key was sealed, an uncompressed point."""

    signable = True

    Id: Annotated[ID, Attribute(T)]
    value: Annotated[dHpublickeyType, CONTENT]


class EMAIDType(DataType):
    """The EMAID of a contract, with a name for signatures."""

    signable = True

    Id: Annotated[ID, Attribute(T)]
    value: Annotated[eMAIDType, CONTENT]


class CertificateChainType(DataType):
    """A leaf certificate and those between it and its root, in DER."""

    signable = True

    Id: Annotated[ID | None, Attribute(T)] = None
    Certificate: certificateType
    SubCertificates: SubCertificatesType | None = None


class SubCertificatesType(DataType):
    """The certificates between a leaf and its root."""

    Certificate: Annotated[tuple[certificateType, ...], Occurs(1, 4)]


class ListOfRootCertificateIDsType(DataType):
    """The V2G roots that the car has."""

    RootCertificateID: Annotated[tuple[X509IssuerSerialType, ...], Occurs(1, 20)]


class MeterInfoType(DataType):
    """What the station's meter reads."""

    MeterID: meterIDType
    MeterReading: UnsignedLong | None = None
    SigMeterReading: sigMeterReadingType | None = None
    MeterStatus: Short | None = None
    TMeter: Long | None = None


class PhysicalValueType(DataType):
    """A quantity: a value, a power of ten, a unit."""

    Multiplier: unitMultiplierType
    Unit: unitSymbolType
    Value: Short


class NotificationType(DataType):
    """What a party has to say about a fault."""

    FaultCode: faultCodeType
    FaultMsg: faultMsgType | None = None


class AC_EVSEStatus(DataType):
    """The state of an AC station."""

    NotificationMaxDelay: UnsignedShort
    EVSENotification: EVSENotificationType
    RCD: bool


class DC_EVSEStatus(DataType):
    """The state of a DC station."""

    NotificationMaxDelay: UnsignedShort
    EVSENotification: EVSENotificationType
    EVSEIsolationStatus: isolationLevelType | None = None
    EVSEStatusCode: DC_EVSEStatusCodeType


class DC_EVStatus(DataType):
    """The state of a car that charges with DC."""

    EVReady: bool
    EVErrorCode: DC_EVErrorCodeType
    EVRESSSOC: percentValueType


class AC_EVChargeParameter(DataType):
    """What a car can take and needs by AC."""

    DepartureTime: UnsignedInt | None = None
    EAmount: PhysicalValueType
    EVMaxVoltage: PhysicalValueType
    EVMaxCurrent: PhysicalValueType
    EVMinCurrent: PhysicalValueType


class DC_EVChargeParameter(DataType):
    """What a car can take and needs by DC."""

    DepartureTime: UnsignedInt | None = None
    DC_EVStatus: DC_EVStatus
    EVMaximumCurrentLimit: PhysicalValueType
    EVMaximumPowerLimit: PhysicalValueType | None = None
    EVMaximumVoltageLimit: PhysicalValueType
    EVEnergyCapacity: PhysicalValueType | None = None
    EVEnergyRequest: PhysicalValueType | None = None
    FullSOC: percentValueType | None = None
    BulkSOC: percentValueType | None = None


class AC_EVSEChargeParameter(DataType):
    """What a station gives by AC."""

    AC_EVSEStatus: AC_EVSEStatus
    EVSENominalVoltage: PhysicalValueType
    EVSEMaxCurrent: PhysicalValueType


class DC_EVSEChargeParameter(DataType):
    """What a station gives by DC."""

    DC_EVSEStatus: DC_EVSEStatus
    EVSEMaximumCurrentLimit: PhysicalValueType
    EVSEMaximumPowerLimit: PhysicalValueType
    EVSEMaximumVoltageLimit: PhysicalValueType
    EVSEMinimumCurrentLimit: PhysicalValueType
    EVSEMinimumVoltageLimit: PhysicalValueType
    EVSECurrentRegulationTolerance: PhysicalValueType | None = None
    EVSEPeakCurrentRipple: PhysicalValueType
    EVSEEnergyToBeDelivered: PhysicalValueType | None = None


class DC_EVPowerDeliveryParameter(DataType):
    """How far a car has charged by DC."""

    DC_EVStatus: DC_EVStatus
    BulkChargingComplete: bool | None = None
    ChargingComplete: bool


class PaymentOptionListType(DataType):
    """The ways to pay."""

    PaymentOption: Annotated[tuple[paymentOptionType, ...], Occurs(1, 2)]
