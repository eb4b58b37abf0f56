"""A broker for a first try: a mosquitto that is installed, on this machine only."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from voltroot.errors import Unavailable

PATIENCE = 5.0  # seconds
_PLACES = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")


@contextlib.contextmanager
def embedded(port: int) -> Iterator[None]:
    """Run a broker on a port of the loopback that takes everybody and keeps nothing."""
    program = find()
    if program is None:
        raise Unavailable("mosquitto is not installed: apt-get install mosquitto, or name a broker that runs")
    if _answers(port):
        raise Unavailable(f"a broker runs on port {port} already: leave out --embedded-broker")
    with tempfile.TemporaryDirectory(prefix="voltroot-broker-") as folder:
        settings = Path(folder) / "mosquitto.conf"
        settings.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\n"
        )
        process = subprocess.Popen(  # noqa: S603 -- our own arguments
            [program, "-c", str(settings)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            _wait(process, port)
            yield
        finally:
            process.terminate()
            process.wait()


def find() -> str | None:
    """Return the path of mosquitto, or None where it is not installed."""
    return shutil.which("mosquitto") or next(
        (path for place in _PLACES if (path := shutil.which("mosquitto", path=place))), None
    )


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + PATIENCE
    while not _answers(port):
        if process.poll() is not None or time.monotonic() > until:
            raise Unavailable(f"mosquitto does not start on port {port}")
        time.sleep(0.02)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
