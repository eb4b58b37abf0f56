"""Lines to a broker: many threads that speak, brokers that refuse, and what a line never does."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

import mosquitto
from backend import free_port
from mosquitto import started
from voltroot.serve.mqtt import Broker, Line

pytestmark = pytest.mark.slow


def eventually(condition: threading.Event, seconds: float = 20) -> None:
    assert condition.wait(seconds), "it never came true"


def test_what_many_threads_say_at_once_arrives_whole(tmp_path: Path) -> None:
    """More than fits into the socket's buffer, so that packets are sent in pieces."""
    threads, each = 6, 40
    heard: Counter[tuple[int, int]] = Counter()
    everything = threading.Event()

    def hearing(topic: str, octets: bytes, _: bool) -> None:
        heard.update([(octets[0], len({*octets}))])
        if heard.total() == threads * each:
            everything.set()

    with (
        mosquitto.mosquitto(tmp_path / "broker", "allow_anonymous true", "max_queued_messages 0") as broker,
        broker.line() as line,
        broker.line() as ear,
    ):
        ear.listen("large", hearing)
        started(ear)
        started(line)

        def speak(number: int) -> None:
            for _ in range(each):
                assert line.say("large", bytes([number]) * 200_000)

        speakers = [threading.Thread(target=speak, args=(number,)) for number in range(threads)]
        for thread in speakers:
            thread.start()
        for thread in speakers:
            thread.join()
        eventually(everything)
    assert heard == {(number, 1): each for number in range(threads)}


def test_nothing_is_said_without_a_connection_nor_on_the_next_one(tmp_path: Path) -> None:
    port = free_port()
    with mosquitto.mosquitto(tmp_path / "broker") as broker:
        line = Line(Broker("127.0.0.1", port))
        line.start()
        assert not line.say("topic", b"lost")
        line.stop()
        with broker.line() as own, broker.line() as ear:
            heard: list[bytes] = []
            ear.listen("topic", lambda topic, octets, retained: heard.append(octets))
            started(ear)
            started(own)
            broker.kill()
            until = time.monotonic() + 5
            while own.say("topic", b"in doubt", 2):
                assert time.monotonic() < until
            broker.start()
            eventually(own.ready)
            eventually(ear.ready)
            assert own.say("topic", b"new", 2)
            time.sleep(0.3)
            assert heard == [b"new"]


def test_attempts_come_slower_and_slower_but_never_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "voltroot")
    line = Line(Broker("127.0.0.1", free_port()))
    line.start()
    time.sleep(3)
    line.stop()
    assert 4 <= len(caplog.records) <= 8
    assert {record.message for record in caplog.records} == {"mqtt.refused"}
    assert all("refused" in record.__dict__["why"] for record in caplog.records)


def test_a_topic_that_is_not_one_is_not_said(tmp_path: Path) -> None:
    with mosquitto.mosquitto(tmp_path / "broker") as broker, broker.line() as line:
        started(line)
        assert not line.say("a/+", b"")
        assert not line.say("x" * 70_000, b"")
        assert line.say("fine", b"")
