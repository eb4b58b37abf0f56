"""M06 and M07: what the CSMS finds out for stations; C07: whom it lets charge. With a foreign PKI and its responder."""

from __future__ import annotations

import base64
import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from stations import OCPP_2_1, Office, Station, connected, named
from voltroot.actors.registrar import claim
from voltroot.app.config import Csms, Trust
from voltroot.pki.certificates import Certificate
from voltroot.pki.fingerprints import HashAlgorithm
from voltroot.pki.ports import Entry, Reason
from world import World

pytestmark = pytest.mark.slow

_numbers = count()
UNSET = timedelta(0)


@dataclass
class Operator:
    """Another mobility operator: root, sub-CA, contracts, and a responder that answers by POST."""

    folder: Any
    port: int = 0
    asked: list[str] = field(default_factory=list)
    revoked: set[int] = field(default_factory=set)
    unknown: set[int] = field(default_factory=set)
    forged: bool = False
    silent: bool = False
    old: bool = False
    delegate: bool = True

    def __post_init__(self) -> None:
        self.keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("root", "sub", "leaf", "ocsp", "other")}
        operator = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self._send(operator.respond(body))

            def do_GET(self) -> None:
                self._send(operator.crl())

            def _send(self, octets: bytes) -> None:
                operator.asked.append(self.path)
                self.send_response(503 if operator.silent else 200)
                self.end_headers()
                self.wfile.write(octets)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.root = self._issue("root", "root", "Foreign MO Root", ca=True)
        self.sub = self._issue("root", "sub", "Foreign MO Sub", ca=True)
        self.signer = self._issue("sub", "ocsp", "Foreign OCSP", purpose=ExtendedKeyUsageOID.OCSP_SIGNING)
        (self.folder / "mo.pem").write_text(self.read(self.root).pem)
        (self.folder / "mo-sub.pem").write_text(self.read(self.sub).pem)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/ocsp"

    def contract(self, emaid: str = "DE8AA1A2B3C4D5", days: int = 90) -> x509.Certificate:
        self.keys["leaf"] = ec.generate_private_key(ec.SECP256R1())
        return self._issue("sub", "leaf", emaid, days=days)

    @staticmethod
    def read(certificate: x509.Certificate) -> Certificate:
        return Certificate.read(certificate.public_bytes(Encoding.DER))

    def question(
        self, certificate: x509.Certificate, algorithm: HashAlgorithm = HashAlgorithm.SHA256
    ) -> dict[str, str]:
        """OCSPRequestDataType."""
        issuer = self.root if certificate in (self.sub, self.root) else self.sub
        return named(self.read(certificate), self.read(issuer), algorithm) | {"responderURL": self.url}

    def respond(self, octets: bytes) -> bytes:
        asked = ocsp.load_der_ocsp_request(octets)
        now = datetime.now(UTC).replace(microsecond=0)
        if self.old and not isinstance(asked.hash_algorithm, hashes.SHA1):
            return ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.UNAUTHORIZED).public_bytes(
                Encoding.DER
            )
        revoked = asked.serial_number in self.revoked
        told = ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD
        if asked.serial_number in self.unknown:
            told = ocsp.OCSPCertStatus.UNKNOWN
        about_sub = asked.serial_number == self.sub.serial_number
        builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
            asked.issuer_name_hash, asked.issuer_key_hash, asked.serial_number, asked.hash_algorithm,
            told,
            now - timedelta(minutes=1), now + timedelta(days=30), now - timedelta(hours=1) if revoked else None, None,
        )  # fmt: skip
        if about_sub or not self.delegate:
            issuer, key = (self.root, "root") if about_sub else (self.sub, "sub")
        else:
            issuer, key = self.signer, "ocsp"
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.NAME, issuer).certificates([issuer])
        made = builder.sign(self.keys["other" if self.forged else key], hashes.SHA256())
        return made.public_bytes(Encoding.DER)

    def crl(self) -> bytes:
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder(self.sub.subject, now - timedelta(1), now + timedelta(1))
        for serial in self.revoked:
            builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder(serial, now).build())
        return builder.sign(self.keys["other" if self.forged else "sub"], hashes.SHA256()).public_bytes(Encoding.DER)

    def _issue(
        self, issuer: str, subject: str, name: str, *, ca: bool = False, days: int = 90, purpose: Any = None
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        above = getattr(self, issuer).subject if issuer != subject else _name(name)
        key = self.keys[subject].public_key()
        builder = x509.CertificateBuilder(
            above, _name(name), key, x509.random_serial_number(), now - timedelta(days=91), now + timedelta(days=days)
        )
        builder = builder.add_extension(x509.BasicConstraints(ca, None), critical=True)
        usage = [not ca, False, False, False, False, ca, ca, False, False]
        builder = builder.add_extension(x509.KeyUsage(*usage), critical=True)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.keys[issuer].public_key())
        builder = builder.add_extension(authority, critical=False)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        if purpose is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            builder = builder.add_extension(x509.OCSPNoCheck(), critical=False)
        elif issuer != subject:
            access = x509.AccessDescription(
                AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(self.url)
            )
            builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
        return builder.sign(self.keys[issuer], hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([
        x509.NameAttribute(NameOID.DOMAIN_COMPONENT, "MO"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Foreign"),
        x509.NameAttribute(NameOID.COMMON_NAME, text),
    ])  # fmt: skip


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    made = Operator(tmp_path_factory.mktemp("operator"))
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory, operator: Operator) -> Iterator[Office]:
    world = World.made(tmp_path_factory.mktemp("csms"))
    trust = Trust(mo=(str(operator.folder / "mo.pem"),), sub_cas=(str(operator.folder / "mo-sub.pem"),))
    with Office(world, csms=Csms(fetch_networks=("127.0.0.1",)), trust=trust) as office:
        yield office


@pytest.fixture(params=["ocpp2.0.1"])
def station(office: Office, operator: Operator, request: pytest.FixtureRequest) -> Iterator[Station]:
    identity = f"CS{next(_numbers)}"
    office.register(identity)
    operator.forged = operator.silent = operator.old = False
    operator.delegate = True
    operator.asked.clear()
    with connected(office, identity, versions=[request.param]) as station:
        station.boot()
        yield station


def status(station: Station, asked: dict[str, str]) -> dict[str, Any]:
    return station.call("GetCertificateStatus", {"ocspRequestData": asked})


@pytest.mark.parametrize("algorithm", [*HashAlgorithm])
def test_TC_M_24_each_sub_CA_is_asked_for_and_the_responders_answer_handed_on(
    station: Station, operator: Operator, algorithm: HashAlgorithm
) -> None:
    leaf = operator.contract()
    for certificate in (leaf, operator.sub):
        answer = status(station, operator.question(certificate, algorithm))
        assert answer["status"] == "Accepted"
        read = ocsp.load_der_ocsp_response(base64.b64decode(answer["ocspResult"]))
        assert read.serial_number == certificate.serial_number
        assert read.certificate_status is ocsp.OCSPCertStatus.GOOD


def test_an_answer_is_kept_and_a_week_at_most(office: Office, station: Station, operator: Operator) -> None:
    asked = operator.question(operator.contract())
    first = status(station, asked)
    assert status(station, asked) == first
    assert len(operator.asked) == 1
    office.world.clock.turn(days=7, seconds=1)
    try:
        status(station, asked)
        assert len(operator.asked) == 2
    finally:
        office.world.clock.offset = UNSET


def test_of_our_own_certificates_our_own_record_tells_and_nobody_is_asked(office: Office, station: Station) -> None:
    entry = office.world.issue("SECC_2", "SECC-OWN")
    leaf, sub2, *_ = office.world.chain(entry)
    asked = named(leaf, sub2) | {"responderURL": "http://127.0.0.1:9/never-asked"}
    states = []
    for revoke in (False, True):
        if revoke:
            office.world.ledger.revoke([entry.number], Reason.KEY_COMPROMISE, door="test")
            office.backend.issuers.reload()
        answer = status(station, asked)
        states.append(ocsp.load_der_ocsp_response(base64.b64decode(answer["ocspResult"])).certificate_status)
    assert states == [ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED]


@pytest.mark.parametrize("why", ["forged", "silent"])
def test_M06_FR_04_an_answer_that_is_not_proved_or_not_there_is_none(
    station: Station, operator: Operator, why: str
) -> None:
    setattr(operator, why, True)
    assert status(station, operator.question(operator.contract())) == {"status": "Failed"}


def test_a_responder_that_knows_SHA_1_only_is_asked_again(station: Station, operator: Operator) -> None:
    operator.old = True
    answer = status(station, operator.question(operator.contract()))
    assert ocsp.load_der_ocsp_response(base64.b64decode(answer["ocspResult"])).hash_algorithm.name == "sha1"
    assert len(operator.asked) == 2


@pytest.mark.parametrize("own", [True, False])
def test_a_station_that_hashes_the_whole_key_is_understood(
    office: Office, station: Station, operator: Operator, own: bool
) -> None:
    """As the simulator of SAP does it, with capitals and zeros in front."""
    leaf, issuer = operator.read(operator.contract()), operator.read(operator.sub)
    if own:
        leaf, issuer, *_ = office.world.chain(office.world.issue("SECC_2", "SECC-WHOLE"))
    asked = named(leaf, issuer) | {"issuerKeyHash": hashlib.sha256(issuer.spki).hexdigest().upper()}
    asked |= {"serialNumber": asked["serialNumber"].upper().zfill(40), "responderURL": operator.url}
    read = ocsp.load_der_ocsp_response(base64.b64decode(status(station, asked)["ocspResult"]))
    assert read.serial_number == leaf.serial
    assert read.certificate_status is ocsp.OCSPCertStatus.GOOD
    assert read.issuer_key_hash.hex() == named(leaf, issuer)["issuerKeyHash"]


@pytest.mark.parametrize("station", [OCPP_2_1], indirect=True)
def test_M06_FR_02_M07_FR_03_that_a_responder_does_not_know_a_certificate_is_an_answer(
    office: Office, station: Station, operator: Operator
) -> None:
    leaf = operator.contract("DE8AA1A2B3C4UU")
    operator.unknown.add(leaf.serial_number)
    office.csms.tokens.admit("DE8AA1A2B3C4UU", "eMAID", "Accepted")
    asked = operator.question(leaf)
    assert status(station, asked)["status"] == "Accepted"
    entry = {"certificateHashData": named(operator.read(leaf), operator.read(operator.sub)), "source": "OCSP"}
    request = {"certificateStatusRequests": [entry | {"urls": [operator.url]}]}
    (answer,) = station.call("GetCertificateChainStatus", request)["certificateStatus"]
    assert answer["status"] == "Unknown"
    # It is not kept, and nobody charges by it.
    assert len(operator.asked) == 2
    assert authorize(station, "DE8AA1A2B3C4UU", iso15118CertificateHashData=[asked]) == ("Invalid", "CertChainError")
    operator.unknown.clear()
    assert authorize(station, "DE8AA1A2B3C4UU", iso15118CertificateHashData=[asked]) == ("Accepted", "Accepted")


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/ocsp", "http://169.254.169.254/latest/meta-data", "http://[::1]:80/", "http://0.0.0.0/",
        "http://[::ffff:10.0.0.1]/", "file:///etc/passwd", "ftp://127.0.0.1/", "http://user@127.0.0.1/", "http://",
        "http://127.0.0.1:99999/", "no address", "http://127.0.0.1/\r\nX: y",
    ],
)  # fmt: skip
def test_addresses_that_only_this_program_can_reach_are_not_asked(
    station: Station, operator: Operator, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    asked = operator.question(operator.contract()) | {"responderURL": url}
    assert status(station, asked) == {"status": "Failed"}
    why = [record.__dict__["why"] for record in caplog.records if record.getMessage() == "status.unknown"]
    assert len(why) == 1
    assert "is not asked" in why[0] or "is no address" in why[0], why
    assert operator.asked == []


@pytest.mark.parametrize("station", [OCPP_2_1], indirect=True)
def test_M07_every_entry_is_answered_by_OCSP_or_CRL(station: Station, operator: Operator) -> None:
    good, bad = operator.contract(), operator.contract()
    operator.revoked.add(bad.serial_number)
    entries = [(each, source, operator.url) for source in ("OCSP", "CRL") for each in (good, bad)]
    issuer = operator.read(operator.sub)

    def asked() -> list[tuple[str, str]]:
        requests = [
            {"certificateHashData": named(operator.read(each), issuer), "source": source, "urls": [url]}
            for each, source, url in entries
        ]
        answers = station.call("GetCertificateChainStatus", {"certificateStatusRequests": requests})[
            "certificateStatus"
        ]
        assert [each["certificateHashData"] for each in answers] == [each["certificateHashData"] for each in requests]
        assert all(datetime.fromisoformat(each["nextUpdate"]) > datetime.now(UTC) for each in answers)
        return [(each["source"], each["status"]) for each in answers]

    assert asked() == [("OCSP", "Good"), ("OCSP", "Revoked"), ("CRL", "Good"), ("CRL", "Revoked")]
    entries = [(operator.contract(), "OCSP", "http://127.0.0.1:9/"), (operator.contract(), "CRL", operator.url)]
    operator.forged = True
    assert asked() == [("OCSP", "Failed"), ("CRL", "Failed")]


# C07


def authorize(station: Station, emaid: str, **more: Any) -> tuple[str, str | None]:
    answer = station.call("Authorize", {"idToken": {"idToken": emaid, "type": "eMAID"}, **more})
    return answer["idTokenInfo"]["status"], answer.get("certificateStatus")


def chain(operator: Operator, leaf: x509.Certificate, *, root: bool = False) -> str:
    above = [operator.sub, *([operator.root] if root else [])]
    return "".join(operator.read(each).pem for each in (leaf, *above))


def test_TC_C_50_a_good_contract_by_its_hash_data(office: Office, station: Station, operator: Operator) -> None:
    leaf = operator.contract()
    office.csms.tokens.admit("DE-8AA-1A2B3C4D5", "eMAID", "Accepted")
    given = [operator.question(leaf), operator.question(operator.sub)]
    assert authorize(station, "DE8AA1A2B3C4D5", iso15118CertificateHashData=given) == ("Accepted", "Accepted")
    # The responder is asked about each of them, if nobody was before.
    assert "/ocsp" in operator.asked
    event = {
        "eventType": "Started", "timestamp": "2026-03-01T10:00:00Z", "triggerReason": "Authorized", "seqNo": 0,
        "transactionInfo": {"transactionId": "1"}, "idToken": {"idToken": "DE8AA1A2B3C4D5", "type": "eMAID"},
    }  # fmt: skip
    assert station.call("TransactionEvent", event) == {"idTokenInfo": {"status": "Accepted"}}


def test_TC_C_51_a_revoked_contract(office: Office, station: Station, operator: Operator) -> None:
    leaf = operator.contract("DE8AA1A2B3C451")
    office.csms.tokens.admit("DE8AA1A2B3C451", "eMAID", "Accepted")
    operator.revoked.add(leaf.serial_number)
    by_hash = authorize(station, "DE8AA1A2B3C451", iso15118CertificateHashData=[operator.question(leaf)])
    by_chain = authorize(station, "DE8AA1A2B3C451", certificate=chain(operator, leaf))
    assert by_hash == by_chain == ("Invalid", "CertificateRevoked")


def test_C07_FR_05_a_car_that_pays_is_asked_about_anew_as_long_as_somebody_answers(
    office: Office, station: Station, operator: Operator
) -> None:
    office.csms.tokens.admit("DE8AA1A2B3C405", "eMAID", "Accepted")
    leaf = operator.contract("DE8AA1A2B3C405")
    given = {"iso15118CertificateHashData": [operator.question(leaf)]}
    assert authorize(station, "DE8AA1A2B3C405", **given) == ("Accepted", "Accepted")
    operator.silent = True
    assert authorize(station, "DE8AA1A2B3C405", **given) == ("Accepted", "Accepted")
    operator.silent = False
    operator.revoked.add(leaf.serial_number)
    assert authorize(station, "DE8AA1A2B3C405", **given) == ("Invalid", "CertificateRevoked")


def test_TC_C_52_a_good_contract_by_its_chain_with_or_without_the_root(
    office: Office, station: Station, operator: Operator
) -> None:
    office.csms.tokens.admit("DE8AA1A2B3C452", "eMAID", "Accepted")
    leaf = operator.contract("DE8AA1A2B3C452")
    for text in (chain(operator, leaf), chain(operator, leaf, root=True), operator.read(leaf).pem):
        assert authorize(station, "DE-8aa-1A2B3C452", certificate=text) == ("Accepted", "Accepted")
    assert "/ocsp" in operator.asked


@pytest.mark.parametrize("token", ["Blocked", "Expired", "Invalid", "Unknown"])
def test_C07_FR_13_a_valid_chain_does_not_help_a_contract_that_ended(
    office: Office, station: Station, operator: Operator, token: str
) -> None:
    emaid = f"DE8AA1A2B3C{token[:3]}"
    office.csms.tokens.admit(emaid, "eMAID", token)
    leaf = operator.contract(emaid)
    assert authorize(station, emaid, certificate=chain(operator, leaf)) == (token, "ContractCancelled")


def test_C07_FR_14_another_status_of_the_token_stays(office: Office, station: Station, operator: Operator) -> None:
    office.csms.tokens.admit("DE8AA1A2B3C414", "eMAID", "ConcurrentTx")
    leaf = operator.contract("DE8AA1A2B3C414")
    assert authorize(station, "DE8AA1A2B3C414", certificate=chain(operator, leaf)) == ("ConcurrentTx", "Accepted")


def test_C07_FR_15_17_expired_and_unverifiable_chains(office: Office, station: Station, operator: Operator) -> None:
    emaid = "DE8AA1A2B3C415"
    office.csms.tokens.admit(emaid, "eMAID", "Accepted")
    old, leaf, foreign = operator.contract(emaid, days=-1), operator.contract(emaid), operator.read(operator.sub).pem
    broken = ("Invalid", "CertChainError")
    assert authorize(station, emaid, certificate=chain(operator, old)) == ("Expired", "CertificateExpired")
    assert authorize(station, emaid, certificate=foreign) == broken
    assert authorize(station, emaid, certificate="nonsense") == broken
    assert authorize(station, "DE8AA1A2B3C4XX", certificate=chain(operator, leaf)) == broken
    operator.silent = True
    assert authorize(station, emaid, certificate=chain(operator, leaf)) == broken
    assert authorize(station, emaid, iso15118CertificateHashData=[operator.question(leaf)]) == broken


def test_a_contract_of_ours_is_known_without_being_on_the_list(office: Office, station: Station) -> None:
    entry = _contract(office, "DE8AAOWN000001")
    leaf, sub2, sub1, root = office.world.chain(entry)
    text = "".join(each.pem for each in (leaf, sub2, sub1))
    pairs = ((leaf, sub2), (sub2, sub1), (sub1, root))
    hashes_ = [named(own, issuer) | {"responderURL": "http://127.0.0.1:9/"} for own, issuer in pairs]
    ways = ({"certificate": text}, {"iso15118CertificateHashData": hashes_})
    assert [authorize(station, "DE8AAOWN000001", **way) for way in ways] == [("Accepted", "Accepted")] * 2
    office.world.ledger.revoke([entry.number], Reason.CESSATION_OF_OPERATION, door="test")
    office.backend.issuers.reload()
    assert authorize(station, "DE8AAOWN000001", certificate=text) == ("Invalid", "CertificateRevoked")
    assert authorize(station, "DE8AAOWN000001", iso15118CertificateHashData=hashes_) == (
        "Invalid",
        "CertificateRevoked",
    )
    assert authorize(station, "DE8AAOWN000001") == ("Blocked", None)


def test_tokens_that_nobody_knows_are_unknown(office: Office, station: Station) -> None:
    assert authorize(station, "DE8AA000000000") == ("Unknown", None)
    office.csms.tokens.admit("04A2B3", "ISO14443", "Accepted")
    answer = station.call("Authorize", {"idToken": {"idToken": "04A2B3", "type": "ISO14443"}})
    assert answer == {"idTokenInfo": {"status": "Accepted"}}


def _contract(office: Office, emaid: str) -> Entry:
    return office.world.issue("CONTRACT_2", emaid, name=claim(emaid))
