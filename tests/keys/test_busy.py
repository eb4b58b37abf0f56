"""Many threads of many processes on one device."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import devices
from voltroot.keys.opening import open_keyring
from voltroot.pki.suites import P256_SHA256

pytestmark = pytest.mark.slow

BUSY = Path(__file__).with_name("busy.py")
SECONDS = [pytest.param(3, id="a moment"), pytest.param(60, id="a minute", marks=pytest.mark.soak)]


@pytest.mark.parametrize("seconds", SECONDS)
@pytest.mark.parametrize("device", [devices.token, devices.swtpm])
def test_eight_threads_in_each_of_two_processes_share_one_device(device, seconds: int, tmp_path: Path) -> None:
    with device() as made:
        open_keyring(made.device, tmp_path, lambda: devices.PIN).create("shared", P256_SHA256)
        command = [sys.executable, str(BUSY), made.device, str(tmp_path), devices.PIN, "shared", str(seconds)]
        programs = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
        spans = []
        for program in programs:
            said, complaint = program.communicate(timeout=seconds + 60)
            assert program.returncode == 0, complaint.decode()[-2000:]
            count, begun, until = map(float, said.split())
            assert count > 0
            spans.append((begun, until))
        assert max(begun for begun, _ in spans) < min(until for _, until in spans), "each had the device for itself"
