"""What the charging station needs from outside: a store of certificates and keys, and the values they deal in."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

from voltroot.errors import Failure
from voltroot.pki import names
from voltroot.pki.certificates import Certificate
from voltroot.pki.fingerprints import HashData
from voltroot.pki.suites import Signer, Suite

_REMEMBERED = 256  # names


class CaKind(StrEnum):
    """Whom a trusted CA speaks for: cars and stations, contracts, the CSMS, the station's manufacturer, cars' makers.

    The last of them is ours: EVerest has no place for it.
    """

    V2G = "V2G"
    MO = "MO"
    CSMS = "CSMS"
    MF = "MF"
    OEM = "OEM"


class LeafKind(StrEnum):
    """What a certificate of the station is for: the CSMS, or cars of ISO 15118-2 or -20; there is none of MF and MO."""

    CSMS = "CSMS"
    V2G = "V2G"
    V2G20 = "V2G20"
    MF = "MF"
    MO = "MO"


OWN = (LeafKind.CSMS, LeafKind.V2G)
AUTHORITY_OF = {
    LeafKind.CSMS: CaKind.CSMS,
    LeafKind.V2G: CaKind.V2G,
    LeafKind.V2G20: CaKind.V2G,
    LeafKind.MF: CaKind.MF,
    LeafKind.MO: CaKind.MO,
}


class Fault(NamedTuple):
    """Something in the store that cannot be used, and why; it hides nothing else."""

    path: Path
    text: str


@dataclass(frozen=True, eq=False)
class Authorities:
    """The certificates of CAs in one place, each once, as they stand there: the same value until something changes."""

    certificates: tuple[Certificate, ...] = ()
    faults: tuple[Fault, ...] = ()

    @cached_property
    def roots(self) -> tuple[Certificate, ...]:
        """Those that are trusted: CAs that were issued by themselves."""
        return tuple(each for each in self.certificates if is_root(each))

    @cached_property
    def others(self) -> tuple[Certificate, ...]:
        """Those that help to build chains."""
        return tuple(each for each in self.certificates if not is_root(each))

    def named(self, name: bytes) -> tuple[Certificate, ...]:
        """Return those whose subject is a name in DER, octet for octet."""
        return self._by_subject.get(name, ())

    def spelled_otherwise(self, name: bytes) -> tuple[Certificate, ...]:
        """Return those whose subject is the same name in another spelling: rare, and slow to find."""
        if name not in self._other_spellings:
            if len(self._other_spellings) >= _REMEMBERED:
                self._other_spellings.clear()
            found = (each for each in self.certificates if each.subject_der != name and _same(name, each.subject_der))
            self._other_spellings[name] = tuple(found)
        return self._other_spellings[name]

    @cached_property
    def _other_spellings(self) -> dict[bytes, tuple[Certificate, ...]]:
        return {}

    @cached_property
    def _by_subject(self) -> dict[bytes, tuple[Certificate, ...]]:
        found: dict[bytes, list[Certificate]] = {}
        for each in self.certificates:
            found.setdefault(each.subject_der, []).append(each)
        return {name: tuple(certificates) for name, certificates in found.items()}


def is_root(certificate: Certificate) -> bool:
    """Whether a certificate can be an anchor of trust."""
    return certificate.is_ca and certificate.self_issued


def _same(one: bytes, other: bytes) -> bool:
    try:
        return names.same(one, other)
    except (Failure, ValueError):
        return False


@dataclass(frozen=True, slots=True)
class Key:
    """A private key by its file; ``key_hash`` says of which public key, ``label`` where it lives in a keyring.

    ``exposed`` says that others than its owner may read the file.
    """

    path: Path
    key_hash: bytes
    label: str | None = None
    exposed: bool = False


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate of the station: alone in one file, with its chain (leaf first) in another, its key in a third.

    ``files`` are all in which it stands first, those in DER as well; the other two are in PEM.
    """

    certificate: Certificate
    chain: tuple[Certificate, ...]
    single_file: Path | None
    chain_file: Path | None
    key: Key | None
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Leaves:
    """What one place has: leaves, CA certificates beside them, all keys, and the files of both that cannot be used.

    It is the same value until something changes.
    """

    leaves: tuple[Leaf, ...] = ()
    others: tuple[Certificate, ...] = ()
    keys: tuple[Key, ...] = ()
    faults: tuple[Fault, ...] = ()
    key_faults: tuple[Fault, ...] = ()

    @property
    def unused_keys(self) -> tuple[Key, ...]:
        """The keys that wait for a certificate."""
        used = {leaf.certificate.key_hash for leaf in self.leaves}
        return tuple(key for key in self.keys if key.key_hash not in used)

    def key_of(self, certificate: Certificate) -> Key | None:
        """Return the key of a certificate."""
        return next((key for key in self.keys if key.key_hash == certificate.key_hash), None)


class KeptAnswer(NamedTuple):
    """An OCSP answer in the store: of which certificate, and its file in DER."""

    about: HashData
    path: Path


class Size(NamedTuple):
    """How much the store holds; links and empty files are not certificates."""

    certificates: int
    octets: int


@dataclass(frozen=True, slots=True)
class Removal:
    """What goes in one transaction."""

    authorities: Mapping[CaKind, Collection[Certificate]] = field(default_factory=dict)
    leaves: Collection[Leaf] = ()
    keys: Collection[Key] = ()
    answers: Collection[KeptAnswer] = ()


class CertificateStore(Protocol):
    """The station's files. Each method is one transaction, durable when it returns, safe among threads and processes.

    Reading shows what is there now, also what another program has put there. Everything raises Unavailable where the
    folder cannot be used.
    """

    def authorities(self, kind: CaKind) -> Authorities:
        """Return the CA certificates of a kind."""
        ...

    def each_authority(self, kind: CaKind) -> Iterator[Certificate]:
        """Yield the CA certificates of a kind while they are read, for whoever needs only the first that will do."""
        ...

    def leaves(self, kind: LeafKind) -> Leaves:
        """Return the station's own certificates of a kind; both kinds for cars share one place."""
        ...

    def add_authority(self, kind: CaKind, certificate: Certificate) -> None:
        """Install a CA certificate; one that is there stays as it is."""
        ...

    def add_leaf(self, kind: LeafKind, chain: Sequence[Certificate]) -> None:
        """Install a certificate with those above it, the root left out; Unavailable where its key is not there."""
        ...

    def create_key(self, kind: LeafKind, suite: Suite) -> tuple[Key, Signer]:
        """Make a private key in a file of its own."""
        ...

    def refer_to_key(self, kind: LeafKind, label: str, spki: bytes, reference: str = "") -> Key:
        """Note that a key lives in a keyring under a label; ``reference`` is PEM that OpenSSL finds it by."""
        ...

    def remove(self, removal: Removal) -> None:
        """Take all of it away, or nothing; but never a key of a certificate that stays."""
        ...

    def location(self, kind: CaKind) -> Path | None:
        """Return what OpenSSL takes as CAfile or CApath, its hash links in order; None where no certificate is."""
        ...

    def file_of(self, kind: CaKind, certificate: Certificate) -> Path | None:
        """Return a file in which a CA certificate stands."""
        ...

    def passed_over(self) -> tuple[Path, ...]:
        """Return files that may hold certificates and are not looked at, because of their names."""
        ...

    def der_file(self, kind: LeafKind, certificate: Certificate) -> Path:
        """Return a file that holds the certificate in DER."""
        ...

    def pem_file(self, kind: LeafKind, certificate: Certificate) -> Path:
        """Return a file that holds the certificate alone in PEM."""
        ...

    def answers(self, kind: LeafKind) -> tuple[KeptAnswer, ...]:
        """Return the OCSP answers that are kept for the leaves of a kind."""
        ...

    def keep_answer(self, kind: LeafKind, about: HashData, octets: bytes) -> None:
        """Keep an OCSP answer in place of an older one about the same certificate."""
        ...

    def count(self, place: CaKind | LeafKind) -> int:
        """Return how many certificates stand in the files of a place, those that stand in two of them twice."""
        ...

    def size(self) -> Size:
        """Return how much the store holds."""
        ...
