"""What operators may wish a charging station to do about its certificates, checked as far as that can be without it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from voltroot.actors.csms import roots
from voltroot.actors.csms.csms import TRIGGER, TRIGGERS
from voltroot.errors import Malformed, Refused
from voltroot.pki import fingerprints
from voltroot.pki.fingerprints import HashAlgorithm

INSTALL, INVENTORY, DELETE = "InstallCertificate", "GetInstalledCertificateIds", "DeleteCertificate"
PASSWORD, UPGRADE, LEARN = "SetVariables", "SetNetworkProfile", "GetReport"
# What operators call them.
VERBS = {
    TRIGGER: "trigger",
    INSTALL: "install",
    INVENTORY: "inventory",
    DELETE: "delete",
    PASSWORD: "password",
    UPGRADE: "upgrade",
    LEARN: "learn",
}
CALL = "call"
# These two only ask; all others change something, and are in the audit log.
READING = frozenset({VERBS[INVENTORY], VERBS[LEARN]})
# What has a command of its own, which does more than send it, and what only answers a station.
OWN = frozenset({INSTALL, INVENTORY, DELETE, "CertificateSigned"})
# What a station tells of later, by its requestId.
TOLD_LATER = frozenset({"CustomerInformation", "UpdateFirmware"})

# InstallCertificateUseEnumType and GetCertificateIdUseEnumType of OCPP 2.1; 2.0.1 lacks the OEM's.
ROOT_KINDS = (
    "V2GRootCertificate",
    "MORootCertificate",
    "CSMSRootCertificate",
    "ManufacturerRootCertificate",
    "OEMRootCertificate",
)
KINDS = (*ROOT_KINDS, "V2GCertificateChain")
LIMITS = ("MaxCertificateChainSize", "CertificateEntries")
LONGEST_URL = 512
# The most that OCPP carries (2.1; 2.0.1 has less, which is checked for the station).
LONGEST_CERTIFICATE = 10_000


class Wish(NamedTuple):
    """What a station is to do: the name of the first message, and what has to be known to send it."""

    kind: str
    detail: Mapping[str, Any]

    @property
    def verb(self) -> str:
        """What operators call it."""
        return CALL if "payload" in self.detail else VERBS.get(self.kind, CALL)


def trigger(message: str, evse: int | None = None) -> Wish:
    """F06: have a station ask for a certificate."""
    if message not in TRIGGERS:
        raise Refused(f"{message} asks for no certificate: choose one of {', '.join(TRIGGERS)}")
    return Wish(TRIGGER, {"requestedMessage": message} | ({} if evse is None else {"evse": {"id": evse}}))


def install(kind: str, certificate: str, now: datetime) -> Wish:
    """M05: install a root; what is none is not even asked for."""
    if kind not in ROOT_KINDS:
        raise Refused(f"{kind} is no type of a root: choose one of {', '.join(ROOT_KINDS)}")
    roots.require_root(certificate, now, LONGEST_CERTIFICATE)
    return Wish(INSTALL, {"certificateType": kind, "certificate": certificate})


def inventory(kinds: Sequence[str] = ()) -> Wish:
    """M03: read which certificates of some types, or of all, a station has."""
    if wrong := [kind for kind in kinds if kind not in KINDS]:
        raise Refused(f"{wrong[0]} is no type of a certificate: choose among {', '.join(KINDS)}")
    return Wish(INVENTORY, {"certificateType": [*dict.fromkeys(kinds)]})


def delete(hash_data: Mapping[str, Any]) -> Wish:
    """M04: delete a certificate by its hash data."""
    return Wish(DELETE, {"certificateHashData": dict(hash_data)})


def delete_certificate(certificate: str, issuer: str = "") -> Wish:
    """M04: delete a certificate that is in PEM, as is its issuer; without one it is a root.

    By the issuer it is recognised in what the station has listed, whatever that was hashed with.
    """
    above = roots.read_one(issuer or certificate)
    made = fingerprints.hash_data(roots.read_one(certificate), above, HashAlgorithm.SHA256)
    named = {
        "hashAlgorithm": made.algorithm.value,
        "issuerNameHash": made.issuer_name_hash,
        "issuerKeyHash": made.issuer_key_hash,
        "serialNumber": made.serial_number,
    }
    return Wish(DELETE, {"certificateHashData": named, "issuer": above.pem})


def password() -> Wish:
    """A01: give a station a new password, which is made by the process that sends it and is on record nowhere."""
    return Wish(PASSWORD, {"variable": "BasicAuthPassword"})


def upgrade(profile: int, url: str, slot: int) -> Wish:
    """A05: have a station come back with a higher security profile."""
    if profile not in (2, 3):
        raise Refused(f"security profile {profile} is no higher one: choose 2 or 3")
    if not url.startswith("wss://") or not url.isascii() or not url.isprintable() or len(url) > LONGEST_URL:
        raise Malformed(f"the address is not wss://HOST:PORT/ocpp of {LONGEST_URL} characters at most")
    if not 0 <= slot <= 1000:
        raise Malformed("a configuration slot is a number from 0 to 1000, of those that the station has")
    return Wish(UPGRADE, {"securityProfile": profile, "slot": slot, "url": url})


def call(action: str, payload: Mapping[str, Any]) -> Wish:
    """Have a station do what there is no word for here: the payload goes out as it is."""
    if action in OWN:
        raise Refused(f"{action} has a command of its own, or is nothing that operators ask for")
    if "basicauthpassword" in json.dumps(payload).lower():
        raise Refused("a password that only the station knows locks it out: use the command that sets passwords")
    if action in TOLD_LATER:
        payload = {"requestId": secrets.randbelow(1 << 31), **payload}
    request = {"requestId": payload["requestId"]} if "requestId" in payload else {}
    return Wish(action, {"payload": dict(payload), **request})


def learn() -> Wish:
    """Have a station report how large a chain and how many certificates it takes."""
    return Wish(LEARN, {"variables": [*LIMITS]})
