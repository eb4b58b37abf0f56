"""A PostgreSQL server of the tests' own: started once in each process, a database for each test."""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from pathlib import Path

import psycopg

from backend import free_port

BINARIES = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/usr/lib/postgresql/bin"))


@dataclass
class Cluster:
    """One server in a folder, as the user ``postgres`` where the tests run as root."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    numbers: count[int] = field(default_factory=count)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        command = [BINARIES / "postgres", "-D", self.folder / "data", "-p", str(self.port), "-k", self.folder]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([*command, "-c", "max_connections=200"], **_user(), stdout=log, stderr=log)
        for _ in range(200):
            try:
                psycopg.connect(self.address("postgres")).close()
                return
            except psycopg.OperationalError:
                time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self) -> None:
        """Stop the server at once, as a crash would."""
        assert self.process is not None
        self.process.send_signal(3)
        self.process.wait()

    def create(self, template: str | None = None) -> str:
        """Make a database and return its name."""
        name = f"test{next(self.numbers)}"
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
        return name

    def address(self, database: str) -> str:
        """The address of a database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"


@lru_cache
def cluster() -> Cluster:
    """The server of this test process."""
    made = new_cluster()
    atexit.register(shutil.rmtree, made.folder, ignore_errors=True)
    atexit.register(made.stop)
    return made


def new_cluster() -> Cluster:
    """A started server whose folder and process are the caller's to remove."""
    folder = Path(tempfile.mkdtemp(prefix="voltroot-postgres-"))
    if os.getuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    initdb = [BINARIES / "initdb", "-D", folder / "data", "-U", "postgres", "--auth=trust", "-E", "UTF8", "--no-sync"]
    subprocess.run(initdb, **_user(), check=True, capture_output=True)
    made = Cluster(folder, free_port())
    made.start()
    return made


def _user() -> dict[str, object]:
    if os.getuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": "/"}
