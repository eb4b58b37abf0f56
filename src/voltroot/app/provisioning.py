"""Provisioning a car: its first certificate, on a key that the server makes or on one that never leaves its device."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12

from voltroot.apis.pnc.client import Client
from voltroot.apis.pnc.wire import to_base64
from voltroot.decoding import UNREADABLE
from voltroot.errors import Failure, Malformed, Refused, Unavailable, UnsupportedSuite
from voltroot.keys.software import read_private_key
from voltroot.pki import csrs
from voltroot.pki.certificates import Certificate, read_pem
from voltroot.pki.names import Name
from voltroot.pki.ports import Keyring
from voltroot.pki.profiles import Edition, profiles
from voltroot.pki.suites import SUITES, Signer

_PROFILES = {Edition.ISO15118_2: "OEM_PROV_2", Edition.ISO15118_20: "OEM_PROV_20"}


def with_key_of_server(
    client: Client, pcid: str, named: Mapping[str, str], password: str
) -> tuple[Signer, list[Certificate]]:
    """Return the key that the server has made and its certificate with those above it."""
    pfx = client.issue_prov(pcid, **named).octets("pfxCert")
    try:
        key, own, above = pkcs12.load_key_and_certificates(pfx, password.encode())
    except ValueError as error:
        raise Malformed(
            "pfxCert does not open: is the password another than the manual's? Give it by --password"
        ) from error
    if key is None or own is None:
        raise Malformed("pfxCert holds no key with its certificate")
    chain = [Certificate.read(each.public_bytes(Encoding.DER)) for each in (own, *above)]
    return read_private_key(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())), chain


def with_key_in_device(
    client: Client, pcid: str, named: Mapping[str, str], keyring: Keyring, edition: Edition, suite: str
) -> tuple[str, list[Certificate]]:
    """Make a key in a device; returns its label there and its certificate with those above it."""
    profile = profiles()[_PROFILES[edition]]
    kind = SUITES[suite] if suite else profile.suites[0]
    if not kind.can_agree:
        raise UnsupportedSuite(f"no device agrees on a secret with {kind.name}, so no contract would open: take P-521")
    label = f"provisioning-{secrets.token_hex(8)}"
    public = keyring.create(label, kind)
    try:
        subject = Name.of([("CN", pcid), ("DC", str(profile.dc))])
        request = to_base64(csrs.make(profile, subject, keyring.signer(label)))
        own = Certificate.read(client.issue_prov(pcid, pkcs10Data=request, **named).octets("provCert"))
        if own.public_key != public:
            raise Refused("the server knows no pkcs10Data: it has made a key of its own, and not taken the device's")
        return label, [own, *published_above(client, own)]
    except Failure:
        with contextlib.suppress(Failure):
            keyring.delete(label)
        raise


def published_above(client: Client, own: Certificate) -> list[Certificate]:
    """Return the CAs of a certificate where the server publishes them."""
    try:
        cas = msgspec.json.decode(client.fetch("/ca"), type=list[_Ca])
        slugs = [ca.slug for ca in cas if ca.subject == str(own.issuer)]
        chains = [client.fetch(f"/ca/{slug}/chain.pem").decode("ascii") for slug in slugs]
    except (Unavailable, *UNREADABLE):
        return []
    return [Certificate.read(octets) for _, octets in read_pem("".join(chains))]


class _Ca(msgspec.Struct):
    slug: str
    subject: str
