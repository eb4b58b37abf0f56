"""Dialogues of one connection: each line is what one side says, and what the other makes of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voltroot.errors import Malformed, Unavailable
from voltroot.ocppj.frames import Call, CallError, CallResult, CallResultError, Code, Send, read, write
from voltroot.ocppj.schemas import Version
from voltroot.ocppj.session import (
    MOST_ASKED,
    MOST_WAITING,
    PATIENCE,
    Answered,
    Called,
    Dropped,
    Event,
    Refused,
    Session,
    Text,
    TimedOut,
    Told,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TRIGGER = {"requestedMessage": "SignV2GCertificate"}
ACCEPTED = {"status": "Accepted"}


def session(version: Version = Version.V2_0_1) -> Session:
    numbers = count(1)
    return Session(version, lambda: f"our-{next(numbers)}")


def sent(events: list[Event]) -> list[object]:
    return [read(event.text) for event in events if isinstance(event, Text)]


def test_a_call_is_answered() -> None:
    us = session()
    id_, events = us.call("TriggerMessage", TRIGGER, NOW)
    assert sent(events) == [Call(id_, "TriggerMessage", TRIGGER)]
    assert us.deadline == NOW + PATIENCE
    assert us.receive(write(CallResult(id_, ACCEPTED)), NOW) == [Answered(id_, "TriggerMessage", ACCEPTED)]
    assert us.deadline is None


def test_the_second_call_waits_for_the_answer_to_the_first() -> None:
    us = session()
    first, _ = us.call("TriggerMessage", TRIGGER, NOW)
    second, events = us.call("GetInstalledCertificateIds", {}, NOW)
    assert events == []
    events = us.receive(write(CallResult(first, ACCEPTED)), NOW)
    assert events[0] == Answered(first, "TriggerMessage", ACCEPTED)
    assert sent(events) == [Call(second, "GetInstalledCertificateIds", {})]


def test_patience_ends_and_a_late_answer_belongs_to_nothing() -> None:
    us = session()
    first, _ = us.call("TriggerMessage", TRIGGER, NOW)
    second, _ = us.call("TriggerMessage", TRIGGER, NOW)
    assert us.tick(NOW + PATIENCE - timedelta(seconds=1)) == []
    events = us.tick(NOW + PATIENCE)
    assert events[0] == TimedOut(first, "TriggerMessage")
    assert sent(events) == [Call(second, "TriggerMessage", TRIGGER)]
    assert us.deadline == NOW + 2 * PATIENCE
    (dropped,) = us.receive(write(CallResult(first, ACCEPTED)), NOW + PATIENCE)
    assert isinstance(dropped, Dropped)


def test_the_peer_asks_and_is_answered() -> None:
    us = session()
    assert us.receive('[2,"p1","Heartbeat",{}]', NOW) == [Called("p1", "Heartbeat", {})]
    with pytest.raises(Malformed, match="currentTime is missing"):
        us.reply("p1", {})
    answer = {"currentTime": "2026-01-01T00:00:00Z"}
    assert sent(us.reply("p1", answer)) == [CallResult("p1", answer)]


def test_both_directions_are_open_at_once() -> None:
    us = session()
    ours, _ = us.call("TriggerMessage", TRIGGER, NOW)
    assert us.receive(f'[2,"{ours}","Heartbeat",{{}}]', NOW) == [Called(ours, "Heartbeat", {})]
    assert us.receive(write(CallResult(ours, ACCEPTED)), NOW) == [Answered(ours, "TriggerMessage", ACCEPTED)]
    assert sent(us.refuse(ours, Code.NOT_SUPPORTED, "x" * 300)) == [CallError(ours, "NotSupported", "x" * 255, {})]


@pytest.mark.parametrize(
    ("text", "code", "id_"),
    [
        ("garbage", Code.RPC_FRAMEWORK_ERROR, "-1"),
        ('[2,"a","NoSuchThing",{}]', Code.NOT_IMPLEMENTED, "a"),
        ('[2,"a","SignCertificate",{}]', Code.OCCURRENCE_CONSTRAINT_VIOLATION, "a"),
        ('[2,"a","SignCertificate",{"csr":1}]', Code.TYPE_CONSTRAINT_VIOLATION, "a"),
        ('[7,"a","SignCertificate",{}]', Code.MESSAGE_TYPE_NOT_SUPPORTED, "a"),
        ('[6,"a","NotifyPeriodicEventStream",{}]', Code.MESSAGE_TYPE_NOT_SUPPORTED, "a"),
    ],
)
def test_a_bad_call_is_refused_by_its_kind(text: str, code: Code, id_: str) -> None:
    (error,) = sent(session().receive(text, NOW))
    assert isinstance(error, CallError)
    assert (error.id, error.code) == (id_, code)


def test_what_the_peer_refuses_is_told() -> None:
    us = session()
    id_, _ = us.call("TriggerMessage", TRIGGER, NOW)
    (refused,) = us.receive(write(CallError(id_, "MadeUp", "no", {})), NOW)
    assert refused == Refused(id_, "TriggerMessage", "MadeUp", "no")


@pytest.mark.parametrize("version", [*Version])
def test_an_answer_against_its_schema_is_a_refusal(version: Version) -> None:
    us = session(version)
    id_, _ = us.call("TriggerMessage", TRIGGER, NOW)
    events = us.receive(write(CallResult(id_, {"status": "Maybe"})), NOW)
    refused = events[-1]
    assert isinstance(refused, Refused)
    assert refused.code == Code.PROPERTY_CONSTRAINT_VIOLATION
    told = [frame for frame in sent(events) if isinstance(frame, CallResultError)]
    assert [frame.code for frame in told] == ([refused.code] if version is Version.V2_1 else [])


@pytest.mark.parametrize("version", [*Version])
@pytest.mark.parametrize("kind", [3, 4])
def test_an_answer_that_is_no_frame_ends_the_call(version: Version, kind: int) -> None:
    us = session(version)
    id_, _ = us.call("TriggerMessage", TRIGGER, NOW)
    events = us.receive(f'[{kind},"{id_}"]', NOW)
    assert isinstance(events[-1], Refused)
    assert us.deadline is None
    told = [CallResultError] if (version, kind) == (Version.V2_1, 3) else []
    assert [type(frame) for frame in sent(events)] == told


def test_known_mistakes_of_stations_are_forgiven() -> None:
    us = session()
    id_, _ = us.call("GetInstalledCertificateIds", {}, NOW)
    (answered,) = us.receive(write(CallResult(id_, {"status": "NotFound", "certificateHashDataChain": []})), NOW)
    assert answered == Answered(id_, "GetInstalledCertificateIds", {"status": "NotFound"})


def test_ocpp_2_1_tells_without_being_answered() -> None:
    us, them = session(Version.V2_1), session(Version.V2_1)
    stream = {"id": 1, "pending": 0, "basetime": "2026-01-01T00:00:00Z", "data": [{"t": 1.5, "v": "2"}]}
    (text,) = us.tell("NotifyPeriodicEventStream", stream)
    assert isinstance(text, Text)
    assert isinstance(read(text.text), Send)
    assert them.receive(text.text, NOW) == [Told("NotifyPeriodicEventStream", stream)]
    (dropped,) = them.receive(write(Send("x", "NotifyPeriodicEventStream", {})), NOW)
    assert isinstance(dropped, Dropped)


def test_what_we_ask_keeps_the_schema() -> None:
    with pytest.raises(Malformed, match="requestedMessage is missing"):
        session().call("TriggerMessage", {}, NOW)


def test_neither_side_can_fill_the_memory() -> None:
    us = session()
    for _ in range(MOST_WAITING + 1):
        us.call("TriggerMessage", TRIGGER, NOW)
    with pytest.raises(Unavailable, match="ask later"):
        us.call("TriggerMessage", TRIGGER, NOW)
    for number in range(MOST_ASKED):
        assert us.receive(f'[2,"p{number}","Heartbeat",{{}}]', NOW)[0] == Called(f"p{number}", "Heartbeat", {})
    (error,) = sent(us.receive('[2,"more","Heartbeat",{}]', NOW))
    assert isinstance(error, CallError)
    assert error.code == Code.RPC_FRAMEWORK_ERROR


def test_of_two_calls_with_one_id_the_first_is_worked_on() -> None:
    us = session()
    first, second = (us.receive('[2,"p1","Heartbeat",{}]', NOW) for _ in range(2))
    assert first == [Called("p1", "Heartbeat", {})]
    (error,) = sent(second)
    assert isinstance(error, CallError)
    assert (error.id, error.code) == ("p1", Code.RPC_FRAMEWORK_ERROR)
    assert us.reply("p1", {"currentTime": "2026-03-01T10:00:00Z"})


def test_a_lost_connection_ends_all_that_was_asked() -> None:
    us = session()
    ids = [us.call("TriggerMessage", TRIGGER, NOW)[0] for _ in range(3)]
    assert us.lost() == [TimedOut(id_, "TriggerMessage") for id_ in ids]
    assert (us.deadline, us.lost()) == (None, [])


@given(st.lists(st.binary(max_size=40) | st.sampled_from([b'[3,"our-1",{}]', b'[4,"our-1","x","y",{}]']), max_size=6))
def test_whatever_comes_the_session_goes_on(texts: list[bytes]) -> None:
    us = session()
    us.call("TriggerMessage", TRIGGER, NOW)
    for text in texts:
        for frame in sent(us.receive(text, NOW)):
            assert json.loads(write(frame))  # type: ignore[arg-type]
    us.lost()
    assert sent(us.call("TriggerMessage", TRIGGER, NOW)[1])
