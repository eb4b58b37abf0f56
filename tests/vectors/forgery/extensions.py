"""What is wrong in a certificate's extensions."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from vectors.forgery.corpus import caught_by
from vectors.forgery.forge import Parts, access
from voltroot.pki import der, oids
from voltroot.pki.drafts import distribution_points
from voltroot.pki.profiles import Usage
from voltroot.pki.suites import ED448

# Extensions: what the key may do


@caught_by("basic_constraints", "SECC_2")
def no_basic_constraints(parts: Parts) -> Parts:
    """BasicConstraints are absent."""
    return parts.without(oids.BASIC_CONSTRAINTS)


@caught_by("basic_constraints", "SECC_2")
def leaf_is_a_ca(parts: Parts) -> Parts:
    """BasicConstraints of a SECC certificate say cA."""
    return parts.having(oids.BASIC_CONSTRAINTS, der.sequence(der.TRUE))


@caught_by("basic_constraints", "CPO_SUB1_2")
def path_length_three(parts: Parts) -> Parts:
    """A CPO sub-CA 1 allows three CAs below itself, not one."""
    return parts.having(oids.BASIC_CONSTRAINTS, der.sequence(der.TRUE, der.integer(3)))


@caught_by("basic_constraints", "CPO_SUB2_2")
def no_path_length(parts: Parts) -> Parts:
    """A CPO sub-CA 2 has no pathLenConstraint."""
    return parts.having(oids.BASIC_CONSTRAINTS, der.sequence(der.TRUE))


@caught_by("basic_constraints_der", "CONTRACT_2")
def non_der_basic_constraints(parts: Parts) -> Parts:
    """CA FALSE is written out, as in real contract certificates."""
    return parts.having(oids.BASIC_CONSTRAINTS, bytes.fromhex("3003010100"))


@caught_by("basic_constraints_der", "CPO_SUB2_2")
def true_as_one(parts: Parts) -> Parts:
    """CA TRUE is written as 01, as BER allows, not as FF."""
    return parts.having(oids.BASIC_CONSTRAINTS, bytes.fromhex("3006010101020100"))


@caught_by("key_usage", "SECC_2")
def no_key_usage(parts: Parts) -> Parts:
    """KeyUsage is absent, as in real provisioning certificates."""
    return parts.without(oids.KEY_USAGE)


@caught_by("key_usage", "SECC_2")
def leaf_may_sign_certificates(parts: Parts) -> Parts:
    """KeyUsage of a SECC certificate holds keyCertSign."""
    return parts.having(oids.KEY_USAGE, der.named_bits(Usage.DIGITAL_SIGNATURE | Usage.KEY_CERT_SIGN))


@caught_by("key_usage", "SECC_20", ED448)
def ed448_key_agreement(parts: Parts) -> Parts:
    """KeyUsage of an Ed448 key holds keyAgreement, which such a key cannot do."""
    return parts.having(oids.KEY_USAGE, der.named_bits(Usage.DIGITAL_SIGNATURE | Usage.KEY_AGREEMENT))


@caught_by("key_usage", "CPO_SUB2_20")
def cso_sub_ca_signs_crls(parts: Parts) -> Parts:
    """KeyUsage of a CSO sub-CA holds cRLSign, though the branch knows OCSP only."""
    return parts.having(oids.KEY_USAGE, der.named_bits(Usage.KEY_CERT_SIGN | Usage.CRL_SIGN))


@caught_by("extended_key_usage", "SECC_20")
def secc_20_without_server_auth(parts: Parts) -> Parts:
    """A SECC certificate of ISO 15118-20 has no extKeyUsage."""
    return parts.without(oids.EXTENDED_KEY_USAGE)


@caught_by("extended_key_usage", "CONTRACT_2")
def contract_with_server_auth(parts: Parts) -> Parts:
    """A contract certificate may be used for a TLS server."""
    return parts.having(oids.EXTENDED_KEY_USAGE, der.sequence(der.oid(oids.SERVER_AUTH)))


@caught_by("extended_key_usage", "VEHICLE_20")
def vehicle_with_server_auth_only(parts: Parts) -> Parts:
    """A vehicle certificate has serverAuth in place of clientAuth."""
    return parts.having(oids.EXTENDED_KEY_USAGE, der.sequence(der.oid(oids.SERVER_AUTH)))


@caught_by("extended_key_usage", "OCSP_2")
def ocsp_signer_without_ocsp_signing(parts: Parts) -> Parts:
    """An OCSP signer has no extKeyUsage."""
    return parts.without(oids.EXTENDED_KEY_USAGE)


# Extensions: identifiers, criticality and shape


@caught_by("subject_key_identifier", "SECC_2")
def no_subject_key_identifier(parts: Parts) -> Parts:
    """SubjectKeyIdentifier is absent."""
    return parts.without(oids.SUBJECT_KEY_IDENTIFIER)


@caught_by("subject_key_identifier", "SECC_2")
def subject_key_identifier_of_another_key(parts: Parts) -> Parts:
    """SubjectKeyIdentifier does not follow from the key."""
    return parts.having(oids.SUBJECT_KEY_IDENTIFIER, der.octet_string(bytes(8)))


@caught_by("key_identifier_input", "SECC_2")
def subject_key_identifier_of_the_whole_spki(parts: Parts) -> Parts:
    """SubjectKeyIdentifier is made of the whole SubjectPublicKeyInfo, as in many real certificates."""
    digest = hashlib.sha1(parts.spki).digest()
    return parts.having(oids.SUBJECT_KEY_IDENTIFIER, der.octet_string(digest))


@caught_by("authority_key_identifier", "SECC_2")
def no_authority_key_identifier(parts: Parts) -> Parts:
    """AuthorityKeyIdentifier is absent."""
    return parts.without(oids.AUTHORITY_KEY_IDENTIFIER)


@caught_by("authority_key_identifier", "SECC_2")
def authority_key_identifier_of_another_ca(parts: Parts) -> Parts:
    """AuthorityKeyIdentifier is not the issuer's subjectKeyIdentifier."""
    return parts.having(oids.AUTHORITY_KEY_IDENTIFIER, der.sequence(der.implicit(0, bytes(8))))


@caught_by("criticality", "SECC_2")
def key_usage_not_critical(parts: Parts) -> Parts:
    """KeyUsage is not critical."""
    return parts.marking(oids.KEY_USAGE, critical=False)


@caught_by("criticality", "CPO_SUB2_2")
def basic_constraints_not_critical(parts: Parts) -> Parts:
    """BasicConstraints of a CA are not critical."""
    return parts.marking(oids.BASIC_CONSTRAINTS, critical=False)


@caught_by("criticality", "SECC_20")
def critical_aki(parts: Parts) -> Parts:
    """AuthorityKeyIdentifier is critical, as the first edition of ISO 15118-20 had it: OpenSSL and Java refuse it."""
    return parts.marking(oids.AUTHORITY_KEY_IDENTIFIER, critical=True)


@caught_by("criticality", "SECC_2")
def critical_ski(parts: Parts) -> Parts:
    """SubjectKeyIdentifier is critical."""
    return parts.marking(oids.SUBJECT_KEY_IDENTIFIER, critical=True)


@caught_by("criticality", "SECC_20", edition_2022=True, alone=True)
def aki_not_critical_in_edition_2022(parts: Parts) -> Parts:
    """AuthorityKeyIdentifier is not critical, though the first edition of ISO 15118-20 wants it so."""
    return parts.marking(oids.AUTHORITY_KEY_IDENTIFIER, critical=False)


@caught_by("extensions_unique", "SECC_2")
def key_usage_twice(parts: Parts) -> Parts:
    """KeyUsage stands there twice."""
    twin = next(each for each in parts.extensions if each[0] == oids.KEY_USAGE)
    return replace(parts, extensions=(*parts.extensions, twin))


@caught_by("unknown_critical", "SECC_2")
def unknown_critical_extension(parts: Parts) -> Parts:
    """An extension that nobody knows is critical."""
    return parts.having("1.3.6.1.4.1.99999.1", der.NULL_VALUE, critical=True)


@caught_by("no_constraints", "CPO_SUB2_2")
def name_constraints(parts: Parts) -> Parts:
    """A sub-CA has nameConstraints."""
    tree = der.sequence(der.implicit(2, b"example.com"))
    return parts.having(oids.NAME_CONSTRAINTS, der.sequence(der.explicit(0, tree)))


# Extensions: addresses and names


@caught_by("ocsp_address", "SECC_20")
def no_ocsp_address(parts: Parts) -> Parts:
    """AuthorityInfoAccess is absent, so that nobody can ask for the certificate's status."""
    return parts.without(oids.AUTHORITY_INFO_ACCESS)


@caught_by("ocsp_address", "SECC_2")
def ocsp_address_by_ldap(parts: Parts) -> Parts:
    """The address of the OCSP responder is not http(s)."""
    return parts.having(oids.AUTHORITY_INFO_ACCESS, access("ldap://ocsp.example"))


@caught_by("ocsp_address", "OCSP_2")
def ocsp_signer_with_ocsp_address(parts: Parts) -> Parts:
    """An OCSP signer names a responder for its own status."""
    return parts.having(oids.AUTHORITY_INFO_ACCESS, access("http://ocsp.example"))


@caught_by("crl_address", "SECC_20")
def secc_20_with_crl(parts: Parts) -> Parts:
    """A SECC certificate of ISO 15118-20 names a CRL, though its branch has none."""
    return parts.having(oids.CRL_DISTRIBUTION_POINTS, distribution_points("http://crl.example/1.crl"))


@caught_by("crl_address", "SECC_2")
def crl_address_without_scheme(parts: Parts) -> Parts:
    """The address of the CRL is not a URL."""
    return parts.having(oids.CRL_DISTRIBUTION_POINTS, distribution_points("crl.example/1.crl"))


@caught_by("ocsp_nocheck", "OCSP_2")
def ocsp_signer_without_nocheck(parts: Parts) -> Parts:
    """An OCSP signer has no id-pkix-ocsp-nocheck."""
    return parts.without(oids.OCSP_NOCHECK)


@caught_by("alternative_names", "CSMS_SERVER", names=("*.example.com",))
def wildcard_san(parts: Parts) -> Parts:
    """SubjectAltName holds a wildcard."""
    return parts


@caught_by("alternative_names", "CSMS_SERVER")
def no_san(parts: Parts) -> Parts:
    """A CSMS certificate has no subjectAltName."""
    return parts


@caught_by("identifier", "CONTRACT_2", common_name="NN123ABCDEFGHIA")
def emaid_check_digit(parts: Parts) -> Parts:
    """The EMAID ends in A, its check digit is T."""
    return parts


@caught_by("identifier", "OEM_PROV_2", common_name="KM8P2YDTDAX11F86M8")
def pcid_check_digit(parts: Parts) -> Parts:
    """The PCID ends in 8, its check digit is 9."""
    return parts
