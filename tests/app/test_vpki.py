"""The vPKI's section of the configuration: what does not fit together is said before a socket opens."""

from __future__ import annotations

from datetime import timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from voltroot.app.config import Config
from voltroot.app.vpki import check, door, has_tls, is_offered, operator
from voltroot.errors import Failure, Refused
from voltroot.pki.certificates import pem
from voltroot.pki.ports import Reason
from world import World

ULSAN = '\n[[vpki.callers]]\nname = "ulsan"\nnetworks = ["10.1.0.0/16"]\n'


def config(text: str) -> Config:
    return msgspec.toml.decode(text, type=Config)


@pytest.mark.parametrize(
    ("text", "offered", "tls"),
    [
        ("", True, False),
        ('[serve]\nhost = "::1"', True, False),
        ('[serve]\nhost = "0.0.0.0"', False, False),
        ('[serve]\nhost = "pki.example.com"', False, False),
        (f'[serve]\nhost = "0.0.0.0"\n{ULSAN}', True, True),
        (f"[vpki]\ntls = false\n{ULSAN}", True, False),
        (f"[vpki]\nenabled = false\n{ULSAN}", False, True),
    ],
)
def test_it_is_offered_to_callers_or_on_the_loopback(text: str, offered: bool, tls: bool) -> None:
    given = config(text)
    check(given)
    assert (is_offered(given), has_tls(given.vpki)) == (offered, tls)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[vpki.callers]]\nname = "x"', "x needs networks or certificates"),
        (f"{ULSAN}{ULSAN}", "ulsan is there twice"),
        (f"{ULSAN}certificates = ['a']", "certificates of ulsan need vpki.client_ca"),
        (f'[serve]\nhost = "0.0.0.0"\n[vpki]\ntls = false\n{ULSAN}', "name the proxy"),
        ('[vpki]\ncertificate = "a.pem"', "go together"),
        ('[vpki.ca_names]\n"vpki-ca-3" = "CN=x"', "there is no CA vpki-ca-3"),
        ('[vpki.ca_names]\n"vpki-ca-2" = "x"', "the name cannot be read"),
        ('[vpki]\nzone = "Mars/North"', "neither an offset"),
        ('[vpki]\nzone = "../etc"', "neither an offset"),
    ],
)
def test_what_does_not_fit_together_is_refused(text: str, said: str) -> None:
    with pytest.raises(Failure, match=said):
        check(config(text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ULSAN.replace("10.1.0.0/16", "10.1.0.1/16"), "networks of ulsan"),
        (f'[vpki]\nproxies = ["x"]\n{ULSAN}', "vpki.proxies"),
        (f'[vpki]\nclient_ca = "missing.pem"\n{ULSAN}', "missing.pem cannot be read"),
        (f'[vpki]\nclient_ca = "/dev/null"\n{ULSAN}', "holds no certificate"),
    ],
)
def test_what_cannot_be_read_is_named(world: World, text: str, said: str) -> None:
    given = config(text)
    with pytest.raises(Failure, match=said):
        door(given, world.ledger, world.issuers, world.clock)


def test_a_time_zone_is_an_offset_or_a_name() -> None:
    zones = {"+09:00": timezone(timedelta(hours=9)), "-03:30": timezone(-timedelta(hours=3, minutes=30))}
    for text, zone in (zones | {"Asia/Seoul": ZoneInfo("Asia/Seoul")}).items():
        assert operator(config(f'[vpki]\nzone = "{text}"').vpki).zone == zone


def test_a_client_certificate_of_ours_is_refused_once_it_is_revoked(world: World, tmp_path: Path) -> None:
    entry = world.issue("CHARGING_STATION", "plant")
    cas = tmp_path / "cas.pem"
    cas.write_text("".join(pem("CERTIFICATE", one.der) for one in world.chain(entry)[1:]))
    text = f'[vpki]\nclient_ca = "{cas}"\n[[vpki.callers]]\nname = "ulsan"\ncertificates = ["plant"]\n'
    entrance = door(config(text), world.ledger, world.issuers, world.clock)
    assert entrance.admit("203.0.113.9", [], entry.certificate).name == "ulsan"
    world.authority.revoke([entry], Reason.KEY_COMPROMISE, door="test")
    world.clock.turn(seconds=31)
    with pytest.raises(Refused, match="it is revoked"):
        entrance.admit("203.0.113.9", [], entry.certificate)
