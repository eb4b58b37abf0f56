"""The certificates of the vPKI are those of the definition's samples, and their CAs outlive them."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from voltroot.errors import Refused, Unavailable
from voltroot.pki import der, oids, suites
from voltroot.pki.addresses import Addresses, Places
from voltroot.pki.authority import Authority
from voltroot.pki.certificates import Certificate
from voltroot.pki.drafts import Drafter, Order
from voltroot.pki.issuers import CA
from voltroot.pki.names import Name
from voltroot.pki.profiles import Calendar, Edition
from voltroot.pki.recognise import recognise
from voltroot.pki.requests import read_named_request
from voltroot.pki.vpki import CCU_SHA256, CCU_SHA512, KOREA, PROV_2, PROV_20, VEHICLE_20, Operator, profiles
from world import BASE, World

VECTORS = Path(__file__).parents[1] / "vectors/vpki"
SAMPLE = Places(
    crl="http://d-crl.hmckmc.co.kr/ECC/{ca}/crl/Crl1p1Dp4.crl",
    ocsp="http://d-ocsp.hmckmc.co.kr/ECC/OCSP/{ca}",
    ca="http://d-crl.hmckmc.co.kr/ECC/cert/{ca}.der",
)
AKI, SKI, KU, BC = (
    oids.AUTHORITY_KEY_IDENTIFIER,
    oids.SUBJECT_KEY_IDENTIFIER,
    oids.KEY_USAGE,
    oids.BASIC_CONSTRAINTS,
)
CP, EKU, CRL, AIA = (
    oids.CERTIFICATE_POLICIES,
    oids.EXTENDED_KEY_USAGE,
    oids.CRL_DISTRIBUTION_POINTS,
    oids.AUTHORITY_INFO_ACCESS,
)
SERVER, CLIENT = "06082b06010505070301", "06082b06010505070302"

# What the samples of sections 3.1.3, 3.7.3, 3.10.3 and 3.13.3 hold: extensions in order, the critical ones, and octets.
SAMPLES = {
    PROV_2: ("CA01001", [AKI, SKI, KU, CP, BC, CRL, AIA], {KU, BC}, {CP: "300730050603551d20"}),
    PROV_20: ("CA05001", [AKI, SKI, KU, CP, BC, CRL, AIA], {KU, BC}, {CP: "300730050603551d20"}),
    VEHICLE_20: ("CA05003 DEV", [AKI, SKI, KU, BC, EKU, CRL], {AKI, SKI, KU, BC, EKU, CRL},
                 {EKU: f"3014{SERVER}{CLIENT}"}),
    CCU_SHA256: ("CA01001", [AKI, SKI, KU, CP, BC, EKU, CRL, AIA], {KU, BC}, {
        EKU: f"3014{SERVER}{CLIENT}",
        CP: "306f306d060b2b060104018d0e02006301305e303106082b06010505070202302 51a23".replace(" ", "")
            + b"http://cert.hmckmc.co.kr/repository".hex()
            + "302906082b06010505070201161d" + b"https://cert.hmckmc.co.kr/cps".hex(),
    }),
    CCU_SHA512: ("CA05002 DEV", [AKI, SKI, KU, BC, EKU], {AKI, SKI, KU, BC, EKU}, {EKU: f"300a{CLIENT}"}),
}  # fmt: skip
YEARS = {PROV_2: 30, PROV_20: 30, VEHICLE_20: 30, CCU_SHA256: 20, CCU_SHA512: 3}


def issue(world: World, profile: str, subject: Name, key: suites.PublicKey) -> Certificate:
    drafter = Drafter(Addresses(BASE, places={Edition.VPKI: SAMPLE}), timedelta(minutes=5))
    authority = Authority(world.ledger, world.keyring, world.issuers, drafter, world.clock)
    return authority.issue(Order(world.profiles[profile], subject, key, "test")).read()


def leaf(world: World, profile: str) -> Certificate:
    row = world.profiles[profile]
    head = ("DC", row.dc) if row.dc else ("C", "KR")
    pairs = [head, ("O", "HKMC"), ("OU", "ECC"), ("OU", "C001"), ("OU", "P001"), ("CN", f"holder of {profile}")]
    return issue(world, profile, Name.of(pairs), suites.generate(row.suites[0]).public_key())


@pytest.mark.parametrize("name", ["A_prov_v1_issue", "B_prov_v1_reissue"])
def test_a_certificate_for_a_samples_name_and_key_is_the_sample_octet_by_octet(world: World, name: str) -> None:
    golden = VECTORS / f"{name}.tbs.der"
    sample = Certificate.read(der.sequence(golden.read_bytes(), suites.P256_SHA256.algorithm, der.bit_string(b"")))
    if name.startswith("B"):
        request = read_named_request((VECTORS / "prov_v1_reissue.csr.pem").read_text())
        assert (request.subject, request.key) == (sample.subject, sample.public_key)
    ours = issue(world, PROV_2, sample.subject, sample.public_key)
    assert ours.subject_key_identifier == sample.subject_key_identifier
    tbs = ours.tbs
    for own, other in (
        (ours.serial.to_bytes(20), sample.serial.to_bytes(20)),
        (der.time(ours.not_before), der.time(sample.not_before)),
        (der.time(ours.not_after), der.time(sample.not_after)),
        (ours.authority_key_identifier or b"", sample.authority_key_identifier or b""),
    ):
        assert tbs.count(own) == 1
        tbs = tbs.replace(own, other)
    assert tbs.hex() == golden.read_bytes().hex()


@pytest.mark.parametrize("profile", SAMPLES)
def test_each_product_has_the_extensions_of_its_sample(world: World, profile: str) -> None:
    ca, order, critical, values = SAMPLES[profile]
    certificate = leaf(world, profile)
    assert [oid for oid, _ in certificate.extension_list] == order
    assert set(certificate.critical) == critical
    assert certificate.extensions[KU].value.hex() == "03020388"
    assert certificate.extensions[BC].value.hex() == "3000"
    assert {oid: certificate.extensions[oid].value.hex() for oid in values} == values
    assert certificate.issuer.get("CN") == ca
    meant = recognise(certificate, world.profiles)
    assert meant is not None
    assert meant.name == profile
    short = ca.split()[0]
    assert list(certificate.crl_addresses) == ([SAMPLE.crl.replace("{ca}", short)] if CRL in order else [])
    if profile == CCU_SHA256:
        access = certificate.extensions[AIA].value
        assert access.startswith(bytes.fromhex("3075303706082b06010505073001862b") + b"http://d-ocsp")
        assert access.endswith(
            bytes.fromhex("303a06082b06010505073002862e") + SAMPLE.ca.replace("{ca}", short).encode()
        )
    assert certificate.serial.bit_length() > 152
    assert [pair.tag for (pair,) in certificate.subject.rdns] == [
        der.IA5_STRING if world.profiles[profile].dc else der.PRINTABLE_STRING, *[der.UTF8_STRING] * 5
    ]  # fmt: skip


@pytest.mark.parametrize("profile", SAMPLES)
def test_validity_is_from_the_second_of_issuing_to_the_end_of_the_day_in_korea(world: World, profile: str) -> None:
    before = world.clock()
    certificate = leaf(world, profile)
    assert timedelta(0) <= certificate.not_before - before.replace(microsecond=0) <= timedelta(seconds=2)
    day, last = certificate.not_before.astimezone(KOREA), certificate.not_after.astimezone(KOREA)
    assert (last.year, last.month, last.day) == (day.year + YEARS[profile], day.month, day.day)
    assert f"{certificate.not_after:%H%M%S}" == "145959"
    assert certificate.time_tags == (der.UTC_TIME, der.GENERALIZED_TIME if last.year >= 2050 else der.UTC_TIME)


@pytest.mark.parametrize(
    ("moment", "hours", "last"),
    [
        ("2023-02-07T01:10:11", 9, "2053-02-07T14:59:59"),  # the sample of section 3.1.3
        ("2023-02-07T14:59:59", 9, "2053-02-07T14:59:59"),
        ("2023-02-07T15:00:00", 9, "2053-02-08T14:59:59"),
        ("2023-12-31T23:00:00", 9, "2054-01-01T14:59:59"),
        ("2024-02-29T03:00:00", 9, "2054-02-28T14:59:59"),
        ("2023-02-07T03:00:00", -8, "2053-02-07T07:59:59"),
    ],
)
def test_a_day_ends_where_the_operator_is(moment: str, hours: int, last: str) -> None:
    calendar = Calendar(30, timezone(timedelta(hours=hours)))
    assert calendar.end(datetime.fromisoformat(moment).replace(tzinfo=UTC)).isoformat() == f"{last}+00:00"


def test_a_ca_outlives_what_it_signs_and_gets_a_successor_before_it_could_not(world: World) -> None:
    first = {credential.slug for credential in world.issuers.standing().credentials if credential.use == CA}
    labels: list[str] = []
    world.ceremony._progress = labels.append
    for _ in range(13):
        world.clock.turn(days=3 * 365)
        with contextlib.suppress(Refused):  # by the CAs of the other hierarchies, which have long expired
            world.ceremony.renew()
        for profile in SAMPLES:
            certificate = leaf(world, profile)
            issuer, root = world.issuers.standing().chain(world.ledger.find(serial=certificate.serial)[0].issuer)
            assert certificate.not_after <= issuer.not_after <= root.not_after
            assert certificate.signed_by(issuer.public_key)
            assert issuer.signed_by(root.public_key)
    assert labels.count("vpki-ca-2") == 2, "39 years, 14 for each"
    assert labels.count("vpki-root-2") == 1
    now = {credential.slug: credential for credential in world.issuers.standing().credentials if credential.use == CA}
    made = now.keys() - first
    assert {"vpki-ca-2-g2", "vpki-ca-2-g3", "vpki-root-20-g2"} <= made
    names = [str(now[slug].entry.read().subject) for slug in ("vpki-ca-2", "vpki-ca-2-g2", "vpki-ca-2-g3")]
    assert len(set(names)) == 3, "so that addresses made of the name are not shared"


def test_a_ca_that_came_too_old_is_refused_as_an_import_and_signs_nothing(world: World) -> None:
    standing = world.issuers.standing()
    chain = standing.chain(standing.current("vpki-ca-2").number)
    world.clock.turn(days=15 * 365)
    with pytest.raises(Refused, match="vpki-ca-2 must outlive what it signs: 31 years"):
        world.ceremony.take_in("vpki-ca-2", chain, None)
    with pytest.raises(Unavailable, match="would not outlive"):
        leaf(world, PROV_2)
    assert leaf(world, CCU_SHA512).not_after, "what lives for three years is signed on"


def test_the_operators_values_stand_in_its_rows() -> None:
    operator = Operator(ca_subjects={"vpki-ca-2": "CN=EV1,O=Other,C=DE"})
    assert str(operator.subjects()["vpki-ca-2"]) == "CN=EV1,O=Other,C=DE"
    assert profiles(operator)[PROV_2].calendar == Calendar(30, KOREA)


def test_an_operators_own_ca_is_imported_and_issues(tmp_path: Path) -> None:
    """Before the ceremony, with a key of its own and a root whose key stays elsewhere."""
    source, world = World.made(tmp_path / "source"), World.bare(tmp_path)
    issuer = source.issuers.standing().current("vpki-ca-2")
    key = source.keyring.signer(str(issuer.key))
    world.keyring.put("theirs", key)
    world.ceremony.take_in("vpki-ca-2", source.issuers.standing().chain(issuer.number), "theirs")
    world.ceremony.perform()
    certificate = leaf(world, PROV_2)
    assert certificate.signed_by(issuer.certificate.public_key)
    assert certificate.authority_key_identifier == issuer.certificate.subject_key_identifier
    world.clock.turn(days=15 * 365)
    labels: list[str] = []
    world.ceremony._progress = labels.append
    with contextlib.suppress(Refused):
        world.ceremony.renew()
    assert "vpki-prov-ca-20" in labels
    assert "vpki-ca-2" not in labels, "its successor comes from where it came from"
    with pytest.raises(Unavailable, match="vpki-ca-2 would not outlive"):
        leaf(world, PROV_2)
