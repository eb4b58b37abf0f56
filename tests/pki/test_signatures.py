"""Which signature algorithms and keys are accepted, to the octet of their identifiers."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key

from pathing import KINDS, MGF1_SHA256, PSS_SHA256, SHA256_ID, key_of, spki
from voltroot.errors import Failure, UnsupportedSuite
from voltroot.pki import der
from voltroot.pki.signatures import Signed, read_key

DATA = b"what is signed"
ACCEPTED = [kind for kind in KINDS if kind not in ("RSA-1024", "P-224")]
RSA_SHA256, PSS, MGF1 = "1.2.840.113549.1.1.11", "1.2.840.113549.1.1.10", "1.2.840.113549.1.1.8"
SHA1_ID = der.sequence(der.oid("1.3.14.3.2.26"), der.NULL_VALUE)
P256_WRITTEN_OUT = der.sequence(  # FIPS 186-4 D.1.2.3
    der.oid("1.2.840.10045.2.1"),
    der.sequence(
        der.integer(1),
        der.sequence(der.oid("1.2.840.10045.1.1"), der.integer(2**256 - 2**224 + 2**192 + 2**96 - 1)),
        der.sequence(
            der.octet_string(bytes.fromhex("ffffffff00000001000000000000000000000000fffffffffffffffffffffffc")),
            der.octet_string(bytes.fromhex("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b")),
            der.bit_string(bytes.fromhex("c49d360886e704936a6678e1139d26b7819f7e90")),
        ),
        der.octet_string(
            bytes.fromhex(
                "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
                "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
            )
        ),
        der.integer(0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551),
        der.integer(1),
    ),
)


def signed(kind: str, algorithm: bytes | None = None) -> Signed:
    key = key_of("signer", kind)
    return Signed(DATA, algorithm or KINDS[kind].algorithm, KINDS[kind].sign(key, DATA))


@pytest.mark.parametrize("kind", ACCEPTED)
def test_a_signature_holds_under_its_own_key_only(kind: str) -> None:
    own = signed(kind)
    assert own.objection(read_key(spki(key_of("signer", kind)))) is None
    assert own._replace(contents=b"something else").objection(read_key(spki(key_of("signer", kind))))
    assert own._replace(signature=b"").objection(read_key(spki(key_of("signer", kind))))
    for other in ACCEPTED:
        assert own.objection(read_key(spki(key_of("other signer", other)))), other


@pytest.mark.parametrize(
    ("kind", "algorithm", "accepted"),
    [
        ("RSA", der.sequence(der.oid(RSA_SHA256), der.NULL_VALUE), True),
        ("RSA", der.sequence(der.oid(RSA_SHA256)), True),
        ("RSA", der.sequence(der.oid(RSA_SHA256), der.integer(0)), False),
        ("P-256", der.sequence(der.oid("1.2.840.10045.4.3.2"), der.NULL_VALUE), False),
        ("P-256", der.sequence(der.oid("1.2.840.10045.4.1")), False),
        ("Ed25519", der.sequence(der.oid("1.3.101.112"), der.NULL_VALUE), False),
        ("Ed448", der.sequence(der.oid("1.3.101.112")), False),
        ("RSA-PSS", PSS_SHA256, True),
        ("RSA-PSS", der.sequence(der.oid(PSS), der.sequence()), False),
        ("RSA-PSS", der.sequence(der.oid(PSS)), False),
        ("RSA-PSS", der.sequence(der.oid(PSS), der.sequence(der.explicit(0, SHA256_ID))), False),
        (
            "RSA-PSS",
            der.sequence(
                der.oid(PSS),
                der.sequence(der.explicit(0, SHA256_ID), der.explicit(1, der.sequence(der.oid(MGF1), SHA1_ID))),
            ),
            False,
        ),
        (
            "RSA-PSS",
            der.sequence(
                der.oid(PSS),
                der.sequence(
                    der.explicit(0, SHA256_ID),
                    der.explicit(1, MGF1_SHA256),
                    der.explicit(2, der.integer(32)),
                    der.explicit(3, der.integer(2)),
                ),
            ),
            False,
        ),
        ("RSA", b"", False),
        ("RSA", b"\x30\x00", False),
    ],
)
def test_algorithms_are_told_by_all_octets_of_their_identifier(kind: str, algorithm: bytes, accepted: bool) -> None:
    given = Signed(DATA, algorithm, KINDS[kind].sign(key_of("signer", kind), DATA))
    assert (given.objection(read_key(spki(key_of("signer", kind)))) is None) is accepted


def test_the_salt_of_pss_has_the_length_that_is_named() -> None:
    shorter = der.sequence(
        der.oid(PSS),
        der.sequence(der.explicit(0, SHA256_ID), der.explicit(1, MGF1_SHA256), der.explicit(2, der.integer(20))),
    )
    assert signed("RSA-PSS", shorter).objection(read_key(spki(key_of("signer", "RSA-PSS")))) is not None


@pytest.mark.parametrize("octets", [b"", b"\x30\x00"])
def test_what_is_no_key_is_refused(octets: bytes) -> None:
    with pytest.raises(Failure):
        read_key(octets)


def test_a_curve_is_named_not_written_out() -> None:
    """RFC 5480 2.1.1; what is written out may differ from the curve that it seems to be (CVE-2020-0601)."""
    named = spki(key_of("signer", "P-256"))
    _algorithm, bits = der.children(der.read_sequence(named))
    written_out = der.sequence(P256_WRITTEN_OUT, bits.whole)
    assert load_der_public_key(written_out) == load_der_public_key(named)
    assert read_key(named)
    with pytest.raises(UnsupportedSuite, match="written out"):
        read_key(written_out)


@pytest.mark.parametrize("kind", ["RSA-1024", "P-224"])
def test_a_weak_key_is_refused(kind: str) -> None:
    with pytest.raises(Failure):
        read_key(spki(key_of("weak", kind)))
