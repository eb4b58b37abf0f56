"""Messages of ISO 15118-20 (CommonMessages) on authorization and contract certificates, named as in the standard."""

from __future__ import annotations

from typing import Annotated, Literal

from voltroot.v2g.exi.builtin import ID, UnsignedByte, UnsignedLong
from voltroot.v2g.exi.datatypes import Binary, String
from voltroot.v2g.exi.declare import Attribute, Choice, In, Model, Occurs
from voltroot.v2g.signature import DS, Signature, X509IssuerSerialType

CM = "urn:iso:std:iso:15118:-20:CommonMessages"
CT = "urn:iso:std:iso:15118:-20:CommonTypes"

sessionIDType = Annotated[bytes, Binary(sizes=(8,), hexadecimal=True)]
genChallengeType = Annotated[bytes, Binary(sizes=(16,))]
certificateType = Annotated[bytes, Binary(longest=1600)]
identifierType = Annotated[str, String(longest=255)]
nameType = Annotated[str, String(longest=80)]
# [V2G20-2495] an X448 key has 57 octets, although the schema knows 133 only
dhPublicKeyType = Annotated[bytes, Binary(sizes=(133, 57))]
secp521_EncryptedPrivateKeyType = Annotated[bytes, Binary(sizes=(94,))]
x448_EncryptedPrivateKeyType = Annotated[bytes, Binary(sizes=(84,))]
tpm_EncryptedPrivateKeyType = Annotated[bytes, Binary(sizes=(206,))]
ecdhCurveType = Literal["SECP521", "X448"]
authorizationType = Literal["EIM", "PnC"]
processingType = Literal["Finished", "Ongoing", "Ongoing_WaitingForCustomerInteraction"]
responseCodeType = Literal[
    "OK",
    "OK_CertificateExpiresSoon",
    "OK_NewSessionEstablished",
    "OK_OldSessionJoined",
    "OK_PowerToleranceConfirmed",
    "WARNING_AuthorizationSelectionInvalid",
    "WARNING_CertificateExpired",
    "WARNING_CertificateNotYetValid",
    "WARNING_CertificateRevoked",
    "WARNING_CertificateValidationError",
    "WARNING_ChallengeInvalid",
    "WARNING_EIMAuthorizationFailure",
    "WARNING_eMSPUnknown",
    "WARNING_EVPowerProfileViolation",
    "WARNING_GeneralPnCAuthorizationError",
    "WARNING_NoCertificateAvailable",
    "WARNING_NoContractMatchingPCIDFound",
    "WARNING_PowerToleranceNotConfirmed",
    "WARNING_ScheduleRenegotiationFailed",
    "WARNING_StandbyNotAllowed",
    "WARNING_WPT",
    "FAILED",
    "FAILED_AssociationError",
    "FAILED_ContactorError",
    "FAILED_EVPowerProfileInvalid",
    "FAILED_EVPowerProfileViolation",
    "FAILED_MeteringSignatureNotValid",
    "FAILED_NoEnergyTransferServiceSelected",
    "FAILED_NoServiceRenegotiationSupported",
    "FAILED_PauseNotAllowed",
    "FAILED_PowerDeliveryNotApplied",
    "FAILED_PowerToleranceNotConfirmed",
    "FAILED_ScheduleRenegotiation",
    "FAILED_ScheduleSelectionInvalid",
    "FAILED_SequenceError",
    "FAILED_ServiceIDInvalid",
    "FAILED_ServiceSelectionInvalid",
    "FAILED_SignatureError",
    "FAILED_UnknownSession",
    "FAILED_WrongChargeParameter",
]


class MessageHeaderType(Model):
    """What every message begins with: session, time, signature."""

    namespace = CT

    SessionID: sessionIDType
    TimeStamp: UnsignedLong
    Signature: Annotated[Signature | None, In(DS)] = None


class ListOfRootCertificateIDsType(Model):
    """The V2G roots that the car has."""

    namespace = CT

    RootCertificateID: Annotated[tuple[X509IssuerSerialType, ...], Occurs(1, 20)]


class _CommonMessages(Model):
    namespace = CM


class SubCertificatesType(_CommonMessages):
    """The certificates between a leaf and its root."""

    Certificate: Annotated[tuple[certificateType, ...], Occurs(1, 3)]


class CertificateChainType(_CommonMessages):
    """A leaf certificate and, if there are any, those between it and its root, in DER."""

    Certificate: certificateType
    SubCertificates: SubCertificatesType | None = None


class SignedCertificateChainType(_CommonMessages):
    """A chain to which a signature may refer."""

    signable = True

    Id: Annotated[ID, Attribute(CM)]
    Certificate: certificateType
    SubCertificates: SubCertificatesType | None = None


class ContractCertificateChainType(_CommonMessages):
    """A contract certificate and those between it and its root."""

    Certificate: certificateType
    SubCertificates: SubCertificatesType


class EMAIDListType(_CommonMessages):
    """The contracts that the car asks for first."""

    EMAID: Annotated[tuple[identifierType, ...], Occurs(1, 8)]


class SignedInstallationDataType(_CommonMessages):
    """A contract and its key, sealed for the car: what the CPS signs."""

    signable = True

    Id: Annotated[ID, Attribute(CM)]
    ContractCertificateChain: ContractCertificateChainType
    ECDHCurve: ecdhCurveType
    DHPublicKey: dhPublicKeyType
    SECP521_EncryptedPrivateKey: Annotated[secp521_EncryptedPrivateKeyType | None, Choice()] = None
    X448_EncryptedPrivateKey: Annotated[x448_EncryptedPrivateKeyType | None, Choice()] = None
    TPM_EncryptedPrivateKey: Annotated[tpm_EncryptedPrivateKeyType | None, Choice()] = None


class SupportedProvidersListType(_CommonMessages):
    """The mobility operators whose contracts the station takes."""

    ProviderID: Annotated[tuple[nameType, ...], Occurs(1, 128)]


class EIM_ASResAuthorizationModeType(_CommonMessages):
    """Paying at the station needs no more words."""


class PnC_ASResAuthorizationModeType(_CommonMessages):
    """The challenge to a car that will charge by contract."""

    GenChallenge: genChallengeType
    SupportedProviders: SupportedProvidersListType | None = None


class EIM_AReqAuthorizationModeType(_CommonMessages):
    """Paying at the station needs no more words."""


class PnC_AReqAuthorizationModeType(_CommonMessages):
    """The answer to the challenge, with the contract: what the car signs."""

    signable = True

    Id: Annotated[ID, Attribute(CM)]
    GenChallenge: genChallengeType
    ContractCertificateChain: ContractCertificateChainType


class _Request(_CommonMessages):
    Header: Annotated[MessageHeaderType, In(CT)]


class _Response(_CommonMessages):
    Header: Annotated[MessageHeaderType, In(CT)]
    ResponseCode: Annotated[responseCodeType, In(CT)]


class AuthorizationSetupReq(_Request):
    """The car asks how it may be authorised."""


class AuthorizationSetupRes(_Response):
    """The station tells how, and whether contracts can be installed."""

    AuthorizationServices: Annotated[tuple[authorizationType, ...], Occurs(1, 2)]
    CertificateInstallationService: bool
    EIM_ASResAuthorizationMode: Annotated[EIM_ASResAuthorizationModeType | None, Choice()] = None
    PnC_ASResAuthorizationMode: Annotated[PnC_ASResAuthorizationModeType | None, Choice()] = None


class AuthorizationReq(_Request):
    """The car asks to charge: by contract, or paid at the station."""

    SelectedAuthorizationService: authorizationType
    EIM_AReqAuthorizationMode: Annotated[EIM_AReqAuthorizationModeType | None, Choice()] = None
    PnC_AReqAuthorizationMode: Annotated[PnC_AReqAuthorizationModeType | None, Choice()] = None


class AuthorizationRes(_Response):
    """The station lets the car charge, or is still asking."""

    EVSEProcessing: processingType


class CertificateInstallationReq(_Request):
    """A car asks for contracts; signed with its provisioning key."""

    OEMProvisioningCertificateChain: SignedCertificateChainType
    ListOfRootCertificateIDs: ListOfRootCertificateIDsType
    MaximumContractCertificateChains: UnsignedByte
    PrioritizedEMAIDs: EMAIDListType | None = None


class CertificateInstallationRes(_Response):
    """One contract, and how many are left."""

    EVSEProcessing: processingType
    CPSCertificateChain: CertificateChainType
    SignedInstallationData: SignedInstallationDataType
    RemainingContractCertificateChains: UnsignedByte
