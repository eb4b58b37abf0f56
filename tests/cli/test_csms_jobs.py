"""``voltroot csms trigger`` and the like, as they are typed, while a process on record does what is asked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from voltroot.actors.csms.operations import Arrival
from voltroot.actors.csms.stations import Operation, OperationState, Station
from voltroot.cli import cli
from voltroot.errors import Failure, NotFound
from voltroot.pki.fingerprints import HashAlgorithm, hash_data
from voltroot.store.operations import SqlOperations
from voltroot.store.presence import SqlPresence
from voltroot.store.stations import SqlStations
from world import World

MANY = 30


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A registry of many stations; CS00 to CS09 may come to a process."""
    made = World.made(tmp_path / "world")
    stations = SqlStations(made.engine, made.clock)
    for number in range(MANY):
        stations.add(Station(f"CS{number:02}", f"SN{number}", "CSO", profile=1 + number % 3))
    return made


def typed(world: World, *words: str, code: int = 0) -> str:
    done = CliRunner().invoke(cli, ["csms", *words, "--data", str(world.folder)])
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


def refused(world: World, *words: str) -> str:
    done = CliRunner().invoke(cli, ["csms", *words, "--data", str(world.folder)])
    assert isinstance(done.exception, Failure), done.output
    return str(done.exception)


@contextmanager
def process(world: World, *stations: str) -> Iterator[list[Operation]]:
    """A process that holds stations; those whose number is odd reject what they are asked."""
    presence, operations = (kind(world.engine, world.clock) for kind in (SqlPresence, SqlOperations))
    registry, seen, stopping = SqlStations(world.engine, world.clock), list[Operation](), threading.Event()
    holder = presence.join("host:4711")
    presence.settle(holder, [Arrival(each, 2, "ocpp2.0.1") for each in stations], [])

    def work() -> None:
        renewed = time.monotonic()
        while not stopping.is_set():
            for each in operations.claim(holder, 10):
                seen.append(each)
                is_good = int(each.station[2:]) % 2 == 0
                state, said = (
                    (OperationState.DONE, "Accepted") if is_good else (OperationState.FAILED, "Rejected\x1b[2J")
                )
                registry.end(each.number, state, said)
            if time.monotonic() - renewed > 1:
                presence.renew(holder)
                renewed = time.monotonic()
            time.sleep(0.01)

    working = threading.Thread(target=work)
    working.start()
    try:
        yield seen
    finally:
        stopping.set()
        working.join()


def test_each_command_asks_for_its_operation_and_tells_what_came_of_it(world: World, tmp_path: Path) -> None:
    root = tmp_path / "root.pem"
    root.write_text(world.issuers.standing().current("v2g-root-2").certificate.pem)
    commands: list[tuple[str, ...]] = [
        ("trigger", "SignV2GCertificate", "--evse", "1"),
        ("install", "V2GRootCertificate", str(root)),
        ("inventory", "--type", "MORootCertificate"),
        ("delete", "--certificate", str(root)),
        ("password",),
        ("upgrade", "3", "wss://csms.example.com/ocpp", "--slot", "2"),
        ("learn",),
        ("call", "GetBaseReport", '{"requestId": 7, "reportBase": "FullInventory"}'),
    ]
    with process(world, "CS00") as seen:
        for number, words in enumerate(commands, 1):
            said = typed(world, *words, "CS00")
            assert said == f"✓ CS00                 done      Accepted\njob {number}: 1 done\n"
    details = {each.kind: each.detail for each in seen}
    assert [*details] == [
        "TriggerMessage", "InstallCertificate", "GetInstalledCertificateIds", "DeleteCertificate", "SetVariables",
        "SetNetworkProfile", "GetReport", "GetBaseReport",
    ]  # fmt: skip
    assert details["TriggerMessage"] == {"requestedMessage": "SignV2GCertificate", "evse": {"id": 1}}
    assert details["InstallCertificate"]["certificate"] == root.read_text()
    # What the command makes of the certificate is what a station would list.
    hashes = details["DeleteCertificate"]["certificateHashData"]
    (tmp_path / "hashes.json").write_text(json.dumps(hashes))
    typed(world, "delete", "--hash-data", str(tmp_path / "hashes.json"), "CS01", code=1)
    newest = json.loads(typed(world, "operations", "--station", "CS01", "--json"))[0]
    assert newest["detail"] == {"certificateHashData": hashes}


def test_of_many_the_failures_and_the_sums_are_told_and_the_program_fails(world: World) -> None:
    with process(world, *(f"CS{number:02}" for number in range(10))):
        said = typed(world, "inventory", "--all", "--jobs", "3", code=1)
        assert said.endswith("job 1: 5 done, 25 failed\n")
        assert "  and 5 more: voltroot csms operations --job 1 --state failed --limit 30\n" in said
        assert "\x1b" not in said
        told = json.loads(typed(world, "learn", "--connected", "--profile", "1", "--json", code=1))
        assert [each["station"] for each in told["operations"]] == ["CS00", "CS03", "CS06", "CS09"]
        assert (told["job"]["done"], told["job"]["failed"], told["job"]["ended"]) == (2, 2, True)
    assert typed(world, "jobs").splitlines()[0].endswith("2 done, 2 failed")
    assert [each["total"] for each in json.loads(typed(world, "jobs", "--json"))] == [4, MANY]
    failed = typed(world, "operations", "--job", "2", "--state", "failed").splitlines()
    assert [line.split()[7] for line in failed] == ["CS09", "CS03"]


def test_stations_that_are_away_are_waited_for_where_that_is_asked(world: World) -> None:
    assert typed(world, "learn", "CS00", "CS02", "--wait", "60", "--detach") == "job 1: 2 waiting\n"
    with process(world, "CS00"):
        assert typed(world, "learn", "CS00", "--json", "--detach").startswith('{"number":2')
        assert typed(world, "follow", "2") == "✓ CS00                 done      Accepted\njob 2: 1 done\n"
    assert typed(world, "stop", "1") == "job 1: 1 were waiting and will not be done\n"
    assert "✗ CS02                 failed    stopped by" in typed(world, "follow", "1", code=1)


def test_where_no_process_is_left_nothing_is_waited_for(world: World) -> None:
    """The one that held the station was killed: its operation fails by whoever looks."""
    presence, operations = (kind(world.engine, world.clock) for kind in (SqlPresence, SqlOperations))
    holder = presence.join("host:4711")
    presence.settle(holder, [Arrival("CS00", 2, "ocpp2.0.1")], [])
    job = typed(world, "learn", "CS00", "--detach")
    assert job == "job 1: 1 waiting\n"
    operations.claim(holder, 1)
    presence.leave(holder)
    assert "the process that was doing it ended" in typed(world, "follow", "1", code=1)


def test_on_a_terminal_the_progress_is_shown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda self: True)
    with process(world, "CS00"):
        said = typed(world, "learn", "CS00")
    assert said.startswith("\r  job 1: 1 waiting\r")
    assert said.endswith("job 1: 1 done\n")


def test_what_is_installed_is_shown_as_last_read(world: World) -> None:
    assert typed(world, "installed", "CS00").startswith("nothing was read from CS00 yet")
    hashes = {"hashAlgorithm": "SHA256", "issuerNameHash": "aa", "issuerKeyHash": "bb", "serialNumber": "1f"}
    chain = {"certificateHashData": hashes, "childCertificateHashData": [hashes, hashes]}
    SqlStations(world.engine, world.clock).take_stock("CS00", {"V2GCertificateChain": [chain], "MORootCertificate": []})
    said = typed(world, "installed", "CS00")
    assert ": none\n" in said
    assert "  not one of ours, and 2 above it\n      SHA256, serial 1f, issuer's key bb\n" in said
    told = json.loads(typed(world, "installed", "CS00", "--json"))
    assert told["installed"][1]["certificates"] == [chain]
    root = world.issuers.standing().current("v2g-root-2").certificate
    made = hash_data(root, root, HashAlgorithm.SHA384)
    hashes |= {"hashAlgorithm": "SHA384", "issuerNameHash": made.issuer_name_hash, "serialNumber": made.serial_number}
    hashes["issuerKeyHash"] = made.issuer_key_hash
    SqlStations(world.engine, world.clock).take_stock("CS00", {"V2GRootCertificate": [{"certificateHashData": hashes}]})
    assert f"  {root.subject}, until {root.not_after:%Y-%m-%d}\n" in typed(world, "installed", "CS00")


def test_a_station_is_changed(world: World) -> None:
    typed(world, "change", "CS00", "--profile", "3", "--secc-id", "A", "--secc-id", "B", "--expired-allowed")
    shown = json.loads(typed(world, "show", "CS00", "--json"))
    assert (shown["profile"], shown["seccIds"], shown["expiredAllowed"]) == (3, ["A", "B"], True)
    assert shown["serialNumber"] == "SN0"
    assert "say what is to be another" in typed(world, "change", "CS00", code=2)


def test_an_operators_token_is_shown_once(world: World) -> None:
    told = json.loads(typed(world, "operator", "add", "control room", "--read-only", "--json"))
    assert (told["name"], told["mayChange"], told["token"][:9]) == ("control room", False, "voltroot_")
    assert "looks" in typed(world, "operator", "list")
    assert "voltroot_" not in typed(world, "operator", "list", "--json")
    typed(world, "operator", "remove", "control room")
    assert json.loads(typed(world, "operator", "list", "--json")) == []


WRONG: list[tuple[str, Any]] = [
    ("learn", "name stations, or say which"),
    ("learn CS00 --all", "not both"),
    ("trigger Heartbeat CS00", "is not one of"),
    ("delete CS00", "by --certificate or by --hash-data"),
    ("operator add \x07", "printable"),
]


def test_what_cannot_be_meant_is_refused(world: World, tmp_path: Path) -> None:
    for words, why in WRONG:
        assert why in typed(world, *words.split(" "), code=2)
    assert "there is no station CS99" in refused(world, "learn", "CS99")
    assert "there is no job 77" in refused(world, "follow", "77")
    assert "no JSON" in refused(world, "call", "GetReport", "{", "CS00")
    assert "JSON object" in refused(world, "call", "GetReport", "[]", "CS00")
    assert "nothing is to be done" in refused(world, "learn", "--connected")
    (tmp_path / "root.der").write_bytes(b"\x30\x82")
    assert "is it in DER" in refused(world, "install", "V2GRootCertificate", str(tmp_path / "root.der"), "CS00")
    with pytest.raises(NotFound):
        SqlOperations(world.engine, world.clock).job(1)
