"""The vehicle's machine: a car whose keys are in a folder, and the backends that it reaches over HTTP."""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12
from msgspec import Struct

from voltroot.actors.vehicle import Vehicle
from voltroot.apis.pnc.client import Client
from voltroot.app.backend import utc_now
from voltroot.contract.unpack import Contract, Unpacked
from voltroot.errors import Malformed, NotFound, Refused
from voltroot.keys.software import read_private_key
from voltroot.pki.certificates import Certificate, read_pem
from voltroot.pki.chains import Evidence, Inputs, Judgement, Purpose, judge
from voltroot.pki.judging.inputs import NOTHING
from voltroot.pki.lists import Crl
from voltroot.pki.ports import Clock
from voltroot.pki.profiles import Edition
from voltroot.pki.suites import Signer

EDITIONS = {"2": Edition.ISO15118_2, "20": Edition.ISO15118_20}


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """What a car remembers beside its keys: the server that it speaks to, and its contract by serial number.

    ``tls_roots`` is a file of those that the server's https may stand below, where the system does not know them.
    """

    api: str
    contract: str = ""
    tls_roots: str = ""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, what came back, and what the car made of it."""

    request: bytes = field(repr=False)
    response: bytes = field(repr=False)
    unpacked: Unpacked
    seconds: float


@dataclass
class Garage:
    """A car in a folder: roots.pem, provisioning.pem and contracts/SERIAL.pem hold key and chain, car.json the rest.

    ``heard`` is told every message by its name and octets.
    """

    folder: Path
    now: Clock = utc_now
    libcbv2g: bool = False
    heard: Callable[[str, bytes], None] = lambda name, octets: None

    # what is in the folder

    @property
    def settings(self) -> Settings:
        """What the car remembers; NotFound where no car is."""
        try:
            return msgspec.json.decode((self.folder / "car.json").read_bytes(), type=Settings)
        except FileNotFoundError:
            raise NotFound(f"there is no car in {self.folder}: make one with 'voltroot ev provision PCID'") from None
        except msgspec.MsgspecError as error:
            raise Malformed(f"{self.folder / 'car.json'}: {error}") from error

    @property
    def vehicle(self) -> Vehicle:
        """The car with its provisioning key."""
        key, chain = self._read(self.folder / "provisioning.pem")
        return Vehicle(chain, key, self.roots, libcbv2g=self.libcbv2g)

    @property
    def roots(self) -> tuple[Certificate, ...]:
        """The roots that the car trusts."""
        return tuple(_certificates((self.folder / "roots.pem").read_text(encoding="ascii")))

    @property
    def contracts(self) -> list[Contract]:
        """All contracts that were ever installed, oldest first by file."""
        paths = sorted((self.folder / "contracts").glob("*.pem"), key=lambda path: path.stat().st_mtime_ns)
        return [self._contract(path) for path in paths]

    @property
    def contract(self) -> Contract:
        """The contract that was installed last; NotFound where there is none."""
        if not self.settings.contract:
            raise NotFound("the car has no contract: install one with 'voltroot ev install'")
        return self._contract(self._place(self.settings.contract))

    # what it does

    def provision(
        self,
        pcid: str,
        api: str,
        edition: Edition,
        *,
        roots: Sequence[Certificate] = (),
        tls_roots: Path | None = None,
        suite: str = "",
        password: str = "123123",  # noqa: S107 -- the one that the manual publishes
        anyway: bool = False,
        fault: str = "",
    ) -> Judgement:
        """Get the car a provisioning certificate, and judge it; a bad one is kept only if wanted.

        The car trusts the given roots, or without any those that the server publishes.
        """
        if (self.folder / "provisioning.pem").exists():
            raise Refused(f"there is a car in {self.folder} already: choose another folder")
        client = Client(api, roots=tls_roots)
        named = {"edition": edition.value if edition is Edition.ISO15118_20 else "", "suite": suite, "fault": fault}
        trusted = list(roots) or _certificates(client.fetch(f"/ca/roots.pem?edition={edition.value}").decode("ascii"))
        reply = client.issue_prov(pcid, **_given(named))
        key, chain = _opened(reply.octets("pfxCert"), password)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        below = [each for each in chain if not each.self_issued]
        judgement = judge(below, trusted, self.now(), inputs=Inputs(purpose=Purpose.PROVISIONING))
        if judgement.deciding is None or anyway:
            _write(self.folder / "roots.pem", "".join(root.pem for root in trusted).encode())
            self._keep(self.folder / "provisioning.pem", key, below)
            own = Settings(client.base, tls_roots=str(tls_roots.resolve()) if tls_roots else "")
            _write(self.folder / "car.json", msgspec.json.encode(own))
        return judgement

    def order(self, emaid: str, fault: str = "") -> bytes:
        """Order a contract from the MO as its driver would; returns the CertificateInstallationRes that was made."""
        reply = self.client.create_contract(self.vehicle.chain[0].der, emaid, **_given({"fault": fault}))
        made = reply.octets("certInstRes")
        self.heard("mo-contract.certInstRes", made)
        return made

    def renew(self, fault: str = "") -> bytes:
        """Have the MO renew the contract; returns the message that was made."""
        contract = self.contract
        reply = self.client.renew_contract(contract.chain[0].der, contract.emaid, **_given({"fault": fault}))
        member = "certUpdtRes" if self.vehicle.edition is Edition.ISO15118_2 else "certInstRes"
        made = reply.octets(member)
        self.heard(f"mo-contract.{member}", made)
        return made

    def install(
        self, *, most: int = 1, emaids: Sequence[str] = (), status: bool = False, fault: str = ""
    ) -> Iterator[Exchange]:
        """Ask CCP for contracts and install what is good; in -20 again while there are more ([V2G20-1579])."""
        vehicle, session = self.vehicle, secrets.token_bytes(8)
        request = vehicle.installation_request(session, self.now(), most=most, emaids=emaids)
        left = True
        while left:
            begun = time.perf_counter()
            self.heard("CertificateInstallationReq", request)
            response = self.client.certificate_installation(request, **_given({"fault": fault})).octets("v2gMessage")
            self.heard("CertificateInstallationRes", response)
            reading = partial(Vehicle.install, octets=response, session=session, now=self.now())
            unpacked = self._taken(reading, vehicle, status)
            yield Exchange(request, response, unpacked, time.perf_counter() - begun)
            left = unpacked.remaining > 0 and unpacked.contract is not None

    def take(self, response: bytes, *, status: bool = False) -> Unpacked:
        """Install from a CertificateInstallationRes or, where the car has a contract, CertificateUpdateRes at hand."""
        vehicle = self.vehicle
        reading = partial(Vehicle.install, octets=response, session=None, now=self.now())
        stopped = reading(vehicle).stopped
        if stopped is not None and stopped.fault == "unexpected" and self.settings.contract:
            reading = partial(Vehicle.update, octets=response, session=None, now=self.now(), old=self.contract)
        return self._taken(reading, vehicle, status)

    def update(self, *, status: bool = False, fault: str = "") -> Exchange:
        """Fetch the renewed contract by CertificateUpdate, which only -2 has."""
        vehicle, old, session = self.vehicle, self.contract, secrets.token_bytes(8)
        begun = time.perf_counter()
        request = vehicle.update_request(old, session)
        self.heard("CertificateUpdateReq", request)
        response = self.client.certificate_update(request, **_given({"fault": fault})).octets("v2gMessage")
        self.heard("CertificateUpdateRes", response)
        reading = partial(Vehicle.update, octets=response, session=session, now=self.now(), old=old)
        unpacked = self._taken(reading, vehicle, status)
        return Exchange(request, response, unpacked, time.perf_counter() - begun)

    def pay(self, contract: Contract | None = None) -> tuple[str, str]:
        """Have the MO verify a contract as a station does; returns resCode and what the server says of it."""
        leaf, *subs = (each.der for each in (contract or self.contract).chain)
        sub2, sub1 = (*subs, b"", b"")[:2]
        reply = self.client.payment_detail(leaf, sub2, sub1)
        return reply.text("resCode"), reply.message

    @cached_property
    def client(self) -> Client:
        """The way to the server."""
        tls_roots = self.settings.tls_roots
        return Client(self.settings.api, roots=Path(tls_roots) if tls_roots else None)

    # how it does it

    def _taken(self, reading: Callable[[Vehicle], Unpacked], vehicle: Vehicle, status: bool) -> Unpacked:
        """Unpack, ask for the contract's status where that is wanted, and keep a contract that is good."""
        unpacked = reading(vehicle)
        if unpacked.contract is not None and status:
            unpacked = reading(replace(vehicle, evidence=self._evidence(unpacked.contract.chain[0])))
        if unpacked.contract is not None:
            self._install(unpacked.contract)
        return unpacked

    def _evidence(self, leaf: Certificate) -> Evidence:
        """Fetch the CRL that the certificate names."""
        crls = []
        for address in leaf.crl_addresses[:1]:
            parts = urlsplit(address)
            crls.append(Crl.read(Client(f"{parts.scheme}://{parts.netloc}").fetch(parts.path)))
        return Evidence(tuple(crls)) if crls else NOTHING

    def _install(self, contract: Contract) -> None:
        serial = f"{contract.chain[0].serial:x}"
        self._keep(self._place(serial), contract.key, contract.chain)
        _write(self.folder / "car.json", msgspec.json.encode(msgspec.structs.replace(self.settings, contract=serial)))

    def _place(self, serial: str) -> Path:
        return self.folder / "contracts" / f"{serial}.pem"

    def _contract(self, path: Path) -> Contract:
        key, chain = self._read(path)
        return Contract(chain[0].subject.get("CN") or "", chain, key)

    def _read(self, path: Path) -> tuple[Signer, tuple[Certificate, ...]]:
        try:
            text = path.read_text(encoding="ascii")
        except FileNotFoundError:
            raise NotFound(
                f"there is no {path.name} in {path.parent}: begin with 'voltroot ev provision PCID'"
            ) from None
        return read_private_key(text.encode()), tuple(_certificates(text))

    def _keep(self, path: Path, key: Signer, chain: Sequence[Certificate]) -> None:
        own = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _write(path, own + "".join(each.pem for each in chain).encode())


def _given(members: dict[str, str]) -> dict[str, str]:
    """The optional members of a call: a foreign backend is not to see what nobody asked for."""
    return {name: value for name, value in members.items() if value}


def _opened(pfx: bytes, password: str) -> tuple[Signer, list[Certificate]]:
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


def _certificates(text: str) -> list[Certificate]:
    return [Certificate.read(octets) for label, octets in read_pem(text) if label == "CERTIFICATE"]


def _write(path: Path, content: bytes) -> None:
    """Replace a file whole or not at all, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).replace(path)
