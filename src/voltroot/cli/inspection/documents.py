"""What files hold beside certificates and CRLs, as values: requests, keys, their containers, and OCSP answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from functools import wraps
from typing import ParamSpec, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key, pkcs12

from voltroot.errors import Malformed, Refused
from voltroot.pki import answers, der
from voltroot.pki.answers import Answer
from voltroot.pki.certificates import Certificate
from voltroot.pki.der import Element
from voltroot.pki.names import Name
from voltroot.pki.signatures import Signed, read_key

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class CertificationRequest:
    """A PKCS#10 request (RFC 2986): ``attributes`` are their OIDs with the values as they stand."""

    der: bytes
    subject: Name
    spki: bytes
    attributes: tuple[tuple[str, tuple[Element, ...]], ...]
    signature_oid: str
    signed: Signed

    def is_proved(self) -> bool:
        """Whether the request is signed with the key that it is for (RFC 2986 4.2)."""
        return self.signed.objection(read_key(self.spki)) is None


@dataclass(frozen=True, slots=True)
class PublicHalf:
    """A public key (RFC 5280 4.1.2.7), or what may be told of a private one."""

    spki: bytes
    private: bool


@dataclass(frozen=True, slots=True)
class Pfx:
    """What a PKCS#12 file holds; ``password`` tells which one opened it, never what it is."""

    key: PublicHalf | None
    certificates: tuple[Certificate, ...]
    password: str


@dataclass(frozen=True, slots=True)
class CertificateBag:
    """A PKCS#7 message that only carries certificates (RFC 5652 5, as EST uses it)."""

    certificates: tuple[Certificate, ...]


class OcspStatus(IntEnum):
    """How the responder fared (RFC 6960 4.2.1)."""

    SUCCESSFUL = 0
    MALFORMED_REQUEST = 1
    INTERNAL_ERROR = 2
    TRY_LATER = 3
    SIG_REQUIRED = 5
    UNAUTHORIZED = 6


@dataclass(frozen=True, slots=True)
class OcspAnswer:
    """An OCSP response; only a successful one has a body."""

    status: OcspStatus
    body: Answer | None


class Password:
    """The passwords to try; ``repr`` keeps them to itself."""

    __slots__ = ("name", "value")

    def __init__(self, name: str, value: bytes | None) -> None:
        self.name = name
        self.value = value


# The empty password has two spellings in PKCS#12 (RFC 7292 B.1); 123123 is the Secondary Actor API's own.
DEFAULT_PASSWORDS = (Password("none", None), Password("empty", b""), Password("default", b"123123"))


def _reads(what: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a reader raise Malformed that names what the octets are not, whatever goes wrong in them."""

    def decorate(reader: Callable[P, R]) -> Callable[P, R]:
        @wraps(reader)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return reader(*args, **kwargs)
            except Malformed as error:
                raise Malformed(f"this is not {what}: {error}") from error
            except (ValueError, IndexError, TypeError) as error:
                raise Malformed(f"this is not {what}: its parts are out of shape") from error

        return guarded

    return decorate


@_reads("a certification request")
def read_request(octets: bytes) -> CertificationRequest:
    """Read a PKCS#10 request in DER, or raise Malformed."""
    tbs, algorithm, signature = _parts(der.read(octets))
    info = _parts(tbs)
    _want(info, der.INTEGER)
    subject, spki = _want(info, der.SEQUENCE), _want(info, der.SEQUENCE)
    attributes = _take(info, 0xA0)
    return CertificationRequest(
        der=octets,
        subject=Name.decode(subject.whole),
        spki=spki.whole,
        attributes=tuple(_read_attribute(part) for part in (_parts(attributes) if attributes else ())),
        signature_oid=der.read_oid(_parts(algorithm)[0].content),
        signed=Signed(tbs.whole, algorithm.whole, _read_octets(signature)),
    )


@_reads("a public key")
def read_public(octets: bytes) -> PublicHalf:
    """Read a SubjectPublicKeyInfo; its key need not be of a kind that is used here."""
    algorithm, key = _parts(der.read(octets))
    der.read_oid(_parts(algorithm)[0].content)
    _read_octets(key)
    return PublicHalf(octets, private=False)


@_reads("a private key")
def read_private(octets: bytes, passwords: Iterable[Password]) -> PublicHalf:
    """Read a private key (PKCS#8, SEC 1 or PKCS#1) and forget all but its public half."""
    for password in passwords:
        try:
            key = load_der_private_key(octets, password.value)
        except TypeError:  # a password is missing, or given for a key that is not encrypted
            continue
        except UnsupportedAlgorithm as error:
            raise Malformed("it is of a kind or encrypted in a way that is not known here") from error
        except ValueError:
            if password.value is None:
                raise
            continue  # the wrong password
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return PublicHalf(public, private=True)
    raise Refused("this private key is encrypted: give its password with --password")


@_reads("a PFX")
def read_pfx(octets: bytes, passwords: Iterable[Password]) -> Pfx:
    """Open a PKCS#12 file with the first password that fits, and forget all but the key's public half."""
    version, content, *_mac = _parts(der.read(octets))
    if der.read_integer(version.content) != 3 or content.tag != der.SEQUENCE:
        raise Malformed("it is no PKCS#12 of version 3")
    for password in passwords:
        try:
            bundle = pkcs12.load_pkcs12(octets, password.value)
        except UnsupportedAlgorithm as error:
            raise Malformed("it is encrypted in a way that is not known here") from error
        except ValueError:
            continue
        key = bundle.key.public_key() if bundle.key else None
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) if key else None
        found = [bundle.cert, *bundle.additional_certs]
        return Pfx(
            PublicHalf(spki, private=True) if spki else None,
            tuple(Certificate.read(each.certificate.public_bytes(Encoding.DER)) for each in found if each),
            password.name,
        )
    raise Refused("this PFX does not open: give its password with --password; if that is right, the file is damaged")


@_reads("a PKCS#7 message that carries certificates")
def read_bag(octets: bytes) -> CertificateBag:
    """Read the certificates of a SignedData (RFC 5652 5.1)."""
    _oid, content = _parts(der.read(octets))
    fields = _parts(der.read(content.content))
    for tag in (der.INTEGER, der.SET, der.SEQUENCE):
        _want(fields, tag)
    certificates = _want(fields, 0xA0)
    return CertificateBag(tuple(Certificate.read(part.whole) for part in _parts(certificates)))


@_reads("an OCSP answer")
def read_ocsp_answer(octets: bytes) -> OcspAnswer:
    """Read an OCSPResponse in DER, or raise Malformed."""
    fields = _parts(der.read(octets))
    status = OcspStatus(der.read_integer(_want(fields, der.ENUMERATED).content))
    if status is OcspStatus.SUCCESSFUL:
        return OcspAnswer(status, answers.read(octets))
    if fields:
        raise Malformed("it claims failure and holds an answer")
    return OcspAnswer(status, None)


def _read_attribute(attribute: Element) -> tuple[str, tuple[Element, ...]]:
    oid, values = _parts(attribute)
    return der.read_oid(oid.content), tuple(_parts(values))


def _parts(element: Element) -> list[Element]:
    """Return the elements inside a constructed element."""
    return list(der.children(element.content))


def _take(elements: list[Element], tag: int) -> Element | None:
    """Remove and return the first element if it has the tag: what is OPTIONAL."""
    return elements.pop(0) if elements and elements[0].tag == tag else None


def _want(elements: list[Element], tag: int) -> Element:
    """Remove and return the first element, which has the tag."""
    if found := _take(elements, tag):
        return found
    raise Malformed(f"a part with the tag {tag:#04x} is missing")


def _read_octets(bits: Element) -> bytes:
    """Return the octets of a BIT STRING without unused bits."""
    if bits.tag != der.BIT_STRING or bits.content[:1] != b"\x00":
        raise Malformed("a signature or key is not a BIT STRING of whole octets")
    return bits.content[1:]
