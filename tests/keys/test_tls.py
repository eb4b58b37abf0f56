"""TLS with a client key that stays in its device."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

import devices
from charging import key_pem, pem
from pathing import DAY, alternative, dns, make
from voltroot.errors import Unavailable, UnsupportedSuite
from voltroot.keys.opening import open_keyring
from voltroot.keys.tls import lend
from voltroot.pki import oids
from voltroot.pki.ports import Keyring
from voltroot.pki.suites import P256_SHA256, P521_SHA512, RSA_SHA256, Suite

pytestmark = pytest.mark.slow

NOW = datetime.now(UTC)
HOST = "localhost"
SERVER = make(f"CN={HOST}", begin=NOW - DAY, end=NOW + DAY, ca=False,
              extensions={oids.SUBJECT_ALTERNATIVE_NAME: alternative(dns(HOST))})  # fmt: skip


@contextmanager
def keyring(kind: str, folder: Path) -> Iterator[tuple[Keyring, Any]]:
    """A keyring, and the device to be taken away."""
    with devices.token() if kind == "token" else devices.swtpm() as device:
        yield open_keyring(device.device, folder, lambda: devices.PIN), device


def certificate(key: Any, path: Path) -> Path:
    """A certificate that the device has signed for its own key."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "client")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 5, NOW - DAY, NOW + DAY)
    path.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    return path


def shown(client: ssl.SSLContext, certificate: Path, folder: Path) -> str:
    """The version of TLS and the name that a server saw of a client."""
    own = folder / "server.pem"
    own.write_bytes(pem(SERVER).encode() + key_pem(SERVER))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(own)
    server.load_verify_locations(certificate)
    server.verify_mode = ssl.CERT_REQUIRED
    near, far = socket.socketpair()

    def serve() -> None:
        with far:
            try:
                with server.wrap_socket(far, server_side=True) as connection:
                    connection.sendall(
                        f"{connection.version()} {connection.getpeercert()['subject'][0][0][1]}".encode()
                    )  # type: ignore[index]
            except OSError:
                pass

    with ThreadPoolExecutor(1) as pool, near:
        pool.submit(serve)
        with client.wrap_socket(near, server_hostname=HOST) as connection:
            return connection.recv(100).decode()


def lent(keys: Keyring, label: str, chain: Path) -> ssl.SSLContext:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(cadata=SERVER.certificate.pem)
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    lend(client, chain, keys.signer(label))
    return client


@pytest.mark.parametrize(("kind", "suite"), [("token", P256_SHA256), ("token", P521_SHA512), ("tpm", P256_SHA256)])
def test_a_device_signs_for_tls(kind: str, suite: Suite, tmp_path: Path) -> None:
    with keyring(kind, tmp_path / "keys") as (keys, device):
        keys.create("own", suite)
        chain = certificate(keys.signer("own"), tmp_path / "client.pem")
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            client = lent(keys, "own", chain)
            client.maximum_version = version
            assert shown(client, chain, tmp_path) == f"{version.name.replace('_', '.')} client"
        # A device that is gone ends the handshake, and nothing else.
        device.take_away()
        with pytest.raises(ssl.SSLError):
            shown(client, chain, tmp_path)
        device.put_back()
        # The keyring rests for a moment before it asks the device again.
        deadline = time.monotonic() + 20
        while True:
            try:
                assert shown(client, chain, tmp_path) == "TLSv1.3 client"
                break
            except ssl.SSLError:
                assert time.monotonic() < deadline, "the device is not used again"
                time.sleep(0.1)


def test_what_tls_cannot_have_is_refused(tmp_path: Path) -> None:
    with keyring("token", tmp_path / "keys") as (keys, _):
        for label, suite in (("rsa", RSA_SHA256), ("one", P256_SHA256), ("two", P256_SHA256)):
            keys.create(label, suite)
        chain = certificate(keys.signer("one"), tmp_path / "client.pem")
        with pytest.raises(UnsupportedSuite, match="ECDSA"):
            lent(keys, "rsa", chain)
        with pytest.raises(Unavailable, match="does not fit"):
            lent(keys, "two", chain)
        with pytest.raises(Unavailable, match="does not fit"):
            lent(keys, "one", tmp_path / "nothing.pem")
