"""What is asked for, made ahead of time: station ids, requests on keys of their own, and the octets that carry them."""

from __future__ import annotations

import base64
import json
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple, cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from voltroot.bench.load import request
from voltroot.pki import suites
from voltroot.pki.certificates import pem
from voltroot.pki.profiles import Edition
from voltroot.pki.suites import P256_SHA256, P521_SHA512, SUITES, Suite
from voltroot.terms import SECCID

EDITIONS = {P256_SHA256.name: Edition.ISO15118_2, P521_SHA512.name: Edition.ISO15118_20}
GOOD = b'"status":"success"'
CFSSL_GOOD = b'"success":true'


class Station(NamedTuple):
    """A station that asks for a certificate: its id, and its request in DER."""

    id: str
    csr: bytes


def station_id(number: int) -> str:
    """Return an id that every edition takes without remark (ISO 15118-20 C.3)."""
    elements = ("DE", "VLT", "S", f"{number:032}")
    return "".join(elements) + SECCID.checks[0](*elements)


def old_station_id(number: int) -> str:
    """Return the id of a station that has had its certificate for long."""
    return f"DEOLDS{number:033}"


def stations(suite: Suite, count: int) -> list[Station]:
    """Make so many stations, each with a key of its own; all processors work on it."""
    workers = os.cpu_count() or 1
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        parts = pool.map(_stations, [suite.name] * workers, range(workers), [workers] * workers, [count] * workers)
        return [station for part in parts for station in part]


def issuing(station: Station, suite: Suite) -> bytes:
    """Return the HTTP request for one certificate by the Secondary Actor API, section 3.1.2."""
    body = {
        "pkcs10Data": base64.b64encode(station.csr).decode(),
        "cn": station.id,
        "edition": EDITIONS[suite.name].value,
    }
    return request("POST", "/api/v2/cpo/seccCertByCsr", json.dumps(body).encode())


def issuing_by_cfssl(station: Station) -> bytes:
    """Return the HTTP request for one certificate by cfssl."""
    body = {"certificate_request": pem("CERTIFICATE REQUEST", station.csr), "hosts": [station.id]}
    return request("POST", "/api/v1/cfssl/sign", json.dumps(body).encode())


def revoking(subject: str) -> bytes:
    """Return the HTTP request that revokes by a distinguished name, section 3.1.5."""
    return request("DELETE", "/api/v2/cpo/seccCert", json.dumps({"subjectDn": subject}).encode())


def _stations(suite: str, first: int, step: int, count: int) -> Sequence[Station]:
    return [_station(station_id(number), SUITES[suite]) for number in range(first, count, step)]


def _station(name: str, suite: Suite) -> Station:
    key = cast(ec.EllipticCurvePrivateKey, suites.generate(suite))
    parts = [
        (NameOID.COUNTRY_NAME, "DE"),
        (NameOID.ORGANIZATION_NAME, "Voltroot"),
        (NameOID.DOMAIN_COMPONENT, "CPO"),
        (NameOID.COMMON_NAME, name),
    ]
    subject = x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return Station(name, builder.sign(key, suite.hash).public_bytes(Encoding.DER))  # type: ignore[arg-type] # only P-256 and P-521 come here
