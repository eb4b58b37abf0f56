"""What a chain is judged by: the inputs of RFC 5280 6.1.1, the evidence of status, and the limits."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from voltroot.pki.answers import Answer
from voltroot.pki.extensions import GeneralName
from voltroot.pki.lists import Crl
from voltroot.pki.oids import ANY_POLICY

MOST_SIGNATURES = 20  # checked for one judgement, those of CRLs and OCSP answers included
MOST_STEPS = 500  # issuers looked at while paths are built
MOST_PATHS = 20  # paths judged until one holds
MOST_CANDIDATES = 2_000  # certificates of a pool that are looked at
LARGEST = 1 << 16  # octets of a certificate
DEEPEST = 10  # certificates below the anchor


class Purpose(StrEnum):
    """What the leaf is shown for, in the words of ISO 15118."""

    SECC = "secc"
    CONTRACT = "contract"
    PROVISIONING = "provisioning"
    VEHICLE = "vehicle"
    CPS = "cps"


class Demand(StrEnum):
    """Of which certificates the status has to be known.

    NONE: evidence may revoke, and nothing more. LEAF: of the leaf as soon as there is any evidence, and what is about
    a CA has to be usable. ALL: of every certificate below the anchor.
    """

    NONE = "none"
    LEAF = "leaf"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """How strictly, and for what, a path is judged; the defaults are those of RFC 5280 6.1.1 that allow most.

    ``key_purpose`` is the OID that extKeyUsage has to allow; ``purpose`` adds the rules of ISO 15118. ``strict`` turns
    remarks into errors: what RFC 5280 sections 4 and 5 demand of CAs, though section 6 does not ask for it, and with
    a purpose all lints of the profile. ``status`` says whose status has to be known, and ``oldest_answer`` bounds the
    age of OCSP answers.
    """

    policies: frozenset[str] = frozenset({ANY_POLICY})
    explicit_policy: bool = False
    inhibit_mapping: bool = False
    inhibit_any: bool = False
    permitted: tuple[GeneralName, ...] | None = None
    excluded: tuple[GeneralName, ...] = ()
    key_purpose: str | None = None
    purpose: Purpose | None = None
    strict: bool = False
    status: Demand = Demand.LEAF
    oldest_answer: timedelta | None = None
    deepest: int = DEEPEST


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of revocations: CRLs and OCSP answers, and pairs of an issuer's name in DER and a serial number.

    The pairs are one's own record and are believed; the others have to prove themselves.
    """

    crls: tuple[Crl, ...] = ()
    answers: tuple[Answer, ...] = ()
    revoked: Collection[tuple[bytes, int]] = ()


PLAIN, NOTHING = Inputs(), Evidence()
