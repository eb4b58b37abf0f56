"""Clients that use a backend all at once, and remember what they asked, what they were told and what was left open."""

from __future__ import annotations

import base64
import http.client
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from backend import Answer, Backend, Client
from voltroot.pki.certificates import Certificate

PATHS = {"cpo": ("/api/v2/cpo/seccCert", "seccId"), "oem": ("/api/v2/oem/provCert", "pcid")}


class Verb(StrEnum):
    """What is asked for."""

    ISSUE = "issue"
    RENEW = "renew"
    REVOKE = "revoke"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; ``csr`` and the public key in it where the client keeps the key."""

    verb: Verb
    csr: str | None = None
    key: bytes | None = None


@dataclass
class Holder:
    """A name with all that its one client knows of it; ``open`` is the request that no answer came to."""

    role: str
    name: str
    told: list[Certificate] = field(default_factory=list)
    by_id: set[int] = field(default_factory=set)
    revoked: list[int] = field(default_factory=list)
    open: Asked | None = None

    @property
    def valid(self) -> list[Certificate]:
        """The certificates that nobody revoked."""
        return [certificate for certificate in self.told if certificate.serial not in self.revoked]

    def send(self, client: Client, asked: Asked) -> Answer:
        """Send a request."""
        path, member = PATHS[self.role]
        more = {} if asked.csr is None else {"pkcs10Data": asked.csr}
        match asked.verb:
            case Verb.ISSUE if asked.csr is not None:
                return client.call("POST", f"{path}ByCsr", {"cn": self.name} | more)
            case Verb.ISSUE:
                return client.call("POST", path, {member: self.name})
            case Verb.RENEW:
                return client.call("PUT", path, {member: self.name} | more)
            case Verb.REVOKE:
                return client.call("DELETE", path, {"subjectDn": str(self.told[-1].subject)})

    def note(self, asked: Asked, answer: Answer) -> bool:
        """Remember what a success told; False for anything else."""
        if (answer.status, answer.envelope["status"]) != (200, "success"):
            return False
        data = answer.data
        if asked.verb is Verb.REVOKE:
            self.revoked += [certificate.serial for certificate in self.valid]
            return bool(data["resultCode"] == "4000")
        self.told.append(certificate_in(data))
        if asked.csr is None:
            self.by_id.add(self.told[-1].serial)
        return str(self.told[-1].serial) == data["serial"]

    def look(self, client: Client) -> Certificate:
        """Download the newest certificate."""
        path, _ = PATHS[self.role]
        return certificate_in(client.call("GET", f"{path}/{self.name}").data)


def certificate_in(data: Any) -> Certificate:
    """The certificate in the data of an answer."""
    return Certificate.read(base64.b64decode(data.get("provCert") or data["certificateData"]))


def with_a_new_key(verb: Verb) -> Asked:
    """A request for a certificate on a key that the client makes and keeps."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Asked(verb, base64.b64encode(request.public_bytes(Encoding.DER)).decode(), public)


class Worker:
    """One client in a thread of its own, with holders of its own; each has at most one request on its way."""

    def __init__(self, number: int, backend: Backend, over: threading.Event) -> None:
        self.holders: list[Holder] = []
        self.refusals: list[tuple[Holder, Asked, Answer]] = []
        self._number = number
        self._backend = backend
        self._over = over
        self._random = random.Random(number)
        self._thread = threading.Thread(target=self._work)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self) -> None:
        """Wait until it has ended."""
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _work(self) -> None:
        with Client(self._backend.port, timeout=10) as client:
            while not self._over.is_set():
                holder = self._choose()
                asked = self._wish(holder)
                try:
                    answer = holder.send(client, asked)
                except ConnectionRefusedError:
                    # Nobody listens, so nobody heard it.
                    time.sleep(0.01)
                except (OSError, http.client.HTTPException):
                    holder.open = asked
                else:
                    if not holder.note(asked, answer):
                        self.refusals.append((holder, asked, answer))

    def _choose(self) -> Holder:
        """One of the latest holders, or a new one."""
        known = [holder for holder in self.holders[-20:] if holder.open is None]
        if known and (not known[-1].told or self._random.random() < 0.6):
            return self._random.choice(known)
        role = self._random.choice(["cpo", "cpo", "oem"])
        self.holders.append(Holder(role, f"{role}-{self._number}-{len(self.holders)}"))
        return self.holders[-1]

    def _wish(self, holder: Holder) -> Asked:
        """Something that has to succeed."""
        verb = self._random.choice([Verb.RENEW, Verb.RENEW, Verb.REVOKE]) if holder.valid else Verb.ISSUE
        keeps_key = self._random.random() < 0.4 and verb is not Verb.REVOKE
        # There is no call that issues provisioning certificates by CSR.
        keeps_key = keeps_key and (holder.role, verb) != ("oem", Verb.ISSUE)
        return with_a_new_key(verb) if keeps_key else Asked(verb)


@contextmanager
def crowd(backend: Backend, size: int = 6) -> Iterator[list[Worker]]:
    """Let many clients work while the block runs."""
    over = threading.Event()
    workers = [Worker(number, backend, over) for number in range(size)]
    for worker in workers:
        worker.start()
    try:
        yield workers
    finally:
        over.set()
        for worker in workers:
            worker.join()
