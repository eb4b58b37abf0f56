"""A CA that signs anything: a good draft is taken apart, one part is broken, and it is signed all the same.

Keys and serial numbers follow from their labels and signatures are deterministic (RFC 6979), so that the same script
always makes the same files. Never use such keys for anything else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from voltroot.pki import der, oids, suites
from voltroot.pki.addresses import Addresses
from voltroot.pki.certificates import Certificate
from voltroot.pki.drafts import Drafter, Issuer, Order, key_identifier, short_key_identifier
from voltroot.pki.names import Name
from voltroot.pki.profiles import Profile, issuer_suite, profiles, slug
from voltroot.pki.suites import SUITES, Signer, Suite

BEGIN, END, CA_END = (
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2049, 1, 1, tzinfo=UTC),
    datetime(2049, 7, 1, tzinfo=UTC),
)
AMENDMENT_1, EDITION_2022 = profiles(), profiles(iso15118_20_2022=True)
# Well-formed, so that no lint complains of what is not the defect.
COMMON_NAMES = {
    "SECC": "DEICES00003C4D5578786756453309675434762",
    "OEM_PROV": "KM8P2844A9TD84HR91",
    "VEHICLE": "WVWV123456789ABCDEF7",
    "CONTRACT": "NN123ABCDEFGHIT",
}
_ADDRESSES = Addresses("http://pki.example", shards=1)


@dataclass(frozen=True, slots=True)
class Parts:
    """A to-be-signed certificate in its parts, each in DER; ``outer`` is the algorithm outside, if it is another."""

    version: bytes
    serial: bytes
    algorithm: bytes
    issuer: bytes
    begin: bytes
    end: bytes
    subject: bytes
    spki: bytes
    extensions: tuple[tuple[str, bool, bytes], ...]
    outer: bytes | None = None

    @classmethod
    def of(cls, tbs: bytes) -> Parts:
        version, serial, algorithm, issuer, validity, subject, spki, extensions = _inside(der.read(tbs))
        begin, end = _inside(validity)
        read = tuple(_extension(part) for part in _inside(_inside(extensions)[0]))
        wholes = (part.whole for part in (version, serial, algorithm, issuer, begin, end, subject, spki))
        return cls(*wholes, read)

    def encode(self) -> bytes:
        written = (
            der.sequence(der.oid(oid), der.TRUE if critical else b"", der.octet_string(value))
            for oid, critical, value in self.extensions
        )
        validity = der.sequence(self.begin, self.end)
        head = (self.version, self.serial, self.algorithm, self.issuer, validity, self.subject, self.spki)
        return der.sequence(*head, der.explicit(3, der.sequence(*written)))

    def without(self, oid: str) -> Parts:
        return replace(self, extensions=tuple(each for each in self.extensions if each[0] != oid))

    def having(self, oid: str, value: bytes, *, critical: bool | None = None) -> Parts:
        """Put a value in the place of an extension, or at the end if there is none."""
        old = next((each for each in self.extensions if each[0] == oid), (oid, False, b""))
        new = (oid, old[1] if critical is None else critical, value)
        kept = tuple(new if each[0] == oid else each for each in self.extensions)
        return replace(self, extensions=kept if old in self.extensions else (*kept, new))

    def marking(self, oid: str, *, critical: bool) -> Parts:
        """Change the criticality of an extension."""
        return self.having(oid, next(value for known, _, value in self.extensions if known == oid), critical=critical)

    def keyed(self, spki: bytes, *, short: bool) -> Parts:
        """Put another key in, with the identifier that follows from it."""
        identify = short_key_identifier if short else key_identifier
        return replace(self.having(oids.SUBJECT_KEY_IDENTIFIER, der.octet_string(identify(spki))), spki=spki)

    def named(self, *pairs: tuple[str, str]) -> Parts:
        """Put another subject in, in DER order."""
        return replace(self, subject=Name.of(pairs).encode())


Break = Callable[[Parts], Parts]


def untouched(parts: Parts) -> Parts:
    return parts


@dataclass(frozen=True)
class Forged:
    """A certificate with its private key and its role."""

    certificate: Certificate
    signer: Signer
    profile: Profile
    suite: Suite

    @property
    def label(self) -> str:
        return slug(self.profile, self.suite)


def forge(
    label: str,
    profile: Profile,
    suite: Suite | None = None,
    *,
    issuer: Forged | None = None,
    broken: Break = untouched,
    begin: datetime = BEGIN,
    end: datetime | None = None,
    names: Iterable[str] = (),
    common_name: str | None = None,
) -> Forged:
    """Sign a certificate of a profile with one thing broken, by the right CA unless another one is given."""
    suite = suite or profile.suites[0]
    signer = key(label, suite)
    if issuer is None and profile.issuer is not None:
        issuer = ca("CPO_SUB2_2" if profile.issuer == "*" else profile.issuer, suite)
    order = Order(profile, _subject(profile, common_name or _common_name(label, profile)), signer.public_key(), "forge",
                  alternative_names=tuple(names))  # fmt: skip
    until = end or (CA_END if profile.is_ca else min(END, begin + (profile.longest or END - begin)))
    # A drafter of its own: it keeps what certificates share by the names of profiles, which both editions use.
    draft = Drafter(_ADDRESSES, timedelta(0)).draft(order, _as_issuer(issuer), begin, days=(until - begin).days)
    own = issuer or Forged(draft.placeholder(), signer, profile, suite)
    serial = int.from_bytes(hashlib.sha256(label.encode()).digest()[:19]) | 1 << 151
    parts = broken(replace(Parts.of(draft.tbs), serial=der.integer(serial)))
    tbs = parts.encode()
    octets = der.sequence(tbs, parts.outer or parts.algorithm, der.bit_string(_sign(own.signer, tbs)))
    return Forged(Certificate.read(octets), signer, profile, suite)


def ca(name: str, suite: Suite | None = None) -> Forged:
    """A good CA of a profile of amendment 1."""
    profile = AMENDMENT_1[name]
    return _ca(name, issuer_suite(profile, suite or profile.suites[0]).name)


def above(issuer: Forged) -> list[Forged]:
    """A good CA and those above it, the root last."""
    if issuer.profile.issuer is None:
        return [issuer]
    return [issuer, *above(ca(issuer.profile.issuer, issuer.suite))]


def key(label: str, suite: Suite) -> Signer:
    """The private key of a label."""
    seed = hashlib.shake_256(f"voltroot corpus {label}".encode()).digest(57)
    if suite.curve is None:
        return ed448.Ed448PrivateKey.from_private_bytes(seed)
    return ec.derive_private_key(int.from_bytes(seed[: suite.curve.key_size // 8 - 1]), suite.curve)


def spki(public_key: suites.PublicKey) -> bytes:
    return public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@cache
def _ca(name: str, suite: str) -> Forged:
    return forge(f"{name} {suite}", AMENDMENT_1[name], SUITES[suite])


def access(address: str) -> bytes:
    """The value of authorityInfoAccess for one OCSP responder."""
    return der.sequence(der.sequence(der.oid(oids.OCSP), der.implicit(6, address.encode())))


def _sign(signer: Signer, data: bytes) -> bytes:
    if isinstance(signer, ec.EllipticCurvePrivateKey):
        hash_ = suites.suite_of(signer).hash
        assert hash_ is not None
        return signer.sign(data, ec.ECDSA(hash_, deterministic_signing=True))
    return suites.sign(signer, data)


def _as_issuer(issuer: Forged | None) -> Issuer | None:
    return issuer and Issuer(0, issuer.label, issuer.profile, issuer.certificate, issuer.label)


def _subject(profile: Profile, common_name: str) -> Name:
    values = {"C": "DE", "O": "Voltroot corpus", "OU": "forge", "DC": profile.dc, "CN": common_name}
    return Name.of([(part, value) for part in profile.shape if (value := values[part])])


def _common_name(label: str, profile: Profile) -> str:
    role = profile.name.removesuffix("_2").removesuffix("_20")
    return COMMON_NAMES.get(role, f"{profile.title} {profile.edition}" if profile.is_ca else label)


def _inside(element: der.Element) -> list[der.Element]:
    return list(der.children(element.content))


def _extension(element: der.Element) -> tuple[str, bool, bytes]:
    oid, *critical, value = _inside(element)
    return der.read_oid(oid.content), bool(critical), value.content
