"""How many contracts a second are made and handed out over HTTP, beside what their cryptography alone costs."""

from __future__ import annotations

import base64
import itertools
import json
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

from voltroot.actors.registrar import Subjects
from voltroot.actors.vehicle import Vehicle
from voltroot.app.backend import Backend
from voltroot.bench import load, machine
from voltroot.bench.ledgers import SQLITE, Stock, Stocks
from voltroot.bench.materials import GOOD
from voltroot.bench.options import Options, workshop
from voltroot.bench.report import Aim, Case, Figures, Labels, Progress, Report, find, measure, ratio
from voltroot.bench.servers import Server
from voltroot.contract import seal
from voltroot.errors import Failure, Unavailable
from voltroot.pki import suites
from voltroot.pki.drafts import Order
from voltroot.pki.ports import Entry
from voltroot.pki.suites import P256_SHA256, P521_SHA512, Signer, Suite
from voltroot.terms import emaid_check_digit, mod11

VOLTROOT, FLOOR = "voltroot", "floor: its cryptography"
PACKAGES, ANSWERS = "mo/contract", "ccp/certificateInstallation"
SUITES = (P256_SHA256, P521_SHA512)
CLIENTS, MOST = (1, 8, 32), 32
CARS = 100
CPU_AIM, RATE_AIM = 2.5, 600
# As long as what is signed of a certificate, and as a SignedInfo.
CONTENTS = bytes(600)


class Combination(NamedTuple):
    """One way to ask."""

    call: str
    suite: str
    processes: int
    clients: int


def combinations(options: Options) -> list[Combination]:
    """Return what is measured; of the same number of processes together."""
    if options.quick:
        calls = itertools.product((PACKAGES, ANSWERS), SUITES)
        return [Combination(call, suite.name, 2, MOST) for call, suite in calls]
    return [
        Combination(call, suite.name, processes, clients)
        for processes in (1, 2)
        for call in (PACKAGES, ANSWERS)
        for suite in SUITES
        for clients in CLIENTS
    ]


def run(options: Options, progress: Progress) -> Report:
    """Measure, and return the report."""
    with workshop() as folder, ExitStack() as stack:
        facts = machine.facts(folder)
        cases = list(_cases(options, folder, stack, progress))
        measure(cases, options.length(1, 2), options.rounds or (5 if options.quick else 3), options.until, progress)
    return Report("Contracts a second: made by mo/contract, handed out by CCP", facts, cases, list(_aims(cases)), NOTES)


NOTES = (
    "mo/contract judges the car's chain, makes and seals a key, issues and records the certificate and has the CPS"
    " sign: what is answered is on disk. ccp/certificateInstallation judges the chain, verifies the request and has the"
    " CPS sign. rate: a second. cpu_us: processor time of the serving processes for one. The floor does the same"
    " signatures, verifications, keys and agreements in one process, and nothing else. Medians of the runs.",
)


def _cases(options: Options, folder: Path, stack: ExitStack, progress: Progress) -> Iterator[Case]:
    for suite in SUITES:
        for call, once in ((PACKAGES, _making(suite)), (ANSWERS, _answering(suite))):
            yield Case(_labels(FLOOR, call=call, suite=suite.name, processes=1), partial(_looped, once))
    progress("making a PKI, cars and contracts")
    (stock,) = stack.enter_context(Stocks(folder)).make([(SQLITE, 0)])
    if isinstance(stock, Failure):
        raise stock
    # Those that new contracts are made for are not those that ask for theirs: each of these has one.
    cars = {
        (call, suite.name): _cars(stock, suite, first)
        for first, call in ((0, PACKAGES), (CARS, ANSWERS))
        for suite in SUITES
    }
    numbers = itertools.count(2 * CARS)
    for processes, group in itertools.groupby(combinations(options), lambda one: one.processes):
        server = stack.enter_context(stock.serve(processes))
        for one in group:
            requests = _asking(cars[one.call, one.suite], one, numbers)
            yield Case(_labels(VOLTROOT, **one._asdict()), partial(_loaded, server, requests, one.clients))


def _asking(cars: Sequence[Vehicle], one: Combination, numbers: Iterator[int]) -> Iterator[bytes]:
    if one.call == ANSWERS:
        return itertools.cycle([_installing(car) for car in cars])
    return (_contracting(car, next(numbers)) for car in itertools.cycle(cars))


def _loaded(server: Server, requests: Iterator[bytes], clients: int, seconds: float) -> Figures:
    before = server.cpu()
    done = load.apply(server.port, requests, clients, seconds, GOOD)
    return done.figures(server.cpu() - before)


def _cars(stock: Stock, suite: Suite, first: int) -> list[Vehicle]:
    """Return cars of one kind with a contract each, numbered from the first."""
    backend = stock.backend()
    profile = backend.profiles["OEM_PROV_2" if suite is P256_SHA256 else "OEM_PROV_20"]
    keys = [suites.generate(suite) for _ in range(CARS)]
    orders = [
        Order(profile, Subjects().name(profile, _pcid(number)), key.public_key(), "bench", name=_pcid(number))
        for number, key in enumerate(keys, first)
    ]
    standing = backend.issuers.standing()
    issuer = standing.for_profile(profile, suite)
    above, roots = standing.chain(issuer.number)[:-1], tuple(standing.roots)
    cars = [
        Vehicle((entry.read(), *above), key, roots) for entry, key in zip(_issued(backend, orders), keys, strict=True)
    ]
    makes = [backend.contracts.mo.create(car.chain[0], _emaid(suite, number)) for number, car in enumerate(cars, first)]
    _issued(backend, makes)
    backend.close()
    return cars


def _issued(backend: Backend, orders: Sequence[Order]) -> list[Entry]:
    entries = []
    for outcome in backend.authority.issue_all(orders):
        if isinstance(outcome, Failure):
            raise outcome
        entries.append(outcome)
    return entries


def _contracting(car: Vehicle, number: int) -> bytes:
    emaid = _emaid(suites.suite_of(car.key), number)
    body = {"dhCert": base64.b64encode(car.chain[0].der).decode(), "emaid": emaid}
    return load.request("POST", f"/api/v2/{PACKAGES}", json.dumps(body).encode())


def _installing(car: Vehicle) -> bytes:
    asked = car.installation_request(secrets.token_bytes(8), car.chain[0].not_before)
    body = {"v2gMessage": base64.b64encode(asked).decode()}
    return load.request("POST", f"/api/v2/{ANSWERS}", json.dumps(body).encode())


def _pcid(number: int) -> str:
    start = f"WVT{number:014}"
    return start + mod11(start)


def _emaid(suite: Suite, number: int) -> str:
    start = f"DE{'VL2' if suite is P256_SHA256 else 'VL0'}C{number:08}"
    return start + emaid_check_digit(start)


# the floor


def _making(suite: Suite) -> Callable[[], object]:
    """Judge a chain of three, make a key, seal it, sign a certificate and a message."""
    key, verify = suites.generate(suite), _verifying(suite)
    receiver = suites.generate(suite).public_key()

    def once() -> None:
        for _ in range(3):
            verify()
        seal.seal(seal.make_key(suite), receiver)
        suites.sign(key, CONTENTS)
        suites.sign(key, CONTENTS)

    return once


def _answering(suite: Suite) -> Callable[[], object]:
    """Judge a chain of three, verify a message, sign one."""
    key, verify = suites.generate(suite), _verifying(suite)

    def once() -> None:
        for _ in range(4):
            verify()
        suites.sign(key, CONTENTS)

    return once


def _verifying(suite: Suite) -> Callable[[], None]:
    key: Signer = suites.generate(suite)
    signature, public = suites.sign(key, CONTENTS), key.public_key()

    def once() -> None:
        if not suites.verify(public, signature, CONTENTS, suite.hash):
            raise Unavailable("a signature does not hold")

    return once


def _looped(once: Callable[[], object], seconds: float) -> Figures:
    count, began, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() < began + seconds:
        once()
        count += 1
    took = time.process_time() - cpu
    return {"rate": count / (time.perf_counter() - began), "cpu_us": 1_000_000 * took / count}


def _aims(cases: Sequence[Case]) -> Iterator[Aim]:
    for call, suite in itertools.product((PACKAGES, ANSWERS), SUITES):
        own = find(cases, system=VOLTROOT, call=call, suite=suite.name, processes=2, clients=MOST)
        floor = find(cases, system=FLOOR, call=call, suite=suite.name)
        name = f"{call}, {suite.name}: CPU time by the floor's"
        yield Aim(name, ratio(own, floor, "cpu_us"), CPU_AIM)
        if (call, suite) == (PACKAGES, P256_SHA256):
            yield Aim(f"{call}, {suite.name}: a second", own.median("rate") if own else None, RATE_AIM, at_least=True)


def _labels(system: str, **rest: str | int) -> Labels:
    return {"system": system} | {name: rest.get(name, "") for name in Combination._fields}
