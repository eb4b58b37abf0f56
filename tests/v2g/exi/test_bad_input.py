"""Any octets are a message or Malformed, and the work for them grows with their number only."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exi_replay import replay
from voltroot.errors import Malformed
from voltroot.v2g import appprotocol, iso2
from voltroot.v2g.exi import Kind, Model, Reader, Schema, Unreadable, Writer, decode, encode, encode_fragment, explain
from voltroot.v2g.exi.bits import MAX_CODE_POINTS, MAX_OCTETS
from voltroot.v2g.exi.codec import read
from voltroot.v2g.exi.declare import fields
from voltroot.v2g.schemas import APP_PROTOCOL, ISO_2, ISO_20, SCHEMAS, XMLDSIG, recognise
from voltroot.v2g.signature import CanonicalizationMethod, DigestMethod, Reference, SignatureMethod, SignedInfo

FOLDER = Path(__file__).parents[2] / "vectors" / "exi"


def vector(name: str) -> bytes:
    return bytes.fromhex(json.loads((FOLDER / f"{name}.json").read_text())["exi_hex"])


REQ, RES = vector("iso2_cert_install_req_signed"), vector("iso2_cert_install_res_2sub")
REQ_20, RES_20 = vector("iso20_cert_install_req_signed"), vector("iso20_cert_install_res_x448")
SIGNED_INFO, EMAID = vector("xmldsig_frag_SignedInfo_4ref"), vector("iso2_frag_eMAID")
STREAMS: list[tuple[bytes, Schema, Kind, int]] = [  # and how many bits to step on
    (vector("iso2_payment_details_res_rc00"), ISO_2, "document", 1),
    (vector("iso2_cert_install_res_failed_min_ch0"), ISO_2, "document", 1),
    (EMAID, ISO_2, "fragment", 1),
    (vector("xmldsig_frag_SignedInfo_1ref"), XMLDSIG, "fragment", 1),
    (REQ, ISO_2, "document", 3),
    (RES, ISO_2, "document", 31),
    (REQ_20, ISO_20, "document", 31),
    (RES_20, ISO_20, "document", 31),
]
SOAK = [pytest.param(*stream, 1, marks=pytest.mark.soak) for *stream, step in STREAMS if step > 1]
HEADER = iso2.MessageHeaderType(SessionID=b"12345678")


def refusal(octets: bytes, schema: Schema = ISO_2, kind: Kind = "document") -> Unreadable:
    with pytest.raises(Malformed) as raised:
        decode(octets, schema, kind)
    assert isinstance(raised.value, Unreadable)
    return raised.value


def is_answered(octets: bytes, schema: Schema, kind: Kind) -> bool:
    """Whether it is a message; a Malformed is the only other answer, and the explanation gives the same."""
    with suppress(Unreadable):
        return decode(octets, schema, kind).octets == octets
    assert (refusal(octets, schema, kind).bit or 0) <= 8 * len(octets)
    return False


def message(body: Model | None, header: iso2.MessageHeaderType = HEADER) -> iso2.V2G_Message:
    return iso2.V2G_Message(Header=header, Body=iso2.BodyType(BodyElement=body))  # type: ignore[arg-type]


# Streams that were damaged


@pytest.mark.parametrize(("octets", "schema", "kind", "step"), [*STREAMS, *SOAK])
def test_a_stream_that_was_cut_at_any_bit_is_malformed(octets: bytes, schema: Schema, kind: Kind, step: int) -> None:
    whole, size = int.from_bytes(octets), 8 * len(octets)
    for kept in range(0, size - 8, step):
        cut = (whole >> (size - kept) << (-kept & 7)).to_bytes((kept + 7) // 8)
        assert not is_answered(cut, schema, kind)


@pytest.mark.parametrize(("octets", "schema", "kind", "step"), [*STREAMS, *SOAK])
def test_a_stream_with_any_bit_changed_is_malformed_or_another_message(
    octets: bytes, schema: Schema, kind: Kind, step: int
) -> None:
    whole = int.from_bytes(octets)
    value = decode(octets, schema, kind).value
    for place in range(0, 8 * len(octets), step):
        changed = (whole ^ 1 << place).to_bytes(len(octets))
        if is_answered(changed, schema, kind):
            assert decode(changed, schema, kind).value != value


@pytest.mark.parametrize(("octets", "schema", "kind", "step"), STREAMS)
def test_octets_after_the_end_are_malformed(octets: bytes, schema: Schema, kind: Kind, step: int) -> None:
    for more in (b"\0", b"\x80", octets, bytes(1000)):
        assert f"{len(more)} octets follow" in str(refusal(octets + more, schema, kind))


def test_bits_that_fill_up_the_last_octet_are_zero() -> None:
    assert "are not zero" in str(refusal(EMAID[:-1] + bytes([EMAID[-1] | 1]), ISO_2, "fragment"))


# Streams that were made to harm


class Boasting(Writer):
    """Announces lengths of 2^63."""

    def binary(self, octets: bytes) -> None:
        self.unsigned(2**63)
        self.octets(octets)


class Shouting(Writer):
    """Announces strings of 2^63 code points."""

    def string(self, text: str, name: object) -> None:
        self.unsigned(2**63)
        self.octets(text.encode())


class Verbose(Writer):
    """Writes integers in more groups than they need."""

    zeros = 1

    def unsigned(self, value: int) -> None:
        while value > 0x7F:
            self.bits(value & 0x7F | 0x80, 8)
            value >>= 7
        self.bits(value | 0x80, 8)
        for _ in range(self.zeros - 1):
            self.bits(0x80, 8)
        self.bits(0, 8)


class Endless(Verbose):
    zeros = 1000


def test_a_length_of_2_to_the_63_is_malformed_before_anything_is_made_of_it() -> None:
    value = decode(REQ, ISO_2).value
    assert "9223372036854775808 octets are announced" in str(refusal(encode(value, ISO_2, writer=Boasting)))
    assert "9223372036854775806 code points" in str(refusal(encode(value, ISO_2, writer=Shouting)))


def test_integers_that_are_not_minimal_are_read_as_openv2g_writes_them() -> None:
    value = decode(REQ, ISO_2).value
    assert decode(encode(value, ISO_2, writer=Verbose), ISO_2).value == value
    assert "more than 80 groups" in str(refusal(encode(value, ISO_2, writer=Endless)))


def test_a_stream_of_more_than_32_kib_is_malformed_at_once() -> None:
    assert is_answered(RES, ISO_2, "document")
    fault = refusal(RES + bytes(MAX_OCTETS))
    assert (fault.bit, fault.path) == (None, ())
    assert "at most 32768 are read" in str(fault)
    assert explain(RES + bytes(MAX_OCTETS), ISO_2).fault is not None


def test_a_string_of_more_than_1024_code_points_is_malformed_and_cannot_be_written() -> None:
    def update(name: str) -> iso2.V2G_Message:
        issuer = iso2.X509IssuerSerialType(X509IssuerName=name, X509SerialNumber=1)
        roots = iso2.ListOfRootCertificateIDsType(RootCertificateID=(issuer,))
        return message(
            iso2.CertificateInstallationReq(Id="id1", OEMProvisioningCert=b"", ListOfRootCertificateIDs=roots)
        )

    class Longer(Writer):
        def string(self, text: str, name: object) -> None:
            super().string(text * 2, name)

    longest = update("ä" * MAX_CODE_POINTS)
    assert decode(encode(longest, ISO_2), ISO_2).value == longest
    assert "1026 code points" in str(refusal(encode(update("a" * 513), ISO_2, writer=Longer)))
    with pytest.raises(Unreadable, match="X509IssuerName: 1025 characters"):
        encode(update("a" * 1025), ISO_2, facets=False)


@pytest.mark.parametrize("points", [[0x110000], [0xD800], [0x0], [0xFFFF], [0x41, 0x1F], [2**400]])
def test_what_is_no_xml_character_is_malformed(points: list[int]) -> None:
    class Raw(Writer):
        def string(self, text: str, name: object) -> None:
            self.unsigned(len(points) + 2)
            for point in points:
                self.unsigned(point)

    emaid = iso2.EMAIDType(Id="id4", value="DEABCC12345678")
    fault = refusal(encode_fragment("eMAID", emaid, ISO_2, writer=Raw), ISO_2, "fragment")
    assert "is no" in str(fault)
    assert fault.path == ("eMAID", "@Id")


def test_characters_beyond_ascii_and_line_breaks_are_read_as_written() -> None:
    for text in ("CN=Ünïcödé,O=例え🔋", "a\tb\nc\rd", "\u00a0\u2028\ufeff"):
        value = iso2.EMAIDType(Id="id4", value=text)
        fragment = encode_fragment("eMAID", value, ISO_2, facets=False)
        assert decode(fragment, ISO_2, "fragment").value == value


def references(count: int) -> SignedInfo:
    reference = Reference(URI="#id1", DigestMethod=DigestMethod(Algorithm="d"), DigestValue=b"")
    return SignedInfo(
        CanonicalizationMethod=CanonicalizationMethod(Algorithm="c"),
        SignatureMethod=SignatureMethod(Algorithm="s"),
        Reference=(reference,) * count,
    )


def test_more_than_16_references_are_malformed() -> None:
    sixteen = encode_fragment("SignedInfo", references(16), XMLDSIG)
    assert decode(sixteen, XMLDSIG, "fragment").value == references(16)
    with pytest.raises(Unreadable, match="more than 16 Reference"):
        encode_fragment("SignedInfo", references(17), XMLDSIG)
    # as a stream: the bits of the last Reference once more
    (mark,) = decode(sixteen, XMLDSIG, "fragment").marks
    one = decode(encode_fragment("SignedInfo", references(1), XMLDSIG), XMLDSIG, "fragment").marks[0]
    two = decode(encode_fragment("SignedInfo", references(2), XMLDSIG), XMLDSIG, "fragment").marks[0]
    each = (two.stop - two.start) - (one.stop - one.start)  # the code of a further Reference and its content
    end = mark.stop - 2  # without the two bits of the end
    for count in (1, 100, 5000):
        writer = Writer()
        writer.copy(sixteen, 0, end)
        for _ in range(min(count, (MAX_OCTETS * 8 - end) // each - 1)):
            writer.copy(sixteen, end - each, end)
        writer.bits(0b01, 2)
        writer.bits(46, 6)
        fault = refusal(writer.finish(), XMLDSIG, "fragment")
        assert "more than 16 Reference" in str(fault)
        assert fault.bit is not None
        assert fault.bit <= end + each


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=lambda schema: schema.name)
def test_no_message_is_nested_more_deeply_than_its_declaration(schema: Schema) -> None:
    def depth(model: type[Model], above: tuple[type[Model], ...]) -> int:
        assert model not in above  # no type holds itself
        inner = [inner for field in fields(model) for inner in (field.model, *field.members) if inner]
        return 1 + max((depth(model_, (*above, model)) for model_ in inner), default=0)

    roots = [*schema.documents.values(), *schema.fragments.values()]
    assert max(depth(root.model, ()) for root in roots) < 12


# Messages of another kind


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"", "there is no stream"),
        (b"\x81" + REQ[1:], "begins with 80, not with 81"),
        (b"\xa0" + REQ[1:], "begins with 80, not with a0"),
        (b"$EXI" + REQ, "cookie"),
        (bytes.fromhex("01fe800100000010") + REQ, "V2GTP"),
        (b"<?xml version='1.0'?>", "begins with 80, not with 3c"),
    ],
)
def test_a_stream_without_the_header_of_exi_is_malformed(octets: bytes, why: str) -> None:
    assert why in str(refusal(octets))
    with pytest.raises(Malformed):
        recognise(octets)


@pytest.mark.parametrize(
    "octets",
    [
        bytes.fromhex("809a02000000000000000011d01a121dc983cd6000"),  # DIN SPEC 70121
        REQ_20,
        RES_20,
        SIGNED_INFO,
        EMAID,
        bytes.fromhex("8000dbab9371d3234b71d1b981899189d191818991d26b9b3a232b30020000040040"),  # SupportedAppProtocol
    ],
)
def test_a_message_of_another_standard_is_no_message_of_iso_15118_2(octets: bytes) -> None:
    assert "does not begin so" in str(refusal(octets))


def test_an_event_that_iso_15118_forbids_is_named() -> None:
    class WithKeyInfo(Writer):
        """Writes KeyInfo where Signature ends."""

        def choose(self, state: Any, code: int) -> None:
            super().choose(state, 0 if state.label(0) == "SE(KeyInfo)" else code)

    fault = refusal(encode(decode(REQ, ISO_2).value, ISO_2, writer=WithKeyInfo))
    assert str(fault).endswith("V2G_Message/Header/Signature: SE(KeyInfo) is not allowed here")


def test_an_abstract_element_is_malformed() -> None:
    class Abstract(Writer):
        """Writes the head of the substitution group for each of its elements."""

        def choose(self, state: Any, code: int) -> None:
            heads = [code for code, event in state.productions.items() if event.label == "SE(BodyElement)"]
            super().choose(state, heads[0] if heads else code)

    fault = refusal(encode(message(iso2.ChargingStatusReq()), ISO_2, writer=Abstract))
    assert str(fault).endswith("V2G_Message/Body/BodyElement: BodyElement is abstract: one of its kind belongs here")


# The work


class Counting(Reader):
    """Counts what is read."""

    __slots__ = ("work",)

    def __init__(self, octets: bytes) -> None:
        super().__init__(octets)
        self.work = 0

    def choose(self, state: Any) -> int:
        self.work += 1
        return super().choose(state)

    def unsigned(self) -> int:
        before = self.pos
        value = super().unsigned()
        self.work += (self.pos - before) // 8
        return value

    def bits(self, width: int) -> int:
        self.work += 1
        return super().bits(width)


def work(octets: bytes, schema: Schema, kind: Kind = "document") -> int:
    reader = Counting(octets)
    with suppress(Unreadable):
        read(reader, octets, schema, kind)
    return reader.work


def test_the_work_for_a_stream_is_bounded_by_its_bits() -> None:
    streams = [RES, REQ, REQ_20, RES_20, bytes(MAX_OCTETS), b"\x80" + bytes(MAX_OCTETS - 1), b"\x80" + b"\xff" * 9999]
    for octets in streams:
        for schema in SCHEMAS.values():
            assert work(octets, schema) <= 8 * len(octets) + 8
            assert work(octets, schema, "fragment") <= 8 * len(octets) + 8


def test_twice_the_message_is_twice_the_work() -> None:
    def offer(count: int) -> bytes:
        # each namespace but the first is a hit in the string table, as a peer with value partitions writes it
        class Repeating(Writer):
            known = 0

            def string(self, text: str, name: object) -> None:
                if not self.known:
                    super().string(text, name)
                else:
                    self.unsigned(0)
                type(self).known += 1

        one = appprotocol.AppProtocolType(
            ProtocolNamespace="urn:iso:15118:2:2013:MsgDef",
            VersionNumberMajor=2,
            VersionNumberMinor=0,
            SchemaID=1,
            Priority=1,
        )
        request = appprotocol.supportedAppProtocolReq(AppProtocol=(one,) * count)
        octets = encode(request, APP_PROTOCOL, writer=Repeating)
        assert decode(octets, APP_PROTOCOL).value == request
        return octets

    assert work(offer(20), APP_PROTOCOL) - work(offer(10), APP_PROTOCOL) <= work(offer(10), APP_PROTOCOL)


def test_what_a_writer_holds_back_does_not_grow_with_the_message() -> None:
    held: list[int] = []

    class Watched(Writer):
        def choose(self, state: Any, code: int) -> None:
            super().choose(state, code)
            held.append(self._width)

    power = iso2.PhysicalValueType(Multiplier=0, Unit="W", Value=11000)
    schedule = iso2.PMaxScheduleType(
        PMaxScheduleEntry=(
            iso2.PMaxScheduleEntry(TimeInterval=iso2.RelativeTimeInterval(start=2**23, duration=86400), PMax=power),
        )
        * 1024
    )
    schedules = iso2.SAScheduleList(
        SAScheduleTuple=(iso2.SAScheduleTupleType(SAScheduleTupleID=1, PMaxSchedule=schedule),)
    )
    status = iso2.AC_EVSEStatus(NotificationMaxDelay=0, EVSENotification="None", RCD=False)
    answer = iso2.ChargeParameterDiscoveryRes(
        ResponseCode="OK",
        EVSEProcessing="Finished",
        SASchedules=schedules,
        EVSEChargeParameter=iso2.AC_EVSEChargeParameter(
            AC_EVSEStatus=status, EVSENominalVoltage=power, EVSEMaxCurrent=power
        ),
    )
    octets = encode(message(answer), ISO_2, writer=Watched)
    assert len(octets) > 10_000
    assert max(held) < 8_000


# Anything


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(list(SCHEMAS.values())), st.sampled_from(["document", "fragment"]))
@example(b"\x80", ISO_2, "document")
def test_any_octets_are_a_message_or_malformed(octets: bytes, schema: Schema, kind: Kind) -> None:
    for begun in (octets, b"\x80" + octets):
        is_answered(begun, schema, kind)
        told = explain(begun, schema, kind)
        assert (told.fault is None) == is_answered(begun, schema, kind)


def test_what_fuzzing_found_is_still_answered() -> None:
    inputs = (FOLDER / "corpus.txt").read_text().split()
    assert len(inputs) > 100
    for line in inputs:
        replay(bytes.fromhex(line))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(STREAMS), st.data())
def test_any_message_with_octets_changed_is_a_message_or_malformed(
    stream: tuple[bytes, Schema, Kind, int], data: st.DataObject
) -> None:
    octets, schema, kind, _ = stream
    place = data.draw(st.integers(1, len(octets)))
    removed = data.draw(st.integers(0, 4))
    changed = octets[:place] + data.draw(st.binary(max_size=6)) + octets[place + removed :]
    if is_answered(changed, schema, kind):
        decoded = decode(changed, schema, kind)
        again = (
            encode(decoded.value, schema, facets=False)
            if kind == "document"
            else encode_fragment(decoded.element, decoded.value, schema, facets=False)
        )
        assert decode(again, schema, kind).value == decoded.value


def test_models_are_frozen() -> None:
    with pytest.raises(AttributeError):
        HEADER.SessionID = b""  # type: ignore[misc]
    assert msgspec.structs.replace(HEADER, SessionID=b"0").SessionID == b"0"
