"""What CRLs say: complete, partitioned, indirect and delta ones, reasons, and who may sign them (RFC 5280 6.3)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pathing import (
    CERT_SIGN,
    NOW,
    Made,
    Trio,
    chain,
    crl,
    crl_octets,
    dns,
    make,
    name,
    point,
    points,
    revoked,
    scope,
    trio,
    uri,
)
from voltroot.errors import Malformed
from voltroot.pki import crls, der, oids
from voltroot.pki.chains import Demand, Evidence, Inputs, Judgement, Verdict, judge
from voltroot.pki.lists import Crl
from voltroot.pki.ports import Reason
from world import World

DAY = timedelta(days=1)
HERE, ELSEWHERE = uri("http://crl.test/1.crl"), uri("http://crl.test/2.crl")
KEY_COMPROMISE, HOLD, REMOVE = 1, 6, 8
SOME, OTHERS = 0x6000, 0x1F80  # keyCompromise and cACompromise; the rest


def judged(made: Trio, *lists: Crl, pool: Any = (), **inputs: Any) -> Judgement:
    evidence = Evidence((*lists, crl(made.root)))
    return judge(made.path, made.roots, NOW, inputs=Inputs(**inputs), evidence=evidence, pool=chain(*pool))


def rule(judgement: Judgement) -> str:
    return judgement.deciding.rule if judgement.deciding else "OK"


@pytest.fixture
def made() -> Trio:
    return trio()


@pytest.fixture
def mine(made: Trio) -> bytes:
    """The line that revokes the leaf."""
    return revoked(made.leaf.certificate.serial, KEY_COMPROMISE)


def test_a_current_crl_without_the_certificate_says_that_it_is_good(made: Trio) -> None:
    assert judged(made, crl(made.ca, revoked(1), revoked(2)), status=Demand.ALL).verdict is Verdict.OK


def test_a_line_revokes_with_date_and_reason(made: Trio, mine: bytes) -> None:
    judgement = judged(made, crl(made.ca, revoked(1), mine, revoked(2)))
    assert judgement.verdict is Verdict.REVOKED
    assert "2026-05-31 00:00:00 UTC, keyCompromise" in judgement.text
    assert str(made.leaf.certificate.serial) in judgement.text


def test_a_revoked_ca_revokes_what_is_below(made: Trio) -> None:
    evidence = Evidence((crl(made.ca), crl(made.root, revoked(made.ca.certificate.serial))))
    judgement = judge(made.path, made.roots, NOW, evidence=evidence)
    assert (judgement.verdict, judgement.failing) == (Verdict.REVOKED, made.ca.certificate)


UNUSABLE: dict[str, dict[str, Any]] = {
    "past its next update": {"this": NOW - 9 * DAY, "until": NOW - DAY},
    "from the future": {"this": NOW + DAY, "until": NOW + 9 * DAY},
    "without a next update": {"until": None},
    "with an unknown critical extension": {"extensions": {"1.3.6.1.4.1.99999.9": (True, b"")}},
    "of a version that there is not": {"version": 3},
    "of version 1 with extensions": {"version": 1},
    "about attribute certificates": {"extensions": {oids.ISSUING_DISTRIBUTION_POINT: scope(attributes=True)}},
}


@pytest.mark.parametrize("parts", UNUSABLE.values(), ids=UNUSABLE)
def test_a_crl_that_cannot_be_used_leaves_the_status_open(made: Trio, parts: dict[str, Any]) -> None:
    judgement = judged(made, crl(made.ca, **parts))
    assert (judgement.verdict, rule(judgement)) == (Verdict.CHAIN_ERROR, "status")
    assert judged(made, crl(made.ca, **parts), status=Demand.NONE).verdict is Verdict.OK
    assert judged(made, crl(made.ca, **parts), crl(made.ca)).verdict is Verdict.OK


NUMBER, SCOPE, AUTHORITY = oids.CRL_NUMBER, oids.ISSUING_DISTRIBUTION_POINT, oids.AUTHORITY_KEY_IDENTIFIER
LAPSES: dict[str, dict[str, Any]] = {
    "without a number": {"extensions": {NUMBER: None}},
    "with a critical number": {"extensions": {NUMBER: (True, der.integer(1))}},
    "without an authorityKeyIdentifier": {"extensions": {AUTHORITY: None}},
    "whose scope is not critical": {"extensions": {SCOPE: (False, scope()[1])}},
    "with a GeneralizedTime before 2050": {"generalized": True},
}


@pytest.mark.parametrize("parts", LAPSES.values(), ids=LAPSES)
def test_a_lapse_of_section_5_makes_a_crl_useless_to_the_strict_only(made: Trio, parts: dict[str, Any]) -> None:
    assert judged(made, crl(made.ca, **parts)).verdict is Verdict.OK
    assert rule(judged(made, crl(made.ca, **parts), strict=True)) == "status"
    assert judged(made, crl(made.ca), strict=True).verdict is Verdict.OK


def test_a_crl_with_a_line_that_is_not_understood_says_nothing_of_anybody(made: Trio) -> None:
    odd = revoked(99, extensions={"1.3.6.1.4.1.99999.9": (True, b"")})
    assert rule(judged(made, crl(made.ca, odd))) == "status"
    otherwise_true = odd.replace(der.TRUE, b"\x01\x01\x01")
    assert otherwise_true != odd
    assert rule(judged(made, crl(made.ca, otherwise_true))) == "status"


def test_a_crl_that_is_too_old_still_revokes(made: Trio, mine: bytes) -> None:
    old = crl(made.ca, mine, this=NOW - 9 * DAY, until=NOW - DAY)
    assert judged(made, old).verdict is Verdict.REVOKED


def test_what_is_revoked_later_was_good_before(made: Trio) -> None:
    later = crl(made.ca, revoked(made.leaf.certificate.serial, at=NOW + DAY), this=NOW + DAY, until=NOW + 2 * DAY)
    assert judged(made, later, crl(made.ca)).verdict is Verdict.OK


def test_the_newest_crl_decides(made: Trio, mine: bytes) -> None:
    old, new = crl(made.ca, this=NOW - 3 * DAY), crl(made.ca, mine, this=NOW - DAY, number=2)
    assert judged(made, old, new).verdict is judged(made, new, old).verdict is Verdict.REVOKED


def test_the_status_that_nobody_tells(made: Trio) -> None:
    assert judged(made).verdict is Verdict.CHAIN_ERROR
    assert judged(made, status=Demand.NONE).verdict is Verdict.OK
    nothing = judge(made.path, made.roots, NOW)
    assert (nothing.verdict, nothing.findings) == (Verdict.OK, ())
    demanding = judge(made.path, made.roots, NOW, inputs=Inputs(status=Demand.ALL))
    assert [each.place for each in demanding.findings] == [1, 0]
    only_leaf = judge(made.path, made.roots, NOW, evidence=Evidence((crl(made.ca),)))
    assert only_leaf.verdict is Verdict.OK
    assert [(each.place, each.rule) for each in only_leaf.findings] == [(1, "status_told")]


# Who may sign


def test_a_crl_needs_its_issuers_signature_and_crl_sign(made: Trio) -> None:
    forged = crl(Made(made.ca.certificate, make("other").key))
    assert "signature" in judged(made, forged).text
    mute = trio(ca={"usage": CERT_SIGN})
    assert rule(judged(mute, crl(mute.ca))) == "status"


def test_a_crl_of_another_ca_says_nothing(made: Trio, mine: bytes) -> None:
    assert rule(judged(made, crl(make("other ca"), mine))) == "status"


def test_a_crl_may_be_signed_by_another_key_of_the_ca_with_a_path_to_the_same_anchor(made: Trio, mine: bytes) -> None:
    second = made.root.issue("ca", ca=True, key="for CRLs")
    assert judged(made, crl(second), pool=[second]).verdict is Verdict.OK
    assert judged(made, crl(second, mine), pool=[second]).verdict is Verdict.REVOKED
    stranger = make("other root").issue("ca", ca=True, key="for CRLs")
    assert rule(judged(made, crl(stranger), pool=[stranger])) == "status"
    evidence = Evidence((crl(second), crl(made.root, revoked(second.certificate.serial))))
    assert rule(judge(made.path, made.roots, NOW, evidence=evidence, pool=chain(second))) == "status"


# Parts of CRLs


def sharded(*written: bytes) -> Trio:
    return trio(leaf={"extensions": {oids.CRL_DISTRIBUTION_POINTS: points(*written)}})


def of(*names: bytes, **flags: Any) -> dict[str, Any]:
    return {"extensions": {oids.ISSUING_DISTRIBUTION_POINT: scope(*names, **flags)}}


@pytest.mark.parametrize(
    ("places", "parts", "verdict"),
    [
        ([point(HERE)], of(HERE), Verdict.OK),
        ([point(ELSEWHERE, HERE)], of(HERE), Verdict.OK),
        ([point(ELSEWHERE), point(HERE)], of(HERE), Verdict.OK),
        ([point(HERE)], {}, Verdict.OK),
        ([point(ELSEWHERE)], of(HERE), Verdict.CHAIN_ERROR),
        ([], of(HERE), Verdict.CHAIN_ERROR),
        ([point(HERE)], of(HERE, users=True), Verdict.OK),
        ([point(HERE)], of(HERE, cas=True), Verdict.CHAIN_ERROR),
        ([point(dns("x.test"))], of(dns("x.test")), Verdict.OK),
    ],
)
def test_a_part_of_a_crl_is_for_the_certificates_that_name_it(
    places: list[bytes], parts: dict[str, Any], verdict: Verdict
) -> None:
    made = sharded(*places) if places else trio()
    assert judged(made, crl(made.ca, **parts)).verdict is verdict
    line = revoked(made.leaf.certificate.serial)
    expected = Verdict.REVOKED if verdict is Verdict.OK else verdict
    assert judged(made, crl(made.ca, line, **parts)).verdict is expected


def test_a_distribution_point_may_be_named_relative_to_the_issuer() -> None:
    rdn = der.sequence(der.oid("2.5.4.3"), der.tlv(der.UTF8_STRING, b"part 1"))
    made = sharded(point(relative=rdn))
    full = der.explicit(4, der.sequence(der.read_sequence(made.ca.certificate.subject_der), der.tlv(der.SET, rdn)))
    assert judged(made, crl(made.ca, **of(full))).verdict is Verdict.OK


def test_reasons_have_to_be_covered_by_all_crls_together() -> None:
    made = sharded(point(HERE))
    some, others = crl(made.ca, **of(HERE, reasons=SOME)), crl(made.ca, **of(HERE, reasons=OTHERS))
    assert rule(judged(made, some)) == "status"
    assert "reasons" in judged(made, some).text
    assert judged(made, some, others).verdict is Verdict.OK
    line = revoked(made.leaf.certificate.serial, KEY_COMPROMISE)
    assert judged(made, others, crl(made.ca, line, **of(HERE, reasons=SOME))).verdict is Verdict.REVOKED


def test_our_own_shards_are_understood(world: World) -> None:
    entry = world.issue("OEM_PROV_2", "pcid001")
    path = world.chain(entry)
    issuer = world.issuers.standing().by_slug["oem-sub2-2"]
    assert issuer.key
    now = world.clock()
    for at_shard, expected in (("right", Verdict.REVOKED), ("wrong", Verdict.CHAIN_ERROR)):
        world.authority.revoke([entry], Reason.SUPERSEDED, door="test")
        (place,) = path[0].crl_addresses
        octets = crls.make(
            issuer,
            world.keyring.signer(issuer.key),
            [crls.line(each) for each in world.ledger.revoked_by(issuer.number)],
            number=1,
            this_update=now - timedelta(minutes=1),
            next_update=now + DAY,
            place=place if at_shard == "right" else place.replace("/crl/", "/other/"),
        )
        judgement = judge(path, [path[-1]], now, evidence=Evidence((Crl.read(octets),)))
        assert judgement.verdict is expected, judgement.text


# Indirect CRLs


def indirect(*lines: bytes, signer: Made) -> Crl:
    return crl(signer, *lines, **of(indirect=True))


def of_issuer(text: str) -> dict[str, tuple[bool, bytes]]:
    return {oids.CERTIFICATE_ISSUER: (True, der.sequence(der.explicit(4, name(text))))}


def test_another_may_sign_crls_where_the_certificate_says_so() -> None:
    made = sharded(point(HERE, issuer="CN=crl signer"))
    signer = made.root.issue("crl signer", usage=0x0200)
    serial = made.leaf.certificate.serial
    good = judged(made, indirect(signer=signer), pool=[signer])
    assert good.verdict is Verdict.OK, good.text
    line = revoked(serial, extensions=of_issuer("CN=ca"))
    assert judged(made, indirect(line, signer=signer), pool=[signer]).verdict is Verdict.REVOKED
    of_another = revoked(serial, extensions=of_issuer("CN=another ca"))
    assert judged(made, indirect(of_another, signer=signer), pool=[signer]).verdict is Verdict.OK
    # The issuer of a line is that of the one before, and of the first the signer itself (RFC 5280 5.3.3).
    inherited = (revoked(1, extensions=of_issuer("CN=ca")), revoked(serial))
    assert judged(made, indirect(*inherited, signer=signer), pool=[signer]).verdict is Verdict.REVOKED
    assert judged(made, indirect(revoked(serial), signer=signer), pool=[signer]).verdict is Verdict.OK


def test_a_crl_of_another_counts_only_if_it_is_indirect_and_named() -> None:
    made = sharded(point(HERE, issuer="CN=crl signer"))
    signer = made.root.issue("crl signer", usage=0x0200)
    assert rule(judged(made, crl(signer), pool=[signer])) == "status"
    plain = sharded(point(HERE))
    assert rule(judged(plain, indirect(signer=signer), pool=[signer])) == "status"
    stranger = make("other root").issue("crl signer", usage=0x0200)
    assert rule(judged(made, indirect(signer=stranger), pool=[stranger])) == "status"


# Delta CRLs


def delta(made: Trio, *lines: bytes, base: int = 1, number: int = 5, **rest: Any) -> Crl:
    return crl(made.ca, *lines, number=number, extensions={oids.DELTA_CRL_INDICATOR: (True, der.integer(base))}, **rest)


def test_a_delta_crl_adds_and_removes(made: Trio, mine: bytes) -> None:
    serial = made.leaf.certificate.serial
    complete = crl(made.ca, number=2)
    assert judged(made, complete, delta(made)).verdict is Verdict.OK
    assert judged(made, complete, delta(made, mine)).verdict is Verdict.REVOKED
    held = crl(made.ca, revoked(serial, HOLD), number=2)
    assert judged(made, held).verdict is Verdict.REVOKED
    assert judged(made, held, delta(made, revoked(serial, REMOVE))).verdict is Verdict.OK


def test_a_delta_crl_alone_says_nothing(made: Trio, mine: bytes) -> None:
    assert rule(judged(made, delta(made, mine))) == "status"


@pytest.mark.parametrize(
    "rest",
    [
        {"base": 3, "number": 9},  # adds to a later one than is at hand
        {"base": 1, "number": 2},  # is no newer
        {"this": NOW - 9 * DAY, "until": NOW - DAY},
    ],
)
def test_a_delta_crl_that_does_not_fit_is_left_aside(made: Trio, rest: dict[str, Any]) -> None:
    held = crl(made.ca, revoked(made.leaf.certificate.serial, HOLD), number=2)
    removing = delta(made, revoked(made.leaf.certificate.serial, REMOVE), **rest)
    assert judged(made, held, removing).verdict is Verdict.REVOKED


def test_a_forged_delta_crl_is_left_aside(made: Trio) -> None:
    held = crl(made.ca, revoked(made.leaf.certificate.serial, HOLD), number=2)
    forger = Trio(made.leaf, Made(made.ca.certificate, make("other").key), made.root)
    assert judged(made, held, delta(forger, revoked(made.leaf.certificate.serial, REMOVE))).verdict is Verdict.REVOKED


# Reading


def test_serial_numbers_with_too_many_octets_are_found_all_the_same(made: Trio) -> None:
    small = trio(leaf={"serial": 5})
    padded = revoked(5).replace(der.integer(5), b"\x02\x03\x00\x00\x05")
    line = der.sequence(der.read_sequence(b"\x30" + bytes((len(padded) - 2,)) + padded[2:]))
    assert judged(small, crl(small.ca, revoked(4), line)).verdict is Verdict.REVOKED


def test_octets_of_a_number_elsewhere_in_a_crl_do_not_revoke() -> None:
    made = trio(leaf={"serial": 0x170D})
    inside = revoked(0x55170D66, extensions={oids.INVALIDITY_DATE: (False, der.generalized_time(NOW))})
    assert judged(made, crl(made.ca, inside)).verdict is Verdict.OK


@pytest.mark.parametrize("octets", [b"", b"\x30", b"\x30\x00", b"\x30\x03\x02\x01\x00", trio().leaf.certificate.der])
def test_what_is_no_crl_is_malformed(octets: bytes) -> None:
    with pytest.raises(Malformed):
        Crl.read(octets)


def test_a_crl_with_any_octet_changed_says_nothing_or_the_same(made: Trio, mine: bytes) -> None:
    octets = crl_octets(made.ca, revoked(1), mine)
    for place in range(len(octets)):
        changed = bytearray(octets)
        changed[place] ^= 0x41
        try:
            read = Crl.read(bytes(changed))
        except Malformed:
            continue
        assert judged(made, read).verdict is Verdict.CHAIN_ERROR, place
