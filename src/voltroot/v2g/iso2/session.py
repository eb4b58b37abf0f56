"""The messages of ISO 15118-2 before and after charging (MsgBody): names, order and types as in the standard."""

from __future__ import annotations

from typing import Annotated

from voltroot.v2g.exi.builtin import ID, Long, Short
from voltroot.v2g.exi.declare import Attribute, Model
from voltroot.v2g.iso2.datatypes import (
    CertificateChainType,
    ChargeServiceType,
    ContractSignatureEncryptedPrivateKeyType,
    DiffieHellmanPublickeyType,
    EMAIDType,
    ListOfRootCertificateIDsType,
    PaymentOptionListType,
    SelectedServiceListType,
    ServiceListType,
    ServiceParameterListType,
)
from voltroot.v2g.iso2.values import (
    EVSEProcessingType,
    certificateType,
    chargingSessionType,
    eMAIDType,
    evccIDType,
    evseIDType,
    genChallengeType,
    paymentOptionType,
    responseCodeType,
    serviceCategoryType,
    serviceIDType,
    serviceScopeType,
)

B = "urn:iso:15118:2:2013:MsgBody"


class Message(Model):
    """What a body may hold."""

    namespace = B


class SessionSetupReq(Message):
    """The car says who it is."""

    EVCCID: evccIDType


class SessionSetupRes(Message):
    """The station opens a session or joins an old one."""

    ResponseCode: responseCodeType
    EVSEID: evseIDType
    EVSETimeStamp: Long | None = None


class ServiceDiscoveryReq(Message):
    """The car asks for services."""

    ServiceScope: serviceScopeType | None = None
    ServiceCategory: serviceCategoryType | None = None


class ServiceDiscoveryRes(Message):
    """The station names its services and ways to pay."""

    ResponseCode: responseCodeType
    PaymentOptionList: PaymentOptionListType
    ChargeService: ChargeServiceType
    ServiceList: ServiceListType | None = None


class ServiceDetailReq(Message):
    """The car asks for the parameters of a service."""

    ServiceID: serviceIDType


class ServiceDetailRes(Message):
    """The station tells the parameters of a service."""

    ResponseCode: responseCodeType
    ServiceID: serviceIDType
    ServiceParameterList: ServiceParameterListType | None = None


class PaymentServiceSelectionReq(Message):
    """The car chooses services and a way to pay."""

    SelectedPaymentOption: paymentOptionType
    SelectedServiceList: SelectedServiceListType


class PaymentServiceSelectionRes(Message):
    """The station confirms what the car chose."""

    ResponseCode: responseCodeType


class PaymentDetailsReq(Message):
    """The car shows its contract certificate."""

    eMAID: eMAIDType
    ContractSignatureCertChain: CertificateChainType


class PaymentDetailsRes(Message):
    """The station challenges the car to prove that it has the contract key."""

    ResponseCode: responseCodeType
    GenChallenge: genChallengeType
    EVSETimeStamp: Long


class AuthorizationReq(Message):
    """The car answers the challenge; by contract, the message is signed."""

    signable = True

    Id: Annotated[ID | None, Attribute(B)] = None
    GenChallenge: genChallengeType | None = None


class AuthorizationRes(Message):
    """The station lets the car charge, or is still asking."""

    ResponseCode: responseCodeType
    EVSEProcessing: EVSEProcessingType


class SessionStopReq(Message):
    """The car ends or pauses the session."""

    ChargingSession: chargingSessionType


class SessionStopRes(Message):
    """The station confirms the end."""

    ResponseCode: responseCodeType


class CertificateUpdateReq(Message):
    """A car with a contract that expires asks for a new one; signed with the old contract key."""

    signable = True

    Id: Annotated[ID, Attribute(B)]
    ContractSignatureCertChain: CertificateChainType
    eMAID: eMAIDType
    ListOfRootCertificateIDs: ListOfRootCertificateIDsType


class CertificateUpdateRes(Message):
    """The answer holds the new contract; its four parts are signed by the CPS."""

    ResponseCode: responseCodeType
    SAProvisioningCertificateChain: CertificateChainType
    ContractSignatureCertChain: CertificateChainType
    ContractSignatureEncryptedPrivateKey: ContractSignatureEncryptedPrivateKeyType
    DHpublickey: DiffieHellmanPublickeyType
    eMAID: EMAIDType
    RetryCounter: Short | None = None


class CertificateInstallationReq(Message):
    """A car asks for a contract; signed with its provisioning key."""

    signable = True

    Id: Annotated[ID, Attribute(B)]
    OEMProvisioningCert: certificateType
    ListOfRootCertificateIDs: ListOfRootCertificateIDsType


class CertificateInstallationRes(Message):
    """The answer holds the contract; its four parts are signed by the CPS."""

    ResponseCode: responseCodeType
    SAProvisioningCertificateChain: CertificateChainType
    ContractSignatureCertChain: CertificateChainType
    ContractSignatureEncryptedPrivateKey: ContractSignatureEncryptedPrivateKeyType
    DHpublickey: DiffieHellmanPublickeyType
    eMAID: EMAIDType
