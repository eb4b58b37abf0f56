"""Grammars: the widths and codes that libcbv2g, cbexigen, OpenV2G and EXIficient agree on."""

from __future__ import annotations

import pytest

from voltroot.errors import NotFound
from voltroot.v2g.exi import Schema, grammar, type_names
from voltroot.v2g.schemas import APP_PROTOCOL, ISO_2, ISO_20, SCHEMAS, XMLDSIG

# schema, type, state, width in bits, events in the order of their codes
FACTS: list[tuple[Schema, str, str, int, str]] = [
    (ISO_2, "MessageHeaderType", "before SessionID", 1, "SE(SessionID)"),
    (ISO_2, "MessageHeaderType", "before Notification", 2, "SE(Notification) SE(Signature) EE"),
    (ISO_2, "MessageHeaderType", "before Signature", 2, "SE(Signature) EE"),
    (ISO_2, "CertificateChainType", "before @Id", 2, "AT(Id) SE(Certificate)"),
    (ISO_2, "CertificateChainType", "before SubCertificates", 2, "SE(SubCertificates) EE"),
    (ISO_2, "SubCertificatesType", "before Certificate", 1, "SE(Certificate)"),
    (ISO_2, "SubCertificatesType", "after Certificate", 2, "SE(Certificate) EE"),
    (ISO_2, "SubCertificatesType", "at its end", 1, "EE"),
    (ISO_2, "CertificateUpdateRes", "before RetryCounter", 2, "SE(RetryCounter) EE"),
    (ISO_2, "EMAIDType", "before @Id", 1, "AT(Id)"),
    (ISO_20, "MessageHeaderType", "before Signature", 2, "SE(Signature) EE"),
    (ISO_20, "CertificateInstallationReq", "before PrioritizedEMAIDs", 2, "SE(PrioritizedEMAIDs) EE"),
    (
        ISO_20,
        "SignedInstallationDataType",
        "before SECP521_EncryptedPrivateKey or X448_EncryptedPrivateKey or TPM_EncryptedPrivateKey",
        2,
        "SE(SECP521_EncryptedPrivateKey) SE(X448_EncryptedPrivateKey) SE(TPM_EncryptedPrivateKey)",
    ),
    (XMLDSIG, "CanonicalizationMethod", "at its end", 2, "SE(*) EE CH"),
    (XMLDSIG, "DigestMethod", "at its end", 2, "SE(*) EE CH"),
    (XMLDSIG, "SignatureMethod", "at its end", 3, "SE(HMACOutputLength) SE(*) EE CH"),
    (XMLDSIG, "Transform", "at its end", 3, "SE(XPath) SE(*) EE CH"),
    (XMLDSIG, "Reference", "before @Id", 3, "AT(Id) AT(Type) AT(URI) SE(Transforms) SE(DigestMethod)"),
    (XMLDSIG, "Reference", "before Transforms", 2, "SE(Transforms) SE(DigestMethod)"),
    (XMLDSIG, "SignedInfo", "before @Id", 2, "AT(Id) SE(CanonicalizationMethod)"),
    (XMLDSIG, "SignedInfo", "after Reference", 2, "SE(Reference) EE"),
    (XMLDSIG, "Signature", "before @Id", 2, "AT(Id) SE(SignedInfo)"),
    (XMLDSIG, "Signature", "at its end", 2, "SE(KeyInfo) SE(Object) EE"),
    (XMLDSIG, "SignatureValue", "before @Id", 2, "AT(Id) CH"),
]

PAIRS = [
    *("Authorization", "CableCheck", "CertificateInstallation", "CertificateUpdate", "ChargeParameterDiscovery"),
    *("ChargingStatus", "CurrentDemand", "MeteringReceipt", "PaymentDetails", "PaymentServiceSelection"),
    *("PowerDelivery", "PreCharge", "ServiceDetail", "ServiceDiscovery", "SessionSetup", "SessionStop"),
    "WeldingDetection",
]
BODY = sorted(["BodyElement", *(f"{name}{end}" for name in PAIRS for end in ("Req", "Res"))])

WORDS = {
    (ISO_2, "CertificateInstallationRes"): "ResponseCode: one of 26 words",
    (ISO_20, "CertificateInstallationRes"): "ResponseCode: one of 40 words",
    (ISO_20, "SignedInstallationDataType"): "ECDHCurve: one of 2 words",
    (ISO_2, "NotificationType"): "FaultCode: one of 3 words",
}


def states(schema: Schema, name: str) -> dict[str, tuple[int, dict[int, str]]]:
    """The printed grammar, read back: width and events of each state."""
    found: dict[str, tuple[int, dict[int, str]]] = {}
    events: dict[int, str] = {}
    for line in grammar(schema, name).split("\n\n")[0].splitlines():
        if line.startswith("  "):
            _, code, label = line.split()
            events[int(code)] = label
        else:
            state, width = line.removeprefix(f"{name} ").split(": ")
            events = {}
            found[state] = (int(width.split()[0]), events)
    return found


@pytest.mark.parametrize(("schema", "name", "state", "width", "events"), FACTS)
def test_a_state_has_the_width_and_the_codes_of_the_facts(
    schema: Schema, name: str, state: str, width: int, events: str
) -> None:
    assert states(schema, name)[state] == (width, dict(enumerate(events.split())))


def test_the_body_is_a_substitution_group_of_35_in_six_bits() -> None:
    (width, events) = states(ISO_2, "BodyType")["before " + " or ".join(BODY)]
    assert width == 6
    assert events == dict(enumerate([*(f"SE({name})" for name in BODY), "EE"]))


@pytest.mark.parametrize(
    ("schema", "kind", "width", "codes"),
    [
        (ISO_2, "document", 7, {76: "SE(V2G_Message)", 80: "SE(*)"}),
        (
            ISO_2,
            "fragment",
            8,
            {
                4: "SE(AuthorizationReq)",
                15: "SE(CertificateInstallationReq)",
                16: "SE(CertificateInstallationRes)",
                17: "SE(CertificateUpdateReq)",
                33: "SE(ContractSignatureCertChain)",
                34: "SE(ContractSignatureEncryptedPrivateKey)",
                45: "SE(DHpublickey)",
                121: "SE(MeteringReceiptReq)",
                174: "SE(SalesTariff)",
                208: "SE(SignedInfo)",
                216: "SE(V2G_Message)",
                236: "SE(eMAID)",
                243: "SE(*)",
                244: "ED",
            },
        ),
        (XMLDSIG, "document", 5, {24: "SE(*)"}),
        (XMLDSIG, "fragment", 6, {32: "SE(SignedInfo)", 45: "SE(*)", 46: "ED"}),
        (
            ISO_20,
            "document",
            6,
            {7: "SE(CertificateInstallationReq)", 8: "SE(CertificateInstallationRes)", 54: "SE(*)"},
        ),
        (
            ISO_20,
            "fragment",
            9,
            {
                27: "SE(CertificateInstallationReq)",
                28: "SE(CertificateInstallationRes)",
                128: "SE(OEMProvisioningCertificateChain)",
                151: "SE(PnC_AReqAuthorizationMode)",
                230: "SE(SignedInfo)",
                231: "SE(SignedInstallationData)",
                281: "SE(*)",
                282: "ED",
            },
        ),
        (APP_PROTOCOL, "document", 2, {0: "SE(supportedAppProtocolReq)", 1: "SE(supportedAppProtocolRes)", 2: "SE(*)"}),
    ],
)
def test_documents_and_fragments_open_with_the_codes_of_the_facts(
    schema: Schema, kind: str, width: int, codes: dict[int, str]
) -> None:
    ((found, events),) = states(schema, kind).values()
    assert found == width
    assert codes.items() <= events.items()


@pytest.mark.parametrize(("where", "line"), WORDS.items())
def test_a_member_is_printed_with_its_type(where: tuple[Schema, str], line: str) -> None:
    assert line in grammar(*where).splitlines()


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=lambda schema: schema.name)
def test_every_type_has_a_grammar_whose_codes_have_room_for_the_escape(schema: Schema) -> None:
    for name in type_names(schema):
        for width, events in states(schema, name).values():
            assert len(events) < 2**width <= 2 * len(events)


def test_a_type_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(NotFound, match="known: AppProtocolType, supportedAppProtocolReq"):
        grammar(APP_PROTOCOL, "V2G_Message")
