"""Publishing over HTTP: CA certificates, CRLs, OCSP, health and metrics."""

from __future__ import annotations

import base64
import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from urllib.parse import quote

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509 import ocsp as pyca
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from ocsp_requests import HASH_OIDS, cert_id, nonce, request
from pkilinting import crl_findings, ocsp_findings
from publishing import Publishing
from voltroot import errors as failures
from voltroot.apis.publish import errors
from voltroot.apis.publish.settings import Settings
from voltroot.errors import Failure, Unavailable
from voltroot.pki import der
from voltroot.pki.certificates import Certificate, read_pem
from voltroot.pki.drafts import Issuer, Order
from voltroot.pki.issuers import CA
from voltroot.pki.ocsp import ResponseStatus
from voltroot.pki.ports import Entry, Reason, Revocation
from voltroot.store.engine import writing
from voltroot.store.tables import credentials
from world import BASE, World

OCSP = "application/ocsp-response"
GOOD, REVOKED, UNKNOWN = pyca.OCSPCertStatus.GOOD, pyca.OCSPCertStatus.REVOKED, pyca.OCSPCertStatus.UNKNOWN


@pytest.fixture
def publishing(world: World) -> Publishing:
    return Publishing(world)


@pytest.fixture
def client(publishing: Publishing) -> httpx.Client:
    return publishing.client


# CA certificates


def test_every_ca_is_listed_with_addresses_that_lead_to_it(world: World, client: httpx.Client) -> None:
    listed = client.get("/ca").json()
    assert {ca["slug"] for ca in listed} == set(world.issuers.standing().by_slug)
    for ca in listed:
        issuer = world.issuers.standing().by_slug[ca["slug"]]
        assert client.get(ca["addresses"]["cer"]).content == issuer.certificate.der
        assert _pem(client.get(ca["addresses"]["pem"])) == [issuer.certificate.der]
        chain = [Certificate.read(octets) for octets in _pem(client.get(ca["addresses"]["chain"]))]
        assert chain[0].der == issuer.certificate.der
        assert chain[-1].self_issued
        assert ca["fingerprint"] == issuer.certificate.fingerprint.hex()
        assert ("crl" in ca["addresses"]) == issuer.profile.signs_crls
        assert ca["addresses"]["ocsp"] == f"{BASE}/ocsp"


def test_the_list_says_what_a_ca_is(client: httpx.Client) -> None:
    (ca,) = (ca for ca in client.get("/ca").json() if ca["slug"] == "cpo-sub2-2")
    assert list(ca) == [
        "slug", "title", "edition", "suite", "subject", "issuer", "fingerprint", "notAfter", "addresses",
    ]  # fmt: skip
    assert (ca["title"], ca["edition"], ca["suite"]) == ("CPO sub-CA 2", "ISO15118-2", "P-256")
    assert "CPO sub-CA 1" in ca["issuer"]


def test_certificates_have_the_media_types_of_their_forms(client: httpx.Client) -> None:
    for path, media_type in {
        "/ca/cpo-sub2-2.cer": "application/pkix-cert",
        "/ca/cpo-sub2-2.pem": "application/pem-certificate-chain",
        "/ca/cpo-sub2-2/chain.pem": "application/pem-certificate-chain",
        "/ca/roots.pem": "application/pem-certificate-chain",
        "/ca/cpo-sub2-2": "application/pkcs7-mime",
        "/ca": "application/json",
    }.items():
        assert client.get(path).headers["content-type"] == media_type


def test_a_chain_comes_as_pkcs7_too(client: httpx.Client) -> None:
    found = pkcs7.load_der_pkcs7_certificates(client.get("/ca/cpo-sub2-2").content)
    subjects = {certificate.subject.rfc4514_string() for certificate in found}
    assert len(subjects) == 3


def test_all_roots_come_in_one_bundle_or_those_of_one_edition(world: World, client: httpx.Client) -> None:
    roots = world.issuers.standing().roots
    assert sorted(_pem(client.get("/ca/roots.pem"))) == sorted(root.der for root in roots)
    for edition in ("ISO15118-2", "ISO15118-20", "OCPP"):
        bundle = [Certificate.read(octets) for octets in _pem(client.get("/ca/roots.pem", params={"edition": edition}))]
        assert bundle
        assert len(bundle) < len(roots)
    answer = client.get("/ca/roots.pem?edition=15118")
    assert (answer.status_code, "ISO15118-2, ISO15118-20, OCPP" in answer.text) == (400, True)


@pytest.mark.parametrize("path", ["/ca/nobody.cer", "/ca/nobody.pem", "/ca/nobody", "/ca/nobody/chain.pem", "/crl/nobody.crl"])  # fmt: skip
def test_an_unknown_ca_is_not_found(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.text) == (404, "there is no CA nobody\n")


# CRLs


def test_every_ca_that_may_sign_crls_has_a_full_one_and_its_parts(world: World, client: httpx.Client) -> None:
    for issuer in world.issuers.standing().cas.values():
        for path in (f"/crl/{issuer.slug}.crl", f"/crl/{issuer.slug}/0.crl", f"/crl/{issuer.slug}/15.crl"):
            answer = client.get(path)
            if not issuer.profile.signs_crls:
                assert answer.status_code == 404
                assert "ask http://127.0.0.1:15118/ocsp" in answer.text
                continue
            assert answer.headers["content-type"] == "application/pkix-crl"
            crl = x509.load_der_x509_crl(answer.content)
            assert crl.is_signature_valid(issuer.certificate.public_key)
            assert crl_findings(answer.content) == []


def test_a_revoked_certificate_is_on_the_full_crl_and_on_the_part_that_it_names(
    publishing: Publishing, client: httpx.Client
) -> None:
    world = publishing.world
    entry = world.issue("OEM_PROV_20", "pcid001")
    (place,) = entry.read().crl_addresses
    full = "/crl/oem-sub2-20.crl"
    assert [_line(client, path, entry) for path in (place, full)] == [None, None]
    world.authority.revoke([entry], Reason.KEY_COMPROMISE, door="test")
    world.clock.turn(seconds=1)
    for path in (place, full):
        line = _line(client, path, entry)
        assert line is not None
        assert line.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.key_compromise
    others = [f"/crl/oem-sub2-20/{shard}.crl" for shard in range(16)]
    assert sum(_line(client, path, entry) is not None for path in others) == 1


def test_crl_numbers_only_grow(publishing: Publishing, client: httpx.Client) -> None:
    world = publishing.world
    numbers = []
    for step in range(4):
        world.authority.revoke([world.issue("SECC_2", f"secc{step}")], Reason.SUPERSEDED, door="test")
        # Also where the clock goes back.
        world.clock.turn(seconds=1 if step < 2 else -60)
        numbers.append(_crl(client, "/crl/cpo-sub2-2.crl").extensions.get_extension_for_class(x509.CRLNumber))
    values = [number.value.crl_number for number in numbers]
    assert values == sorted(set(values))


def test_a_crl_is_signed_once_and_again_only_when_it_changes(publishing: Publishing, client: httpx.Client) -> None:
    world = publishing.world
    entry = world.issue("SECC_2", "secc001")
    paths = [f"/crl/cpo-sub2-2/{shard}.crl" for shard in range(16)]
    before = {path: client.get(path).content for path in paths}
    assert publishing.keyring.signed == {"cpo-sub2-2": 16}
    world.authority.revoke([entry], Reason.SUPERSEDED, door="test")
    world.clock.turn(seconds=1)
    after = {path: client.get(path).content for path in paths}
    assert publishing.keyring.signed == {"cpo-sub2-2": 17}
    assert [path for path in paths if before[path] != after[path]] == [entry.read().crl_addresses[0].removeprefix(BASE)]


def test_a_crl_is_signed_again_when_a_third_of_its_life_has_gone(publishing: Publishing, client: httpx.Client) -> None:
    first = _crl(client, "/crl/cpo-sub2-2.crl")
    publishing.world.clock.turn(hours=55)
    assert _crl(client, "/crl/cpo-sub2-2.crl") == first
    publishing.world.clock.turn(hours=2)
    second = _crl(client, "/crl/cpo-sub2-2.crl")
    assert second.next_update_utc is not None
    assert first.next_update_utc is not None
    assert second.next_update_utc - first.next_update_utc >= timedelta(hours=57)


def test_a_crl_that_takes_long_to_make_rests_but_for_less_than_a_minute(publishing: Publishing) -> None:
    # Else many revocations in a row would keep a processor busy with nothing but a large CRL.
    world, client = publishing.world, publishing.client
    revoked_by = world.ledger.revoked_by

    def slow(issuer: int) -> list[Revocation]:
        world.clock.turn(seconds=1)
        return revoked_by(issuer)

    world.ledger.revoked_by = slow
    first = client.get("/crl/cpo-sub2-2.crl").content
    world.authority.revoke([world.issue("SECC_2", "secc001")], Reason.SUPERSEDED, door="test")
    world.clock.turn(seconds=5)
    assert client.get("/crl/cpo-sub2-2.crl").content == first
    world.clock.turn(seconds=6)
    assert client.get("/crl/cpo-sub2-2.crl").content != first


def test_only_one_of_many_clients_has_a_crl_made(publishing: Publishing) -> None:
    with ThreadPoolExecutor(8) as pool:
        crls = set(pool.map(lambda _: publishing.publisher.lists.read("cpo-sub2-2", None).octets, range(64)))
    assert len(crls) == 1
    assert publishing.signatures == 1


def test_while_a_crl_is_made_the_others_get_the_one_before(publishing: Publishing) -> None:
    world, lists = publishing.world, publishing.publisher.lists
    before = lists.read("cpo-sub2-2", None)
    world.authority.revoke([world.issue("SECC_2", "secc001")], Reason.SUPERSEDED, door="test")
    world.clock.turn(seconds=1)
    reading, finish = threading.Event(), threading.Event()
    revoked_by = world.ledger.revoked_by

    def waiting(issuer: int) -> list[Revocation]:
        reading.set()
        finish.wait(10)
        return revoked_by(issuer)

    world.ledger.revoked_by = waiting
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(lists.read, "cpo-sub2-2", None)
        assert reading.wait(10)
        assert lists.read("cpo-sub2-2", None) is before
        finish.set()
        assert made.result().octets != before.octets


@pytest.mark.parametrize("shard", ["16", "-1", "x", "00001", "٣"])
def test_there_is_no_part_beyond_the_last(client: httpx.Client, shard: str) -> None:
    answer = client.get(f"/crl/cpo-sub2-2/{shard}.crl")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/plain; charset=utf-8")


def test_a_ca_whose_key_is_elsewhere_has_no_crl_here(world: World) -> None:
    _without_key(world, "cpo-sub2-2")
    answer = Publishing(world).client.get("/crl/cpo-sub2-2.crl")
    assert (answer.status_code, "published by whoever holds it" in answer.text) == (404, True)


def test_a_foreign_key_under_the_cas_label_signs_nothing(world: World) -> None:
    world.keyring._loaded["cpo-sub2-2"] = world.keyring.signer("cpo-sub1-2")
    answer = Publishing(world).client.get("/crl/cpo-sub2-2.crl")
    assert (answer.status_code, "cpo" in answer.text) == (503, False)


def test_crls_are_cached_for_less_than_a_minute_and_asked_for_by_tag(client: httpx.Client) -> None:
    answer = client.get("/crl/cpo-sub2-2.crl")
    crl = x509.load_der_x509_crl(answer.content)
    assert answer.headers["cache-control"] == "max-age=30, public, no-transform, must-revalidate"
    assert crl.next_update_utc is not None
    assert answer.headers["last-modified"] == f"{crl.last_update_utc:%a, %d %b %Y %H:%M:%S} GMT"
    assert answer.headers["expires"] == f"{crl.next_update_utc:%a, %d %b %Y %H:%M:%S} GMT"
    again = client.get("/crl/cpo-sub2-2.crl", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", answer.headers["etag"])


def test_cas_with_one_name_and_key_share_their_revocations(world: World) -> None:
    # A relying party cannot tell them apart: a CRL that lacked the other's lines would call what it revoked good.
    entry = world.issue("SECC_2", "secc001")
    world.authority.revoke([entry], Reason.SUPERSEDED, door="test")
    twin = _renewed_ca(world, "cpo-sub2-2")
    publishing = Publishing(world)
    assert _line(publishing.client, f"/crl/{twin.slug}.crl", entry) is not None
    assert _statuses(_post(publishing.client, request(cert_id(twin.certificate, entry.serial)))) == [REVOKED]


# OCSP


def test_one_responder_answers_for_every_ca_by_get_and_by_post(world: World, client: httpx.Client) -> None:
    for issuer in world.issuers.standing().cas.values():
        signer = world.issuers.standing().newest[f"ocsp-{issuer.slug}"].entry
        for hash_ in ("sha1", "sha256", "sha384", "sha512"):
            octets = request(cert_id(issuer.certificate, signer.serial, hash_))
            posted, got = _post(client, octets), _get(client, octets)
            assert posted.content == got.content
            assert posted.headers["content-type"] == got.headers["content-type"] == OCSP
            assert _statuses(posted) == [GOOD]
        assert ocsp_findings(posted.content) == []


def test_get_takes_the_request_however_it_is_written_into_the_path(world: World, client: httpx.Client) -> None:
    issuer = world.issuers.standing().by_slug["cpo-sub2-2"].certificate
    # Serial numbers that bring "+", "/" and "//" into the base64.
    texts = [base64.b64encode(request(cert_id(issuer, serial))).decode() for serial in range(1 << 64, (1 << 64) + 300)]
    texts += [base64.b64encode(request(cert_id(issuer, serial << 40 | (1 << 40) - 1))).decode() for serial in (1, 2, 3)]
    assert any("+" in text for text in texts)
    assert any("//" in text for text in texts)
    for text in texts:
        for path in {text, quote(text, safe=""), quote(text), "/" + text, text.rstrip("="), text.replace("+", " ")}:
            assert _statuses(client.get(f"/ocsp/{path}")) == [UNKNOWN], path


@pytest.mark.parametrize("path", ["/ocsp/", "/ocsp/MEk", "/ocsp/%00", "/ocsp/M%C3%A4", "/ocsp/!", "/ocsp/a/b/c"])
def test_what_is_no_request_in_the_path_is_malformed(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.content) == (200, b"\x30\x03\x0a\x01\x01")
    assert answer.headers["cache-control"] == "no-store"


def test_a_revocation_is_seen_within_a_second_and_nothing_else_is_signed_again(publishing: Publishing) -> None:
    world, client = publishing.world, publishing.client
    entries = [world.issue("SECC_20", f"secc{number}") for number in range(3)]
    questions = [request(cert_id(_issuer(world, entry), entry.serial)) for entry in entries]
    before = [_post(client, question).content for question in questions * 3]
    assert publishing.signatures == 3
    world.authority.revoke(entries[:1], Reason.KEY_COMPROMISE, door="test")
    world.clock.turn(seconds=0.5)
    after = [_post(client, question) for question in questions * 3]
    assert [_statuses(answer)[0] for answer in after] == [REVOKED, GOOD, GOOD] * 3
    assert publishing.signatures == 4
    assert [answer.content for answer in after[1:3]] == before[1:3]


def test_the_ledger_is_asked_only_when_something_may_have_changed(publishing: Publishing) -> None:
    world = publishing.world
    entry = world.issue("SECC_2", "secc001")
    question = request(cert_id(_issuer(world, entry), entry.serial))
    asked = []
    revision, statuses = world.ledger.revision, world.ledger.statuses
    world.ledger.revision = lambda: asked.append("revision") or revision()
    world.ledger.statuses = lambda *all_: asked.append("statuses") or statuses(*all_)
    for _ in range(50):
        _post(publishing.client, question)
    world.clock.turn(seconds=1)
    for _ in range(50):
        _post(publishing.client, question)
    assert asked[:2] == ["revision", "statuses"]
    assert asked.count("statuses") == 1
    # At most twice a second: the fifty took less than one.
    assert 2 <= asked.count("revision") <= 6


def test_an_answer_is_signed_again_after_half_of_its_life(publishing: Publishing) -> None:
    world = publishing.world
    entry = world.issue("SECC_2", "secc001")
    question = request(cert_id(_issuer(world, entry), entry.serial))
    first = _post(publishing.client, question).content
    world.clock.turn(hours=11)
    assert _post(publishing.client, question).content == first
    world.clock.turn(hours=2)
    assert _post(publishing.client, question).content != first


def test_no_answer_outlives_its_signer(publishing: Publishing) -> None:
    world = publishing.world
    entry = world.issue("OEM_PROV_2", "pcid001")
    signer = world.issuers.standing().newest["ocsp-oem-sub2-2"].entry
    world.clock.offset = signer.not_after - timedelta(hours=3) - (world.clock() - world.clock.offset)
    answer = pyca.load_der_ocsp_response(
        _post(publishing.client, request(cert_id(_issuer(world, entry), entry.serial))).content
    )
    assert answer.next_update_utc == signer.not_after


def test_each_nonce_gets_a_signature_of_its_own(publishing: Publishing) -> None:
    entry = publishing.world.issue("SECC_2", "secc001")
    question = request(cert_id(_issuer(publishing.world, entry), entry.serial), extensions=nonce(b"12345678"))
    for count in (1, 2):
        for answer in (_post(publishing.client, question), _get(publishing.client, question)):
            value = pyca.load_der_ocsp_response(answer.content).extensions.get_extension_for_class(x509.OCSPNonce)
            assert value.value.nonce == b"12345678"
        assert answer.headers["cache-control"] == "no-store"
        assert publishing.signatures == 2 * count


def test_answers_to_get_tell_caches_what_rfc_5019_wants(world: World, client: httpx.Client) -> None:
    entry = world.issue("SECC_2", "secc001")
    question = request(cert_id(_issuer(world, entry), entry.serial))
    answer = _get(client, question)
    read = pyca.load_der_ocsp_response(answer.content)
    assert answer.headers["cache-control"] == "max-age=1, public, no-transform, must-revalidate"
    assert answer.headers["last-modified"] == f"{read.this_update_utc:%a, %d %b %Y %H:%M:%S} GMT"
    assert answer.headers["expires"] == f"{read.next_update_utc:%a, %d %b %Y %H:%M:%S} GMT"
    names = [name.lower() for name in answer.headers]
    assert names.index("cache-control") < names.index("expires")
    again = _get(client, question, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "etag" not in _post(client, question).headers


def test_what_is_not_on_record_is_unknown_until_it_is_issued(publishing: Publishing) -> None:
    issuer = publishing.world.issuers.standing().by_slug["cpo-sub2-2"]
    serials = [0, -1, 1, 1 << 158, (1 << 160) + 1, 1 << 4000]
    answer = _get(publishing.client, request(*(cert_id(issuer.certificate, serial) for serial in serials)))
    assert _statuses(answer) == [UNKNOWN] * len(serials)
    assert answer.headers["cache-control"] == "no-store"
    read = pyca.load_der_ocsp_response(answer.content)
    lives = {single.next_update_utc - single.this_update_utc for single in read.responses if single.next_update_utc}
    assert lives == {timedelta(minutes=1)}


def test_several_certificates_of_one_ca_are_answered_in_one(world: World, client: httpx.Client) -> None:
    entries = [world.issue("SECC_2", f"secc{number}") for number in range(3)]
    world.authority.revoke(entries[1:2], Reason.SUPERSEDED, door="test")
    issuer = _issuer(world, entries[0])
    ids = [cert_id(issuer, entry.serial, hash_) for entry in entries for hash_ in ("sha1", "sha256")]
    assert _statuses(_post(client, request(*ids))) == [GOOD, GOOD, REVOKED, REVOKED, GOOD, GOOD]


def test_what_is_not_ours_to_say_is_unauthorized(world: World, client: httpx.Client) -> None:
    cas = world.issuers.standing().by_slug
    one, other = cas["cpo-sub2-2"].certificate, cas["cpo-sub2-20"].certificate
    stranger = cert_id(one, 1).replace(hashlib.sha1(one.subject_der).digest(), bytes(20))
    sha224 = cert_id(one, 1, "sha256").replace(der.oid(HASH_OIDS["sha256"]), der.oid("2.16.840.1.101.3.4.2.4"))
    for ids in ([stranger], [cert_id(one, 1), cert_id(other, 1)], [cert_id(one, 1), stranger], [sha224]):
        assert _error(_post(client, request(*ids))) is ResponseStatus.UNAUTHORIZED


def test_without_a_valid_signer_the_client_shall_try_later(
    publishing: Publishing, caplog: pytest.LogCaptureFixture
) -> None:
    world = publishing.world
    entry = world.issue("OEM_PROV_2", "pcid001")
    question = request(cert_id(_issuer(world, entry), entry.serial))
    world.clock.turn(days=100)
    assert _error(_post(publishing.client, question)) is ResponseStatus.TRY_LATER
    (line,) = caplog.records
    assert (line.getMessage(), line.why) == (
        "ocsp.unanswered",
        "the CA oem-sub2-2 has no valid OCSP signer: make one with 'voltroot pki init'",
    )
    world.ceremony.renew()
    assert _statuses(_post(publishing.client, question)) == [GOOD]


def test_a_revoked_signer_signs_nothing_and_what_it_signed_is_not_handed_out(publishing: Publishing) -> None:
    world = publishing.world
    entry = world.issue("OEM_PROV_2", "pcid001")
    question = request(cert_id(_issuer(world, entry), entry.serial))
    assert _statuses(_post(publishing.client, question)) == [GOOD]
    signer = world.issuers.standing().newest["ocsp-oem-sub2-2"].entry
    world.authority.revoke([signer], Reason.KEY_COMPROMISE, door="test")
    world.clock.turn(seconds=1)
    assert _error(_post(publishing.client, question)) is ResponseStatus.TRY_LATER


def test_a_ledger_that_does_not_answer_means_try_later(publishing: Publishing) -> None:
    def unavailable() -> int:
        raise Unavailable("the ledger's database does not answer: disk I/O error")

    issuer = publishing.world.issuers.standing().by_slug["cpo-sub2-2"].certificate
    publishing.world.ledger.revision = unavailable
    answer = _post(publishing.client, request(cert_id(issuer, 1)))
    assert _error(answer) is ResponseStatus.TRY_LATER
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
    first, second, third = (request(cert_id(_issuer(world, entry), entry.serial)) for entry in entries)
    for question in (first, second, first, third, first):
        _post(publishing.client, question)
    assert publishing.signatures == 3
    _post(publishing.client, second)
    assert publishing.signatures == 4


# Health, readiness, metrics


def test_a_complete_pki_is_ready(client: httpx.Client) -> None:
    assert client.get("/health").json() == {"status": "alive"}
    answer = client.get("/ready")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


def test_without_cas_nothing_is_ready(tmp_path) -> None:
    answer = Publishing(World.bare(tmp_path)).client.get("/ready")
    assert (answer.status_code, answer.json()["reasons"]) == (503, ["there are no CAs: run 'voltroot pki init'"])


def test_expired_cas_signers_and_missing_keys_are_not_ready(world: World) -> None:
    world.keyring.path("mo-sub2-2").unlink()
    world.clock.turn(days=100)
    publishing = Publishing(world)
    reasons = publishing.client.get("/ready").json()["reasons"]
    assert "the CA mo-sub2-2 cannot sign: the keyring has no key mo-sub2-2" in reasons
    assert "the CA v2g-root-2 has no valid OCSP signer" in reasons
    assert publishing.client.get("/health").status_code == 200
    world.clock.turn(days=2 * 365)
    reasons = publishing.client.get("/ready").json()["reasons"]
    assert "the certificate of the CA cpo-sub2-2 is revoked or has expired" in reasons


def test_a_silent_ledger_is_not_ready(world: World) -> None:
    def unavailable() -> list[object]:
        raise Unavailable("the ledger's database does not answer: locked")

    publishing = Publishing(world)
    world.ledger.credentials = unavailable
    answer = publishing.client.get("/ready")
    assert (answer.status_code, answer.json()["reasons"]) == (503, ["the ledger's database does not answer: locked"])


def test_metrics_count_answers_and_signatures_and_tell_when_credentials_expire(publishing: Publishing) -> None:
    world, client = publishing.world, publishing.client
    entry = world.issue("SECC_2", "secc001")
    for _ in range(3):
        _post(client, request(cert_id(_issuer(world, entry), entry.serial)))
    _post(client, b"")
    client.get("/crl/cpo-sub2-2.crl")
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.text.splitlines()
    assert 'voltroot_ocsp_answers_total{status="good"} 3.0' in lines
    assert 'voltroot_ocsp_answers_total{status="malformed_request"} 1.0' in lines
    assert "voltroot_ocsp_signed_total 1.0" in lines
    assert "voltroot_crl_signed_total 1.0" in lines
    gauges = [line for line in lines if line.startswith("voltroot_credential_not_after_seconds{")]
    assert len(gauges) == len(world.issuers.standing().newest)


# Errors


def test_every_failure_has_an_answer() -> None:
    kinds = [kind for kind in vars(failures).values() if isinstance(kind, type) and issubclass(kind, Failure)]
    for kind in kinds:
        if kind is not Failure:
            failure = kind("x", "y") if kind is failures.MissingField else kind("x")
            assert errors.answer(failure) != (500, errors.INTERNAL), kind


def _get(client: httpx.Client, octets: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
    return client.get("/ocsp/" + quote(base64.b64encode(octets).decode(), safe=""), headers=headers)


def _post(client: httpx.Client, octets: bytes) -> httpx.Response:
    answer = client.post("/ocsp", content=octets, headers={"Content-Type": "application/ocsp-request"})
    assert answer.status_code == 200
    return answer


def _statuses(answer: httpx.Response) -> list[pyca.OCSPCertStatus]:
    return [single.certificate_status for single in pyca.load_der_ocsp_response(answer.content).responses]


def _error(answer: httpx.Response) -> ResponseStatus:
    return ResponseStatus(pyca.load_der_ocsp_response(answer.content).response_status.value)


def _issuer(world: World, entry: Entry) -> Certificate:
    return world.chain(entry)[1]


def _crl(client: httpx.Client, path: str) -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl(client.get(path).content)


def _line(client: httpx.Client, path: str, entry: Entry) -> x509.RevokedCertificate | None:
    return _crl(client, path).get_revoked_certificate_by_serial_number(entry.serial)


def _pem(answer: httpx.Response) -> list[bytes]:
    assert answer.status_code == 200
    return [octets for _label, octets in read_pem(answer.text)]


def _renewed_ca(world: World, slug: str) -> Issuer:
    """A second certificate for the key and name of a CA."""
    standing = world.issuers.standing()
    issuer = standing.by_slug[slug]
    parent = standing.cas[next(each.entry.issuer for each in standing.credentials if each.slug == slug)]
    key = issuer.certificate.public_key
    order = Order(issuer.profile, issuer.certificate.subject, key, door="test", issuer=parent.slug)
    credential = world.ledger.add_credential(world.authority.issue(order).number, CA, slug, issuer.key)
    world.issuers.reload()
    return world.issuers.standing().by_slug[credential.slug]


def _without_key(world: World, slug: str) -> None:
    """Leave only the certificate of a CA."""
    with writing(world.engine) as connection:
        connection.execute(update(credentials).where(credentials.c.slug == slug).values(key=None))
    world.issuers.reload()
