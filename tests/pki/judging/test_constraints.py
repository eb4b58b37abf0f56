"""Name constraints: each form of name, as RFC 5280 4.2.1.10 has it."""

from __future__ import annotations

from typing import Any

import pytest

from pathing import NOW, alternative, chain, directory, dns, email, ip, make, subtrees, trio, uri
from voltroot.pki import der, oids
from voltroot.pki.chains import Inputs, Judgement, Verdict, judge
from voltroot.pki.extensions import DIRECTORY, DNS, GeneralName

OTHER_NAME = der.explicit(0, der.oid("1.3.6.1.4.1.99999.2"), der.explicit(0, der.NULL_VALUE))


def judged(names: list[bytes], permitted: list[bytes] = [], excluded: list[bytes] = [], **leaf: Any) -> Judgement:  # noqa: B006
    constraints = subtrees(permitted, excluded) if permitted or excluded else None
    san = {oids.SUBJECT_ALTERNATIVE_NAME: alternative(*names)} if names else {}
    made = trio(
        ca={"extensions": {oids.NAME_CONSTRAINTS: constraints}},
        leaf={**leaf, "extensions": san | leaf.get("extensions", {})},
    )
    judgement = judge(made.path, made.roots, NOW)
    assert {each.rule for each in judgement.findings} <= {"name_constraints", "extensions"}, judgement.text
    return judgement


NET4, NET6 = bytes((10, 1, 0, 0, 255, 255, 0, 0)), bytes.fromhex("20010db8") + bytes(12) + b"\xff" * 4 + bytes(12)

PERMITTED: list[tuple[bytes, bytes, bool]] = [
    (dns("example.com"), dns("example.com"), True),
    (dns("a.b.example.com"), dns("example.com"), True),
    (dns("A.Example.COM"), dns("exaMple.com"), True),
    (dns("notexample.com"), dns("example.com"), False),
    (dns("com"), dns("example.com"), False),
    (dns("anything.at.all"), dns(""), True),
    (dns("*.example.com"), dns("example.com"), True),
    (dns("*.example.com"), dns("a.example.com"), False),
    (dns("under_score.example.com"), dns("example.com"), True),
    (dns("trailing.example.com."), dns("example.com"), False),
    (dns("sp ace.example.com"), dns("example.com"), False),
    (dns("b\xfccher.example.com"), dns("example.com"), False),
    (email("a@example.com"), email("example.com"), True),
    (email("a@Example.com"), email("example.com"), True),
    (email("a@sub.example.com"), email("example.com"), False),
    (email("a@sub.example.com"), email(".example.com"), True),
    (email("a@example.com"), email(".example.com"), False),
    (email("a@example.com"), email("a@example.com"), True),
    (email("A@example.com"), email("a@example.com"), False),
    (email("b@example.com"), email("a@example.com"), False),
    (email("no-at-sign"), email("example.com"), False),
    (email("a@evil.test@example.com"), email("example.com"), False),
    (email('"a@evil.test"@example.com'), email("example.com"), True),
    (uri("https://example.com/path"), uri("example.com"), True),
    (uri("https://user@EXAMPLE.com:8443?x#y"), uri("example.com"), True),
    (uri("https://sub.example.com/"), uri("example.com"), False),
    (uri("https://sub.example.com/"), uri(".example.com"), True),
    (uri("https://example.com/"), uri(".example.com"), False),
    (uri("https://10.1.2.3/"), uri("example.com"), False),
    (uri("https://[2001:db8::1]/"), uri("example.com"), False),
    (uri("urn:isbn:1"), uri("example.com"), False),
    (uri("https://evil.test/@example.com"), uri("example.com"), False),
    (ip(bytes((10, 1, 2, 3))), ip(NET4), True),
    (ip(bytes((10, 2, 2, 3))), ip(NET4), False),
    (ip(bytes.fromhex("20010db8") + bytes(11) + b"\x01"), ip(NET6), True),
    (ip(bytes.fromhex("20010db9") + bytes(11) + b"\x01"), ip(NET6), False),
    (ip(bytes(16)), ip(NET4), False),
    (ip(bytes(5)), ip(NET4), False),
    (directory("C=DE,O=x,CN=y"), directory("C=DE,O=x,CN=y"), True),
    (OTHER_NAME, OTHER_NAME, False),
]


@pytest.mark.parametrize(("name", "base", "within"), PERMITTED)
def test_a_name_lies_within_what_is_permitted_or_not(name: bytes, base: bytes, within: bool) -> None:
    permitted = [base] if base[0] != 0xA4 else [base, directory("CN=leaf")]
    assert (judged([name], permitted).verdict is Verdict.OK) is within


EXCLUDED = [row for row in PERMITTED if row[0][0] != 0xA0]


@pytest.mark.parametrize(("name", "base", "within"), EXCLUDED)
def test_what_is_excluded_is_refused_and_so_is_what_cannot_be_compared(name: bytes, base: bytes, within: bool) -> None:
    verdict = judged([name], [], [base]).verdict
    if within:
        assert verdict is Verdict.CHAIN_ERROR
    else:
        comparable = not any(
            odd in name for odd in (b"com.", b"sp ace", b"\xc3", b"no-at", b"a@evil.test@", b"10.1", b"[", b"urn")
        )
        unread = name == ip(bytes(5))
        wild = name == dns("*.example.com")  # which may stand for the excluded name
        assert (verdict is Verdict.OK) is (comparable and not unread and not wild)


def test_directory_names_are_compared_from_the_top_and_without_regard_to_spelling() -> None:
    def of(subject: str, permitted: str) -> Verdict:
        top = make("root")
        middle = top.issue("ca", ca=True, extensions={oids.NAME_CONSTRAINTS: subtrees([directory(permitted)])})
        return judge(chain(middle.issue(subject), middle), chain(top), NOW).verdict

    assert of("CN=x,OU=U,O=O,C=DE", "O=O,C=DE") is Verdict.OK
    assert of("CN=x,OU=U,O=o  ,C=de", "O=O,C=DE") is Verdict.OK
    assert of("CN=x,OU=U,O=o\u00ad\u200b,C=de", "O=O,C=DE") is Verdict.OK
    assert of("CN=x,C=DE,O=O", "O=O,C=DE") is Verdict.CHAIN_ERROR
    assert of("CN=x,O=P,C=DE", "O=O,C=DE") is Verdict.CHAIN_ERROR
    assert of("O=O,C=DE", "CN=x,O=O,C=DE") is Verdict.CHAIN_ERROR
    assert of("CN=anything", "") is Verdict.OK


def test_constraints_say_nothing_of_other_forms_of_name() -> None:
    assert judged([uri("https://a.test/"), ip(bytes(4))], [dns("example.com")]).verdict is Verdict.OK
    assert judged([dns("a.test")], [], [email("a.test")]).verdict is Verdict.OK


def test_excluded_goes_before_permitted() -> None:
    assert judged([dns("a.example.com")], [dns("example.com")], [dns("a.example.com")]).verdict is Verdict.CHAIN_ERROR


def test_every_name_has_to_be_permitted_but_by_any_of_the_bases() -> None:
    bases = [dns("one.test"), dns("two.test")]
    assert judged([dns("x.one.test"), dns("two.test")], bases).verdict is Verdict.OK
    assert judged([dns("x.one.test"), dns("three.test")], bases).verdict is Verdict.CHAIN_ERROR


def test_each_ca_narrows_what_those_above_permit() -> None:
    def constrained(*permitted: bytes) -> dict[str, Any]:
        return {oids.NAME_CONSTRAINTS: subtrees(permitted)}

    top = make("root")
    one = top.issue("one", ca=True, extensions=constrained(dns("example.com")))
    two = one.issue("two", ca=True, extensions=constrained(dns("a.example.com"), dns("b.test")))
    for name, verdict in (
        ("x.a.example.com", Verdict.OK),
        ("example.com", Verdict.CHAIN_ERROR),
        ("b.test", Verdict.CHAIN_ERROR),
    ):
        leaf = two.issue("leaf", extensions={oids.SUBJECT_ALTERNATIVE_NAME: alternative(dns(name))})
        assert judge(chain(leaf, two, one), chain(top), NOW).verdict is verdict, name


def test_an_email_address_in_the_subject_counts_where_there_is_no_alternative_name() -> None:
    top = make("root")
    middle = top.issue("ca", ca=True, extensions={oids.NAME_CONSTRAINTS: subtrees([email("good.test")])})
    for address, names, verdict in (
        ("a@good.test", None, Verdict.OK),
        ("a@bad.test", None, Verdict.CHAIN_ERROR),
        ("a@bad.test", alternative(dns("x.test")), Verdict.OK),
    ):
        leaf = middle.issue(f"CN=x,emailAddress={address}", extensions={oids.SUBJECT_ALTERNATIVE_NAME: names})
        assert judge(chain(leaf, middle), chain(top), NOW).verdict is verdict


def test_self_issued_cas_are_free_of_constraints_and_self_issued_leaves_are_not() -> None:
    top = make("root")
    middle = top.issue("ca", ca=True, extensions={oids.NAME_CONSTRAINTS: subtrees([directory("CN=leaf")])})
    again = middle.issue("ca", ca=True, key="again")
    assert judge(chain(again.issue("leaf"), again, middle), chain(top), NOW).verdict is Verdict.OK
    assert judge(chain(again, middle), chain(top), NOW).verdict is Verdict.CHAIN_ERROR


MALFORMED = {
    "a leading period": subtrees([dns(".example.com")]),
    "a wildcard": subtrees([dns("*.example.com")]),
    "a mask with holes": subtrees([ip(bytes((10, 0, 0, 0, 255, 0, 255, 0)))]),
    "an address without a mask": subtrees([ip(bytes((10, 0, 0, 0)))]),
    "a minimum": (True, der.sequence(der.explicit(0, der.sequence(dns("a.test"), der.implicit(0, b"\x01"))))),
    "a maximum": (True, der.sequence(der.explicit(0, der.sequence(dns("a.test"), der.implicit(1, b"\x05"))))),
    "a DNS name in another encoding": subtrees([der.explicit(2, b"a.test")]),
    "a subtree that is none": (True, der.sequence(der.explicit(0, der.tlv(der.SET, dns("a.test"))))),
    "no base": (True, der.sequence(der.explicit(0))),
}


@pytest.mark.parametrize("constraints", MALFORMED.values(), ids=MALFORMED)
def test_constraints_that_cannot_be_applied_refuse_the_ca(constraints: tuple[bool, bytes]) -> None:
    made = trio(ca={"extensions": {oids.NAME_CONSTRAINTS: constraints}})
    judgement = judge(made.path, made.roots, NOW)
    assert [(each.place, each.rule) for each in judgement.findings] == [(1, "constraints")]


def test_constraints_that_are_not_critical_bind_all_the_same() -> None:
    value = subtrees([dns("good.test")])[1]
    names = {oids.SUBJECT_ALTERNATIVE_NAME: alternative(dns("bad.test"))}
    made = trio(ca={"extensions": {oids.NAME_CONSTRAINTS: (False, value)}}, leaf={"extensions": names})
    assert judge(made.path, made.roots, NOW).verdict is Verdict.CHAIN_ERROR


def test_initial_subtrees_bind_the_whole_path() -> None:
    made = trio(leaf={"extensions": {oids.SUBJECT_ALTERNATIVE_NAME: alternative(dns("a.test"))}})
    inputs = Inputs(permitted=(GeneralName(DNS, b"b.test"),))
    assert judge(made.path, made.roots, NOW, inputs=inputs).verdict is Verdict.CHAIN_ERROR
    excluded = Inputs(excluded=(GeneralName(DIRECTORY, made.ca.certificate.subject_der),))
    judgement = judge(made.path, made.roots, NOW, inputs=excluded)
    assert [each.place for each in judgement.findings] == [1]


def test_many_names_and_many_constraints_end_soon() -> None:
    bases = [dns(f"b{number}.test") for number in range(1500)]
    names = [dns(f"n{number}.example") for number in range(1500)]
    judgement = judged(names, [], bases)
    assert "comparisons" in judgement.text
