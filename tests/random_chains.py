"""Chains made at random from a seed, most of them with a defect or two, for several judges to judge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

from pathing import (
    KINDS,
    NOW,
    PKCS1_SHA256,
    Made,
    alternative,
    directory,
    dns,
    email,
    ip,
    make,
    mappings,
    policies,
    policy_constraints,
    subtrees,
    uri,
)
from voltroot.pki import der, oids
from voltroot.pki.certificates import Certificate
from voltroot.pki.oids import ANY_POLICY

DAY = timedelta(days=1)
ONE, TWO, UNKNOWN = "1.3.6.1.4.1.99999.1.1", "1.3.6.1.4.1.99999.1.2", "1.3.6.1.4.1.99999.9"
USUAL_KINDS = ("P-256", "P-256", "P-384", "P-521", "Ed25519", "Ed448", "RSA", "RSA-PSS")
SHA1 = der.sequence(der.oid("1.2.840.113549.1.1.5"), der.NULL_VALUE)


@dataclass
class Plan:
    """What is to be made: the parts of each certificate, the root first, and what is done to the leaf afterwards."""

    number: int
    random: Random
    parts: list[dict[str, Any]]
    defects: list[str] = field(default_factory=list)
    trusted: str = "root"
    spoil: bool = False

    @property
    def leaf(self) -> dict[str, Any]:
        return self.parts[-1]

    @property
    def ca(self) -> dict[str, Any]:
        """One of the CAs below the root."""
        return self.random.choice(self.parts[1:-1])

    @property
    def below(self) -> dict[str, Any]:
        """One of those below the root."""
        return self.random.choice(self.parts[1:])


Defect = Callable[[Plan], None]
DEFECTS: dict[str, Defect] = {}


def defect(make_it: Defect) -> Defect:
    DEFECTS[make_it.__name__] = make_it
    return make_it


@dataclass(frozen=True)
class Sample:
    """A chain, leaf first and without its root, the root that is trusted, and what was done to it."""

    number: int
    path: tuple[Certificate, ...]
    root: Certificate
    defects: tuple[str, ...]


def samples(count: int, seed: int) -> list[Sample]:
    random = Random(seed)
    return [_sample(number, random) for number in range(count)]


def _sample(number: int, random: Random) -> Sample:
    kind = random.choice(USUAL_KINDS)
    depth = random.randint(3, 5)
    parts: list[dict[str, Any]] = [{"kind": kind, "extensions": {}} for _ in range(depth)]
    if random.random() < 0.2:
        for each in parts:
            each["kind"] = random.choice(USUAL_KINDS)
    for place, each in enumerate(parts[:-1]):
        if random.random() < 0.5:
            each["length"] = depth - 2 - place + random.randint(0, 1)
    plan = Plan(number, random, parts)
    for _ in range(random.choice((0, 1, 1, 1, 2))):
        name = random.choice([*DEFECTS])
        if name not in plan.defects:
            plan.defects.append(name)
            DEFECTS[name](plan)
    return _made(plan)


def _made(plan: Plan) -> Sample:
    made: list[Made] = []
    for place, parts in enumerate(plan.parts):
        last = place == len(plan.parts) - 1
        label = "leaf" if last else f"ca {place}" if place else "root"
        subject = parts.pop("subject", f"CN={label} {plan.number},O=Random")
        usual = {"key": f"{label} {plan.number % 7} {parts['kind']}", "ca": not last}
        made.append(make(subject, made[-1] if made else None, **usual | parts))
    path = [each.certificate for each in reversed(made[1:])]
    if plan.spoil:
        place = plan.random.randrange(len(path))
        octets = bytearray(path[place].der)
        octets[-1] ^= 1
        path[place] = Certificate.read(bytes(octets))
    root = made[0]
    if plan.trusted != "root":
        root = make(f"CN=root {plan.number},O=Random", key=f"twin {plan.number % 7}")
    return Sample(plan.number, tuple(path), root.certificate, tuple(plan.defects))


def _extend(parts: dict[str, Any], oid: str, value: tuple[bool, bytes] | None) -> None:
    parts["extensions"] = {**parts["extensions"], oid: value}


# What may be done


@defect
def expired(plan: Plan) -> None:
    plan.below.update(begin=NOW - 9 * DAY, end=NOW - DAY)


@defect
def not_yet_valid(plan: Plan) -> None:
    plan.below.update(begin=NOW + DAY, end=NOW + 9 * DAY)


@defect
def expired_root(plan: Plan) -> None:
    plan.parts[0].update(begin=NOW - 9 * DAY, end=NOW - DAY)


@defect
def broken_signature(plan: Plan) -> None:
    plan.spoil = True


@defect
def twin_root(plan: Plan) -> None:
    plan.trusted = "twin"


@defect
def wrong_issuer_name(plan: Plan) -> None:
    plan.below.update(issuer_name="CN=somebody else")


@defect
def issuer_name_in_another_spelling(plan: Plan) -> None:
    place = plan.random.randrange(1, len(plan.parts))
    above = "root" if place == 1 else f"ca {place - 1}"
    plan.parts[place].update(issuer_name=f"CN={above.upper()}  {plan.number},O=random")


@defect
def issuer_is_no_ca(plan: Plan) -> None:
    plan.ca.update(ca=False, usage=0x8000)


@defect
def issuer_without_basic_constraints(plan: Plan) -> None:
    _extend(plan.ca, oids.BASIC_CONSTRAINTS, None)


@defect
def issuer_of_version_1(plan: Plan) -> None:
    parts = plan.ca
    parts.update(version=1)
    parts["extensions"] = dict.fromkeys(
        (oids.BASIC_CONSTRAINTS, oids.KEY_USAGE, oids.SUBJECT_KEY_IDENTIFIER, oids.AUTHORITY_KEY_IDENTIFIER)
    )


@defect
def issuer_without_key_cert_sign(plan: Plan) -> None:
    plan.ca.update(usage=0x0200)


@defect
def path_length_exceeded(plan: Plan) -> None:
    plan.parts[0 if len(plan.parts) == 3 else 1].update(length=0)


@defect
def unknown_critical_extension(plan: Plan) -> None:
    _extend(plan.below, UNKNOWN, (True, b"\x05\x00"))


@defect
def unknown_extension(plan: Plan) -> None:
    _extend(plan.below, UNKNOWN, (False, b"\x05\x00"))


@defect
def critical_subject_key_identifier(plan: Plan) -> None:
    _extend(plan.leaf, oids.SUBJECT_KEY_IDENTIFIER, (True, der.octet_string(b"12345678")))


@defect
def critical_authority_information_access(plan: Plan) -> None:
    access = der.sequence(der.sequence(der.oid(oids.OCSP), der.implicit(6, b"http://ocsp.test")))
    _extend(plan.below, oids.AUTHORITY_INFO_ACCESS, (True, access))


@defect
def critical_distribution_points(plan: Plan) -> None:
    point = der.sequence(der.explicit(0, der.explicit(0, uri("http://crl.test"))))
    _extend(plan.below, oids.CRL_DISTRIBUTION_POINTS, (True, der.sequence(point)))


@defect
def extension_twice(plan: Plan) -> None:
    plan.below.update(twice=oids.KEY_USAGE)


@defect
def signature_algorithms_differ(plan: Plan) -> None:
    plan.below.update(inner=PKCS1_SHA256 if plan.parts[0]["kind"] != "RSA" else KINDS["P-256"].algorithm)


@defect
def serial_zero(plan: Plan) -> None:
    plan.leaf.update(serial=0)


@defect
def serial_negative(plan: Plan) -> None:
    plan.leaf.update(serial=-7)


@defect
def serial_of_21_octets(plan: Plan) -> None:
    plan.leaf.update(serial=1 << 161)


@defect
def no_authority_key_identifier(plan: Plan) -> None:
    _extend(plan.below, oids.AUTHORITY_KEY_IDENTIFIER, None)


@defect
def other_authority_key_identifier(plan: Plan) -> None:
    _extend(plan.below, oids.AUTHORITY_KEY_IDENTIFIER, (False, der.sequence(der.implicit(0, b"no such key"))))


@defect
def ca_without_subject_key_identifier(plan: Plan) -> None:
    _extend(plan.ca, oids.SUBJECT_KEY_IDENTIFIER, None)


@defect
def ca_without_key_usage(plan: Plan) -> None:
    _extend(plan.ca, oids.KEY_USAGE, None)


@defect
def constraints_not_critical(plan: Plan) -> None:
    _extend(plan.ca, oids.BASIC_CONSTRAINTS, (False, der.sequence(der.TRUE)))


@defect
def key_usage_not_critical(plan: Plan) -> None:
    _extend(plan.leaf, oids.KEY_USAGE, (False, der.named_bits(0x8000)))


@defect
def leaf_that_may_sign_certificates(plan: Plan) -> None:
    plan.leaf.update(usage=0x8400)


@defect
def leaf_with_a_path_length(plan: Plan) -> None:
    plan.leaf.update(length=0)


@defect
def leaf_without_a_name(plan: Plan) -> None:
    plan.leaf.update(subject="")


@defect
def alternative_name_in_place_of_a_name(plan: Plan) -> None:
    plan.leaf.update(subject="")
    _extend(plan.leaf, oids.SUBJECT_ALTERNATIVE_NAME, (True, alternative(dns("leaf.test"))[1]))


@defect
def empty_alternative_name(plan: Plan) -> None:
    _extend(plan.leaf, oids.SUBJECT_ALTERNATIVE_NAME, alternative())


@defect
def basic_constraints_beside_der(plan: Plan) -> None:
    _extend(plan.leaf, oids.BASIC_CONSTRAINTS, (True, bytes.fromhex("3003010100")))


@defect
def path_length_below_zero(plan: Plan) -> None:
    _extend(plan.parts[-2], oids.BASIC_CONSTRAINTS, (True, der.sequence(der.TRUE, der.integer(-1))))


@defect
def constraints_in_another_order(plan: Plan) -> None:
    _extend(plan.ca, oids.BASIC_CONSTRAINTS, (True, der.sequence(der.integer(9), der.TRUE)))


@defect
def key_cert_sign_among_unused_bits(plan: Plan) -> None:
    _extend(plan.ca, oids.KEY_USAGE, (True, bytes.fromhex("03020706")))


@defect
def key_usage_of_no_bits(plan: Plan) -> None:
    _extend(plan.leaf, oids.KEY_USAGE, (True, bytes.fromhex("04020780")))


@defect
def purposes_that_are_none(plan: Plan) -> None:
    _extend(plan.leaf, oids.EXTENDED_KEY_USAGE, (False, der.sequence()))


@defect
def address_of_five_octets(plan: Plan) -> None:
    _extend(plan.leaf, oids.SUBJECT_ALTERNATIVE_NAME, alternative(ip(bytes(5))))


@defect
def unique_identifiers(plan: Plan) -> None:
    plan.below.update(extra=der.implicit(1, b"\0one") + der.implicit(2, b"\0two"))


@defect
def name_in_its_invisible_letters(plan: Plan) -> None:
    plan.leaf.update(subject="CN=leaf,O=Ran\u00addom")
    _extend(plan.parts[1], oids.NAME_CONSTRAINTS, subtrees([], [directory("O=Random,CN=leaf"), directory("O=Random")]))


@defect
def rsa_of_1024_bits(plan: Plan) -> None:
    plan.parts[-2].update(kind="RSA-1024")


@defect
def curve_p224(plan: Plan) -> None:
    plan.parts[-2].update(kind="P-224")


@defect
def self_issued_ca(plan: Plan) -> None:
    place = plan.random.randrange(1, len(plan.parts) - 1)
    above = plan.parts[place - 1].get(
        "subject", f"CN={'root' if place == 1 else f'ca {place - 1}'} {plan.number},O=Random"
    )
    plan.parts[place].update(subject=above)


NAMES = {
    "dns": (dns("a.good.test"), dns("good.test"), dns("bad.test")),
    "email": (email("x@good.test"), email("good.test"), email("bad.test")),
    "uri": (uri("https://good.test/"), uri("good.test"), uri("bad.test")),
    "ip": (ip(bytes((10, 0, 0, 1))), ip(bytes((10, 0, 0, 0, 255, 0, 0, 0))), ip(bytes((11, 0, 0, 0, 255, 0, 0, 0)))),
}


def _constrained(
    plan: Plan, *, permitted: int | None = None, excluded: int | None = None, critical: bool = True
) -> None:
    own = NAMES[plan.random.choice([*NAMES])]
    _extend(plan.leaf, oids.SUBJECT_ALTERNATIVE_NAME, alternative(own[0]))
    bases = subtrees([own[permitted]] if permitted else [], [own[excluded]] if excluded else [])
    _extend(plan.ca, oids.NAME_CONSTRAINTS, (critical, bases[1]))


@defect
def name_permitted(plan: Plan) -> None:
    _constrained(plan, permitted=1)


@defect
def name_not_permitted(plan: Plan) -> None:
    _constrained(plan, permitted=2)


@defect
def name_excluded(plan: Plan) -> None:
    _constrained(plan, excluded=1)


@defect
def other_name_excluded(plan: Plan) -> None:
    _constrained(plan, excluded=2)


@defect
def name_constraints_not_critical(plan: Plan) -> None:
    _constrained(plan, permitted=1, critical=False)


@defect
def leading_period_in_a_dns_constraint(plan: Plan) -> None:
    _extend(plan.leaf, oids.SUBJECT_ALTERNATIVE_NAME, alternative(dns("a.good.test")))
    _extend(plan.ca, oids.NAME_CONSTRAINTS, subtrees([dns(".good.test")]))


@defect
def directory_name_permitted(plan: Plan) -> None:
    _extend(plan.parts[0], oids.NAME_CONSTRAINTS, None)
    _extend(plan.parts[1], oids.NAME_CONSTRAINTS, subtrees([directory("O=Random")]))


@defect
def directory_name_not_permitted(plan: Plan) -> None:
    _extend(plan.parts[1], oids.NAME_CONSTRAINTS, subtrees([directory("O=Somebody")]))


@defect
def name_constraints_of_a_leaf(plan: Plan) -> None:
    _extend(plan.leaf, oids.NAME_CONSTRAINTS, subtrees([dns("good.test")]))


def _policies(plan: Plan, *levels: str) -> None:
    for place, parts in enumerate(plan.parts[1:]):
        _extend(parts, oids.CERTIFICATE_POLICIES, policies(levels[min(place, len(levels) - 1)]))


@defect
def same_policy(plan: Plan) -> None:
    _policies(plan, ONE)


@defect
def policy_demanded_and_there(plan: Plan) -> None:
    _policies(plan, ONE)
    _extend(plan.parts[1], oids.POLICY_CONSTRAINTS, policy_constraints(explicit=0))


@defect
def policy_demanded_and_another_there(plan: Plan) -> None:
    _policies(plan, ONE, TWO)
    _extend(plan.parts[1], oids.POLICY_CONSTRAINTS, policy_constraints(explicit=0))


@defect
def policy_mapped(plan: Plan) -> None:
    _policies(plan, ONE, TWO)
    _extend(plan.parts[1], oids.POLICY_CONSTRAINTS, policy_constraints(explicit=0))
    _extend(plan.parts[1], oids.POLICY_MAPPINGS, mappings((ONE, TWO)))


@defect
def any_policy_mapped(plan: Plan) -> None:
    _policies(plan, ANY_POLICY)
    _extend(plan.parts[1], oids.POLICY_MAPPINGS, mappings((ANY_POLICY, TWO)))


@defect
def any_policy_inhibited(plan: Plan) -> None:
    _policies(plan, ONE, ANY_POLICY)
    _extend(plan.parts[1], oids.INHIBIT_ANY_POLICY, (True, der.integer(0)))
    _extend(plan.parts[1], oids.POLICY_CONSTRAINTS, policy_constraints(explicit=0))


@defect
def policy_twice(plan: Plan) -> None:
    _extend(plan.leaf, oids.CERTIFICATE_POLICIES, policies(ONE, ONE))
