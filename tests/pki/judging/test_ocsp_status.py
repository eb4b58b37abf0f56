"""What OCSP answers say: by the CA, by a delegate, by a wrong delegate; fresh, stale, and of something else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pathing import (
    NOW,
    PKCS1_SHA256,
    Made,
    Trio,
    answer,
    answer_octets,
    chain,
    crl,
    delegate,
    make,
    purposes,
    revoked,
    single,
    trio,
)
from voltroot.errors import Malformed
from voltroot.pki import answers, der, ocsp, oids
from voltroot.pki.answers import Answer
from voltroot.pki.chains import Demand, Evidence, Inputs, Judgement, Purpose, Verdict, judge
from voltroot.pki.lists import Crl
from voltroot.pki.ports import Reason
from world import World

DAY = timedelta(days=1)
ODD = {"1.3.6.1.4.1.99999.9": (True, b"\x05\x00")}


def judged(made: Trio, *given: Answer, crls: tuple[Crl, ...] = (), pool: Any = (), **inputs: Any) -> Judgement:
    evidence = Evidence(crls, given)
    return judge(made.path, made.roots, NOW, inputs=Inputs(**inputs), evidence=evidence, pool=chain(*pool))


def open_(judgement: Judgement) -> str:
    """Why the status of the leaf is not known."""
    assert judgement.deciding is not None, "it is known"
    assert (judgement.verdict, judgement.deciding.rule, judgement.deciding.place) == (Verdict.CHAIN_ERROR, "status", 0)
    return judgement.text


@pytest.fixture
def made() -> Trio:
    return trio()


def on(made: Trio, state: str = "good", **rest: Any) -> bytes:
    return single(made.leaf, made.ca, state, **rest)


@pytest.mark.parametrize("by_name", [True, False])
@pytest.mark.parametrize("hash_", ["sha1", "sha256"])
def test_the_ca_itself_may_answer(made: Trio, by_name: bool, hash_: str) -> None:
    assert judged(made, answer(made.ca, on(made, hash_=hash_), by_name=by_name)).verdict is Verdict.OK
    judgement = judged(made, answer(made.ca, on(made, "revoked", hash_=hash_), by_name=by_name))
    assert judgement.verdict is Verdict.REVOKED
    assert "2026-05-31 00:00:00 UTC" in judgement.text


def test_a_delegate_of_the_ca_may_answer(made: Trio) -> None:
    responder = delegate(made.ca)
    assert judged(made, answer(responder, on(made), along=[responder])).verdict is Verdict.OK
    assert judged(made, answer(responder, on(made, "revoked"), along=[responder])).verdict is Verdict.REVOKED
    assert judged(made, answer(responder, on(made)), pool=[responder]).verdict is Verdict.OK
    open_(judged(made, answer(responder, on(made))))


def test_answers_of_many_certificates_are_looked_through(made: Trio) -> None:
    of_another = single(made.ca.issue("other leaf"), made.ca)
    assert judged(made, answer(made.ca, of_another, on(made, "revoked"))).verdict is Verdict.REVOKED


def test_an_answer_that_also_speaks_of_a_ca_that_it_has_no_say_in_is_refused(made: Trio) -> None:
    judgement = judged(made, answer(made.ca, single(made.ca, made.root), on(made)))
    assert [(each.place, each.rule) for each in judgement.findings] == [(1, "status")]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "without OCSPSigning": ({"extensions": {oids.EXTENDED_KEY_USAGE: None}}, "OCSPSigning"),
    "for any purpose": ({"extensions": {oids.EXTENDED_KEY_USAGE: purposes(oids.ANY_PURPOSE)}}, "OCSPSigning"),
    "with a key that may not sign": ({"usage": 0x0800}, "signing"),
    "expired": ({"begin": NOW - 9 * DAY, "end": NOW - DAY}, "not valid"),
    "not yet valid": ({"begin": NOW + DAY, "end": NOW + 9 * DAY}, "not valid"),
    "with an unknown critical extension": ({"extensions": ODD}, "critical"),
    "of two signature algorithms": ({"inner": PKCS1_SHA256}, "another inside than outside"),
    "with an extension twice": ({"twice": oids.KEY_USAGE}, "twice"),
}


@pytest.mark.parametrize(("parts", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_delegate_may_not_answer(made: Trio, parts: dict[str, Any], words: str) -> None:
    responder = delegate(made.ca, **parts)
    assert words in open_(judged(made, answer(responder, on(made), along=[responder])))


def test_a_delegate_of_another_ca_may_not_answer(made: Trio) -> None:
    for other in (made.root, make("other"), make("ca", key="twin")):
        responder = delegate(other)
        assert "not put in charge" in open_(judged(made, answer(responder, on(made), along=[responder])))
    itself = make("responder", ca=False, extensions={oids.EXTENDED_KEY_USAGE: purposes(oids.OCSP_SIGNING)})
    assert "not put in charge" in open_(judged(made, answer(itself, on(made), along=[itself])))


def test_the_leaf_may_not_answer_for_itself() -> None:
    made = trio(leaf={"extensions": {oids.EXTENDED_KEY_USAGE: purposes(oids.OCSP_SIGNING)}})
    open_(judged(made, answer(made.leaf, on(made), along=[made.leaf])))


def test_an_answer_with_a_broken_signature_says_nothing(made: Trio) -> None:
    forged = Made(made.ca.certificate, make("other").key)
    assert "signature" in open_(judged(made, answer(forged, on(made, "revoked"))))


def test_an_answer_by_somebody_else_than_it_names_says_nothing(made: Trio) -> None:
    responder, other = delegate(made.ca), delegate(made.ca, "other responder")
    swapped = Made(responder.certificate, other.key)
    open_(judged(made, answer(swapped, on(made), along=[responder, other])))


@pytest.mark.parametrize("stale", [
    {"this": NOW - 9 * DAY, "until": NOW - DAY},
    {"this": NOW + DAY, "until": NOW + 2 * DAY},
    {"this": NOW - 8 * DAY, "until": None},
])  # fmt: skip
def test_a_stale_answer_does_not_do(made: Trio, stale: dict[str, Any]) -> None:
    open_(judged(made, answer(made.ca, on(made, **stale))))
    assert judged(made, answer(made.ca, on(made, **stale)), status=Demand.NONE).verdict is Verdict.OK
    assert judged(made, answer(made.ca, on(made, **stale)), answer(made.ca, on(made))).verdict is Verdict.OK


def test_a_stale_answer_still_revokes(made: Trio) -> None:
    old = on(made, "revoked", this=NOW - 9 * DAY, until=NOW - 8 * DAY, at=NOW - 10 * DAY)
    assert judged(made, answer(made.ca, old)).verdict is Verdict.REVOKED


def test_an_answer_of_more_than_a_week_does_not_do_for_iso_15118() -> None:
    """[V2G20-1021]: however long it promises to hold."""
    made = trio()
    eight = answer(made.ca, on(made, this=NOW - 8 * DAY, until=NOW + 30 * DAY))
    assert judged(made, eight).verdict is Verdict.OK
    assert "more than 7 days" in open_(judged(made, eight, oldest_answer=timedelta(days=7)))
    asked = judged(made, eight, purpose=Purpose.SECC)
    assert any(each.rule == "status" and "7 days" in each.text for each in asked.findings)


def test_an_answer_about_something_else_says_nothing(made: Trio) -> None:
    other = trio(ca={"key": "twin"})
    for given in (
        on(made, serial=made.leaf.certificate.serial + 1),
        single(made.leaf, other.ca),
        single(made.leaf, made.root),
    ):
        assert "no evidence is about it" in open_(judged(made, answer(made.ca, given)))


def test_an_answer_with_an_unknown_critical_extension_says_nothing(made: Trio) -> None:
    assert "critical" in open_(judged(made, answer(made.ca, on(made), extensions=ODD)))
    assert "critical" in open_(judged(made, answer(made.ca, on(made, extensions=ODD))))
    harmless = {oid: (False, value) for oid, (_, value) in ODD.items()}
    assert judged(made, answer(made.ca, on(made, extensions=harmless), extensions=harmless)).verdict is Verdict.OK


def test_an_unknown_certificate_is_not_good(made: Trio) -> None:
    assert "does not know" in open_(judged(made, answer(made.ca, on(made, "unknown"))))


# RFC 6960 4.2.2.2.1: whether the delegate itself is revoked


def test_nocheck_means_that_nobody_asks(made: Trio) -> None:
    responder = delegate(made.ca)
    given = answer(responder, on(made), along=[responder])
    revoking = crl(made.ca, revoked(responder.certificate.serial))
    assert judged(made, given, crls=(revoking,)).verdict is Verdict.OK


def test_a_revoked_delegate_may_not_answer(made: Trio) -> None:
    responder = delegate(made.ca, extensions={oids.OCSP_NOCHECK: None})
    given = answer(responder, on(made), along=[responder])
    assert judged(made, given).verdict is Verdict.OK, "left to us where the certificate names no way to ask"
    other = single(responder, made.ca, "revoked")
    assert "revoked" in open_(judged(made, given, answer(made.ca, other)))
    assert judged(made, given, answer(made.ca, single(responder, made.ca))).verdict is Verdict.OK


def test_a_delegate_that_can_be_asked_about_has_to_be(made: Trio) -> None:
    access = der.sequence(der.sequence(der.oid(oids.OCSP), der.implicit(6, b"http://ocsp.test")))
    wanted = {oids.OCSP_NOCHECK: None, oids.AUTHORITY_INFO_ACCESS: (False, access)}
    responder = delegate(made.ca, extensions=wanted)
    given = answer(responder, on(made), along=[responder])
    assert "nothing tells" in open_(judged(made, given))
    assert judged(made, given, answer(made.ca, single(responder, made.ca))).verdict is Verdict.OK
    own = answer(responder, single(responder, made.ca), along=[responder])
    open_(judged(made, given, own))


def test_crls_and_answers_are_heard_together(made: Trio) -> None:
    line = revoked(made.leaf.certificate.serial)
    assert judged(made, answer(made.ca, on(made)), crls=(crl(made.ca, line),)).verdict is Verdict.REVOKED
    assert judged(made, answer(made.ca, on(made, "revoked")), crls=(crl(made.ca),)).verdict is Verdict.REVOKED
    assert judged(made, answer(made.ca, on(made, "unknown")), crls=(crl(made.ca),)).verdict is Verdict.OK


def test_our_own_responder_is_understood(world: World) -> None:
    for profile, suite in (("SECC_2", None), ("SECC_20", None), ("SECC_20", world.profiles["SECC_20"].suites[1])):
        entry = world.issue(profile, f"{profile}{suite and suite.name}", suite)
        path = world.chain(entry)
        standing = world.issuers.standing()
        issuer = standing.cas[entry.issuer or 0]
        responder = standing.newest[f"ocsp-{issuer.slug}"]
        (hashes, *_rest) = ocsp.issuer_hashes(path[1])
        identity = der.sequence(der.sequence(der.oid("1.3.14.3.2.26")), der.octet_string(hashes.name),
                                der.octet_string(hashes.key), der.integer(entry.serial))  # fmt: skip
        request = ocsp.Request((ocsp.CertID(identity, hashes, entry.serial),), None)
        for expected in (Verdict.OK, Verdict.REVOKED):
            now = world.clock()
            octets = ocsp.make(
                responder.entry.read(),
                world.keyring.signer(str(responder.key)),
                request,
                world.ledger.statuses(issuer.number, [entry.serial]),
                this_update=now,
                next_update=now + DAY,
            )
            at = now + timedelta(seconds=2)
            judgement = judge(path, [path[-1]], at, inputs=Inputs(purpose=Purpose.SECC),
                              evidence=Evidence((), (answers.read(octets),)))  # fmt: skip
            assert judgement.verdict is expected, judgement.text
            world.authority.revoke([entry], Reason.KEY_COMPROMISE, door="test")


@pytest.mark.parametrize("octets", [b"", b"\x30\x00", b"\x30\x03\x0a\x01\x06", b"\x30\x03\x0a\x01\x00", b"\x04\x00"])
def test_what_is_no_answer_is_malformed(octets: bytes) -> None:
    with pytest.raises(Malformed):
        answers.read(octets)


def test_an_answer_with_any_octet_changed_is_never_believed() -> None:
    made = trio()
    responder = delegate(made.ca)
    octets = answer_octets(responder, on(made, "revoked"), along=[responder])
    for place in range(len(octets)):
        changed = bytearray(octets)
        changed[place] ^= 0x41
        try:
            read = answers.read(bytes(changed))
        except Malformed:
            continue
        judgement = judged(made, read)
        # What no signature covers may change: the order of what comes along, spare bits.
        assert judgement.verdict in (Verdict.CHAIN_ERROR, Verdict.REVOKED), place
