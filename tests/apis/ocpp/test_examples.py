"""Every example of a payload, over a real WebSocket: sent as it stands, or the other side is made to send it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from contracting import Office as Pool
from contracting import opened
from stations import Office, Station, certificates, connected, eventually, named, signing_request
from voltroot.actors.csms.stations import OperationState, SigningState
from voltroot.actors.registrar import claim
from voltroot.pki.certificates import Certificate
from voltroot.pki.ports import Reason
from voltroot.pki.suites import P256_SHA256, P521_SHA512

pytestmark = pytest.mark.slow

EXAMPLES = json.loads((Path(__file__).parents[2] / "vectors/ocpp/examples.json").read_text())
CASES = [
    pytest.param(version, each["action"], each["part"], each["payload"], id=f"{version}-{each['action']}{each['part']}")
    for each in EXAMPLES
    for version in each["versions"]
]
ACCEPTED = {"status": "Accepted"}
NOBODY = "127.0.0.1:9"
# What is another each time.
VARIABLE = {
    "additionalInfo", "certificate", "certificateChain", "exiResponse", "issuerKeyHash", "issuerNameHash",
    "nextUpdate", "ocspResult", "serialNumber",
}  # fmt: skip
_numbers = count()


@dataclass
class Scene:
    """A station that speaks one version, its CSMS and the contract pool behind it."""

    office: Office
    pool: Pool
    station: Station
    version: str
    identity: str

    def command(self, name: str, *given: Any) -> Any:
        return self.office.start(getattr(self.office.commands, name)(self.identity, *given))

    def signing(self, csr: str, **more: Any) -> dict[str, Any]:
        return self.station.call("SignCertificate", {"csr": csr, "certificateType": "V2GCertificate", **more})

    def own(self, profile: str, name: str, *, revoked: bool = False) -> list[Certificate]:
        """A certificate of ours with its chain."""
        entry = self.office.world.issue(profile, name, name=claim(name))
        if revoked:
            self.office.world.ledger.revoke([entry.number], Reason.KEY_COMPROMISE, door="test")
            self.office.backend.issuers.reload()
        return self.office.world.chain(entry)


@pytest.fixture(scope="module")
def scenes(office: Office) -> Iterator[dict[str, Scene]]:
    versions = "ocpp2.0.1", "ocpp2.1"
    identities = [f"EX-{version[4:]}" for version in versions]
    for identity in identities:
        office.register(identity, secc_ids=(f"SECC-{identity}",))
    with (
        opened(office.world) as pool,
        connected(office, identities[0], versions=[versions[0]]) as old,
        connected(office, identities[1], versions=[versions[1]]) as new,
    ):
        made = zip((old, new), versions, identities, strict=True)
        scenes = {version: Scene(office, pool, station, version, identity) for station, version, identity in made}
        for scene in scenes.values():
            scene.station.boot()
        yield scenes


@pytest.mark.parametrize(("version", "action", "part", "payload"), CASES)
def test_every_example_is_understood_and_sent(
    scenes: dict[str, Scene], version: str, action: str, part: str, payload: dict[str, Any]
) -> None:
    PLAYS[action, part](scenes[version], payload)


def masked(payload: Any) -> Any:
    """A payload without what is another each time."""
    if isinstance(payload, dict):
        return {name: "*" if name in VARIABLE else masked(value) for name, value in payload.items()}
    return [*map(masked, payload)] if isinstance(payload, list) else payload


# From the station; where an example is cut short, or names a server that is not there, the CSMS has to say so.


def sign_request(scene: Scene, payload: dict[str, Any]) -> None:
    answer = scene.station.call("SignCertificate", payload)
    assert masked(answer) == {"status": "Rejected", "statusInfo": {"reasonCode": "InvalidCSR", "additionalInfo": "*"}}


def sign_response(scene: Scene, payload: dict[str, Any]) -> None:
    csr, _ = signing_request(f"SECC-{scene.identity}")
    if payload == ACCEPTED:
        assert scene.signing(csr) == payload
        scene.station.expect("CertificateSigned", ACCEPTED)
    else:
        assert masked(scene.signing(signing_request("SOMEBODY-ELSE")[0])) == masked(payload)


def event(scene: Scene, payload: dict[str, Any]) -> None:
    assert scene.station.call("SecurityEventNotification", payload) == {}


def status_request(scene: Scene, payload: dict[str, Any]) -> None:
    assert scene.station.call("GetCertificateStatus", nowhere(payload)) == {"status": "Failed"}


def status_response(scene: Scene, payload: dict[str, Any]) -> None:
    leaf, sub2, *_ = scene.own("SECC_2", f"STATUS-{next(_numbers)}")
    asked = named(leaf, sub2) | {"responderURL": f"http://{NOBODY}/"}
    if payload["status"] == "Failed":
        asked |= {"issuerKeyHash": "00" * 32}
    assert masked(scene.station.call("GetCertificateStatus", {"ocspRequestData": asked})) == masked(payload)


def contract_request(scene: Scene, payload: dict[str, Any]) -> None:
    answer = scene.station.call("Get15118EVCertificate", payload)
    assert (answer["status"], answer["exiResponse"]) == ("Failed", "")


def contract_response(scene: Scene, payload: dict[str, Any]) -> None:
    contracts = payload.get("remainingContracts", 0) + 1
    is_20 = "remainingContracts" in payload
    namespace = "urn:iso:std:iso:15118:-20:CommonMessages" if is_20 else "urn:iso:15118:2:2013:MsgDef"
    car = scene.pool.car(f"WMIEX{next(_numbers)}", P521_SHA512 if is_20 else P256_SHA256)
    emaids = [f"DE8AAEX{next(_numbers):07}" for _ in range(contracts)]
    for emaid in emaids:
        scene.pool.order(car, emaid)
    octets = car.request(scene.pool.roots(), most=contracts, emaids=emaids) if payload["exiResponse"] else b"nonsense"
    asked = {"iso15118SchemaVersion": namespace, "action": "Install", "exiRequest": base64.b64encode(octets).decode()}
    answer = scene.station.call("Get15118EVCertificate", asked)
    if payload["exiResponse"]:
        assert masked(answer) == masked(payload) | ({"remainingContracts": 0} if scene.version == "ocpp2.1" else {}) | (
            {"remainingContracts": contracts - 1} if is_20 else {}
        )
    else:
        # A reason may stand beside it.
        assert {name: answer[name] for name in payload} == payload


def authorize_request(scene: Scene, payload: dict[str, Any]) -> None:
    answer = scene.station.call("Authorize", nowhere(payload))
    assert answer == {"idTokenInfo": {"status": "Invalid"}, "certificateStatus": "CertChainError"}


def authorize_response(scene: Scene, payload: dict[str, Any]) -> None:
    emaid = f"DE8AAEX{next(_numbers):07}"
    chain = scene.own("CONTRACT_2", emaid, revoked=payload["certificateStatus"] == "CertificateRevoked")
    asked = {"idToken": {"idToken": emaid, "type": "eMAID"}, "certificate": "".join(each.pem for each in chain[:3])}
    assert scene.station.call("Authorize", asked) == payload


def chain_status_request(scene: Scene, payload: dict[str, Any]) -> None:
    answers = scene.station.call("GetCertificateChainStatus", nowhere(payload))["certificateStatus"]
    for answer, asked in zip(answers, payload["certificateStatusRequests"], strict=True):
        assert {**answer, "nextUpdate": "*"} == {
            "certificateHashData": asked["certificateHashData"], "source": asked["source"],
            "status": "Failed", "nextUpdate": "*",
        }  # fmt: skip


def chain_status_response(scene: Scene, payload: dict[str, Any]) -> None:
    leaf, sub2, *_ = scene.own("SECC_2", f"CHAIN-{next(_numbers)}")
    good = named(leaf, sub2)
    asked = [
        {"certificateHashData": good, "source": "OCSP", "urls": [f"http://{NOBODY}/"]},
        {"certificateHashData": good | {"issuerKeyHash": "00" * 32}, "source": "CRL", "urls": [f"http://{NOBODY}/"]},
    ]
    answer = scene.station.call("GetCertificateChainStatus", {"certificateStatusRequests": asked})
    assert masked(answer) == masked(payload)


# From the CSMS.


def trigger_request(scene: Scene, payload: dict[str, Any]) -> None:
    outcome = scene.command("trigger", payload["requestedMessage"], payload["evse"]["id"])
    assert scene.station.expect("TriggerMessage", {"status": "Rejected"}) == payload
    assert outcome.result(10).state is OperationState.FAILED


def trigger_response(scene: Scene, payload: dict[str, Any]) -> None:
    outcome = scene.command("trigger", "SignV2GCertificate")
    scene.station.expect("TriggerMessage", payload)
    assert outcome.result(10).state is OperationState.PROMISED


def signed_request(scene: Scene, payload: dict[str, Any]) -> None:
    csr, key = signing_request(f"SECC-{scene.identity}")
    assert scene.signing(csr, **{name: payload[name] for name in ("requestId",) if name in payload}) == ACCEPTED
    sent = scene.station.expect("CertificateSigned", ACCEPTED)
    assert masked(sent) == masked(payload)
    chain = certificates(sent["certificateChain"])
    assert len(chain) == payload["certificateChain"].count("BEGIN CERTIFICATE")
    assert chain[0].public_key == key.public_key()
    assert not any(each.self_issued for each in chain)


def signed_response(scene: Scene, payload: dict[str, Any]) -> None:
    csr, _ = signing_request(f"SECC-{scene.identity}")
    assert scene.signing(csr) == ACCEPTED
    scene.station.expect("CertificateSigned", payload)
    (ended,) = eventually(lambda: scene.office.stations.signings(scene.identity, [SigningState.REJECTED]))
    assert told({**payload, "status": ""}).strip() in ended.why


def install_request(scene: Scene, payload: dict[str, Any]) -> None:
    root = scene.office.world.issuers.standing().current("v2g-root-2").certificate
    outcome = scene.command("install", payload["certificateType"], root.pem)
    sent = scene.station.expect("InstallCertificate", {"status": "Failed"})
    assert sent == payload | {"certificate": root.pem}
    assert outcome.result(10).state is OperationState.FAILED


def install_response(scene: Scene, payload: dict[str, Any]) -> None:
    root = scene.office.world.issuers.standing().current("v2g-root-2").certificate
    outcome = scene.command("install", "V2GRootCertificate", root.pem)
    scene.station.expect("InstallCertificate", payload)
    if payload == ACCEPTED:
        scene.station.expect("GetInstalledCertificateIds", {"status": "NotFound"})
    assert outcome.result(10).status == told(payload)


def inventory_request(scene: Scene, payload: dict[str, Any]) -> None:
    outcome = scene.command("inventory", payload["certificateType"])
    assert scene.station.expect("GetInstalledCertificateIds", {"status": "NotFound"}) == payload
    assert outcome.result(10).detail == {kind: [] for kind in payload["certificateType"]}


def inventory_response(scene: Scene, payload: dict[str, Any]) -> None:
    outcome = scene.command("inventory")
    scene.station.expect("GetInstalledCertificateIds", payload)
    assert outcome.result(10).status == payload["status"]
    stock = scene.office.stations.stock(scene.identity)
    kept = [{"certificateType": kind, **each} for kind, every in stock.items() for each in every]
    assert sorted(kept, key=str) == sorted(payload.get("certificateHashDataChain", []), key=str)


def delete_request(scene: Scene, payload: dict[str, Any]) -> None:
    outcome = scene.command("delete", payload["certificateHashData"])
    assert scene.station.expect("DeleteCertificate", {"status": "NotFound"}) == payload
    assert outcome.result(10).status == "NotFound"


def delete_response(scene: Scene, payload: dict[str, Any]) -> None:
    root = scene.office.world.issuers.standing().current("v2g-root-2").certificate
    outcome = scene.command("delete", named(root, root))
    scene.station.expect("DeleteCertificate", payload)
    assert outcome.result(10)[1:3] == (OperationState.FAILED, told(payload))


PLAYS: dict[tuple[str, str], Callable[[Scene, dict[str, Any]], None]] = {
    ("SignCertificate", "Request"): sign_request,
    ("SignCertificate", "Response"): sign_response,
    ("SecurityEventNotification", "Request"): event,
    ("GetCertificateStatus", "Request"): status_request,
    ("GetCertificateStatus", "Response"): status_response,
    ("Get15118EVCertificate", "Request"): contract_request,
    ("Get15118EVCertificate", "Response"): contract_response,
    ("Authorize", "Request"): authorize_request,
    ("Authorize", "Response"): authorize_response,
    ("GetCertificateChainStatus", "Request"): chain_status_request,
    ("GetCertificateChainStatus", "Response"): chain_status_response,
    ("TriggerMessage", "Request"): trigger_request,
    ("TriggerMessage", "Response"): trigger_response,
    ("CertificateSigned", "Request"): signed_request,
    ("CertificateSigned", "Response"): signed_response,
    ("InstallCertificate", "Request"): install_request,
    ("InstallCertificate", "Response"): install_response,
    ("GetInstalledCertificateIds", "Request"): inventory_request,
    ("GetInstalledCertificateIds", "Response"): inventory_response,
    ("DeleteCertificate", "Request"): delete_request,
    ("DeleteCertificate", "Response"): delete_response,
}


def told(payload: dict[str, Any]) -> str:
    """A status with its reason, as operators read it."""
    info = payload.get("statusInfo", {})
    return " ".join([payload["status"], *(info[name] for name in ("reasonCode", "additionalInfo") if name in info)])


def nowhere(payload: dict[str, Any]) -> dict[str, Any]:
    """A payload whose servers are at hand and do not answer: the example's are looked up for long."""
    text = json.dumps(payload)
    for host in ("ocsp.example.test", "crl.example.test"):
        text = text.replace(host, NOBODY)
    moved: dict[str, Any] = json.loads(text)
    return moved
