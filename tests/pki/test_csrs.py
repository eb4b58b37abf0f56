"""Certification requests of the station's own making, read by others."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from voltroot.errors import UnsupportedSuite
from voltroot.pki import csrs, suites
from voltroot.pki.certificates import pem
from voltroot.pki.names import Name
from voltroot.pki.profiles import profiles
from voltroot.pki.requests import read_request

ROWS = profiles()
SUBJECT = Name.of([("C", "DE"), ("O", "Straßenlader"), ("DC", "CPO"), ("CN", "DE*ABC*E001")])
PAIRS = [(name, suite) for name in ("SECC_2", "SECC_20", "CHARGING_STATION") for suite in ROWS[name].suites]


@pytest.mark.parametrize(("row", "suite"), PAIRS, ids=lambda each: getattr(each, "name", each))
def test_a_request_says_what_its_profile_wants_and_proves_possession(row: str, suite: suites.Suite) -> None:
    key = suites.generate(suite)
    octets = csrs.make(ROWS[row], SUBJECT, key, ["station.example", "192.0.2.1"])
    theirs = x509.load_der_x509_csr(octets)
    assert theirs.is_signature_valid
    assert theirs.public_key() == read_request(pem("CERTIFICATE REQUEST", octets)) == key.public_key()
    assert [each.value for each in theirs.subject] == ["DE", "Straßenlader", "CPO", "DE*ABC*E001"]
    usage = theirs.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert usage.value.key_agreement is suite.can_agree
    constraints = theirs.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca) == (True, False)
    names = theirs.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["station.example"]
    if row == "SECC_20":
        purposes = theirs.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_a_key_that_the_profile_does_not_have_asks_for_nothing() -> None:
    with pytest.raises(UnsupportedSuite, match="P-256"):
        csrs.make(ROWS["SECC_2"], SUBJECT, suites.generate(suites.RSA_SHA256))
