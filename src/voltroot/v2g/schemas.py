"""The schema sets of ISO 15118 and the codes of their elements among all of their names (EXI 8.5.1, 8.5.2)."""

from __future__ import annotations

from voltroot.v2g import appprotocol, iso2, iso20, signature
from voltroot.v2g.exi import Decoded, Kind, Root, Schema, Unreadable, decode

# {MsgBody}eMAID is declared with a simple and with a complex type, so that fragments code it by an element-fragment
# grammar (EXI 8.5.3). libcbv2g takes the complex type instead: its digests of eMAID are wrong.
_EMAID = {"AT(Id)": (9, 4), "CH": (9, 256), "EE": (8, 244)}

ISO_2 = Schema(
    "iso2",
    "ISO 15118-2",
    elements=80,
    qnames=243,
    documents={"V2G_Message": Root(76, iso2.V2G_Message, iso2.D)},
    fragments={
        "AuthorizationReq": Root(4, iso2.AuthorizationReq, iso2.B),
        "CertificateInstallationReq": Root(15, iso2.CertificateInstallationReq, iso2.B),
        "CertificateInstallationRes": Root(16, iso2.CertificateInstallationRes, iso2.B),
        "CertificateUpdateReq": Root(17, iso2.CertificateUpdateReq, iso2.B),
        "CertificateUpdateRes": Root(18, iso2.CertificateUpdateRes, iso2.B),
        "ContractSignatureCertChain": Root(33, iso2.CertificateChainType, iso2.B),
        "ContractSignatureEncryptedPrivateKey": Root(34, iso2.ContractSignatureEncryptedPrivateKeyType, iso2.B),
        "DHpublickey": Root(45, iso2.DiffieHellmanPublickeyType, iso2.B),
        "MeteringReceiptReq": Root(121, iso2.MeteringReceiptReq, iso2.B),
        "SalesTariff": Root(174, iso2.SalesTariffType, iso2.T),
        "SignedInfo": Root(208, signature.SignedInfo, signature.DS),
        "V2G_Message": Root(216, iso2.V2G_Message, iso2.D),
        "eMAID": Root(236, iso2.EMAIDType, iso2.B, relaxed=_EMAID),
    },
)

ISO_20 = Schema(
    "iso20",
    "ISO 15118-20 CommonMessages",
    elements=54,
    qnames=281,
    documents={
        "AuthorizationReq": Root(0, iso20.AuthorizationReq, iso20.CM),
        "AuthorizationRes": Root(1, iso20.AuthorizationRes, iso20.CM),
        "AuthorizationSetupReq": Root(2, iso20.AuthorizationSetupReq, iso20.CM),
        "AuthorizationSetupRes": Root(3, iso20.AuthorizationSetupRes, iso20.CM),
        "CertificateInstallationReq": Root(7, iso20.CertificateInstallationReq, iso20.CM),
        "CertificateInstallationRes": Root(8, iso20.CertificateInstallationRes, iso20.CM),
    },
    fragments={
        "AuthorizationReq": Root(10, iso20.AuthorizationReq, iso20.CM),
        "CertificateInstallationReq": Root(27, iso20.CertificateInstallationReq, iso20.CM),
        "CertificateInstallationRes": Root(28, iso20.CertificateInstallationRes, iso20.CM),
        "OEMProvisioningCertificateChain": Root(128, iso20.SignedCertificateChainType, iso20.CM),
        "PnC_AReqAuthorizationMode": Root(151, iso20.PnC_AReqAuthorizationModeType, iso20.CM),
        "SignedInfo": Root(230, signature.SignedInfo, signature.DS),
        "SignedInstallationData": Root(231, iso20.SignedInstallationDataType, iso20.CM),
    },
)

# Signatures are made of this SignedInfo: the schema of XML Signature alone ([V2G20-1449], ISO 15118-2 Annex J)
XMLDSIG = Schema(
    "xmldsig",
    "XML Signature",
    elements=24,
    qnames=45,
    documents={"Signature": Root(15, signature.Signature, signature.DS)},
    fragments={
        "Signature": Root(27, signature.Signature, signature.DS),
        "SignedInfo": Root(32, signature.SignedInfo, signature.DS),
    },
)

APP_PROTOCOL = Schema(
    "appprotocol",
    "SupportedAppProtocol",
    elements=2,
    qnames=9,
    documents={
        "supportedAppProtocolReq": Root(0, appprotocol.supportedAppProtocolReq, appprotocol.P),
        "supportedAppProtocolRes": Root(1, appprotocol.supportedAppProtocolRes, appprotocol.P),
    },
    fragments={},
)

SCHEMAS = {schema.name: schema for schema in (ISO_2, ISO_20, XMLDSIG, APP_PROTOCOL)}

_KINDS: tuple[Kind, ...] = ("document", "fragment")


def recognise(octets: bytes) -> Decoded:
    """The message in a stream of which nothing is known: the first schema set by which it can be read to its end."""
    faults: list[Unreadable] = []
    for kind in _KINDS:
        for schema in SCHEMAS.values():
            try:
                return decode(octets, schema, kind)
            except Unreadable as fault:
                faults.append(fault)
    raise max(faults, key=lambda fault: fault.bit or 0)
