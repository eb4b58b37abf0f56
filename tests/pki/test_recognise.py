"""Recognising: our own certificates, and the real ones of the field."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from good import every_certificate
from vectors.forgery.forge import AMENDMENT_1, Parts, forge
from voltroot.pki import der, oids
from voltroot.pki.certificates import Certificate
from voltroot.pki.chains import Verdict, judge
from voltroot.pki.names import Name
from voltroot.pki.profiles import Edition, profiles
from voltroot.pki.recognise import recognise, role_of_issuer
from world import World

FOLDER = Path(__file__).parents[1] / "vectors" / "real_v2g"
REAL = {path.stem.removeprefix("real_"): Certificate.read(path.read_bytes()) for path in FOLDER.glob("*.der")}
MEANT = {
    "05970391": "CONTRACT_2",
    "19cd3779": "OEM_PROV_2",
    "262381eb": "OEM_PROV_2",
    "2f1656f2": "OEM_SUB1_2",
    "3321748f": "CPS_2",
    "38e38c00": "CPS_SUB1_2",
    "42250cc9": "MO_SUB1_2",
    "4e05b892": "V2G_ROOT_2",
    "512b4886": "OEM_PROV_2",
    "62759b41": "CONTRACT_2",
    "6cad6de6": "MO_SUB1_2",
    "789e03ae": "OEM_SUB2_2",
    "7d52f370": "CONTRACT_2",
    "7de040d1": "CPS_SUB2_2",
    "7e4b714f": "OEM_SUB2_2",
    "8cff7bb6": "MO_SUB2_2",
    "942b6234": "OEM_ROOT_2",
    "a76ae4c5": "V2G_ROOT_2",
    "b25d244c": "OEM_SUB1_2",
    "cc12fc95": "OEM_PROV_2",
    "d09ca5b2": "MO_SUB2_2",
    "d669983b": "OEM_SUB1_2",
    "d75abab8": "OEM_SUB1_2",
    "ec67f3d9": "OEM_SUB2_2",
}
# Rows that differ in nothing that a certificate shows.
ALIKE = {"TLS_SERVER": "CSMS_SERVER"}


@pytest.mark.parametrize("number", sorted(REAL))
def test_a_real_certificate_is_named_rightly(number: str) -> None:
    meant = recognise(REAL[number], profiles())
    assert meant
    assert meant.name == MEANT[number]


def test_all_24_real_certificates_are_here() -> None:
    assert sorted(REAL) == sorted(MEANT)
    assert len(REAL) == 24


@pytest.mark.parametrize("number", sorted(REAL))
def test_a_real_certificate_parses_in_all_its_parts(number: str) -> None:
    certificate = REAL[number]
    assert certificate.version == 3
    assert certificate.subject.get("CN")
    assert certificate.public_key.public_bytes
    assert certificate.subject_key_identifier
    assert certificate.is_ca is ("SUB" in MEANT[number] or "ROOT" in MEANT[number])
    assert certificate.serial > 0
    assert "CN=" in certificate.issuer.print()
    assert certificate.alternative_names in ((), (certificate.subject.get("CN"),))


def test_two_real_certificates_are_refused_by_a_strict_parser() -> None:
    unwise = [number for number in REAL if _basic_constraints(number) == bytes.fromhex("3003010100")]
    assert sorted(unwise) == ["05970391", "3321748f"]


@pytest.mark.parametrize("number", sorted(REAL))
def test_a_real_certificate_holds_under_its_issuer_as_far_as_it_is_here(number: str) -> None:
    chain = _chain(REAL[number])
    at = max(certificate.not_before for certificate in chain) + timedelta(days=1)
    assert judge(chain, [chain[-1]], at).verdict is Verdict.OK
    if number != "942b6234":
        assert judge(chain, [REAL["942b6234"]], at).verdict is Verdict.UNKNOWN_ISSUER


def test_most_real_certificates_have_their_issuer_here() -> None:
    alone = [number for number, certificate in REAL.items() if _issuer(certificate) is None]
    assert sorted(alone) == ["2f1656f2", "7d52f370", "d75abab8"]


@pytest.mark.parametrize("edition_2022", [False, True], ids=["amendment 1", "2022"])
def test_our_own_certificates_are_named_rightly(tmp_path: Path, edition_2022: bool) -> None:
    world = World.made(tmp_path / "world", edition_2022=edition_2022)
    for good in every_certificate(world):
        if good.profile.edition is Edition.VPKI:  # its CAs have names of their operator's
            continue
        meant = recognise(good.certificate, world.profiles)
        assert meant, good
        assert meant.name == ALIKE.get(good.profile.name, good.profile.name)


@dataclass(frozen=True)
class Named:
    """A CA as other PKIs call it, and what it means."""

    common_name: str
    meant: str


@pytest.mark.parametrize(
    "named",
    [
        Named("CPOSubCA1", "CPO_SUB1_2"),
        Named("PKI-1_CRT_CPO_SUB1_VALID", "CPO_SUB1_2"),
        Named("ProvSubCA1", "CPS_SUB1_2"),
        Named("PKI-1 eMSP Sub CA", "MO_SUB1_2"),
        Named("US OEM Sub1 CA TEST G2.1", "OEM_SUB1_2"),
    ],
    ids=lambda named: named.common_name,
)
def test_a_ca_is_known_by_the_words_of_the_field(named: Named) -> None:
    forged = forge(named.common_name, AMENDMENT_1["CPO_SUB1_2"], common_name=named.common_name)
    meant = recognise(forged.certificate, profiles())
    assert meant
    assert meant.name == named.meant


@pytest.mark.parametrize("common_name", ["Sub CA 1", "MOTORS CA", "PREVIEW CA", "CA01001"])
def test_a_ca_that_does_not_say_whose_it_is_is_not_guessed(common_name: str) -> None:
    forged = forge(common_name, AMENDMENT_1["CPO_SUB1_2"], common_name=common_name)
    assert recognise(forged.certificate, profiles()) is None


def test_a_leaf_without_dc_usage_and_purpose_is_known_by_its_identifier() -> None:
    def bare(parts: Parts) -> Parts:
        anybody = Name.of([("O", "Anybody"), ("CN", "CA 7")]).encode()
        mine = parts.named(("O", "Anybody"), ("CN", "NN123ABCDEFGHIT")).without(oids.KEY_USAGE)
        return replace(mine, issuer=anybody)

    meant = recognise(forge("bare", AMENDMENT_1["CONTRACT_2"], broken=bare).certificate, profiles())
    assert meant
    assert meant.name == "CONTRACT_2"


def test_a_certificate_of_no_kind_known_here_has_no_profile() -> None:
    def plain(parts: Parts) -> Parts:
        anybody = Name.of([("O", "Anybody"), ("CN", "CA 7")]).encode()
        mine = parts.named(("O", "Anybody"), ("CN", "mail")).without(oids.KEY_USAGE)
        return replace(mine, issuer=anybody)

    assert recognise(forge("plain", AMENDMENT_1["CONTRACT_2"], broken=plain).certificate, profiles()) is None


def test_what_cannot_be_read_has_no_profile() -> None:
    def torn(parts: Parts) -> Parts:
        return parts.having(oids.EXTENDED_KEY_USAGE, der.sequence(b"\x06\x05\x01"))

    assert recognise(forge("torn", AMENDMENT_1["SECC_2"], broken=torn).certificate, profiles()) is None


def test_the_issuer_tells_its_role() -> None:
    contract, provisioning = role_of_issuer(REAL["62759b41"]), role_of_issuer(REAL["19cd3779"])
    assert contract
    assert provisioning
    assert (contract.leaf, provisioning.leaf) == ("CONTRACT", "OEM_PROV")


def _basic_constraints(number: str) -> bytes | None:
    extension = REAL[number].extensions.get(oids.BASIC_CONSTRAINTS)
    return extension and extension.value


def _issuer(certificate: Certificate) -> Certificate | None:
    named = (other for other in REAL.values() if certificate.issuer.matches(other.subject))
    return next((other for other in named if certificate.signed_by(other.public_key)), None)


def _chain(certificate: Certificate) -> list[Certificate]:
    chain = [certificate]
    while (issuer := _issuer(chain[-1])) is not None and issuer is not chain[-1]:
        chain.append(issuer)
    return chain
