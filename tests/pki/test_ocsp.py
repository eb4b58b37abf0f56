"""OCSP requests and answers: RFC 6960 with RFC 9654, as pyca and pkilint read them."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as pyca
from hypothesis import given
from hypothesis import strategies as st

from ocsp_requests import HASH_OIDS, cert_id, extension, nonce, request
from pkilinting import ocsp_findings
from voltroot.errors import Malformed
from voltroot.pki import der, ocsp, oids, suites
from voltroot.pki.certificates import Certificate
from voltroot.pki.drafts import Issuer, key_identifier
from voltroot.pki.ocsp import CertStatus, ResponseStatus
from voltroot.pki.ports import Entry, Reason
from voltroot.pki.suites import ED448, RSA_SHA384, Suite
from world import World

MOMENT = datetime(2026, 11, 20, 8, 30, 15, tzinfo=UTC)
LIFE = timedelta(hours=24)
NAME, KEY = b"n" * 20, b"k" * 20
# What a client writes, without any CA of ours: reading needs none.
ID = der.sequence(
    der.sequence(der.oid(HASH_OIDS["sha1"]), der.NULL_VALUE),
    der.octet_string(NAME),
    der.octet_string(KEY),
    der.integer(4711),
)
UNKNOWN = "1.3.6.1.4.1.99999.1"

# Each with the clause that lets it pass.
READABLE = {
    "plain": request(ID),
    "version 1 written out (RFC 6960 4.1.1 would leave the default away)": request(
        ID, head=der.explicit(0, der.integer(0))
    ),
    "the name of the requestor": request(ID, head=der.explicit(1, der.implicit(2, b"client.example"))),
    "a signature (RFC 6960 4.1.2: the responder need not look)": request(
        ID,
        signature=der.explicit(
            0, der.sequence(der.sequence(der.oid("1.2.840.10045.4.3.2")), der.bit_string(bytes(64)))
        ),
    ),
    "an unknown extension": request(ID, extensions=extension(UNKNOWN, b"whatever")),
    "an unknown extension of one certificate": request(ID, single=extension(UNKNOWN, b"whatever")),
    "twenty certificates": request(*[ID] * 20),
}
MALFORMED = {
    "nothing": b"",
    "no certificates": request(),
    "twenty-one certificates": request(*[ID] * 21),
    "something after the end": request(ID) + b"\x00",
    "an unknown version": request(ID, head=der.explicit(0, der.integer(1))),
    "an unknown critical extension (RFC 6960 4.4)": request(ID, extensions=extension(UNKNOWN, b"", critical=True)),
    "an unknown critical extension of one certificate": request(ID, single=extension(UNKNOWN, b"", critical=True)),
    "an empty nonce (RFC 9654 2.1)": request(ID, extensions=nonce(b"")),
    "a nonce of 129 octets (RFC 9654 2.1)": request(ID, extensions=nonce(bytes(129))),
    "a nonce that is no OCTET STRING": request(ID, extensions=extension(oids.OCSP_NONCE, b"12345678")),
    "a CertID without a serial number": request(
        der.sequence(der.sequence(der.oid(HASH_OIDS["sha1"])), der.octet_string(NAME), der.octet_string(KEY))
    ),
    "a serial number without octets": request(ID.replace(der.integer(4711), b"\x02\x00\x04\x00")),
    "a certificate": der.sequence(der.sequence(der.integer(1)), der.sequence(), der.bit_string(b"")),
}


@pytest.mark.parametrize("why", READABLE)
def test_what_clients_send_is_read(why: str) -> None:
    asked = ocsp.read(READABLE[why])
    assert set(asked.ids) == {ocsp.CertID(ID, ocsp.IssuerHashes("sha1", NAME, KEY), 4711)}
    assert asked.nonce is None


@pytest.mark.parametrize("why", MALFORMED)
def test_what_is_no_request_is_malformed(why: str) -> None:
    with pytest.raises(Malformed):
        ocsp.read(MALFORMED[why])


@pytest.mark.parametrize("size", [1, 16, 32, 128])
def test_a_nonce_of_1_to_128_octets_is_taken(size: int) -> None:
    assert ocsp.read(request(ID, extensions=nonce(bytes(size)))).nonce == der.octet_string(bytes(size))


@pytest.mark.parametrize("critical", [False, True])
def test_a_nonce_may_be_critical(critical: bool) -> None:
    value = extension(oids.OCSP_NONCE, der.octet_string(b"12345678"), critical=critical)
    assert ocsp.read(request(ID, extensions=value)).nonce == der.octet_string(b"12345678")


@given(st.binary(max_size=300))
def test_any_octets_are_a_request_or_malformed(octets: bytes) -> None:
    with suppress(Malformed):
        ocsp.read(octets)


FULL = request(
    ID,
    ID,
    head=der.explicit(0, der.integer(0)) + der.explicit(1, der.implicit(2, b"client")),
    single=extension(UNKNOWN, b"x"),
    extensions=nonce(b"12345678") + extension(UNKNOWN, b"y"),
)


@given(st.lists(st.tuples(st.integers(0, len(FULL) - 1), st.integers(0, 255)), max_size=4), st.integers(0, len(FULL)))
def test_a_damaged_request_is_a_request_or_malformed(changes: list[tuple[int, int]], end: int) -> None:
    octets = bytearray(FULL)
    for place, value in changes:
        octets[place] = value
    for candidate in (bytes(octets), bytes(octets[:end])):
        with suppress(Malformed):
            ocsp.read(candidate)


def test_what_pyca_asks_is_understood(world: World) -> None:
    entry = world.issue("SECC_2", "secc001")
    leaf, issuer = world.chain(entry)[:2]
    named = {hashes_.hash: hashes_ for hashes_ in ocsp.issuer_hashes(issuer)}
    for algorithm in (hashes.SHA1(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512()):
        builder = pyca.OCSPRequestBuilder().add_certificate(_pyca(leaf), _pyca(issuer), algorithm)
        asked = ocsp.read(builder.add_extension(x509.OCSPNonce(b"12345678"), False).build().public_bytes(Encoding.DER))
        assert asked.ids[0].issuer == named[algorithm.name]
        assert asked.ids[0].serial == leaf.serial


@pytest.mark.parametrize("status", ResponseStatus)
def test_an_error_is_nothing_but_its_status(status: ResponseStatus) -> None:
    if status is not ResponseStatus.SUCCESSFUL:
        assert pyca.load_der_ocsp_response(ocsp.error(status)).response_status.value == status.value


HIERARCHIES: list[tuple[str, Suite | None]] = [
    ("SECC_2", None),
    ("SECC_20", None),
    ("SECC_20", ED448),
    ("CHARGING_STATION", None),
    ("CHARGING_STATION", RSA_SHA384),
]


@pytest.mark.parametrize(("profile", "suite"), HIERARCHIES)
def test_an_answer_says_good_revoked_and_unknown_in_the_order_of_the_request(
    world: World, profile: str, suite: Suite | None
) -> None:
    good, revoked = world.issue(profile, "secc001", suite), world.issue(profile, "secc002", suite)
    (revoked,) = world.authority.revoke([revoked], Reason.KEY_COMPROMISE, door="test")
    issuer = world.issuers.standing().cas[good.issuer or 0]
    serials = (good.serial, revoked.serial, 4711)
    octets = request(*(cert_id(issuer.certificate, serial) for serial in serials), extensions=nonce(b"12345678"))
    answer = answered(world, issuer, octets, [good, revoked, None])

    read = pyca.load_der_ocsp_response(answer)
    singles = list(read.responses)
    assert [single.serial_number for single in singles] == list(serials)
    assert [single.certificate_status for single in singles] == [
        pyca.OCSPCertStatus.GOOD,
        pyca.OCSPCertStatus.REVOKED,
        pyca.OCSPCertStatus.UNKNOWN,
    ]
    assert singles[1].revocation_time_utc == revoked.revoked_at
    assert singles[1].revocation_reason is x509.ReasonFlags.key_compromise
    assert {(single.this_update_utc, single.next_update_utc) for single in singles} == {(MOMENT, MOMENT + LIFE)}
    assert read.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"12345678"

    delegate = Certificate.read(read.certificates[0].public_bytes(Encoding.DER))
    assert delegate.issuer_der == issuer.certificate.subject_der
    assert read.responder_key_hash == key_identifier(delegate.spki)
    assert ocsp_findings(answer) == []


def test_a_cert_id_is_echoed_octet_for_octet(world: World) -> None:
    # Some clients look for their own octets, with or without the parameters of the hash.
    entry = world.issue("SECC_2", "secc001")
    issuer = world.issuers.standing().cas[entry.issuer or 0]
    for parameters in (b"", der.NULL_VALUE):
        asked = cert_id(issuer.certificate, entry.serial, "sha256", parameters)
        assert asked in answered(world, issuer, request(asked), [entry])


def test_an_unspecified_reason_is_left_out(world: World) -> None:
    (entry,) = world.authority.revoke([world.issue("SECC_2", "secc001")], Reason.UNSPECIFIED, door="test")
    issuer = world.issuers.standing().cas[entry.issuer or 0]
    answer = answered(world, issuer, request(cert_id(issuer.certificate, entry.serial)), [entry])
    assert pyca.load_der_ocsp_response(answer).revocation_reason is None
    assert ocsp_findings(answer) == []


def test_status_of_a_record(world: World) -> None:
    entry = world.issue("SECC_2", "secc001")
    assert (ocsp.status(None), ocsp.status(entry)) == (CertStatus.UNKNOWN, CertStatus.GOOD)
    (revoked,) = world.authority.revoke([entry], Reason.SUPERSEDED, door="test")
    assert ocsp.status(revoked) is CertStatus.REVOKED


def answered(world: World, issuer: Issuer, octets: bytes, entries: list[Entry | None]) -> bytes:
    """An answer by the CA's own delegate, its signature checked."""
    credential = world.issuers.standing().newest[f"ocsp-{issuer.slug}"]
    delegate = credential.entry.read()
    answer = ocsp.make(
        delegate,
        world.keyring.signer(credential.key or ""),
        ocsp.read(octets),
        entries,
        this_update=MOMENT,
        next_update=MOMENT + LIFE,
    )
    read = pyca.load_der_ocsp_response(answer)
    signature, data = read.signature, read.tbs_response_bytes
    assert suites.verify(delegate.public_key, signature, data, suites.suite_of(delegate.public_key).hash)
    return answer


def _pyca(certificate: Certificate) -> x509.Certificate:
    return x509.load_der_x509_certificate(certificate.der)
