"""Signing a message: what of it has to be signed, References to that, and the Signature over them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import msgspec

from voltroot.errors import Malformed
from voltroot.v2g import iso2, iso20
from voltroot.v2g import signature as ds
from voltroot.v2g.exi import Model, Schema, Writer, encode_fragment
from voltroot.v2g.schemas import ISO_2, ISO_20, XMLDSIG
from voltroot.v2g.xmldsig.algorithms import CANONICAL_EXI, Algorithm, Signer, algorithm_of

Message = TypeVar(
    "Message",
    iso2.V2G_Message,
    iso20.AuthorizationReq,
    iso20.CertificateInstallationReq,
    iso20.CertificateInstallationRes,
)

# The elements that have to be signed, in the order in which they are referred to; none means the whole body.
_OF_RES = ("ContractSignatureCertChain", "ContractSignatureEncryptedPrivateKey", "DHpublickey", "eMAID")
SIGNED: dict[type[Model], tuple[str, ...]] = {
    iso2.CertificateInstallationReq: (),
    iso2.CertificateInstallationRes: _OF_RES,
    iso2.CertificateUpdateReq: (),
    iso2.CertificateUpdateRes: _OF_RES,
    iso2.AuthorizationReq: (),
    iso2.MeteringReceiptReq: (),
    iso20.CertificateInstallationReq: ("OEMProvisioningCertificateChain",),
    iso20.CertificateInstallationRes: ("SignedInstallationData",),
    iso20.AuthorizationReq: ("PnC_AReqAuthorizationMode",),
}


class Part(NamedTuple):
    """An element that is signed: its name, its value, the schema set that it is coded under."""

    element: str
    value: Model
    schema: Schema

    @property
    def Id(self) -> str:  # noqa: N802 -- the standard's name
        """What a Reference calls it; Malformed where it has none."""
        own = getattr(self.value, "Id", None)
        if not own:
            raise Malformed(f"{self.element} has no Id that a Reference could name: give it one")
        return str(own)


def sign(message: Message, signer: Signer, *, facets: bool = True, writer: type[Writer] = Writer) -> Message:
    """Return the message with a Signature in its header over all that ISO 15118 wants signed of it."""
    due = parts(message)
    if not due:
        raise Malformed("ISO 15118 wants nothing of this message signed")
    made = signature(due, signer, facets=facets, writer=writer)
    header = msgspec.structs.replace(message.Header, Signature=made)
    return msgspec.structs.replace(message, Header=header)


def parts(message: Model) -> tuple[Part, ...]:
    """Return what ISO 15118 wants signed of a message, as far as it is there."""
    schema, body = (ISO_2, message.Body.BodyElement) if isinstance(message, iso2.V2G_Message) else (ISO_20, message)
    if body is None:
        return ()
    names = SIGNED.get(type(body))
    if names == ():
        return (Part(type(body).__name__, body, schema),)
    return tuple(Part(name, value, schema) for name in names or () if (value := getattr(body, name)) is not None)


def signature(
    signed: Sequence[Part], signer: Signer, *, facets: bool = True, writer: type[Writer] = Writer
) -> ds.Signature:
    """Return a Signature over elements of one schema set, with their References in the order given."""
    algorithm = algorithm_of(signer, signed[0].schema)
    references = [reference(part, algorithm, facets=facets, writer=writer) for part in signed]
    info = signed_info(references, algorithm)
    octets = encode_fragment("SignedInfo", info, XMLDSIG, facets=facets, writer=writer)
    return ds.Signature(SignedInfo=info, SignatureValue=ds.SignatureValue(value=algorithm.sign(signer, octets)))


def signed_info(references: Sequence[ds.Reference], algorithm: Algorithm) -> ds.SignedInfo:
    """Return what is signed in the end."""
    return ds.SignedInfo(
        CanonicalizationMethod=ds.CanonicalizationMethod(Algorithm=CANONICAL_EXI),
        SignatureMethod=ds.SignatureMethod(Algorithm=algorithm.signature_uri),
        Reference=tuple(references),
    )


def reference(part: Part, algorithm: Algorithm, *, facets: bool = True, writer: type[Writer] = Writer) -> ds.Reference:
    """Return the Reference to an element, with the digest of its fragment."""
    return ds.Reference(
        URI=f"#{part.Id}",
        Transforms=ds.Transforms(Transform=(ds.Transform(Algorithm=CANONICAL_EXI),)),
        DigestMethod=ds.DigestMethod(Algorithm=algorithm.digest_uri),
        DigestValue=digest(part, algorithm, facets=facets, writer=writer),
    )


def digest(part: Part, algorithm: Algorithm, *, facets: bool = True, writer: type[Writer] = Writer) -> bytes:
    """Return the digest of an element: that of its EXI fragment, header and end included (ISO 15118-2 annex J)."""
    return algorithm.digest(encode_fragment(part.element, part.value, part.schema, facets=facets, writer=writer))
