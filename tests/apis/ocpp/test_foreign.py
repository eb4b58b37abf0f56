"""The PyPI package ``ocpp`` as a station: another's frames, schemas and names."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from ocpp.routing import on
from ocpp.v21 import ChargePoint as ChargePoint21
from ocpp.v21 import call as call21
from ocpp.v21 import call_result as result21
from ocpp.v201 import ChargePoint as ChargePoint201
from ocpp.v201 import call as call201
from ocpp.v201 import call_result as result201
from websockets.asyncio.client import connect

from stations import OCPP_2_0_1, OCPP_2_1, PASSWORD, Office, certificates, signing_request, trusting


def _station(base: Any, results: Any) -> Any:
    class Station(base):  # type: ignore[misc]
        """Does what it is told."""

        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            self.heard: list[tuple[str, dict[str, Any]]] = []
            self.certificate: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

        @on("CertificateSigned")
        def on_certificate(self, **given: Any) -> Any:
            self.certificate.set_result(given)
            return results.CertificateSigned(status="Accepted")

        @on("InstallCertificate")
        def on_install(self, **given: Any) -> Any:
            self.heard.append(("InstallCertificate", given))
            return results.InstallCertificate(status="Accepted")

        @on("GetInstalledCertificateIds")
        def on_list(self, **given: Any) -> Any:
            self.heard.append(("GetInstalledCertificateIds", given))
            return results.GetInstalledCertificateIds(status="NotFound")

    return Station


@pytest.mark.parametrize(
    ("version", "base", "calls", "results"),
    [(OCPP_2_0_1, ChargePoint201, call201, result201), (OCPP_2_1, ChargePoint21, call21, result21)],
)
def test_a_foreign_station_boots_gets_its_certificate_and_a_root(
    office: Office, version: str, base: Any, calls: Any, results: Any
) -> None:
    identity = f"FOREIGN-{version[-3:]}"
    office.register(identity)
    csr, key = signing_request(f"SN-{identity}")
    root = office.world.issuers.standing().current("v2g-root-2").certificate
    context = trusting(office)

    async def charge() -> Any:
        credentials = base64.b64encode(f"{identity}:{PASSWORD}".encode()).decode()
        async with connect(
            f"wss://localhost:{office.ports[2]}/ocpp/{identity}",
            ssl=context,
            subprotocols=[version],  # type: ignore[list-item]
            additional_headers={"Authorization": f"Basic {credentials}"},
        ) as connection:
            station = _station(base, results)(identity, connection)
            listening = asyncio.create_task(station.start())
            booted = await station.call(
                calls.BootNotification(charging_station={"model": "One", "vendor_name": "Volt"}, reason="PowerUp"),
                suppress=False,
            )
            assert booted.status == "Accepted"
            asked = calls.SignCertificate(csr=csr, certificate_type="ChargingStationCertificate")
            assert (await station.call(asked, suppress=False)).status == "Accepted"
            given = await asyncio.wait_for(station.certificate, 20)
            work = office.start(office.commands.install(identity, "V2GRootCertificate", root.pem))
            outcome = await asyncio.wrap_future(work)
            listening.cancel()
            return given, station.heard, outcome

    given, heard, outcome = asyncio.run(charge())
    assert certificates(given["certificate_chain"])[0].public_key == key.public_key()
    assert given["certificate_type"] == "ChargingStationCertificate"
    assert [action for action, _ in heard] == ["InstallCertificate", "GetInstalledCertificateIds"]
    assert heard[0][1] == {"certificate_type": "V2GRootCertificate", "certificate": root.pem}
    assert outcome.status == "Accepted"
