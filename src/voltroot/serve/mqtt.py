"""A connection to an MQTT broker that is made anew wherever it is lost."""

from __future__ import annotations

import contextlib
import logging
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from paho.mqtt.client import Client, MQTTMessage, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

log = logging.getLogger("voltroot")

KEEPALIVE = 20  # seconds, as EVerest has it
FIRST, LAST = 0.1, 3.0  # seconds between attempts to connect
STEADY = 5.0  # seconds after which a connection was one that held
LARGEST = 1 << 18  # octets of a packet; a broker of MQTT 5 then sends us none that is larger
LEAVE = 2.0  # seconds that the last words may take

Hearing = Callable[[str, bytes, bool], None]


@dataclass(frozen=True, slots=True)
class Broker:
    """Where a broker is, and how to be let in. ``host`` is a path if ``unix``; secrets are read when they are used."""

    host: str = "localhost"
    port: int = 1883
    unix: bool = False
    mqtt5: bool = True
    client_id: str = ""
    user: str = ""
    password: Callable[[], str] = field(default=lambda: "", repr=False)
    tls: Callable[[], ssl.SSLContext] | None = None

    def __str__(self) -> str:
        return self.host if self.unix else f"{self.host}:{self.port}"

    def check(self) -> None:
        """Raise what is wrong with the files of password and TLS."""
        if self.user:
            self.password()
        if self.tls is not None:
            self.tls()


class Line:
    """One connection. Nothing that was said on a lost one is said again: whoever asked asks again if they want to.

    Safe among threads. ``ready`` is set while the broker has confirmed all that is listened to.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._ears: dict[str, tuple[int, Hearing]] = {}
        self._greetings: list[Callable[[], None]] = []
        self._client: Client | None = None
        self._last: MQTTMessageInfo | None = None
        self._why = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self.ready = threading.Event()

    def listen(self, topic: str, hearing: Hearing, qos: int = 0, greeting: Callable[[], None] | None = None) -> None:
        """Hear a topic or a pattern of topics, from the start on; the greeting follows each time that it begins."""
        self._ears[topic] = qos, hearing
        if greeting is not None:
            self._greetings.append(greeting)

    def start(self) -> None:
        """Connect, and stay connected."""
        self._thread.start()

    def say(self, topic: str, octets: bytes, qos: int = 0) -> bool:
        """Send a message, not retained; False where there is no connection or the broker cannot have it."""
        client = self._client
        if client is None or not self.ready.is_set():
            return False
        try:
            said = client.publish(topic, octets, qos)
        except ValueError:
            return False
        self._last = said
        return said.rc == 0

    def stop(self) -> None:
        """Let the last words arrive and disconnect."""
        if self._last is not None and self.ready.is_set():
            with contextlib.suppress(RuntimeError, ValueError):
                self._last.wait_for_publish(LEAVE)
        self._stopping.set()
        if self._client is not None:
            self._client.disconnect()
        if self._thread.ident is not None:
            self._thread.join(LEAVE)

    def _run(self) -> None:
        pause = FIRST
        while not self._stopping.is_set():
            began, self._why = time.monotonic(), ""
            try:
                self._talk()
            except Exception as error:  # Whatever it is, the next attempt may do better.
                self._why = self._why or str(error) or type(error).__name__
            was_ready = self.ready.is_set()
            self.ready.clear()
            self._client = None
            if self._stopping.is_set():
                break
            event = "mqtt.lost" if was_ready else "mqtt.refused"
            log.warning(event, extra={"broker": str(self._broker), "why": self._why or "the broker has gone"})
            if time.monotonic() - began > STEADY:
                pause = FIRST
            self._stopping.wait(pause * random.uniform(0.5, 1))  # noqa: S311 -- to come apart, not to hide
            pause = min(2 * pause, LAST)

    def _talk(self) -> None:
        """Speak with the broker until one of the two has gone."""
        broker = self._broker
        version = MQTTProtocolVersion.MQTTv5 if broker.mqtt5 else MQTTProtocolVersion.MQTTv311
        # A client of its own for each connection: the library repeats on the next one what the last one may have said.
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=broker.client_id,
            clean_session=None if broker.mqtt5 else True,
            protocol=version,
            transport="unix" if broker.unix else "tcp",
            reconnect_on_failure=False,
        )
        client.on_socket_open = _without_delay
        # With this, only the thread that reads writes too; without, each that speaks, into each other's packets.
        client.on_socket_register_write = _leave_writing
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        for topic, (_, hearing) in self._ears.items():
            client.message_callback_add(topic, _hear(hearing))
        if broker.user:
            client.username_pw_set(broker.user, broker.password())
        if broker.tls is not None:
            client.tls_set_context(broker.tls())
        self._client = client
        client.connect(broker.host, broker.port, KEEPALIVE, properties=_limits(broker))
        while client.loop() == MQTTErrorCode.MQTT_ERR_SUCCESS:
            pass

    def _on_connect(self, client: Client, _: Any, __: Any, reason: ReasonCode, ___: Any) -> None:
        if reason.is_failure:
            self._why = str(reason)
        elif self._stopping.is_set():
            client.disconnect()
        elif self._ears:
            client.subscribe([(topic, qos) for topic, (qos, _) in self._ears.items()])
        else:
            self.ready.set()

    def _on_subscribe(self, _: Client, __: Any, ___: int, reasons: list[ReasonCode], ____: Any) -> None:
        for topic, reason in zip(self._ears, reasons, strict=False):
            if reason.is_failure:
                log.error("mqtt.subscription_refused", extra={"topic": topic, "why": str(reason)})
        self.ready.set()
        log.info("mqtt.connected", extra={"broker": str(self._broker)})
        for greeting in self._greetings:
            greeting()

    def _on_disconnect(self, _: Client, __: Any, ___: Any, reason: ReasonCode, ____: Any) -> None:
        self._why = self._why or str(reason)


def _hear(hearing: Hearing) -> Callable[[Client, Any, MQTTMessage], None]:
    return lambda client, userdata, message: hearing(message.topic, bytes(message.payload), message.retain)


def _without_delay(_: Client, __: Any, connection: Any) -> None:
    # Otherwise each small packet waits for the acknowledgement of the one before: 40 ms.
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _leave_writing(_: Client, __: Any, ___: Any) -> None:
    """Do nothing: the thread that reads is woken by other means."""


def _limits(broker: Broker) -> Properties | None:
    if not broker.mqtt5:
        return None
    limits = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # the library's own omission
    limits.MaximumPacketSize = LARGEST
    return limits
