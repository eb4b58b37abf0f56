"""How many certificates a second by the vPKI API, through TLS with client certificates, beside the plain API."""

from __future__ import annotations

import json
import multiprocessing
import os
import ssl
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from voltroot.bench import load, machine, materials, servers
from voltroot.bench.ledgers import SQLITE, Stock, Stocks
from voltroot.bench.options import Options, workshop
from voltroot.bench.report import Aim, Case, Figures, Labels, Progress, Report, find, measure, ratio
from voltroot.bench.servers import Server
from voltroot.errors import Failure
from voltroot.pki import suites
from voltroot.pki.certificates import pem
from voltroot.pki.drafts import Order
from voltroot.pki.names import Name
from voltroot.pki.suites import P256_SHA256, P521_SHA512, SUITES, Suite

PLAIN, TLS, REPEATABLE = "seccCertByCsr, HTTP", "vPKI, TLS and client certificate", "the same, Idempotency-Key"
GOOD = b'{"cert":"'
CLIENTS, PROCESSES = 32, 2
# Requests a second, more than will be reached.
FASTEST = {P256_SHA256.name: 3000, P521_SHA512.name: 600}
PRODUCTS = {P256_SHA256.name: ("v1/prov", "OEM"), P521_SHA512.name: ("v2/prov", "OEM20")}
LEAST = 0.85
CALLERS = """
[vpki]
client_ca = "{ca}"

[[vpki.callers]]
name = "plant"
networks = ["127.0.0.0/8"]
certificates = ["plant"]
"""


def run(options: Options, progress: Progress) -> Report:
    """Measure, and return the report."""
    seconds, rounds = options.length(1, 2), options.rounds or (3 if options.quick else 5)
    with workshop() as folder, ExitStack() as stack:
        facts = machine.facts(folder)
        cases = list(_cases(folder, stack, seconds * rounds, progress))
        measure(cases, seconds, rounds, options.until, progress)
    aims = [
        Aim(f"{curve}: rate through TLS by the plain rate", _times(cases, curve), LEAST, at_least=True)
        for curve in PRODUCTS
    ]
    return Report("Certificates a second: issue by the vPKI API", facts, cases, aims, NOTES)


NOTES = (
    f"{CLIENTS} kept connections, {PROCESSES} processes, an empty ledger in SQLite. rate: certificates a second."
    " p50_ms, p99_ms: what one client waits. cpu_us: processor time of the serving processes for one certificate.",
)


def _times(cases: Sequence[Case], curve: str) -> float | None:
    return ratio(find(cases, system=TLS, curve=curve), find(cases, system=PLAIN, curve=curve), "rate")


def _cases(folder: Path, stack: ExitStack, seconds: float, progress: Progress) -> Iterator[Case]:
    progress("making keys and requests")
    needed = {curve: int(rate * seconds) + 500 for curve, rate in FASTEST.items()}
    stations = {curve: materials.stations(SUITES[curve], needed[curve]) for curve in FASTEST}
    parts = {curve: _parts(SUITES[curve], 2 * needed[curve]) for curve in FASTEST}
    progress("making a PKI")
    stocks = stack.enter_context(Stocks(folder))
    (stock,) = stocks.make([(SQLITE, 0)])
    if isinstance(stock, Failure):
        yield Case({"system": TLS}, failed=str(stock))
        return
    context = _client(stock, folder)
    port = servers.free_port()
    more = CALLERS.format(ca=folder / "cas.pem")
    server = stack.enter_context(stock.serve(PROCESSES, vpki_port=port, more=more))
    for curve, made in stations.items():
        plain = iter([materials.issuing(one, SUITES[curve]) for one in made])
        yield _case(server, server.port, plain, materials.GOOD, PLAIN, curve, None)
        half = len(parts[curve]) // 2
        once = map(partial(_issuing, curve), parts[curve][:half])
        yield _case(server, port, once, GOOD, TLS, curve, context)
        named = map(f"bench-{curve}-{{}}".format, count())
        repeatable = map(partial(_issuing, curve), parts[curve][half:], named)
        yield _case(server, port, repeatable, GOOD, REPEATABLE, curve, context)


def _case(
    server: Server,
    port: int,
    requests: Iterator[bytes],
    good: bytes,
    system: str,
    curve: str,
    tls: ssl.SSLContext | None,
) -> Case:
    def measured(seconds: float) -> Figures:
        before = server.cpu()
        done = load.apply(port, requests, CLIENTS, seconds, good, tls)
        return done.figures(server.cpu() - before)

    labels: Labels = {"system": system, "curve": curve}
    return Case(labels, measured)


def _issuing(curve: str, csr: str, key: str = "") -> bytes:
    body = {
        "csr": csr,
        "unitCode": "C001",
        "tierCode": "P001",
        "vehicleCode": "SX2",
        "localCode": "KR",
        "brandCode": "HMC",
    }
    octets = load.request("POST", f"/api/{PRODUCTS[curve][0]}/issue", json.dumps(body).encode())
    return octets.replace(b"\r\n", f"\r\nIdempotency-Key: {key}\r\n".encode(), 1) if key else octets


def _client(stock: Stock, folder: Path) -> ssl.SSLContext:
    """Issue a client certificate and return how its holder speaks TLS; the CAs it trusts go into a file."""
    backend = stock.backend()
    key = suites.generate(P256_SHA256)
    profile = backend.profiles["CHARGING_STATION"]
    name = Name.of([("CN", "plant"), ("O", "Voltroot Test"), ("C", "DE")])
    entry = backend.authority.issue(Order(profile, name, key.public_key(), "bench"))
    above = backend.issuers.standing().chain(entry.issuer)
    (folder / "cas.pem").write_text("".join(pem("CERTIFICATE", certificate.der) for certificate in above))
    own = folder / "plant.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    own.write_text(pem("CERTIFICATE", entry.certificate) + private)
    backend.close()
    context = ssl.create_default_context(cafile=folder / "cas.pem")
    context.load_cert_chain(own)
    return context


def _parts(suite: Suite, number: int) -> list[str]:
    """Make so many requests of parts, each on a key of its own; all processors work on it."""
    workers = os.cpu_count() or 1
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        made = pool.map(_requests, [suite.name] * workers, range(workers), [workers] * workers, [number] * workers)
        return [request for requests in made for request in requests]


def _requests(suite: str, first: int, step: int, number: int) -> list[str]:
    return [_request(f"KM7P{place:013}", SUITES[suite]) for place in range(first, number, step)]


def _request(name: str, suite: Suite) -> str:
    key = cast(ec.EllipticCurvePrivateKey, suites.generate(suite))
    pairs = [
        (NameOID.DOMAIN_COMPONENT, PRODUCTS[suite.name][1]),
        (NameOID.ORGANIZATION_NAME, "HKMC"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "ECC"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "C001"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "P001"),
        (NameOID.COMMON_NAME, name),
    ]
    subject = x509.Name([x509.NameAttribute(oid, value) for oid, value in pairs])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    octets = builder.sign(key, suite.hash).public_bytes(Encoding.DER)  # type: ignore[arg-type] # all of these suites have one
    return pem("CERTIFICATE REQUEST", octets)
