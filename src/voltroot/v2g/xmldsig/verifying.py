"""Verifying the signature of a message that was received: which part of it fails, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import msgspec

from voltroot.v2g import iso20
from voltroot.v2g import signature as ds
from voltroot.v2g.exi import Decoded, Mark, Model, Schema, Unreadable, encode_fragment
from voltroot.v2g.schemas import ISO_20, XMLDSIG
from voltroot.v2g.xmldsig.algorithms import ALGORITHMS, CANONICAL_EXI, Algorithm, PublicKey, kind_of
from voltroot.v2g.xmldsig.signing import parts


class Fault(StrEnum):
    """What can be wrong with a signature."""

    UNSIGNED = "unsigned"
    CANONICALIZATION = "canonicalization"
    ALGORITHM = "algorithm"
    FORBIDDEN = "forbidden"
    SIGNATURE = "signature"
    URI = "uri"
    NOT_THERE = "not_there"
    DOUBLED_ID = "doubled_id"
    DOUBLED_REFERENCE = "doubled_reference"
    TRANSFORMS = "transforms"
    DIGEST_METHOD = "digest_method"
    DIGEST = "digest"
    NOT_REFERENCED = "not_referenced"


class Check(NamedTuple):
    """One look at a part of a signature: what was seen, and the fault if it is one."""

    part: str
    text: str
    fault: Fault | None = None
    uri: str | None = None
    element: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What verifying came to: data, not an exception."""

    checks: tuple[Check, ...]

    @property
    def holds(self) -> bool:
        """Whether the key has signed all that has to be signed."""
        return not self.faults

    @property
    def faults(self) -> tuple[Check, ...]:
        """The checks that fail."""
        return tuple(check for check in self.checks if check.fault is not None)


def verify(message: Decoded, key: PublicKey, *, libcbv2g: bool = False) -> Outcome:
    """Check the signature of a message: References by their URIs, in any order; UnsupportedSuite for a foreign key.

    What is digested are first the bits as they came, then the value encoded anew. ``libcbv2g`` accepts eMAID in the
    grammar of libcbv2g and cbexigen as well, which is not the one of EXI 1.0 8.5.3.
    """
    given = getattr(getattr(message.value, "Header", None), "Signature", None)
    if not isinstance(given, ds.Signature):
        return Outcome((Check("Signature", "the message is not signed", Fault.UNSIGNED),))
    trial = _Trial(message, key, kind_of(key), libcbv2g)
    of_info = trial.of_signed_info(given)
    return Outcome((*of_info, *trial.of_references(given.SignedInfo.Reference), *trial.of_what_is_due()))


class _Trial:
    """One verification: the elements that can be referred to, and those that were."""

    def __init__(self, message: Decoded, key: PublicKey, kind: str, libcbv2g: bool) -> None:
        self._message, self._key, self._kind, self._libcbv2g = message, key, kind, libcbv2g
        self._algorithms = ALGORITHMS.get(message.schema.name, ())
        self._marks = [mark for mark in message.marks if mark.element != "SignedInfo"]
        self._referenced: list[Model] = []

    def of_signed_info(self, given: ds.Signature) -> Iterator[Check]:
        """Check what the key has signed."""
        info, method = given.SignedInfo, given.SignedInfo.SignatureMethod
        if (uri := info.CanonicalizationMethod.Algorithm) != CANONICAL_EXI:
            yield Check("CanonicalizationMethod", f"it is {uri}, not {CANONICAL_EXI}", Fault.CANONICALIZATION)
        if info.Id is not None:
            yield Check("SignedInfo", "it may not have an Id ([V2G2-771])", Fault.FORBIDDEN)
        algorithm = next((each for each in self._algorithms if each.signature_uri == method.Algorithm), None)
        if algorithm is None:
            known = " or ".join(each.signature_uri for each in self._algorithms)
            yield Check("SignatureMethod", f"it is {method.Algorithm}, not {known}", Fault.ALGORITHM)
        elif algorithm.key != self._kind:
            text = f"it needs a key of {algorithm.key}; the one given is of {self._kind}"
            yield Check("SignatureMethod", text, Fault.ALGORITHM)
        else:
            yield self._of_value(algorithm, given)

    def of_references(self, references: Sequence[ds.Reference]) -> Iterator[Check]:
        """Check every Reference."""
        for place, each in enumerate(references, 1):
            fault, text, element = self._of_reference(each)
            yield Check(f"Reference {place}", text, fault, each.URI, element)

    def of_what_is_due(self) -> Iterator[Check]:
        """Check that nothing is left unsigned which ISO 15118 wants signed."""
        for part in parts(self._message.value):
            if not any(value is part.value for value in self._referenced):
                yield Check(part.element, "no Reference leads to it", Fault.NOT_REFERENCED, element=part.element)

    def _of_value(self, algorithm: Algorithm, given: ds.Signature) -> Check:
        value = given.SignatureValue.value
        mark = next(mark for mark in self._message.marks if mark.element == "SignedInfo")
        forms: tuple[tuple[str, Callable[[], bytes | None]], ...] = (
            ("as received", lambda: self._message.fragment(mark, XMLDSIG)),
            ("encoded anew", lambda: _encoded("SignedInfo", mark.value, XMLDSIG)),
        )
        for how, form in forms:
            octets = form()
            if octets is not None and algorithm.holds(self._key, value, octets):
                return Check("SignatureValue", f"the key has signed SignedInfo, {how}")
        mixed = self._message.fragment(mark)
        if len(value) != algorithm.size:
            text = f"it has {len(value)} octets, not {algorithm.size}: r and s are written raw, not in DER"
        elif mixed is not None and algorithm.holds(self._key, value, mixed):
            text = "SignedInfo was signed in the grammar of the message, not in that of xmldsig alone ([V2G20-1449])"
        else:
            text = "it does not hold: another key has signed, or SignedInfo was changed"
        return Check("SignatureValue", text, Fault.SIGNATURE)

    def _of_reference(self, given: ds.Reference) -> tuple[Fault | None, str, str | None]:
        uri = given.URI or ""
        if not uri.startswith("#"):
            return Fault.URI, "its URI is not # and an Id", None
        marks = [mark for mark in self._marks if mark.Id == uri[1:]]
        if not marks:
            return Fault.NOT_THERE, "no element of the message has this Id", None
        if len(marks) > 1:
            return Fault.DOUBLED_ID, f"{' and '.join(mark.element for mark in marks)} have the same Id", None
        (mark,) = marks
        if mark.element not in self._message.schema.fragments:
            return Fault.NOT_THERE, f"{mark.element} has this Id and is nothing that is signed", mark.element
        if any(value is mark.value for value in self._referenced):
            return Fault.DOUBLED_REFERENCE, "another Reference leads to it already", mark.element
        self._referenced.append(mark.value)
        if given.Type is not None:
            return Fault.FORBIDDEN, "it may not have a Type ([V2G2-771])", mark.element
        transforms = [each.Algorithm for each in given.Transforms.Transform] if given.Transforms else []
        if transforms != [CANONICAL_EXI]:
            return Fault.TRANSFORMS, f"there has to be one, {CANONICAL_EXI} ([V2G2-767])", mark.element
        digests = {each.digest_uri: each.digest for each in self._algorithms}
        digest = digests.get(given.DigestMethod.Algorithm)
        if digest is None:
            text = f"DigestMethod is {given.DigestMethod.Algorithm}, not {' or '.join(digests)}"
            return Fault.DIGEST_METHOD, text, mark.element
        return *self._of_digest(mark, digest, given.DigestValue), mark.element

    def _of_digest(self, mark: Mark, digest: Callable[[bytes], bytes], value: bytes) -> tuple[Fault | None, str]:
        for how, form, accepted in self._forms(mark):
            octets = form()
            if octets is not None and digest(octets) == value:
                return (None, how) if accepted else (Fault.DIGEST, f"DigestValue is that of the element {how}")
        return Fault.DIGEST, "DigestValue is not that of the element"

    def _forms(self, mark: Mark) -> Iterator[tuple[str, Callable[[], bytes | None], bool]]:
        schema, value = self._message.schema, self._message.value
        yield "as received", lambda: self._message.fragment(mark), True
        yield "encoded anew", lambda: _encoded(mark.element, mark.value, schema), True
        if mark.element == "eMAID":
            how = "in the grammar of libcbv2g, not that of EXI 1.0 8.5.3"
            yield how, lambda: _encoded(mark.element, mark.value, schema, typed=True), self._libcbv2g
        if isinstance(value, iso20.CertificateInstallationReq):
            # The other reading of [V2G20-1548]: the body element, whose only Id is that of the chain in it.
            bare = msgspec.structs.replace(value, Header=msgspec.structs.replace(value.Header, Signature=None))
            yield "as the whole request", lambda: _encoded("CertificateInstallationReq", bare, ISO_20), True


def _encoded(element: str, value: Model, schema: Schema, *, typed: bool = False) -> bytes | None:
    try:
        return encode_fragment(element, value, schema, facets=False, typed=typed)
    except Unreadable:
        return None
