"""What is drafted is what the profile says, read back by a parser that is not ours."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from voltroot.errors import PolicyViolation, Refused
from voltroot.pki import oids
from voltroot.pki.drafts import serial_number
from voltroot.pki.names import Name
from voltroot.pki.profiles import Profile, Usage, profiles
from world import World

LEAVES = [
    (row.name, suite)
    for row in profiles().values()
    if row.issuer in profiles() and not row.is_ca
    for suite in row.suites
]
IDS = [f"{name}-{suite.name}" for name, suite in LEAVES]


def issued(world: World, name: str, suite: object, **rest: object) -> tuple[Profile, x509.Certificate, bytes]:
    hosts = ("station.example",) if name in ("TLS_SERVER", "CSMS_SERVER") else ()
    entry = world.issue(name, f"holder-{suite}"[:60], suite, alternative_names=hosts, **rest)  # type: ignore[arg-type]
    return world.profiles[name], x509.load_der_x509_certificate(entry.certificate), entry.certificate


@pytest.mark.parametrize(("name", "suite"), LEAVES, ids=IDS)
@pytest.mark.parametrize("edition_2022", [False, True], ids=["amendment1", "2022"])
def test_another_parser_reads_what_the_profile_says(
    tmp_path: Path, name: str, suite: object, edition_2022: bool
) -> None:
    world = World.made(tmp_path, edition_2022=edition_2022)
    profile, certificate, octets = issued(world, name, suite)
    extensions = {extension.oid.dotted_string: extension for extension in certificate.extensions}
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    want = profile.usage_for(suite)  # type: ignore[arg-type]
    assert usage.digital_signature == bool(want & Usage.DIGITAL_SIGNATURE)
    assert usage.key_agreement == bool(want & Usage.KEY_AGREEMENT)
    assert usage.content_commitment == bool(want & Usage.NON_REPUDIATION)
    assert usage.key_encipherment == bool(want & Usage.KEY_ENCIPHERMENT)
    assert not usage.key_cert_sign
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    purposes = extensions.get(oids.EXTENDED_KEY_USAGE)
    found = {purpose.dotted_string for purpose in purposes.value} if purposes else set()
    assert found == set(profile.purposes)
    for oid, extension in extensions.items():
        assert extension.critical == (oid in profile.critical), oid
    assert (oids.CRL_DISTRIBUTION_POINTS in extensions) == (profile.crl and name != "SECC_20")
    assert (oids.AUTHORITY_INFO_ACCESS in extensions) == profile.ocsp
    assert len(octets) <= (profile.largest or 10_000)
    assert certificate.subject.rfc4514_string().count("DC=") == (1 if profile.dc else 0)


def test_the_2022_edition_writes_generalized_time_only(tmp_path: Path) -> None:
    world = World.made(tmp_path, edition_2022=True)
    assert world.issue("SECC_20", "a").read().time_tags == (0x18, 0x18)
    assert world.issue("SECC_2", "a").read().time_tags == (0x17, 0x17)


def test_serial_numbers_are_positive_of_20_octets_and_158_random_bits() -> None:
    serials = [serial_number() for _ in range(2_000)]
    assert {serial.bit_length() for serial in serials} == {159}
    assert len(set(serials)) == len(serials)
    for bit in range(158):
        ones = sum(serial >> bit & 1 for serial in serials)
        assert 800 < ones < 1200, f"bit {bit} is not random"


def test_a_certificate_begins_a_few_minutes_before_it_is_issued(world: World) -> None:
    before = world.clock()
    certificate = world.issue("SECC_2", "a").read()
    assert timedelta(minutes=4, seconds=59) <= before - certificate.not_before <= timedelta(minutes=5, seconds=2)


def test_the_subject_has_the_order_and_string_types_of_its_profile(world: World) -> None:
    leaf = world.issue("SECC_2", "secc001").read().subject
    assert [(pair.keyword, pair.tag) for (pair,) in leaf.rdns] == [
        ("C", 0x13),
        ("O", 0x0C),
        ("OU", 0x0C),
        ("DC", 0x16),
        ("CN", 0x0C),
    ]
    ca = world.issuers.standing().roots[0].subject
    assert [pair.keyword for (pair,) in ca.rdns] == ["CN", "O", "C", "DC"]


def test_a_vehicle_has_neither_country_nor_unit(world: World) -> None:
    subject = world.issue("VEHICLE_20", "WVWV123456789ABCDEF7").read().subject
    assert [pair.keyword for (pair,) in subject.rdns] == ["O", "DC", "CN"]


def test_names_that_no_certificate_may_hold_are_refused() -> None:
    for pairs in ([("CN", "a" * 65)], [("CN", "")], [("C", "DEU")], [("CN", "a\0b")], [("DC", "é")]):
        with pytest.raises(Refused):
            Name.of(pairs)


def test_what_would_break_its_profile_is_not_signed_and_leaves_no_trace(world: World) -> None:
    before = world.ledger.find(profiles=["SECC_2"])
    with pytest.raises(PolicyViolation, match="V2G2-010"):
        world.issue("SECC_2", "漢" * 64)
    assert world.ledger.find(profiles=["SECC_2"]) == before
    assert world.issue("SECC_2", "漢" * 20).certificate


def test_the_key_identifier_is_that_of_rfc_5280(world: World) -> None:
    certificate = x509.load_der_x509_certificate(world.issue("SECC_20", "a").certificate)
    found = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_KEY_IDENTIFIER).value
    assert found == x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())
    short = world.issue("SECC_2", "a").read().subject_key_identifier
    assert short is not None
    assert len(short) == 8
    assert short[0] >> 4 == 4
