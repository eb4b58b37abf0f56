"""The standard's own rules on paths: ISO 15118-2:2014 Annex F and ISO 15118-20 Annex B, as rows.

What RFC 5280 says is not said again: [V2G2-885] and [V2G20] have paths validated as it wants.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from typing import NamedTuple

from voltroot.pki import der, lints, names, oids
from voltroot.pki.judging.findings import Finding, Rule, Verdict
from voltroot.pki.judging.inputs import Inputs, Purpose
from voltroot.pki.judging.walk import Walk
from voltroot.pki.lints import Level
from voltroot.pki.profiles import SIGN, Edition, profiles
from voltroot.pki.recognise import recognise
from voltroot.pki.suites import ED448, P256_SHA256, P521_SHA512

DEEPEST = 3  # certificates below the root [V2G2-009]
WEEK = timedelta(days=7)  # [V2G2-649], [V2G20-1021]


class Use(NamedTuple):
    """What a purpose means: the profile of the leaf in each edition, its DC, and whose roots stand above it.

    A DC of -2 is exact, one of -20 ends with one of the words; of contract and OEM certificates of -2, and contract
    certificates of -20, it may be absent. A root that names no role is one of an operator's own [V2G2-868].
    """

    profiles: dict[Edition, str]
    dc: dict[Edition, tuple[str, ...]]
    roots: tuple[str, ...]
    dc_optional: tuple[Edition, ...] = ()
    key_purpose: str | None = None


_2, _20 = Edition.ISO15118_2, Edition.ISO15118_20
USES = {
    Purpose.SECC: Use(
        {_2: "SECC_2", _20: "SECC_20"},
        {_2: ("CPO",), _20: ("CSO", "CPO")},
        ("V2G", "CPO", "CSO"),
        key_purpose=oids.SERVER_AUTH,
    ),
    Purpose.CONTRACT: Use(
        {_2: "CONTRACT_2", _20: "CONTRACT_20"},
        {_2: ("MO",), _20: ("MO", "MSP")},
        ("MO", "MSP", "V2G"),
        dc_optional=(_2, _20),
    ),
    Purpose.PROVISIONING: Use(
        {_2: "OEM_PROV_2", _20: "OEM_PROV_20"},
        {_2: ("OEM",), _20: ("OEM", "OEM20")},
        ("OEM", "V2G"),
        dc_optional=(_2,),
    ),
    Purpose.VEHICLE: Use({_20: "VEHICLE_20"}, {_20: ("EV",)}, ("OEM", "V2G", "EV"), key_purpose=oids.CLIENT_AUTH),
    Purpose.CPS: Use({_2: "CPS_2", _20: "CPS_20"}, {_2: ("CPS",), _20: ("CPS",)}, ("V2G", "CPS")),
}
_ROLES = tuple({word for use in USES.values() for word in use.roots})
_FOR_TLS = {oids.SERVER_AUTH, oids.CLIENT_AUTH}
_EC = der.oid("1.2.840.10045.2.1")
SUITES = {  # by the AlgorithmIdentifier of a key (RFC 5480 2.1, RFC 8410 3)
    der.sequence(_EC, der.oid("1.2.840.10045.3.1.7")): P256_SHA256,
    der.sequence(_EC, der.oid("1.3.132.0.35")): P521_SHA512,
    der.sequence(der.oid("1.3.101.113")): ED448,
}
_EDITIONS = {P256_SHA256.name: _2, P521_SHA512.name: _20, ED448.name: _20}

ALGORITHMS = {suite.name: suite.algorithm for suite in SUITES.values()}


@lru_cache(maxsize=64)
def inputs_for(inputs: Inputs) -> Inputs:
    """Return the inputs with what a purpose adds to them."""
    if inputs.purpose is None:
        return inputs
    use, age = USES[inputs.purpose], inputs.oldest_answer
    return replace(
        inputs,
        key_purpose=inputs.key_purpose or use.key_purpose,
        oldest_answer=WEEK if age is None else min(age, WEEK),
    )


class Case:
    """A walk for a purpose: what the leaf has to be, by the edition that its key belongs to."""

    def __init__(self, walk: Walk, purpose: Purpose) -> None:
        self.walk = walk
        self.purpose = purpose
        self.use = USES[purpose]
        suite = SUITES.get(walk.path[0].key_algorithm)
        self.edition = _EDITIONS[suite.name] if suite else None
        name = self.use.profiles.get(self.edition) if self.edition else None
        self.profile = _table()[name] if name else None


def conformance(case: Case) -> Iterator[Finding]:
    """Yield what is found on the certificate in turn by the lints of its profile, in the edition that it comes nearest.

    [V2G2-884]; of ISO 15118-20 there are that of 2022 and its amendment 1.
    """
    own, walk = case.walk.certificate, case.walk
    tables = _table(), _table(iso15118_20_2022=True)
    rows = (recognise(own, table) if walk.certifies else case.profile and table[case.profile.name] for table in tables)
    found = min(([*lints.lint(own, row, walk.issuer)] for row in rows if row), key=_errors, default=[])
    for each in found:
        verdict = Verdict.CHAIN_ERROR if each.level is Level.ERROR else Verdict.OK
        yield Finding(walk.place, each.lint, each.clause, verdict, each.text)


def _errors(found: list[lints.Finding]) -> int:
    return sum(each.level is Level.ERROR for each in found)


_table = lru_cache(profiles)


def _suite(case: Case) -> str | None:
    own = SUITES.get(case.walk.certificate.key_algorithm)
    if own is None:
        return "its key is of no kind that ISO 15118 knows"
    if SUITES.get(case.walk.issuer.key_algorithm) is not own:
        return f"its key is of {own.name}, its issuer's is of another kind: one chain has one suite"
    if case.walk.certificate.outer_signature != ALGORITHMS[own.name]:
        return f"its signature algorithm is not the one of {own.name}"
    if case.profile is None and not case.walk.certifies:
        return f"{case.edition} has no certificates for {case.purpose}"
    return None


def _size(case: Case) -> str | None:
    size, largest = len(case.walk.certificate.der), case.profile.largest if case.profile else None
    return f"it has {size} octets, {largest} are allowed" if largest and size > largest else None


def _depth(case: Case) -> str | None:
    below = len(case.walk.path) - 1
    return f"{below} certificates stand below the root, {DEEPEST} are allowed" if below > DEEPEST else None


def _leaf(case: Case) -> str | None:
    own = case.walk.certificate
    if own.is_ca:
        return f"it is the certificate of a CA, shown for {case.purpose}"
    usage = own.key_usage
    return None if usage is None or usage & SIGN.value else "its key is not for signing"


def _role(case: Case) -> str | None:
    wanted = case.use.dc.get(case.edition, ()) if case.edition else ()
    found = names.values(case.walk.certificate.subject_der, "DC")
    if not wanted:
        return None
    if not found and case.edition in case.use.dc_optional:
        return _role_without_dc(case)
    right = found == wanted if case.edition is _2 else any(dc.endswith(wanted) for dc in found)
    return None if right else f"its DC is {' and '.join(found) or 'absent'}, the role's is {' or '.join(wanted)}"


def _role_without_dc(case: Case) -> str | None:
    seems = recognise(case.walk.certificate, _table())
    right = seems is None or seems.name in case.use.profiles.values()
    return None if right or seems is None else f"its DC is absent, and it seems to be of {seems.name}"


def _root(case: Case) -> str | None:
    if not case.walk.certifies:
        return f"a root itself is shown for {case.purpose}"
    wanted, found = case.use.roots, case.walk.certificate.subject.all("DC")
    claimed = [dc for dc in found if dc.endswith(_ROLES)]
    if not claimed or any(dc.endswith(wanted) for dc in claimed):
        return None
    return f"the root is one of {' and '.join(claimed)}, not of {' or '.join(wanted)}"


def _purposes(case: Case) -> str | None:
    found = {*case.walk.certificate.extended_key_usage}
    if case.profile is not None and not found.issuperset(case.profile.purposes):
        return f"extKeyUsage does not name {oids.PURPOSE_NAMES[case.profile.purposes[0]]}"
    if case.use.key_purpose is None and found & _FOR_TLS:
        return "its key is for TLS, which is not what the certificate is for"
    return None


OF_CAS: tuple[Rule[Case], ...] = (
    Rule("suite", "V2G2-006, V2G2-007, V2G20-2674, V2G20-2319", "its key and signature are of the edition", _suite),
    Rule("size", "V2G2-010", "it is not too large", _size),
)
OF_LEAVES: tuple[Rule[Case], ...] = (
    *OF_CAS,
    Rule("leaf", "V2G2-884", "it is no CA's, and its key signs", _leaf),
    Rule("depth", "V2G2-009", "at most three certificates stand below the root", _depth),
    Rule("role", "V2G2-925, V2G20-3406", "it is of the right role", _role),
    Rule("purposes", "ISO 15118-20 Annex B", "its purposes are those of the profile", _purposes),
)
OF_ANCHORS: tuple[Rule[Case], ...] = (Rule("root_role", "V2G2-925", "it is a root of the right role", _root),)
