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
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from msgspec import Struct

from voltroot.actors.vehicle import Vehicle
from voltroot.apis.pnc.client import Client
from voltroot.app import provisioning
from voltroot.app.backend import utc_now
from voltroot.app.charger import Charger
from voltroot.app.config import read_pin
from voltroot.contract.unpack import Contract, Unpacked
from voltroot.decoding import UNREADABLE
from voltroot.errors import Malformed, NotFound, Refused
from voltroot.keys.opening import open_keyring
from voltroot.keys.software import read_private_key
from voltroot.pki.certificates import Certificate, read_pem
from voltroot.pki.chains import Evidence, Inputs, Judgement, Purpose, judge
from voltroot.pki.judging.inputs import NOTHING
from voltroot.pki.lists import Crl
from voltroot.pki.ports import Clock, Keyring
from voltroot.pki.profiles import Edition
from voltroot.pki.suites import Signer
from voltroot.store.certdir.changes import make_folder, sync

EDITIONS = {"2": Edition.ISO15118_2, "20": Edition.ISO15118_20}


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """What a car remembers beside its keys: the server that it speaks to, and its contract by serial number.

    ``tls_roots`` is a file of those that the server's https may stand below, where the system does not know them.
    ``device`` has the provisioning key under the label ``key``, where it is in no file; ``pin_file`` has its PIN.
    """

    api: str
    contract: str = ""
    tls_roots: str = ""
    device: str = ""
    pin_file: str = ""
    key: str = ""


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

    The provisioning key may be in a device instead; what a TPM has sealed of it is in keys/. ``heard`` is told every
    message by its name and octets. Contracts come by way of the ``charger``, where there is one.
    """

    folder: Path
    now: Clock = utc_now
    libcbv2g: bool = False
    heard: Callable[[str, bytes], None] = lambda name, octets: None
    charger: Charger | None = None

    # what is in the folder

    @property
    def settings(self) -> Settings:
        """What the car remembers; NotFound where no car is."""
        try:
            return msgspec.json.decode((self.folder / "car.json").read_bytes(), type=Settings)
        except FileNotFoundError:
            raise NotFound(f"there is no car in {self.folder}: make one with 'voltroot ev provision PCID'") from None
        except UNREADABLE as error:
            raise Malformed(f"{self.folder / 'car.json'}: {error}") from error

    @property
    def vehicle(self) -> Vehicle:
        """The car with its provisioning key."""
        text, own = self._text(self.folder / "provisioning.pem"), self.settings
        key = self._keyring(own).signer(own.key) if own.device else read_private_key(text.encode())
        return Vehicle(tuple(_certificates(text)), key, self.roots, libcbv2g=self.libcbv2g)

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
        device: str = "",
        pin_file: Path | None = None,
        password: str = "123123",  # noqa: S107 -- the one that the manual publishes
        anyway: bool = False,
        fault: str = "",
    ) -> Judgement:
        """Get the car a provisioning certificate, and judge it; a bad one is kept only if wanted.

        The car trusts the given roots, or without any those that the server publishes. With a ``device`` the key is
        made there.
        """
        if (self.folder / "provisioning.pem").exists():
            raise Refused(f"there is a car in {self.folder} already: choose another folder")
        client = Client(api, roots=tls_roots)
        own = Settings(client.base, tls_roots=_absolute(tls_roots), device=device, pin_file=_absolute(pin_file))
        named = _given({"edition": edition.value if edition is Edition.ISO15118_20 else "", "fault": fault})
        trusted = list(roots) or _certificates(client.fetch(f"/ca/roots.pem?edition={edition.value}").decode("ascii"))
        key: Signer | None = None
        if device:
            keyring = self._keyring(own)
            label, chain = provisioning.with_key_in_device(client, pcid, named, keyring, edition, suite)
            own = msgspec.structs.replace(own, key=label)
        else:
            named |= _given({"suite": suite})
            key, chain = provisioning.with_key_of_server(client, pcid, named, password)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        below = [each for each in chain if not each.self_issued]
        judgement = judge(below, trusted, self.now(), inputs=Inputs(purpose=Purpose.PROVISIONING))
        if judgement.deciding is None or anyway:
            _write(self.folder / "roots.pem", "".join(root.pem for root in trusted).encode())
            _write(self.folder / "car.json", msgspec.json.encode(own))
            self._keep(self.folder / "provisioning.pem", key, below)
        elif device:
            keyring.delete(own.key)
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
            response = self._asked("CertificateInstallation", request, fault)
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
        response = self._asked("CertificateUpdate", request, fault)
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

    def _asked(self, name: str, request: bytes, fault: str) -> bytes:
        """Have the CCP answer a message, by way of the station that the car stands at."""
        self.heard(f"{name}Req", request)
        is_update = name == "CertificateUpdate"
        if self.charger is not None:
            response = self.charger.contract(request, self.vehicle.edition, update=is_update)
        else:
            ask = self.client.certificate_update if is_update else self.client.certificate_installation
            response = ask(request, **_given({"fault": fault})).octets("v2gMessage")
        self.heard(f"{name}Res", response)
        return response

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
        text = self._text(path)
        chain = tuple(_certificates(text))
        return Contract(chain[0].subject.get("CN") or "", chain, read_private_key(text.encode()))

    def _keyring(self, own: Settings) -> Keyring:
        return open_keyring(own.device, self.folder / "keys", partial(read_pin, own.pin_file))

    def _text(self, path: Path) -> str:
        try:
            return path.read_text(encoding="ascii")
        except FileNotFoundError:
            raise NotFound(
                f"there is no {path.name} in {path.parent}: begin with 'voltroot ev provision PCID'"
            ) from None

    def _keep(self, path: Path, key: Signer | None, chain: Sequence[Certificate]) -> None:
        own = b"" if key is None else key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _write(path, own + "".join(each.pem for each in chain).encode())


def _given(members: dict[str, str]) -> dict[str, str]:
    """The optional members of a call: a foreign backend is not to see what nobody asked for."""
    return {name: value for name, value in members.items() if value}


def _absolute(path: Path | None) -> str:
    return str(path.resolve()) if path else ""


def _certificates(text: str) -> list[Certificate]:
    return [Certificate.read(octets) for label, octets in read_pem(text) if label == "CERTIFICATE"]


def _write(path: Path, content: bytes) -> None:
    """Replace a file whole or not at all, readable by its owner only; it is on the disk when this returns."""
    make_folder(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)
