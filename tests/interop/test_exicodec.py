"""EXICodec.jar, as the PyPI package ``iso15118`` calls it, reads what we write and writes what we read; its faults."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from peers import environment
from random_messages import values
from signing import VECTORS, Vector
from voltroot.bench import codecs
from voltroot.errors import Unavailable
from voltroot.v2g import appprotocol, forms, iso2, iso20
from voltroot.v2g.exi import Model, Schema, encode, encode_fragment
from voltroot.v2g.exi.declare import fields
from voltroot.v2g.schemas import APP_PROTOCOL, ISO_2, ISO_20
from voltroot.v2g.signature import DS

pytestmark = pytest.mark.slow

NAMESPACES = {"iso2": iso2.D, "iso20": iso20.CM, "xmldsig": DS, "appprotocol": appprotocol.P}

# What EXICodec.jar 1.55 does wrong, each with its reason. Nothing else may differ.

NO_FRAGMENT = "it takes the element for a document: only some elements of a table of its own become fragments"
OWN_ALGORITHMS = "of SignedInfo it reads URI and DigestValue alone, and writes the algorithms of -2 whatever was given"
OWN_GRAMMAR = "it codes SignedInfo under xmldsig alone, also where the grammar of the messages was asked for"
EMPTY = "an element without text becomes an escape code, as SAX reports no text; others do not read that"
ENCODES_WRONGLY = {
    "iso20_frag_CertificateInstallationReq_nosig": NO_FRAGMENT,
    "iso20_frag_SignedInstallationData": NO_FRAGMENT,
    "iso20_frag_SignedInfo_in_CommonMessages": OWN_GRAMMAR,
    "iso2_frag_SignedInfo_in_MsgDef": OWN_GRAMMAR,
    "xmldsig_frag_SignedInfo_sha512": OWN_ALGORITHMS,
    "iso2_cert_install_res_failed_min_ch0": EMPTY,
}

# It reads no fragment of a message: it takes all that comes for documents.
DECODES_FRAGMENTS = {"xmldsig"}


class Full(NamedTuple):
    """A list that may not be as long as the schema allows: after so many items the jar expects yet another."""

    model: type[Model]
    member: str


class Absent(NamedTuple):
    """A number that may be absent: the jar writes and reads 0 then, as its Java class has no absent number."""

    model: type[Model]
    member: str


FULL = [
    Full(iso2.ListOfRootCertificateIDsType, "RootCertificateID"),
    Full(iso2.SelectedServiceListType, "SelectedService"),
    Full(iso2.ChargingProfileType, "ProfileEntry"),
    Full(iso2.ParameterSetType, "Parameter"),
]
ABSENT = [
    Absent(iso2.MeteringReceiptReq, "SAScheduleTupleID"),
    Absent(iso2.SalesTariffType, "NumEPriceLevels"),
    Absent(iso2.SalesTariffEntry, "EPriceLevel"),
    Absent(appprotocol.supportedAppProtocolRes, "SchemaID"),
]


@pytest.fixture(scope="module")
def jar() -> Iterator[codecs.Codec]:
    with codecs.jar(environment()) as codec:
        assert codec.name == "EXICodec.jar 1.55"
        yield codec


def encoded(jar: codecs.Codec, schema: Schema, document: dict[str, Any]) -> bytes:
    return bytes.fromhex(jar.ask(do="encode", namespace=NAMESPACES[schema.name], json=document)["exi"])


def decoded(jar: codecs.Codec, schema: Schema, octets: bytes) -> Any:
    return jar.ask(do="decode", namespace=NAMESPACES[schema.name], exi=octets.hex())["json"]


# The vectors


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)
def test_it_encodes_the_vectors_as_we_do(jar: codecs.Codec, vector: Vector) -> None:
    assert (encoded(jar, vector.schema, vector.json) == vector.exi) == (vector.name not in ENCODES_WRONGLY)


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)
def test_it_decodes_the_vectors_as_we_do(jar: codecs.Codec, vector: Vector) -> None:
    if vector.kind == "document" or vector.schema.name in DECODES_FRAGMENTS:
        assert decoded(jar, vector.schema, vector.exi) == vector.json
        return
    with contextlib.suppress(Unavailable):
        assert decoded(jar, vector.schema, vector.exi) != vector.json


# Any message


def messages(body: type[Model]) -> st.SearchStrategy[Model]:
    """Messages of -2 with a body of this kind; what is signed has vectors of its own."""
    header = st.builds(
        lambda octets, notification: iso2.MessageHeaderType(SessionID=octets, Notification=notification),
        st.binary(min_size=1, max_size=8),
        st.none() | values(iso2.NotificationType, shortest=1),
    )
    return st.builds(
        lambda header, body: iso2.V2G_Message(Header=header, Body=iso2.BodyType(BodyElement=body)),
        header,
        values(body, shortest=1),
    )


KINDS: dict[str, tuple[Schema, st.SearchStrategy[Model]]] = {
    **{f"iso2 {body.__name__}": (ISO_2, messages(body)) for body in fields(iso2.BodyType)[0].members},
    **{
        f"{schema.name} {name}": (schema, values(root.model, shortest=1))
        for schema in (ISO_20, APP_PROTOCOL)
        for name, root in schema.documents.items()
    },
}
FRAGMENTS = {
    "AuthorizationReq": ISO_2, "CertificateInstallationReq": ISO_2, "MeteringReceiptReq": ISO_2,
    "ContractSignatureCertChain": ISO_2, "ContractSignatureEncryptedPrivateKey": ISO_2, "DHpublickey": ISO_2,
    "eMAID": ISO_2, "OEMProvisioningCertificateChain": ISO_20,
    "PnC_AReqAuthorizationMode": ISO_20,
}  # fmt: skip
few = settings(
    max_examples=5, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


def spared(value: Any) -> Any:
    """The value without what the jar is known to do wrong."""
    if isinstance(value, tuple):
        return tuple(map(spared, value))
    if not isinstance(value, Model):
        return value
    members = {name: spared(getattr(value, name)) for name in value.__struct_fields__}
    most = {field.name: field.most for field in fields(type(value))}
    for full in FULL:
        if type(value) is full.model and len(members[full.member]) == most[full.member]:
            members[full.member] = members[full.member][:-1]
    for absent in ABSENT:
        if type(value) is absent.model and members[absent.member] is None:
            members[absent.member] = 1
    return msgspec.structs.replace(value, **members)


@pytest.mark.parametrize("kind", KINDS)
def test_any_message_goes_both_ways(jar: codecs.Codec, kind: str) -> None:
    schema, strategy = KINDS[kind]

    @few
    @given(strategy)
    def both_ways(drawn: Model) -> None:
        value = spared(drawn)
        ours = encode(value, schema)
        name = "V2G_Message" if schema is ISO_2 else type(value).__name__
        document = forms.to_json(name, value)
        assert encoded(jar, schema, document) == ours
        assert decoded(jar, schema, ours) == document

    both_ways()


@pytest.mark.parametrize("name", FRAGMENTS)
def test_any_fragment_that_is_digested_has_the_same_octets(jar: codecs.Codec, name: str) -> None:
    schema = FRAGMENTS[name]

    @few
    @given(values(schema.fragments[name].model, shortest=1))
    def same(drawn: Model) -> None:
        value = spared(drawn)
        assert encoded(jar, schema, forms.to_json(name, value)) == encode_fragment(name, value, schema)

    same()


# The faults, so that they are taken off the list when they are mended

W = {"Multiplier": 0, "Unit": "W", "Value": 1}
ROOT = {"X509IssuerName": "CN=root", "X509SerialNumber": 1}
ENTRY = {"ChargingProfileEntryStart": 0, "ChargingProfileEntryMaxPower": W}
PARAMETER = {"Name": "a", "intValue": 1}
WHEN = {"RelativeTimeInterval": {"start": 0}}
METER = {"MeterID": "1"}
AC = {
    "AC_EVSEStatus": {"NotificationMaxDelay": 0, "EVSENotification": "None", "RCD": False},
    "EVSENominalVoltage": W,
    "EVSEMaxCurrent": W,
}


def schedule(**tariff: Any) -> dict[str, Any]:
    """An offer with a tariff."""
    entries = {"PMaxScheduleEntry": [WHEN | {"PMax": W}]}
    offer = {"SAScheduleTupleID": 1, "PMaxSchedule": entries, "SalesTariff": {"SalesTariffID": 1} | tariff}
    return {
        "ResponseCode": "OK",
        "EVSEProcessing": "Finished",
        "SAScheduleList": {"SAScheduleTuple": [offer]},
        "AC_EVSEChargeParameter": AC,
    }


BODIES: dict[str, dict[str, Any]] = {
    "RootCertificateID": {"CertificateInstallationReq": {
        "Id": "id1", "OEMProvisioningCert": "AA==", "ListOfRootCertificateIDs": {"RootCertificateID": [ROOT] * 20}}},
    "SelectedService": {"PaymentServiceSelectionReq": {
        "SelectedPaymentOption": "Contract", "SelectedServiceList": {"SelectedService": [{"ServiceID": 1}] * 16}}},
    "ProfileEntry": {"PowerDeliveryReq": {
        "ChargeProgress": "Start", "SAScheduleTupleID": 1, "ChargingProfile": {"ProfileEntry": [ENTRY] * 24}}},
    "Parameter": {"ServiceDetailRes": {
        "ResponseCode": "OK", "ServiceID": 1,
        "ServiceParameterList": {"ParameterSet": [{"ParameterSetID": 1, "Parameter": [PARAMETER] * 16}]}}},
    "SAScheduleTupleID": {"MeteringReceiptReq": {"SessionID": "00", "MeterInfo": METER}},
    "NumEPriceLevels": {"ChargeParameterDiscoveryRes": schedule(SalesTariffEntry=[WHEN | {"EPriceLevel": 1}])},
    "EPriceLevel": {"ChargeParameterDiscoveryRes": schedule(NumEPriceLevels=1, SalesTariffEntry=[WHEN])},
}  # fmt: skip
FAULTY: dict[str, tuple[Schema, dict[str, Any]]] = {
    **{name: (ISO_2, {"V2G_Message": {"Header": {"SessionID": "00"}, "Body": body}}) for name, body in BODIES.items()},
    "SchemaID": (APP_PROTOCOL, {"supportedAppProtocolRes": {"ResponseCode": "OK_SuccessfulNegotiation"}}),
}


@pytest.mark.parametrize("fault", [*FULL, *ABSENT], ids=lambda fault: fault.member)
def test_each_known_fault_is_still_there(jar: codecs.Codec, fault: Full | Absent) -> None:
    schema, document = FAULTY[fault.member]
    ours = encode(forms.from_json(document, schema)[1], schema)
    assert encoded(jar, schema, document) != ours
    with contextlib.suppress(Unavailable):
        assert decoded(jar, schema, ours) != document


def test_it_cannot_make_the_fragment_of_a_tariff(jar: codecs.Codec) -> None:
    cost = {"startValue": W, "Cost": [{"costKind": "CarbonDioxideEmission", "amount": 1}]}
    tariff = {"Id": "id1", "SalesTariffID": 1, "SalesTariffEntry": [WHEN | {"ConsumptionCost": [cost]}]}
    with pytest.raises(Unavailable, match="is not a string"):
        encoded(jar, ISO_2, {"SalesTariff": tariff})
