"""The simple types of ISO 15118-2 (MsgDataTypes): words in their order, lengths and ranges as in the standard."""

from __future__ import annotations

from typing import Annotated, Literal

from voltroot.v2g.exi.builtin import UnsignedShort
from voltroot.v2g.exi.datatypes import Binary, Integer, String

percentValueType = Annotated[int, Integer(0, 100)]
faultMsgType = Annotated[str, String(longest=64)]
EVSEProcessingType = Literal["Finished", "Ongoing", "Ongoing_WaitingForCustomerInteraction"]
EVSENotificationType = Literal["None", "StopCharging", "ReNegotiation"]
chargeProgressType = Literal["Start", "Stop", "Renegotiate"]
chargingSessionType = Literal["Terminate", "Pause"]
serviceNameType = Annotated[str, String(longest=32)]
serviceCategoryType = Literal["EVCharging", "Internet", "ContractCertificate", "OtherCustom"]
serviceScopeType = Annotated[str, String(longest=64)]
maxNumPhasesType = Annotated[int, Integer(1, 3)]
EnergyTransferModeType = Literal[
    "AC_single_phase_core", "AC_three_phase_core", "DC_core", "DC_extended", "DC_combo_core", "DC_unique"
]
genChallengeType = Annotated[bytes, Binary(sizes=(16,))]
certificateType = Annotated[bytes, Binary(longest=800)]
dHpublickeyType = Annotated[bytes, Binary(longest=65)]
privateKeyType = Annotated[bytes, Binary(longest=48)]
sigMeterReadingType = Annotated[bytes, Binary(longest=64)]
sessionIDType = Annotated[bytes, Binary(longest=8, hexadecimal=True)]
evccIDType = Annotated[bytes, Binary(longest=6, hexadecimal=True)]
evseIDType = Annotated[str, String(7, 37)]
serviceIDType = UnsignedShort
eMAIDType = Annotated[str, String(14, 15)]
meterIDType = Annotated[str, String(longest=32)]
SAIDType = Annotated[int, Integer(1, 255)]
tariffDescriptionType = Annotated[str, String(longest=32)]
costKindType = Literal["relativePricePercentage", "RenewableGenerationPercentage", "CarbonDioxideEmission"]
paymentOptionType = Literal["Contract", "ExternalPayment"]
faultCodeType = Literal["ParsingError", "NoTLSRootCertificatAvailable", "UnknownError"]
responseCodeType = Literal[
    "OK",
    "OK_NewSessionEstablished",
    "OK_OldSessionJoined",
    "OK_CertificateExpiresSoon",
    "FAILED",
    "FAILED_SequenceError",
    "FAILED_ServiceIDInvalid",
    "FAILED_UnknownSession",
    "FAILED_ServiceSelectionInvalid",
    "FAILED_PaymentSelectionInvalid",
    "FAILED_CertificateExpired",
    "FAILED_SignatureError",
    "FAILED_NoCertificateAvailable",
    "FAILED_CertChainError",
    "FAILED_ChallengeInvalid",
    "FAILED_ContractCanceled",
    "FAILED_WrongChargeParameter",
    "FAILED_PowerDeliveryNotApplied",
    "FAILED_TariffSelectionInvalid",
    "FAILED_ChargingProfileInvalid",
    "FAILED_MeteringSignatureNotValid",
    "FAILED_NoChargeServiceSelected",
    "FAILED_WrongEnergyTransferMode",
    "FAILED_ContactorError",
    "FAILED_CertificateNotAllowedAtThisEVSE",
    "FAILED_CertificateRevoked",
]
unitMultiplierType = Annotated[int, Integer(-3, 3)]
unitSymbolType = Literal["h", "m", "s", "A", "V", "W", "Wh"]
DC_EVSEStatusCodeType = Literal[
    "EVSE_NotReady",
    "EVSE_Ready",
    "EVSE_Shutdown",
    "EVSE_UtilityInterruptEvent",
    "EVSE_IsolationMonitoringActive",
    "EVSE_EmergencyShutdown",
    "EVSE_Malfunction",
    "Reserved_8",
    "Reserved_9",
    "Reserved_A",
    "Reserved_B",
    "Reserved_C",
]
isolationLevelType = Literal["Invalid", "Valid", "Warning", "Fault", "No_IMD"]
DC_EVErrorCodeType = Literal[
    "NO_ERROR",
    "FAILED_RESSTemperatureInhibit",
    "FAILED_EVShiftPosition",
    "FAILED_ChargerConnectorLockFault",
    "FAILED_EVRESSMalfunction",
    "FAILED_ChargingCurrentdifferential",
    "FAILED_ChargingVoltageOutOfRange",
    "Reserved_A",
    "Reserved_B",
    "Reserved_C",
    "FAILED_ChargingSystemIncompatibility",
    "NoData",
]
