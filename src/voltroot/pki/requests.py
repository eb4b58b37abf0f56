"""Reading a certification request (PKCS#10, RFC 2986): whose key it is, and that the requester has it."""

from __future__ import annotations

from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa

from voltroot.errors import Malformed, ProofFailed, UnsupportedSuite
from voltroot.pki import der
from voltroot.pki.certificates import read_base64, read_pem
from voltroot.pki.names import Name
from voltroot.pki.suites import PublicKey, suite_of

LABELS = ("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST", "CERTIFICATE_REQUEST")


class Request(NamedTuple):
    """What a request asks for: a name, which is compared and never copied, and the key whose possession is proved."""

    subject: Name
    key: PublicKey


def read_named_request(text: str) -> Request:
    """Return name and key of a request in base64 or PEM; raises as ``read_request`` does."""
    octets = request_octets(text)
    key = _proved(octets)
    information, *_ = der.children(der.read(octets).content)
    _version, subject, *_ = der.children(information.content)
    return Request(Name.decode(subject.whole), key)


def read_request(text: str) -> PublicKey:
    """Return the key of a request in base64 or PEM, its possession proved (RFC 2986 4.2).

    The subject and the attributes are left aside: names come from the profile, never from a request.
    """
    return _proved(request_octets(text))


def request_octets(text: str) -> bytes:
    """Return the DER of a request in base64 or PEM."""
    if "-----BEGIN" in text:
        blocks = [octets for label, octets in read_pem(text) if label in LABELS]
        if len(blocks) != 1:
            raise Malformed("the PEM text does not hold one certificate request")
        return blocks[0]
    return read_base64(text, "the request")


def _proved(octets: bytes) -> PublicKey:
    try:
        request = x509.load_der_x509_csr(octets)
        key = request.public_key()
        proved = request.is_signature_valid
    except UnsupportedAlgorithm as error:
        raise UnsupportedSuite("the request's key or signature is of a kind that is not supported") from error
    except (ValueError, TypeError) as error:
        raise Malformed("this is not a PKCS#10 request in base64 DER or PEM") from error
    if not proved:
        raise ProofFailed("the request's signature does not hold: it does not prove possession of the key")
    suite_of(key)
    assert isinstance(key, ec.EllipticCurvePublicKey | ed448.Ed448PublicKey | rsa.RSAPublicKey)
    return key
