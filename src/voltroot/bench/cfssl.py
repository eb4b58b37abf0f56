"""A peer to measure beside: ``cfssl serve`` with a CA of its own, keeping nothing or keeping records in SQLite."""

from __future__ import annotations

import json
import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from voltroot.bench import servers
from voltroot.bench.servers import Server
from voltroot.errors import Unavailable
from voltroot.pki import suites
from voltroot.pki.suites import Suite

# As its migrations make them: certdb/sqlite/migrations/001_CreateCertificates.sql.
SCHEMA = """
CREATE TABLE certificates (
  serial_number blob NOT NULL,
  authority_key_identifier blob NOT NULL,
  ca_label blob,
  status blob NOT NULL,
  reason int,
  expiry timestamp,
  revoked_at timestamp,
  pem blob NOT NULL,
  PRIMARY KEY (serial_number, authority_key_identifier)
);
CREATE TABLE ocsp_responses (
  serial_number blob NOT NULL,
  authority_key_identifier blob NOT NULL,
  body blob NOT NULL,
  expiry timestamp,
  PRIMARY KEY (serial_number, authority_key_identifier),
  FOREIGN KEY (serial_number, authority_key_identifier)
    REFERENCES certificates (serial_number, authority_key_identifier)
);
"""


def serve(folder: Path, suite: Suite, *, keeping: bool) -> Server:
    """Start it with a CA whose key is of the suite; ``keeping`` gives it a database."""
    if shutil.which("cfssl") is None:
        raise Unavailable("cfssl is not installed: apt-get install golang-cfssl")
    port = servers.free_port()
    own = folder / f"cfssl{port}"
    own.mkdir()
    _make_ca(own, suite)
    options: list[str | Path] = ["-address", "127.0.0.1", "-port", str(port), "-loglevel", "3"]
    options += ["-ca", own / "ca.pem", "-ca-key", own / "ca.key", "-config", own / "config.json"]
    if keeping:
        options += ["-db-config", _make_database(own)]
    server = servers.start("cfssl", ["cfssl", "serve", *options], port, own)
    return server.wait(lambda: servers.answers(port, "POST", "/api/v1/cfssl/info", b'{"label": ""}'))


def _make_ca(folder: Path, suite: Suite) -> None:
    key = suites.generate(suite)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Beside Voltroot")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, suite.hash)  # type: ignore[arg-type] # only P-256 and P-521 come here
    )
    (folder / "ca.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "ca.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    # The certificates are to be as large as ours.
    default = {
        "expiry": "8760h",
        "usages": ["digital signature", "key agreement"],
        "ocsp_url": "http://127.0.0.1:15118/ocsp",
        "crl_url": "http://127.0.0.1:15118/crl/cpo-sub2-2/0.crl",
    }
    (folder / "config.json").write_text(json.dumps({"signing": {"default": default}}))


def _make_database(folder: Path) -> Path:
    with sqlite3.connect(folder / "certs.db") as connection:
        connection.executescript(SCHEMA)
    connection.close()
    config = folder / "db.json"
    config.write_text(json.dumps({"driver": "sqlite3", "data_source": str(folder / "certs.db")}))
    return config
