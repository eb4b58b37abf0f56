"""How many OCSP answers a second: from the cache by GET and POST, and signed for a nonce each."""

from __future__ import annotations

import base64
import itertools
import os
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPRequestBuilder

from voltroot.bench import load, machine
from voltroot.bench.floor import Floor
from voltroot.bench.ledgers import SQLITE, Stock, Stocks
from voltroot.bench.options import Options, workshop
from voltroot.bench.report import Aim, Case, Figures, Labels, Progress, Report, measure
from voltroot.bench.servers import Server
from voltroot.pki.ocsp import issuer_hashes
from voltroot.pki.suites import P256_SHA256

CLIENTS, CERTIFICATES = 32, 500
# OCSPResponseStatus successful and what follows it (RFC 6960 4.2.1).
GOOD = b"\x0a\x01\x00\xa0"
FLOOR = "floor: one signature"
GET, POST, NONCE = "GET, cached", "POST, cached", "POST, nonce"
MARK = bytes(range(16))


def run(options: Options, progress: Progress) -> Report:
    """Measure, and return the report."""
    with workshop() as folder, ExitStack() as stack:
        facts = machine.facts(folder)
        cases = list(_cases(options, folder, stack, progress))
        measure(cases, options.length(0.6, 3), options.rounds or 5, options.until, progress)
    rates = [(case.labels["answers"], case.labels["processes"], case.median("rate")) for case in cases]
    aims = [
        Aim(f"{answers}, {processes} process{'es' if processes != 1 else ''}: answers a second", rate, 2000, True)
        for answers, processes, rate in rates
        if answers in (GET, POST)
    ]
    return Report(f"OCSP answers a second over HTTP, {CLIENTS} clients", facts, cases, aims)


def _cases(options: Options, folder: Path, stack: ExitStack, progress: Progress) -> Iterator[Case]:
    progress(f"making a PKI with {CERTIFICATES} certificates")
    (stock,) = stack.enter_context(Stocks(folder)).make([(SQLITE, CERTIFICATES)])
    assert isinstance(stock, Stock), "SQLite is everywhere"
    plain, marked = _requests(stock)
    bodies = {
        GET: itertools.cycle([_get(octets) for octets in plain]),
        POST: itertools.cycle([_post(octets) for octets in plain]),
        NONCE: (_post(octets.replace(MARK, os.urandom(len(MARK)))) for octets in itertools.cycle(marked)),
    }
    for processes in (1, 2):
        server = stack.enter_context(stock.serve(processes))
        for answers, requests in bodies.items():
            labels: Labels = {"answers": answers, "processes": processes}
            yield Case(labels, partial(_measured, server, requests))
    floor = stack.enter_context(Floor(P256_SHA256, ()))
    for processes in (1, floor.processors):
        yield Case({"answers": FLOOR, "processes": processes}, partial(floor.figures, processes))


def _measured(server: Server, requests: Iterator[bytes], seconds: float) -> Figures:
    before = server.cpu()
    done = load.apply(server.port, requests, CLIENTS, seconds, GOOD)
    return done.figures(server.cpu() - before)


def _requests(stock: Stock) -> tuple[list[bytes], list[bytes]]:
    """Return requests for all certificates, plain ones and ones with a nonce."""
    backend = stock.backend()
    entries = backend.ledger.find(profiles=["SECC_2"])
    cas = backend.issuers.standing().cas
    backend.close()
    issuers = {
        number: next(issuer_hashes(cas[number].certificate)) for number in {entry.issuer or 0 for entry in entries}
    }
    builders = [
        OCSPRequestBuilder().add_certificate_by_hash(
            issuers[entry.issuer or 0].name,
            issuers[entry.issuer or 0].key,
            entry.serial,
            hashes.SHA1(),  # noqa: S303 -- OCSP's
        )
        for entry in entries
    ]
    nonce = x509.OCSPNonce(MARK)
    plain = [builder.build().public_bytes(Encoding.DER) for builder in builders]
    marked = [builder.add_extension(nonce, critical=False).build().public_bytes(Encoding.DER) for builder in builders]
    return plain, marked


def _get(octets: bytes) -> bytes:
    return load.request("GET", "/ocsp/" + quote(base64.b64encode(octets).decode(), safe=""))


def _post(octets: bytes) -> bytes:
    return load.request("POST", "/ocsp", octets, "application/ocsp-request")
