"""The standard's own rules: who may be shown for what, how deep, how large, in which suites."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pathing import NOW, chain, make, purposes
from vectors.forgery import corpus
from vectors.forgery.forge import AMENDMENT_1, EDITION_2022, Forged, above, ca, forge, key
from vectors.make_bad_certificates import FOLDER
from voltroot.pki import oids
from voltroot.pki.certificates import Certificate, read_pem
from voltroot.pki.chains import Evidence, Inputs, Judgement, Purpose, Verdict, judge, search
from voltroot.pki.judging.codes import CODES, ISO15118_2, ISO15118_20, OCPP, SECONDARY_ACTOR
from voltroot.pki.judging.findings import Finding, conclude
from voltroot.pki.profiles import Edition
from voltroot.pki.suites import SUITES
from world import World

LEAVES = {
    Purpose.SECC: ("SECC_2", "SECC_20"),
    Purpose.CONTRACT: ("CONTRACT_2", "CONTRACT_20"),
    Purpose.PROVISIONING: ("OEM_PROV_2", "OEM_PROV_20"),
    Purpose.VEHICLE: ("VEHICLE_20",),
    Purpose.CPS: ("CPS_2", "CPS_20"),
}
SAMPLES = [(purpose, profile) for purpose, names in LEAVES.items() for profile in names]
AT = datetime(2027, 1, 1, tzinfo=UTC)
INDEX: list[dict[str, Any]] = json.loads((FOLDER / "index.json").read_text())


def made(profile: str, suite: str | None = None, table: Any = AMENDMENT_1, **rest: Any) -> list[Forged]:
    row = table[profile]
    leaf = forge(f"leaf {profile} {suite}", row, SUITES[suite] if suite else None, **rest)
    return [leaf, *above(ca(str(row.issuer), leaf.suite))]


def judged(forged: list[Forged], purpose: Purpose, **inputs: Any) -> Judgement:
    *path, root = [each.certificate for each in forged]
    return judge(path, [root], AT, inputs=Inputs(purpose=purpose, **inputs))


def rules(judgement: Judgement) -> list[str]:
    return [each.rule for each in judgement.findings if each.verdict is not Verdict.OK]


@pytest.mark.parametrize(("purpose", "profile"), SAMPLES)
def test_a_chain_is_good_for_its_own_purpose_only(purpose: Purpose, profile: str) -> None:
    for suite in AMENDMENT_1[profile].suites:
        forged = made(profile, suite.name)
        assert judged(forged, purpose, strict=True).verdict is Verdict.OK, judged(forged, purpose, strict=True)
        for other in Purpose:
            if other is not purpose:
                refused = judged(forged, other)
                assert refused.verdict is Verdict.CHAIN_ERROR, other
                assert set(rules(refused)) & {"role", "root_role", "purposes", "suite", "key_purpose"}


@pytest.mark.parametrize("edition_2022", [False, True], ids=["amendment 1", "2022"])
def test_what_we_issue_is_good_for_its_purpose(tmp_path: Path, edition_2022: bool) -> None:
    world = World.made(tmp_path / "world", edition_2022=edition_2022)
    for purpose, profile in SAMPLES:
        if profile.startswith("CPS"):
            continue
        for suite in world.profiles[profile].suites:
            path = world.chain(world.issue(profile, f"{profile} {suite.name}", suite))
            judgement = judge(path, [path[-1]], world.clock(), inputs=Inputs(purpose=purpose, strict=True))
            assert judgement.verdict is Verdict.OK, judgement.text
            remarked = [each for each in judgement.findings if each.rule == "critical_2022"]
            assert bool(remarked) is (edition_2022 and profile.endswith("_20"))


def test_at_most_three_certificates_stand_below_the_root() -> None:
    open_sub = lambda parts: parts.having(oids.BASIC_CONSTRAINTS, bytes.fromhex("30030101ff"))  # noqa: E731
    first = forge("one", AMENDMENT_1["CPO_SUB1_2"], broken=open_sub, common_name="one")
    second = forge("two", AMENDMENT_1["CPO_SUB1_2"], issuer=first, broken=open_sub, common_name="two")
    third = forge("three", AMENDMENT_1["CPO_SUB2_2"], issuer=second, common_name="three")
    for issuer, above_it in ((third, [second, first]), (second, [first])):
        leaf = forge("below", AMENDMENT_1["SECC_2"], issuer=issuer)
        judgement = judged([leaf, issuer, *above_it, ca("V2G_ROOT_2")], Purpose.SECC)
        assert rules(judgement) == (["depth"] if issuer is third else [])


def test_certificates_of_edition_2_have_at_most_800_octets() -> None:
    large = lambda parts: parts.having("1.3.6.1.4.1.99999.1", bytes(300))  # noqa: E731
    assert rules(judged(made("SECC_2", broken=large), Purpose.SECC)) == ["size"]
    assert rules(judged(made("SECC_20", broken=large), Purpose.SECC)) == []


@pytest.mark.parametrize("kind", ["P-384", "Ed25519", "RSA"])
def test_keys_of_no_edition_are_refused(kind: str) -> None:
    root = make("CN=root,DC=V2G", kind=kind)
    leaf = root.issue("CN=secc,DC=CPO", kind=kind)
    judgement = judge(chain(leaf), chain(root), NOW, inputs=Inputs(purpose=Purpose.SECC))
    assert rules(judgement) == ["suite"]
    assert judge(chain(leaf), chain(root), NOW).verdict is Verdict.OK


def test_one_chain_has_one_suite() -> None:
    root = make("CN=root,DC=V2G", kind="P-521")
    leaf = root.issue("CN=secc,DC=CSO", kind="Ed448", extensions={oids.EXTENDED_KEY_USAGE: purposes(oids.SERVER_AUTH)})
    assert rules(judge(chain(leaf), chain(root), NOW, inputs=Inputs(purpose=Purpose.SECC))) == ["suite"]


def test_a_root_or_a_ca_is_no_leaf() -> None:
    secc = made("SECC_2")
    root = secc[-1].certificate
    assert "root_role" in rules(judge([root], [root], corpus.AT, inputs=Inputs(purpose=Purpose.SECC)))
    assert "leaf" in rules(judged(secc[1:], Purpose.SECC))


def test_a_private_root_of_an_operator_may_stand_above_a_secc() -> None:
    """[V2G2-868]: such a root names no role, and may issue the leaf itself."""
    root = make("CN=Parking garage,O=Somebody")
    leaf = root.issue("CN=secc,DC=CPO")
    assert judge(chain(leaf), chain(root), NOW, inputs=Inputs(purpose=Purpose.SECC)).verdict is Verdict.OK
    wrong = make("CN=Garage of a car maker,DC=OEM")
    refused = judge(chain(wrong.issue("CN=secc,DC=CPO")), chain(wrong), NOW, inputs=Inputs(purpose=Purpose.SECC))
    assert rules(refused) == ["root_role"]


@pytest.mark.parametrize(("dc", "edition", "verdict"), [
    (("CPO",), "2", Verdict.OK),
    (("xCPO",), "2", Verdict.CHAIN_ERROR),
    (("CPO", "V2G"), "2", Verdict.CHAIN_ERROR),
    ((), "2", Verdict.CHAIN_ERROR),
    (("CSO",), "20", Verdict.OK),
    (("xCSO",), "20", Verdict.OK),
    (("CPO",), "20", Verdict.OK),
    (("OEM",), "20", Verdict.CHAIN_ERROR),
    ((), "20", Verdict.CHAIN_ERROR),
])  # fmt: skip
def test_the_role_stands_in_the_domain_component(dc: tuple[str, ...], edition: str, verdict: Verdict) -> None:
    kind = "P-256" if edition == "2" else "P-521"
    root = make("CN=root,DC=V2G", kind=kind)
    subject = ",".join(["CN=secc", *(f"DC={each}" for each in dc)])
    leaf = root.issue(subject, kind=kind, extensions={oids.EXTENDED_KEY_USAGE: purposes(oids.SERVER_AUTH)})
    assert judge(chain(leaf), chain(root), NOW, inputs=Inputs(purpose=Purpose.SECC)).verdict is verdict


# The field's own


REAL = [Certificate.read(path.read_bytes()) for path in sorted((FOLDER.parent / "real_v2g").glob("*.der"))]
MEANT = {
    "DEICECOPNCCERT": Purpose.CONTRACT,
    "EMP99CQATEST001": Purpose.CONTRACT,
    "DEHUBCOPNCPROVCER": Purpose.PROVISIONING,
    "huboemprovcqa0615": Purpose.PROVISIONING,
    "CPS 2022.2 QA": Purpose.CPS,
}


@pytest.mark.parametrize("name", MEANT)
def test_real_certificates_are_good_for_what_they_are_meant_for_only(name: str) -> None:
    (leaf,) = (each for each in REAL if each.subject.get("CN") == name)
    roots = [each for each in REAL if each.self_issued]
    for purpose in Purpose:
        judgement = search(leaf, REAL, roots, leaf.not_before + timedelta(days=1), inputs=Inputs(purpose=purpose))
        assert (judgement.verdict is Verdict.OK) is (purpose is MEANT[name]), judgement.text
        assert len(judgement.path) == 4


# The critical extensions of the edition of 2022


def test_critical_extensions_of_2022_are_accepted_where_the_profile_says_so() -> None:
    *path, root = [each.certificate for each in made("VEHICLE_20", table=EDITION_2022)]
    judgement = judge(path, [root], corpus.AT)
    assert judgement.verdict is Verdict.OK
    assert [(each.place, each.rule) for each in judgement.findings] == [(0, "critical_2022")]
    assert "subjectKeyIdentifier" in judgement.findings[0].text


def test_critical_extensions_of_2022_are_refused_elsewhere() -> None:
    for oid in (oids.SUBJECT_KEY_IDENTIFIER, oids.AUTHORITY_KEY_IDENTIFIER, oids.AUTHORITY_INFO_ACCESS):
        forged = made("SECC_2", broken=lambda parts, oid=oid: parts.marking(oid, critical=True))
        assert rules(judged(forged, Purpose.SECC)) == ["critical"]


# The corpus of bad certificates


def certificates(name: str) -> list[Certificate]:
    return [Certificate.read(octets) for _label, octets in read_pem((FOLDER / name).read_text())]


CAS = [ca(row.name, suite).certificate for row in AMENDMENT_1.values() if row.is_ca and row.edition is not Edition.OCPP
       for suite in row.suites]  # fmt: skip
ROOTS = [each for each in CAS if each.self_issued]
PURPOSES = {profile: purpose for purpose, names in LEAVES.items() for profile in names}
# A defect that RFC 5280 knows as well is told by its rule first; the lint of the profile follows it.
BY_RFC = {
    "version_1.pem": "version",
    "serial_of_21_octets.pem": "serial_number",
    "signature_algorithms_differ.pem": "algorithms_agree",
    "ends_before_it_begins.pem": "expired",
    "issuer_of_another_name.pem": "issuer_name",
    "key_usage_twice.pem": "extensions_unique",
    "leaf_may_sign_certificates.pem": "basic_constraints",
    "unknown_critical_extension.pem": "critical",
    "critical_ski.pem": "critical",
    "name_constraints.pem": "must_be_critical",
    "authority_key_identifier_of_another_ca.pem": "issuer_key",
    "rsa_1024.pem": "suite",
    "p384_key.pem": "suite",
    "no_authority_key_identifier.pem": "key_identifiers",
    "basic_constraints_not_critical.pem": "constraints_critical",
    "serial_negative.pem": "serial_positive",
    "non_der_basic_constraints.pem": "encoding",
    "true_as_one.pem": "encoding",
    "over_800_octets.pem": "size",
    "wrong_dc.pem": "role",
    "cps_without_dc.pem": "role",
    "leaf_is_a_ca.pem": "leaf",
    "secc_20_without_server_auth.pem": "purposes",
    "vehicle_with_server_auth_only.pem": "key_purpose",
    "contract_with_server_auth.pem": "purposes",
    "ed448_inside_ecdsa_chain.pem": "suite",
    "p521_key_in_iso15118_2.pem": "suite",
}
LINTED = [row for row in INDEX if "lint" in row and row["profile"] in PURPOSES and row["issuer"]]


@pytest.mark.parametrize("row", LINTED, ids=lambda row: str(row["file"]))
def test_a_bad_certificate_of_the_corpus_is_refused_for_its_own_reason(row: dict[str, Any]) -> None:
    (bad,) = certificates(row["file"])
    above_it = search(certificates(row["issuer"])[0], CAS, ROOTS, corpus.AT)
    assert above_it.anchored
    inputs = Inputs(purpose=PURPOSES[row["profile"]], strict=True)
    judgement = judge([bad, *above_it.path], ROOTS, corpus.AT, inputs=inputs)
    found = {each.rule: each for each in judgement.findings if each.place == 0}
    assert row["lint"] in found or row["file"] in BY_RFC, [*found]
    if row["lint"] in WARNINGS:
        assert found[row["lint"]].verdict is Verdict.OK
        return
    assert judgement.verdict is not Verdict.OK
    assert judgement.deciding is not None
    assert judgement.failing == bad
    assert judgement.deciding.rule in (row["lint"], BY_RFC.get(row["file"])), judgement.text


OF_CAS = [row for row in INDEX if "lint" in row and "SUB" in row["profile"]]


@pytest.mark.parametrize("row", OF_CAS, ids=lambda row: str(row["file"]))
def test_a_bad_ca_of_the_corpus_is_refused_for_its_own_reason_where_it_has_issued(row: dict[str, Any]) -> None:
    (bad,) = certificates(row["file"])
    row_of = AMENDMENT_1[row["profile"]]
    issuer = Forged(bad, key(Path(row["file"]).stem, row_of.suites[0]), row_of, row_of.suites[0])
    leaf = forge("below", AMENDMENT_1["SECC_20" if row["profile"].endswith("20") else "SECC_2"], issuer=issuer)
    assert leaf.certificate.signed_by(bad.public_key)
    path = [leaf.certificate, *search(bad, CAS, ROOTS, AT).path]
    judgement = judge(path, ROOTS, AT, inputs=Inputs(purpose=Purpose.SECC, strict=True))
    assert judgement.failing == bad, judgement.text
    assert judgement.deciding is not None
    assert judgement.deciding.rule in (row["lint"], BY_RFC.get(row["file"])), judgement.text


def test_what_is_left_of_the_corpus_is_not_a_matter_of_paths() -> None:
    """OCSP signers are judged where they answer, TLS servers by their clients; three need another edition's table."""
    left = [row for row in INDEX if row not in (*LINTED, *OF_CAS, *JUDGED)]
    assert {row["profile"] for row in left if row["issuer"]} == {"OCSP_2", "OCSP_20", "CSMS_SERVER"}
    assert len([row for row in left if not row["issuer"]]) == 3


WARNINGS = ("serial_random", "subject_only", "identifier", "key_identifier_input")


JUDGED = [row for row in INDEX if "verdict" in row]
REASONS = {
    "expired.pem": ["expired"],
    "not_yet_valid.pem": ["not_yet_valid"],
    "revoked.pem": ["revoked"],
    "path_length_violated.pem": ["path_length"],
    "four_sub_cas.pem": ["path_length"],
    "leaf_issued_by_leaf.pem": ["ca"],
    "issuer_without_key_cert_sign.pem": ["key_cert_sign"],
    "signature_of_another_key.pem": ["signature"],
    "reordered_chain.pem": ["issuer_name"],
    "twin_root.pem": ["anchor"],
    "secc_signed_by_mo.pem": ["anchor"],
    "self_signed_leaf.pem": ["anchor"],
}


@pytest.mark.parametrize("row", JUDGED, ids=lambda row: str(row["file"]))
def test_a_bad_chain_of_the_corpus_is_refused_for_its_own_reason(row: dict[str, Any]) -> None:
    path = certificates(row["file"])
    roots = [certificate for name in row["roots"] for certificate in certificates(name)]
    revoked = [(path[0].issuer_der, path[0].serial)] if row["revoked"] else []
    judgement = judge(path, roots, datetime.fromisoformat(row["at"]), evidence=Evidence(revoked=revoked))
    assert judgement.verdict == row["verdict"]
    assert judgement.deciding is not None
    assert judgement.deciding.rule == REASONS[row["file"]][0]
    clauses = {
        word for word in judgement.deciding.clause.replace(",", " ").split() if word[0].isdigit() or "V2G" in word
    }
    assert any(word in row["clause"] for word in clauses) or row["file"] == "reordered_chain.pem"


# What it is called on the wire


@pytest.mark.parametrize(("verdict", "api", "edition_2", "edition_20", "ocpp"), [
    (Verdict.OK, "OK", "OK", "OK", "Accepted"),
    (Verdict.EXPIRED, "FAILED_CertificateExpired", "FAILED_CertificateExpired", "WARNING_CertificateExpired",
     "CertificateExpired"),
    (Verdict.REVOKED, "FAILED_CertChainError", "FAILED_CertificateRevoked", "WARNING_CertificateRevoked",
     "CertificateRevoked"),
    (Verdict.NOT_YET_VALID, "FAILED_CertChainError", "FAILED_CertChainError", "WARNING_CertificateNotYetValid",
     "CertChainError"),
    (Verdict.CHAIN_ERROR, "FAILED_CertChainError", "FAILED_CertChainError", "WARNING_CertificateValidationError",
     "CertChainError"),
    (Verdict.UNKNOWN_ISSUER, "FAILED_CertChainError", "FAILED_CertChainError", "WARNING_CertificateValidationError",
     "CertChainError"),
])  # fmt: skip
def test_every_verdict_has_its_code_on_every_wire(
    verdict: Verdict, api: str, edition_2: str, edition_20: str, ocpp: str
) -> None:
    findings = [Finding(None, "any", "", verdict, "")] if verdict is not Verdict.OK else []
    judgement = conclude((), findings)
    assert [codes.of(judgement) for codes in (SECONDARY_ACTOR, ISO15118_2, ISO15118_20, OCPP)] == [
        api, edition_2, edition_20, ocpp,
    ]  # fmt: skip
    assert all(codes.verdicts.keys() == {*Verdict} for codes in CODES.values())


def test_a_certificate_of_another_role_is_not_allowed_at_this_evse() -> None:
    judgement = judged(made("OEM_PROV_2"), Purpose.CONTRACT)
    assert ISO15118_2.of(judgement) == "FAILED_CertificateNotAllowedAtThisEVSE"
    assert SECONDARY_ACTOR.of(judgement) == OCPP.of(judgement).join(["FAILED_", ""]) == "FAILED_CertChainError"


def test_of_several_faults_the_gravest_gives_the_code() -> None:
    secc = made("SECC_2")
    late = corpus.AT + timedelta(days=20_000)
    path, root = [each.certificate for each in secc[:-1]], secc[-1].certificate
    record = [(path[0].issuer_der, path[0].serial)]
    assert ISO15118_2.of(judge(path, [root], late)) == "FAILED_CertificateExpired"
    assert ISO15118_2.of(judge(path, [root], late, evidence=Evidence(revoked=record))) == "FAILED_CertificateRevoked"
    swapped = [path[0], path[2], path[1]]
    assert ISO15118_2.of(judge(swapped, [root], late, evidence=Evidence(revoked=record))) == "FAILED_CertChainError"
