"""The station's file: what it may say, and what the guide says that it says."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from voltroot.app.station import StationMachine
from voltroot.app.station_config import StationConfig, broker_of, read_station_config
from voltroot.errors import Failure

GUIDE = Path(__file__).parents[2] / "docs/guides/station.md"


def read(tmp_path: Path, text: str) -> StationConfig:
    path = tmp_path / "station.toml"
    path.write_text(text)
    return read_station_config(path)


def test_the_guide_shows_every_member_with_its_default(tmp_path: Path) -> None:
    text = next(block for block in re.findall(r"```toml\n(.*?)```", GUIDE.read_text(), re.DOTALL) if "[store]" in block)
    assert read(tmp_path, text) == StationConfig(certs="certs")
    shown = {table: set(members) for table, members in msgspec.toml.decode(text).items() if isinstance(members, dict)}
    known = {
        field.name: {inner.name for inner in msgspec.structs.fields(field.type)}
        for field in msgspec.structs.fields(StationConfig)
        if field.name != "certs"
    }
    assert shown == known


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "certs"),
        ('certs = ""', "certs"),
        ("certs = 7", "certs"),
        ('certs = "c"\nbrokr.address = "x"', "brokr"),
        ('certs = "c"\nbroker.address = "http://x"', "broker.address"),
        ('certs = "c"\nbroker.address = "mqtt://"', "no host"),
        ('certs = "c"\nbroker.address = "mqtt://x:port"', "broker.address"),
        ('certs = "c"\nbroker.address = "unix:"', "no path"),
        ('certs = "c"\nbroker.address = "mqtt://me:secret@x"', "password_file"),
        ('certs = "c"\nbroker.ca = "ca.pem"', "mqtts"),
        ('certs = "c"\nbroker.mqtt = "3.1"', "mqtt"),
        ('certs = "c"\nbroker.address = "mqtts://x"\nbroker.certificate = "c.pem"', "go together"),
        ('certs = "c"\neverest.module = "a/b"', "module"),
        ('certs = "c"\neverest.prefix = "a/#"', "prefix"),
        ('certs = "c"\neverest.heartbeat_interval_ms = -1', "heartbeat"),
        ('certs = "c"\neverest.enabled = false\njosev.enabled = false', "nothing to do"),
        ('certs = "c"\nstore.policy = "oldest"', "policy"),
        ('certs = "c"\ncsms.url = "https://x"', "url"),
        ('certs = "c"\ncsms.url = "wss://x"', "csms.identity"),
        ('certs = "c"\n[csms]\nurl = "wss://x"\nidentity = "CS:1"', "identity"),
        ('certs = "c"\n[csms]\nurl = "ws://x"\nidentity = "CS1"', "wss://HOST"),
        ('certs = "c"\n[csms]\nurl = "wss://x"\nidentity = "CS1"', "password_file"),
        ('certs = "c"\n[csms]\nurl = "wss://x"\nidentity = "C"\nprofile = 3\nvariables = {"A.B" = "1"}', "no such"),
        ('certs = "c"\n[csms]\nurl = "wss://x"\nidentity = "C"\nprofile = 4', "profile"),
        ('certs = "c"\njosev.forward = "csms"', "needs csms.url"),
        ('certs = "c"\ncar.listen = "127.0.0.1:80"', "needs csms.url"),
        ('certs = "c"\ncar.listen = "0.0.0.0"', "listen"),
        ("\xff", "station.toml"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(Failure, match=re.escape(why)) as refused:
        read(tmp_path, text)
    assert "secret@" not in str(refused.value)


@pytest.mark.parametrize(
    ("address", "host", "port", "unix", "tls"),
    [
        ("mqtt://broker", "broker", 1883, False, False),
        ("mqtt://[::1]:1884", "::1", 1884, False, False),
        ("mqtts://broker", "broker", 8883, False, True),
        ("unix:/run/mosquitto/socket", "/run/mosquitto/socket", 0, True, False),
        ("unix:///run/socket", "/run/socket", 0, True, False),
    ],
)
def test_addresses(address: str, host: str, port: int, unix: bool, tls: bool, tmp_path: Path) -> None:
    broker = broker_of(read(tmp_path, f'certs = "c"\nbroker.address = "{address}"'))
    assert (broker.host, broker.port, broker.unix, broker.tls is not None) == (host, port, unix, tls)


def test_a_machine_that_is_only_looked_at_makes_nothing(tmp_path: Path) -> None:
    config = read(tmp_path, f'certs = "{tmp_path}/certs"')
    machine = StationMachine(config)
    assert not machine.station.is_ca_installed("V2G")  # type: ignore[arg-type]
    assert not (tmp_path / "certs").exists()


def test_secrets_are_told_by_no_repr(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("sesame\n")
    config = read(tmp_path, f'certs = "c"\nbroker.user = "me"\nbroker.password_file = "{tmp_path}/secret"')
    assert broker_of(config).password() == "sesame"
    assert "sesame" not in repr(config) + repr(broker_of(config))


@pytest.mark.parametrize("policy", ["newest_not_before", "latest_not_after"])
def test_each_policy_is_one(policy: str, tmp_path: Path) -> None:
    machine = StationMachine(read(tmp_path, f'certs = "{tmp_path}"\nstore.policy = "{policy}"'))
    assert machine.station.rules.policy.name.lower() == policy


def test_files_of_tls_that_are_not_there_are_told_at_once(tmp_path: Path) -> None:
    text = f'certs = "{tmp_path}/certs"\nbroker.address = "mqtts://x"\nbroker.ca = "{tmp_path}/nowhere.pem"'
    with pytest.raises(Failure, match=r"broker\.ca"):
        StationMachine(read(tmp_path, text)).run()
