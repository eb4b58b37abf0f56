"""A charging station's folder as a test wants it, and a PKI for it that is made on the spot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from pathing import DAY, NOW, Made, answer_octets, make, single, uri
from voltroot.actors.station.ports import CaKind, LeafKind
from voltroot.actors.station.station import Station
from voltroot.actors.station.upkeep import Rules, Upkeep
from voltroot.pki import der, oids
from voltroot.pki.certificates import Certificate
from voltroot.pki.profiles import profiles
from voltroot.store.certdir import CertificateFolder, Layout

LONG = timedelta(days=3650)
ADDRESS = "http://ocsp.example/"
SIGN_AND_AGREE = 0x8800


def root(name: str = "V2GRootCA", **rest: Any) -> Made:
    return make(f"CN={name},O=Test,C=DE", end=NOW + LONG, **rest)


def sub(name: str, issuer: Made, length: int | None = None, **rest: Any) -> Made:
    rest = {"end": NOW + LONG, "kind": issuer.kind} | rest
    return make(f"CN={name},O=Test,C=DE", issuer, ca=True, length=length, **rest, extensions=responder())


def leaf(name: str, issuer: Made, *, dc: str = "CPO", extensions: dict[str, Any] | None = None, **rest: Any) -> Made:
    rest = {"kind": issuer.kind, "usage": SIGN_AND_AGREE, "end": NOW + 100 * DAY} | rest
    subject = f"CN={name},O=Test,C=DE" + (f",DC={dc}" if dc else "")
    return make(subject, issuer, ca=False, extensions=responder() | (extensions or {}), **rest)


def responder(address: str = ADDRESS) -> dict[str, Any]:
    """An authorityInfoAccess that names an OCSP responder."""
    return {oids.AUTHORITY_INFO_ACCESS: (False, der.sequence(der.sequence(der.oid(oids.OCSP), uri(address))))}


def pem(*made: Made) -> str:
    return "".join(each.certificate.pem for each in made)


@dataclass
class Branch:
    """A root with two sub-CAs below it and a leaf."""

    label: str = "V2G"
    kind: str = "P-256"
    dc: str = "CPO"

    @cached_property
    def root(self) -> Made:
        return root(f"{self.label}RootCA", kind=self.kind)

    @cached_property
    def sub1(self) -> Made:
        return sub(f"{self.label}SubCA1", self.root, 1)

    @cached_property
    def sub2(self) -> Made:
        return sub(f"{self.label}SubCA2", self.sub1, 0)

    @cached_property
    def leaf(self) -> Made:
        return self.another(f"{self.label}Leaf")

    def another(self, name: str, **rest: Any) -> Made:
        """One more leaf of the branch."""
        if self.kind != "P-256":
            rest = {"extensions": {oids.EXTENDED_KEY_USAGE: (True, der.sequence(der.oid(oids.SERVER_AUTH)))}} | rest
        return leaf(name, self.sub2, dc=self.dc, **rest)

    @property
    def chain(self) -> tuple[Made, Made, Made]:
        return self.leaf, self.sub2, self.sub1

    @property
    def bundle(self) -> str:
        return pem(self.sub2, self.sub1, self.root)


class Clock:
    """A moment that a test may move."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Charger:
    """A folder in EVerest's layout, with what a test puts there behind the store's back."""

    folder: Path
    layout: Layout | None = None
    rules: Rules = field(default_factory=Rules)
    password: bytes | None = None
    clock: Clock = field(default_factory=Clock)
    elapsed: float = 0.0
    restat: float = 0.0
    opened: bool = True

    def __post_init__(self) -> None:
        self.layout = self.layout or Layout.everest(self.folder)
        if self.opened:
            self.store.open()

    @property
    def places(self) -> Layout:
        assert self.layout is not None
        return self.layout

    @cached_property
    def store(self) -> CertificateFolder:
        return CertificateFolder(self.places, self.clock, password=self.password, restat=self.restat)

    @cached_property
    def station(self) -> Station:
        upkeep = Upkeep(self.store, self.rules, lambda: self.elapsed)
        return Station(self.store, profiles(), self.clock, rules=self.rules, upkeep=upkeep)

    def restart(self) -> Charger:
        """The same folder, opened by another process."""
        return Charger(self.folder, self.layout, self.rules, self.password, self.clock, restat=self.restat)

    def trust(self, kind: CaKind, text: str) -> Path:
        """Put a bundle there."""
        path = self.places.authorities[kind]
        path = path / "cas.pem" if path.is_dir() else path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def own(
        self, own: Made, *above: Made, name: str = "LEAF", kind: LeafKind = LeafKind.V2G, key: bool = True
    ) -> tuple[Path, ...]:
        """Put a leaf there as EVerest does: alone, with its chain, and its key."""
        folder, keys = self.places.certificates[kind], self.places.keys[kind]
        paths = [folder / f"{name}.pem"]
        paths[0].write_text(pem(own))
        if above:
            paths.append(folder / f"CPO_CERT_{name}_CHAIN.pem")
            paths[-1].write_text(pem(own, *above))
        if key:
            paths.append(keys / f"{name}.key")
            paths[-1].write_bytes(key_pem(own, self.password))
            paths[-1].chmod(0o600)
        return tuple(paths)

    def files(self) -> dict[str, bytes]:
        """Everything that stands in the folder but for our own state."""
        state = self.places.state
        found = (path for path in sorted(self.folder.rglob("*")) if path.is_file() and state not in path.parents)
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in found}

    def certificates(self) -> Iterable[Certificate]:
        return [leaf.certificate for leaf in self.store.leaves(LeafKind.V2G).leaves]


def key_pem(made: Made, password: bytes | None = None) -> bytes:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    octets: bytes = made.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    return octets


def stapled(own: Made, issuer: Made, state: str = "good", **rest: Any) -> bytes:
    """An OCSP answer by the CA itself."""
    return answer_octets(issuer, single(own, issuer, state, **rest))
