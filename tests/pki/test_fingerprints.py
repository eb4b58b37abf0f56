"""Certificate identifiers, as OCSP and OCPP compute them."""

from __future__ import annotations

import hashlib
import re
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from hypothesis import given, settings
from hypothesis import strategies as st

from pathing import make
from voltroot.actors.csms import statuses
from voltroot.pki.certificates import Certificate
from voltroot.pki.fingerprints import HashAlgorithm, HashData, hash_data, issued_by

PYCA = {
    HashAlgorithm.SHA256: hashes.SHA256(),
    HashAlgorithm.SHA384: hashes.SHA384(),
    HashAlgorithm.SHA512: hashes.SHA512(),
}

# Keys with known scalars, serial numbers with and without zeros in front; the values are from an independent program.
VECTORS = [
    ("V2G Root", 11, "V2G Root", 11, 0x01,
     "4e8052afb033e7b20ffd2b4f307904118664d01dcd95e07ad9cf2209d38de361",
     "0440557dcbdd479617aaec192245329d9078dda5dfd971a9498c215b49724913", "1"),
    ("CPO Sub1", 12, "V2G Root", 11, 0xAB11,
     "4e8052afb033e7b20ffd2b4f307904118664d01dcd95e07ad9cf2209d38de361",
     "0440557dcbdd479617aaec192245329d9078dda5dfd971a9498c215b49724913", "ab11"),
    ("CPO Sub2", 22, "CPO Sub1", 12, 0x00AB12,
     "f583137c2dcdae4a2ddff5a3e4fe27d332646facc36e6908f3867558496a5e0b",
     "b180152faab68fa7c49e5446622cf762233bae153ca3b651a8968b3fbc96a09e", "ab12"),
    ("leaf", 33, "CPO Sub2", 22, 0x0F00FF,
     "74a1ee7bd189cf3d1d27b5c3aadcd8f8095e044d40e45f2d280b7e0d5051ab68",
     "3f3d8c19751fbb53c5808ffc5d43b1221cf27703398040c7039c27365b6004e9", "f00ff"),
]  # fmt: skip


def certificate(name: str, scalar: int, issuer: str, serial: int) -> Certificate:
    def dn(common_name: str) -> x509.Name:
        return x509.Name.from_rfc4514_string(f"CN={common_name},O=Example,C=DE")

    key = ec.derive_private_key(scalar, ec.SECP256R1())
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(dn(issuer), dn(name), key.public_key(), serial)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return Certificate.read(made.public_bytes(Encoding.DER))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector[0])
def test_hash_data_are_those_of_the_vectors(vector: tuple[str, int, str, int, int, str, str, str]) -> None:
    name, scalar, issuer, issuer_scalar, serial, *expected = vector
    own = certificate(name, scalar, issuer, serial)
    above = certificate(issuer, issuer_scalar, "whoever", 7)
    assert hash_data(own, above) == HashData(HashAlgorithm.SHA256, *expected)


@settings(max_examples=30, deadline=None)
@given(
    serial=st.integers(1, 1 << 158), name=st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1)
)
def test_hash_data_agree_with_another_implementation_of_ocsp(serial: int, name: str) -> None:
    issuer = make("CN=" + "".join(rf"\{octet:02x}" for octet in name.encode()))
    own = make("CN=own", issuer, serial=serial)
    read = [x509.load_der_x509_certificate(each.certificate.der) for each in (own, issuer)]
    for algorithm, hash_ in PYCA.items():
        theirs = ocsp.OCSPRequestBuilder().add_certificate(*read, hash_).build()
        ours = hash_data(own.certificate, issuer.certificate, algorithm)
        assert ours.issuer_name_hash == theirs.issuer_name_hash.hex()
        assert ours.issuer_key_hash == theirs.issuer_key_hash.hex()
        assert int(ours.serial_number, 16) == theirs.serial_number


def test_what_peers_write_otherwise_names_the_same_certificate() -> None:
    issuer = make("CN=issuer")
    own = make("CN=own", issuer, serial=0x0F00FF)
    exact = hash_data(own.certificate, issuer.certificate)
    whole = hash_data(own.certificate, issuer.certificate)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(issuer.certificate.spki)
    for written in (
        exact,
        replace(exact, serial_number="0F00FF"),
        replace(exact, serial_number="0x0f00ff "),
        replace(exact, serial_number="00:0F:00:FF"),
        replace(exact, issuer_name_hash=exact.issuer_name_hash.upper(), issuer_key_hash=exact.issuer_key_hash.upper()),
        replace(whole, issuer_key_hash=digest.finalize().hex()),
        *(hash_data(own.certificate, issuer.certificate, algorithm) for algorithm in HashAlgorithm),
    ):
        assert written.names(own.certificate, issuer.certificate), written
    for other in (
        replace(exact, serial_number="f00fe"),
        replace(exact, issuer_key_hash="0" * 64),
        replace(exact, issuer_name_hash="0" * 64),
        replace(exact, algorithm=HashAlgorithm.SHA512),
    ):
        assert not other.names(own.certificate, issuer.certificate), other
    assert replace(exact, issuer_key_hash="0" * 64).names(own.certificate, None)


KEYS = {"P-256": ec.SECP256R1(), "P-521": ec.SECP521R1(), "Ed448": None}


@pytest.fixture(params=KEYS)
def pair(request: pytest.FixtureRequest) -> tuple[x509.Certificate, x509.Certificate]:
    """A certificate whose serial number begins with zeros, and its issuer."""
    curve = KEYS[request.param]
    key = ec.generate_private_key(curve) if curve else ed448.Ed448PrivateKey.generate()
    now = datetime.now(UTC)
    names = [x509.Name.from_rfc4514_string(text) for text in ("CN=own", "CN=issuer,O=Prüfung")]
    until = now + timedelta(days=1)
    own, issuer = (
        x509.CertificateBuilder(names[1], name, key.public_key(), serial, now, until).sign(
            key, hashes.SHA256() if curve else None
        )
        for name, serial in zip(names, (0x0F00FF, 1), strict=True)
    )
    return own, issuer


@pytest.mark.slow
def test_hash_data_agree_with_openssl_and_with_the_request_that_is_made_of_them(
    pair: tuple[x509.Certificate, x509.Certificate], tmp_path: Path
) -> None:
    for name, certificate in zip(("own", "issuer"), pair, strict=True):
        (tmp_path / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    command = ["openssl", "ocsp", "-no_nonce", "-req_text", "-issuer", "issuer.pem"]
    command += [word for algorithm in HashAlgorithm for word in (f"-{algorithm.lower()}", "-cert", "own.pem")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=20)
    said = done.stdout.replace("\\\n", "")
    theirs = zip(
        re.findall(r"Hash Algorithm: (\w+)", said), re.findall(r"Name Hash: (\w+)", said),
        re.findall(r"Key Hash: (\w+)", said), re.findall(r"Serial Number: (\w+)", said), strict=True,
    )  # fmt: skip
    own, issuer = (Certificate.read(each.public_bytes(Encoding.DER)) for each in pair)
    ours = {each: hash_data(own, issuer, each) for each in HashAlgorithm}
    # OpenSSL writes capitals, and zeros in front.
    assert [HashData(HashAlgorithm(name.upper()), *rest).plain for name, *rest in theirs] == [*ours.values()]
    for algorithm, named in ours.items():
        request = ocsp.OCSPRequestBuilder().add_certificate(*pair, PYCA[algorithm]).build()
        assert (
            statuses.requests(named, [issuer])[0]
            == statuses.requests(named, [])[0]
            == request.public_bytes(Encoding.DER)
        )
        assert named.serial_number == "f00ff"


@pytest.mark.parametrize("algorithm", [*HashAlgorithm])
def test_the_known_mistakes_of_peers_are_forgiven_for_every_key(
    pair: tuple[x509.Certificate, x509.Certificate], algorithm: HashAlgorithm
) -> None:
    own, issuer = (Certificate.read(each.public_bytes(Encoding.DER)) for each in pair)
    exact = hash_data(own, issuer, algorithm)
    whole = hashlib.new(algorithm.value, issuer.spki).hexdigest()
    for written in (
        exact,
        replace(exact, issuer_key_hash=whole),
        replace(exact, issuer_key_hash=whole.upper(), serial_number="0F00FF"),
        replace(exact, issuer_name_hash=exact.issuer_name_hash.upper(), serial_number="0x" + "f00ff".zfill(40)),
    ):
        assert written.names(own, issuer)
        assert issued_by(written, issuer)
        assert not written.names(issuer, issuer)
    assert not issued_by(replace(exact, issuer_key_hash=whole[::-1]), issuer)
