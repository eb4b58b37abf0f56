"""Certificates and CRLs in files that the configuration names."""

from __future__ import annotations

from pathlib import Path

from voltroot.errors import Failure, Malformed
from voltroot.pki.certificates import Certificate, read_pem
from voltroot.pki.lists import Crl


def read_certificates(path: str) -> list[Certificate]:
    """Return the certificates of a file in PEM, at least one; Malformed names the file."""
    try:
        found = read_pem(_read(path).decode("latin-1"))
        certificates = [Certificate.read(octets) for label, octets in found if label == "CERTIFICATE"]
    except Failure as failure:
        raise Malformed(f"{path}: {failure}") from failure
    if not certificates:
        raise Malformed(f"{path} holds no certificate in PEM")
    return certificates


def read_crl(path: str) -> Crl:
    """Return the CRL of a file in PEM or DER; Malformed names the file."""
    octets = _read(path)
    if b"-----BEGIN" in octets:
        octets = next((der for label, der in read_pem(octets.decode("latin-1")) if label == "X509 CRL"), b"")
    try:
        return Crl.read(octets)
    except Failure as failure:
        raise Malformed(f"{path}: {failure}") from failure


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Malformed(f"{path} cannot be read: {error.strerror}") from error
