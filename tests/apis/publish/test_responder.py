"""OCSP over HTTP (RFC 6960, RFC 5019, RFC 9654)."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta
from urllib.parse import quote

import httpx2 as httpx
import pytest
from cryptography import x509
from cryptography.x509 import ocsp as pyca
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocsp_requests import HASH_OIDS, cert_id, nonce, request
from pkilinting import ocsp_findings
from publishing import Publishing, ask_get, ask_post, issuer_of, refusal, statuses
from voltroot.apis.publish.settings import Settings
from voltroot.errors import Unavailable
from voltroot.pki import der
from voltroot.pki.certificates import Certificate
from voltroot.pki.ocsp import ResponseStatus
from voltroot.pki.ports import Reason
from world import World

OCSP = "application/ocsp-response"
GOOD, REVOKED, UNKNOWN = pyca.OCSPCertStatus.GOOD, pyca.OCSPCertStatus.REVOKED, pyca.OCSPCertStatus.UNKNOWN


def test_one_responder_answers_for_every_ca_by_get_and_by_post(world: World, client: httpx.Client) -> None:
    for issuer in world.issuers.standing().cas.values():
        signer = world.issuers.standing().newest[f"ocsp-{issuer.slug}"].entry
        for hash_ in ("sha1", "sha256", "sha384", "sha512"):
            octets = request(cert_id(issuer.certificate, signer.serial, hash_))
            posted, got = ask_post(client, octets), ask_get(client, octets)
            assert posted.content == got.content
            assert posted.headers["content-type"] == got.headers["content-type"] == OCSP
            assert statuses(posted) == [GOOD]
        assert ocsp_findings(posted.content) == []


def test_get_takes_the_request_however_it_is_written_into_the_path(world: World, client: httpx.Client) -> None:
    issuer = world.issuers.standing().by_slug["cpo-sub2-2"].certificate
    candidates = [_base64(issuer, (1 << 64) + step) for step in range(300)]
    ones = _base64(issuer, (1 << 70) - 1)
    texts = [*candidates[:4], ones, next(text for text in candidates if "+" in text)]
    assert "//" in ones
    for text in texts:
        for path in {text, quote(text, safe=""), quote(text), "/" + text, text.rstrip("="), text.replace("+", " ")}:
            assert statuses(client.get(f"/ocsp/{path}")) == [UNKNOWN], path


@pytest.mark.parametrize("path", ["/ocsp/", "/ocsp/MEk", "/ocsp/%00", "/ocsp/M%C3%A4", "/ocsp/!", "/ocsp/a/b/c"])
def test_what_is_no_request_in_the_path_is_malformed(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.content) == (200, b"\x30\x03\x0a\x01\x01")
    assert answer.headers["cache-control"] == "no-store"


def test_a_revocation_is_seen_within_a_second_and_nothing_else_is_signed_again(publishing: Publishing) -> None:
    world, client = publishing.world, publishing.client
    entries = [world.issue("SECC_20", f"secc{number}") for number in range(3)]
    questions = [request(cert_id(issuer_of(world, entry), entry.serial)) for entry in entries]
    before = [ask_post(client, question).content for question in questions * 3]
    assert publishing.signatures == 3
    world.authority.revoke(entries[:1], Reason.KEY_COMPROMISE, door="test")
    world.clock.turn(seconds=0.5)
    after = [ask_post(client, question) for question in questions * 3]
    assert [statuses(answer)[0] for answer in after] == [REVOKED, GOOD, GOOD] * 3
    assert publishing.signatures == 4
    assert [answer.content for answer in after[1:3]] == before[1:3]


def test_the_ledger_is_asked_only_when_something_may_have_changed(publishing: Publishing) -> None:
    world = publishing.world
    entry = world.issue("SECC_2", "secc001")
    question = request(cert_id(issuer_of(world, entry), entry.serial))
    asked = []
    revision, statuses = world.ledger.revision, world.ledger.statuses
    world.ledger.revision = lambda: asked.append("revision") or revision()
    world.ledger.statuses = lambda *all_: asked.append("statuses") or statuses(*all_)
    world.clock.turn(seconds=1)
    for _ in range(50):
        ask_post(publishing.client, question)
    world.clock.turn(seconds=1)
    for _ in range(50):
        ask_post(publishing.client, question)
    assert asked[:2] == ["revision", "statuses"]
    assert asked.count("statuses") == 1
    # At most twice a second, however many ask.
    assert 2 <= asked.count("revision") < 25


def test_an_answer_is_signed_again_after_half_of_its_life(publishing: Publishing) -> None:
    world = publishing.world
    entry = world.issue("SECC_2", "secc001")
    question = request(cert_id(issuer_of(world, entry), entry.serial))
    first = ask_post(publishing.client, question).content
    world.clock.turn(hours=11)
    assert ask_post(publishing.client, question).content == first
    world.clock.turn(hours=2)
    assert ask_post(publishing.client, question).content != first


def test_no_answer_outlives_its_signer(publishing: Publishing) -> None:
    world = publishing.world
    entry = world.issue("OEM_PROV_2", "pcid001")
    signer = world.issuers.standing().newest["ocsp-oem-sub2-2"].entry
    world.clock.offset = signer.not_after - timedelta(hours=3) - (world.clock() - world.clock.offset)
    answer = pyca.load_der_ocsp_response(
        ask_post(publishing.client, request(cert_id(issuer_of(world, entry), entry.serial))).content
    )
    assert answer.next_update_utc == signer.not_after


def test_each_nonce_gets_a_signature_of_its_own(publishing: Publishing) -> None:
    entry = publishing.world.issue("SECC_2", "secc001")
    question = request(cert_id(issuer_of(publishing.world, entry), entry.serial), extensions=nonce(b"12345678"))
    for count in (1, 2):
        for answer in (ask_post(publishing.client, question), ask_get(publishing.client, question)):
            value = pyca.load_der_ocsp_response(answer.content).extensions.get_extension_for_class(x509.OCSPNonce)
            assert value.value.nonce == b"12345678"
        assert answer.headers["cache-control"] == "no-store"
        assert publishing.signatures == 2 * count


def test_answers_to_get_tell_caches_what_rfc_5019_wants(world: World, client: httpx.Client) -> None:
    entry = world.issue("SECC_2", "secc001")
    question = request(cert_id(issuer_of(world, entry), entry.serial))
    answer = ask_get(client, question)
    read = pyca.load_der_ocsp_response(answer.content)
    assert answer.headers["cache-control"] == "max-age=1, public, no-transform, must-revalidate"
    assert answer.headers["last-modified"] == f"{read.this_update_utc:%a, %d %b %Y %H:%M:%S} GMT"
    assert answer.headers["expires"] == f"{read.next_update_utc:%a, %d %b %Y %H:%M:%S} GMT"
    names = [name.lower() for name in answer.headers]
    assert names.index("cache-control") < names.index("expires")
    again = ask_get(client, question, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "etag" not in ask_post(client, question).headers


def test_what_is_not_on_record_is_unknown_until_it_is_issued(publishing: Publishing) -> None:
    issuer = publishing.world.issuers.standing().by_slug["cpo-sub2-2"]
    serials = [0, -1, 1, 1 << 158, (1 << 160) + 1, 1 << 1000]
    answer = ask_get(publishing.client, request(*(cert_id(issuer.certificate, serial) for serial in serials)))
    assert statuses(answer) == [UNKNOWN] * len(serials)
    assert answer.headers["cache-control"] == "no-store"
    read = pyca.load_der_ocsp_response(answer.content)
    lives = {single.next_update_utc - single.this_update_utc for single in read.responses if single.next_update_utc}
    assert lives == {timedelta(minutes=1)}


def test_a_serial_number_of_hundreds_of_octets_is_no_request(publishing: Publishing) -> None:
    issuer = publishing.world.issuers.standing().by_slug["cpo-sub2-2"]
    answer = ask_post(publishing.client, request(cert_id(issuer.certificate, 1 << 4000)))
    read = pyca.load_der_ocsp_response(answer.content)
    assert read.response_status is pyca.OCSPResponseStatus.MALFORMED_REQUEST


def test_several_certificates_of_one_ca_are_answered_in_one(world: World, client: httpx.Client) -> None:
    entries = [world.issue("SECC_2", f"secc{number}") for number in range(3)]
    world.authority.revoke(entries[1:2], Reason.SUPERSEDED, door="test")
    issuer = issuer_of(world, entries[0])
    ids = [cert_id(issuer, entry.serial, hash_) for entry in entries for hash_ in ("sha1", "sha256")]
    assert statuses(ask_post(client, request(*ids))) == [GOOD, GOOD, REVOKED, REVOKED, GOOD, GOOD]


def test_what_is_not_ours_to_say_is_unauthorized(world: World, client: httpx.Client) -> None:
    cas = world.issuers.standing().by_slug
    one, other = cas["cpo-sub2-2"].certificate, cas["cpo-sub2-20"].certificate
    stranger = cert_id(one, 1).replace(hashlib.sha1(one.subject_der).digest(), bytes(20))
    sha224 = cert_id(one, 1, "sha256").replace(der.oid(HASH_OIDS["sha256"]), der.oid("2.16.840.1.101.3.4.2.4"))
    for ids in ([stranger], [cert_id(one, 1), cert_id(other, 1)], [cert_id(one, 1), stranger], [sha224]):
        assert refusal(ask_post(client, request(*ids))) is ResponseStatus.UNAUTHORIZED


def test_without_a_valid_signer_the_client_shall_try_later(
    publishing: Publishing, caplog: pytest.LogCaptureFixture
) -> None:
    world = publishing.world
    entry = world.issue("OEM_PROV_2", "pcid001")
    question = request(cert_id(issuer_of(world, entry), entry.serial))
    world.clock.turn(days=100)
    assert refusal(ask_post(publishing.client, question)) is ResponseStatus.TRY_LATER
    (line,) = caplog.records
    assert (line.getMessage(), line.why) == (
        "ocsp.unanswered",
        "the CA oem-sub2-2 has no valid OCSP signer: make one with 'voltroot pki init'",
    )
    world.ceremony.renew()
    assert statuses(ask_post(publishing.client, question)) == [GOOD]


def test_a_revoked_signer_signs_nothing_and_what_it_signed_is_not_handed_out(publishing: Publishing) -> None:
    world = publishing.world
    entry = world.issue("OEM_PROV_2", "pcid001")
    question = request(cert_id(issuer_of(world, entry), entry.serial))
    assert statuses(ask_post(publishing.client, question)) == [GOOD]
    signer = world.issuers.standing().newest["ocsp-oem-sub2-2"].entry
    world.authority.revoke([signer], Reason.KEY_COMPROMISE, door="test")
    world.clock.turn(seconds=1)
    assert refusal(ask_post(publishing.client, question)) is ResponseStatus.TRY_LATER


def test_a_ledger_that_does_not_answer_means_try_later(publishing: Publishing) -> None:
    def unavailable() -> int:
        raise Unavailable("the ledger's database does not answer: disk I/O error")

    issuer = publishing.world.issuers.standing().by_slug["cpo-sub2-2"].certificate
    publishing.world.ledger.revision = unavailable
    publishing.world.clock.turn(seconds=1)
    answer = ask_post(publishing.client, request(cert_id(issuer, 1)))
    assert refusal(answer) is ResponseStatus.TRY_LATER
    assert publishing.client.get("/crl/cpo-sub2-2.crl").text == "the service could not do its work, try again later\n"


def test_a_body_beyond_64_kib_is_refused(client: httpx.Client) -> None:
    assert client.post("/ocsp", content=bytes(64 * 1024)).status_code == 200
    assert client.post("/ocsp", content=bytes(64 * 1024 + 1)).status_code == 413


def test_the_content_type_of_a_request_is_not_looked_at(client: httpx.Client) -> None:
    assert client.post("/ocsp/", content=b"\x30", headers={"Content-Type": "text/plain"}).status_code == 200


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(octets=st.binary(max_size=200))
def test_any_octets_get_an_answer(shared: Publishing, octets: bytes) -> None:
    answer = shared.publisher.responder.answer(octets)
    assert pyca.load_der_ocsp_response(answer.published.octets).response_status.value in (1, 6)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Publishing:
    return Publishing(World.made(tmp_path_factory.mktemp("world") / "world"))


def test_the_least_used_answers_are_forgotten_first(world: World) -> None:
    publishing = Publishing(world, Settings(cached_answers=2))
    entries = [world.issue("SECC_2", f"secc{number}") for number in range(3)]
    first, second, third = (request(cert_id(issuer_of(world, entry), entry.serial)) for entry in entries)
    for question in (first, second, first, third, first):
        ask_post(publishing.client, question)
    assert publishing.signatures == 3
    ask_post(publishing.client, second)
    assert publishing.signatures == 4


def _base64(issuer: Certificate, serial: int) -> str:
    return base64.b64encode(request(cert_id(issuer, serial))).decode()
