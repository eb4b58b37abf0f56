"""Object identifiers by the names that RFC 5280 and RFC 6960 give them."""

from __future__ import annotations

SUBJECT_KEY_IDENTIFIER = "2.5.29.14"
KEY_USAGE = "2.5.29.15"
SUBJECT_ALTERNATIVE_NAME = "2.5.29.17"
BASIC_CONSTRAINTS = "2.5.29.19"
CRL_NUMBER = "2.5.29.20"
CRL_REASON = "2.5.29.21"
INVALIDITY_DATE = "2.5.29.24"
ISSUING_DISTRIBUTION_POINT = "2.5.29.28"
DELTA_CRL_INDICATOR = "2.5.29.27"
CERTIFICATE_ISSUER = "2.5.29.29"
NAME_CONSTRAINTS = "2.5.29.30"
CRL_DISTRIBUTION_POINTS = "2.5.29.31"
CERTIFICATE_POLICIES = "2.5.29.32"
POLICY_MAPPINGS = "2.5.29.33"
AUTHORITY_KEY_IDENTIFIER = "2.5.29.35"
POLICY_CONSTRAINTS = "2.5.29.36"
EXTENDED_KEY_USAGE = "2.5.29.37"
FRESHEST_CRL = "2.5.29.46"
INHIBIT_ANY_POLICY = "2.5.29.54"
AUTHORITY_INFO_ACCESS = "1.3.6.1.5.5.7.1.1"
SUBJECT_INFO_ACCESS = "1.3.6.1.5.5.7.1.11"

ANY_POLICY = "2.5.29.32.0"
ANY_PURPOSE = "2.5.29.37.0"

SERVER_AUTH = "1.3.6.1.5.5.7.3.1"
CLIENT_AUTH = "1.3.6.1.5.5.7.3.2"
OCSP_SIGNING = "1.3.6.1.5.5.7.3.9"

OCSP = "1.3.6.1.5.5.7.48.1"
OCSP_BASIC = "1.3.6.1.5.5.7.48.1.1"
OCSP_NONCE = "1.3.6.1.5.5.7.48.1.2"
OCSP_NOCHECK = "1.3.6.1.5.5.7.48.1.5"

EXTENSION_NAMES = {
    SUBJECT_KEY_IDENTIFIER: "subjectKeyIdentifier",
    KEY_USAGE: "keyUsage",
    SUBJECT_ALTERNATIVE_NAME: "subjectAltName",
    BASIC_CONSTRAINTS: "basicConstraints",
    NAME_CONSTRAINTS: "nameConstraints",
    CRL_DISTRIBUTION_POINTS: "cRLDistributionPoints",
    CERTIFICATE_POLICIES: "certificatePolicies",
    POLICY_MAPPINGS: "policyMappings",
    POLICY_CONSTRAINTS: "policyConstraints",
    INHIBIT_ANY_POLICY: "inhibitAnyPolicy",
    AUTHORITY_KEY_IDENTIFIER: "authorityKeyIdentifier",
    EXTENDED_KEY_USAGE: "extKeyUsage",
    AUTHORITY_INFO_ACCESS: "authorityInfoAccess",
    OCSP_NOCHECK: "id-pkix-ocsp-nocheck",
}

PURPOSE_NAMES = {SERVER_AUTH: "serverAuth", CLIENT_AUTH: "clientAuth", OCSP_SIGNING: "OCSPSigning"}


def name(oid: str) -> str:
    """Return the name of an extension, or its OID where it has none here."""
    return EXTENSION_NAMES.get(oid, oid)
