"""The schemas of both versions: what they allow, and what a violation is called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from voltroot.ocppj.frames import Code
from voltroot.ocppj.schemas import Version, actions, check, mended

EXAMPLES = json.loads((Path(__file__).parents[1] / "vectors/ocpp/examples.json").read_text())
CSR = {"csr": "-----BEGIN CERTIFICATE REQUEST-----"}
EVENT = {"type": "StartupOfTheDevice", "timestamp": "now"}
HASH = {"hashAlgorithm": "SHA256", "issuerNameHash": "aa", "issuerKeyHash": "bb", "serialNumber": "1"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"{example['action']}{example['part']}")
def test_every_example_is_allowed_where_it_says(example: dict[str, Any]) -> None:
    for version in example["versions"]:
        assert check(Version(version), example["action"], example["part"], example["payload"]) is None


def test_both_versions_know_the_actions_of_certificate_management() -> None:
    needed = {example["action"] for example in EXAMPLES}
    assert needed - {"GetCertificateChainStatus"} <= actions(Version.V2_0_1)
    assert needed <= actions(Version.V2_1)
    assert "NotifyPeriodicEventStream" not in actions(Version.V2_1)


@pytest.mark.parametrize(
    ("action", "part", "payload", "code", "text"),
    [
        ("SignCertificate", "Request", {}, Code.OCCURRENCE_CONSTRAINT_VIOLATION, "csr is missing"),
        ("SignCertificate", "Request", {"csr": 1}, Code.TYPE_CONSTRAINT_VIOLATION, "csr: is not of the type"),
        ("SignCertificate", "Request", {"csr": "x" * 5501}, Code.PROPERTY_CONSTRAINT_VIOLATION, "longer than 5500"),
        ("SignCertificate", "Request", CSR | {"certificateType": "V2G"}, Code.PROPERTY_CONSTRAINT_VIOLATION, "none of"),
        ("SignCertificate", "Request", CSR | {"more": 1}, Code.FORMAT_VIOLATION, "more"),
        ("GetInstalledCertificateIds", "Request", {"certificateType": []}, Code.OCCURRENCE_CONSTRAINT_VIOLATION, "1"),
        (
            "GetInstalledCertificateIds",
            "Response",
            {"status": "NotFound", "certificateHashDataChain": []},
            Code.OCCURRENCE_CONSTRAINT_VIOLATION,
            "fewer than 1",
        ),
        ("Get15118EVCertificate", "Response", {"status": "Failed"}, Code.OCCURRENCE_CONSTRAINT_VIOLATION, "exiResp"),
        ("SecurityEventNotification", "Request", EVENT, Code.PROPERTY_CONSTRAINT_VIOLATION, "date-time"),
        ("NoSuchThing", "Request", {}, Code.NOT_IMPLEMENTED, "knows no NoSuchThing"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("version", [*Version])
def test_a_violation_has_its_code_and_names_the_member(
    version: Version, action: str, part: Any, payload: dict[str, Any], code: Code, text: str
) -> None:
    violation = check(version, action, part, payload)
    assert violation is not None
    assert violation.code is code
    assert text in violation.text


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("Get15118EVCertificate", {"status": "Failed"}),
        ("GetInstalledCertificateIds", {"status": "NotFound", "certificateHashDataChain": []}),
        (
            "GetInstalledCertificateIds",
            {
                "status": "Accepted",
                "certificateHashDataChain": [
                    {
                        "certificateType": "V2GCertificateChain",
                        "certificateHashData": HASH,
                        "childCertificateHashData": [],
                    }
                ],
            },
        ),
    ],
)
def test_known_mistakes_of_the_field_are_mended(action: str, payload: dict[str, Any]) -> None:
    assert check(Version.V2_0_1, action, "Response", payload) is not None
    assert check(Version.V2_0_1, action, "Response", mended(action, payload)) is None
