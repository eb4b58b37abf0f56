"""How many replies a second EVerest's API gives over a mosquitto on this machine; who asks is in the same process."""

from __future__ import annotations

import threading
import time

from voltroot.actors.station.outcomes import LeafStatus
from voltroot.actors.station.ports import LeafKind
from voltroot.actors.station.station import Station
from voltroot.apis.everest.client import Client
from voltroot.apis.everest.server import Server, Settings
from voltroot.bench import servers
from voltroot.bench.report import Figures
from voltroot.errors import Unavailable
from voltroot.serve.broker import embedded
from voltroot.serve.mqtt import Broker, Line
from voltroot.serve.workers import Worker

CALLERS = (1, 16)
PATIENCE = 5.0  # seconds


def measure(station: Station, callers: int, seconds: float) -> Figures:
    """Have so many callers ask for the certificate, each again as soon as it is answered."""
    port = servers.free_port()
    own, theirs = (Line(Broker("127.0.0.1", port)) for _ in range(2))
    worker = Worker(own, Server(station, Settings(heartbeat_ms=0)))
    client = Client(theirs, Settings().module)
    with embedded(port):
        worker.start()
        try:
            for line in (own, theirs):
                line.start()
                if not line.ready.wait(PATIENCE):
                    raise Unavailable("mosquitto cannot be reached")
            return _asked(client, callers, seconds)
        finally:
            worker.stop()
            for line in (own, theirs):
                line.stop()


def _asked(client: Client, callers: int, seconds: float) -> Figures:
    answered: list[int] = []
    until = time.perf_counter() + seconds

    def ask() -> None:
        while time.perf_counter() < until:
            if client.get_leaf_certificate_info(LeafKind.V2G).status is LeafStatus.ACCEPTED:
                answered.append(1)

    threads = [threading.Thread(target=ask) for _ in range(callers)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if not answered:
        raise Unavailable("the station's answers are wrong")
    return {"replies_per_s": len(answered) / (time.perf_counter() - began)}
