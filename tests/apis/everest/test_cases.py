"""EVerest's own cases once more: the questions go through a broker, the answers are what stands in the files."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from charging import Charger
from everest_cases import CASES
from mosquitto import Mosquitto, started
from voltroot.actors.station.outcomes import LeafAnswer, LeafInfo, Stapled
from voltroot.actors.station.ports import CaKind, Key, Leaf, LeafKind
from voltroot.apis.everest import wire
from voltroot.apis.everest.client import Client
from voltroot.apis.everest.server import Server, Settings
from voltroot.pki.certificates import Certificate, read_pem
from voltroot.pki.fingerprints import HashData
from voltroot.serve.workers import Worker

pytestmark = pytest.mark.slow

numbers = itertools.count()


class OverMqtt:
    """Asked by a client; what it returns is put together from the paths in the replies."""

    def __init__(self, charger: Charger, client: Client) -> None:
        self.charger = charger
        self._client = client

    def is_ca_installed(self, kind: CaKind) -> bool:
        return self._client.is_ca_certificate_installed(kind)

    def verify_location(self, kind: CaKind) -> Path | None:
        return self._client.get_verify_location(kind)

    def leaf(self, kind: LeafKind, *, include_ocsp: bool = False) -> LeafAnswer:
        result = self._client.get_leaf_certificate_info(kind, include_ocsp=include_ocsp)
        if not isinstance(result.info, wire.CertificateInfo):
            return LeafAnswer(result.status)
        told = result.info
        single, chain = path(told.certificate_single), path(told.certificate)
        files = tuple(each for each in (chain, single) if each)
        certificates = tuple(Certificate.read(octets) for _, octets in read_pem(files[0].read_text()))
        key = Key(Path(told.key), certificates[0].key_hash)
        assert "PRIVATE KEY" in key.path.read_text()
        leaf = Leaf(certificates[0], certificates, single, chain, key, files)
        ocsp = tuple(map(stapled, told.ocsp)) if isinstance(told.ocsp, list) else ()
        return LeafAnswer(result.status, (LeafInfo(key, single, chain, told.certificate_count, None, ocsp, leaf),))


def path(text: object) -> Path | None:
    return Path(text) if isinstance(text, str) else None


def stapled(told: wire.CertificateOcsp) -> Stapled:
    about = told.hash
    named = HashData(about.hash_algorithm, about.issuer_name_hash, about.issuer_key_hash, about.serial_number)
    return Stapled(named, path(told.ocsp_path))


@pytest.mark.parametrize("name", CASES)
def test_a_case_of_everest_holds_over_mqtt(name: str, broker: Mosquitto, tmp_path: Path) -> None:
    case, begin = CASES[name]
    charger = begin(tmp_path)
    # Both versions of the protocol, in turns.
    number = next(numbers)
    module = f"module{number}"
    with broker.line(mqtt5=number % 2 == 0) as own, broker.line(mqtt5=number % 4 < 2) as theirs:
        worker = Worker(own, Server(charger.station, Settings(module)))
        client = Client(theirs, module)
        worker.start()
        started(own)
        started(theirs)
        case(OverMqtt(charger, client))
        worker.stop()
