"""What is told of keys and of what comes with them: requests and PFX files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from voltroot.cli.inspection.documents import CertificationRequest, Pfx, PublicHalf
from voltroot.cli.inspection.reports import Fact, Json, Row, Section, Sight, error, facts
from voltroot.cli.inspection.values import SIGNATURES, counted, key_kind
from voltroot.errors import Failure
from voltroot.pki import oids, suites
from voltroot.pki.certificates import Certificate, read_public_key
from voltroot.pki.der import IA5_STRING, PRINTABLE_STRING, UTF8_STRING, VISIBLE_STRING, Element
from voltroot.pki.drafts import key_identifier
from voltroot.pki.extensions import read_extensions
from voltroot.pki.lints import Finding

CHALLENGE_PASSWORD = "1.2.840.113549.1.9.7"  # noqa: S105 -- an OID
EXTENSION_REQUEST = "1.2.840.113549.1.9.14"
ATTRIBUTES = {
    CHALLENGE_PASSWORD: "challengePassword",
    EXTENSION_REQUEST: "extensionRequest",
    "1.2.840.113549.1.9.2": "unstructuredName",
    "1.3.6.1.1.1.1.18": "oncRpcNumber",
    "1.3.6.1.1.1.1.19": "ipHostNumber",
    "1.3.6.1.1.1.1.22": "macAddress",
}
STRINGS = (UTF8_STRING, PRINTABLE_STRING, IA5_STRING, VISIBLE_STRING)


def request_section(request: CertificationRequest) -> Section:
    """Tell what a certification request asks for, and whether it proves possession of the key."""
    section = Section("request", "Certification request (PKCS#10)")
    rows = (
        Row("subject", "subject", request.subject.print),
        Row("key", "key", lambda: key_kind(request.spki)),
        Row("signature", "signature", lambda: SIGNATURES.get(request.signature_oid, request.signature_oid)),
        Row("size", "size", lambda: len(request.der), lambda: f"{len(request.der)} octets"),
        Row("proved", "possession", request.is_proved, lambda: "proved" if request.is_proved() else "not proved"),
        Row("attributes", "attributes", lambda: dict(map(_attribute, request.attributes))),
        Row("keyHash", "SHA-256", lambda: _hash(request.spki), lambda: f"{_hash(request.spki)} of the public key"),
    )
    section.facts += facts(rows)
    section.findings += _suite_findings(request.spki)
    section.findings += _proof_findings(request)
    return section


def key_section(key: PublicHalf, beside: Sequence[Certificate], sight: Sight) -> Section:
    """Tell the kind of a key and the fingerprint of its public half; ``beside`` are the certificates of its file."""
    kind = "privateKey" if key.private else "publicKey"
    section = Section(kind, f"{'Private' if key.private else 'Public'} key, {key_kind(key.spki)}")
    section.facts += _key_facts(key)
    section.facts.append(_owner(key, (*beside, *sight.pool)))
    section.findings += _suite_findings(key.spki)
    section.findings += _match_findings(key, beside)
    return section


def pfx_section(pfx: Pfx) -> Section:
    """Tell what a PFX holds, and whether its key is that of its certificate."""
    section = Section("pfx", "PFX (PKCS#12)")
    held = f"{counted(len(pfx.certificates), 'certificate')} and {'a' if pfx.key else 'no'} private key"
    section.facts += [
        Fact("password", pfx.password, "opened", _opened(pfx.password)),
        Fact("certificates", len(pfx.certificates), "holds", held),
    ]
    if pfx.key is None:
        section.findings.append(error("key", "RFC 7292 4.2", "it holds no private key"))
        return section
    section.facts += _key_facts(pfx.key)
    section.facts.append(_owner(pfx.key, pfx.certificates))
    section.findings += _match_findings(pfx.key, pfx.certificates)
    return section


def _key_facts(key: PublicHalf) -> Iterator[Fact]:
    return facts(
        (
            Row("key", "key", lambda: key_kind(key.spki)),
            Row("keyIdentifier", "identifier", lambda: key_identifier(key.spki).hex()),
            Row("keyHash", "SHA-256", lambda: _hash(key.spki), lambda: f"{_hash(key.spki)} of the public key"),
        )
    )


def _owner(key: PublicHalf, certificates: Sequence[Certificate]) -> Fact:
    owner = next((certificate for certificate in certificates if certificate.spki == key.spki), None)
    name = owner.subject.print() if owner else None
    return Fact("belongsTo", name, "belongs to", name or "")


def _opened(password: str) -> str:
    return {"given": "with the password given", "default": "with the default password of the Secondary Actor API"}.get(
        password, "without a password"
    )


def _hash(spki: bytes) -> str:
    return hashlib.sha256(spki).hexdigest()


def _suite_findings(spki: bytes) -> Iterator[Finding]:
    try:
        suites.suite_of(read_public_key(spki))
    except Failure as failure:
        yield error("key", "V2G2-007, V2G20-2674, V2G20-2319", str(failure))


def _proof_findings(request: CertificationRequest) -> Iterator[Finding]:
    try:
        proved = request.is_proved()
    except Failure:
        return  # the key itself was complained of
    if not proved:
        text = "the request is not signed with its own key: it does not prove possession"
        yield error("proof_of_possession", "RFC 2986 4.2", text)


def _match_findings(key: PublicHalf, certificates: Sequence[Certificate]) -> Iterator[Finding]:
    if key.private and certificates and all(certificate.spki != key.spki for certificate in certificates):
        yield error("key_match", "RFC 5280 4.1.2.7", "the private key is not that of any certificate beside it")


def _attribute(attribute: tuple[str, tuple[Element, ...]]) -> tuple[str, Json]:
    oid, values = attribute
    name = ATTRIBUTES.get(oid, oid)
    if oid == CHALLENGE_PASSWORD:
        return name, "(not shown)"
    if oid == EXTENSION_REQUEST:
        return name, [
            oids.EXTENSION_NAMES.get(found, found) for value in values for found, _ in read_extensions(value.whole)
        ]
    return name, [_string(value) for value in values]


def _string(value: Element) -> str:
    return value.content.decode("utf-8", "replace") if value.tag in STRINGS else f"#{value.whole.hex()}"
