"""The elements of XML Signature (xmldsig-core) that ISO 15118 uses; [V2G2-771] forbids the others."""

from __future__ import annotations

from typing import Annotated

from voltroot.v2g.exi.builtin import ID, AnyURI, Base64, BigInteger, Text
from voltroot.v2g.exi.declare import CONTENT, Attribute, Model, Occurs

DS = "http://www.w3.org/2000/09/xmldsig#"

MAX_REFERENCES = 16  # four is the most that a message needs ([V2G2-909])


class CanonicalizationMethod(Model):
    """How SignedInfo becomes octets: canonical EXI."""

    namespace = DS
    refused = ("SE(*)",)
    mixed = True

    Algorithm: Annotated[AnyURI, Attribute()]


class SignatureMethod(Model):
    """By which algorithm SignedInfo is signed."""

    namespace = DS
    refused = ("SE(HMACOutputLength)", "SE(*)")
    mixed = True

    Algorithm: Annotated[AnyURI, Attribute()]


class Transform(Model):
    """How an element becomes octets: canonical EXI."""

    namespace = DS
    refused = ("SE(XPath)", "SE(*)")
    mixed = True

    Algorithm: Annotated[AnyURI, Attribute()]


class Transforms(Model):
    """The transforms of a Reference; [V2G2-767] allows one."""

    namespace = DS

    Transform: Annotated[tuple[Transform, ...], Occurs(1, None, cap=MAX_REFERENCES)]


class DigestMethod(Model):
    """By which algorithm an element is digested."""

    namespace = DS
    refused = ("SE(*)",)
    mixed = True

    Algorithm: Annotated[AnyURI, Attribute()]


class Reference(Model):
    """The digest of one element, which it names by URI."""

    namespace = DS

    Id: Annotated[ID | None, Attribute()] = None
    URI: Annotated[AnyURI | None, Attribute()] = None
    Type: Annotated[AnyURI | None, Attribute()] = None
    Transforms: Transforms | None = None
    DigestMethod: DigestMethod
    DigestValue: Base64


class SignedInfo(Model):
    """What is signed: the algorithms and the References."""

    namespace = DS
    signable = True

    Id: Annotated[ID | None, Attribute()] = None
    CanonicalizationMethod: CanonicalizationMethod
    SignatureMethod: SignatureMethod
    Reference: Annotated[tuple[Reference, ...], Occurs(1, None, cap=MAX_REFERENCES)]


class SignatureValue(Model):
    """The signature itself: r and s of ECDSA one after the other, or that of Ed448."""

    namespace = DS

    Id: Annotated[ID | None, Attribute()] = None
    value: Annotated[Base64, CONTENT]


class Signature(Model):
    """A signature in the header of a message."""

    namespace = DS
    refused = ("SE(KeyInfo)", "SE(Object)")

    Id: Annotated[ID | None, Attribute()] = None
    SignedInfo: SignedInfo
    SignatureValue: SignatureValue


class X509IssuerSerialType(Model):
    """A certificate by its issuer and serial number."""

    namespace = DS

    X509IssuerName: Text
    X509SerialNumber: BigInteger
