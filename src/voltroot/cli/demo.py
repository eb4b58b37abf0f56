"""``voltroot demo``: the whole story of a contract on one machine, every step a real message over HTTP."""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import click

from voltroot.app.vehicle import EDITIONS, Exchange, Garage
from voltroot.bench import servers
from voltroot.cli.inspection.printing import printable
from voltroot.errors import Failure, Refused
from voltroot.pki.certificates import Certificate
from voltroot.terms import emaid_check_digit, mod11
from voltroot.v2g import forms
from voltroot.v2g.schemas import recognise

WIDTH = 100  # columns of the narration


class Told(NamedTuple):
    """What a step came to: a line, and below it what was looked at."""

    text: str
    details: Sequence[str] = ()


class Step(NamedTuple):
    """One step of the story: who does what, and how."""

    title: str
    act: Callable[[], Told]


@dataclass
class Done:
    """A step that was made."""

    iso: str
    title: str
    text: str
    milliseconds: float
    good: bool
    details: Sequence[str] = ()


@click.command(
    epilog="""\b
Examples:
  voltroot demo
  voltroot demo --keep story --iso 20"""
)
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Write every message and certificate to DIR, for study.")  # fmt: skip
@click.option("--iso", type=click.Choice([*EDITIONS]), help="Tell one story only.  [default: both]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")
def demo(keep: Path | None, iso: str | None, as_json: bool) -> None:
    """Tell the story of a contract: PKI, car, order, installation, payment, renewal, revocation, refusal.

    A backend is started in a temporary folder with a PKI of its own, and two cars speak to it: one of ISO 15118-2, one
    of ISO 15118-20. Exit code: 0 if everything went as it should.
    """
    begun = time.perf_counter()
    say = _quiet if as_json else click.echo
    with _folder(keep) as folder, contextlib.ExitStack() as stack:
        say(click.style("Voltroot: a contract for a car, from the order to the charge", bold=True))
        say("")
        api = stack.enter_context(_backend(folder, say))
        done: list[Done] = []
        for each in [iso] if iso else EDITIONS:
            story = Story(each, api, folder / f"iso{each}", say)
            done += story.tell()
            if not done[-1].good:
                break
        seconds = time.perf_counter() - begun
        good = all(step.good for step in done)
        if as_json:
            steps = [{name: getattr(step, name) for name in step.__dataclass_fields__} for step in done]
            click.echo(json.dumps({"good": good, "seconds": round(seconds, 2), "steps": steps}, indent=2))
        else:
            outcome = "everything went as it should" if good else "the story stops here"
            say(click.style(f"{len(done)} steps in {seconds:.1f} s: {outcome}.", bold=True))
            if keep is not None:
                say(f"Every message and certificate is in {keep}.")
    click.get_current_context().exit(0 if good else 1)


@dataclass
class Story:
    """One car's story in one edition; messages and keys go to a folder."""

    iso: str
    api: str
    folder: Path
    say: Callable[[str], None]
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
        yield Step(f"The OEM gives the car {self.pcid} its provisioning certificate", self._provision)
        yield Step(f"The driver orders the contract {self.emaid} from the MO", self._order)
        yield Step("The car sends CertificateInstallationReq; the CCP finds its contract", self._install)
        yield Step("The car plugs in; the station has the MO verify the contract", self._pay)
        yield Step(f"The MO renews the contract: {renewed}", self._renew)
        yield Step(f"The car sends {fetched}", self._fetch)
        yield Step("The car pays with the renewed contract; the former one is revoked", self._pay_anew)
        yield Step("The MO revokes the contract", self._revoke)
        yield Step("The car plugs in once more, and is refused", self._be_refused)
        yield Step("It asks for a contract once more, and is refused", self._ask_in_vain)

    def tell(self) -> list[Done]:
        """Go through the story until something is not as it should be."""
        self.say(click.style(f"ISO 15118-{self.iso}".ljust(WIDTH), underline=True))
        done: list[Done] = []
        for number, step in enumerate(self.steps(), 1):
            begun = time.perf_counter()
            try:
                told, good = step.act(), True
            except Failure as failure:
                told, good = Told(str(failure)), False
            own = Done(
                self.iso, step.title, told.text, round(1000 * (time.perf_counter() - begun), 1), good, told.details
            )
            done.append(own)
            self._narrate(number, own)
            if not good:
                break
        self.say("")
        return done

    def _narrate(self, number: int, done: Done) -> None:
        mark = click.style("✓", fg="green") if done.good else click.style("✗", fg="red")
        self.say(f"{number:3} {done.title.ljust(WIDTH - 12)}{done.milliseconds:5.0f} ms")
        first, *rest = textwrap.wrap(printable(done.text), WIDTH - 6)
        self.say(f"    {mark} {first}")
        for line in (*rest, *done.details):
            for part in textwrap.wrap(printable(line), WIDTH - 6, drop_whitespace=False) or [""]:
                self.say(click.style(f"      {part}", dim=True))

    def _provision(self) -> Told:
        judgement = self.garage.provision(self.pcid, self.api, EDITIONS[self.iso])
        if judgement.deciding is not None:
            raise Refused(judgement.text)
        return Told(
            _described(judgement.path[0]), (f"{len(judgement.path) - 1} certificates below {_cn(judgement.path[-1])}",)
        )

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
    return Told(f"{sizes}; {looks}; installed {_described(unpacked.contract.chain[0])}")


def _paid(garage: Garage) -> Told:
    code, message = garage.pay()
    if code != "OK":
        raise Refused(f"{code}: {message}")
    return Told(f"paymentDetail says {code}")


def _described(certificate: Certificate) -> str:
    return f"{_cn(certificate)} (serial {f'{certificate.serial:x}'[:8]}…), valid to {certificate.not_after:%Y-%m-%d}"


def _cn(certificate: Certificate) -> str:
    return certificate.subject.get("CN") or ""


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="voltroot-demo-", ignore_cleanup_errors=True) as name:
            yield Path(name)
        return
    if keep.exists() and any(keep.iterdir()):
        raise Refused(f"{keep} is not empty: name a folder that is, or is not there yet")
    keep.mkdir(parents=True, exist_ok=True)
    yield keep


@contextlib.contextmanager
def _backend(folder: Path, say: Callable[[str], None]) -> Iterator[str]:
    """Run a backend in a folder until the block ends; yields its address."""
    begun = time.perf_counter()
    port, tls_port, vpki_port = (str(servers.free_port()) for _ in range(3))
    command: list[str | Path] = [sys.executable, "-m", "voltroot", "serve", "--data", folder / "backend"]
    command += ["--port", port, "--tls-port", tls_port, "--vpki-port", vpki_port]
    with servers.start("backend", command, int(port), folder) as server:
        server.wait(lambda: servers.answers(server.port, "GET", "/ready"))
        api = f"http://127.0.0.1:{port}"
        say(
            f"A backend with a fresh test PKI listens on {api}".ljust(WIDTH - 9)
            + f"{1000 * (time.perf_counter() - begun):6.0f} ms"
        )
        say("")
        yield api


def _quiet(line: str) -> Any:
    """Say nothing: the JSON comes at the end."""
