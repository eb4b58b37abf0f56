"""The 246 cases of NIST's Public Key Interoperability Test Suite (PKITS 1.0.1)."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from voltroot.pki.certificates import Certificate
from voltroot.pki.chains import Demand, Evidence, Inputs, Judgement, Verdict, search
from voltroot.pki.judging.inputs import MOST_SIGNATURES
from voltroot.pki.lists import Crl
from voltroot.pki.oids import ANY_POLICY

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "vectors" / "pkits" / "pkits.json").read_text())
DATA = resources.files("cryptography_vectors") / "x509" / "PKITS_data"
AT = datetime(2015, 6, 1, tzinfo=UTC)

DSA = "DSA is out of scope: no edition of ISO 15118 and no suite of OCPP knows it, and FIPS 186-5 withdrew it"
# Where we differ, and why. None of them accepts what is wrong.
DIFFERENCES = {
    "valid_dsa_signatures_test4": DSA,
    "valid_dsa_parameter_inheritance_test5": DSA,
}

# What the suite says is wrong, in its words, and the rules that may say so here.
REASONS: list[tuple[str, set[str]]] = [
    ("signature of .* could not be verified", {"anchor"}),
    ("is not valid until", {"not_yet_valid"}),
    ("expired", {"expired"}),
    ("issuer name could not be matched", {"anchor"}),
    ("no revocation information|revocation checks failed", {"status"}),
    ("was revoked", {"revoked"}),
    ("is not a CA", {"ca"}),
    ("exceeds the maximum path length", {"path_length"}),
    ("not allowed to sign", {"key_cert_sign"}),
    ("no valid set of policies", {"policies", "policy_outcome"}),
    ("policy mapping", {"constraints"}),
    ("names of .* (are in|are excl)|not all names|some names", {"name_constraints"}),
    ("unsupported critical extension", {"critical"}),
]


def certificate(name: str) -> Certificate:
    return Certificate.read((DATA / "certs" / name).read_bytes())


def crl(name: str) -> Crl:
    return Crl.read((DATA / "crls" / name).read_bytes())


def judged(case: dict[str, Any]) -> Judgement:
    asked = case.get("params", {})
    inputs = Inputs(
        policies=frozenset(asked.get("user_initial_policy_set", [ANY_POLICY])),
        explicit_policy=asked.get("initial_explicit_policy", False),
        inhibit_mapping=asked.get("initial_policy_mapping_inhibit", False),
        inhibit_any=asked.get("initial_any_policy_inhibit", False),
        status=Demand.ALL if case.get("revocation", True) else Demand.NONE,
    )
    crls = tuple(map(crl, [*case.get("crls", []), "TrustAnchorRootCRL.crl"]))
    pool = [certificate(name) for name in case.get("other_certs", [])]
    roots = [certificate("TrustAnchorRootCertificate.crt")]
    return search(certificate(case["cert"]), pool, roots, AT, inputs=inputs, evidence=Evidence(crls))


def name_of(case: dict[str, Any]) -> str:
    return str(case["name"])


@pytest.mark.parametrize("case", [case for case in CASES if "error" not in case], ids=name_of)
def test_a_valid_path_is_accepted(case: dict[str, Any]) -> None:
    judgement = judged(case)
    expected = case["name"] not in DIFFERENCES
    assert (judgement.verdict is Verdict.OK) is expected, judgement.text
    assert judgement.signatures <= MOST_SIGNATURES


@pytest.mark.parametrize("case", [case for case in CASES if "error" in case], ids=name_of)
def test_an_invalid_path_is_refused_for_its_reason(case: dict[str, Any]) -> None:
    judgement = judged(case)
    assert judgement.verdict is not Verdict.OK
    assert judgement.deciding is not None
    rules = [rules for words, rules in REASONS if re.search(words, case["error"]["msg_regex"])]
    assert rules, case["error"]
    assert judgement.deciding.rule in set().union(*rules), (judgement.text, case["error"])
    assert judgement.signatures <= MOST_SIGNATURES


def test_at_least_243_of_all_246_cases_agree() -> None:
    assert len(CASES) == 246
    assert len(CASES) - len(DIFFERENCES) >= 243
    assert DIFFERENCES.keys() <= {case["name"] for case in CASES if "error" not in case}, "a wrong accept"
