"""DER: what is written is what X.690 wants, and what is read survives anything."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from asn1crypto import core
from hypothesis import example, given
from hypothesis import strategies as st

from voltroot.errors import Malformed
from voltroot.pki import der
from voltroot.pki.certificates import Certificate

MOMENTS = st.datetimes(datetime(1951, 1, 1), datetime(9999, 12, 31)).map(
    lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
)


@given(st.integers(-(2**200), 2**200))
@example(-128)
@example(-(2**15))
def test_integers_agree_with_another_writer(value: int) -> None:
    assert der.integer(value) == core.Integer(value).dump()
    assert der.read_integer(der.read(der.integer(value)).content) == value


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=8), st.integers(0, 2))
def test_object_identifiers_agree_with_another_writer(arcs: list[int], first: int) -> None:
    arcs[0] %= 40
    dotted = ".".join(map(str, (first, *arcs)))
    assert der.oid(dotted) == core.ObjectIdentifier(dotted).dump()
    assert der.read_oid(der.read(der.oid(dotted)).content) == dotted


@given(st.binary(max_size=70_000))
def test_lengths_of_every_form_survive(content: bytes) -> None:
    encoded = der.octet_string(content)
    assert encoded == core.OctetString(content).dump()
    assert der.read(encoded).content == content


@given(MOMENTS)
def test_times_are_utctime_before_2050_and_generalizedtime_after(moment: datetime) -> None:
    element = der.read(der.time(moment))
    assert element.tag == (der.UTC_TIME if moment.year < 2050 else der.GENERALIZED_TIME)
    assert der.read_time(element) == moment
    assert der.read(der.time(moment, generalized_only=True)).tag == der.GENERALIZED_TIME


def test_a_moment_of_another_zone_is_written_in_utc() -> None:
    seoul = datetime.fromisoformat("2050-01-01T08:59:59+09:00")
    assert der.read_time(der.read(der.time(seoul))) == datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert der.read_time(der.read(der.generalized_time(seoul))) == seoul - timedelta(0)


@pytest.mark.parametrize(
    ("bits", "expected"), [(0x8000, "03020780"), (0x8800, "03020388"), (0, "030100"), (0x0600, "03020106")]
)
def test_named_bits_leave_trailing_zeros_away(bits: int, expected: str) -> None:
    assert der.named_bits(bits).hex() == expected
    assert der.read_named_bits(der.read(der.named_bits(bits)).content) == bits


@given(st.binary(max_size=400))
def test_any_octets_are_a_certificate_or_malformed(octets: bytes) -> None:
    with pytest.raises(Malformed):
        Certificate.read(octets)


@pytest.mark.parametrize(
    "octets", [b"", b"\x30", b"\x30\x80\x00\x00", b"\x30\x85\x01\x00\x00\x00\x00", b"\x30\x02\x00", b"\x30\x00\x00"]
)
def test_broken_elements_are_malformed(octets: bytes) -> None:
    with pytest.raises(Malformed):
        der.read(octets)
