"""The story of a contract over HTTP: PKI, car, order, installation, payment, renewal, revocation, refusal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from voltroot.app.vehicle import EDITIONS, Exchange, Garage
from voltroot.cli.telling import Step, Told
from voltroot.errors import Refused
from voltroot.pki.certificates import Certificate
from voltroot.terms import emaid_check_digit, mod11
from voltroot.v2g import forms
from voltroot.v2g.schemas import recognise


@dataclass
class Story:
    """One car's story in one edition; messages and keys go to a folder."""

    iso: str
    api: str
    folder: Path
    emaid: str = field(init=False)
    garage: Garage = field(init=False)
    messages: int = 0

    def __post_init__(self) -> None:
        self.garage = Garage(self.folder / "car", heard=self._heard)
        number = f"C{int(self.iso):08}"
        self.emaid = "DEVLT" + number + emaid_check_digit("DEVLT" + number)

    @property
    def pcid(self) -> str:
        """A PCID with its check digit."""
        start = f"WVR{'VOLTROOT':0<12}{int(self.iso):02}"
        return start + mod11(start)

    def steps(self) -> Iterator[Step]:
        """Yield the story."""
        is_2 = self.iso == "2"
        renewed = "certUpdtRes" if is_2 else "certInstRes"
        fetched = "CertificateUpdateReq, as its contract is renewed" if is_2 else "CertificateInstallationReq again"
        yield from self.beginning()
        yield Step("The car sends CertificateInstallationReq; the CCP finds its contract", self._install)
        yield Step("The car plugs in; the station has the MO verify the contract", self._pay)
        yield Step(f"The MO renews the contract: {renewed}", self._renew)
        yield Step(f"The car sends {fetched}", self._fetch)
        yield Step("The car pays with the renewed contract; the former one is revoked", self._pay_anew)
        yield Step("The MO revokes the contract", self._revoke)
        yield Step("The car plugs in once more, and is refused", self._be_refused)
        yield Step("It asks for a contract once more, and is refused", self._ask_in_vain)

    def beginning(self) -> Iterator[Step]:
        """Yield how the car comes to its provisioning certificate, and the driver to a contract."""
        yield Step(f"The OEM gives the car {self.pcid} its provisioning certificate", self._provision)
        yield Step(f"The driver orders the contract {self.emaid} from the MO", self._order)

    def _provision(self) -> Told:
        judgement = self.garage.provision(self.pcid, self.api, EDITIONS[self.iso])
        if judgement.deciding is not None:
            raise Refused(judgement.text)
        leaf, *above, root = judgement.path
        return Told(described(leaf), (f"{1 + len(above)} certificates below {common_name(root)}",))

    def _order(self) -> Told:
        made = self.garage.order(self.emaid)
        return Told(f"certInstRes, {len(made):,} octets: a key sealed to this car, signed by the CPS")

    def _install(self) -> Told:
        (exchange,) = self.garage.install()
        told, unpacked = _installed(exchange), exchange.unpacked
        width = max(len(check.part) for check in unpacked.checks)
        return told._replace(details=[f"{check.part.ljust(width)}  {check.text}" for check in unpacked.checks])

    def _pay(self) -> Told:
        return _paid(self.garage)

    def _renew(self) -> Told:
        made = self.garage.renew()
        to = "the expiring contract's key" if self.iso == "2" else "the provisioning key"
        return Told(f"{len(made):,} octets: a new key, sealed to {to}")

    def _fetch(self) -> Told:
        if self.iso == "2":
            return _installed(self.garage.update())
        (exchange,) = self.garage.install(emaids=[self.emaid])
        return _installed(exchange)

    def _pay_anew(self) -> Told:
        former, _ = self.garage.contracts
        code, message = self.garage.pay(former)
        if code == "OK":
            raise Refused("the former contract is still good")
        return Told(_paid(self.garage).text, (f"the former one: {code}, {message}",))

    def _revoke(self) -> Told:
        subject = self.garage.contract.chain[0].subject.print()
        reply = self.garage.client.revoke_contract(subject)
        if reply.text("resultCode") != "4000":
            raise Refused(f"resultCode is {reply.text('resultCode')}, not 4000")
        return Told(f"4000: {subject}")

    def _be_refused(self) -> Told:
        code, message = self.garage.pay()
        if code == "OK":
            raise Refused("the revoked contract is still good")
        return Told(f"{code}: {message}")

    def _ask_in_vain(self) -> Told:
        (exchange,) = self.garage.install()
        stopped = exchange.unpacked.stopped
        if stopped is None or stopped.fault != "response_code":
            raise Refused("the CCP still hands the revoked contract out")
        return Told(f"{stopped.text}, in {len(exchange.response)} octets")

    def _heard(self, name: str, octets: bytes) -> None:
        self.messages += 1
        place = self.folder / "messages"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{self.messages:02}-{name}.exi").write_bytes(octets)
        decoded = recognise(octets)
        told = forms.to_json(decoded.element, decoded.value)
        (place / f"{self.messages:02}-{name}.json").write_text(json.dumps(told, indent=2), encoding="utf-8")


def _installed(exchange: Exchange) -> Told:
    unpacked, sizes = exchange.unpacked, f"{len(exchange.request):,} octets out, {len(exchange.response):,} in"
    if unpacked.contract is None:
        stopped = unpacked.stopped
        raise Refused(f"the car stopped at {stopped.part}: {stopped.text}" if stopped else "there is no contract")
    looks = f"{len(unpacked.checks)} checks passed"
    return Told(f"{sizes}; {looks}; installed {described(unpacked.contract.chain[0])}")


def _paid(garage: Garage) -> Told:
    code, message = garage.pay()
    if code != "OK":
        raise Refused(f"{code}: {message}")
    return Told(f"paymentDetail says {code}")


def described(certificate: Certificate) -> str:
    """Return a certificate in a line of the narration."""
    serial = f"{certificate.serial:x}"[:8]
    return f"{common_name(certificate)} (serial {serial}…), valid to {certificate.not_after:%Y-%m-%d}"


def common_name(certificate: Certificate) -> str:
    """Return its subject's CN, or nothing."""
    return certificate.subject.get("CN") or ""
