"""What ``voltroot inspect`` reads in the tests, and what it says."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, pkcs7
from cryptography.x509 import ocsp as pyca_ocsp

from voltroot.cli.inspect import inspect_command
from voltroot.pki import crls, ocsp, pfx, suites
from voltroot.pki.certificates import Certificate
from voltroot.pki.ports import Reason
from voltroot.pki.suites import P256_SHA256, Signer
from world import World

SECRET = b"Test Challenge Password!"


def inspect(*arguments: str | Path, given: bytes | str | None = None, **options: Any) -> Result:
    """Run the command; ``given`` is standard input."""
    files = [*map(str, arguments), *(["-"] if given is not None else [])]
    result = CliRunner().invoke(inspect_command, files, input=given, **options)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def items(*arguments: str | Path, given: bytes | str | None = None) -> list[dict[str, Any]]:
    """What the JSON document tells of the first file."""
    document = json.loads(inspect("--json", *arguments, given=given).stdout)
    found: list[dict[str, Any]] = document["files"][0]["items"]
    return found


def found(*arguments: str | Path, given: bytes | str | None = None) -> set[str]:
    """The names of all findings on the first file."""
    return {finding["lint"] for item in items(*arguments, given=given) for finding in item["findings"]}


@dataclass
class Samples:
    """A SECC certificate with its key and chain, and what else speaks of it."""

    world: World

    @cached_property
    def key(self) -> Signer:
        return suites.generate(P256_SHA256)

    @cached_property
    def chain(self) -> list[Certificate]:
        order = self.world.order("SECC_2", "DE*ICE*E45B*78C")
        return self.world.chain(self.world.authority.issue(replace(order, public_key=self.key.public_key())))

    @cached_property
    def leaf(self) -> Certificate:
        return self.chain[0]

    @cached_property
    def private_key(self) -> bytes:
        return self.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    @cached_property
    def public_key(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @cached_property
    def request(self) -> bytes:
        usage = x509.KeyUsage(True, False, False, False, True, False, False, False, False)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "secc003")])
        builder = x509.CertificateSigningRequestBuilder().subject_name(name).add_extension(usage, critical=True)
        builder = builder.add_attribute(x509.oid.AttributeOID.CHALLENGE_PASSWORD, SECRET)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.DER)  # type: ignore[arg-type]

    @cached_property
    def pkcs7(self) -> bytes:
        return pkcs7.serialize_certificates([_pyca(each) for each in self.chain], Encoding.DER)

    @cached_property
    def crl(self) -> bytes:
        issuer = self.world.issuers.standing().by_slug["cpo-sub2-2"]
        assert issuer.key
        entries = [self.world.issue("SECC_2", f"revoked{number}") for number in range(7)]
        self.world.authority.revoke(entries, Reason.KEY_COMPROMISE, door="test")
        lines = [crls.line(revocation) for revocation in self.world.ledger.revoked_by(issuer.number)]
        now = self.world.clock()
        return crls.make(
            issuer,
            self.world.keyring.signer(issuer.key),
            lines,
            number=7,
            this_update=now,
            next_update=now + timedelta(days=1),
            place="http://127.0.0.1:15118/crl/cpo-sub2-2/1.crl",
        )

    @cached_property
    def ocsp_request(self) -> bytes:
        builder = pyca_ocsp.OCSPRequestBuilder()
        builder = builder.add_certificate(_pyca(self.leaf), _pyca(self.chain[1]), hashes.SHA256())
        return builder.add_extension(x509.OCSPNonce(b"12345678"), critical=False).build().public_bytes(Encoding.DER)

    def ocsp_answer(self, signer: str = "ocsp-cpo-sub2-2") -> bytes:
        standing = self.world.issuers.standing()
        request = ocsp.read(self.ocsp_request)
        delegate = standing.newest[signer]
        assert delegate.key
        number = standing.by_slug["cpo-sub2-2"].number
        now = self.world.clock()
        return ocsp.make(
            delegate.entry.read(),
            self.world.keyring.signer(delegate.key),
            request,
            self.world.ledger.statuses(number, [asked.serial for asked in request.ids]),
            this_update=now,
            next_update=now + timedelta(hours=12),
        )

    def pfx(self, password: str = "123123") -> bytes:
        return pfx.make_pfx(self.key, self.chain, password)


def _pyca(certificate: Certificate) -> x509.Certificate:
    return x509.load_der_x509_certificate(certificate.der)
