"""The story of a contract over OCPP: the station gets its certificate, and the car its contract through the station."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from voltroot.actors.station.ports import LeafKind
from voltroot.apis.josev.wire import Algorithm, CertificateType
from voltroot.apis.pnc.client import Client
from voltroot.app.backend import utc_now
from voltroot.app.charger import Authorization, Installed
from voltroot.cli.demo_contract import Story, common_name, described
from voltroot.cli.staging import SECC_ID, Site
from voltroot.cli.station import open_station
from voltroot.cli.telling import Step, Told
from voltroot.errors import Refused
from voltroot.pki.certificates import Certificate, read_pem
from voltroot.pki.chains import Inputs, Purpose, judge
from voltroot.pki.requests import read_named_request
from voltroot.pki.suites import suite_of

# By edition: what Josev and OCPP call the station's certificate, and what our store does.
JOSEV = {
    "2": (CertificateType.V2G, Algorithm.ECDSA_SHA256),
    "20": (CertificateType.V2G20, Algorithm.ECDSA_SHA512),
}
# Which roots the station gets, and what the backend calls them.
ROOTS = {"V2GRootCertificate": "v2g-root", "MORootCertificate": "mo-root"}
OCPP = {"2": "V2GCertificate", "20": "V2G20Certificate"}
# The CSMS's processes look twice a second whether anything was revoked.
AWARE = 10.0  # seconds
LEAVES = {"2": LeafKind.V2G, "20": LeafKind.V2G20}


@dataclass
class StationStory(Story):
    """One car's story in one edition, at a charging station."""

    site: Site = field(kw_only=True)
    request: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.garage.charger = self.site.charger

    def steps(self) -> Iterator[Step]:
        """Yield the story."""
        yield Step("The CSMS gives the station the roots of cars and contracts: InstallCertificate", self._give_roots)
        if self.site.josev:
            yield Step(f"Josev has the station make a key: generate_csr, {JOSEV[self.iso][0]}", self._generate)
            yield Step("The station sends SignCertificate; the CPO signs; CertificateSigned brings it", self._certify)
        else:
            yield Step(
                "The station makes a key, sends SignCertificate, gets CertificateSigned", self._certify_by_itself
            )
        yield from self.beginning()
        yield Step("The car plugs in, and judges the certificate that the station has", self._plug_in)
        yield Step("The car sends CertificateInstallationReq, the station Get15118EVCertificate", self._install)
        yield Step("The car pays with its contract; the station sends Authorize", self._pay)
        yield Step("The MO revokes the contract", self._revoke)
        yield Step("The car plugs in once more; the station sends Authorize, and refuses it", self._be_refused)

    def _give_roots(self) -> Told:
        given = []
        for kind, label in ROOTS.items():
            text = Client(self.api).fetch(f"/ca/{label}-{self.iso}.pem").decode("ascii")
            outcome = self.site.office.install(kind, text)
            (root,) = _certificates(text)
            given.append(f"{kind} {outcome}: {common_name(root)}")
        return Told(given[0], given[1:])

    def _generate(self) -> Told:
        assert self.site.josev is not None
        kind, algorithm = JOSEV[self.iso]
        self.request = self.site.josev.generate_csr(
            kind, SECC_ID, self.site.organization, "DE", algorithm=algorithm, evse_id="DE*VLT*E00001"
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "request.pem").write_text(self.request, encoding="ascii")
        made = read_named_request(self.request)
        return Told(f"a request for {made.subject.print()}, {suite_of(made.key).name}, key in {self.site.keys}")

    def _certify(self) -> Told:
        return self._certified(self.site.charger.certify(self.request))

    def _certify_by_itself(self) -> Told:
        return self._certified(self.site.charger.make_key(OCPP[self.iso]))

    def _certified(self, installed: Installed) -> Told:
        if installed.status != "Accepted":
            raise Refused(f"{installed.status}: {installed.reason}")
        leaf, *above = self._shown()
        subs = ", ".join(map(common_name, above))
        return Told(f"Accepted: {described(leaf)}", (f"with {subs}; key in {self.site.keys}",))

    def _plug_in(self) -> Told:
        judgement = judge(self._shown(), self.garage.roots, utc_now(), inputs=Inputs(purpose=Purpose.SECC))
        if judgement.deciding is not None:
            raise Refused(judgement.text)
        return Told(f"{SECC_ID}, {len(judgement.path) - 1} certificates below {common_name(judgement.path[-1])}")

    def _pay(self) -> Told:
        answer = self._authorized()
        if not (answer.accepted and answer.online):
            raise Refused(_said(answer))
        return Told(_said(answer))

    def _be_refused(self) -> Told:
        until = time.monotonic() + AWARE
        while (answer := self._authorized()).certificate_status != "CertificateRevoked":
            if time.monotonic() > until:
                raise Refused(f"the revoked contract is not refused for that: {_said(answer)}")
            time.sleep(0.05)
        if answer.accepted:
            raise Refused(_said(answer))
        return Told(_said(answer))

    def _authorized(self) -> Authorization:
        return self.site.charger.authorize(self.garage.contract.chain)

    def _shown(self) -> list[Certificate]:
        """Return the chain of the certificate that the station uses for cars of this edition."""
        nowhere = dict.fromkeys(("keys", "v2g_ca", "mo_ca", "csms_ca", "mf_ca", "key_password_file", "at"))
        answer = open_station(self.site.certs, **nowhere).leaf(LEAVES[self.iso])
        if answer.info is None or answer.info.chain is None:
            raise Refused(f"the station has no certificate with a chain for ISO 15118-{self.iso}: {answer.reason}")
        return _certificates(answer.info.chain.read_text(encoding="ascii"))


def _certificates(text: str) -> list[Certificate]:
    return [Certificate.read(octets) for _, octets in read_pem(text)]


def _said(answer: Authorization) -> str:
    certificate = answer.certificate_status or "not looked at"
    why = f"; {answer.why}" if answer.why else ""
    return f"{answer.emaid} is {answer.id_token_status}, its certificate {certificate}{why}"
