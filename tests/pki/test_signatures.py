"""Which signature algorithms and keys are accepted, to the octet of their identifiers."""

from __future__ import annotations

import pytest

from pathing import KINDS, MGF1_SHA256, PSS_SHA256, SHA256_ID, key_of, spki
from voltroot.errors import Failure
from voltroot.pki import der
from voltroot.pki.signatures import Signed, read_key

DATA = b"what is signed"
ACCEPTED = [kind for kind in KINDS if kind not in ("RSA-1024", "P-224")]
RSA_SHA256, PSS, MGF1 = "1.2.840.113549.1.1.11", "1.2.840.113549.1.1.10", "1.2.840.113549.1.1.8"
SHA1_ID = der.sequence(der.oid("1.3.14.3.2.26"), der.NULL_VALUE)


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


@pytest.mark.parametrize("kind", ["RSA-1024", "P-224"])
def test_a_weak_key_is_refused(kind: str) -> None:
    with pytest.raises(Failure):
        read_key(spki(key_of("weak", kind)))
