"""Whatever stands in certificates, CRLs and OCSP answers, there is a judgement, and soon."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from pathing import NOW, answer_octets, crl_octets, delegate, revoked, single, trio
from random_chains import Sample, samples
from voltroot.errors import Malformed
from voltroot.pki import answers
from voltroot.pki.answers import Answer
from voltroot.pki.certificates import Certificate
from voltroot.pki.chains import Evidence, Inputs, Judgement, Purpose, Verdict, judge, search
from voltroot.pki.judging.codes import CODES
from voltroot.pki.judging.inputs import MOST_SIGNATURES
from voltroot.pki.lists import Crl

CHAINS = samples(60, 2)
MADE = trio(leaf={"kind": "P-521"})
RESPONDER = delegate(MADE.ca)
CRLS = [crl_octets(MADE.ca, revoked(5), revoked(6, 1)), crl_octets(MADE.root)]
ANSWER = answer_octets(RESPONDER, single(MADE.leaf, MADE.ca), along=[RESPONDER])


def changed(octets: bytes, random: Random) -> bytes:
    """The octets with some of them changed, cut out, or doubled."""
    result = bytearray(octets)
    for _ in range(random.randint(1, 4)):
        place = random.randrange(len(result))
        match random.randrange(4):
            case 0:
                result[place] ^= 1 << random.randrange(8)
            case 1:
                result[place] = random.choice((0x00, 0x01, 0x30, 0x7F, 0x80, 0xFF))
            case 2:
                del result[place : place + random.randint(1, 3)]
            case _:
                result[place:place] = result[place : place + random.randint(1, 9)]
    return bytes(result)


def sound(judgement: Judgement) -> None:
    assert judgement.signatures <= MOST_SIGNATURES
    assert (judgement.verdict is Verdict.OK) is (judgement.deciding is None)
    assert all(codes.of(judgement) for codes in CODES.values())
    assert all(str(each) for each in judgement.findings)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(CHAINS),
    st.randoms(use_true_random=False),
    st.booleans(),
    st.sampled_from([None, *Purpose]),
)
def test_any_chain_has_a_judgement(sample: Sample, random: Random, strict: bool, purpose: Purpose | None) -> None:
    path = []
    for each in sample.path:
        try:
            path.append(Certificate.read(changed(each.der, random)) if random.random() < 0.6 else each)
        except Malformed:
            path.append(each)
    inputs = Inputs(strict=strict, purpose=purpose)
    sound(judge(path, [sample.root], NOW, inputs=inputs))
    sound(search(path[0], path[1:], [sample.root], NOW, inputs=inputs))


@settings(max_examples=200, deadline=None)
@given(st.randoms(use_true_random=False))
def test_any_evidence_has_a_judgement(random: Random) -> None:
    crls, told = [], []
    for octets in CRLS:
        try:
            crls.append(Crl.read(changed(octets, random)))
        except Malformed:
            crls.append(Crl.read(octets))
    try:
        told.append(answers.read(changed(ANSWER, random)))
    except Malformed:
        told.append(answers.read(ANSWER))
    sound(judge(MADE.path, MADE.roots, NOW, evidence=Evidence(tuple(crls), _tuple(told))))


def _tuple(told: list[Answer]) -> tuple[Answer, ...]:
    return tuple(told)
