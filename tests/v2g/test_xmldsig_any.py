"""Signatures of any message: what was signed holds, what was changed does not, and nothing raises."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from random_messages import values
from signing import SIGNED, Vector, received, signed_again, with_signature
from voltroot.v2g import iso2, iso20, xmldsig
from voltroot.v2g.exi import Model, Schema, Unreadable, decode
from voltroot.v2g.schemas import ISO_2, ISO_20
from voltroot.v2g.signature import Signature
from voltroot.v2g.xmldsig import Fault, verify
from voltroot.v2g.xmldsig.signing import SIGNED as KINDS

P256 = ec.generate_private_key(ec.SECP256R1())
P521, ED = ec.generate_private_key(ec.SECP521R1()), ed448.Ed448PrivateKey.generate()
SIGNERS = {"iso2": [P256], "iso20": [P521, ED]}

some = settings(max_examples=5, deadline=None, database=None)
IDS = st.lists(st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,60}", fullmatch=True), min_size=4, max_size=4, unique=True)


@st.composite
def signed(draw: st.DrawFn, kind: type[Model]) -> tuple[Any, Schema, Any]:
    """A message of a kind, its schema set and the key that signed it."""
    body = with_ids(draw(values(kind, shortest=1)), draw(IDS))
    if kind.__module__ == iso20.__name__:
        schema, message = ISO_20, body
    else:
        header = iso2.MessageHeaderType(SessionID=draw(st.binary(min_size=1, max_size=8)))
        schema, message = ISO_2, iso2.V2G_Message(Header=header, Body=iso2.BodyType(BodyElement=body))
    # An AuthorizationReq for external payment has nothing that is signed.
    assume(xmldsig.parts(message))
    signer = draw(st.sampled_from(SIGNERS[schema.name]))
    return xmldsig.sign(message, signer), schema, signer


def with_ids(body: Any, ids: list[str]) -> Any:
    """The body with an Id of its own for each part that is signed, and none for the others."""
    due = KINDS[type(body)]
    others = {"ContractSignatureCertChain", "SAProvisioningCertificateChain"} & set(body.__struct_fields__) - set(due)
    members: dict[str, Any] = {name: msgspec.structs.replace(getattr(body, name), Id=None) for name in others}
    for name, own in zip(due, ids, strict=False):
        if (part := getattr(body, name)) is not None:
            members[name] = msgspec.structs.replace(part, Id=own)
    if not due:
        members["Id"] = ids[0]
    return msgspec.structs.replace(body, **members)


every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.__module__.split('.')[2]}-{kind.__name__}")


@every_kind
def test_what_was_signed_holds(kind: type[Model]) -> None:
    @some
    @given(signed(kind))
    def holds(drawn: tuple[Any, Schema, Any]) -> None:
        message, schema, signer = drawn
        outcome = verify(received(message, schema), signer.public_key())
        assert outcome.holds, outcome.faults

    holds()


@every_kind
def test_another_key_a_missing_reference_and_a_wrong_digest_are_named(kind: type[Model]) -> None:
    @some
    @given(signed(kind), st.integers(0, 3))
    def named(drawn: tuple[Any, Schema, Any], place: int) -> None:
        message, schema, signer = drawn
        public = signer.public_key()
        other = ed448.Ed448PrivateKey.generate() if signer is ED else ec.generate_private_key(signer.curve)
        (fault,) = verify(received(message, schema), other.public_key()).faults
        assert fault.fault is Fault.SIGNATURE
        references = list(message.Header.Signature.SignedInfo.Reference)
        place %= len(references)
        element = xmldsig.parts(message)[place].element
        if len(references) > 1:
            fewer = signed_again(message, signer, schema, references=references[:place] + references[place + 1 :])
            (fault,) = verify(received(fewer, schema), public).faults
            assert (fault.part, fault.fault) == (element, Fault.NOT_REFERENCED)
        references[place] = msgspec.structs.replace(references[place], DigestValue=bytes(32))
        wrong = signed_again(message, signer, schema, references=references)
        (fault,) = verify(received(wrong, schema), public).faults
        assert (fault.part, fault.element, fault.fault) == (f"Reference {place + 1}", element, Fault.DIGEST)

    named()


@every_kind
def test_any_signature_at_all_has_an_outcome(kind: type[Model]) -> None:
    @some
    @given(signed(kind), values(Signature))
    def judged(drawn: tuple[Any, Schema, Any], other: Any) -> None:
        message, schema, signer = drawn
        assert not verify(received(with_signature(message, other), schema), signer.public_key()).holds

    judged()


@given(st.sampled_from(SIGNED), st.data())
@settings(max_examples=40, deadline=None, database=None)
def test_any_change_of_octets_has_an_outcome(vector: Vector, data: st.DataObject) -> None:
    octets = bytearray(vector.exi)
    for _ in range(data.draw(st.integers(1, 3))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        message = decode(bytes(octets), vector.schema)
    except Unreadable:
        return
    outcome = verify(message, vector.signer.public_key())
    assert outcome.holds == (not outcome.faults)
