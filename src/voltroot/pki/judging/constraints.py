"""Name constraints (RFC 5280 4.2.1.10): which names the CAs above a certificate permit it to have."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from voltroot.errors import Malformed
from voltroot.pki import der, oids
from voltroot.pki.certificates import Certificate
from voltroot.pki.extensions import (
    DIRECTORY,
    DNS,
    EMAIL,
    IP,
    URI,
    WORDS,
    GeneralName,
    read_alternative_names,
    read_name,
)
from voltroot.pki.names import Name

MOST_COMPARISONS = 1 << 16

_LABEL = "[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_HOST = re.compile(r"(?is)[a-z][a-z0-9+.-]*://(?:[^/?#@]*@)?([^:/?#\[\]]*)(?::[0-9]*)?(?:[/?#].*)?")


class Kind(NamedTuple):
    """How names of one form are read and compared; ``meets`` is what excludes, where that is more than ``within``."""

    name: Callable[[bytes], Any]
    base: Callable[[bytes], Any]
    within: Callable[[Any, Any], bool]
    meets: Callable[[Any, Any], bool]


class Subtrees(NamedTuple):
    """What one CA allows: the bases of each form of name. Names of an ``unclear`` form cannot be compared here."""

    permitted: dict[int, list[Any]]
    excluded: dict[int, list[Any]]
    unclear: frozenset[int]


class Constraints:
    """permitted_subtrees and excluded_subtrees of RFC 5280 6.1.2 while a path is walked down."""

    def __init__(self, permitted: Iterable[GeneralName] | None, excluded: Iterable[GeneralName]) -> None:
        self._all: list[Subtrees] = []
        self._compared = 0
        if permitted is not None or excluded:
            self._all.append(_subtrees([*(permitted or ())], [*excluded]))

    def objection(self, certificate: Certificate) -> str | None:
        """Return which name lies outside, if any (6.1.3 (b) and (c))."""
        if not self._all:
            return None
        return next(filter(None, map(self._judge, _names(certificate))), None)

    def narrow(self, certificate: Certificate) -> None:
        """Take a CA's own constraints in (6.1.4 (g)); raise Malformed for such as cannot be read."""
        extension = certificate.extensions.get(oids.NAME_CONSTRAINTS)
        if extension is None:
            return
        parts = {part.tag: part.content for part in der.children(der.read_sequence(extension.value))}
        if not parts or parts.keys() - {0xA0, 0xA1}:
            raise Malformed("its name constraints are empty or out of shape")
        self._all.append(_subtrees(_bases(parts.get(0xA0)), _bases(parts.get(0xA1))))

    def _judge(self, name: GeneralName) -> str | None:
        tag = name.tag
        concerned = [each for each in self._all if tag in each.permitted or tag in each.excluded or tag in each.unclear]
        if not concerned:
            return None
        if tag not in KINDS or any(tag in each.unclear for each in concerned):
            return f"a name of its form (tag {tag:#04x}) is constrained in a way that is not understood here"
        kind, word = KINDS[tag], WORDS[tag]
        own = kind.name(name.content)
        for each in concerned:
            permitted, excluded = each.permitted.get(tag), each.excluded.get(tag, ())
            self._compared += len(permitted or ()) + len(excluded)
            if self._compared > MOST_COMPARISONS:
                return f"it takes more than {MOST_COMPARISONS} comparisons to hold its names against the constraints"
            if permitted is not None and not any(kind.within(own, base) for base in permitted):
                return f"its {word} {_shown(name)} lies outside of what a CA above it permits"
            if any(kind.meets(own, base) for base in excluded):
                return f"its {word} {_shown(name)} lies within what a CA above it excludes"
        return None


def _subtrees(permitted: Sequence[GeneralName], excluded: Sequence[GeneralName]) -> Subtrees:
    unclear: set[int] = set()

    def sorted_out(bases: Sequence[GeneralName]) -> dict[int, list[Any]]:
        found: dict[int, list[Any]] = {}
        for tag, content in bases:
            if tag in KINDS:
                found.setdefault(tag, []).append(KINDS[tag].base(content))
            else:
                unclear.add(tag)
        return found

    return Subtrees(sorted_out(permitted), sorted_out(excluded), frozenset(unclear))


def _bases(content: bytes | None) -> list[GeneralName]:
    found = []
    for subtree in der.children(content or b""):
        base, *bounds = der.children(der.read_sequence(subtree.whole))
        # RFC 5280 4.2.1.10: minimum is 0 and maximum absent, always.
        if any(bound.tag != 0x80 or bound.content != b"\x00" for bound in bounds):
            raise Malformed("its name constraints have a minimum or maximum")
        found.append(read_name(base))
    if content == b"":
        raise Malformed("its name constraints are empty")
    return found


def _names(certificate: Certificate) -> Iterator[GeneralName]:
    subject = certificate.subject_der
    if der.read_sequence(subject):
        yield GeneralName(DIRECTORY, subject)
    alternative = certificate.extensions.get(oids.SUBJECT_ALTERNATIVE_NAME)
    if alternative is not None:
        yield from read_alternative_names(alternative.value)
    else:
        for address in certificate.subject.all("emailAddress"):
            yield GeneralName(EMAIL, address.encode())


def _shown(name: GeneralName) -> str:
    if name.tag == DIRECTORY:
        return Name.decode(name.content).print()
    return str(ipaddress.ip_address(name.content)) if name.tag == IP else ascii(name.content.decode("latin-1"))


def _text(content: bytes) -> str:
    try:
        return content.decode("ascii").lower()
    except UnicodeDecodeError as error:
        raise Malformed("a name or name constraint is not ASCII") from error


def _domain(text: str) -> str:
    if not _DOMAIN.fullmatch(text):
        raise Malformed(f"{text!a} is no domain name to compare with name constraints")
    return text


def _dns_name(content: bytes) -> str:
    text = _text(content)
    return "*." + _domain(text[2:]) if text.startswith("*.") else _domain(text)


def _dns_base(content: bytes) -> str:
    # A leading period, which other forms of name know, means nothing here (RFC 5280 4.2.1.10).
    return _domain(_text(content)) if content else ""


def _dns_within(name: str, base: str) -> bool:
    return not base or name == base or name.endswith("." + base)


def _dns_meets(name: str, base: str) -> bool:
    # A wildcard stands for the very names that an exclusion may be about.
    return _dns_within(name, base) or (name.startswith("*.") and base.partition(".")[2] == name[2:])


def _mailbox(content: bytes) -> tuple[str, str]:
    local, _at, host = content.decode("latin-1").rpartition("@")
    if not local or ("@" in local and local[0] + local[-1] != '""'):
        raise Malformed("an e-mail address is none")
    return local, _domain(_text(host.encode("latin-1")))


def _mail_base(content: bytes) -> tuple[str | None, str]:
    if b"@" in content:
        return _mailbox(content)
    return None, _host_base(content)


def _mail_within(name: tuple[str, str], base: tuple[str | None, str]) -> bool:
    return base[0] in (None, name[0]) and _host_within(name[1], base[1])


def _uri_host(content: bytes) -> str:
    found = _HOST.fullmatch(content.decode("latin-1"))
    host = _domain(found[1].lower()) if found else ""
    if not host or re.fullmatch(r"[0-9.]+", host):
        raise Malformed("a URI does not name its host, which name constraints are about")
    return host


def _host_base(content: bytes) -> str:
    text = _text(content)
    _domain(text.removeprefix("."))
    return text


def _host_within(host: str, base: str) -> bool:
    return host.endswith(base) if base.startswith(".") else host == base


def _address(content: bytes) -> bytes:
    if len(content) not in (4, 16):
        raise Malformed("an IP address has neither 4 nor 16 octets")
    return content


def _network(content: bytes) -> tuple[int, int, int]:
    half = len(content) // 2
    if len(content) not in (8, 32):
        raise Malformed("a name constraint on IP addresses has neither 8 nor 32 octets")
    address, mask = (int.from_bytes(part, "big") for part in (content[:half], content[half:]))
    rest = ~mask & ((1 << 8 * half) - 1)
    if rest & (rest + 1):
        raise Malformed("a name constraint on IP addresses has a mask with holes")
    return half, address & mask, mask


def _address_within(address: bytes, base: tuple[int, int, int]) -> bool:
    size, network, mask = base
    return len(address) == size and int.from_bytes(address, "big") & mask == network


def _rdns(content: bytes) -> list[str]:
    folded = Name.decode(content).folded()
    if any(map(_CONTROL.search, folded)):
        raise Malformed("a name holds a control character, which comparisons may pass over")
    return folded


def _rdns_within(name: list[str], base: list[str]) -> bool:
    return name[: len(base)] == base


KINDS: dict[int, Kind] = {
    EMAIL: Kind(_mailbox, _mail_base, _mail_within, _mail_within),
    DNS: Kind(_dns_name, _dns_base, _dns_within, _dns_meets),
    URI: Kind(_uri_host, _host_base, _host_within, _host_within),
    IP: Kind(_address, _network, _address_within, _address_within),
    DIRECTORY: Kind(_rdns, _rdns, _rdns_within, _rdns_within),
}
