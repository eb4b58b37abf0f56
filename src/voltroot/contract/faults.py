"""The lab's table: what can be got wrong on purpose, which clause it breaks, and what a conforming car makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any, cast, get_args

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from voltroot.contract import seal
from voltroot.contract.package import Message
from voltroot.contract.seal import Sealed
from voltroot.errors import Refused
from voltroot.pki.deviations import Deviation
from voltroot.pki.profiles import Edition
from voltroot.pki.suites import PublicKey, Signer, Suite, generate, suite_of
from voltroot.v2g import iso2, iso20, xmldsig
from voltroot.v2g import signature as ds
from voltroot.v2g.exi import Writer, encode, encode_fragment
from voltroot.v2g.schemas import ISO_2, ISO_20, XMLDSIG
from voltroot.v2g.xmldsig import Part

_2, _20 = Edition.ISO15118_2, Edition.ISO15118_20
BOTH = (_2, _20)
DAY = timedelta(days=1)


def _sign(parts: Sequence[Part], signer: Signer, value: str = "") -> ds.Signature:
    return xmldsig.signature(parts, cast(xmldsig.Signer, signer), facets=False)


class Level(StrEnum):
    """What a fault is in, which says at which calls it can be asked for."""

    CERTIFICATE = "certificate"
    KEY = "sealed key"
    MESSAGE = "message"


class Conduct(StrEnum):
    """What a conforming car does."""

    REFUSES = "does not install it"
    INSTALLS = "installs it: it is allowed"
    INSTALLS_UNKNOWING = "installs it, for it cannot know, and is refused when it pays"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One row. Its methods are what is done in any case: rightly, but for what the row has other means for.

    ``found`` is the part and the name of the check at which ``voltroot ev`` stops, or of what it remarks, and
    ``found_20`` that of -20 where it is another. ``values`` are what may stand behind the name and a colon.
    ``deviation`` is the contract's or other certificate's, ``provider`` that of the CPS certificate which signs; with
    ``dc`` its subject has the DC of another role.
    ``above`` are the pathLenConstraints of the lab's own CAs above it, which stand below the root or ``below_sub2``.
    """

    name: str
    level: Level
    title: str
    clause: str
    car: Conduct
    found: tuple[str, str]
    found_20: tuple[str, str] | None = None
    editions: tuple[Edition, ...] = BOTH
    values: tuple[str, ...] = ()
    value: str = ""
    deviation: Deviation | None = None
    provider: Deviation | None = None
    dc: bool = False
    above: tuple[int, ...] = ()
    below_sub2: bool = False
    key: Callable[[Suite], Signer] = seal.make_key
    sealing: Callable[[Signer, PublicKey, bytes], Sealed] = seal.seal
    change: Callable[[Any, str], Any] = lambda message, value: message
    signature: Callable[[Sequence[Part], Signer, str], ds.Signature | None] = _sign
    writer: type[Writer] = Writer

    def __str__(self) -> str:
        return f"{self.name}:{self.value}" if self.value else self.name

    def signed(self, message: Message, signer: Signer) -> bytes:
        """Return a response that is signed, in EXI."""
        own: Message = self.change(message, self.value)
        made = self.signature(xmldsig.parts(own), signer, self.value)
        whole = msgspec.structs.replace(own, Header=msgspec.structs.replace(own.Header, Signature=made))
        schema = ISO_2 if isinstance(whole, iso2.V2G_Message) else ISO_20
        return encode(whole, schema, facets=False, writer=self.writer)


def read(text: str) -> Fault:
    """Return the fault that NAME or NAME:VALUE means, NONE for nothing; Refused says what there is."""
    if not text:
        return NONE
    name, _, value = text.partition(":")
    row = FAULTS.get(name)
    if row is None:
        raise Refused(f"fault: {name} is none that the lab knows: {', '.join(FAULTS)}")
    if value and value not in row.values:
        raise Refused(f"fault: {name} takes no {value}: {', '.join(row.values) or 'write the name alone'}")
    return replace(row, value=value or next(iter(row.values), ""))


# how it is done


def _key_with_leading_zeros(suite: Suite) -> Signer:
    if suite.curve is None:
        raise Refused("fault: a key on X448 has no leading zeros to lose: ask for secp256r1 or secp521r1")
    least = suite.curve.key_size - 8
    while cast(ec.EllipticCurvePrivateKey, key := generate(suite)).private_numbers().private_value.bit_length() > least:
        pass
    return key


def _seal_another_key(key: Signer, receiver: PublicKey, additional: bytes) -> Sealed:
    return seal.seal(seal.make_key(suite_of(key)), receiver, additional)


def _send_another_ephemeral(key: Signer, receiver: PublicKey, additional: bytes) -> Sealed:
    right, other = seal.seal(key, receiver, additional), seal.seal(key, receiver, additional)
    return Sealed(other.public, right.encrypted)


def _by_another_key(parts: Sequence[Part], signer: Signer, value: str) -> ds.Signature:
    return _sign(parts, generate(suite_of(signer)))


def _reversed(parts: Sequence[Part], signer: Signer, value: str) -> ds.Signature:
    return _sign(parts[::-1], signer)


def _wrong_digest(parts: Sequence[Part], signer: Signer, value: str) -> ds.Signature:
    element = value if any(part.element == value for part in parts) else parts[0].element
    return _with_digest(parts, signer, element, lambda octets: bytes([octets[0] ^ 1]) + octets[1:])


def _typed_emaid(parts: Sequence[Part], signer: Signer, value: str) -> ds.Signature:
    (emaid,) = (part for part in parts if part.element == "eMAID")
    typed = encode_fragment("eMAID", emaid.value, ISO_2, facets=False, typed=True)
    algorithm = xmldsig.algorithm_of(cast(xmldsig.Signer, signer), ISO_2)
    return _with_digest(parts, signer, "eMAID", lambda octets: algorithm.digest(typed))


def _with_digest(parts: Sequence[Part], signer: Signer, element: str, change: Callable[[bytes], bytes]) -> ds.Signature:
    """Sign References one of which has another digest: the signature over them is right."""
    algorithm = xmldsig.algorithm_of(cast(xmldsig.Signer, signer), parts[0].schema)
    references = [
        msgspec.structs.replace(each, DigestValue=change(each.DigestValue)) if part.element == element else each
        for part in parts
        for each in (xmldsig.reference(part, algorithm, facets=False),)
    ]
    info = xmldsig.signed_info(references, algorithm)
    octets = encode_fragment("SignedInfo", info, XMLDSIG, facets=False)
    value = ds.SignatureValue(value=algorithm.sign(cast(xmldsig.Signer, signer), octets))
    return ds.Signature(SignedInfo=info, SignatureValue=value)


def _unsigned(parts: Sequence[Part], signer: Signer, value: str) -> None:
    return None


def _other_session(message: Message, value: str) -> Message:
    session = message.Header.SessionID
    header = msgspec.structs.replace(message.Header, SessionID=bytes([session[0] ^ 1]) + session[1:])
    return msgspec.structs.replace(message, Header=header)


def _response_code(message: Message, value: str) -> Message:
    if isinstance(message, iso20.CertificateInstallationRes):
        code = value if value in get_args(iso20.responseCodeType) else "FAILED"
        return msgspec.structs.replace(message, ResponseCode=code)
    code = value if value in get_args(iso2.responseCodeType) else "FAILED"
    return _body(message, ResponseCode=code)


def _other_emaid(message: iso2.V2G_Message, value: str) -> iso2.V2G_Message:
    own = cast(iso2.CertificateInstallationRes, message.Body.BodyElement).eMAID
    other = own.value[:-1] + ("0" if own.value[-1:] != "0" else "1")
    return _body(message, eMAID=msgspec.structs.replace(own, value=other))


def _body(message: iso2.V2G_Message, **members: Any) -> iso2.V2G_Message:
    body = msgspec.structs.replace(cast(iso2.CertificateInstallationRes, message.Body.BodyElement), **members)
    return msgspec.structs.replace(message, Body=iso2.BodyType(BodyElement=body))


class SuperfluousGroups(Writer):
    """Writes each Unsigned Integer with one group of zero bits more than it takes, which EXI 1.0 7.1.6 can read."""

    def unsigned(self, value: int) -> None:
        """An Unsigned Integer in more groups than it takes."""
        while value:
            self.bits(value & 0x7F | 0x80, 8)
            value >>= 7
        self.bits(0, 8)


_ELEMENTS = ("ContractSignatureCertChain", "ContractSignatureEncryptedPrivateKey", "DHpublickey", "eMAID")
_CODES = tuple(
    dict.fromkeys(
        code
        for kind in (iso2.responseCodeType, iso20.responseCodeType)
        for code in get_args(kind)
        if not code.startswith("OK")
    )
)

CERTIFICATE, KEY, MESSAGE = Level
REFUSES, INSTALLS, UNKNOWING = Conduct

EXPIRED = Deviation("expired", frozenset({"validity_within_issuer"}), -2 * DAY, DAY)
NOT_YET = Deviation("not_yet_valid", begins=DAY, lasts=28 * DAY)
FORGED = Deviation("wrong_issuer", forged=True)
WRONG_DC = Deviation("wrong_dc", frozenset({"subject_dc"}))

FAULTS = {
    row.name: row
    for row in (
        Fault(name="expired", level=CERTIFICATE, title="the certificate expired yesterday", car=REFUSES,
              clause="RFC 5280 6.1.3 (a)(2), V2G2-885", found=("contract chain", "expired"),
              deviation=EXPIRED),
        Fault(name="not_yet_valid", level=CERTIFICATE, title="the certificate is valid from tomorrow on", car=REFUSES,
              clause="RFC 5280 6.1.3 (a)(2), V2G2-885", found=("contract chain", "not_yet_valid"),
              deviation=NOT_YET),
        Fault(name="wrong_issuer", level=CERTIFICATE, title="not the key of the issuer that it names has signed it",
              clause="RFC 5280 6.1.3 (a)(1), V2G2-885", car=REFUSES, found=("contract chain", "signature"),
              deviation=FORGED),
        Fault(name="wrong_dc", level=CERTIFICATE, title="DC in the subject is that of another role", car=REFUSES,
              clause="V2G2-925, V2G20-3406", found=("contract chain", "role"), dc=True,
              deviation=WRONG_DC),
        Fault(name="too_long_path", level=CERTIFICATE, title="a further CA stands below sub-CA 2, which allows none",
              clause="RFC 5280 6.1.4 (l), V2G2-009", car=REFUSES, found=("contract chain", "path_length"),
              above=(0,), below_sub2=True),
        Fault(name="too_many_sub_cas", level=CERTIFICATE, title="four sub-CAs stand below the root; in -20 three",
              clause="V2G2-009, V2G2-656", car=REFUSES, found=("contract chain", "depth"), above=(3, 2, 1, 0)),
        Fault(name="too_large", level=CERTIFICATE, title="the certificate has more than 800 octets; in -20 1,600",
              clause="V2G2-010, certificateType", car=REFUSES, found=("contract chain", "size"),
              deviation=Deviation("too_large", frozenset({"size"}), padding=1600)),
        Fault(name="revoked_at_birth", level=CERTIFICATE, title="the certificate is revoked as soon as it is issued",
              clause="RFC 5280 6.1.3 (a)(3)", car=UNKNOWING, found=("contract chain", "revoked"),
              deviation=Deviation("revoked_at_birth", revoked=True)),
        Fault(name="leading_zero", level=KEY, title="the key's scalar begins with a zero octet, and is left-padded",
              clause="V2G2-818, V2G20-2678", car=INSTALLS, found=("contract key", "leading_zero"),
              key=_key_with_leading_zeros),
        Fault(name="key_mismatch", level=KEY, title="another key than that of the certificate is sealed",
              clause="V2G2-823", car=REFUSES, found=("contract key", "key.mismatch"), sealing=_seal_another_key),
        Fault(name="wrong_dh_key", level=KEY, title="DHpublickey is another than was sealed with",
              clause="V2G2-816, V2G2-823, V2G20-2489", car=REFUSES, found=("contract key", "key.mismatch"),
              found_20=("sealed key", "key.unsealed"), sealing=_send_another_ephemeral),
        *(
            Fault(name=f"cps_{name}", level=MESSAGE, title=f"the CPS {title}", clause=clause, car=REFUSES,
                  found=("CPS chain", rule), provider=deviation, dc=rule == "role")
            for name, title, clause, rule, deviation in (
                ("expired", "certificate expired yesterday", "RFC 5280 6.1.3 (a)(2), V2G2-885", "expired", EXPIRED),
                ("not_yet_valid", "certificate is valid from tomorrow on", "RFC 5280 6.1.3 (a)(2), V2G2-885",
                 "not_yet_valid", NOT_YET),
                ("wrong_issuer", "certificate is not signed by the issuer that it names",
                 "RFC 5280 6.1.3 (a)(1), V2G2-885", "signature", FORGED),
                ("wrong_dc", "certificate's DC is that of another role", "V2G2-925, V2G20-3406", "role", WRONG_DC),
            )
        ),
        Fault(name="bad_cps_signature", level=MESSAGE, title="another key than that of the CPS certificate has signed",
              clause="V2G2-124", car=REFUSES, found=("signature", "signature.signature"),
              signature=_by_another_key),
        Fault(name="unsigned", level=MESSAGE, title="the message has no signature", clause="V2G2-124", car=REFUSES,
              found=("signature", "signature.unsigned"), signature=_unsigned),
        Fault(name="digest", level=MESSAGE, title="the DigestValue of one Reference is wrong", car=REFUSES,
              clause="XMLDSig 3.2.1", found=("signature", "signature.digest"), values=_ELEMENTS,
              signature=_wrong_digest),
        Fault(name="libcbv2g_emaid", level=MESSAGE, title="eMAID's digest is that of libcbv2g's grammar", car=REFUSES,
              clause="EXI 1.0 8.5.3", found=("signature", "signature.digest"), editions=(_2,), signature=_typed_emaid),
        Fault(name="references_reordered", level=MESSAGE, title="the References stand in another order than usual",
              clause="XMLDSig 4.4.3", car=INSTALLS, found=("signature", "references_reordered"), editions=(_2,),
              signature=_reversed),
        Fault(name="non_minimal_integers", level=MESSAGE, title="integers have superfluous groups of zero bits",
              clause="EXI 1.0 7.1.6", car=INSTALLS, found=("message", "not_minimal"), writer=SuperfluousGroups),
        Fault(name="wrong_emaid", level=MESSAGE, title="eMAID is another than that of the certificate",
              clause="V2G2-108", car=REFUSES, found=("eMAID", "emaid"), editions=(_2,), change=_other_emaid),
        Fault(name="wrong_session", level=MESSAGE, title="SessionID is not that of the request", car=REFUSES,
              clause="MessageHeaderType", found=("SessionID", "session"), change=_other_session),
        Fault(name="response_code", level=MESSAGE, title="the ResponseCode is one of choice, the rest is good",
              clause="responseCodeType", car=REFUSES, found=("ResponseCode", "response_code"),
              values=("FAILED", *(code for code in _CODES if code != "FAILED")), change=_response_code),
    )
}  # fmt: skip
# All is well: the row of everything that is not made for the lab.
NONE = Fault(name="", level=MESSAGE, title="", clause="", car=INSTALLS, found=("", ""))
