"""The standard's own rules on paths: ISO 15118-2:2014 Annex F and ISO 15118-20 Annex B, as rows.

What RFC 5280 says is not said again: [V2G2-885] and [V2G20] have paths validated as it wants.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from typing import NamedTuple

from voltroot.errors import Failure
from voltroot.pki import lints, oids, suites
from voltroot.pki.certificates import Certificate
from voltroot.pki.judging.inputs import Inputs, Purpose
from voltroot.pki.judging.rule import Rule
from voltroot.pki.judging.walk import Walk
from voltroot.pki.lints import Level
from voltroot.pki.profiles import SIGN, Edition, Profile, profiles
from voltroot.pki.recognise import recognise
from voltroot.pki.suites import ED448, P256_SHA256, P521_SHA512, Suite

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
_EDITIONS: dict[Suite, Edition] = {P256_SHA256: _2, P521_SHA512: _20, ED448: _20}


def inputs_for(inputs: Inputs) -> Inputs:
    """Return the inputs with what a purpose adds to them."""
    use = USES[inputs.purpose] if inputs.purpose else None
    if use is None:
        return inputs
    age = inputs.oldest_answer
    return replace(
        inputs,
        key_purpose=inputs.key_purpose or use.key_purpose,
        oldest_answer=WEEK if age is None else min(age, WEEK),
    )


def edition_of(certificate: Certificate) -> Edition | None:
    """Return the edition whose suites a certificate's key belongs to; None for a key of neither."""
    try:
        return _EDITIONS.get(suites.suite_of(certificate.public_key))
    except (Failure, ValueError):
        return None


@lru_cache
def _table() -> dict[str, Profile]:
    return profiles()


def _use(walk: Walk) -> Use:
    assert walk.inputs.purpose is not None, "rules of ISO 15118 are asked for a purpose only"
    return USES[walk.inputs.purpose]


def _profile(walk: Walk) -> Profile | None:
    """The profile that the leaf has to have: its edition is the one that its key belongs to."""
    edition = edition_of(walk.path[0])
    name = _use(walk).profiles.get(edition) if edition else None
    return _table()[name] if name else None


def _suite(walk: Walk) -> str | None:
    profile = _profile(walk)
    if profile is None:
        return f"the leaf's key is of no kind that ISO 15118 knows for {walk.inputs.purpose}"
    own = suites.suite_of(walk.certificate.public_key)
    if own not in profile.suites:
        return f"its key is of {own.name}, which is not of {profile.edition}"
    if walk.certificate.outer_signature != suites.suite_of(walk.issuer.public_key).algorithm:
        return "its signature algorithm is not the one that belongs to its issuer's key"
    leaf = suites.suite_of(walk.path[0].public_key)
    return None if own == leaf else f"its key is of {own.name}, the leaf's of {leaf.name}: one chain has one suite"


def _size(walk: Walk) -> str | None:
    profile, size = _profile(walk), len(walk.certificate.der)
    largest = profile.largest if profile else None
    return f"it has {size} octets, {largest} are allowed" if largest and size > largest else None


def _depth(walk: Walk) -> str | None:
    below = len(walk.path) - 1
    if walk.place or below <= DEEPEST:
        return None
    return f"{below} certificates stand below the root, {DEEPEST} are allowed"


def _leaf(walk: Walk) -> str | None:
    own = walk.certificate
    if own.is_ca or len(walk.path) == 1:
        return f"it is the certificate of a CA, shown for {walk.inputs.purpose}"
    usage = own.key_usage
    return None if usage is None or usage & SIGN else "its key is not for signing"


def _role(walk: Walk) -> str | None:
    edition, use = edition_of(walk.certificate), _use(walk)
    wanted, found = use.dc.get(edition, ()) if edition else (), walk.certificate.subject.all("DC")
    if not wanted or (not found and edition in use.dc_optional):
        return None
    right = found == wanted if edition is _2 else any(dc.endswith(wanted) for dc in found)
    return None if right else f"its DC is {' and '.join(found) or 'absent'}, that of the role {' or '.join(wanted)}"


def _root(walk: Walk) -> str | None:
    wanted, found = _use(walk).roots, walk.certificate.subject.all("DC")
    claimed = [dc for dc in found if dc.endswith(_ROLES)]
    if not claimed or any(dc.endswith(wanted) for dc in claimed):
        return None
    return f"the root is one of {' and '.join(claimed)}, not of {' or '.join(wanted)}"


def _purposes(walk: Walk) -> str | None:
    profile, use, own = _profile(walk), _use(walk), walk.certificate
    found = own.extended_key_usage
    if profile is not None and not set(profile.purposes) <= {*found}:
        return f"extKeyUsage does not name {oids.PURPOSE_NAMES[profile.purposes[0]]}"
    if use.key_purpose is None and {oids.SERVER_AUTH, oids.CLIENT_AUTH} & {*found}:
        return "its key is for TLS, which is not what the certificate is for"
    return None


def _conformance(walk: Walk) -> str | None:
    profile = recognise(walk.certificate, _table()) if walk.certifies else _profile(walk)
    if profile is None:
        return "it has no profile that is known here"
    found = lints.lint(walk.certificate, profile, walk.issuer)
    errors = [str(each) for each in found if each.level is Level.ERROR]
    return "; ".join(errors) or None


OF_ALL: tuple[Rule[Walk], ...] = (
    Rule("suite", "V2G2-006, V2G2-007, V2G20-2674, V2G20-2319", "its key and signature are of the edition", _suite),
    Rule("size", "V2G2-010", "it is not too large", _size),
)
OF_LEAVES: tuple[Rule[Walk], ...] = (
    Rule("leaf", "V2G2-884", "it is no CA's, and its key signs", _leaf),
    Rule("depth", "V2G2-009", "no more than three certificates stand below the root", _depth),
    Rule("role", "V2G2-925, V2G20-3406", "it is of the right role", _role),
    Rule("purposes", "ISO 15118-20 Annex B", "its purposes are those of the profile", _purposes),
)
OF_ANCHORS: tuple[Rule[Walk], ...] = (Rule("root_role", "V2G2-925", "it is the root of the right role", _root),)
CONFORMANCE: Rule[Walk] = Rule("profile", "V2G2-884", "all lints of its profile hold", _conformance)
