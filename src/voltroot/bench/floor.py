"""What the arithmetic alone costs: a loop that does nothing but check requests and sign, or sign."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple, Self, cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from voltroot.pki import suites
from voltroot.pki.suites import SUITES, Suite

# As long as the to-be-signed octets of a certificate.
CONTENTS = bytes(600)


class Loop(NamedTuple):
    """What one loop came to: how many rounds, in how many seconds, and with how much processor time."""

    rounds: int
    seconds: float
    cpu: float


class Floor:
    """Loops in processes that are kept; ``csrs`` are the requests that are checked, none to sign only."""

    def __init__(self, suite: Suite, csrs: Sequence[bytes]) -> None:
        self.processors = os.cpu_count() or 1
        self._suite = suite
        self._csrs = list(csrs)
        self._pool = ProcessPoolExecutor(self.processors, multiprocessing.get_context("spawn"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def figures(self, processes: int, seconds: float) -> dict[str, float]:
        """Loop in so many processes at once; return rounds a second and the processor time of one."""
        begun = [self._pool.submit(_loop, self._suite.name, self._csrs, seconds) for _ in range(processes)]
        loops = [one.result() for one in begun]
        count = sum(loop.rounds for loop in loops)
        rate = sum(loop.rounds / loop.seconds for loop in loops)
        return {"rate": rate, "cpu_us": 1_000_000 * sum(loop.cpu for loop in loops) / count}


def _loop(suite: str, csrs: Sequence[bytes], seconds: float) -> Loop:
    once = _checking(SUITES[suite], csrs) if csrs else _signing(SUITES[suite])
    count, began, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() < began + seconds:
        once(count)
        count += 1
    return Loop(count, time.perf_counter() - began, time.process_time() - cpu)


def _checking(suite: Suite, csrs: Sequence[bytes]) -> Callable[[int], object]:
    sign = _signing(suite)

    def once(number: int) -> None:
        request = x509.load_der_x509_csr(csrs[number % len(csrs)])
        request.public_key()
        assert request.is_signature_valid
        sign(number)

    return once


def _signing(suite: Suite) -> Callable[[int], object]:
    key = cast(ec.EllipticCurvePrivateKey, suites.generate(suite))
    assert suite.hash is not None
    algorithm = ec.ECDSA(suite.hash)
    return lambda number: key.sign(CONTENTS, algorithm)
