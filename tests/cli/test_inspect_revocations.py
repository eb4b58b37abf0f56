"""``voltroot inspect`` on CRLs, OCSP answers and OCSP requests."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from inspecting import Samples, found, inspect, items
from voltroot.pki.certificates import pem


@pytest.fixture
def issuer(samples: Samples, tmp_path: Path) -> Path:
    """The CA of the SECC certificate, in a file."""
    path = tmp_path / "issuer.pem"
    path.write_text(samples.chain[1].pem)
    return path


@pytest.fixture
def crl(samples: Samples, tmp_path: Path) -> Path:
    path = tmp_path / "1.crl"
    path.write_bytes(samples.crl)
    return path


def answered(samples: Samples, folder: Path, signer: str = "ocsp-cpo-sub2-2") -> Path:
    """An OCSP answer on the SECC certificate, in a file."""
    path = folder / "answer.der"
    path.write_bytes(samples.ocsp_answer(signer))
    return path


def test_a_crl_is_told_with_its_part_and_first_lines(samples: Samples, crl: Path, issuer: Path) -> None:
    result = inspect(crl, issuer)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[1] == "Part of a CRL"
    assert "  signed by    CPO sub-CA 2 ISO15118-2, given here" in lines
    assert "  number       7" in lines
    assert "  part         http://127.0.0.1:15118/crl/cpo-sub2-2/1.crl" in lines
    assert "  revoked      7" in lines
    assert sum(line.endswith("keyCompromise") for line in lines) == 5
    assert any(line.endswith("and 2 more") for line in lines)


def test_a_crl_in_pem_is_the_same(samples: Samples, crl: Path) -> None:
    assert items(given=pem("X509 CRL", samples.crl)) == items(crl)


def test_a_crl_past_its_next_update_is_stale(samples: Samples, crl: Path) -> None:
    later = samples.world.clock() + timedelta(days=2)
    assert found("--at", later.isoformat(), crl) == {"stale"}


def test_a_crl_that_its_issuer_did_not_sign_is_an_error(samples: Samples, issuer: Path, tmp_path: Path) -> None:
    octets = bytearray(samples.crl)
    octets[-1] ^= 1
    broken = tmp_path / "broken.crl"
    broken.write_bytes(octets)
    assert found(broken, issuer) == {"signature"}


def test_an_ocsp_answer_is_told_with_its_signer(samples: Samples, issuer: Path, tmp_path: Path) -> None:
    result = inspect(answered(samples, tmp_path), issuer)
    assert result.exit_code == 0
    assert "signed by  OCSP cpo-sub2-2: OCSP signer, ISO 15118-2 (OCSP_2)" in result.stdout
    assert f"good       {samples.leaf.serial} (hex {samples.leaf.serial:x})" in result.stdout
    assert f"of {samples.chain[1].subject}" in result.stdout


def test_an_ocsp_answer_names_the_certificate_that_is_given_too(samples: Samples, issuer: Path, tmp_path: Path) -> None:
    leaf = tmp_path / "leaf.pem"
    leaf.write_text(samples.leaf.pem)
    assert samples.leaf.subject.print() in inspect(answered(samples, tmp_path), issuer, leaf).stdout.split("\n\n")[0]


def test_an_ocsp_answer_past_its_next_update_is_stale(samples: Samples, tmp_path: Path) -> None:
    later = samples.world.clock() + timedelta(days=8)
    assert found("--at", later.isoformat(), answered(samples, tmp_path)) == {"stale"}


def test_an_ocsp_answer_of_the_wrong_delegate_is_an_error(samples: Samples, issuer: Path, tmp_path: Path) -> None:
    answer = answered(samples, tmp_path, signer="ocsp-mo-sub2-2")
    assert found(answer) == set()
    assert found(answer, issuer) == {"ocsp_signer"}


def test_an_ocsp_answer_of_a_broken_signature_is_an_error(samples: Samples, tmp_path: Path) -> None:
    octets = samples.ocsp_answer()
    at = octets.index(samples.leaf.serial.to_bytes(20))
    broken = tmp_path / "broken.der"
    broken.write_bytes(octets[:at] + bytes((octets[at] ^ 1,)) + octets[at + 1 :])
    assert "signature" in found(broken)


def test_a_responder_that_fails_is_told(tmp_path: Path) -> None:
    path = tmp_path / "later.der"
    path.write_bytes(bytes.fromhex("30030a0103"))
    result = inspect(path)
    assert result.exit_code == 1
    assert "status  try later" in result.stdout


def test_an_ocsp_request_is_told(samples: Samples, issuer: Path, tmp_path: Path) -> None:
    path = tmp_path / "request.der"
    path.write_bytes(samples.ocsp_request)
    result = inspect(path, issuer)
    assert result.exit_code == 0
    assert f"asks for  {samples.leaf.serial}" in result.stdout
    assert "nonce     yes" in result.stdout
