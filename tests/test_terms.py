"""Identifiers keep what was given, compare normalised and know their strict form."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from voltroot.errors import Malformed, Refused
from voltroot.terms import (
    EMAID,
    EVCCID,
    EVSEID,
    PCID,
    SECCID,
    Identifier,
    Serial,
    emaid_check_digit,
    evccid_check_digit,
    mod11,
)

KINDS: list[type[Identifier]] = [EMAID, PCID, EVCCID, SECCID, EVSEID]
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LETTERS = ALPHABET[10:]

# ShellRechargeSolutionsEU/mobilityid and kajedot/ema-id-tool
# fmt: off
EMAIDS = [
    "NN123ABCDEFGHIT", "FRXYZ1234567892", "ITA1B2C3E4F5G64", "ESZU8WOX834H1DR", "PT73902837ABCZZ", "DE83DUIEN83QGZD",
    "DE83DUIEN83ZGQM", "DE8AA0012345670", "NLTNM000122045U", "NLTNMC00122045K", "NLTNM000722345X", "NLTNM012345678W",
    "NLTNMC00722345N", "NLXYZC3KD88D0NY", "PL123CBCDEFGHIY", "FRXYZC23456789A", "ITA1BCC3E4F5G6F", "ESZU8COX834H1DF",
    "PT739C2837ABCZM", "DE83DCIEN83QGZV", "DE83DCIEN83ZGQ4",
]
# fmt: on
DIN_CONTRACTS = ["INTNM0000719", "INTNM000110X", "INTNM0001240", "INTNM0001146", "INTNM0001915"]
PCIDS = ["KM8P2844A9TD84HR91", "KM8P2YDTDAX11F86M9", "MALP6AF2FRL0DHRO94", "KM7P2E4Z95N5TGQ178", "KMZPBUSXJPHCM9ILJ4"]
EVCCIDS = ["WVWV123456789ABCDEF7", "WMIV1234567890ABCDEX", "KMXVBQQB4G5VMK7FXKB6", "KM7V200DA343BEMZEG80"]
OPCP_SECCID = "DE-ICE-S-00003C4D557878675645330967543476-2"


def power(exponent: int, matrix: tuple[int, int, int, int], modulus: int) -> tuple[int, int, int, int]:
    """Return a power of a 2x2 matrix, for reading Annex H literally."""
    a, b, c, d = 1, 0, 0, 1
    for _ in range(exponent):
        p, q, r, s = matrix
        a, b, c, d = a * p + b * r, a * q + b * s, c * p + d * r, c * q + d * s
    return a % modulus, b % modulus, c % modulus, d % modulus


@pytest.mark.parametrize("emaid", EMAIDS)
def test_a_published_emaid_has_the_check_digit_of_annex_h(emaid: str) -> None:
    assert emaid_check_digit(emaid[:14]) == emaid[14]
    assert EMAID(emaid).is_canonical


@given(st.text(ALPHABET, min_size=14, max_size=14))
def test_an_emaids_check_digit_is_the_only_one_that_brings_both_sums_to_zero(text: str) -> None:
    def sums(whole: str) -> list[int]:
        totals = [0, 0, 0, 0]
        for i, character in enumerate(whole, 1):
            q, r = divmod(ALPHABET.index(character), 9)
            for base, (high, low), matrix, modulus in (
                (0, divmod(q, 2), (0, 1, 1, 1), 2),
                (2, divmod(r, 3), (0, 1, 1, 2), 3),
            ):
                a, b, c, d = power(i, matrix, modulus)
                totals[base] = (totals[base] + high * a + low * c) % modulus
                totals[base + 1] = (totals[base + 1] + high * b + low * d) % modulus
        return totals

    assert [x for x in ALPHABET if not any(sums(text + x))] == [emaid_check_digit(text)]


@given(st.text(ALPHABET, min_size=14, max_size=14), st.integers(0, 12), st.sampled_from(ALPHABET))
def test_an_emaids_check_digit_betrays_one_wrong_character_and_two_swapped_ones(text: str, at: int, other: str) -> None:
    swapped = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    wrong = text[:at] + other + text[at + 1 :]
    for damaged in {swapped, wrong} - {text}:
        assert emaid_check_digit(damaged) != emaid_check_digit(text)


@pytest.mark.parametrize("contract", DIN_CONTRACTS)
def test_a_published_din_contract_identifier_has_the_check_digit_of_din_91286(contract: str) -> None:
    assert mod11(contract[:-1]) == contract[-1]


@pytest.mark.parametrize("pcid", PCIDS)
def test_a_published_pcid_has_its_check_digit(pcid: str) -> None:
    assert mod11(pcid[:-1]) == pcid[-1]
    assert PCID(pcid).is_canonical


@pytest.mark.parametrize("evccid", EVCCIDS)
def test_a_published_evccid_has_its_check_digit(evccid: str) -> None:
    assert evccid_check_digit(evccid[:3], "V", evccid[4:-1]) == evccid[-1]


def test_an_evccids_check_digit_ignores_leading_zeros_of_each_element() -> None:
    assert evccid_check_digit("0WV", "V", "00000ABCDEFGH1") == evccid_check_digit("WV", "V", "ABCDEFGH1")
    assert evccid_check_digit("WVW", "V", "10BCDEFGH1") != evccid_check_digit("WVW", "V", "1BCDEFGH1")


@pytest.mark.parametrize("text", ["DE-83D-UIEN83QGZ", "DE83DUIEN83QG", "DE83DUIEN83QGÄ", "DE83DUIEN83QGı", ""])
def test_no_check_digit_is_made_of_anything_but_14_letters_and_digits(text: str) -> None:
    with pytest.raises(Malformed):
        emaid_check_digit(text)


CANONICAL = [
    (EMAID, "DE83DUIEN83QGZD"),
    (EMAID, "de-83d-uien83qgz-d"),
    (EMAID, "DE83DUIEN83QGZ"),  # the check digit is optional
    (EMAID, "TUAABcAz2BK7JR"),  # lower case in the field
    (PCID, "DEHUBCOPNCPROVCER"),  # Hubject's own has no check digit
    (PCID, "KM8-P2844A9TD84HR9-1"),
    (EVCCID, "WVWV123456789ABCDEF7"),
    (EVCCID, "wvw-v-123456789abcdef-7"),
    (SECCID, OPCP_SECCID),
    (SECCID, OPCP_SECCID[:-1] + "0"),  # the other rule of the two that sources follow
    (EVSEID, "DE*ICE*E45B*78C"),
    (EVSEID, "FRA23E45B78C"),
    (EVSEID, "ZZ00000"),
]


@pytest.mark.parametrize(("kind", "text"), CANONICAL)
def test_the_strict_form_has_no_finding(kind: type[Identifier], text: str) -> None:
    assert (kind(text).finding, kind(text).is_canonical) == (None, True)


FOUND = [
    (EMAID, "emaid001", "CC-PPP-IIIIIIIII"),
    (EMAID, "UKSWI123456791A", "check digit is 5"),  # Josev's sample
    (EMAID, "NL-TNM-012204-5", "ISO 15118-2 Annex H"),
    (EMAID, "DE*83D*UIEN83QGZ*D", "ISO 15118-2 Annex H"),
    (PCID, "pcid001", "VDE-AR-E 2802-100-1"),
    (PCID, "KM8P2YDTDAX11F86M8", "check digit is 9"),  # the vPKI guide's own misprint
    (EVCCID, "KMXVBQQB4G5VMK7FXKB6", "without the letters I, O and Q"),
    (EVCCID, "WVWV123456789ABCDEF8", "check digit is 7"),
    (SECCID, "secc001", "ISO 15118-20 C.3"),
    (SECCID, OPCP_SECCID[:-1] + "5", "check digit is 0 or 2"),
    (EVSEID, "+49*123*456", "ISO 15118-2 Annex H"),
    (EVSEID, "DE*ICE*E" + "4" * 31, "ISO 15118-2 Annex H"),
]


@pytest.mark.parametrize(("kind", "text", "part"), FOUND)
def test_a_free_form_is_accepted_with_a_finding_that_names_the_clause(
    kind: type[Identifier], text: str, part: str
) -> None:
    identifier = kind(text)
    assert not identifier.is_canonical
    assert text in (identifier.finding or "")
    assert part in (identifier.finding or "")
    assert kind.clause in (identifier.finding or "")


def test_an_identifier_keeps_what_was_given_and_compares_normalised() -> None:
    assert EMAID("de-83d-uien83qgz-d") == EMAID("DE*83D*UIEN83QGZ*D") == EMAID("DE83DUIEN83QGZD")
    assert len({EMAID("emaid001"), EMAID("EMAID001")}) == 1
    assert str(EMAID("de-83d-uien83qgz-d")) == EMAID("de-83d-uien83qgz-d").text == "de-83d-uien83qgz-d"
    assert EVSEID("DE*ICE*E45B*78C").normal == "DEICEE45B78C"


def test_a_free_id_keeps_its_separators_so_that_two_stations_stay_two() -> None:
    assert SECCID("secc-1-11") != SECCID("secc-11-1")
    assert PCID("km8-P*1").normal == "KM8-P*1"


def test_identifiers_of_two_kinds_are_never_equal() -> None:
    assert len({kind("x") for kind in KINDS}) == len(KINDS)


def test_stars_of_the_din_form_of_an_evseid_are_kept_since_its_elements_vary_in_length() -> None:
    assert EVSEID("+49*123*4567") != EVSEID("+49*1234*567")


def test_only_ascii_letters_have_a_case() -> None:
    assert EMAID("ı") != EMAID("I")
    assert EMAID("ß").normal == "ß"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["", " ", "\0", "secc\n001", "a\x7f", "\ud800"])
def test_an_identifier_that_is_empty_or_has_control_characters_is_malformed(kind: type[Identifier], text: str) -> None:
    with pytest.raises(Malformed, match=kind.__name__):
        kind(text)


@pytest.mark.parametrize("kind", KINDS)
def test_an_identifier_has_at_most_the_64_characters_of_a_common_name(kind: type[Identifier]) -> None:
    assert kind("A" * 64).normal == "A" * 64
    with pytest.raises(Refused, match="64"):
        kind("A" * 65)


@given(st.sampled_from(KINDS), st.text(max_size=70))
def test_any_text_is_an_identifier_or_a_failure(kind: type[Identifier], text: str) -> None:
    try:
        identifier = kind(text)
    except (Malformed, Refused):
        return
    assert identifier.text == text
    assert kind(identifier.normal).normal == identifier.normal
    assert identifier.is_canonical == (identifier.finding is None)


@given(st.text(LETTERS, min_size=2, max_size=2), st.text(ALPHABET, min_size=12, max_size=12), st.booleans())
def test_an_emaid_with_its_computed_check_digit_is_canonical(country: str, rest: str, lower: bool) -> None:
    text = country + rest + emaid_check_digit(country, rest)
    assert EMAID(text.lower() if lower else text).is_canonical


@given(st.text(ALPHABET, min_size=17, max_size=17), st.sampled_from(ALPHABET))
def test_a_pcid_with_another_check_digit_is_not_canonical(text: str, digit: str) -> None:
    assert PCID(text + mod11(text)).is_canonical
    assume(digit != mod11(text))
    assert not PCID(text + digit).is_canonical


@given(st.integers(1, 2**160 - 1))
def test_a_serial_survives_every_way_it_is_written(value: int) -> None:
    serial = Serial(value)
    assert Serial.parse(serial.decimal) == serial == Serial(int(serial.hex, 16))
    assert int.from_bytes(serial.octets, signed=True) == value
    assert len(serial.octets) == 1 or serial.octets[0] or serial.octets[1] & 0x80  # X.690 8.3.2: the fewest octets
    assert len(serial.hex) % 2 == 0
    assert not serial.hex.startswith("00")


def test_a_serial_is_written_as_the_interfaces_print_it() -> None:
    serial = Serial.parse("100000000078")
    assert (str(serial), serial.hex, Serial(255).octets) == ("100000000078", "174876e84e", b"\x00\xff")


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "+1", " 1", "1 ", "1_0", "0x10", "٣", "1.0", "a", "9" * 49, "1" * 5000]
)
def test_a_serial_that_is_no_positive_decimal_below_2_to_the_160_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        Serial.parse(text)


@pytest.mark.parametrize("value", [0, -1, 2**160])
def test_a_serial_out_of_range_is_malformed(value: int) -> None:
    with pytest.raises(Malformed):
        Serial(value)
