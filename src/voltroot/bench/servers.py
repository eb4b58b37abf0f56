"""The servers that are measured, each a program of its own in a temporary folder."""

from __future__ import annotations

import http.client
import itertools
import os
import pwd
import random
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from voltroot.errors import Unavailable

# Below the ports that clients get: what they leave in TIME_WAIT is never in the way. Two runs begin at different ones.
PORTS = range(26_000, 32_000)
_BEGIN = random.randrange(len(PORTS))  # noqa: S311 -- no secret
_PORTS: Iterator[int] = itertools.cycle([*PORTS[_BEGIN:], *PORTS[:_BEGIN]])
POSTGRESQL = Path("/usr/lib/postgresql")
_TICK = 1 / os.sysconf("SC_CLK_TCK")


@dataclass
class Server:
    """A program that listens on a port, and all the processes that it has started."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path
    ending: signal.Signals = signal.SIGTERM

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it; one that does not go is killed."""
        if self.process.poll() is None:
            self.process.send_signal(self.ending)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def wait(self, ready: Callable[[], bool], seconds: float = 60) -> Self:
        """Wait until it is ready; Unavailable with the end of its log if it does not become so."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise Unavailable(f"{self.name} does not start: {self.log.read_text(errors='replace')[-400:]}")
            time.sleep(0.005)
        return self

    def cpu(self) -> float:
        """Return the seconds of processor time that it and its processes have taken."""
        return sum(map(_cpu, descendants(self.process.pid)))

    def memory(self) -> int:
        """Return the octets of memory that it and its processes have in use."""
        return sum(map(_resident, descendants(self.process.pid)))


def start(name: str, command: Sequence[str | Path], port: int, folder: Path, **options: Any) -> Server:
    """Start a program that is to listen on a port; what it says goes to a file in the folder."""
    log = folder / f"{name.replace(' ', '-')}-{port}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(  # noqa: S603 -- our own command lines
            [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=file, stderr=file, **options
        )
    return Server(name, port, process, log)


def postgresql(folder: Path) -> tuple[Server, str]:
    """Start a PostgreSQL server of our own with its defaults; returns it and the address of its first database."""
    binaries = max(POSTGRESQL.glob("*/bin"), default=None, key=lambda path: float(path.parent.name))
    if binaries is None:
        raise Unavailable(f"there is no PostgreSQL in {POSTGRESQL}: install it, or give --postgresql")
    # Whoever runs it may be another user: the way there is open, the folder is not.
    folder.parent.chmod(0o711)
    folder.mkdir()
    user = _user(folder)
    data, port = folder / "data", free_port()
    make: list[str | Path] = [binaries / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "-E", "UTF8"]
    subprocess.run([*make, "--no-sync"], check=True, capture_output=True, **user)  # noqa: S603 -- found by its path
    command: list[str | Path] = [binaries / "postgres", "-D", data, "-p", str(port), "-k", folder, "-h", "127.0.0.1"]
    server = start("postgresql", [*command, "-c", "max_connections=200"], port, folder, **user)
    server.ending = signal.SIGINT  # to SIGTERM it would wait until nobody is connected any more
    return server.wait(lambda: listens(port)), f"postgresql://postgres@127.0.0.1:{port}/postgres"


def answers(port: int, method: str, path: str, body: bytes | None = None) -> bool:
    """Tell whether a server on a port answers with success."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def free_port() -> int:
    """Return a port that nobody listens on, and not the same again."""
    return next(port for port in _PORTS if not listens(port))


def listens(port: int) -> bool:
    """Tell whether somebody accepts connections on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def descendants(process: int) -> list[int]:
    """Return a process and all that it has started, directly or not."""
    found = [process]
    for one in found:
        for tasks in Path(f"/proc/{one}/task").glob("*/children"):
            found += map(int, tasks.read_text().split())
    return found


def _cpu(process: int) -> float:
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return 0.0
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) * _TICK


def _resident(process: int) -> int:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * resource.getpagesize()


def _user(folder: Path) -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return {}
    shutil.chown(folder, "postgres", "postgres")
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": "/"}
