"""The identifiers of ISO 15118 as values: each keeps what was given, compares normalised and knows its strict form."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import cycle
from operator import mul
from string import ascii_letters, ascii_lowercase, ascii_uppercase, digits
from typing import ClassVar, Self

from voltroot.errors import Malformed, Refused

_LONGEST = 64  # X.520 ub-common-name: each of these identifiers becomes the CN of a certificate
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_ALPHABET = digits + ascii_uppercase
_POWERS = tuple(1 << k for k in range(28))
_VALUES = {character: int(character, 36) for character in digits + ascii_letters}


def emaid_check_digit(*elements: str) -> str:
    """Return the check digit of an EMAID's first 14 characters, given whole or in elements (ISO 15118-2 Annex H)."""
    values = _values("".join(elements))
    if len(values) != 14:
        raise Malformed(f"the check digit of an EMAID is made of 14 characters, not of {len(values)}")
    s1 = s2 = t1 = t2 = 0
    for value in reversed(values):  # Horner's rule on the sum of v(i) P^i, P1 = ((0,1),(1,1)) and P2 = ((0,1),(1,2))
        q, r = divmod(value, 9)
        s1, s2 = s1 + q // 2, s2 + q % 2
        s1, s2 = s2, s1 + s2
        t1, t2 = t1 + r // 3, t2 + r % 3
        t1, t2 = t2, t1 + 2 * t2
    # The digit, at P^15, brings both sums to zero; P1^-15 is 1 modulo 2 and P2^-15 is P2 modulo 3.
    q1, q2 = s1 % 2, s2 % 2
    r1, r2 = -t2 % 3, -(t1 + 2 * t2) % 3
    return _ALPHABET[9 * (2 * q1 + q2) + 3 * r1 + r2]


def mod11(*elements: str) -> str:
    """Return the check digit of a PCID (VDE-AR-E 2802-100-1): the values' decimal digits, weighted 2^k, modulo 11.

    That of a contract identifier with an instance of 6 characters (DIN SPEC 91286) is the same.
    """
    return _weigh("".join(elements), period=10)  # 2^10 is 1 modulo 11


def evccid_check_digit(*elements: str) -> str:
    """Return the check digit of an EVCCID, given in elements, which lose leading zeros (ISO 15118-20 C.6)."""
    return _weigh("".join(element.lstrip("0") for element in elements), period=28)


def _weigh(text: str, period: int) -> str:
    digits = map(int, "".join(map(str, _values(text))))
    return "0123456789X"[sum(map(mul, digits, cycle(_POWERS[:period]))) % 11]


def _values(text: str) -> list[int]:
    try:
        return [_VALUES[character] for character in text]
    except KeyError as error:
        raise Malformed(f"a check digit is made of letters and digits, not of {error}") from error


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Identifier:
    """A text of 1 to 64 printable characters, equal to another of its kind that has the same normal form."""

    text: str = field(compare=False)
    normal: str = field(init=False, repr=False)

    shape: ClassVar[str]
    clause: ClassVar[str]
    pattern: ClassVar[re.Pattern[str]]  # its groups are the elements, the last one the check digit
    checks: ClassVar[tuple[Callable[..., str], ...]] = ()
    separators: ClassVar[str] = "-"

    def __post_init__(self) -> None:
        kind = type(self).__name__
        if len(self.text) > _LONGEST:
            raise Refused(f"{kind}: {len(self.text)} characters are more than the {_LONGEST} of a common name")
        if _CONTROL.search(self.text):
            raise Malformed(f"{kind}: {self.text!a} holds a control character or half a character")
        # Only ASCII letters have a case here: str.upper would make one identifier of two, such as of "ı" and "I".
        folded = self.text.translate(str.maketrans(ascii_lowercase, ascii_uppercase))
        bare = folded.translate(str.maketrans("", "", self.separators))
        # Free ids keep their separators: "secc-1-11" and "secc-11-1" are two stations.
        object.__setattr__(self, "normal", bare if self.pattern.fullmatch(bare) else folded)
        if not self.normal.strip():
            raise Malformed(f"{kind}: {self.text!a} is empty")

    def __str__(self) -> str:
        return self.text

    @property
    def is_canonical(self) -> bool:
        """Whether the text has the strict form of the standard and, where it has one, the right check digit."""
        return self.finding is None

    @property
    def finding(self) -> str | None:
        """Why the text is not canonical, in one sentence that names the standard and clause."""
        match = self.pattern.fullmatch(self.text)
        if match is None:
            return f"{self.text} is not written {self.shape} ({self.clause})"
        *elements, given = match.groups("") or ("",)
        expected = [check(*elements) for check in self.checks] if given else [""]
        if given.upper() in expected:
            return None
        return f"{self.text} ends in {given}, but its check digit is {' or '.join(expected)} ({self.clause})"


class EMAID(Identifier):
    """The identifier of a contract (ISO 15118-2 Annex H)."""

    __slots__ = ()
    shape = "CC-PPP-IIIIIIIII, where a check digit may follow"
    clause = "ISO 15118-2 Annex H"
    pattern = _pattern("([A-Z]{2})-?([A-Z0-9]{3})-?([A-Z0-9]{9})(?:-?([A-Z0-9]))?")
    checks = (emaid_check_digit,)
    separators = "-*"  # the older form of DIN SPEC 91286 has stars


class PCID(Identifier):
    """The identifier of a provisioning certificate, hence of a car (VDE-AR-E 2802-100-1)."""

    __slots__ = ()
    shape = "as 3 characters of WMI and 14 of the manufacturer's own, where a check digit may follow"
    clause = "VDE-AR-E 2802-100-1"
    pattern = _pattern("([A-Z0-9]{3})-?([A-Z0-9]{14})(?:-?([A-Z0-9]))?")
    checks = (mod11,)


class EVCCID(Identifier):
    """The identifier of a car's communication controller (ISO 15118-20 C.5)."""

    __slots__ = ()
    shape = "as a WMI, V, at least 15 characters and a check digit, without the letters I, O and Q"
    clause = "ISO 15118-20 C.5 and C.6"
    pattern = _pattern("([A-HJ-NPR-Z0-9]{3})-?(V)-?([A-HJ-NPR-Z0-9]{15,})-?([A-Z0-9])")
    checks = (evccid_check_digit,)


class SECCID(Identifier):
    """The identifier of a charger's communication controller (ISO 15118-20 C.3)."""

    __slots__ = ()
    shape = "CC-OOO-S, at least 32 characters and a check digit"
    clause = "ISO 15118-20 C.3 and C.6"
    pattern = _pattern("([A-Z]{2})-?([A-Z0-9]{3})-?(S)-?([A-Z0-9]{32,})-?([A-Z0-9])")
    checks = (evccid_check_digit, mod11)  # the only published example agrees with the second alone: either will do


class EVSEID(Identifier):
    """The identifier of a charging point (ISO 15118-2 Annex H)."""

    __slots__ = ()
    shape = "CC*OOO*E with up to 30 characters of outlet"
    clause = "ISO 15118-2 Annex H"
    pattern = _pattern(r"[A-Z]{2}\*?[A-Z0-9]{3}\*?E[A-Z0-9][A-Z0-9*]{0,29}|ZZ00000")
    separators = "*"


@dataclass(frozen=True, slots=True, order=True)
class Serial:
    """A certificate's serial number: positive and below 2^160 (RFC 5280 4.1.2.2)."""

    value: int

    def __post_init__(self) -> None:
        if not 0 < self.value < 1 << 160:
            raise Malformed("a serial number is positive and below 2^160 (RFC 5280 4.1.2.2)")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the serial number that the text gives in decimal digits; Malformed if it does not."""
        if not re.fullmatch("[0-9]{1,49}", text):
            raise Malformed(f"{text[:49]!a} is not a serial number in decimal digits")
        return cls(int(text))

    def __str__(self) -> str:
        return self.decimal

    @property
    def decimal(self) -> str:
        """The number in decimal digits."""
        return str(self.value)

    @property
    def hex(self) -> str:
        """The number in whole octets of lower-case hexadecimal digits, without a sign octet."""
        return self.value.to_bytes((self.value.bit_length() + 7) // 8).hex()

    @property
    def octets(self) -> bytes:
        """The content octets of the number's DER encoding, sign octet included (X.690 8.3)."""
        return self.value.to_bytes(self.value.bit_length() // 8 + 1)
