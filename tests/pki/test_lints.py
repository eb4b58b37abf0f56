"""The lints: every bad certificate is caught by the one that is meant to, no good one by any."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from good import every_certificate
from vectors.make_bad_certificates import FOLDER, files
from voltroot.errors import PolicyViolation
from voltroot.pki.certificates import Certificate, read_pem
from voltroot.pki.chains import Evidence, judge
from voltroot.pki.lints import LINTS, Level, lint, require
from voltroot.pki.profiles import profiles
from world import World

INDEX: list[dict[str, Any]] = json.loads((FOLDER / "index.json").read_text())
LINTED = [row for row in INDEX if "lint" in row]
JUDGED = [row for row in INDEX if "verdict" in row]


def certificates(name: str) -> list[Certificate]:
    return [Certificate.read(octets) for _label, octets in read_pem((FOLDER / name).read_text())]


def name_of(row: dict[str, Any]) -> str:
    return str(row["file"])


@pytest.mark.parametrize("row", LINTED, ids=name_of)
def test_a_bad_certificate_is_caught_by_its_lint_alone(row: dict[str, Any]) -> None:
    (bad,) = certificates(row["file"])
    issuer = certificates(row["issuer"])[0] if row["issuer"] else None
    profile = profiles(iso15118_20_2022=row["edition_2022"])[row["profile"]]
    found = lint(bad, profile, issuer)
    assert [finding.lint for finding in found] == sorted([row["lint"], *row["also"]]), [*map(str, found)]
    assert found[0].clause == row["clause"]


@pytest.mark.parametrize("row", LINTED, ids=name_of)
def test_a_bad_certificate_was_really_signed(row: dict[str, Any]) -> None:
    (bad,) = certificates(row["file"])
    if row["issuer"]:
        assert bad.signed_by(certificates(row["issuer"])[0].public_key)


@pytest.mark.parametrize("row", JUDGED, ids=name_of)
def test_a_bad_chain_is_judged_so(row: dict[str, Any]) -> None:
    chain = certificates(row["file"])
    roots = [certificate for name in row["roots"] for certificate in certificates(name)]
    revoked = [(chain[0].issuer_der, chain[0].serial)] if row["revoked"] else []
    judgement = judge(chain, roots, datetime.fromisoformat(row["at"]), evidence=Evidence(revoked=revoked))
    assert judgement.verdict == row["verdict"], judgement.text


def test_every_lint_has_a_bad_certificate() -> None:
    assert {rule.name for rule in LINTS} == {row["lint"] for row in LINTED}


def test_lints_have_names_of_their_own() -> None:
    assert len({rule.name for rule in LINTS}) == len(LINTS)


def test_the_corpus_is_what_its_script_makes() -> None:
    on_disk = {str(path.relative_to(FOLDER)): path.read_text() for path in FOLDER.rglob("*.*")}
    assert on_disk == dict(files()), "run tests/vectors/make_bad_certificates.py"


@pytest.mark.parametrize("edition_2022", [False, True], ids=["amendment 1", "2022"])
def test_a_good_certificate_has_no_finding(tmp_path: Path, edition_2022: bool) -> None:
    world = World.made(tmp_path / "world", edition_2022=edition_2022)
    seen = set()
    for good in every_certificate(world):
        found = lint(good.certificate, good.profile, good.issuer)
        assert found == [], f"{good}: {found}"
        seen.add((good.profile.name, good.suite.name))
    assert seen >= {(profile.name, suite.name) for profile in world.profiles.values() for suite in _suites(profile)}


def _suites(profile: Any) -> Any:
    # The CA that an OCSP signer stands for has a key of one suite; the general row allows more.
    return profile.suites if profile.name != "OCSP" else profile.suites[:1]


def test_what_breaks_its_profile_is_refused_with_the_clause() -> None:
    (bad,) = certificates("wrong_dc.pem")
    with pytest.raises(PolicyViolation, match=r"subject_dc: DC is OEM, the role's is CPO \(V2G2-925, V2G20-3406\)"):
        require(bad, profiles()["SECC_2"])


def test_a_warning_does_not_stand_in_the_way() -> None:
    (odd,) = certificates("emaid_check_digit.pem")
    assert [finding.level for finding in lint(odd, profiles()["CONTRACT_2"])] == [Level.WARNING]
    require(odd, profiles()["CONTRACT_2"])
