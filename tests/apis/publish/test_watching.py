"""Health, readiness, metrics, and how failures are told."""

from __future__ import annotations

import httpx2 as httpx

from ocsp_requests import cert_id, request
from publishing import Publishing, ask_post, issuer_of
from voltroot import errors as failures
from voltroot.apis.publish import errors
from voltroot.errors import Failure, Unavailable
from world import World


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
        ask_post(client, request(cert_id(issuer_of(world, entry), entry.serial)))
    ask_post(client, b"")
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


def test_every_failure_has_an_answer() -> None:
    kinds = [kind for kind in vars(failures).values() if isinstance(kind, type) and issubclass(kind, Failure)]
    for kind in kinds:
        if kind is not Failure:
            failure = kind("x", "y") if kind is failures.MissingField else kind("x")
            assert errors.answer(failure) != (500, errors.INTERNAL), kind
