"""Each check of RFC 5280 section 6, and of what section 4 wants, breaks for its own reason."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from pathing import (
    BEGIN,
    CRL_SIGN,
    END,
    KINDS,
    NOW,
    PKCS1_SHA256,
    Made,
    Trio,
    alternative,
    chain,
    dns,
    ip,
    make,
    mappings,
    policy_constraints,
    purposes,
    subtrees,
    trio,
)
from voltroot.errors import Malformed
from voltroot.pki import der, oids
from voltroot.pki.certificates import Certificate
from voltroot.pki.chains import Evidence, Inputs, Judgement, Verdict, judge
from voltroot.pki.judging.findings import PRECEDENCE

UNKNOWN_OID = "1.3.6.1.4.1.99999.1"
SECOND = timedelta(seconds=1)


def judged(made: Trio, **inputs: Any) -> Judgement:
    return judge(made.path, made.roots, NOW, inputs=Inputs(**inputs))


def rules(judgement: Judgement) -> list[tuple[int | None, str]]:
    return [(each.place, each.rule) for each in judgement.findings if each.verdict is not Verdict.OK]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("RSA-1024", "P-224")])
def test_chains_of_every_accepted_algorithm_hold(kind: str) -> None:
    made = trio(root={"kind": kind}, ca={"kind": kind}, leaf={"kind": kind})
    judgement = judged(made, strict=True)
    assert judgement.verdict is Verdict.OK, judgement.text
    assert judgement.signatures == 2


@pytest.mark.parametrize("kind", ["RSA-1024", "P-224"])
def test_signatures_of_weak_keys_prove_nothing(kind: str) -> None:
    made = trio(ca={"kind": kind})
    assert rules(judged(made)) == [(0, "signature")]
    assert "not accepted" in judged(made).text


def test_dsa_and_sha1_are_not_accepted() -> None:
    sha1 = der.sequence(der.oid("1.2.840.113549.1.1.5"), der.NULL_VALUE)
    made = trio(ca={"kind": "RSA"}, leaf={"inner": sha1, "outer": sha1})
    assert rules(judged(made)) == [(0, "signature")]
    assert "not one that is accepted" in judged(made).text


def test_an_algorithm_that_does_not_go_with_the_key_is_refused() -> None:
    made = trio(leaf={"inner": PKCS1_SHA256, "outer": PKCS1_SHA256})
    assert rules(judged(made)) == [(0, "signature")]


def test_a_key_that_is_for_pss_only_signs_nothing_else() -> None:
    """RFC 4055 1.2: the key's own AlgorithmIdentifier binds."""
    restricted = {"kind": "RSA-PSS", "key": "restricted"}
    plain = make("root", **restricted)
    algorithm, bits = der.children(der.read_sequence(plain.certificate.spki))
    assert algorithm.whole.startswith(b"\x30\x0d")
    pss = der.sequence(KINDS["RSA-PSS"].algorithm, bits.whole)
    spoken = plain.certificate.der.replace(plain.certificate.spki, pss)
    root = Made(
        Certificate.read(_resized(spoken, plain.certificate.der, pss, plain.certificate.spki)), plain.key, "RSA-PSS"
    )
    good, bad = root.issue("ca", ca=True), Made(root.certificate, root.key, "RSA").issue("ca", ca=True)
    assert judge(chain(good), chain(root), NOW).verdict is Verdict.OK
    assert judge(chain(bad), chain(root), NOW).verdict is Verdict.UNKNOWN_ISSUER


def _resized(octets: bytes, old: bytes, new_part: bytes, old_part: bytes) -> bytes:
    """A certificate with one part of another size in the place of its own; nobody checks a root's signature."""
    tbs, algorithm, signature = der.children(der.read_sequence(old))
    parts = [new_part if part.whole == old_part else part.whole for part in der.children(tbs.content)]
    return der.sequence(der.sequence(*parts), algorithm.whole, signature.whole)


@pytest.mark.parametrize(
    ("moment", "verdict"),
    [
        (BEGIN - SECOND, Verdict.NOT_YET_VALID),
        (BEGIN, Verdict.OK),
        (END, Verdict.OK),
        (END + SECOND, Verdict.EXPIRED),
    ],
)
@pytest.mark.parametrize("place", ["leaf", "ca", "root"])
def test_validity_includes_both_its_ends(moment: Any, verdict: Verdict, place: str) -> None:
    long = {"begin": BEGIN - 9 * SECOND, "end": END + 9 * SECOND}
    made = trio(**{part: long for part in ("leaf", "ca", "root") if part != place})
    assert judge(made.path, made.roots, moment).verdict is verdict


BROKEN: list[tuple[str, dict[str, Mapping[str, Any]], list[tuple[int, str]]]] = [
    ("the CA is none", {"ca": {"ca": False}}, [(1, "ca"), (1, "key_cert_sign")]),
    ("the CA is of version 1", {"ca": {"version": 1}}, [(1, "ca"), (1, "version")]),
    ("the CA has no basicConstraints", {"ca": {"extensions": {oids.BASIC_CONSTRAINTS: None}}},
     [(1, "ca"), (1, "basic_constraints")]),
    ("the CA may not sign certificates", {"ca": {"usage": CRL_SIGN}}, [(1, "key_cert_sign")]),
    ("a critical extension is unknown to us", {"leaf": {"extensions": {UNKNOWN_OID: (True, b"")}}}, [(0, "critical")]),
    ("one of the CA's is", {"ca": {"extensions": {UNKNOWN_OID: (True, b"")}}}, [(1, "critical")]),
    ("a key identifier is critical", {"leaf": {"extensions": {oids.SUBJECT_KEY_IDENTIFIER: (True, b"\x04\x01x")}}},
     [(0, "critical")]),
    ("the issuer's name is another", {"leaf": {"issuer_name": "somebody"}}, [(0, "issuer_name")]),
    ("the signature algorithms differ", {"leaf": {"inner": PKCS1_SHA256}}, [(0, "algorithms_agree")]),
    ("a version 2 has extensions", {"leaf": {"version": 2}}, [(0, "version")]),
    ("there is no version 4", {"leaf": {"version": 4}}, [(0, "version")]),
    ("the serial number is 0", {"leaf": {"serial": 0}}, [(0, "serial_number")]),
    ("the serial number has 21 octets", {"leaf": {"serial": 1 << 160}}, [(0, "serial_number")]),
    ("an extension stands there twice", {"leaf": {"twice": oids.KEY_USAGE}}, [(0, "extensions_unique")]),
    ("a leaf may sign certificates", {"leaf": {"usage": 0x0400}}, [(0, "basic_constraints")]),
    ("a leaf has a path length", {"leaf": {"length": 0}}, [(0, "basic_constraints")]),
    ("a leaf has name constraints", {"leaf": {"extensions": {oids.NAME_CONSTRAINTS: subtrees([dns("a.b")])}}},
     [(0, "for_cas_only")]),
    ("a CA's policy mappings are none", {"ca": {"extensions": {oids.POLICY_MAPPINGS: mappings()}}},
     [(1, "constraints")]),
    ("a name is none", {"leaf": {"subject": b"\x30\x02\x31\x00"}}, [(0, "names_present")]),
    ("a name is empty in more octets than it needs", {"leaf": {"subject": b"\x30\x81\x00"}}, [(0, "names_present")]),
    ("policyConstraints are empty", {"ca": {"extensions": {oids.POLICY_CONSTRAINTS: policy_constraints()}}},
     [(1, "constraints")]),
    ("name constraints are empty", {"ca": {"extensions": {oids.NAME_CONSTRAINTS: subtrees()}}}, [(1, "constraints")]),
]  # fmt: skip


UNREADABLE: list[tuple[str, str, bytes]] = [
    ("a cA that is said twice", oids.BASIC_CONSTRAINTS, der.sequence(b"\x01\x01\x00", der.TRUE)),
    ("parts in another order", oids.BASIC_CONSTRAINTS, der.sequence(der.integer(3), der.TRUE)),
    ("a path length below 0", oids.BASIC_CONSTRAINTS, der.sequence(der.TRUE, der.integer(-1))),
    ("a SET", oids.BASIC_CONSTRAINTS, der.tlv(der.SET, der.TRUE)),
    ("something else beside cA", oids.BASIC_CONSTRAINTS, der.sequence(der.TRUE, der.NULL_VALUE)),
    ("octets in place of bits", oids.KEY_USAGE, bytes.fromhex("04020006")),
    ("nine unused bits of eight", oids.KEY_USAGE, bytes.fromhex("03020906")),
    ("unused bits of none", oids.KEY_USAGE, bytes.fromhex("030101")),
    ("purposes that are none", oids.EXTENDED_KEY_USAGE, der.sequence()),
    ("purposes that are strings", oids.EXTENDED_KEY_USAGE, der.sequence(der.octet_string(b"+"))),
    ("no alternative name", oids.SUBJECT_ALTERNATIVE_NAME, der.sequence()),
    ("an alternative name of no form", oids.SUBJECT_ALTERNATIVE_NAME, der.sequence(der.NULL_VALUE)),
    ("an alternative name that breaks off", oids.SUBJECT_ALTERNATIVE_NAME, bytes.fromhex("3003820961")),
    ("an empty DNS name", oids.SUBJECT_ALTERNATIVE_NAME, der.sequence(dns(""))),
    ("a DNS name beside ASCII", oids.SUBJECT_ALTERNATIVE_NAME, der.sequence(dns("b\xfccher.test"))),
    ("an address of five octets", oids.SUBJECT_ALTERNATIVE_NAME, der.sequence(ip(bytes(5)))),
    ("a directory name that is none", oids.SUBJECT_ALTERNATIVE_NAME, der.sequence(der.explicit(4, der.NULL_VALUE))),
    ("a key identifier that is a sequence", oids.SUBJECT_KEY_IDENTIFIER, der.sequence()),
    ("an issuer's key identifier that is a string", oids.AUTHORITY_KEY_IDENTIFIER, der.octet_string(b"key")),
    ("a place of CRLs that breaks off", oids.CRL_DISTRIBUTION_POINTS, bytes.fromhex("3003300580")),
    ("a place of CRLs without a name", oids.CRL_DISTRIBUTION_POINTS, der.sequence(der.sequence())),
    ("access without a location", oids.AUTHORITY_INFO_ACCESS, der.sequence(der.sequence(der.oid(oids.OCSP)))),
]


@pytest.mark.parametrize(("oid", "value"), [row[1:] for row in UNREADABLE], ids=[row[0] for row in UNREADABLE])
def test_what_an_extension_says_has_to_be_readable(oid: str, value: bytes) -> None:
    """A judge that guesses differs from the next one."""
    assert rules(judged(trio(leaf={"extensions": {oid: (False, value)}})))[-1] == (0, "extensions")


def test_bits_that_are_not_in_use_say_nothing() -> None:
    """keyCertSign lies among them."""
    made = trio(ca={"extensions": {oids.KEY_USAGE: (True, bytes.fromhex("03020706"))}})
    assert rules(judged(made)) == [(1, "key_cert_sign")]


BESIDE: dict[str, dict[str, Any]] = {
    "a second block of extensions": {"extra": der.explicit(3, der.sequence())},
    "something of no meaning": {"extra": der.explicit(7, der.NULL_VALUE)},
    "unique identifiers in another order": {"extra": der.implicit(2, b"\0x") + der.implicit(1, b"\0x")},
    "a unique identifier in version 1": {"version": 1, "extra": der.implicit(1, b"\0x")},
}


@pytest.mark.parametrize("parts", BESIDE.values(), ids=BESIDE)
def test_a_certificate_with_something_beside_its_extensions_is_none(parts: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        trio(leaf=parts)
    assert judged(trio(leaf={"extra": der.implicit(1, b"\0x") + der.implicit(2, b"\0x")})).verdict is Verdict.OK


def test_a_serial_number_without_end_makes_no_certificate() -> None:
    assert rules(judged(trio(leaf={"serial": 1 << 1000}))) == [(0, "serial_number")]
    with pytest.raises(Malformed):
        trio(leaf={"serial": 1 << 40_000})


@pytest.mark.parametrize("critical", [b"\x01\x00", b"\x02\x01\x00", b"\x01\x02\x00\x00"])
def test_an_extension_is_critical_or_not_without_a_doubt(critical: bytes) -> None:
    odd = der.sequence(der.oid(UNKNOWN_OID), critical, der.octet_string(b""))
    with pytest.raises(Malformed):
        trio(leaf={"raw": odd})


@pytest.mark.parametrize(("parts", "expected"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_what_is_broken_is_refused_by_its_rule(parts: dict[str, Any], expected: list[tuple[int, str]]) -> None:
    judgement = judged(trio(**parts))
    assert judgement.verdict is Verdict.CHAIN_ERROR
    assert rules(judgement) == expected, [*map(str, judgement.findings)]


LAPSES: list[tuple[str, dict[str, Mapping[str, Any]], tuple[int, str]]] = [
    ("a negative serial number", {"leaf": {"serial": -5}}, (0, "serial_positive")),
    ("no authorityKeyIdentifier", {"leaf": {"extensions": {oids.AUTHORITY_KEY_IDENTIFIER: None}}},
     (0, "key_identifiers")),
    ("a CA without subjectKeyIdentifier", {"ca": {"extensions": {oids.SUBJECT_KEY_IDENTIFIER: None}}},
     (1, "key_identifiers")),
    ("a CA without keyUsage", {"ca": {"extensions": {oids.KEY_USAGE: None}}}, (1, "key_usage_present")),
    ("basicConstraints not critical", {"ca": {"extensions": {oids.BASIC_CONSTRAINTS: (False, der.sequence(der.TRUE))}}},
     (1, "constraints_critical")),
    ("policyConstraints not critical",
     {"ca": {"extensions": {oids.POLICY_CONSTRAINTS: (False, policy_constraints(5)[1])}}}, (1, "must_be_critical")),
]  # fmt: skip


@pytest.mark.parametrize(("parts", "expected"), [row[1:] for row in LAPSES], ids=[row[0] for row in LAPSES])
def test_a_lapse_of_section_4_is_remarked_and_refused_by_the_strict_only(
    parts: dict[str, Any], expected: tuple[int, str]
) -> None:
    made = trio(**parts)
    tolerant, strict = judged(made), judged(made, strict=True)
    assert tolerant.verdict is Verdict.OK, tolerant.text
    assert [(each.place, each.rule) for each in tolerant.findings] == [expected]
    assert rules(strict) == [expected]


def test_other_octets_than_those_of_der_are_refused_by_the_strict_only() -> None:
    made = trio(leaf={"extensions": {oids.BASIC_CONSTRAINTS: (True, bytes.fromhex("3003010100"))}})
    assert judged(made).verdict is Verdict.OK
    assert rules(judged(made, strict=True)) == [(0, "encoding")]
    assert rules(judged(trio(leaf={"subject": bytes.fromhex("3004310230ff")}), strict=True)) == [(0, "encoding")]


def test_a_leaf_without_a_name_needs_a_critical_alternative_name() -> None:
    names = alternative(dns("leaf.example"))[1]
    top = make("root")
    for critical, verdict in ((True, Verdict.OK), (False, Verdict.CHAIN_ERROR)):
        leaf = top.issue("", extensions={oids.SUBJECT_ALTERNATIVE_NAME: (critical, names)})
        assert judge(chain(leaf), chain(top), NOW).verdict is verdict
    nameless = top.issue("")
    assert rules(judge(chain(nameless), chain(top), NOW)) == [(0, "names_present")]


def test_path_length_counts_cas_that_are_not_self_issued() -> None:
    top = make("root", length=1)
    first = top.issue("one", ca=True)
    again = first.issue("one", ca=True, key="one again")
    second = again.issue("two", ca=True)
    leaf = again.issue("leaf")
    assert judge(chain(leaf, again, first), chain(top), NOW).verdict is Verdict.OK
    too_deep = judge(chain(second.issue("leaf"), second, again, first), chain(top), NOW)
    assert rules(too_deep) == [(1, "path_length")]


@pytest.mark.parametrize(
    ("wanted", "ca", "leaf", "expected"),
    [
        (oids.SERVER_AUTH, None, purposes(oids.SERVER_AUTH), []),
        (oids.SERVER_AUTH, None, None, []),
        (oids.SERVER_AUTH, None, purposes(oids.ANY_PURPOSE), []),
        (oids.SERVER_AUTH, None, purposes(oids.CLIENT_AUTH), [(0, "key_purpose")]),
        (oids.SERVER_AUTH, purposes(oids.CLIENT_AUTH), purposes(oids.SERVER_AUTH), [(1, "key_purpose")]),
        (None, purposes(oids.CLIENT_AUTH), purposes(oids.SERVER_AUTH), []),
    ],
)
def test_key_purposes_bind_the_leaf_and_the_cas_that_name_some(
    wanted: str | None, ca: Any, leaf: Any, expected: list[Any]
) -> None:
    made = trio(ca={"extensions": {oids.EXTENDED_KEY_USAGE: ca}}, leaf={"extensions": {oids.EXTENDED_KEY_USAGE: leaf}})
    assert rules(judged(made, key_purpose=wanted)) == expected


ANCHORS: list[tuple[str, dict[str, Any], str]] = [
    ("is no CA", {"ca": False, "usage": 0x8000}, "anchor"),
    ("may not sign certificates", {"usage": CRL_SIGN}, "key_cert_sign"),
    ("has an unknown critical extension", {"extensions": {UNKNOWN_OID: (True, b"")}}, "critical"),
    ("has expired", {"end": NOW - SECOND}, "expired"),
]


@pytest.mark.parametrize(("parts", "rule"), [row[1:] for row in ANCHORS], ids=[row[0] for row in ANCHORS])
def test_what_an_anchor_says_of_itself_binds(parts: dict[str, Any], rule: str) -> None:
    assert (2, rule) in rules(judged(trio(root=parts)))


def test_the_form_of_an_anchor_is_a_matter_of_the_strict() -> None:
    made = trio(root={"extensions": {oids.BASIC_CONSTRAINTS: (False, der.sequence(der.TRUE))}})
    assert judged(made).findings == ()
    assert rules(judged(made, strict=True)) == [(2, "constraints_critical")]


def test_of_two_anchors_with_one_name_and_key_either_will_do() -> None:
    made = trio()
    narrow = make("root", length=0, serial=7)
    for roots in (chain(narrow, made.root), chain(made.root, narrow)):
        assert judge(made.path, roots, NOW).verdict is Verdict.OK
    assert rules(judge(made.path, chain(narrow), NOW)) == [(1, "path_length")]


def test_an_anchor_of_version_1_is_a_ca_because_it_is_trusted() -> None:
    nothing = dict.fromkeys((oids.BASIC_CONSTRAINTS, oids.KEY_USAGE, oids.SUBJECT_KEY_IDENTIFIER))
    assert judged(trio(root={"version": 1, "extensions": nothing})).verdict is Verdict.OK


def test_constraints_of_an_anchor_bind() -> None:
    made = trio(root={"extensions": {oids.NAME_CONSTRAINTS: subtrees([dns("good.example")])}},
                leaf={"extensions": {oids.SUBJECT_ALTERNATIVE_NAME: alternative(dns("bad.example"))}})  # fmt: skip
    assert rules(judged(made)) == [(0, "name_constraints")]
    assert rules(judged(trio(root={"length": 0}))) == [(1, "path_length")]


def test_names_are_compared_as_section_7_1_has_it() -> None:
    top = make("C=DE,O=Some  Body,CN=Root ÄÖÜ")
    spelt = top.issue("leaf", issuer_name="C=de,O=some body,CN=rOOT äöü")
    assert judge(chain(spelt), chain(top), NOW).verdict is Verdict.OK
    other = top.issue("leaf", issuer_name="O=Some Body,C=DE,CN=Root ÄÖÜ")
    assert judge(chain(other), chain(top), NOW).verdict is Verdict.UNKNOWN_ISSUER


def test_a_signature_of_other_than_whole_octets_does_not_hold() -> None:
    made = trio()
    octets = made.leaf.certificate.der
    broken = octets.replace(
        der.bit_string(made.leaf.certificate.signature), der.bit_string(made.leaf.certificate.signature, 1)
    )
    assert broken != octets
    assert rules(judge([Certificate.read(broken), *made.path[1:]], made.roots, NOW)) == [(0, "signature")]


def test_every_finding_is_told_and_the_first_of_the_gravest_decides() -> None:
    made = trio(ca={"end": NOW - SECOND, "usage": CRL_SIGN}, leaf={"end": NOW - SECOND, "serial": 0})
    judgement = judge(made.path, made.roots, NOW, evidence=Evidence(revoked={(made.leaf.certificate.issuer_der, 0)}))
    found = [(each.place, each.rule) for each in judgement.findings]
    assert found == [(1, "expired"), (1, "key_cert_sign"), (0, "expired"), (0, "revoked"), (0, "serial_number")]
    assert judgement.deciding is not None
    assert (judgement.deciding.rule, judgement.deciding.clause) == ("key_cert_sign", "RFC 5280 6.1.4 (n)")
    assert judgement.failing == made.ca.certificate
    assert judgement.text.startswith("CN=ca: ")
    assert len(judgement.others) == 4


def test_a_chain_without_an_anchor_is_told_its_other_faults_too() -> None:
    made = trio(ca={"end": NOW - SECOND}, leaf={"usage": 0x0400})
    judgement = judge(made.path, chain(make("other root")), NOW)
    assert (judgement.verdict, judgement.anchored) == (Verdict.UNKNOWN_ISSUER, False)
    assert rules(judgement) == [(1, "anchor"), (1, "expired"), (0, "basic_constraints")]


def test_a_leaf_with_any_octet_changed_is_refused() -> None:
    made = trio(leaf={"extensions": {oids.SUBJECT_ALTERNATIVE_NAME: alternative(dns("a.test"))}})
    octets = made.leaf.certificate.der
    for place in range(len(octets)):
        for bit in (0x01, 0x20, 0x80):
            changed = bytearray(octets)
            changed[place] ^= bit
            try:
                leaf = Certificate.read(bytes(changed))
            except Malformed:
                continue
            assert judge([leaf, *made.path[1:]], made.roots, NOW).verdict is not Verdict.OK, (place, bit)


def test_the_precedence_names_every_verdict_once() -> None:
    assert sorted(PRECEDENCE) == sorted(Verdict)


def test_what_cannot_be_read_is_a_finding_not_an_accident() -> None:
    for oid in (oids.BASIC_CONSTRAINTS, oids.KEY_USAGE, oids.CERTIFICATE_POLICIES, oids.NAME_CONSTRAINTS):
        for value in (b"", b"\x30", b"\x30\x05\x01", b"\x04\x00", b"\x30\x03\x02\x01\x00"):
            made = trio(ca={"extensions": {oid: (True, value)}})
            assert judged(made).verdict is Verdict.CHAIN_ERROR, (oid, value)
