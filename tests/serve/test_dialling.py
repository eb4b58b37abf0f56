"""A station's TLS to its CSMS: which names do, and what is made of the ways in which it fails."""

from __future__ import annotations

import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from charging import key_pem, pem
from pathing import DAY, SIGN, alternative, dns, make
from voltroot.actors.station.networks import Trouble
from voltroot.pki import oids
from voltroot.serve.dialling import _told, client_context, forbid_wildcards

NOW = datetime.now(UTC)
ENCIPHER = 0x2000
ROOT = make("CN=CSMS Root,O=Test,C=DE", begin=NOW - DAY, end=NOW + DAY)


def server_of(folder: Path, name: str, kind: str = "P-256") -> ssl.SSLContext:
    own = make(
        f"CN={name}", ROOT, kind=kind, begin=NOW - DAY, end=NOW + DAY, usage=SIGN | ENCIPHER,
        extensions={oids.SUBJECT_ALTERNATIVE_NAME: alternative(dns(name))},
    )  # fmt: skip
    (folder / "own.pem").write_bytes(pem(own).encode() + key_pem(own))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "own.pem")
    return context


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> Exception | None:
    """What the client hears where the handshake comes to nothing."""
    near, far = socket.socketpair()

    def serve() -> None:
        try:
            server.wrap_socket(far, server_side=True).close()
        except OSError:
            far.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(serve)
        try:
            client.wrap_socket(near, server_hostname=name).close()
        except OSError as error:
            return error
        finally:
            near.close()
    return None


def trusting() -> ssl.SSLContext:
    context = client_context()
    context.load_verify_locations(cadata=ROOT.certificate.pem)
    return context


def test_a_wildcard_is_no_name_unless_it_is_allowed(tmp_path: Path) -> None:
    server = server_of(tmp_path, "*.example.com")
    assert handshake(server, trusting(), "csms.example.com") is None
    strict = trusting()
    forbid_wildcards(strict)
    error = handshake(server, strict, "csms.example.com")
    assert isinstance(error, ssl.SSLCertVerificationError)
    assert _told(error)[0] is Trouble.CERTIFICATE
    assert handshake(server_of(tmp_path, "csms.example.com"), strict, "csms.example.com") is None


@pytest.mark.parametrize("kind", ["P-256", "RSA"])
def test_both_kinds_of_certificates_and_all_suites_of_A00_do(tmp_path: Path, kind: str) -> None:
    suites = {
        "P-256": ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"),
        "RSA": ("AES128-GCM-SHA256", "AES256-GCM-SHA384"),
    }
    for suite in suites[kind]:
        server = server_of(tmp_path, "localhost", kind)
        server.maximum_version = ssl.TLSVersion.TLSv1_2
        server.set_ciphers(suite)
        assert handshake(server, trusting(), "localhost") is None, suite
    server.set_ciphers("ECDHE-RSA-CHACHA20-POLY1305" if kind == "RSA" else "ECDHE-ECDSA-CHACHA20-POLY1305")
    error = handshake(server, trusting(), "localhost")
    assert error is not None
    assert _told(error)[0] is Trouble.CIPHER
