"""Values of every declared message survive; what breaks a declaration is refused, with the element that does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from random_messages import values
from voltroot.errors import Malformed
from voltroot.v2g import forms, iso2, iso20
from voltroot.v2g.appprotocol import AppProtocolType, supportedAppProtocolReq, supportedAppProtocolRes
from voltroot.v2g.exi import Kind, Model, Schema, Unreadable, decode, encode, encode_fragment
from voltroot.v2g.schemas import APP_PROTOCOL, ISO_2, ISO_20, SCHEMAS

ROOTS: list[tuple[Schema, Kind, str, type[Model]]] = [
    *((schema, "document", name, root.model) for schema in SCHEMAS.values() for name, root in schema.documents.items()),
    *((schema, "fragment", name, root.model) for schema in SCHEMAS.values() for name, root in schema.fragments.items()),
]
HEADER = iso2.MessageHeaderType(SessionID=b"12345678")
CHAIN = iso2.CertificateChainType(Certificate=b"c")


def message(body: Any) -> iso2.V2G_Message:
    return iso2.V2G_Message(Header=HEADER, Body=iso2.BodyType(BodyElement=body))


def refusal(body: Any, **options: Any) -> str:
    """Why a message with this body cannot be written; its path begins with the whole way."""
    with pytest.raises(Malformed) as raised:
        encode(message(body), ISO_2, **options)
    text = str(raised.value)
    assert text.startswith("V2G_Message/")
    return text.removeprefix("V2G_Message/")


@pytest.mark.parametrize("examples", [40, pytest.param(3000, marks=pytest.mark.soak)])
def test_any_value_of_any_message_survives(examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(st.data())
    def survives(data: st.DataObject) -> None:
        schema, kind, name, model = data.draw(st.sampled_from(ROOTS))
        value = data.draw(values(model))
        octets = encode(value, schema) if kind == "document" else encode_fragment(name, value, schema)
        decoded = decode(octets, schema, kind)
        assert (decoded.element, decoded.value) == (name, value)
        assert forms.from_json(forms.to_json(name, value), schema, kind) == (name, value)

    survives()


def test_a_list_may_be_as_long_as_its_declaration_says_and_no_longer() -> None:
    def entries(count: int) -> iso2.V2G_Message:
        power = iso2.PhysicalValueType(Multiplier=0, Unit="W", Value=11)
        time = iso2.RelativeTimeInterval(start=0)
        schedule = iso2.PMaxScheduleType(
            PMaxScheduleEntry=(iso2.PMaxScheduleEntry(TimeInterval=time, PMax=power),) * count
        )
        schedules = iso2.SAScheduleList(
            SAScheduleTuple=(iso2.SAScheduleTupleType(SAScheduleTupleID=1, PMaxSchedule=schedule),)
        )
        status = iso2.AC_EVSEStatus(NotificationMaxDelay=0, EVSENotification="None", RCD=False)
        return message(
            iso2.ChargeParameterDiscoveryRes(
                ResponseCode="OK",
                EVSEProcessing="Finished",
                SASchedules=schedules,
                EVSEChargeParameter=iso2.AC_EVSEChargeParameter(
                    AC_EVSEStatus=status, EVSENominalVoltage=power, EVSEMaxCurrent=power
                ),
            )
        )

    for count in (1, 2, 1023, 1024):
        assert decode(encode(entries(count), ISO_2), ISO_2).value == entries(count)
    for count in (0, 1025):
        with pytest.raises(Unreadable, match="PMaxSchedule: "):
            encode(entries(count), ISO_2)


@pytest.mark.parametrize(("schema", "most"), [(ISO_2, 4), (ISO_20, 3)], ids=["2", "20"])
def test_a_chain_may_have_all_its_sub_certificates(schema: Schema, most: int) -> None:
    def chain(count: int) -> tuple[str, Model]:
        if schema is ISO_2:
            subs = iso2.SubCertificatesType(Certificate=(b"s",) * count)
            return "ContractSignatureCertChain", iso2.CertificateChainType(Certificate=b"c", SubCertificates=subs)
        subs_20 = iso20.SubCertificatesType(Certificate=(b"s",) * count)
        signed = iso20.SignedCertificateChainType(Id="id1", Certificate=b"c", SubCertificates=subs_20)
        return "OEMProvisioningCertificateChain", signed

    for count in range(1, most + 1):
        name, value = chain(count)
        assert decode(encode_fragment(name, value, schema), schema, "fragment").value == value
    with pytest.raises(Unreadable, match="SubCertificates: Certificate cannot stand here: the element ends"):
        encode_fragment(*chain(most + 1), schema)


def test_facets_are_kept_in_writing_unless_one_asks_for_less() -> None:
    assert decode(bytes.fromhex("80980239d117d97fdffbd9906082002400402000020000201000"), ISO_2)  # and not in reading
    request = iso2.PaymentDetailsReq(eMAID="emaid001", ContractSignatureCertChain=CHAIN)
    assert refusal(request) == "Body/PaymentDetailsReq/eMAID: 8 characters, where 14 to 15 belong"
    octets = encode(message(request), ISO_2, facets=False)
    assert decode(octets, ISO_2).value == message(request)


def test_a_facet_narrower_than_the_type_of_an_integer_is_kept_in_writing_only() -> None:
    def schedule(duration: int, multiplier: int = 0) -> Any:
        power = iso2.PhysicalValueType(Multiplier=multiplier, Unit="W", Value=11)
        time = iso2.RelativeTimeInterval(start=0, duration=duration)
        tuples = iso2.SAScheduleTupleType(
            SAScheduleTupleID=1,
            PMaxSchedule=iso2.PMaxScheduleType(
                PMaxScheduleEntry=(iso2.PMaxScheduleEntry(TimeInterval=time, PMax=power),)
            ),
        )
        status = iso2.AC_EVSEStatus(NotificationMaxDelay=0, EVSENotification="None", RCD=False)
        parameter = iso2.AC_EVSEChargeParameter(AC_EVSEStatus=status, EVSENominalVoltage=power, EVSEMaxCurrent=power)
        return iso2.ChargeParameterDiscoveryRes(
            ResponseCode="OK",
            EVSEProcessing="Finished",
            SASchedules=iso2.SAScheduleList(SAScheduleTuple=(tuples,)),
            EVSEChargeParameter=parameter,
        )

    assert refusal(schedule(86401)).endswith("duration: an integer from 0 to 86400 belongs here, not 86401")
    longer = encode(message(schedule(86401)), ISO_2, facets=False)
    assert decode(longer, ISO_2).value == message(schedule(86401))
    assert "duration: an integer from 0" in refusal(schedule(2**32), facets=False)
    assert "duration: an integer from 0" in refusal(schedule(-1), facets=False)
    assert "Multiplier: an integer from -3 to 3" in refusal(schedule(1, multiplier=4), facets=False)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (iso2.AuthorizationReq(Id="ID1", GenChallenge=b"15 octets here."), "GenChallenge: 15 octets, where 16 belong"),
        (
            iso2.PaymentDetailsReq(
                eMAID="DEABCC12345678", ContractSignatureCertChain=iso2.CertificateChainType(Certificate=bytes(801))
            ),
            "ContractSignatureCertChain/Certificate: 801 octets, where at most 800 belong",
        ),
        (
            iso2.SessionSetupRes(ResponseCode="OK", EVSEID="DE*ICE*E1", EVSETimeStamp=2**63),
            "EVSETimeStamp: an integer from -9223372036854775808 to 9223372036854775807 belongs here, not 922",
        ),
        (
            iso2.PaymentServiceSelectionRes(ResponseCode="FINE"),  # type: ignore[arg-type]
            "ResponseCode: 'FINE' is none of the 26 words that may stand here: OK, ",
        ),
        (iso2.SessionSetupReq(EVCCID="0102"), "EVCCID: octets belong here, not str"),  # type: ignore[arg-type]
        (
            iso2.SessionSetupRes(ResponseCode="OK", EVSEID=7),  # type: ignore[arg-type]
            "EVSEID: a string belongs here, not int",
        ),
        (iso2.AuthorizationReq(Id="\0"), "@Id: U+0000 is no XML character"),
        (iso2.AuthorizationReq(Id="\ud800"), "@Id: U+D800 is no XML character"),
        (
            iso2.ServiceDetailReq(ServiceID=True),
            "ServiceID: an integer belongs here, not bool",
        ),
        (
            iso2.SessionStopReq(ChargingSession=None),  # type: ignore[arg-type]
            "ChargingSession is missing",
        ),
        (
            iso2.CableCheckReq(DC_EVStatus=CHAIN),  # type: ignore[arg-type]
            "DC_EVStatus: a DC_EVStatus belongs here, not CertificateChainType",
        ),
    ],
)
def test_what_breaks_a_declaration_is_named_with_its_element(body: Any, why: str) -> None:
    name = type(body).__name__
    assert refusal(body).startswith(f"Body/{name}/{why}") or refusal(body) == f"Body/{name}: {why}"


def test_one_of_a_choice_is_there() -> None:
    def parameter(**chosen: Any) -> Any:
        parameters = iso2.ParameterSetType(ParameterSetID=1, Parameter=(iso2.ParameterType(Name="a", **chosen),))
        return iso2.ServiceDetailRes(
            ResponseCode="OK",
            ServiceID=1,
            ServiceParameterList=iso2.ServiceParameterListType(ParameterSet=(parameters,)),
        )

    where = "Body/ServiceDetailRes/ServiceParameterList/ParameterSet/Parameter: "
    assert refusal(parameter()).startswith(where + "boolValue or byteValue or shortValue")
    assert refusal(parameter()).endswith("is missing")
    assert refusal(parameter(intValue=1, stringValue="1")).startswith(where + "stringValue cannot stand here")


def test_a_message_of_another_schema_set_is_refused() -> None:
    with pytest.raises(Malformed, match="V2G_Message is no document of ISO 15118-20"):
        encode(message(None), ISO_20)
    with pytest.raises(Malformed, match="Header is no fragment of ISO 15118-2: AuthorizationReq, "):
        encode_fragment("Header", HEADER, ISO_2)
    with pytest.raises(Malformed, match="V2G_Message/Body: CertificateChainType cannot stand here: BodyElement may"):
        encode(message(CHAIN), ISO_2)


def test_the_handshake_is_written_as_every_car_writes_it() -> None:
    protocol = AppProtocolType(
        ProtocolNamespace="urn:iso:15118:2:2013:MsgDef",
        VersionNumberMajor=2,
        VersionNumberMinor=0,
        SchemaID=1,
        Priority=1,
    )
    octets = encode(supportedAppProtocolReq(AppProtocol=(protocol,)), APP_PROTOCOL)
    assert octets.startswith(bytes.fromhex("8000"))
    answer = supportedAppProtocolRes(ResponseCode="OK_SuccessfulNegotiation", SchemaID=1)
    assert encode(answer, APP_PROTOCOL).hex() == "80400040"
    assert decode(bytes.fromhex("80400040"), APP_PROTOCOL).value == answer


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ([], "the JSON is not an object with one member"),
        ({}, "the JSON is not an object with one member"),
        ({"A": 1, "B": 2}, "the JSON is not an object with one member"),
        ({"Header": {}}, "Header is no document of ISO 15118-2: V2G_Message are"),
        ({"V2G_Message": []}, "V2G_Message: an object belongs here"),
        ({"V2G_Message": {}}, "V2G_Message: Header is missing"),
        ({"V2G_Message": {"Head": {}}}, "V2G_Message: Head has no place here: Header, Body may stand here"),
        (
            {"V2G_Message": {"Header": {"SessionID": "0g"}}},
            "V2G_Message/Header/SessionID: this is not hexadecimal",
        ),
        (
            {"V2G_Message": {"Header": {"SessionID": 7}}},
            "V2G_Message/Header/SessionID: hexBinary of at most 8 belongs here, not int",
        ),
        (
            {"V2G_Message": {"Header": {"SessionID": ""}, "Body": {"SessionSetupReq": {}, "ChargingStatusReq": {}}}},
            "V2G_Message/Body/SessionSetupReq: EVCCID is missing",
        ),
        (
            {"V2G_Message": {"Header": {"SessionID": ""}, "Body": {"ChargingStatusReq": {}, "SessionSetupReq": {}}}},
            "V2G_Message/Body: SessionSetupReq cannot stand beside another BodyElement",
        ),
        (
            {"V2G_Message": {"Body": {"PaymentDetailsRes": {"GenChallenge": "?"}}}},
            "V2G_Message/Body/PaymentDetailsRes/GenChallenge: this is not base64",
        ),
        (
            {"V2G_Message": {"Body": {"PaymentDetailsRes": {"EVSETimeStamp": True}}}},
            "V2G_Message/Body/PaymentDetailsRes/EVSETimeStamp: an integer from",
        ),
        (
            {"V2G_Message": {"Body": {"ServiceDiscoveryRes": {"PaymentOptionList": {"PaymentOption": "Contract"}}}}},
            "V2G_Message/Body/ServiceDiscoveryRes/PaymentOptionList/PaymentOption: an array belongs here",
        ),
    ],
)
def test_json_that_describes_no_message_is_malformed_with_the_way_to_its_fault(given: object, why: str) -> None:
    with pytest.raises(Malformed) as raised:
        forms.from_json(given, ISO_2)
    assert str(raised.value).startswith(why)


def test_a_value_is_changed_by_making_another() -> None:
    changed = replace(message(None), Header=replace(HEADER, SessionID=b""))
    assert decode(encode(changed, ISO_2), ISO_2).value == changed != message(None)
    with pytest.raises(AttributeError):
        HEADER.SessionID = b""  # type: ignore[misc]
