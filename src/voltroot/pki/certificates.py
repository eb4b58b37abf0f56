"""Reading certificates, tolerantly: what the field's parsers accept, and what lints then complain of."""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa

from voltroot.errors import Malformed, UnsupportedSuite
from voltroot.pki import der, names, oids, signatures, suites
from voltroot.pki.der import Element
from voltroot.pki.extensions import (
    Extension,
    read_authority_key_identifier,
    read_basic_constraints,
    read_extensions,
    read_key_usage,
    read_purposes,
    read_subject_key_identifier,
)
from voltroot.pki.names import Name
from voltroot.pki.signatures import Signed

USUAL = 2048  # octets: hardly any certificate has more


@dataclass(frozen=True, eq=False)
class Certificate:
    """An X.509 certificate (RFC 5280 4.1): the octets, and what they say. Equal are those of the same octets."""

    der: bytes
    tbs: bytes
    version: int
    serial: int
    signature_oid: str
    inner_signature: bytes
    outer_signature: bytes
    signature: bytes
    issuer_der: bytes
    subject_der: bytes
    not_before: datetime
    not_after: datetime
    time_tags: tuple[int, int]
    spki: bytes
    extension_list: tuple[tuple[str, Extension], ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and self.der == other.der

    def __hash__(self) -> int:
        return hash(self.der)

    @classmethod
    def read(cls, octets: bytes) -> Certificate:
        """Read DER, tolerating what deployed certificates get wrong; raise Malformed for anything else."""
        try:
            return _read_again(octets) if len(octets) <= USUAL else _read(octets)
        except (ValueError, IndexError, StopIteration) as error:
            raise Malformed("this is not an X.509 certificate: its parts are out of shape") from error

    @property
    def pem(self) -> str:
        """The certificate in PEM (RFC 7468)."""
        return pem("CERTIFICATE", self.der)

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 over the whole certificate."""
        return hashlib.sha256(self.der).digest()

    @cached_property
    def key_hash(self) -> bytes:
        """SHA-256 of the SubjectPublicKeyInfo: what "the same key" means."""
        return hashlib.sha256(self.spki).digest()

    @cached_property
    def issuer(self) -> Name:
        """The issuer's distinguished name."""
        return Name.decode(self.issuer_der)

    @cached_property
    def subject(self) -> Name:
        """The subject's distinguished name."""
        return Name.decode(self.subject_der)

    @cached_property
    def public_key(self) -> suites.PublicKey:
        """The subject's key; raises UnsupportedSuite or Malformed for a key that nothing here can use."""
        return read_public_key(self.spki)

    @cached_property
    def key(self) -> signatures.Key:
        """The subject's key for checking signatures; raises like public_key, for other keys."""
        return signatures.read_key(self.spki)

    @cached_property
    def key_algorithm(self) -> bytes:
        """The AlgorithmIdentifier of the subject's key, in DER; nothing where the key is out of shape."""
        try:
            algorithm, _bits = der.children(der.read_sequence(self.spki))
        except (Malformed, ValueError):
            return b""
        return algorithm.whole

    @property
    def signed(self) -> Signed:
        """What is signed, and the signature."""
        return Signed(self.tbs, self.outer_signature, self.signature)

    @cached_property
    def extensions(self) -> dict[str, Extension]:
        """The extensions by OID; of a repeated one the first."""
        return dict(reversed(self.extension_list))

    @cached_property
    def critical(self) -> tuple[str, ...]:
        """The OIDs of the critical extensions."""
        return tuple(oid for oid, extension in self.extension_list if extension.critical)

    @cached_property
    def self_issued(self) -> bool:
        """Whether issuer and subject are the same name (RFC 5280 3.2)."""
        return names.same(self.issuer_der, self.subject_der)

    @property
    def is_ca(self) -> bool:
        """Whether basicConstraints say cA (RFC 5280 4.2.1.9)."""
        return self._basic_constraints[0]

    @property
    def path_length(self) -> int | None:
        """The pathLenConstraint, or None where there is none."""
        return self._basic_constraints[1]

    @cached_property
    def key_usage(self) -> int | None:
        """keyUsage as a 16-bit value, digitalSignature the highest bit (RFC 5280 4.2.1.3); None where absent."""
        extension = self.extensions.get(oids.KEY_USAGE)
        return read_key_usage(extension.value) if extension else None

    @cached_property
    def extended_key_usage(self) -> tuple[str, ...]:
        """The purposes named by extKeyUsage."""
        extension = self.extensions.get(oids.EXTENDED_KEY_USAGE)
        return read_purposes(extension.value) if extension else ()

    @cached_property
    def subject_key_identifier(self) -> bytes | None:
        """The octets of the subjectKeyIdentifier."""
        extension = self.extensions.get(oids.SUBJECT_KEY_IDENTIFIER)
        return read_subject_key_identifier(extension.value) if extension else None

    @cached_property
    def authority_key_identifier(self) -> bytes | None:
        """The keyIdentifier of the authorityKeyIdentifier."""
        extension = self.extensions.get(oids.AUTHORITY_KEY_IDENTIFIER)
        return read_authority_key_identifier(extension.value) if extension else None

    @property
    def ocsp_addresses(self) -> tuple[str, ...]:
        """The OCSP responders that authorityInfoAccess names."""
        found = []
        for access in filter(_filled, self._parts(oids.AUTHORITY_INFO_ACCESS)):
            method, *location = der.children(access.content)
            if der.read_oid(method.content) == oids.OCSP:
                found += [part.content.decode("ascii", "replace") for part in location if part.tag == 0x86]
        return tuple(found)

    @property
    def crl_addresses(self) -> tuple[str, ...]:
        """The places of CRLs that cRLDistributionPoints names."""
        return tuple(
            name.content.decode("ascii", "replace")
            for point in self._parts(oids.CRL_DISTRIBUTION_POINTS)
            for part in der.children(point.content)
            if part.tag == 0xA0
            for full in der.children(part.content)
            if full.tag == 0xA0
            for name in der.children(full.content)
            if name.tag == 0x86
        )

    @property
    def alternative_names(self) -> tuple[str, ...]:
        """The entries of subjectAltName as text: dNSName, iPAddress and whatever else is a string."""
        return tuple(
            str(ipaddress.ip_address(part.content)) if part.tag == 0x87 else part.content.decode("utf-8", "replace")
            for part in self._parts(oids.SUBJECT_ALTERNATIVE_NAME)
        )

    def signed_by(self, key: suites.PublicKey) -> bool:
        """Tell whether the signature holds under the issuer's key."""
        return self.signed.objection(signatures.Key(key)) is None

    @cached_property
    def _basic_constraints(self) -> tuple[bool, int | None]:
        extension = self.extensions.get(oids.BASIC_CONSTRAINTS)
        return read_basic_constraints(extension.value) if extension else (False, None)

    def _parts(self, oid: str) -> Iterator[Element]:
        extension = self.extensions.get(oid)
        return der.children(der.read(extension.value).content) if extension else iter(())


def read_public_key(spki: bytes) -> suites.PublicKey:
    """Read a SubjectPublicKeyInfo, or raise Malformed or UnsupportedSuite."""
    try:
        key = serialization.load_der_public_key(spki)
    except UnsupportedAlgorithm as error:
        raise UnsupportedSuite("the public key is of a kind or on a curve that is not known here") from error
    except (ValueError, TypeError) as error:
        raise Malformed("the public key cannot be read") from error
    if isinstance(key, ec.EllipticCurvePublicKey | ed448.Ed448PublicKey | rsa.RSAPublicKey):
        return key
    raise UnsupportedSuite("the key is of no supported kind: use secp256r1, secp384r1, secp521r1, Ed448 or RSA")


def pem(label: str, octets: bytes) -> str:
    """Return PEM text with lines of 64 columns (RFC 7468)."""
    text = base64.b64encode(octets).decode()
    lines = "\n".join(text[start : start + 64] for start in range(0, len(text), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"


_PEM = re.compile(r"-----BEGIN ([A-Z0-9 _]+)-----(.*?)-----END \1-----", re.DOTALL)


def read_pem(text: str) -> list[tuple[str, bytes]]:
    """Return the labels and octets of all PEM blocks in a text."""
    blocks = []
    for label, body in _PEM.findall(text):
        lines = [line for line in body.splitlines() if ":" not in line]
        blocks.append((label, read_base64("".join(lines), label)))
    return blocks


def read_base64(text: str, what: str) -> bytes:
    """Return the octets of base64 with any white space in it, or raise Malformed naming what it was meant to be."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed(f"{what} is not base64") from error


def _filled(element: Element) -> bool:
    return bool(element.content)


@lru_cache(maxsize=1024)
def _read_again(octets: bytes) -> Certificate:
    """Read what is met again and again, as CAs are, once only."""
    return _read(octets)


def _read(octets: bytes) -> Certificate:
    outer = der.read(octets)
    if outer.tag != der.SEQUENCE:
        raise Malformed("this is not an X.509 certificate: it is no ASN.1 SEQUENCE")
    tbs, algorithm, signature = der.children(outer.content)
    parts = list(der.children(tbs.content))
    version = 1
    if parts[0].tag == 0xA0:
        version = der.read_integer(der.read(parts.pop(0).content).content) + 1
    serial, inner, issuer, validity, subject, spki, *rest = parts
    not_before, not_after = der.children(validity.content)
    tags = [part.tag for part in rest]
    if tags != [0xA3] and tags != sorted({*tags} & ({0x81, 0x82, 0xA3} if version > 1 else set())):
        raise Malformed("this is not an X.509 certificate: something stands beside its extensions")
    extensions = rest[-1] if 0xA3 in tags else None
    return Certificate(
        der=octets,
        tbs=tbs.whole,
        version=version,
        serial=der.read_integer(serial.content),
        signature_oid=der.read_oid(next(der.children(algorithm.content)).content),
        inner_signature=inner.whole,
        outer_signature=algorithm.whole,
        signature=der.read_octets(signature),
        issuer_der=issuer.whole,
        subject_der=subject.whole,
        not_before=der.read_time(not_before),
        not_after=der.read_time(not_after),
        time_tags=(not_before.tag, not_after.tag),
        spki=spki.whole,
        extension_list=tuple(read_extensions(extensions.content)) if extensions else (),
    )
