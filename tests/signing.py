"""The vectors of EXI and XML signatures, the keys that signed them, and signing them again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from voltroot.v2g import signature as ds
from voltroot.v2g import xmldsig
from voltroot.v2g.exi import Decoded, Kind, Schema, Writer, decode, encode, encode_fragment
from voltroot.v2g.schemas import ISO_2, ISO_20, XMLDSIG

FOLDER = Path(__file__).parent / "vectors" / "exi"
SCHEMAS = {
    "ISO 15118-2:2013 V2G_CI_MsgDef": ISO_2,
    "ISO 15118-20 V2G_CI_CommonMessages": ISO_20,
    "xmldsig-core-schema (standalone)": XMLDSIG,
}


@dataclass(frozen=True)
class Vector:
    """One message or fragment in every form."""

    name: str
    schema: Schema
    kind: Kind
    json: dict[str, Any]
    xml: str
    exi: bytes

    @property
    def decoded(self) -> Decoded:
        return decode(self.exi, self.schema, self.kind)

    @property
    def is_signed(self) -> bool:
        return '"SignatureValue"' in json.dumps(self.json)

    @property
    def signer(self) -> Any:
        """The private key that signed it, or would have."""
        who = "cps" if "_res" in self.name else "contract_old" if "update_req" in self.name else "oem"
        return key(self.schema, who)


def _read(path: Path) -> Vector:
    told = json.loads(path.read_text())
    given = told["json_or_xml_input"]
    exi = bytes.fromhex(told["exi_hex"])
    return Vector(told["name"], SCHEMAS[told["schema"]], told["kind"], given["json"], given["xml"], exi)


VECTORS = {path.stem: _read(path) for path in sorted(FOLDER.glob("*.json")) if '"exi_hex"' in path.read_text()}
SIGNED = [vector for vector in VECTORS.values() if vector.is_signed]


@cache
def _pki(schema: Schema) -> dict[str, Any]:
    pki: dict[str, Any] = json.loads((FOLDER / "testpki.json").read_text())
    return pki["p256" if schema is ISO_2 else "p521"]  # type: ignore[no-any-return]


@cache
def key(schema: Schema, name: str) -> Any:
    """A private key of the PKI that signed the vectors: cps, oem, contract, contract_old and their CAs."""
    return load_pem_private_key(_pki(schema)["keys_pem"][name].encode(), None)


def certificate(schema: Schema, name: str) -> x509.Certificate:
    """The certificate of such a key."""
    return x509.load_der_x509_certificate(bytes.fromhex(_pki(schema)["certs_hex"][name]))


def signed_again(
    message: Any,
    signer: Any,
    schema: Schema,
    *,
    references: Sequence[ds.Reference] | None = None,
    writer: type[Writer] = Writer,
    **members: Any,
) -> Any:
    """The message with other References or members of SignedInfo, signed anew as it then stands."""
    algorithm = xmldsig.algorithm_of(signer, schema)
    if references is None:
        references = [xmldsig.reference(part, algorithm, facets=False) for part in xmldsig.parts(message)]
    info = msgspec.structs.replace(xmldsig.signed_info(references, algorithm), **members)
    octets = encode_fragment("SignedInfo", info, XMLDSIG, facets=False, writer=writer)
    value = ds.SignatureValue(value=algorithm.sign(signer, octets))
    return with_signature(message, ds.Signature(SignedInfo=info, SignatureValue=value))


def of_libcbv2g(vector: Vector) -> Any:
    """The message as libcbv2g and cbexigen sign it: eMAID digested in the grammar of its type."""
    message = vector.decoded.value
    *three, emaid = (xmldsig.reference(part, xmldsig.ECDSA_SHA256) for part in xmldsig.parts(message))
    octets = encode_fragment("eMAID", message.Body.BodyElement.eMAID, ISO_2, typed=True)
    other = msgspec.structs.replace(emaid, DigestValue=xmldsig.ECDSA_SHA256.digest(octets))
    return signed_again(message, vector.signer, ISO_2, references=[*three, other])


def with_signature(message: Any, signature: ds.Signature | None) -> Any:
    """The message with another Signature in its header."""
    return msgspec.structs.replace(message, Header=msgspec.structs.replace(message.Header, Signature=signature))


def received(message: Any, schema: Schema, writer: type[Writer] = Writer) -> Decoded:
    """What the other side reads."""
    return decode(encode(message, schema, facets=False, writer=writer), schema)
