"""The machine that is measured on, as far as it explains the figures."""

from __future__ import annotations

import os
import platform
import re
import resource
import shutil
import sqlite3
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import cryptography

from voltroot import __version__
from voltroot.errors import Unavailable


def facts(folder: Path) -> dict[str, str | int | float]:
    """Return what is known of the machine; ``folder`` is where the databases will be."""
    return {
        "processor": _processor(),
        "processors": os.cpu_count() or 1,
        "load": round(os.getloadavg()[0], 2),
        "fsync_ms": round(fsync_ms(folder), 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "cryptography": cryptography.__version__,
        "sqlite": sqlite3.sqlite_version,
        "cfssl": cfssl_version(),
        "voltroot": __version__,
    }


def allow_open_files(wanted: int) -> None:
    """Let this process and those that it starts have so many files open; Unavailable where the machine does not."""
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < wanted:
        raise Unavailable(
            f"a process may have {most:,} open files here, and {wanted:,} are needed: raise the limit"
            " (ulimit -Hn, LimitNOFILE= of systemd, --ulimit nofile= of a container) or measure fewer stations"
        )
    if limit < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def fsync_ms(folder: Path) -> float:
    """Return how long a write of a page takes to be on disk: the median, in milliseconds."""
    taken = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(50):
            file.write(bytes(4096))
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - began)
    return 1000 * statistics.median(taken)


def cfssl_version() -> str:
    """Return the version of the cfssl that is installed, or nothing."""
    path = shutil.which("cfssl")
    if path is None:
        return ""
    said = subprocess.run([path, "version"], capture_output=True, text=True, check=False).stdout  # noqa: S603 -- found by its path
    found = re.search(r"Version: (\S+)", said)
    return found[1] if found else "unknown"


def _processor() -> str:
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()
