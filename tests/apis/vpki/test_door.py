"""Who comes in, and that whoever does not learns nothing and has nothing of theirs read."""

from __future__ import annotations

import logging
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from apis.vpki.conftest import PRODUCTS, PROV, Opened, csr, enrol
from voltroot.apis.vpki.door import Caller, Clients, Door
from voltroot.errors import Forbidden, RateLimited
from voltroot.pki.certificates import Certificate
from voltroot.pki.lists import Crl
from world import Clock, World

ALL = frozenset(product.path for product in PRODUCTS)
ULSAN = Caller("ulsan", (ip_network("10.1.0.0/16"), ip_network("2001:db8::/32")), products=ALL)
ASAN = Caller("asan", (ip_network("10.2.0.7"),), products=ALL)
PROXY = ip_network("192.0.2.1")


def admitted(door: Door, peer: str, forwarded: str = "", certificate: bytes | None = None) -> str:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    try:
        return door.admit(peer, headers, certificate).name
    except Forbidden as failure:
        return f"refused: {failure}"


@pytest.mark.parametrize(
    ("peer", "forwarded", "who"),
    [
        ("10.1.2.3", "", "ulsan"),
        ("::ffff:10.1.2.3", "", "ulsan"),
        ("2001:db8::1", "", "ulsan"),
        ("10.2.0.7", "", "asan"),
        ("10.2.0.8", "", "refused"),
        ("", "", "refused"),
        ("10.2.0.8", "10.1.2.3", "refused"),  # it is no proxy of ours: what it says is not heard
        ("10.2.0.7", "10.1.2.3", "asan"),
        ("192.0.2.1", "10.1.2.3", "ulsan"),
        ("192.0.2.1", "10.1.2.3, 203.0.113.9", "refused"),  # the proxy saw 203.0.113.9, which says who it would be
        ("192.0.2.1", "203.0.113.9, 10.1.2.3", "ulsan"),
        ("192.0.2.1", "10.1.2.3, 192.0.2.1", "ulsan"),
        ("192.0.2.1", "", "refused"),
        ("192.0.2.1", "nonsense", "refused"),
    ],
)
def test_a_caller_is_known_by_its_network(peer: str, forwarded: str, who: str) -> None:
    door = Door([ULSAN, ASAN], Clock(), proxies=[PROXY])
    assert admitted(door, peer, forwarded).startswith(who)


class Pki:
    """A CA of plants, its client certificates and its CRLs."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Plants")])
        self.ca = self._signed(self._name, self._key, x509.BasicConstraints(True, None))

    def client(self, name: str, *more: x509.ExtensionType, days: int = 30) -> bytes:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        key = ec.generate_private_key(ec.SECP256R1())
        return self._signed(subject, key, x509.BasicConstraints(False, None), *more, days=days)

    def crl(self, certificate: bytes) -> Crl:
        now = self._clock()
        serial = x509.load_der_x509_certificate(certificate).serial_number
        revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
        builder = x509.CertificateRevocationListBuilder(self._name, now, now + timedelta(days=1))
        builder = builder.add_revoked_certificate(revoked)
        return Crl.read(builder.sign(self._key, SHA256()).public_bytes(Encoding.DER))

    def _signed(self, subject: x509.Name, key: Any, *extensions: x509.ExtensionType, days: int = 3000) -> bytes:
        now = self._clock()
        builder = x509.CertificateBuilder(self._name, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=days))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        if extensions[0] == x509.BasicConstraints(True, None):
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        return builder.sign(self._key, SHA256()).public_bytes(Encoding.DER)


def test_a_caller_is_known_by_its_certificate_which_is_judged() -> None:
    clock = Clock()
    plants, foreign = Pki(clock), Pki(clock)
    good = plants.client("line1.ulsan", x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]))
    named = plants.client("x", x509.SubjectAlternativeName([x509.DNSName("Line1.Ulsan")]))
    server = plants.client("line1.ulsan", x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]))
    revoked, short = plants.client("line1.ulsan"), plants.client("line1.ulsan", days=2)
    pinned = plants.client("anything")
    own = plants.client("line1.ulsan")
    fingerprint = f"sha256:{Certificate.read(pinned).fingerprint.hex().upper()}"
    caller = Caller("ulsan", (), ("line1.ulsan", fingerprint), ALL)
    cas = [Certificate.read(plants.ca)]
    clients = Clients(cas, (plants.crl(revoked),), lambda certificate: certificate.der == own)
    door = Door([caller], clock, clients)
    assert [admitted(door, "203.0.113.9", "", one) for one in (good, named, pinned, short)] == ["ulsan"] * 4
    refusals = {
        None: "no client certificate",
        plants.client("line2.ulsan"): "another's",
        foreign.client("line1.ulsan"): "trust",
        server: "clientAuth",
        revoked: "revoked",
        own: "it is revoked",
        b"no certificate": "",
    }
    for certificate, why in refusals.items():
        try:
            said = admitted(door, "203.0.113.9", "", certificate)
        except Exception as error:
            said = f"refused: {error}"
        assert said.startswith("refused"), why
        assert why.lower() in said.lower() or why == "trust", said
    clock.turn(days=3)
    assert "not in force" in admitted(door, "203.0.113.9", "", named), "an old CRL proves nothing any more"
    door = Door([caller], clock, Clients(cas))
    assert "expired" in admitted(door, "203.0.113.9", "", short)
    clock.turn(days=-3)
    assert admitted(door, "203.0.113.9", "", short) == "ulsan", "what a clock that was ahead has judged is judged again"


def test_a_caller_may_be_known_by_both() -> None:
    clock = Clock()
    plants = Pki(clock)
    caller = Caller("ulsan", ULSAN.networks, ("line1",), ALL)
    door = Door([caller], clock, Clients([Certificate.read(plants.ca)]))
    shown = plants.client("line1")
    assert admitted(door, "10.1.0.1", "", shown) == "ulsan"
    assert "another network" in admitted(door, "10.2.0.1", "", shown)
    assert "no client certificate" in admitted(door, "10.1.0.1")


def test_a_caller_that_nothing_is_known_by_is_nobody() -> None:
    assert admitted(Door([Caller("anybody", products=ALL)], Clock()), "10.1.0.1").startswith("refused")


def test_a_rate_is_kept_and_shared_among_processes() -> None:
    clock = Clock()
    clock.offset -= timedelta(microseconds=clock().microsecond)
    frozen = clock()
    door = Door([Caller("ulsan", ULSAN.networks, products=ALL, rate=20)], lambda: frozen + clock.offset, share=0.5)
    clock.offset = timedelta(0)

    def passed(count: int) -> int:
        done = 0
        for _ in range(count):
            try:
                done += door.admit("10.1.0.1", [], None).name == "ulsan"
            except RateLimited:
                continue
        return done

    assert passed(30) == 10
    clock.turn(seconds=0.5)
    assert passed(30) == 5
    clock.turn(seconds=60)
    assert passed(30) == 10
    clock.turn(seconds=-3600)
    assert passed(30) == 0
    clock.turn(seconds=1)
    assert passed(30) == 10


class Unread:
    """A body that must not be read."""

    def __iter__(self) -> Any:
        raise AssertionError("the body was read")


REFUSED: dict[str, tuple[list[Caller], str, str]] = {
    "another network": ([ULSAN], "203.0.113.9", "another network"),
    "another product": (
        [Caller("ulsan", ULSAN.networks, products=frozenset({"v2/est"}))], "10.1.0.1", "may not ask for v1/prov",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_who_may_not_ask_learns_nothing_and_is_not_read(
    world: World, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    callers, peer, why = REFUSED[what]
    caplog.set_level(logging.INFO, "voltroot")
    read: list[str] = []

    async def unread(*_: object) -> bytes:
        read.append("a body")
        return b""

    from voltroot.apis.vpki import server

    with Opened(world, callers, peer=peer) as (api, _), pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "read_body", unread)
        answer = api.call("v1/prov/issue", enrol(csr(PROV)))
    assert (answer.status_code, answer.content, answer.headers["connection"]) == (403, b"", "close")
    assert "content-type" not in answer.headers
    assert read == []
    (refused,) = [record for record in caplog.records if record.message == "request.refused"]
    assert why in refused.why  # type: ignore[attr-defined]
    assert refused.peer == peer  # type: ignore[attr-defined]


def test_a_caller_asks_for_its_tiers_only_with_every_verb(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "voltroot")
    caller = Caller("supplier", ULSAN.networks, products=ALL, tiers=frozenset({"p001", "c001", "ecc"}))
    with Opened(world, [ULSAN], peer="10.1.0.1") as (api, _):
        other = PROV.subject("OTHERS", tier="P002")
        api.issued("v1/prov/issue", enrol(csr(PROV, other), tierCode="P002"))
    with Opened(world, [caller], peer="10.1.0.1") as (api, _):
        api.issued("v1/prov/issue", enrol(csr(PROV)))
        asks = [
            ("issue", enrol(csr(PROV, PROV.subject("NEW", tier="P002")), tierCode="P002")),
            ("reissue", enrol(csr(PROV, other), tierCode="P002")),
            ("revoke", {"dn": "cn=OTHERS,ou=P002,ou=C001,ou=ECC,o=HKMC,dc=OEM"}),
            ("revoke", {"dn": "dc=OEM,o=HKMC,ou=ECC,ou=C001,ou=P002,cn=OTHERS"}),
            ("revoke", {"dn": "cn=OTHERS,ou=C001,ou=P002,ou=ECC,o=HKMC,dc=OEM"}),
        ]
        for verb, body in asks:
            answer = api.call(f"v1/prov/{verb}", body)
            assert (answer.status_code, answer.content) == (403, b""), verb
        assert api.ask("v1/prov/revoke", {"dn": PROV.dn()}) == (200, {})
        assert api.states(PROV) == ["valid", "revoked"]
    assert [record.why for record in caplog.records if record.message == "request.refused"]  # type: ignore[attr-defined]


def test_who_asks_too_often_is_told_so(world: World) -> None:
    caller = Caller("ulsan", ULSAN.networks, products=ALL, rate=1)
    with Opened(world, [caller], peer="10.1.0.1") as (api, _):
        api.issued("v1/prov/issue", enrol(csr(PROV)))
        answer = api.call("v1/prov/issue", enrol(csr(PROV)))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert "requests a second" in answer.json()["resultMessage"]
