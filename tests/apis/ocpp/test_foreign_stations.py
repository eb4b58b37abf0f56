"""Others' stations at our CSMS: the npm package ``ocpp-rpc`` in its strict mode, and the PyPI package ``ocpp``."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from contracting import Answer, opened
from contracting import Office as Pool
from peers import peer
from stations import (
    BOOT,
    OCPP_2_0_1,
    OCPP_2_1,
    PASSWORD,
    PATIENCE,
    Office,
    Station,
    certificates,
    eventually,
    named,
    signing_request,
)
from voltroot.pki.certificates import Certificate

pytestmark = pytest.mark.slow

ACCEPTED = {"status": "Accepted"}
PRIORITY = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "NetworkConfigurationPriority"}}
# With test_foreign_csms each program is both, and each end speaks both versions.
STATIONS = [("ocpp-rpc", OCPP_2_0_1), ("ocpp", OCPP_2_1)]


@pytest.fixture(scope="module")
def pool(office: Office) -> Iterator[Pool]:
    with opened(office.world) as pool:
        yield pool


@contextmanager
def arriving(office: Office, program: str, version: str, identity: str, profile: int = 2, **how: Any) -> Iterator[Any]:
    """Another's station that has booted at our CSMS, with a password unless it has a certificate."""
    trusted = Path(office.world.folder) / "csms-root.pem"
    trusted.write_text(root(office, "csms-root").pem)
    url = f"wss://localhost:{office.ports[profile]}/ocpp"
    how = how or {"password": PASSWORD}
    with peer(program, "station", version, url=url, identity=identity, ca=str(trusted), **how) as connection:
        assert connection.happened("connected") == {"connected": version}
        station = Station(connection)  # type: ignore[arg-type] # the same from the other end
        assert station.boot()["status"] == "Accepted"
        yield station


@pytest.mark.parametrize(("program", "version"), STATIONS)
def test_a_foreign_station_is_given_asked_for_and_relieved_of_certificates(
    office: Office, pool: Pool, program: str, version: str, tmp_path: Path
) -> None:
    identity = f"FOREIGN-{program}"
    office.register(identity, secc_ids=(f"SECC-{program}",))
    with arriving(office, program, version, identity) as station:
        chain, key = _signed(station, "ChargingStationCertificate", f"SN-{identity}")
        (tmp_path / "own.pem").write_text("".join(each.pem for each in chain) + key)
        _move_to_profile_3(office, station, identity)
    with arriving(office, program, version, identity, 3, certificate=str(tmp_path / "own.pem")) as station:
        chain, _ = _signed(station, "V2GCertificate", f"SECC-{program}")
        chain.append(root(office, "v2g-root-2"))
        _ask_for_statuses(station, chain, version)
        _take_a_root_and_lose_it(office, station, identity, chain)
        _charge(office, pool, station, program)
        assert station.call("Heartbeat", {})["currentTime"]


@pytest.mark.parametrize("program", ["ocpp-rpc", "ocpp"])
def test_what_their_schemas_do_not_allow_is_noticed(office: Office, program: str) -> None:
    office.register(f"ODD-{program}")
    with (
        pytest.raises(AssertionError, match=r"allowed values|is not one of"),
        arriving(office, program, OCPP_2_0_1, f"ODD-{program}") as station,
    ):
        station.call("BootNotification", BOOT | {"reason": "Odd"})


def root(office: Office, label: str) -> Certificate:
    return office.world.issuers.standing().current(label).certificate


def asking(chain: list[Certificate]) -> list[dict[str, str]]:
    """OCSPRequestDataType of each certificate of a chain but the root."""
    return [{**named(own, issuer), "responderURL": own.ocsp_addresses[0]} for own, issuer in pairwise(chain)]


def _signed(station: Station, kind: str, name: str) -> tuple[list[Certificate], str]:
    """The chain for a new key, and the key."""
    csr, key = signing_request(name)
    assert station.call("SignCertificate", {"csr": csr, "certificateType": kind}) == ACCEPTED
    given = station.expect("CertificateSigned", ACCEPTED)
    chain = certificates(given["certificateChain"])
    assert (given["certificateType"], chain[0].public_key) == (kind, key.public_key())
    return chain, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _move_to_profile_3(office: Office, station: Station, identity: str) -> None:
    outcome = office.start(office.commands.upgrade(identity, 3, f"wss://localhost:{office.ports[3]}/ocpp", 2))
    assert station.expect("SetNetworkProfile", ACCEPTED)["connectionData"]["securityProfile"] == 3
    found = {"attributeStatus": "Accepted", "attributeValue": "1,3", **PRIORITY}
    station.expect("GetVariables", {"getVariableResult": [found]})
    asked = station.expect("SetVariables", {"setVariableResult": [{"attributeStatus": "Accepted", **PRIORITY}]})
    assert [each["attributeValue"] for each in asked["setVariableData"]] == ["2,1,3"]
    station.expect("Reset", ACCEPTED)
    assert outcome.result(PATIENCE).status == "Accepted"


def _ask_for_statuses(station: Station, chain: list[Certificate], version: str) -> None:
    asked = asking(chain)
    for each in asked:
        assert station.call("GetCertificateStatus", {"ocspRequestData": each})["status"] == "Accepted"
    if version == OCPP_2_1:
        wanted = [
            {"certificateHashData": named(own, issuer), "source": "OCSP", "urls": [own.ocsp_addresses[0]]}
            for own, issuer in pairwise(chain)
        ]
        told = station.call("GetCertificateChainStatus", {"certificateStatusRequests": wanted})
        assert [each["status"] for each in told["certificateStatus"]] == ["Good"] * len(asked)


def _take_a_root_and_lose_it(office: Office, station: Station, identity: str, chain: list[Certificate]) -> None:
    mo = root(office, "mo-root-2")
    own = {"certificateHashData": named(mo, mo)}
    leaf, *above = (named(each, issuer) for each, issuer in pairwise(chain))
    for_cars = {"certificateHashData": leaf, "childCertificateHashData": above}
    outcome = office.start(office.commands.install(identity, "MORootCertificate", mo.pem))
    assert station.expect("InstallCertificate", ACCEPTED)["certificate"] == mo.pem
    kinds = {"MORootCertificate": own, "V2GCertificateChain": for_cars}
    listed = [{"certificateType": kind, **content} for kind, content in kinds.items()]
    station.expect("GetInstalledCertificateIds", {"status": "Accepted", "certificateHashDataChain": listed})
    found = outcome.result(PATIENCE).detail
    assert {kind: content for kind, content in found.items() if content} == {kind: [kinds[kind]] for kind in kinds}
    outcome = office.start(office.commands.delete(identity, own["certificateHashData"]))
    assert station.expect("DeleteCertificate", ACCEPTED) == own
    station.expect("GetInstalledCertificateIds", {"status": "NotFound"})
    assert not any(outcome.result(PATIENCE).detail.values())


def _charge(office: Office, pool: Pool, station: Station, program: str) -> None:
    car, emaid = pool.car(f"WMI{program}"), f"DE8AAF{len(program):08}"
    pool.order(car, emaid)
    request = base64.b64encode(car.request(pool.roots())).decode()
    asked = {"iso15118SchemaVersion": "urn:iso:15118:2:2013:MsgDef", "action": "Install", "exiRequest": request}
    answer = station.call("Get15118EVCertificate", asked)
    octets = base64.b64decode(answer["exiResponse"])
    assert (answer["status"], Answer(octets, "").body.ResponseCode) == ("Accepted", "OK")
    contract = car.open(octets)
    token = {"idToken": {"idToken": emaid, "type": "eMAID"}}
    by_hash = {**token, "iso15118CertificateHashData": asking([*contract.chain, root(office, "mo-root-2")])}
    by_chain = {**token, "certificate": "".join(each.pem for each in contract.chain)}
    good = {"idTokenInfo": {"status": "Accepted"}, "certificateStatus": "Accepted"}
    assert [station.call("Authorize", payment) for payment in (by_hash, by_chain)] == [good, good]
    pool.data("DELETE", "/api/v2/mo/contract", {"subjectDn": contract.certificate.subject.print()})
    refused = {"idTokenInfo": {"status": "Invalid"}, "certificateStatus": "CertificateRevoked"}
    # Who revoked it is another backend on the same ledger, where ours looks twice a second.
    assert eventually(lambda: station.call("Authorize", by_hash) == refused)
