"""CRLs: RFC 5280 section 5, as pyca and pkilint read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from pkilinting import crl_findings
from voltroot.errors import Refused
from voltroot.pki import crls
from voltroot.pki.addresses import Addresses
from voltroot.pki.drafts import Issuer, serial_number
from voltroot.pki.ports import Reason, Revocation
from world import BASE, World

MOMENT = datetime(2026, 11, 20, 8, 30, 15, tzinfo=UTC)
LIFE = timedelta(days=7)
REVOCATIONS = [
    Revocation(serial_number(), MOMENT - timedelta(hours=number), reason) for number, reason in enumerate(Reason)
]
# One for each hierarchy: -2, both suites of -20, OCPP's elliptic and RSA.
CAS = ("cpo-sub2-2", "v2g-root-20", "oem-sub2-20-ed448", "csms-sub", "csms-sub-rsa")


def make(world: World, slug: str, revocations: list[Revocation], place: str | None = None) -> bytes:
    issuer = world.issuers.standing().by_slug[slug]
    return crls.make(
        issuer,
        world.keyring.signer(issuer.key or ""),
        [crls.line(revocation) for revocation in revocations],
        number=1234567890123456,
        this_update=MOMENT,
        next_update=MOMENT + LIFE,
        place=place,
    )


def signing_cas(world: World) -> list[Issuer]:
    return [issuer for issuer in world.issuers.standing().cas.values() if issuer.signs_crls]


@pytest.mark.parametrize("slug", CAS)
def test_a_crl_says_what_was_revoked_when_and_why(world: World, slug: str) -> None:
    issuer = world.issuers.standing().by_slug[slug]
    crl = x509.load_der_x509_crl(make(world, slug, REVOCATIONS))
    assert crl.is_signature_valid(issuer.certificate.public_key)
    assert crl.issuer.public_bytes() == issuer.certificate.subject_der
    assert (crl.last_update_utc, crl.next_update_utc) == (MOMENT, MOMENT + LIFE)
    found = {line.serial_number: (line.revocation_date_utc, list(line.extensions)) for line in crl}
    assert list(found) == [revocation.serial for revocation in REVOCATIONS]
    for revocation in REVOCATIONS:
        at, extensions = found[revocation.serial]
        assert at == revocation.at
        codes = [extension.value.public_bytes()[-1] for extension in extensions]
        assert codes == ([] if revocation.reason is Reason.UNSPECIFIED else [revocation.reason.value])


def test_a_full_crl_names_its_issuers_key_and_its_number_and_no_distribution_point(world: World) -> None:
    issuer = world.issuers.standing().by_slug["cpo-sub2-2"]
    extensions = x509.load_der_x509_crl(make(world, "cpo-sub2-2", [])).extensions
    authority = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert authority.key_identifier == issuer.certificate.subject_key_identifier
    assert extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 1234567890123456
    assert len(extensions) == 2


def test_a_part_names_the_very_address_of_its_certificates(world: World) -> None:
    entry = world.issue("SECC_2", "secc001")
    addresses = Addresses(BASE)
    place = addresses.crl(world.issuers.standing().by_slug["cpo-sub2-2"], addresses.shard(entry.serial))
    crl = x509.load_der_x509_crl(make(world, "cpo-sub2-2", [], place))
    point = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint)
    assert point.critical
    assert [name.value for name in point.value.full_name or ()] == list(entry.read().crl_addresses) == [place]
    assert not point.value.only_contains_user_certs
    assert not point.value.indirect_crl


def test_an_empty_crl_has_no_list_of_revoked_certificates(world: World) -> None:
    # RFC 5280 5.1.2.6: absent, not empty; certtool and pyca would take both.
    crl = make(world, "cpo-sub2-2", [])
    assert len(x509.load_der_x509_crl(crl)) == 0
    assert b"\x30\x00" not in crl


def test_times_from_2050_on_are_generalized(world: World) -> None:
    assert b"\x18\x0f20500101000000Z" in crls.line(Revocation(1, datetime(2050, 1, 1, tzinfo=UTC), Reason.SUPERSEDED))
    assert b"\x17\x0d491231235959Z" in crls.line(
        Revocation(1, datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC), Reason.SUPERSEDED)
    )


def test_a_ca_without_crl_sign_signs_none(world: World) -> None:
    for slug in ("cpo-sub1-20", "cpo-sub2-20", "cpo-sub2-20-ed448"):
        with pytest.raises(Refused, match="signs no CRLs"):
            make(world, slug, [])


def test_a_hundred_thousand_lines_make_one_list(world: World) -> None:
    issuer = world.issuers.standing().by_slug["cpo-sub2-2"]
    lines = [crls.line(Revocation(serial_number(), MOMENT, Reason.SUPERSEDED))] * 100_000
    crl = crls.make(
        issuer,
        world.keyring.signer(issuer.key or ""),
        lines,
        number=1,
        this_update=MOMENT,
        next_update=MOMENT + LIFE,
    )
    assert len(crl) > 4_000_000
    assert len(x509.load_der_x509_crl(crl)) == 100_000


@pytest.mark.parametrize("place", [None, f"{BASE}/crl/x/3.crl"])
@pytest.mark.parametrize("revocations", [[], REVOCATIONS])
def test_pkilint_finds_no_error(world: World, revocations: list[Revocation], place: str | None) -> None:
    for issuer in signing_cas(world):
        assert crl_findings(make(world, issuer.slug, revocations, place)) == []
