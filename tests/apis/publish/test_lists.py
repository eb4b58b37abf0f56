"""CRLs over HTTP: whole and in parts, signed when they change, cached in between."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx2 as httpx
import pytest
from cryptography import x509
from cryptography.x509 import ocsp as pyca
from sqlalchemy import update

from ocsp_requests import cert_id, request
from pkilinting import crl_findings
from publishing import Publishing, ask_post, crl_line, fetch_crl, statuses
from voltroot.pki.drafts import Issuer, Order
from voltroot.pki.issuers import CA
from voltroot.pki.ports import Reason, Revocation
from voltroot.store.engine import writing
from voltroot.store.tables import credentials
from world import BASE, World


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
    assert [crl_line(client, path, entry) for path in (place, full)] == [None, None]
    world.authority.revoke([entry], Reason.KEY_COMPROMISE, door="test")
    world.clock.turn(seconds=1)
    for path in (place, full):
        line = crl_line(client, path, entry)
        assert line is not None
        assert line.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.key_compromise
    others = [f"/crl/oem-sub2-20/{shard}.crl" for shard in range(16)]
    assert sum(crl_line(client, path, entry) is not None for path in others) == 1


def test_crl_numbers_only_grow(publishing: Publishing, client: httpx.Client) -> None:
    world = publishing.world
    numbers = []
    for step in range(4):
        world.authority.revoke([world.issue("SECC_2", f"secc{step}")], Reason.SUPERSEDED, door="test")
        # Also where the clock goes back.
        world.clock.turn(seconds=1 if step < 2 else -60)
        numbers.append(fetch_crl(client, "/crl/cpo-sub2-2.crl").extensions.get_extension_for_class(x509.CRLNumber))
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
    first = fetch_crl(client, "/crl/cpo-sub2-2.crl")
    publishing.world.clock.turn(hours=55)
    assert fetch_crl(client, "/crl/cpo-sub2-2.crl") == first
    publishing.world.clock.turn(hours=2)
    second = fetch_crl(client, "/crl/cpo-sub2-2.crl")
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
    assert crl_line(publishing.client, f"/crl/{twin.slug}.crl", entry) is not None
    assert statuses(ask_post(publishing.client, request(cert_id(twin.certificate, entry.serial)))) == [
        pyca.OCSPCertStatus.REVOKED
    ]


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


def test_what_a_clock_that_was_ahead_has_signed_is_signed_again(publishing: Publishing, client: httpx.Client) -> None:
    world = publishing.world
    entry = world.issue("SECC_2", "secc001")
    (place,) = entry.read().crl_addresses
    octets = request(cert_id(world.issuers.standing().cas[entry.issuer or 0].certificate, entry.serial))

    def begins() -> list[datetime]:
        answer = pyca.load_der_ocsp_response(ask_post(client, octets).content)
        return [fetch_crl(client, place).last_update_utc, answer.this_update_utc]

    world.clock.turn(hours=1)
    assert max(begins()) > datetime.now(UTC)
    world.clock.turn(hours=-1)
    assert max(begins()) <= datetime.now(UTC)
    made = publishing.signatures
    begins()
    assert publishing.signatures == made
