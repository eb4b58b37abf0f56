"""What Josev is answered: keys of every kind, one for each request, and their end."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

import devices
from charging import Branch, Charger
from voltroot.actors.station import applications
from voltroot.actors.station.applications import Applications
from voltroot.actors.station.ports import CaKind, LeafKind
from voltroot.actors.station.station import Station
from voltroot.actors.station.upkeep import Upkeep
from voltroot.apis.josev import errors, wire
from voltroot.apis.josev.server import Server
from voltroot.errors import Failure, Malformed, NotFound, Refused, Unavailable, UnsupportedSuite
from voltroot.keys import sessions
from voltroot.keys.opening import open_keyring
from voltroot.keys.software import SoftwareKeyring
from voltroot.pki.certificates import Certificate
from voltroot.pki.ports import Keyring
from voltroot.pki.profiles import profiles
from voltroot.pki.suites import P256_SHA256
from voltroot.store.applications import ApplicationFile

ID = "123e4567-e89b-12d3-a456-426614174000"
# As the page of Josev's API prints it.
DATA = {
    "certificate_type": "charging_station_certificate", "common_name": "9783161484100", "organization_name": "EcoG",
    "country_name": "DE", "algorithm": "ECDSA_SHA256", "evse_id": "DE*SEV*E123456789",
}  # fmt: skip
V2G20 = {"certificate_type": "v2g20_certificate", "algorithm": "ECDSA_SHA512"}


class Josev:
    """Who asks; the station may be started anew."""

    def __init__(self, folder: Path, keyring: Keyring | None = None) -> None:
        self.charger = Charger(folder)
        self.keyring = keyring
        self.restart()

    def restart(self) -> None:
        self.charger = self.charger.restart()
        store, clock = self.charger.store, self.charger.clock
        upkeep = Upkeep(store, self.charger.rules, lambda: self.charger.elapsed, self.keyring)
        self.station = Station(store, profiles(), clock, upkeep=upkeep, keyring=self.keyring)
        book = ApplicationFile(self.charger.places.state / "applications.json")
        self.applications = Applications(self.station, book)
        self.server = Server(self.applications, in_keyring=self.keyring is not None)

    def ask(self, data: Any, id_: str = ID) -> dict[str, Any]:
        message = {"id": id_, "name": "generate_csr", "type": "request", "data": data}
        ((topic, octets),) = self.server.receive("josev/cs", json.dumps(message).encode())
        assert topic == "cs/josev"
        answer: dict[str, Any] = json.loads(octets)
        assert (answer["id"], answer["name"], answer["type"]) == (id_, "generate_csr", "response")
        return answer["data"]  # type: ignore[no-any-return]

    def csr(self, data: Any, id_: str = ID) -> x509.CertificateSigningRequest:
        answer = self.ask(data, id_)
        assert answer["status"] == "accepted"
        return x509.load_pem_x509_csr(answer["csr"].encode())

    def tell(self, type_: str, status: str, **more: str) -> None:
        data = {"certificate_type": type_, "status": status, **more}
        message = {"id": "u", "name": "certificate_installation_status", "type": "update", "data": data}
        assert self.server.receive("josev/cs", json.dumps(message).encode()) == []

    def key_files(self) -> list[Path]:
        return sorted(self.charger.folder.rglob("client/*/*key"))


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "voltroot")


@pytest.fixture
def josev(tmp_path: Path) -> Josev:
    return Josev(tmp_path)


@pytest.fixture
def within(tmp_path: Path) -> Josev:
    """With the keys in a keyring."""
    return Josev(tmp_path, SoftwareKeyring(tmp_path / "keyring", None))


def test_the_example_of_the_page_is_accepted(josev: Josev) -> None:
    request = josev.csr(DATA)
    assert request.is_signature_valid
    assert request.subject.rfc4514_string() == "C=DE,O=EcoG,CN=9783161484100"
    (key,) = josev.key_files()
    assert key.stat().st_mode & 0o777 == 0o600


KINDS = [
    ({}, ec.SECP256R1, "sha256"),
    ({"algorithm": None}, ec.SECP256R1, "sha256"),
    ({"algorithm": "ECDSA_SHA512"}, ec.SECP521R1, "sha512"),
    ({"algorithm": "RSA_SHA256"}, 2048, "sha256"),
    ({"algorithm": "RSA_SHA384"}, 3072, "sha384"),
    ({"certificate_type": "v2g_certificate"}, ec.SECP256R1, "sha256"),
    (V2G20, ec.SECP521R1, "sha512"),
]


@pytest.mark.parametrize(("change", "kind", "hash_"), KINDS)
def test_each_type_and_algorithm_gives_its_request(change: dict[str, Any], kind: Any, hash_: str, josev: Josev) -> None:
    wanted = {name: value for name, value in (DATA | change).items() if value is not None}
    request = josev.csr(wanted)
    key = request.public_key()
    assert key.key_size == kind if isinstance(kind, int) else isinstance(key.curve, kind)  # type: ignore[union-attr]
    assert isinstance(key, rsa.RSAPublicKey if isinstance(kind, int) else ec.EllipticCurvePublicKey)
    assert request.is_signature_valid
    assert request.signature_hash_algorithm is not None
    assert request.signature_hash_algorithm.name == hash_
    roles = [each.value for each in request.subject.get_attributes_for_oid(NameOID.DOMAIN_COMPONENT)]
    assert roles == {"v2g_certificate": ["CPO"], "v2g20_certificate": ["CSO"]}.get(wanted["certificate_type"], [])


IMPOSSIBLE: list[dict[str, Any]] = [
    {"certificate_type": "v2g_certificate", "algorithm": "RSA_SHA256"},
    {"certificate_type": "v2g_certificate", "algorithm": "RSA_SHA384"},
    {"certificate_type": "v2g_certificate", "algorithm": "ECDSA_SHA512"},
    {"certificate_type": "v2g20_certificate"},
    {"certificate_type": "v2g20_certificate", "algorithm": None},
    V2G20 | {"algorithm": "RSA_SHA384"},
    {"certificate_type": "contract_certificate"}, {"algorithm": "MD5"},
    {"country_name": "Germany"}, {"country_name": "de"}, {"country_name": "D"}, {"country_name": "D\u0415"},
    {"country_name": None}, {"common_name": ""}, {"common_name": None}, {"organization_name": "x" * 65},
    {"common_name": "x" * 65}, {"common_name": 7}, {"organization_name": None}, {"evse_id": 7}, {"common_name": "a\0b"},
]  # fmt: skip


@pytest.mark.parametrize("change", IMPOSSIBLE)
def test_what_cannot_be_done_is_rejected_and_leaves_no_key(change: dict[str, Any], josev: Josev) -> None:
    wanted = {name: value for name, value in (DATA | change).items() if value is not None}
    assert josev.ask(wanted) == {"status": "rejected"}
    assert josev.key_files() == []


@pytest.mark.parametrize("data", [None, [], "x", 7])
def test_a_request_without_data_is_rejected(data: Any, josev: Josev) -> None:
    assert josev.ask(data) == {"status": "rejected"}


def test_a_device_that_cannot_make_such_a_key_rejects(within: Josev, monkeypatch: pytest.MonkeyPatch) -> None:
    def create(label: str, suite: object) -> None:
        raise UnsupportedSuite(f"the TPM cannot make keys of {suite}")

    assert within.keyring is not None
    monkeypatch.setattr(within.keyring, "create", create)
    assert within.ask(DATA | V2G20) == {"status": "rejected"}
    assert within.key_files() == []


UNREADABLE = [
    b"", b"x", b"[]", b"{}", b'{"id":7,"name":"generate_csr","type":"request"}', b"\xff", b"[" * 60_000,
    b'{"id":"","name":"generate_csr","type":"request","data":{}}', b'{"id":"a","name":"generate_csr","type":"order"}',
]  # fmt: skip


@pytest.mark.parametrize("octets", UNREADABLE, ids=lambda octets: repr(octets[:40]))
def test_what_has_no_envelope_cannot_be_answered(octets: bytes, josev: Josev) -> None:
    with pytest.raises(Malformed):
        josev.server.receive("josev/cs", octets)


@pytest.mark.parametrize(("name", "type_"), [("authorization", "request"), ("generate_csr", "response"),
                                             ("device_model", "request"), ("service_status", "update")])  # fmt: skip
def test_messages_for_others_are_passed_over(name: str, type_: str, josev: Josev) -> None:
    message = {"id": "1", "name": name, "type": type_, "data": {"anything": 1}}
    assert josev.server.receive("josev/cs", json.dumps(message).encode()) == []


# One key for each request


def test_the_same_id_has_the_same_answer_also_after_a_restart(josev: Josev) -> None:
    first = josev.ask(DATA)
    assert josev.ask(DATA) == first
    josev.restart()
    assert josev.ask(DATA) == first
    assert len(josev.key_files()) == 1
    assert josev.ask(DATA, "another") != first
    assert len(josev.key_files()) == 2


def test_an_id_means_one_request(josev: Josev) -> None:
    first = josev.ask(DATA)
    assert josev.ask(DATA | {"common_name": "other"}) == {"status": "rejected"}
    assert len(josev.key_files()) == 1
    josev.restart()
    assert josev.ask(DATA) == first


def test_what_was_rejected_stays_rejected(josev: Josev) -> None:
    assert josev.ask(DATA | {"country_name": "X"}) == {"status": "rejected"}
    assert josev.ask(DATA) == {"status": "rejected"}
    assert josev.ask(DATA, "another")["status"] == "accepted"


def test_keys_that_wait_are_limited(josev: Josev, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applications, "MOST_WAITING", 3)
    answers = [josev.ask(DATA, f"id{number}")["status"] for number in range(5)]
    assert answers == ["accepted"] * 3 + ["rejected"] * 2
    assert len(josev.key_files()) == 3
    josev.tell("charging_station_certificate", "failed_installation")
    assert josev.ask(DATA, "later")["status"] == "accepted"


def test_the_book_forgets_what_has_ended_first(josev: Josev, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applications, "REMEMBERED", 4)
    kept = josev.ask(DATA, "kept")
    for number in range(10):
        josev.ask(DATA, f"id{number}")
        josev.tell("charging_station_certificate", "failed_installation")
    book = json.loads((josev.charger.places.state / "applications.json").read_text())
    assert len(book) == 4
    assert josev.ask(DATA, "kept") == kept


def test_a_key_that_cannot_be_noted_down_is_not_kept(within: Josev, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: ApplicationFile, known: object) -> None:
        raise Unavailable("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(ApplicationFile, "keep", full)
        assert within.ask(DATA, "lost") == {"status": "rejected"}
    assert within.keyring is not None
    assert within.key_files() == within.keyring.labels() == []
    assert within.ask(DATA, "kept")["status"] == "accepted"


def test_two_programs_do_not_answer_for_one_folder(tmp_path: Path) -> None:
    first, second = (ApplicationFile(tmp_path / "certs/.voltroot/applications.json") for _ in range(2))
    first.hold()
    with pytest.raises(Unavailable, match=f"another station runs on {tmp_path}/certs"):
        second.hold()


# What becomes of a key


def hour(josev: Josev) -> None:
    """An hour passes, and garbage is collected."""
    josev.applications.collect()
    josev.charger.elapsed += 3601
    josev.applications.collect()


def test_a_key_that_is_bound_outlives_the_hour_and_a_restart(within: Josev) -> None:
    within.ask(DATA, "bound")
    within.tell("charging_station_certificate", "installed")
    within.ask(DATA, "waiting")
    assert within.keyring is not None
    assert len(within.keyring.labels()) == 2
    hour(within)
    assert len(within.key_files()) == len(within.keyring.labels()) == 1
    within.restart()
    hour(within)
    assert len(within.key_files()) == len(within.keyring.labels()) == 1
    within.tell("charging_station_certificate", "deleted")
    assert within.key_files() == within.keyring.labels() == []


def test_a_key_whose_certificate_failed_is_destroyed(within: Josev) -> None:
    within.ask(DATA | {"certificate_type": "v2g_certificate"}, "v2g")
    within.ask(DATA, "csms")
    within.tell("v2g_certificate", "failed_installation")
    assert within.keyring is not None
    (label,) = within.keyring.labels()
    assert label.startswith("csms")
    assert within.ask(DATA | {"certificate_type": "v2g_certificate"}, "v2g") == {"status": "rejected"}


def test_the_newest_key_is_meant_unless_one_is_named(josev: Josev) -> None:
    josev.ask(DATA, "first")
    (first,) = josev.key_files()
    josev.ask(DATA, "second")
    (second,) = {*josev.key_files()} - {first}
    josev.tell("charging_station_certificate", "failed_installation", private_key_path=str(first))
    assert josev.key_files() == [second]
    josev.tell("charging_station_certificate", "installed", private_key_path="/somewhere/of/josevs")
    hour(josev)
    assert josev.key_files() == [second]


def test_which_of_two_was_deleted_is_not_guessed(josev: Josev) -> None:
    for id_ in ("first", "second"):
        josev.ask(DATA, id_)
        josev.tell("charging_station_certificate", "installed")
    with pytest.raises(NotFound):
        josev.tell("charging_station_certificate", "deleted")
    assert len(josev.key_files()) == 2


def test_nothing_but_our_own_keys_is_ever_destroyed(josev: Josev, tmp_path: Path) -> None:
    victim = tmp_path / "victim.key"
    victim.write_text("precious")
    with pytest.raises(NotFound):
        josev.tell("v2g_certificate", "deleted", private_key_path=str(victim))
    assert victim.exists()
    josev.charger.own(Branch().leaf, name="IN_USE")
    with pytest.raises(NotFound):
        josev.tell("v2g_certificate", "deleted", private_key_path=str(josev.key_files()[0]))
    assert len(josev.key_files()) == 1


class Ca:
    """A CA that certifies whatever it is asked to."""

    def __init__(self, branch: Branch) -> None:
        self.branch = branch
        self.asked: list[tuple[LeafKind, str]] = []

    def certify(self, kind: LeafKind, name: str, request: bytes) -> str:
        self.asked.append((kind, name))
        key = x509.load_der_x509_csr(request).public_key()
        sub2 = self.branch.sub2
        like = x509.load_der_x509_certificate(self.branch.leaf.certificate.der)
        builder = x509.CertificateBuilder(like.issuer, like.subject, key, 77, like.not_valid_before_utc,
                                          like.not_valid_after_utc, list(like.extensions))  # fmt: skip
        made = builder.sign(sub2.key, P256_SHA256.hash)  # type: ignore[arg-type]
        leaf = Certificate.read(made.public_bytes(Encoding.DER))
        return leaf.pem + sub2.certificate.pem + self.branch.sub1.certificate.pem


def test_the_way_on_is_one_call(josev: Josev) -> None:
    branch = Branch()
    josev.charger.trust(CaKind.V2G, branch.bundle)
    csr = josev.ask(DATA | {"certificate_type": "v2g_certificate", "common_name": "DE*ICE*E45B*78C"})["csr"]
    ca = Ca(branch)
    installation = josev.applications.certify(csr, ca)
    assert (installation.status.value, installation.reason) == ("Accepted", "")
    assert ca.asked == [(LeafKind.V2G, "DE*ICE*E45B*78C")]
    info = josev.station.leaf(LeafKind.V2G).info
    assert info is not None
    assert info.key.path in josev.key_files()
    # What is in use can neither fail nor go as garbage.
    with pytest.raises(Refused):
        josev.tell("v2g_certificate", "failed_installation")
    hour(josev)
    assert len(josev.key_files()) == 1


def test_a_request_whose_key_is_not_here_goes_nowhere(josev: Josev, tmp_path: Path) -> None:
    other = Josev(tmp_path / "other")
    csr = other.ask(DATA)["csr"]
    ca = Ca(Branch())
    with pytest.raises(NotFound):
        josev.applications.certify(csr, ca)
    assert ca.asked == []


# The rest


@given(st.binary(max_size=300) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9)
    | st.sampled_from(["generate_csr", "request", "update", "certificate_installation_status"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["id", "name", "type", "data", "status", *DATA]), inner, max_size=6),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_whatever_comes_is_answered_or_a_failure(octets: bytes) -> None:
    station = Charger(Path("/nowhere"), opened=False).station
    server = Server(Applications(station, ApplicationFile(Path("/nowhere/applications.json"))))
    try:
        answers = [*server.receive("josev/cs", octets)]
    except Failure:
        return
    assert len(answers) <= 1


def test_every_failure_has_a_case_of_its_own() -> None:
    def all_of(kind: type[Failure]) -> list[type[Failure]]:
        return [kind, *(deeper for below in kind.__subclasses__() for deeper in all_of(below))]

    kinds = {kind.__name__ for kind in all_of(Failure)[1:] if kind.__module__ == Failure.__module__}
    assert kinds - {*errors.status.__code__.co_names} == set()


def test_the_log_says_why(josev: Josev, caplog: pytest.LogCaptureFixture) -> None:
    josev.ask(DATA | {"country_name": "Germany"})
    (record,) = caplog.records
    assert record.message == "csr.rejected"
    assert "country_name" in record.__dict__["why"]


def test_answers_are_those_of_the_page() -> None:
    accepted = json.loads(wire.write("i", "generate_csr", "response", wire.CsrResult(wire.Status.ACCEPTED, "csr")))
    assert accepted == {
        "id": "i", "name": "generate_csr", "type": "response", "data": {"status": "accepted", "csr": "csr"},
    }  # fmt: skip


@pytest.mark.slow
def test_keys_are_made_in_an_hsm_and_destroyed_there(tmp_path: Path) -> None:
    with devices.token() as token:
        keyring = open_keyring(token.device, tmp_path, lambda: devices.PIN)
        josev = Josev(tmp_path, keyring)
        requests = [josev.csr(DATA | change, f"{number}") for number, change in enumerate([{}, V2G20])]
        assert all(request.is_signature_valid for request in requests)
        assert len(keyring.labels()) == 2
        assert all(b"PRIVATE" not in path.read_bytes() for path in josev.key_files())
        josev.tell("v2g20_certificate", "failed_installation")
        assert len(keyring.labels()) == 1
        token.take_away()
        assert josev.ask(DATA, "away") == {"status": "rejected"}
        token.put_back()
        time.sleep(sessions.PAUSE + 0.1)  # for which a device that was away is left alone
        assert josev.ask(DATA, "back")["status"] == "accepted"


@pytest.mark.slow
def test_keys_of_every_kind_are_made_in_a_tpm(tmp_path: Path) -> None:
    with devices.swtpm() as tpm:
        josev = Josev(tmp_path, open_keyring(tpm.device, tmp_path / "keyring", lambda: ""))
        changes = [{}, {"algorithm": "RSA_SHA256"}, {"certificate_type": "v2g_certificate"}, V2G20]
        for number, change in enumerate(changes):
            assert josev.csr(DATA | change, f"{number}").is_signature_valid
