"""What pkilint finds at ERROR or above in CRLs and OCSP answers (RFC 5280, RFC 6960)."""

from __future__ import annotations

from collections.abc import Iterable

from pkilint import loader, pkix
from pkilint.pkix import crl, extension, name, ocsp
from pkilint.validation import ValidationFindingSeverity, ValidationResult

DECODERS = (
    pkix.create_attribute_decoder(name.ATTRIBUTE_TYPE_MAPPINGS),
    pkix.create_extension_decoder(extension.EXTENSION_MAPPINGS),
)


def crl_findings(octets: bytes) -> list[str]:
    """The findings on a CRL."""
    validator = crl.create_pkix_crl_validator_container(
        list(DECODERS),
        [
            crl.create_issuer_validator_container([]),
            crl.create_validity_validator_container([]),
            crl.create_extensions_validator_container([]),
        ],
    )
    document = loader.RFC5280CertificateListDocumentLoader().load_der_document(octets, "crl")
    return _grave(validator.validate(document.root))


def ocsp_findings(octets: bytes) -> list[str]:
    """The findings on an OCSP answer."""
    decoders = [ocsp.create_response_decoder(), *DECODERS]
    validator = ocsp.create_pkix_ocsp_response_validator_container(decoders, [])
    document = loader.RFC6960OCSPResponseDocumentLoader().load_der_document(octets, "answer")
    return _grave(validator.validate(document.root))


def _grave(results: Iterable[ValidationResult]) -> list[str]:
    return [
        f"{result.node.path}: {found}"
        for result in results
        for found in result.finding_descriptions
        if found.finding.severity <= ValidationFindingSeverity.ERROR
    ]
