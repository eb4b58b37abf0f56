"""A backend of many processes, killed again and again under load, keeps its word and refuses nothing for ever."""

from __future__ import annotations

import base64
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12
from cryptography.x509 import ocsp
from sqlalchemy import Engine, text

import ocsp_requests
import postgres
from backend import Backend, Client, configured
from stories.crowd import Asked, Holder, Verb, crowd
from voltroot.pki.certificates import Certificate
from voltroot.store.engine import open_engine, sqlite_url

# How long a reservation may stand in the way after a crash, in seconds.
LEASE = 10
PFX = "/api/v2/cpo/downloadSeccCert"
ISSUERS = {"cpo": "cpo-sub2-2", "oem": "oem-sub2-2"}


class Row(NamedTuple):
    """What the ledger says of one certificate."""

    number: int
    issuer: int | None
    serial: int
    state: str
    key: bytes
    content: bytes


def rows(ledger: Engine) -> list[Row]:
    """Read the ledger behind the backend's back."""
    query = "SELECT number, issuer, serial, state, key, content FROM certificates"
    with ledger.connect() as connection:
        found = connection.execute(text(query)).all()
    return [Row(number, issuer, int.from_bytes(serial), *rest) for number, issuer, serial, *rest in found]


@pytest.fixture(params=["sqlite", "postgresql"])
def killed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Backend, Engine]]:
    """A running backend of four processes, and its ledger."""
    options, backend = ("--processes", "4"), Backend(tmp_path / "backend")
    url = sqlite_url(backend.data / "ledger.db")
    if request.param == "postgresql":
        cluster = postgres.cluster()
        url = cluster.address(cluster.create())
        options += configured(tmp_path, url)
    backend.options = options
    ledger = open_engine(url)
    try:
        yield backend.start(), ledger
    finally:
        backend.discard()
        ledger.dispose()


@pytest.mark.slow
@pytest.mark.parametrize("kills", [5, pytest.param(100, marks=pytest.mark.soak)])
def test_a_backend_that_is_killed_under_load_keeps_its_word(killed: tuple[Backend, Engine], kills: int) -> None:
    own_backend, ledger = killed
    with crowd(own_backend) as workers:
        for kill in range(kills):
            deadline = time.monotonic() + 60
            while sum(len(holder.told) for worker in workers for holder in worker.holders) < 50 * (kill + 1):
                assert time.monotonic() < deadline, "nobody gets an answer"
                time.sleep(0.01)
            time.sleep(random.uniform(0.05, 0.6))
            own_backend.kill()
            own_backend.start()
        leases_end = time.monotonic() + LEASE + 2
        time.sleep(0.3)
    assert [refusal for worker in workers for refusal in worker.refusals] == []
    holders = [holder for worker in workers for holder in worker.holders if holder.told or holder.open]
    left_open = [holder for holder in holders if holder.open]
    assert len(left_open) >= kills, "it was killed while nobody was waiting: that proves nothing"

    with Client(own_backend.port) as client:
        what_was_told_is_on_record(holders, rows(ledger))
        what_was_revoked_stays_revoked(holders, own_backend)
        time.sleep(max(0, leases_end - time.monotonic()))
        for holder in left_open:
            what_was_left_open_can_be_had(holder, client)
        for holder in holders:
            assert holder.look(client).der == holder.told[-1].der
        keys_can_be_had_again(holders, client)

    found = rows(ledger)
    what_was_told_is_on_record(holders, found)
    nothing_is_there_twice_or_reserved(found)
    what_is_on_record_is_signed(found)
    own_backend.stop()
    what_was_logged_is_on_record(own_backend, found)
    the_database_is_whole(ledger)
    told, revoked = sum(len(holder.told) for holder in holders), sum(len(holder.revoked) for holder in holders)
    states = dict(Counter(row.state for row in found))
    print(f"{kills} kills, {len(left_open)} requests left open, {told} certificates told, {revoked} revoked: {states}")


def what_was_told_is_on_record(holders: Iterable[Holder], found: Iterable[Row]) -> None:
    """Every acknowledged certificate is there octet for octet, and revoked if and only if that was acknowledged."""
    by_serial = {row.serial: row for row in found}
    for holder in holders:
        for certificate in holder.told:
            row = by_serial[certificate.serial]
            assert row.content == certificate.der
            if certificate.serial in holder.revoked:
                assert row.state == "revoked", holder
            elif holder.open is None:
                assert row.state == "valid", holder


def what_was_revoked_stays_revoked(holders: Iterable[Holder], backend: Backend) -> None:
    """OCSP says revoked of what was acknowledged as revoked, and good of the rest."""
    for role, slug in ISSUERS.items():
        issuer = Certificate.read(backend.fetch(f"/ca/{slug}.cer"))
        own = [holder for holder in holders if holder.role == role and holder.open is None]
        expected = {
            certificate.serial: ocsp.OCSPCertStatus.REVOKED
            if certificate.serial in holder.revoked
            else ocsp.OCSPCertStatus.GOOD
            for holder in own
            for certificate in holder.told
        }
        assert set(expected.values()) == {ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.GOOD}
        for serials in batches(expected, 20):
            request = ocsp_requests.request(*(ocsp_requests.cert_id(issuer, serial) for serial in serials))
            answer = backend.call("POST", "/ocsp", request, "application/ocsp-request")
            said = {single.serial_number: single.certificate_status for single in statuses(answer.body)}
            assert said == {serial: expected[serial] for serial in serials}


def statuses(octets: bytes) -> Iterator[ocsp.OCSPSingleResponse]:
    return ocsp.load_der_ocsp_response(octets).responses


def batches(items: Iterable[int], size: int) -> Iterator[list[int]]:
    each = iter(items)
    while batch := list(islice(each, size)):
        yield batch


def what_was_left_open_can_be_had(holder: Holder, client: Client) -> None:
    """Asking again either succeeds, or the certificate is there already: then a download shows it."""
    asked, holder.open = holder.open, None
    assert asked is not None
    answer = holder.send(client, asked)
    done = holder.note(asked, answer)
    if asked.verb is Verb.REVOKE:
        assert answer.data["resultCode"] in ("4000", "4002")
        free = Asked(Verb.ISSUE)
        assert holder.note(free, holder.send(client, free)), "the name of a revoked certificate is free"
    elif not done:
        occupied = "occupied" in answer.refusal
        certified = "public key has been certified" in answer.refusal
        assert (occupied and asked.verb is Verb.ISSUE) or (certified and asked.key), answer
        holder.told.append(holder.look(client))
    if asked.key is not None:
        assert holder.told[-1].spki == asked.key


def keys_can_be_had_again(holders: Iterable[Holder], client: Client) -> None:
    """The private keys that were made here are still in escrow, each with its own certificate."""
    mine = [
        certificate
        for holder in holders
        for certificate in holder.told
        if holder.role == "cpo" and certificate.serial in holder.by_id
    ]
    for certificate in random.sample(mine, min(len(mine), 50)):
        data = client.call("POST", PFX, {"serial": str(certificate.serial), "password": "123123"}).data
        key, own, _ = pkcs12.load_key_and_certificates(base64.b64decode(data["pfxCert"]), b"123123")
        assert key is not None
        assert own is not None
        assert own.public_bytes(Encoding.DER) == certificate.der
        assert key.public_key() == own.public_key()


def nothing_is_there_twice_or_reserved(found: list[Row]) -> None:
    """No serial number twice, no key twice among what is not void, and no reservation outlives its lease."""
    assert [serial for serial, count in Counter(row.serial for row in found).items() if count > 1] == []
    keys = Counter(row.key for row in found if row.state != "void")
    assert [key for key, count in keys.items() if count > 1] == []
    assert {row.state for row in found} <= {"valid", "revoked", "void"}


def what_is_on_record_is_signed(found: list[Row]) -> None:
    """Every certificate on record holds under the key of its issuer on record."""
    issuers = {row.number: Certificate.read(row.content).public_key for row in found if row.state == "valid"}
    for row in found:
        if row.state != "void" and row.issuer is not None:
            assert Certificate.read(row.content).signed_by(issuers[row.issuer])


def what_was_logged_is_on_record(backend: Backend, found: list[Row]) -> None:
    """No certificate that the log knows is unknown to the ledger."""
    recorded = {str(row.serial) for row in found if row.state != "void"}
    issued = {event["serial"] for event in backend.events("certificate.issued")}
    assert issued
    assert issued <= recorded


def the_database_is_whole(ledger: Engine) -> None:
    """SQLite finds nothing wrong with its file, and no void certificate has a key in escrow."""
    with ledger.connect() as connection:
        if ledger.dialect.name == "sqlite":
            assert connection.execute(text("PRAGMA integrity_check")).scalars().all() == ["ok"]
            assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
        join = "SELECT count(*) FROM escrow JOIN certificates ON certificate = number WHERE state = 'void'"
        assert connection.execute(text(join)).scalar() == 0
