"""XML signatures: what is digested and signed, what holds, and what each refusal names."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from signing import SIGNED, VECTORS, Vector, key, of_libcbv2g, received, signed_again, with_signature
from voltroot.errors import Malformed, UnsupportedSuite
from voltroot.v2g import iso2, iso20, xmldsig
from voltroot.v2g import signature as ds
from voltroot.v2g.exi import Decoded, Unreadable, Writer, decode, encode, encode_fragment
from voltroot.v2g.schemas import ISO_2, ISO_20, XMLDSIG
from voltroot.v2g.xmldsig import CANONICAL_EXI, ECDSA_SHA256, ECDSA_SHA512, Fault, verify, verifying

RES = VECTORS["iso2_cert_install_res_2sub"]
REQ = VECTORS["iso2_cert_install_req_signed"]
RES_20 = VECTORS["iso20_cert_install_res_secp521_2sub"]
REQ_20 = VECTORS["iso20_cert_install_req_signed"]
CPS, CPS_20 = key(ISO_2, "cps"), key(ISO_20, "cps")

by_name = pytest.mark.parametrize("vector", SIGNED, ids=lambda vector: vector.name)


def faults(message: Decoded, signer: Any, **options: Any) -> list[tuple[str, Fault | None]]:
    """What verifying names, with its part."""
    return [(check.part, check.fault) for check in verify(message, signer.public_key(), **options).faults]


# What is digested, what is signed


def test_the_example_of_annex_j_has_the_digest_that_the_standard_prints() -> None:
    part = xmldsig.Part("AuthorizationReq", iso2.AuthorizationReq(Id="ID1", GenChallenge=b"Some Random Data"), ISO_2)
    digest = xmldsig.digest(part, ECDSA_SHA256)
    assert base64.b64encode(digest) == b"0bXgPQBlvuVrMXmERTBR61TKGPwOCRYXT4s8d6mPSqk="


@by_name
def test_every_signed_vector_holds_under_the_key_that_signed_it(vector: Vector) -> None:
    outcome = verify(vector.decoded, vector.signer.public_key())
    assert outcome.holds, outcome.faults
    forms = {check.element or check.part: check.text for check in outcome.checks}
    # A fragment of eMAID has a grammar of its own (EXI 8.5.3), so its bits in the message are of no use.
    assert forms.pop("eMAID", "encoded anew") == "encoded anew"
    assert forms.pop("SignatureValue") == "the key has signed SignedInfo, as received"
    assert set(forms.values()) <= {"as received"}


@by_name
def test_references_are_what_the_vectors_refer_to(vector: Vector) -> None:
    message = vector.decoded.value
    algorithm = xmldsig.algorithm_of(vector.signer, vector.schema)
    made = tuple(xmldsig.reference(part, algorithm) for part in xmldsig.parts(message))
    assert made == message.Header.Signature.SignedInfo.Reference
    assert xmldsig.signed_info(made, algorithm) == message.Header.Signature.SignedInfo


@by_name
def test_what_is_signed_holds_on_the_other_side(vector: Vector) -> None:
    message = xmldsig.sign(with_signature(vector.decoded.value, None), vector.signer)
    assert message.Header.Signature != vector.decoded.value.Header.Signature
    assert verify(received(message, vector.schema), vector.signer.public_key()).holds


def bits(message: Decoded) -> Iterator[int]:
    """The places of all bits that are signed: of the elements referred to, and of SignedInfo."""
    due = {part.element for part in xmldsig.parts(message.value)}
    for mark in message.marks:
        if mark.element in due or mark.element == "SignedInfo":
            yield from range(mark.start, mark.stop)


def assert_no_bit_may_change(vector: Vector, step: int) -> None:
    places = list(bits(vector.decoded))
    public, whole = vector.signer.public_key(), int.from_bytes(vector.exi)
    last = 8 * len(vector.exi) - 1
    for place in places[random.randrange(step) :: step]:
        changed = (whole ^ 1 << last - place).to_bytes(len(vector.exi))
        try:
            message = decode(changed, vector.schema)
        except Unreadable:
            continue
        assert not verify(message, public).holds, place


@by_name
def test_no_signed_bit_may_change(vector: Vector) -> None:
    assert_no_bit_may_change(vector, 499)


@pytest.mark.soak
@by_name
def test_not_one_of_all_signed_bits_may_change(vector: Vector) -> None:
    assert_no_bit_may_change(vector, 1)


@by_name
def test_a_signature_that_was_tampered_with_does_not_hold(vector: Vector) -> None:
    message = vector.decoded.value
    value = message.Header.Signature.SignatureValue.value
    for place in (0, len(value) // 2, len(value) - 1):
        other = bytearray(value)
        other[place] ^= 1
        changed = msgspec.structs.replace(
            message.Header.Signature, SignatureValue=ds.SignatureValue(value=bytes(other))
        )
        assert faults(received(with_signature(message, changed), vector.schema), vector.signer) == [
            ("SignatureValue", Fault.SIGNATURE)
        ]


# Algorithms and keys


def test_ed448_signs_with_its_own_urns() -> None:
    signer = ed448.Ed448PrivateKey.generate()
    message = xmldsig.sign(VECTORS["iso20_cert_install_res_x448"].decoded.value, signer)
    info = message.Header.Signature.SignedInfo
    assert info.SignatureMethod.Algorithm == "urn:iso:std:iso:15118:-20:Security:xmldsig#Ed448"
    assert info.Reference[0].DigestMethod.Algorithm == "urn:iso:std:iso:15118:-20:Security:xmlenc#SHAKE256"
    assert verify(received(message, ISO_20), signer.public_key()).holds
    assert not verify(received(message, ISO_20), ed448.Ed448PrivateKey.generate().public_key()).holds


def test_r_and_s_are_written_raw_with_their_leading_zeros() -> None:
    sizes = {len(ECDSA_SHA512.sign(CPS_20, bytes([number]))) for number in range(8)}
    assert sizes == {132}
    assert ECDSA_SHA256.holds(CPS.public_key(), ECDSA_SHA256.sign(CPS, b"octets"), b"octets")
    assert not ECDSA_SHA256.holds(CPS.public_key(), bytes(64), b"octets")


class Foreign(ec.EllipticCurvePrivateKey):
    """A key that lives elsewhere, as one in an HSM: it signs, and says its curve."""

    def __init__(self, inner: ec.EllipticCurvePrivateKey) -> None:
        self._inner = inner

    @property
    def curve(self) -> ec.EllipticCurve:
        return self._inner.curve

    @property
    def key_size(self) -> int:
        return self._inner.key_size

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._inner.public_key()

    def sign(self, data: Any, signature_algorithm: Any) -> bytes:
        return self._inner.sign(data, signature_algorithm)

    def exchange(self, *_: Any) -> bytes:
        raise NotImplementedError

    def private_numbers(self) -> Any:
        raise NotImplementedError

    def private_bytes(self, *_: Any) -> bytes:
        raise NotImplementedError

    def __copy__(self) -> Foreign:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> Foreign:
        return self


def test_any_signer_that_passes_as_a_private_key_will_do() -> None:
    message = xmldsig.sign(RES.decoded.value, Foreign(CPS))
    assert verify(received(message, ISO_2), CPS.public_key()).holds


@pytest.mark.parametrize(("signer", "schema"), [
    (CPS_20, ISO_2), (CPS, ISO_20), (ec.generate_private_key(ec.SECP384R1()), ISO_20),
    (rsa.generate_private_key(65537, 2048), ISO_2),
])  # fmt: skip
def test_a_key_of_another_edition_does_not_sign(signer: Any, schema: Any) -> None:
    message = (RES if schema is ISO_2 else RES_20).decoded.value
    with pytest.raises(UnsupportedSuite):
        xmldsig.sign(message, signer)


def test_what_cannot_be_signed_is_told() -> None:
    with pytest.raises(Malformed, match="wants nothing of this message signed"):
        xmldsig.sign(VECTORS["iso2_payment_details_res_rc00"].decoded.value, CPS)
    bare = msgspec.structs.replace(body(RES).ContractSignatureCertChain, Id=None)
    with pytest.raises(Malformed, match=r"ContractSignatureCertChain has no Id .*: give it one"):
        xmldsig.sign(with_body(RES, ContractSignatureCertChain=bare), CPS)


# What refusals name: (the message with its fault, what is named)


def body(vector: Vector) -> Any:
    return vector.decoded.value.Body.BodyElement


def with_body(vector: Vector, **members: Any) -> Any:
    """The message of -2 with other members of its body; its signature is as old as it was."""
    message = vector.decoded.value
    changed = msgspec.structs.replace(message.Body.BodyElement, **members)
    return msgspec.structs.replace(message, Body=iso2.BodyType(BodyElement=changed))


def four() -> list[ds.Reference]:
    return [xmldsig.reference(part, ECDSA_SHA256) for part in xmldsig.parts(RES.decoded.value)]


def again(references: list[ds.Reference] | None = None, **members: Any) -> Any:
    return signed_again(RES.decoded.value, CPS, ISO_2, references=references, **members)


def second(**members: Any) -> Any:
    """Signed again with another second Reference."""
    first, one, *others = four()
    return again([first, msgspec.structs.replace(one, **members), *others])


def with_value(make: Callable[[bytes], bytes]) -> Any:
    """Another SignatureValue, made of the octets of SignedInfo."""
    signature = RES.decoded.value.Header.Signature
    octets = encode_fragment("SignedInfo", signature.SignedInfo, XMLDSIG)
    value = ds.SignatureValue(value=make(octets))
    return with_signature(RES.decoded.value, msgspec.structs.replace(signature, SignatureValue=value))


def doubled() -> Any:
    chain = msgspec.structs.replace(body(RES).SAProvisioningCertificateChain, Id="id1")
    return with_body(RES, SAProvisioningCertificateChain=chain)


def pointing_at_the_unsigned_chain() -> Any:
    chain = msgspec.structs.replace(body(RES).SAProvisioningCertificateChain, Id="id9")
    message = with_body(RES, SAProvisioningCertificateChain=chain)
    references = [*four(), msgspec.structs.replace(four()[0], URI="#id9")]
    return signed_again(message, CPS, ISO_2, references=references)


def transforms(*uris: str) -> ds.Transforms:
    return ds.Transforms(Transform=tuple(ds.Transform(Algorithm=uri) for uri in uris))


C14N = "http://www.w3.org/2006/12/xml-c14n11"
SHA512, ECDSA_512 = ECDSA_SHA512.digest_uri, ECDSA_SHA512.signature_uri
HMAC = "http://www.w3.org/2000/09/xmldsig#hmac-sha1"


@dataclass(frozen=True)
class Wrong:
    """A message of -2 that is signed, and what is wrong with it."""

    make: Callable[[], Any]
    part: str
    fault: Fault
    text: str
    at: str | None = None


WRONG = {
    "no_signature": Wrong(
        lambda: with_signature(RES.decoded.value, None), "Signature", Fault.UNSIGNED, "the message is not signed"
    ),
    "another_key": Wrong(
        lambda: signed_again(RES.decoded.value, key(ISO_2, "oem"), ISO_2),
        "SignatureValue", Fault.SIGNATURE, "another key has signed, or SignedInfo was changed",
    ),
    "signature_in_der": Wrong(
        lambda: with_value(lambda octets: CPS.sign(octets, ec.ECDSA(ECDSA_SHA256.hash))),
        "SignatureValue", Fault.SIGNATURE, "octets, not 64: r and s are written raw, not in DER",
    ),
    "signature_empty": Wrong(
        lambda: with_value(lambda octets: b""), "SignatureValue", Fault.SIGNATURE, "it has 0 octets, not 64",
    ),
    "signed_info_in_the_grammar_of_the_message": Wrong(
        lambda: with_value(lambda _: ECDSA_SHA256.sign(
            CPS, encode_fragment("SignedInfo", RES.decoded.value.Header.Signature.SignedInfo, ISO_2))),
        "SignatureValue", Fault.SIGNATURE, "not in that of xmldsig alone ([V2G20-1449])",
    ),
    "canonicalization": Wrong(
        lambda: again(CanonicalizationMethod=ds.CanonicalizationMethod(Algorithm=C14N)),
        "CanonicalizationMethod", Fault.CANONICALIZATION, f"it is {C14N}, not {CANONICAL_EXI}",
    ),
    "algorithm_of_the_other_edition": Wrong(
        lambda: again(SignatureMethod=ds.SignatureMethod(Algorithm=ECDSA_512)),
        "SignatureMethod", Fault.ALGORITHM, f"it is {ECDSA_512}, not {ECDSA_SHA256.signature_uri}",
    ),
    "algorithm_with_a_shared_secret": Wrong(
        lambda: again(SignatureMethod=ds.SignatureMethod(Algorithm=HMAC)),
        "SignatureMethod", Fault.ALGORITHM, f"it is {HMAC}",
    ),
    "id_of_signed_info": Wrong(
        lambda: again(Id="id5"), "SignedInfo", Fault.FORBIDDEN, "it may not have an Id ([V2G2-771])"
    ),
    "reference_left_out": Wrong(
        lambda: again(four()[:3]), "eMAID", Fault.NOT_REFERENCED, "no Reference leads to it", "eMAID"
    ),
    "reference_to_nothing": Wrong(
        lambda: again([*four(), msgspec.structs.replace(four()[0], URI="#id7")]),
        "Reference 5", Fault.NOT_THERE, "no element of the message has this Id",
    ),
    "reference_to_what_is_not_signed": Wrong(
        pointing_at_the_unsigned_chain, "Reference 5", Fault.NOT_THERE,
        "SAProvisioningCertificateChain has this Id and is nothing that is signed", "SAProvisioningCertificateChain",
    ),
    "reference_to_another_document": Wrong(
        lambda: again([*four(), msgspec.structs.replace(four()[0], URI="urn:id1")]),
        "Reference 5", Fault.URI, "its URI is not # and an Id",
    ),
    "reference_without_uri": Wrong(
        lambda: again([*four(), msgspec.structs.replace(four()[0], URI=None)]),
        "Reference 5", Fault.URI, "its URI is not # and an Id",
    ),
    "doubled_id": Wrong(
        doubled, "Reference 1", Fault.DOUBLED_ID,
        "SAProvisioningCertificateChain and ContractSignatureCertChain have the same Id",
    ),
    "doubled_reference": Wrong(
        lambda: again([*four(), four()[1]]), "Reference 5", Fault.DOUBLED_REFERENCE,
        "another Reference leads to it already", "ContractSignatureEncryptedPrivateKey",
    ),
    "type_of_a_reference": Wrong(
        lambda: second(Type=HMAC), "Reference 2", Fault.FORBIDDEN, "it may not have a Type ([V2G2-771])",
        "ContractSignatureEncryptedPrivateKey",
    ),
    "no_transforms": Wrong(
        lambda: second(Transforms=None), "Reference 2", Fault.TRANSFORMS, f"there has to be one, {CANONICAL_EXI}",
        "ContractSignatureEncryptedPrivateKey",
    ),
    "other_transform": Wrong(
        lambda: second(Transforms=transforms(C14N)), "Reference 2", Fault.TRANSFORMS, "there has to be one",
        "ContractSignatureEncryptedPrivateKey",
    ),
    "two_transforms": Wrong(
        lambda: second(Transforms=transforms(CANONICAL_EXI, CANONICAL_EXI)), "Reference 2", Fault.TRANSFORMS,
        "there has to be one", "ContractSignatureEncryptedPrivateKey",
    ),
    "digest_method": Wrong(
        lambda: second(DigestMethod=ds.DigestMethod(Algorithm=SHA512)), "Reference 2", Fault.DIGEST_METHOD,
        f"DigestMethod is {SHA512}, not {ECDSA_SHA256.digest_uri}", "ContractSignatureEncryptedPrivateKey",
    ),
    "digest_value": Wrong(
        lambda: second(DigestValue=bytes(32)), "Reference 2", Fault.DIGEST, "DigestValue is not that of the element",
        "ContractSignatureEncryptedPrivateKey",
    ),
    "digest_empty": Wrong(
        lambda: second(DigestValue=b""), "Reference 2", Fault.DIGEST, "DigestValue is not that of the element",
        "ContractSignatureEncryptedPrivateKey",
    ),
    "element_changed": Wrong(
        lambda: with_body(RES, DHpublickey=msgspec.structs.replace(body(RES).DHpublickey, value=bytes(65))),
        "Reference 3", Fault.DIGEST, "DigestValue is not that of the element", "DHpublickey",
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_each_fault_is_named(wrong: Wrong) -> None:
    outcome = verify(received(wrong.make(), ISO_2), CPS.public_key())
    named = [check for check in outcome.faults if check.fault is not Fault.NOT_REFERENCED] or list(outcome.faults)
    assert [(check.part, check.fault) for check in named] == [(wrong.part, wrong.fault)]
    assert wrong.text in named[0].text
    assert named[0].element == wrong.at
    assert not outcome.holds


def test_every_fault_has_a_message_that_shows_it() -> None:
    assert {wrong.fault for wrong in WRONG.values()} == set(Fault)


def test_an_element_with_a_doubled_id_counts_as_not_referred_to() -> None:
    assert faults(received(doubled(), ISO_2), CPS) == [
        ("Reference 1", Fault.DOUBLED_ID), ("ContractSignatureCertChain", Fault.NOT_REFERENCED)
    ]  # fmt: skip


def test_seventeen_references_are_not_read() -> None:
    with pytest.raises(Unreadable, match="Reference"):
        again([four()[0]] * 17)


def test_no_element_is_encoded_more_often_than_there_are_forms_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = []

    def counting(element: str, *arguments: Any, **options: Any) -> bytes:
        octets = encode_fragment(element, *arguments, **options)
        encoded.append((element, len(octets)))
        return octets

    monkeypatch.setattr(verifying, "encode_fragment", counting)
    wrong = msgspec.structs.replace(four()[0], DigestValue=bytes(32))
    message = received(again([wrong] * 16), ISO_2)
    named = [check.fault for check in verify(message, CPS.public_key()).faults]
    assert named == [Fault.DIGEST, *[Fault.DOUBLED_REFERENCE] * 15, *[Fault.NOT_REFERENCED] * 3]
    assert [element for element, _ in encoded] == ["ContractSignatureCertChain"]
    assert sum(size for _, size in encoded) < len(message.octets)


def test_references_may_come_in_any_order() -> None:
    for _ in range(3):
        references = random.sample(four(), 4)
        assert verify(received(again(references), ISO_2), CPS.public_key()).holds


def test_a_key_of_another_kind_is_named_and_one_of_a_foreign_kind_is_refused() -> None:
    assert faults(RES_20.decoded, CPS) == [("SignatureMethod", Fault.ALGORITHM)]
    assert faults(RES.decoded, CPS_20) == [("SignatureMethod", Fault.ALGORITHM)]
    with pytest.raises(UnsupportedSuite):
        verify(RES.decoded, rsa.generate_private_key(65537, 2048).public_key())  # type: ignore[arg-type]


def test_a_fragment_has_no_signature_of_its_own() -> None:
    assert faults(VECTORS["iso2_frag_DHpublickey"].decoded, CPS) == [("Signature", Fault.UNSIGNED)]


# Peers that differ


def test_emaid_as_libcbv2g_digests_it_is_refused_by_name_and_accepted_when_asked_for() -> None:
    message = received(of_libcbv2g(RES), ISO_2)
    (check,) = verify(message, CPS.public_key()).faults
    assert (check.part, check.element, check.fault) == ("Reference 4", "eMAID", Fault.DIGEST)
    assert "libcbv2g" in check.text
    outcome = verify(message, CPS.public_key(), libcbv2g=True)
    assert outcome.holds
    assert "libcbv2g" in outcome.checks[-1].text
    assert verify(RES.decoded, CPS.public_key(), libcbv2g=True).holds


class Redundant(Writer):
    """Writes big integers with a group too many, as OpenV2G does."""

    __slots__ = ()

    def integer(self, value: int) -> None:
        self.bits(value < 0, 1)
        value = -value - 1 if value < 0 else value
        while value:
            self.bits(value & 0x7F | 0x80, 8)
            value >>= 7
        self.bits(0, 8)


def test_bits_are_digested_as_they_came_whatever_the_peer_holds_to_be_canonical() -> None:
    signer = key(ISO_2, "oem")
    message = xmldsig.sign(REQ.decoded.value, signer, writer=Redundant)
    outcome = verify(received(message, ISO_2, Redundant), signer.public_key())
    assert outcome.holds
    assert outcome.checks[-1].text == "as received"


def test_a_peer_that_digests_what_it_does_not_send_is_understood() -> None:
    signer = key(ISO_2, "oem")
    message = xmldsig.sign(REQ.decoded.value, signer)
    octets = encode(message, ISO_2, writer=Redundant)
    assert octets != encode(message, ISO_2)
    outcome = verify(decode(octets, ISO_2), signer.public_key())
    assert outcome.holds
    assert outcome.checks[-1].text == "encoded anew"


def test_either_reading_of_what_a_request_of_20_signs_is_accepted() -> None:
    bare = VECTORS["iso20_frag_CertificateInstallationReq_nosig"]
    signer = key(ISO_20, "oem")
    message = bare.decoded.value
    chain = xmldsig.reference(xmldsig.parts(message)[0], ECDSA_SHA512)
    whole = msgspec.structs.replace(chain, DigestValue=ECDSA_SHA512.digest(bare.exi))
    outcome = verify(received(signed_again(message, signer, ISO_20, references=[whole]), ISO_20), signer.public_key())
    assert outcome.holds
    assert outcome.checks[-1].text == "as the whole request"


def test_a_request_of_20_for_authorization_signs_what_answers_the_challenge() -> None:
    chain = body_20().SignedInstallationData.ContractCertificateChain
    mode = iso20.PnC_AReqAuthorizationModeType(Id="id1", GenChallenge=bytes(16), ContractCertificateChain=chain)
    message = iso20.AuthorizationReq(
        Header=with_signature(body_20(), None).Header,
        SelectedAuthorizationService="PnC",
        PnC_AReqAuthorizationMode=mode,
    )
    signed = xmldsig.sign(message, CPS_20)
    assert verify(received(signed, ISO_20), CPS_20.public_key()).holds
    other = msgspec.structs.replace(
        signed, PnC_AReqAuthorizationMode=msgspec.structs.replace(mode, GenChallenge=b"1" * 16)
    )
    assert faults(received(other, ISO_20), CPS_20) == [("Reference 1", Fault.DIGEST)]


def body_20() -> Any:
    return RES_20.decoded.value


def test_a_signature_of_zeros_or_of_the_order_is_no_signature() -> None:
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    for r, s in ((0, 0), (0, 1), (1, 0), (order, 1), (1, order), (2**256 - 1, 2**256 - 1)):
        value = r.to_bytes(32) + s.to_bytes(32)
        assert encode_dss_signature(r, s)
        message = received(with_value(lambda _, value=value: value), ISO_2)  # type: ignore[misc]
        assert faults(message, CPS) == [("SignatureValue", Fault.SIGNATURE)]
