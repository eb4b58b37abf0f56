"""Building paths, and the limits that hold whatever is given."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest

from pathing import (
    BEGIN,
    NOW,
    Made,
    alternative,
    answer,
    chain,
    crl,
    dns,
    make,
    name,
    point,
    points,
    revoked,
    scope,
    single,
    subtrees,
    trio,
    uri,
)
from voltroot.pki import der, oids
from voltroot.pki.certificates import Certificate
from voltroot.pki.chains import Evidence, Inputs, Judgement, Verdict, judge, search
from voltroot.pki.judging import crl_status, effort
from voltroot.pki.judging.effort import Effort
from voltroot.pki.judging.inputs import DEEPEST, LARGEST, MOST_SIGNATURES, MOST_STEPS
from voltroot.pki.lists import Crl
from voltroot.pki.signatures import Signed

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def checked(monkeypatch: pytest.MonkeyPatch) -> list[Signed]:
    """Every signature that is really checked."""
    seen: list[Signed] = []
    real = Signed.objection

    def counted(signed: Signed, key: Any) -> str | None:
        seen.append(signed)
        return real(signed, key)

    monkeypatch.setattr(effort.Signed, "objection", counted)
    return seen


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[Effort]:
    """Every issuer that is looked at while paths are built."""
    return counting(monkeypatch, Effort, "step")


def counting(monkeypatch: pytest.MonkeyPatch, owner: type, method: str) -> list[Any]:
    """Count the calls of a method by whose they are."""
    seen: list[Any] = []
    real = getattr(owner, method)

    def counted(this: Any, *rest: Any) -> Any:
        seen.append(this)
        return real(this, *rest)

    monkeypatch.setattr(owner, method, counted)
    return seen


def found(judgement: Judgement) -> list[str]:
    return [str(certificate.subject.get("CN")) for certificate in judgement.path]


def test_a_path_is_found_among_others() -> None:
    made, other = trio(), make("other root")
    pool = chain(other, other.issue("other ca", ca=True), made.leaf, made.ca, made.root)
    judgement = search(made.leaf.certificate, pool, chain(other, made.root), NOW)
    assert (judgement.verdict, found(judgement)) == (Verdict.OK, ["leaf", "ca", "root"])


def test_a_cross_certificate_leads_to_the_other_root() -> None:
    made, ours = trio(), make("our root")
    cross = ours.issue("root", ca=True, key="root")
    pool = chain(made.ca, cross)
    judgement = search(made.leaf.certificate, pool, chain(ours), NOW)
    assert (judgement.verdict, found(judgement)) == (Verdict.OK, ["leaf", "ca", "root", "our root"])
    assert search(made.leaf.certificate, chain(made.ca), chain(ours), NOW).verdict is Verdict.UNKNOWN_ISSUER


BAD_CAS: dict[str, dict[str, Any]] = {
    "expired": {"end": NOW - DAY, "begin": BEGIN - DAY},
    "no CA": {"ca": False},
    "no keyCertSign": {"usage": 0x0200},
    "names constrained": {"extensions": {oids.NAME_CONSTRAINTS: subtrees([dns("else.where")])}},
    "unknown critical extension": {"extensions": {"1.3.6.1.4.1.99999.9": (True, b"")}},
}


@pytest.mark.parametrize("bad", BAD_CAS.values(), ids=BAD_CAS)
@pytest.mark.parametrize("first", [True, False], ids=["bad one first", "good one first"])
def test_where_one_way_is_barred_another_is_taken(bad: dict[str, Any], first: bool) -> None:
    top = make("root")
    wrong = top.issue("ca", key="ca", **{"ca": True, **bad})
    good = top.issue("ca", ca=True, key="ca", serial=7)
    leaf = good.issue("leaf", extensions={oids.SUBJECT_ALTERNATIVE_NAME: alternative(dns("a.test"))})
    pool = chain(wrong, good) if first else chain(good, wrong)
    assert search(leaf.certificate, pool, chain(top), NOW).verdict is Verdict.OK
    assert search(leaf.certificate, chain(wrong), chain(top), NOW).verdict in (Verdict.CHAIN_ERROR, Verdict.EXPIRED)


def test_where_one_way_is_revoked_another_is_taken() -> None:
    one, two = make("one"), make("two")
    ways = [each.issue("ca", ca=True, key="ca") for each in (one, two)]
    leaf = ways[0].issue("leaf")
    record = {(ways[0].certificate.issuer_der, ways[0].certificate.serial)}
    judgement = search(leaf.certificate, chain(*ways), chain(one, two), NOW, evidence=Evidence(revoked=record))
    assert (judgement.verdict, found(judgement)[-1]) == (Verdict.OK, "two")


def test_self_signed_certificates_in_a_pool_are_no_anchors() -> None:
    made = trio()
    judgement = search(made.leaf.certificate, chain(made.ca, made.root), chain(make("other")), NOW)
    assert judgement.verdict is Verdict.UNKNOWN_ISSUER


def test_twin_roots_are_told_apart_by_their_keys() -> None:
    made, twin = trio(), make("root", key="twin")
    assert made.root.certificate.subject_der == twin.certificate.subject_der
    assert judge(made.path, chain(twin), NOW).verdict is Verdict.UNKNOWN_ISSUER
    assert judge([*made.path, twin.certificate], made.roots, NOW).verdict is not Verdict.OK
    assert judge([*made.path, made.root.certificate], chain(twin), NOW).verdict is Verdict.UNKNOWN_ISSUER
    for roots in (chain(twin, made.root), chain(made.root, twin)):
        assert judge(made.path, roots, NOW).path[-1] == made.root.certificate
        assert search(made.leaf.certificate, chain(made.ca, twin), roots, NOW).verdict is Verdict.OK


def test_a_self_signed_certificate_in_the_chain_is_never_an_anchor() -> None:
    impostor = make("leaf", ca=False)
    assert judge(chain(impostor), chain(make("root")), NOW).verdict is Verdict.UNKNOWN_ISSUER
    own = trio()
    assert judge([*own.path, own.root.certificate], chain(make("other")), NOW).verdict is Verdict.UNKNOWN_ISSUER
    assert judge([*own.path, own.root.certificate], [], NOW).verdict is Verdict.UNKNOWN_ISSUER


def test_every_wrong_order_of_a_chain_is_refused() -> None:
    top = make("root")
    one = top.issue("one", ca=True)
    two = one.issue("two", ca=True)
    leaf = two.issue("leaf")
    right = chain(leaf, two, one, top)
    for wrong in itertools.permutations(right):
        expected = list(wrong) == right
        judgement = judge(list(wrong), chain(top), NOW)
        assert (judgement.verdict is Verdict.OK) is expected, found(judgement)
        if not expected:
            assert judgement.verdict is Verdict.CHAIN_ERROR
    for wrong in itertools.permutations(right[:3]):
        expected = list(wrong) == right[:3]
        assert (judge(list(wrong), chain(top), NOW).verdict is Verdict.OK) is expected


def test_gaps_repetitions_and_strangers_in_a_chain_are_refused() -> None:
    made, stranger = trio(), make("stranger")
    leaf, ca, root = chain(*made)
    wrong = [[leaf], [leaf, root], [leaf, leaf, ca, root], [leaf, ca, ca, root], [leaf, ca, root, root],
             [leaf, ca, stranger.certificate], [leaf, stranger.certificate, ca], [leaf, ca, root, stranger.certificate],
             [ca, leaf], []]  # fmt: skip
    for each in wrong:
        assert judge(each, made.roots, NOW).verdict in (Verdict.CHAIN_ERROR, Verdict.UNKNOWN_ISSUER), each


# What somebody might make up to keep a judge busy.


def test_a_thousand_issuers_of_one_name_and_key_identifier(checked: list[Signed]) -> None:
    """Each has a key of its own, and none is the right one."""
    root = make("root")
    leaf = root.issue("ca", ca=True).issue("leaf")
    identifier = leaf.certificate.authority_key_identifier or b""
    template = root.issue("ca", ca=True, key="decoy", extensions=_identified(identifier)).certificate
    keys = (int.to_bytes(number, 4, "big") for number in range(1000))
    # The decoys' keys are points of no curve: only what is cheap may be done to more than a few.
    decoys = [Certificate.read(template.der.replace(template.spki[-4:], octets)) for octets in keys]
    judgement = search(leaf.certificate, decoys, chain(root), NOW)
    assert judgement.verdict is Verdict.UNKNOWN_ISSUER
    assert len(checked) <= MOST_SIGNATURES


def test_a_thousand_issuers_with_real_keys(checked: list[Signed]) -> None:
    root = make("root")
    right = root.issue("ca", ca=True)
    leaf = right.issue("leaf")
    identifier = leaf.certificate.authority_key_identifier or b""
    decoys = [root.issue("ca", ca=True, key=f"decoy {number % 40}", serial=number + 1,
                         extensions=_identified(identifier)) for number in range(1000)]  # fmt: skip
    judgement = search(leaf.certificate, chain(*decoys, right), chain(root), NOW)
    assert judgement.verdict in (Verdict.UNKNOWN_ISSUER, Verdict.OK)
    assert len(checked) == judgement.signatures <= MOST_SIGNATURES


def test_a_thousand_certificates_of_one_issuer(checked: list[Signed], steps: list[Effort]) -> None:
    """All of them hold, and none of them leads on."""
    elsewhere = make("elsewhere")
    cas = [elsewhere.issue("ca", ca=True, key="ca", serial=number + 1) for number in range(1000)]
    judgement = search(cas[0].issue("leaf").certificate, chain(*cas), chain(make("root")), NOW)
    assert judgement.verdict is Verdict.UNKNOWN_ISSUER
    assert len(checked) == 1
    assert len(steps) <= MOST_STEPS + 1


def test_loops_of_cross_certificates(checked: list[Signed], steps: list[Effort]) -> None:
    names = [f"loop {number}" for number in range(12)]
    selves = {name: make(name) for name in names}
    crossed = [selves[one].issue(other, ca=True, key=other) for one in names for other in names if one != other]
    leaf = selves[names[0]].issue("leaf")
    judgement = search(leaf.certificate, chain(*crossed, *selves.values()), chain(make("root")), NOW)
    assert judgement.verdict is Verdict.UNKNOWN_ISSUER
    assert len(checked) == judgement.signatures <= MOST_SIGNATURES
    # Each level of a search may look one issuer too far.
    assert len(steps) <= MOST_STEPS + DEEPEST


def test_a_circle_of_two_ends() -> None:
    one, two = make("one"), make("two")
    pool = chain(one.issue("two", ca=True, key="two"), two.issue("one", ca=True, key="one"))
    assert search(one.issue("leaf").certificate, pool, chain(make("root")), NOW).verdict is Verdict.UNKNOWN_ISSUER


def test_fifty_levels(checked: list[Signed]) -> None:
    made = [make("root")]
    for number in range(50):
        made.append(made[-1].issue(f"level {number}", ca=number < 49))
    below = chain(*reversed(made[1:]))
    given = judge(below, chain(made[0]), NOW)
    assert (given.verdict, len(checked)) == (Verdict.CHAIN_ERROR, 0)
    built = search(below[0], below[1:], chain(made[0]), NOW)
    assert built.verdict is Verdict.UNKNOWN_ISSUER
    assert len(checked) <= MOST_SIGNATURES
    short = chain(*reversed(made[1 : DEEPEST + 1]))
    assert judge(short, chain(made[0]), NOW).verdict is Verdict.OK


def test_huge_extensions_are_not_looked_at(checked: list[Signed]) -> None:
    huge = trio(leaf={"extensions": {"1.3.6.1.4.1.99999.9": (False, bytes(LARGEST))}})
    assert judge(huge.path, huge.roots, NOW).verdict is Verdict.CHAIN_ERROR
    many = {f"1.3.6.1.4.1.99999.9.{number}": (False, b"") for number in range(20_000)}
    numerous = trio(ca={"extensions": many})
    assert judge(numerous.path, numerous.roots, NOW).verdict is Verdict.CHAIN_ERROR
    assert search(numerous.leaf.certificate, chain(numerous.ca), numerous.roots, NOW).verdict is not Verdict.OK
    assert checked == []


def test_a_large_extension_that_nobody_understands_is_passed_over() -> None:
    large = trio(leaf={"extensions": {"1.3.6.1.4.1.99999.9": (False, bytes(LARGEST - 2000))}})
    assert judge(large.path, large.roots, NOW).verdict is Verdict.OK


HUGE = 100_000
SIGNER = point(uri("http://crl.test"), issuer="CN=crl signer")
OF_CA = {oids.CERTIFICATE_ISSUER: (True, der.sequence(der.explicit(4, name("CN=ca"))))}


def huge(signer: Made, *last: bytes, **rest: Any) -> Crl:
    """A CRL with many lines before those that are given."""
    number = 1 << 120
    before, after = revoked(number, 1).split(der.integer(number))
    lines = (before + der.integer(each) + after for each in range(number, number + HUGE))
    return crl(signer, b"".join(lines), *last, **rest)


def test_a_huge_crl_is_not_read_line_by_line(checked: list[Signed], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = counting(monkeypatch, Crl, "_read_line")
    made = trio()
    own = revoked(made.leaf.certificate.serial, 1)
    for last, verdict in (([], Verdict.OK), ([own], Verdict.REVOKED)):
        evidence = Evidence((huge(made.ca, *last), crl(made.root)))
        assert judge(made.path, made.roots, NOW, evidence=evidence).verdict is verdict
    assert len(lines) == 1
    assert len(checked) <= 2 * 4


def test_a_huge_indirect_crl_is_read_once_where_the_number_occurs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose a line is hangs on all lines before it."""
    lines = counting(monkeypatch, Crl, "_read_line")
    made = trio(leaf={"extensions": {oids.CRL_DISTRIBUTION_POINTS: points(SIGNER)}})
    signer = made.root.issue("crl signer", usage=0x0200)
    indirect = {oids.ISSUING_DISTRIBUTION_POINT: scope(indirect=True)}
    own = revoked(made.leaf.certificate.serial, extensions=OF_CA)
    for last, verdict, read in (([], Verdict.OK, 0), ([own], Verdict.REVOKED, HUGE + 1)):
        evidence = Evidence((huge(signer, *last, extensions=indirect), crl(made.root)))
        assert judge(made.path, made.roots, NOW, evidence=evidence, pool=chain(signer)).verdict is verdict
        assert len(lines) == read


def test_many_crls_of_strangers_cost_nothing(checked: list[Signed]) -> None:
    made, stranger = trio(), make("stranger")
    forged = [crl(Made(made.ca.certificate, stranger.key), number=number) for number in range(2, 300)]
    judgement = judge(made.path, made.roots, NOW, evidence=Evidence((*forged, crl(made.root))))
    assert judgement.verdict is Verdict.CHAIN_ERROR
    assert len(checked) == judgement.signatures <= MOST_SIGNATURES


def test_many_distribution_points_and_many_answers_about_one_certificate(
    checked: list[Signed], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither asks for a signer again and again, whom nobody knows."""
    asked: list[str] = []
    real = crl_status.names.same
    monkeypatch.setattr(crl_status.names, "same", lambda one, other: asked.append("") or real(one, other))
    many = points(*(point(uri(f"http://crl.test/{number}")) for number in range(2000)))
    made = trio(leaf={"extensions": {oids.CRL_DISTRIBUTION_POINTS: many}})
    pool = chain(*(made.root.issue("ca", ca=True, key="other", serial=number + 1) for number in range(100)))
    forged = Made(made.ca.certificate, make("stranger").key)
    singles = [single(made.leaf, made.ca, this=NOW - DAY * number) for number in range(200)]
    evidence = Evidence((crl(forged), crl(made.root)), (answer(forged, *singles),))
    judgement = judge(made.path, made.roots, NOW, evidence=evidence, pool=pool)
    assert (judgement.verdict, judgement.deciding and judgement.deciding.rule) == (Verdict.CHAIN_ERROR, "status")
    assert len(checked) == judgement.signatures <= MOST_SIGNATURES
    assert len(asked) < 1000


def test_a_pool_without_end_is_looked_at_in_part_only() -> None:
    made = trio()
    pool = chain(made.leaf) * 5000
    assert search(made.leaf.certificate, [made.ca.certificate, *pool], made.roots, NOW).verdict is Verdict.OK


def test_a_deeper_or_shallower_limit_can_be_set() -> None:
    made = trio()
    for deepest, verdict in ((2, Verdict.OK), (1, Verdict.UNKNOWN_ISSUER)):
        inputs = Inputs(deepest=deepest)
        assert search(made.leaf.certificate, chain(made.ca), made.roots, NOW, inputs=inputs).verdict is verdict


def _identified(identifier: bytes) -> dict[str, tuple[bool, bytes]]:
    return {oids.SUBJECT_KEY_IDENTIFIER: (False, der.octet_string(identifier))}
