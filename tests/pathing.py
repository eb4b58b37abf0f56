"""A CA that issues whatever a test of the judge asks for: certificates, CRLs and OCSP answers, right or wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from voltroot.pki import answers, der, oids
from voltroot.pki.answers import Answer
from voltroot.pki.certificates import Certificate
from voltroot.pki.drafts import key_bits, key_identifier
from voltroot.pki.lists import Crl
from voltroot.pki.names import Name

NOW = datetime(2026, 6, 1, tzinfo=UTC)
BEGIN, END = NOW - timedelta(days=30), NOW + timedelta(days=30)
DAY = timedelta(days=1)

CERT_SIGN, CRL_SIGN, SIGN = 0x0400, 0x0200, 0x8000
Extensions = Mapping[str, tuple[bool, bytes] | None]


class Kind(NamedTuple):
    """A kind of key with the signature that it makes."""

    generate: Callable[[], Any]
    algorithm: bytes
    sign: Callable[[Any, bytes], bytes]


def _ecdsa(curve: ec.EllipticCurve, arc: int, hash_: hashes.HashAlgorithm) -> Kind:
    algorithm = der.sequence(der.oid(f"1.2.840.10045.4.3.{arc}"))
    return Kind(lambda: ec.generate_private_key(curve), algorithm, lambda key, data: key.sign(data, ec.ECDSA(hash_)))


def _rsa(bits: int, algorithm: bytes, scheme: padding.AsymmetricPadding) -> Kind:
    generate = lambda: rsa.generate_private_key(public_exponent=65537, key_size=bits)  # noqa: E731
    return Kind(generate, algorithm, lambda key, data: key.sign(data, scheme, hashes.SHA256()))


SHA256_ID = der.sequence(der.oid("2.16.840.1.101.3.4.2.1"), der.NULL_VALUE)
MGF1_SHA256 = der.sequence(der.oid("1.2.840.113549.1.1.8"), SHA256_ID)
PSS_SHA256 = der.sequence(
    der.oid("1.2.840.113549.1.1.10"),
    der.sequence(der.explicit(0, SHA256_ID), der.explicit(1, MGF1_SHA256), der.explicit(2, der.integer(32))),
)
PKCS1_SHA256 = der.sequence(der.oid("1.2.840.113549.1.1.11"), der.NULL_VALUE)

KINDS = {
    "P-256": _ecdsa(ec.SECP256R1(), 2, hashes.SHA256()),
    "P-384": _ecdsa(ec.SECP384R1(), 3, hashes.SHA384()),
    "P-521": _ecdsa(ec.SECP521R1(), 4, hashes.SHA512()),
    "Ed25519": Kind(ed25519.Ed25519PrivateKey.generate, der.sequence(der.oid("1.3.101.112")), lambda k, d: k.sign(d)),
    "Ed448": Kind(ed448.Ed448PrivateKey.generate, der.sequence(der.oid("1.3.101.113")), lambda k, d: k.sign(d)),
    "RSA": _rsa(2048, PKCS1_SHA256, padding.PKCS1v15()),
    "RSA-PSS": _rsa(2048, PSS_SHA256, padding.PSS(padding.MGF1(hashes.SHA256()), 32)),
    "RSA-1024": _rsa(1024, PKCS1_SHA256, padding.PKCS1v15()),
    "P-224": _ecdsa(ec.SECP224R1(), 2, hashes.SHA256()),
}


@dataclass(frozen=True)
class Made:
    """A certificate with its private key; what it issues is asked of it."""

    certificate: Certificate
    key: Any = field(repr=False)
    kind: str = "P-256"

    def issue(self, subject: str | bytes, **rest: Any) -> Made:
        return make(subject, self, **rest)

    def sign(self, tbs: bytes, algorithm: bytes | None = None) -> bytes:
        """The octets with a signature around them."""
        kind = KINDS[self.kind]
        return der.sequence(tbs, algorithm or kind.algorithm, der.bit_string(kind.sign(self.key, tbs)))


@cache
def key_of(label: str, kind: str) -> Any:
    """A key of a label: making them takes longer than all else."""
    return KINDS[kind].generate()


def spki(key: Any) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def name(text: str | bytes) -> bytes:
    """A name in DER: text with = is parsed, other text is a common name, an empty one is no name; DER stays."""
    if isinstance(text, bytes):
        return text
    return Name.parse(text if "=" in text or not text else f"CN={text}").encode()


def make(
    subject: str | bytes,
    issuer: Made | None = None,
    *,
    ca: bool | None = None,
    length: int | None = None,
    kind: str = "P-256",
    key: str | None = None,
    begin: datetime = BEGIN,
    end: datetime = END,
    serial: int | None = None,
    version: int = 3,
    usage: int | None = None,
    extensions: Extensions | None = None,
    issuer_name: str | None = None,
    inner: bytes | None = None,
    outer: bytes | None = None,
    extra: bytes = b"",
    twice: str = "",
    raw: bytes = b"",
) -> Made:
    """Issue a certificate; ``extensions`` replaces, adds or (None) removes, ``raw`` is one more as it stands.

    Without an issuer it signs itself. A subject may be given in DER.
    """
    own = key_of(key or str(subject), kind)
    is_ca = ca if ca is not None else issuer is None
    octets = spki(own)
    signer = issuer or Made(None, own, kind)  # type: ignore[arg-type]
    wanted = _usual(octets, issuer, is_ca, length, usage) | dict(extensions or {})
    written = [write(oid, *each) for oid, each in wanted.items() if each is not None]
    written += [raw] if raw else []
    written += [write(twice, *each)] if twice and (each := wanted[twice]) else []
    above = issuer.certificate.subject_der if issuer else name(subject)
    tbs = der.sequence(
        der.explicit(0, der.integer(version - 1)) if version > 1 else b"",
        der.integer(serial if serial is not None else _serial(subject, above, key or str(subject))),
        inner or KINDS[signer.kind].algorithm,
        above if issuer_name is None else name(issuer_name),
        der.sequence(der.time(begin), der.time(end)),
        name(subject),
        octets,
        extra,
        der.explicit(3, der.sequence(*written)) if written else b"",
    )
    return Made(Certificate.read(signer.sign(tbs, outer)), own, kind)


def write(oid: str, critical: bool, value: bytes) -> bytes:
    return der.sequence(der.oid(oid), der.TRUE if critical else b"", der.octet_string(value))


def chain(*made: Made) -> list[Certificate]:
    return [each.certificate for each in made]


def _usual(octets: bytes, issuer: Made | None, ca: bool, length: int | None, usage: int | None) -> dict[str, Any]:
    constraints = der.sequence(der.TRUE if ca else b"", b"" if length is None else der.integer(length))
    bits = usage if usage is not None else (CERT_SIGN | CRL_SIGN if ca else SIGN)
    usual: dict[str, Any] = {
        oids.SUBJECT_KEY_IDENTIFIER: (False, der.octet_string(key_identifier(octets))),
        oids.KEY_USAGE: (True, der.named_bits(bits)),
        oids.BASIC_CONSTRAINTS: (True, constraints),
    }
    if issuer is not None:
        identifier = issuer.certificate.subject_key_identifier or key_identifier(issuer.certificate.spki)
        usual[oids.AUTHORITY_KEY_IDENTIFIER] = (False, der.sequence(der.implicit(0, identifier)))
    return usual


def _serial(*parts: str | bytes) -> int:
    octets = b"|".join(part.encode() if isinstance(part, str) else part for part in parts)
    return int.from_bytes(hashlib.sha256(octets).digest()[:16], "big") | 1 << 126


# Extensions' values


def purposes(*wanted: str) -> tuple[bool, bytes]:
    return False, der.sequence(*map(der.oid, wanted))


def policies(*wanted: str) -> tuple[bool, bytes]:
    return False, der.sequence(*(der.sequence(der.oid(each)) for each in wanted))


def mappings(*pairs: tuple[str, str]) -> tuple[bool, bytes]:
    return True, der.sequence(*(der.sequence(der.oid(a), der.oid(b)) for a, b in pairs))


def policy_constraints(explicit: int | None = None, mapping: int | None = None) -> tuple[bool, bytes]:
    counts = ((0, explicit), (1, mapping))
    return True, der.sequence(*(der.implicit(n, der.integer(c)[2:]) for n, c in counts if c is not None))


def alternative(*names: bytes) -> tuple[bool, bytes]:
    return False, der.sequence(*names)


def dns(text: str) -> bytes:
    return der.implicit(2, text.encode())


def email(text: str) -> bytes:
    return der.implicit(1, text.encode())


def uri(text: str) -> bytes:
    return der.implicit(6, text.encode())


def ip(octets: bytes) -> bytes:
    return der.implicit(7, octets)


def directory(text: str) -> bytes:
    return der.explicit(4, name(text))


def subtrees(permitted: Iterable[bytes] = (), excluded: Iterable[bytes] = ()) -> tuple[bool, bytes]:
    parts = ((0, [*permitted]), (1, [*excluded]))
    return True, der.sequence(*(der.explicit(n, *map(der.sequence, bases)) for n, bases in parts if bases))


def points(*written: bytes) -> tuple[bool, bytes]:
    """cRLDistributionPoints."""
    return False, der.sequence(*written)


def point(*names: bytes, reasons: int | None = None, issuer: str | None = None, relative: bytes = b"") -> bytes:
    return der.sequence(
        der.explicit(0, der.explicit(1, relative) if relative else der.explicit(0, *names))
        if names or relative
        else b"",
        b"" if reasons is None else der.implicit(1, der.named_bits(reasons)[2:]),
        b"" if issuer is None else der.explicit(2, directory(issuer)),
    )


def scope(*names: bytes, reasons: int | None = None, **flags: bool) -> tuple[bool, bytes]:
    """issuingDistributionPoint; the flags are users, cas, indirect and attributes."""
    numbers = {"users": 1, "cas": 2, "indirect": 4, "attributes": 5}
    parts = {numbers[flag]: b"\xff" for flag, value in flags.items() if value}
    if reasons is not None:
        parts[3] = der.named_bits(reasons)[2:]
    place = der.explicit(0, der.explicit(0, *names)) if names else b""
    return True, der.sequence(place, *(der.implicit(number, parts[number]) for number in sorted(parts)))


# Evidence


def revoked(
    serial: int, reason: int | None = None, at: datetime = NOW - DAY, extensions: Extensions | None = None
) -> bytes:
    """One line of a CRL."""
    wanted = {} if reason is None else {oids.CRL_REASON: (False, der.enumerated(reason))}
    written = [write(oid, *each) for oid, each in (wanted | dict(extensions or {})).items() if each]
    return der.sequence(der.integer(serial), der.time(at), der.sequence(*written) if written else b"")


def crl_octets(
    signer: Made,
    *lines: bytes,
    number: int = 1,
    this: datetime = NOW - DAY,
    until: datetime | None = NOW + DAY,
    issuer: str | None = None,
    version: int = 2,
    generalized: bool = False,
    extensions: Extensions | None = None,
) -> bytes:
    moment = der.generalized_time if generalized else der.time
    identifier = der.sequence(der.implicit(0, signer.certificate.subject_key_identifier or b""))
    wanted: dict[str, tuple[bool, bytes] | None] = {
        oids.AUTHORITY_KEY_IDENTIFIER: (False, identifier),
        oids.CRL_NUMBER: (False, der.integer(number)),
        **(extensions or {}),
    }
    tbs = der.sequence(
        der.integer(version - 1) if version > 1 else b"",
        KINDS[signer.kind].algorithm,
        signer.certificate.subject_der if issuer is None else name(issuer),
        moment(this),
        moment(until) if until else b"",
        der.sequence(*lines) if lines else b"",
        der.explicit(0, der.sequence(*(write(oid, *each) for oid, each in wanted.items() if each))),
    )
    return signer.sign(tbs)


def crl(signer: Made, *lines: bytes, **rest: Any) -> Crl:
    return Crl.read(crl_octets(signer, *lines, **rest))


def single(
    own: Made,
    issuer: Made,
    state: str = "good",
    *,
    serial: int | None = None,
    this: datetime = NOW - DAY,
    until: datetime | None = NOW + DAY,
    at: datetime = NOW - DAY,
    hash_: str = "sha1",
    extensions: Extensions | None = None,
) -> bytes:
    """One SingleResponse."""
    hash_oid = {"sha1": "1.3.14.3.2.26", "sha256": "2.16.840.1.101.3.4.2.1"}[hash_]
    identity = der.sequence(
        der.sequence(der.oid(hash_oid), der.NULL_VALUE),
        der.octet_string(hashlib.new(hash_, issuer.certificate.subject_der).digest()),
        der.octet_string(hashlib.new(hash_, key_bits(issuer.certificate.spki)).digest()),
        der.integer(own.certificate.serial if serial is None else serial),
    )
    states = {
        "good": der.implicit(0, b""),
        "revoked": der.explicit(1, der.generalized_time(at)),
        "unknown": der.implicit(2, b""),
    }
    written = der.explicit(1, der.sequence(*(write(o, *e) for o, e in extensions.items() if e))) if extensions else b""
    until_part = der.explicit(0, der.generalized_time(until)) if until else b""
    return der.sequence(identity, states[state], der.generalized_time(this), until_part, written)


def answer_octets(
    signer: Made,
    *singles: bytes,
    along: Iterable[Made] = (),
    by_name: bool = False,
    extensions: Extensions | None = None,
) -> bytes:
    """An OCSPResponse."""
    own = signer.certificate
    responder = (
        der.explicit(1, own.subject_der) if by_name else der.explicit(2, der.octet_string(key_identifier(own.spki)))
    )
    written = der.explicit(1, der.sequence(*(write(o, *e) for o, e in extensions.items() if e))) if extensions else b""
    data = der.sequence(responder, der.generalized_time(NOW - DAY), der.sequence(*singles), written)
    signature = der.bit_string(KINDS[signer.kind].sign(signer.key, data))
    certificates = [each.certificate.der for each in along]
    enclosed = der.explicit(0, der.sequence(*certificates)) if certificates else b""
    basic = der.sequence(data, KINDS[signer.kind].algorithm, signature, enclosed)
    return der.sequence(
        der.enumerated(0), der.explicit(0, der.sequence(der.oid(oids.OCSP_BASIC), der.octet_string(basic)))
    )


def answer(signer: Made, *singles: bytes, **rest: Any) -> Answer:
    return answers.read(answer_octets(signer, *singles, **rest))


def delegate(issuer: Made, label: str = "responder", **rest: Any) -> Made:
    """An OCSP signer that a CA has put in charge."""
    wanted = {oids.EXTENDED_KEY_USAGE: purposes(oids.OCSP_SIGNING), oids.OCSP_NOCHECK: (False, der.NULL_VALUE)}
    return issuer.issue(label, **rest | {"extensions": wanted | dict(rest.get("extensions", {}))})


class Trio(NamedTuple):
    """The usual chain: a leaf, its CA, and the root."""

    leaf: Made
    ca: Made
    root: Made

    @property
    def path(self) -> list[Certificate]:
        return chain(self.leaf, self.ca)

    @property
    def roots(self) -> list[Certificate]:
        return chain(self.root)


def trio(
    *, leaf: Mapping[str, Any] | None = None, ca: Mapping[str, Any] | None = None, root: Mapping[str, Any] | None = None
) -> Trio:
    top = make("root", **(root or {}))
    middle = top.issue("ca", **{"ca": True, **(ca or {})})
    return Trio(middle.issue(**{"subject": "leaf", **(leaf or {})}), middle, top)
