"""``voltroot inspect`` on anything: an answer or one clear line, never a trace."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inspecting import Samples, inspect
from voltroot.pki.certificates import pem

pytestmark = pytest.mark.slow

REAL = sorted((Path(__file__).parents[1] / "vectors" / "real_v2g").glob("*.der"))[0].read_bytes()


def looks(data: bytes, *options: str) -> int:
    """Inspect what stands on standard input; what cannot be read is told in one line."""
    result = inspect(*options, given=data)
    assert result.exit_code in (0, 1, 2)
    assert len(result.stderr.splitlines()) == (1 if result.exit_code == 2 and "--json" not in options else 0)
    assert result.stderr.isprintable() or result.stderr.rstrip("\n").isprintable()
    return result.exit_code


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    looks(data)
    looks(data, "--json")


@given(st.binary(min_size=1, max_size=60), st.sampled_from([0x30, 0x30, 0x30, 0x0A, 0x02]))
def test_any_bytes_in_a_sequence(data: bytes, tag: int) -> None:
    looks(bytes((0x30, len(data) + 2, tag, len(data))) + data)


@given(st.binary(max_size=120), st.sampled_from(["CERTIFICATE", "X509 CRL", "PRIVATE KEY", "CERTIFICATE REQUEST", "?"]))
def test_any_bytes_as_pem_and_base64(data: bytes, label: str) -> None:
    looks(pem(label, data).encode())
    looks(base64.b64encode(data))


@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    looks(text.encode("utf-8", "surrogatepass"))


@given(st.integers(0, len(REAL) - 1), st.integers(1, 255))
@settings(max_examples=200)
def test_a_real_certificate_with_one_octet_changed(place: int, change: int) -> None:
    looks(REAL[:place] + bytes((REAL[place] ^ change,)) + REAL[place + 1 :])


@pytest.mark.slow
@pytest.mark.parametrize("change", [0xFF, 0x01, 0x80, 0x20])
def test_a_certificate_with_each_octet_changed_or_cut_there(samples: Samples, change: int) -> None:
    octets = samples.leaf.der
    for place in range(len(octets)):
        looks(octets[:place] + bytes((octets[place] ^ change,)) + octets[place + 1 :])
        assert looks(octets[:place]) == 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["crl", "request", "pkcs7", "ocsp_request", "public_key", "private_key"])
def test_another_file_with_each_octet_changed_or_cut_there(samples: Samples, kind: str) -> None:
    octets = getattr(samples, kind)
    for place in range(len(octets)):
        looks(octets[:place] + bytes((octets[place] ^ 0xFF,)) + octets[place + 1 :])
        assert looks(octets[:place]) == 2


@pytest.mark.slow
def test_an_ocsp_answer_with_each_octet_changed_or_cut_there(samples: Samples) -> None:
    octets = samples.ocsp_answer()
    for place in range(len(octets)):
        looks(octets[:place] + bytes((octets[place] ^ 0xFF,)) + octets[place + 1 :])
        assert looks(octets[:place]) == 2


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it is empty"),
        (b" \n\t", "it is empty"),
        (b"hello, world", "it is neither PEM nor DER nor base64 of anything known here"),
        (b'{"status": "success"}', "it is neither PEM nor DER nor base64 of anything known here"),
        (b"-----BEGIN CERTIFICATE-----\nMIIB", "the PEM block 'CERTIFICATE' has no END line of its own"),
        (b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----", "the PEM block CERTIFICATE is not base64"),
        (
            b"-----BEGIN EC PARAMETERS-----\nBg==\n-----END EC PARAMETERS-----",
            "it holds no PEM block of a kind known here",
        ),
        (REAL[:-1], "its DER cannot be read: an ASN.1 element breaks off before its end"),
        (bytes.fromhex("040100"), "it is neither PEM nor DER nor base64 of anything known here"),
        (bytes.fromhex("3000"), "it is no certificate, request, key, PFX, PKCS#7, CRL or OCSP message"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_clear_line(data: bytes, why: str) -> None:
    result = inspect(given=data)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"voltroot inspect: standard input: {why}\n"
