"""What EVerest's API answers, and what it is silent to: without a broker."""

from __future__ import annotations

import json
import logging
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509 import ocsp
from hypothesis import given
from hypothesis import strategies as st

from charging import Branch, Charger, pem, stapled
from voltroot.actors.station.ports import CaKind, LeafKind
from voltroot.apis.everest import errors, wire
from voltroot.apis.everest.server import Server, Settings
from voltroot.errors import Failure, Malformed, Refused, TooLarge
from voltroot.pki.fingerprints import hash_data

BRANCH = Branch()
ROOT = "everest_api/1/evse_security_consumer/voltroot"
REPLY = {"headers": {"replyTo": "reply/to/address"}}
LEAF = {"certificate_type": "V2G", "encoding": "PEM", "include_ocsp": False}


@dataclass
class Asked:
    """A server in a folder, and what it was made to do."""

    charger: Charger
    settings: Settings
    moment: float = 0.0

    def __post_init__(self) -> None:
        self.server = Server(self.charger.station, self.settings, lambda: self.moment)

    def say(self, name: str, message: Any) -> Iterable[tuple[str, bytes]]:
        octets = message if isinstance(message, bytes) else json.dumps(message).encode()
        return self.server.receive(f"{self.settings.prefix}{ROOT}/m2e/{name}", octets)

    def reply(self, name: str, payload: Any) -> Any:
        ((topic, octets),) = self.say(name, REPLY | {"payload": payload})
        assert topic == f"{self.settings.prefix}reply/to/address"
        return json.loads(octets)

    def beats(self, until: float) -> list[int]:
        """The heartbeats until a moment, each at the time that the server asks for."""
        heard = []
        while self.server.due <= until:
            self.moment = max(self.moment, self.server.due)
            for topic, octets in self.server.beat():
                assert topic.endswith("/e2m/heartbeat")
                heard.append(json.loads(octets))
        self.moment = until
        return heard


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., Asked]:
    def asked(password: bytes | None = None, **settings: Any) -> Asked:
        charger = Charger(tmp_path, password=password)
        charger.trust(CaKind.V2G, BRANCH.bundle)
        charger.own(*BRANCH.chain)
        return Asked(charger, Settings(**settings))

    return asked


# Replies


def test_each_request_has_one_reply_as_the_specification_has_it(ask: Callable[..., Asked]) -> None:
    asked = ask()
    folder = asked.charger.folder
    assert asked.reply("is_ca_certificate_installed", "V2G") is True
    assert asked.reply("is_ca_certificate_installed", "CSMS") is False
    assert asked.reply("get_verify_location", "V2G") == str(folder / "ca/v2g/V2G_ROOT_CA.pem")
    assert asked.reply("get_verify_location", "MO") == ""
    assert asked.reply("get_leaf_certificate_info", LEAF) == {
        "status": "Accepted",
        "info": {
            "key": str(folder / "client/cso/LEAF.key"),
            "certificate_count": 3,
            "certificate": str(folder / "client/cso/CPO_CERT_LEAF_CHAIN.pem"),
            "certificate_single": str(folder / "client/cso/LEAF.pem"),
        },
    }
    assert asked.reply("get_leaf_certificate_info", LEAF | {"certificate_type": "CSMS"}) == {"status": "NotFound"}
    assert asked.reply("get_leaf_certificate_info", LEAF | {"certificate_type": "MF"}) == {"status": "Rejected"}


def test_der_gets_a_file_in_der(ask: Callable[..., Asked]) -> None:
    asked = ask()
    info = asked.reply("get_leaf_certificate_info", LEAF | {"encoding": "DER"})["info"]
    octets = Path(info["certificate_single"]).read_bytes()
    assert octets == BRANCH.leaf.certificate.der
    said = subprocess.run(
        ["openssl", "x509", "-inform", "DER", "-noout", "-subject"], input=octets, capture_output=True
    )
    assert said.returncode == 0
    assert info["certificate_count"] == 1
    assert "certificate" not in info


def test_pem_gets_a_file_in_pem_though_there_is_one_in_der_only(ask: Callable[..., Asked]) -> None:
    asked = ask()
    folder = asked.charger.folder / "client/cso"
    (folder / "LEAF.pem").unlink()
    (folder / "LEAF.der").write_bytes(BRANCH.leaf.certificate.der)
    assert "certificate_single" not in asked.reply("get_leaf_certificate_info", LEAF)["info"]
    (folder / "CPO_CERT_LEAF_CHAIN.pem").unlink()
    info = asked.reply("get_leaf_certificate_info", LEAF)["info"]
    assert Path(info["certificate_single"]).read_text() == pem(BRANCH.leaf)
    assert info["certificate_count"] == 1


def test_each_certificate_has_its_ocsp_answer_in_der(ask: Callable[..., Asked]) -> None:
    asked = ask()
    about = hash_data(BRANCH.leaf.certificate, BRANCH.sub2.certificate)
    asked.charger.station.stapling.keep(about, stapled(BRANCH.leaf, BRANCH.sub2))
    first, *others = asked.reply("get_leaf_certificate_info", LEAF | {"include_ocsp": True})["info"]["ocsp"]
    assert ocsp.load_der_ocsp_response(Path(first["ocsp_path"]).read_bytes()).issuer_key_hash
    assert first["hash"] == {
        "hash_algorithm": "SHA256",
        "issuer_name_hash": about.issuer_name_hash,
        "issuer_key_hash": about.issuer_key_hash,
        "serial_number": about.serial_number,
    }
    assert [set(each) for each in others] == [{"hash"}, {"hash"}]


def test_the_key_password_is_told_only_if_that_is_configured(ask: Callable[..., Asked]) -> None:
    silent, told = ask(b"sesame"), ask(b"sesame", key_password="sesame")
    assert "password" not in silent.reply("get_leaf_certificate_info", LEAF)["info"]
    assert told.reply("get_leaf_certificate_info", LEAF)["info"]["password"] == "sesame"
    assert "sesame" not in repr(told.settings)


def test_a_store_that_cannot_be_read_rejects(ask: Callable[..., Asked], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ask()
    state = asked.charger.places.state
    (state / "journal").mkdir()  # no reader gets past it
    assert asked.reply("get_leaf_certificate_info", LEAF) == {"status": "Rejected"}


def test_the_prefix_stands_before_every_topic(ask: Callable[..., Asked]) -> None:
    asked = ask(prefix="site7/")
    assert all(topic.startswith("site7/") for topic in asked.server.topics)
    assert asked.reply("is_ca_certificate_installed", "V2G") is True
    ((beacon, _),) = asked.server.greet()
    assert beacon == "site7/everest_api/ready_beacon"


# Silence

UNREADABLE = [
    b"", b"hello", b"null", b"true", b'"V2G"', b"[]", b"{}", b'{"payload":null}', b'{"payload":"v2g"}',
    b'{"payload":{"certificate_type":"V2G"}}', b'{"payload":"V2G"} x', b'{"payload":"V2G","headers":{"replyTo":7}}',
    b'{"payload":"V2G","headers":"here"}', b'\xff\xfe{}', b"[" * 50_000,
]  # fmt: skip


@pytest.mark.parametrize("octets", UNREADABLE, ids=lambda octets: repr(octets[:40]))
def test_what_cannot_be_read_gets_no_reply(octets: bytes, ask: Callable[..., Asked]) -> None:
    asked = ask()
    for command in ("is_ca_certificate_installed", "get_verify_location"):
        with pytest.raises(Malformed):
            asked.say(command, octets)


@pytest.mark.parametrize(
    "change",
    [{"include_ocsp": "false"}, {"include_ocsp": 0}, {"include_ocsp": None}, {"encoding": "pem"}, {"encoding": None},
     {"certificate_type": "v2g"}, {"certificate_type": 1}],
)  # fmt: skip
def test_an_argument_of_another_type_gets_no_reply(change: dict[str, Any], ask: Callable[..., Asked]) -> None:
    asked = ask()
    with pytest.raises(Malformed):
        asked.reply("get_leaf_certificate_info", LEAF | change)
    for member in change:
        rest = {name: value for name, value in LEAF.items() if name != member}
        with pytest.raises(Malformed):
            asked.reply("get_leaf_certificate_info", rest)


def test_a_message_that_is_too_large_is_not_looked_at(ask: Callable[..., Asked]) -> None:
    large = json.dumps(REPLY | {"payload": "V2G", "more": "x" * wire.LARGEST}).encode()
    with pytest.raises(TooLarge):
        ask().say("is_ca_certificate_installed", large)


BAD_TOPICS = [
    "", "a/+", "#", "a/#/b", "a\0b", "a\x01b", "a\x7f", "a\x85", "\ufdd0", "a\uffff", "\U0010fffe", "$SYS/broker",
    "/" * 200, "x" * 65_536, "\u20ac" * 21_846, f"{ROOT}/m2e/is_ca_certificate_installed",
    f"{ROOT}/m2e/communication_check", "everest_api/discover", "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("topic", BAD_TOPICS, ids=lambda topic: repr(topic[:20]))
def test_a_reply_topic_that_no_broker_takes_is_refused_before_anything_is_done(
    topic: str, ask: Callable[..., Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ask()
    done: list[str] = []
    for name in ("is_ca_installed", "leaf", "verify_location"):
        monkeypatch.setattr(asked.charger.station, name, lambda *_, name=name, **__: done.append(name))
    message = json.dumps({"headers": {"replyTo": topic}, "payload": "V2G"})
    for command in ("is_ca_certificate_installed", "get_verify_location"):
        with pytest.raises((Refused, Malformed)):
            asked.say(command, message.encode())
    with pytest.raises((Refused, Malformed)):
        asked.server.receive(wire.DISCOVER, message.encode())
    assert done == []


@pytest.mark.parametrize("headers", [{}, {"headers": None}, {"headers": {}}, {"replyTo": "here"}])
def test_without_a_reply_topic_the_command_is_carried_out_and_nothing_said(
    headers: dict[str, Any], ask: Callable[..., Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ask()
    done: list[CaKind] = []
    monkeypatch.setattr(asked.charger.station, "verify_location", done.append)
    assert asked.say("get_verify_location", headers | {"payload": "V2G"}) == []
    assert done == [CaKind.V2G]


def test_unknown_members_are_passed_over_and_of_two_of_a_name_the_last_counts(ask: Callable[..., Asked]) -> None:
    asked = ask()
    message = b'{"payload":"CSMS","extra":[1],"headers":{"replyTo":"a","more":1},"payload":"V2G"}'
    assert asked.say("is_ca_certificate_installed", message) == [("a", b"true")]


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.sampled_from(["V2G", "headers", "payload"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["headers", "payload", "replyTo", *LEAF]), inner, max_size=4),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_whatever_comes_is_answered_or_a_failure(octets: bytes) -> None:
    server = Server(Charger(Path("/nowhere"), opened=False).station, Settings())
    for topic in server.topics:
        try:
            answers = [*server.receive(topic, octets)]
        except Failure:
            continue
        assert len(answers) <= 1


def test_every_failure_has_a_case_of_its_own() -> None:
    def all_of(kind: type[Failure]) -> list[type[Failure]]:
        return [kind, *(deeper for below in kind.__subclasses__() for deeper in all_of(below))]

    kinds = {kind.__name__ for kind in all_of(Failure)[1:] if kind.__module__ == Failure.__module__}
    assert kinds - {*errors.status.__code__.co_names} == set()


# Being there


def test_heartbeats_begin_at_zero_and_keep_to_their_grid(ask: Callable[..., Asked]) -> None:
    asked = ask(heartbeat_ms=1000, check_s=0)
    assert asked.beats(3.5) == [0, 1, 2, 3]
    asked.moment = 7.2  # it was held up
    assert [json.loads(octets) for _, octets in asked.server.beat()] == [4]
    assert asked.server.due == 8.0
    asked.server._beats = (1 << 64) - 1
    assert asked.beats(9.0) == [(1 << 64) - 1, 0]
    assert ask(heartbeat_ms=0, check_s=0).beats(100) == []


def test_a_consumer_that_falls_silent_is_noticed(ask: Callable[..., Asked], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "voltroot")
    asked = ask(heartbeat_ms=0, check_s=5)
    check = asked.server.check
    assert check.fault == "Initial communication check"
    assert asked.say("communication_check", b"true") == []
    assert check.fault == ""
    asked.beats(4.9)
    asked.say("communication_check", b"true")
    asked.beats(9.8)
    assert check.fault == ""
    asked.beats(9.9)
    assert check.fault == "Bridge to implementation connection lost"
    asked.say("communication_check", b"true")
    assert [record.message for record in caplog.records] == [
        "communication.restored", "communication.lost", "communication.restored",
    ]  # fmt: skip
    asked.say("communication_check", b"false")  # which ends it for good
    asked.say("communication_check", b"true")
    asked.beats(1000)
    assert check.fault == ""


@pytest.mark.parametrize("octets", [b"1", b'"true"', b'{"payload":true}', b"null", b"", b"True"])
def test_a_check_is_true_or_false_and_nothing_else(octets: bytes, ask: Callable[..., Asked]) -> None:
    asked = ask()
    with pytest.raises(Malformed):
        asked.say("communication_check", octets)
    assert asked.server.check.fault


@pytest.mark.parametrize("topic", ["everest_api/discover", "everest_api/query-modules/evse_security_consumer"])
def test_it_can_be_discovered(topic: str, ask: Callable[..., Asked]) -> None:
    ((where, octets),) = ask().server.receive(topic, json.dumps(REPLY).encode())
    assert where == "reply/to/address"
    assert json.loads(octets) == {
        "apis": [{
            "type": "evse_security_consumer", "module_id": "voltroot", "version": 1,
            "communication_monitoring": {"heartbeat_period_ms": 1000, "communication_check_period_s": 5},
        }]
    }  # fmt: skip


def test_a_leaf_of_each_protocol_is_found_by_its_own_name(ask: Callable[..., Asked]) -> None:
    asked = ask()
    other = Branch("V2G20", "P-521", "CSO")
    asked.charger.trust(CaKind.V2G, BRANCH.bundle + other.bundle)
    asked.charger.own(*other.chain, name="LEAF20")
    info = asked.reply("get_leaf_certificate_info", LEAF | {"certificate_type": LeafKind.V2G20})["info"]
    assert Path(info["certificate_single"]).read_text() == pem(other.leaf)
