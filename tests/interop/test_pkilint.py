"""pkilint, a linter that we did not write, on a certificate of every profile, suite and edition (RFC 5280)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from pkilint import loader
from pkilint.pkix import certificate, extension, name
from pkilint.validation import ValidationFindingSeverity, Validator

from good import Good, every_certificate
from voltroot.pki.profiles import Edition
from world import World

pytestmark = pytest.mark.slow


class Waiver(NamedTuple):
    """A finding that stands: for which certificates, and why."""

    code: str
    why: str
    profiles: frozenset[str] | None = None
    edition_2022: bool = False

    def covers(self, good: Good, code: str, *, edition_2022: bool) -> bool:
        if code != self.code or (self.edition_2022 and not (edition_2022 and _is_20(good))):
            return False
        return self.profiles is None or good.profile.name in self.profiles


FIRST_EDITION = "ISO 15118-20:2022 wants it so; amendment 1, our default, does not"
SAMPLED = frozenset({"VPKI_VEHICLE_20", "VPKI_CCU_SHA256", "VPKI_CCU_SHA512"})
WAIVERS = (
    Waiver("pkix.name_domain_components_invalid_domain_name", "DC is a role word (V2G, CPO, OEM ...), no DNS name"),
    Waiver(
        "pkix.key_usage_value_prohibited_for_ec",
        "ISO 15118-2 table F.4 wants keyEncipherment in a contract certificate",
        frozenset({"CONTRACT_2"}),
    ),
    Waiver("pkix.certificate_skid_extension_critical", FIRST_EDITION, edition_2022=True),
    Waiver("pkix.authority_key_identifier_critical", FIRST_EDITION, edition_2022=True),
    Waiver("pkix.authority_information_access_extension_critical", FIRST_EDITION, edition_2022=True),
    *(
        Waiver(f"pkix.{code}", "the samples of the vPKI definition have it so", SAMPLED)
        for code in (
            "certificate_skid_extension_critical",
            "authority_key_identifier_critical",
            "rfc5280_certificate_policies_invalid_explicit_text_encoding",
        )
    ),
    Waiver("pkix.wrong_time_useful_type", FIRST_EDITION, edition_2022=True),
)


@pytest.mark.parametrize("edition_2022", [False, True], ids=["amendment 1", "2022"])
def test_pkilint_finds_nothing_that_is_not_waived(tmp_path: Path, edition_2022: bool) -> None:
    world = World.made(tmp_path / "world", edition_2022=edition_2022)
    found = [
        f"{good}: {code} {text}"
        for good in every_certificate(world)
        for code, text in _findings(good)
        if not any(waiver.covers(good, code, edition_2022=edition_2022) for waiver in WAIVERS)
    ]
    assert found == []


def test_every_waiver_is_needed(tmp_path: Path) -> None:
    world = World.made(tmp_path / "world", edition_2022=True)
    codes = {code for good in every_certificate(world) for code, _text in _findings(good)}
    assert codes == {waiver.code for waiver in WAIVERS}


def _findings(good: Good) -> Iterator[tuple[str, str]]:
    document = loader.load_der_certificate(good.certificate.der, str(good))
    for result in _validator().validate(document.root):
        for found in result.finding_descriptions:
            if found.finding.severity <= ValidationFindingSeverity.ERROR:
                yield found.finding.code, f"{result.node.path}: {found.message}"


@cache
def _validator() -> Validator:
    """The linter of pkilint's own program lint_pkix_cert."""
    return certificate.create_pkix_certificate_validator_container(
        certificate.create_decoding_validators(name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS),
        [
            certificate.create_issuer_validator_container([]),
            certificate.create_validity_validator_container(),
            certificate.create_subject_validator_container([]),
            certificate.create_extensions_validator_container([]),
            certificate.create_spki_validator_container([]),
        ],
    )


def _is_20(good: Good) -> bool:
    return good.profile.edition is Edition.ISO15118_20
