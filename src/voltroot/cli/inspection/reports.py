"""What is told of a file: sections of labelled facts with findings, the same for people and for JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, TypeVar

from cryptography.hazmat.primitives.asymmetric import ec, ed448

from voltroot.errors import Failure
from voltroot.pki.certificates import Certificate, read_public_key
from voltroot.pki.lints import Finding, Level
from voltroot.pki.profiles import Profile
from voltroot.pki.recognise import recognise

Json = str | int | bool | None | Sequence["Json"] | Mapping[str, "Json"]
T = TypeVar("T")


class Fact(NamedTuple):
    """One line: member and value of the JSON document, label and text for people.

    Without a key it stands in no document, without a text it is not printed.
    """

    key: str
    value: Json
    label: str = ""
    text: str = ""


@dataclass(slots=True)
class Section:
    """What is told of one thing in a file. ``rules`` is how many rules it was held against."""

    kind: str
    title: str
    facts: list[Fact] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    rules: int = 0

    def document(self) -> dict[str, Json]:
        """Return the section as a member of the JSON document."""
        findings = [{"lint": f.lint, "level": f.level.value, "clause": f.clause, "text": f.text} for f in self.findings]
        facts = {fact.key: fact.value for fact in self.facts if fact.key}
        return {"kind": self.kind, "title": self.title, **facts, "rules": self.rules, "findings": findings}


@dataclass(frozen=True, slots=True)
class Report:
    """What is told of one file."""

    file: str
    encoding: str
    sections: tuple[Section, ...]

    @property
    def has_errors(self) -> bool:
        """Whether a finding at error level is among them."""
        return any(finding.level is Level.ERROR for section in self.sections for finding in section.findings)

    def document(self) -> dict[str, Json]:
        """Return the report as a member of the JSON document."""
        return {
            "file": self.file,
            "encoding": self.encoding,
            "error": None,
            "items": [section.document() for section in self.sections],
        }


@dataclass(frozen=True, slots=True)
class Sight:
    """What files are looked at with: the moment, the table, and all certificates given, in ``pool``.

    Certificates of any file may be the issuers of those of another. ``chosen`` is for the first of them.
    """

    at: datetime
    profiles: Mapping[str, Profile]
    chosen: Profile | None
    pool: tuple[Certificate, ...] = ()

    def profile_of(self, certificate: Certificate) -> Profile | None:
        """Return the profile that was chosen for the first certificate of all, or the one that a certificate means."""
        chosen = self.chosen if self.pool and certificate is self.pool[0] else None
        return chosen or recognise(certificate, self.profiles)


class Row(NamedTuple):
    """How one fact is taken from a thing; ``show`` makes its text, where the value alone does not.

    Without a label it is for JSON only.
    """

    key: str
    label: str
    take: Callable[[], Json]
    show: Callable[[], str] | None = None


def facts(rows: Iterable[Row]) -> Iterator[Fact]:
    """Yield the facts of rows; what cannot be read says so in its own line."""
    for row in rows:
        try:
            value = row.take()
            yield Fact(row.key, value, row.label, _text(row, value))
        except (Failure, ValueError) as error:
            yield Fact(row.key, None, row.label, f"cannot be read: {error}")


def _text(row: Row, value: Json) -> str:
    if not row.label:
        return ""
    return row.show() if row.show else plain(value)


def plain(value: Json) -> str:
    """Return a value's text: nothing for what is absent."""
    match value:
        case None:
            return ""
        case str() | int():
            return str(value)
        case Mapping():
            return ", ".join(f"{name} {plain(each)}" for name, each in value.items())
        case _:
            return ", ".join(map(plain, value))


def error(lint: str, clause: str, text: str) -> Finding:
    """Return a finding of ours that is no lint of the table, at error level."""
    return Finding(lint, Level.ERROR, clause, text)


def warning(lint: str, clause: str, text: str) -> Finding:
    """Return a finding of ours that is no lint of the table, at warning level."""
    return Finding(lint, Level.WARNING, clause, text)


def counted(count: int, thing: str) -> str:
    """Return a number of things."""
    return f"{count} {thing}" + ("" if count == 1 else "s")


def moment(at: datetime) -> str:
    """Return a moment as people read it."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def iso(at: datetime | None) -> str | None:
    """Return a moment as RFC 3339 has it."""
    return None if at is None else f"{at:%Y-%m-%dT%H:%M:%SZ}"


def serial(number: int) -> dict[str, Json]:
    """Return a serial number in decimal and hexadecimal; a wrong one, negative or endless, too."""
    sign = "-" if number < 0 else ""
    digits = f"{abs(number):x}"
    return {"decimal": f"{number}", "hex": sign + digits.rjust(len(digits) + len(digits) % 2, "0")}


def serial_text(number: int) -> str:
    """Return a serial number for people."""
    written = serial(number)
    return f"{written['decimal']} (hex {written['hex']})"


def key_kind(spki: bytes) -> str:
    """Return the kind of a public key, whether or not it is one that is used here."""
    try:
        key = read_public_key(spki)
    except Failure:
        return "unknown"
    match key:
        case ec.EllipticCurvePublicKey():
            return {"secp256r1": "P-256", "secp521r1": "P-521"}.get(key.curve.name, key.curve.name)
        case ed448.Ed448PublicKey():
            return "Ed448"
        case _:
            return f"RSA {key.key_size}"


SIGNATURES = {
    "1.2.840.10045.4.3.2": "ecdsa-with-SHA256",
    "1.2.840.10045.4.3.3": "ecdsa-with-SHA384",
    "1.2.840.10045.4.3.4": "ecdsa-with-SHA512",
    "1.2.840.113549.1.1.11": "sha256WithRSAEncryption",
    "1.2.840.113549.1.1.12": "sha384WithRSAEncryption",
    "1.2.840.113549.1.1.13": "sha512WithRSAEncryption",
    "1.3.101.113": "Ed448",
}
