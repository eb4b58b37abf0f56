"""Contracts plugged together from the configuration: whom to trust, on what terms, and the actors that take part."""

from __future__ import annotations

from collections.abc import Sequence

from voltroot.actors.ccp import CCP
from voltroot.actors.cps import CPS
from voltroot.actors.lab import Lab
from voltroot.actors.mo import MO, ContractPool, Terms
from voltroot.actors.registrar import Subjects
from voltroot.actors.trust import Foreign, Trust
from voltroot.apis.pnc.contracts import Contracts
from voltroot.app import config
from voltroot.app.desk import Desk
from voltroot.app.pemfiles import read_certificates, read_crl
from voltroot.pki.authority import Authority
from voltroot.pki.certificates import Certificate
from voltroot.pki.judging.codes import SECONDARY_ACTOR
from voltroot.pki.judging.findings import Verdict
from voltroot.pki.ports import Clock, Escrow, Keyring


def contracts(
    section: config.Contract,
    trusted: config.Trust,
    subjects: Subjects,
    authority: Authority,
    keyring: Keyring,
    escrow: Escrow,
    pool: ContractPool,
    lab: Lab,
    desk: Desk,
    now: Clock,
) -> Contracts:
    """Return the calls about contracts."""
    issuers = authority.issuers
    trust = Trust(issuers, authority.ledger, now, foreign(trusted))
    terms = Terms(strict=section.strict_emaid, at_once=section.revoke == "at-once")
    mo = MO(issuers.profiles, subjects, authority, escrow, now, trust, pool, terms)
    cps = CPS(issuers.profiles, issuers, keyring, now, lab)
    ccp = CCP(trust, pool, mo, cps, now, section.retry_counter)
    verdicts = {**SECONDARY_ACTOR.verdicts, Verdict.REVOKED: section.revoked_code}
    return Contracts(mo, cps, ccp, lab, desk.run, section.version, SECONDARY_ACTOR._replace(verdicts=verdicts))


def foreign(section: config.Trust) -> Foreign:
    """Read the files of a configuration, or raise Malformed naming the one that is wrong."""
    return Foreign(
        oem=_certificates(section.oem),
        mo=_certificates(section.mo),
        v2g=_certificates(section.v2g),
        between=_certificates(section.sub_cas),
        crls=tuple(map(read_crl, section.crls)),
    )


def _certificates(paths: Sequence[str]) -> tuple[Certificate, ...]:
    return tuple(each for path in paths for each in read_certificates(path))
