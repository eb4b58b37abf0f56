"""Certificate identifiers as OCSP (RFC 6960 4.1.1) and OCPP (CertificateHashDataType) compute them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from voltroot.pki.certificates import Certificate
from voltroot.pki.drafts import key_bits


class HashAlgorithm(StrEnum):
    """The hashes that OCPP knows."""

    SHA256 = "SHA256"
    SHA384 = "SHA384"
    SHA512 = "SHA512"


@dataclass(frozen=True, slots=True)
class HashData:
    """What names a certificate: hashes of its issuer's name and key in lower-case hexadecimal, and its serial number.

    The serial number has no leading zeros and no prefix.
    """

    algorithm: HashAlgorithm
    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str

    def names(self, certificate: Certificate, issuer: Certificate | None) -> bool:
        """Tell whether this means a certificate of an issuer, however the numbers are written.

        Tolerated are capitals, a prefix, zeros in front, and a hash over the whole SubjectPublicKeyInfo, as peers send
        them. Where the issuer is not at hand, its key is not compared.
        """
        own = self.plain
        expected = _serial(certificate), _digest(self.algorithm, certificate.issuer_der)
        if (own.serial_number, own.issuer_name_hash) != expected:
            return False
        return issuer is None or own.issuer_key_hash in _key_hashes(self.algorithm, issuer)

    @property
    def plain(self) -> HashData:
        """The same, written as it should be."""
        name, key = self.issuer_name_hash.strip().lower(), self.issuer_key_hash.strip().lower()
        serial = self.serial_number.strip().lower().removeprefix("0x").replace(":", "").lstrip("0") or "0"
        return HashData(self.algorithm, name, key, serial)


def issued_by(named: HashData, issuer: Certificate) -> bool:
    """Tell whether hash data name a CA as the issuer, by its name and its key."""
    own = named.plain
    if own.issuer_name_hash != _digest(named.algorithm, issuer.subject_der):
        return False
    return own.issuer_key_hash in _key_hashes(named.algorithm, issuer)


def hash_data(
    certificate: Certificate, issuer: Certificate, algorithm: HashAlgorithm = HashAlgorithm.SHA256
) -> HashData:
    """Return what names a certificate; a root is its own issuer."""
    key_hash = next(_key_hashes(algorithm, issuer))
    return HashData(algorithm, _digest(algorithm, certificate.issuer_der), key_hash, _serial(certificate))


def _key_hashes(algorithm: HashAlgorithm, issuer: Certificate) -> Iterator[str]:
    yield _digest(algorithm, key_bits(issuer.spki))
    yield _digest(algorithm, issuer.spki)


def _digest(algorithm: HashAlgorithm, octets: bytes) -> str:
    return hashlib.new(algorithm.value, octets).hexdigest()


def _serial(certificate: Certificate) -> str:
    return format(certificate.serial, "x")
