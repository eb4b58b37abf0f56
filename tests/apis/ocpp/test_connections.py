"""Who may connect, and how: the security profiles (A00), over real WebSockets with TLS."""

from __future__ import annotations

import contextlib
import ssl
import subprocess
from collections.abc import Iterator
from datetime import timedelta

import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from stations import (
    OCPP_2_0_1,
    OCPP_2_1,
    PASSWORD,
    Office,
    Station,
    certificates,
    connected,
    from_factory,
    self_signed,
    signing_request,
    trusting,
)
from voltroot.app.config import Csms
from voltroot.pki.ports import Reason
from voltroot.pki.suites import P256_SHA256, RSA_SHA256, Suite
from world import World

pytestmark = pytest.mark.slow

AT_TLS = 0


@contextlib.contextmanager
def refused(*statuses: int) -> Iterator[None]:
    """The connection is not opened: at TLS, or by HTTP with one of these statuses."""
    try:
        yield
    except InvalidStatus as error:
        ended = error.response.status_code
    except (ssl.SSLError, ConnectionError, InvalidMessage, EOFError, ConnectionClosed):
        ended = AT_TLS
    else:
        pytest.fail("the connection was opened")
    assert ended in statuses


def accepted(station: Station) -> bool:
    return station.boot()["status"] == "Accepted"


@pytest.mark.parametrize("profile", [1, 2])
def test_TC_A_01_a_valid_password_lets_a_station_in(office: Office, profile: int) -> None:
    office.register(f"A01-{profile}", profile)
    with connected(office, f"A01-{profile}", profile) as station:
        assert accepted(station)


def test_TC_A_02_another_user_name_is_refused(office: Office) -> None:
    office.register("A02")
    with refused(401), connected(office, "A02", user="A02Invalid"):
        pass


def test_TC_A_03_a_wrong_password_is_refused_and_none_at_all(office: Office) -> None:
    office.register("A03")
    for password in ("another password", PASSWORD.upper(), "", None):
        with refused(401), connected(office, "A03", password=password):
            pass
    with connected(office, "A03") as station:
        assert accepted(station)


def test_a_station_that_is_not_in_the_registry_is_not_found(office: Office) -> None:
    with refused(404), connected(office, "NOBODY"):
        pass


def test_A00_FR_002_a_station_has_one_profile(office: Office) -> None:
    office.register("ONE", 2)
    with refused(403), connected(office, "ONE", 1):
        pass


SUITES = ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "AES128-GCM-SHA256", "AES256-GCM-SHA384")


@pytest.mark.parametrize("suite", SUITES)
def test_TC_A_04_each_of_the_four_suites_is_spoken_with_a_certificate_of_its_kind(office: Office, suite: str) -> None:
    office.register(f"A04-{suite}"[:48])
    context = trusting(office)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(suite)
    with connected(office, f"A04-{suite}"[:48], tls=context) as station:
        spoken = station.connection.tls
        assert (spoken.cipher() or ("",))[0] == suite
        subject = dict(part[0] for part in (spoken.getpeercert() or {})["subject"])  # type: ignore[misc]
        assert subject["commonName"] == "localhost"
        assert accepted(station)


def test_TC_A_06_older_versions_of_TLS_are_refused_and_1_2_works_afterwards(office: Office) -> None:
    office.register("A06")
    for version in ("-tls1", "-tls1_1"):
        done = subprocess.run(
            ["openssl", "s_client", version, "-cipher", "ALL:@SECLEVEL=0", "-connect", f"127.0.0.1:{office.ports[2]}"],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False,
        )  # fmt: skip
        assert done.returncode != 0
        assert b"Cipher is (NONE)" in done.stdout, done.stdout
    with connected(office, "A06") as station:
        assert accepted(station)


@pytest.mark.parametrize("kind", [P256_SHA256, RSA_SHA256], ids=lambda suite: suite.kind)
@pytest.mark.parametrize("suite", SUITES)
def test_TC_A_07_a_valid_client_certificate_lets_a_station_in_with_each_suite(
    office: Office, suite: str, kind: Suite
) -> None:
    identity = f"A07-{kind.kind}-{suite}"[:48]
    office.register(identity, 3)
    entry, key = office.certificate(identity, suite=kind)
    client = office.world.chain(entry)[:-1], key
    context = trusting(office, client)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(suite)
    with connected(office, identity, 3, client=client, tls=context) as station:
        assert (station.connection.tls.cipher() or ("",))[0] == suite
        assert accepted(station)


def test_A00_FR_403_sub_CAs_that_a_station_leaves_out_are_known_here(office: Office) -> None:
    office.register("ALONE", 3)
    entry, key = office.certificate("ALONE")
    with connected(office, "ALONE", 3, client=([entry.read()], key)) as station:
        assert accepted(station)


def test_TC_A_08_unknown_revoked_and_others_client_certificates_are_refused(office: Office) -> None:
    office.register("A08", 3)
    entry, key = office.certificate("A08")
    good = (office.world.chain(entry)[:-1], key)
    others, others_key = office.certificate("A08-OTHER")
    with refused(403), connected(office, "A08", 3, client=([others.read()], others_key)):
        pass
    with refused(AT_TLS), connected(office, "A08", 3):
        pass
    revoked, revoked_key = office.certificate("A08", renewal=True)
    office.world.ledger.revoke([revoked.number], Reason.KEY_COMPROMISE, door="test")
    with refused(403), connected(office, "A08", 3, client=([revoked.read()], revoked_key)):
        pass
    with connected(office, "A08", 3, client=good) as station:
        assert accepted(station)


def test_A00_FR_407_a_station_whose_certificate_is_revoked_is_sent_away_and_no_other(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    clients = {}
    for identity in ("BAD", "GOOD"):
        office.register(identity, 3)
        entry, key = office.certificate(identity)
        clients[identity] = entry, ([entry.read()], key)
    revoked, bad = clients["BAD"]
    with (
        connected(office, "BAD", 3, client=bad) as leaves,
        connected(office, "GOOD", 3, client=clients["GOOD"][1]) as stays,
    ):
        assert accepted(leaves)
        assert accepted(stays)
        office.world.ledger.revoke([revoked.number], Reason.KEY_COMPROMISE, door="test")
        with pytest.raises(ConnectionClosed) as closed:
            leaves.receive(10)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "the certificate is revoked")
        assert accepted(stays)
    with refused(403), connected(office, "BAD", 3, client=bad):
        pass
    # A00.FR.408
    events = [record for record in caplog.records if record.getMessage() == "station.security_event"]
    assert [(each.__dict__["station"], each.__dict__["type"]) for each in events] == [
        ("BAD", "InvalidChargingStationCertificate")
    ]


def test_TC_A_08_a_certificate_of_an_unknown_CA_is_refused_at_TLS(office: Office) -> None:
    office.register("A08-CA", 3)
    with refused(AT_TLS), connected(office, "A08-CA", 3, client=self_signed("SN-A08-CA")):
        pass


def test_A00_FR_404_the_organization_has_to_be_the_registrys(office: Office) -> None:
    office.register("ORG", 3, organization="Somebody Else")
    entry, key = office.certificate("ORG")
    with refused(403), connected(office, "ORG", 3, client=([entry.read()], key)):
        pass


def test_A00_FR_429_an_expired_certificate_is_taken_only_where_configured_and_renewed_first(office: Office) -> None:
    office.register("OLD", 3)
    entry, key = office.certificate("OLD")
    client = ([entry.read()], key)
    office.world.clock.turn(days=400)
    try:
        with refused(403), connected(office, "OLD", 3, client=client, tls=_timeless(office, client)):
            pass
        office.stations.change("OLD", expired_allowed=True)
        with connected(office, "OLD", 3, client=client, tls=_timeless(office, client)) as station:
            assert station.boot()["status"] == "Pending"
            asked = station.expect("TriggerMessage", {"status": "Accepted"})
            assert asked == {"requestedMessage": "SignChargingStationCertificate"}
            # TC_B_30, B02.FR.09: until then it is heard on nothing that it was not asked for.
            available = {"connectorStatus": "Available", "evseId": 1, "connectorId": 1}
            told = {"timestamp": "2026-03-01T10:00:00Z", **available}
            assert station.try_call("StatusNotification", told)[1][0] == "SecurityError"
            assert station.try_call("Heartbeat", {})[1][0] == "SecurityError"
            assert station.call("SignCertificate", {"csr": signing_request("SN-OLD")[0]}) == {"status": "Accepted"}
            station.expect("CertificateSigned", {"status": "Accepted"})
    finally:
        office.world.clock.offset = timedelta(0)


def test_A00_FR_406_a_manufacturers_certificate_is_taken_and_replaced_first(world: World) -> None:
    chain, key = from_factory("SN-NEW")
    file = world.folder / "manufacturer.pem"
    file.write_text(chain[1].pem)
    with Office(world, csms=Csms(client_cas=(str(file),))) as office:
        office.register("NEW", 3)
        with connected(office, "NEW", 3, client=(chain[:1], key)) as station:
            assert station.boot()["status"] == "Pending"
            station.expect("TriggerMessage", {"status": "Accepted"})
            csr, own = signing_request("SN-NEW")
            station.call("SignCertificate", {"csr": csr})
            made = certificates(station.expect("CertificateSigned", {"status": "Accepted"})["certificateChain"])
        with connected(office, "NEW", 3, client=(made, own)) as station:
            assert accepted(station)


def _timeless(office: Office, client: object) -> ssl.SSLContext:
    """The server's certificate is of another day, too: that is not what is tried here."""
    context = trusting(office, client)  # type: ignore[arg-type]
    context.verify_flags |= 0x200000
    return context


def test_the_version_that_the_station_likes_best_is_spoken(office: Office) -> None:
    office.register("VERSIONS")
    for offered, spoken in (([OCPP_2_1, OCPP_2_0_1], OCPP_2_1), (["ocpp1.6", OCPP_2_0_1], OCPP_2_0_1)):
        with connected(office, "VERSIONS", versions=offered) as station:
            assert station.connection.subprotocol == spoken
            assert accepted(station)


def test_compression_keeps_no_context(office: Office) -> None:
    office.register("DEFLATE")
    with connected(office, "DEFLATE") as station:
        answer = station.connection.response
        assert answer is not None
        extension = answer.headers["Sec-WebSocket-Extensions"]
        assert "server_no_context_takeover" in extension
        assert "client_no_context_takeover" in extension
        assert accepted(station)
