"""Whether a station could do each of its jobs at a given moment, and what exactly is missing."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from voltroot.actors.station import admission
from voltroot.actors.station.choosing import Wish, is_of_20
from voltroot.actors.station.outcomes import Candidate, Fitness, Stapled, VerifyStatus
from voltroot.actors.station.ports import AUTHORITY_OF, OWN, CaKind, LeafKind, is_root
from voltroot.actors.station.station import Station
from voltroot.errors import Failure
from voltroot.pki import answers, chains
from voltroot.pki.answers import Answer
from voltroot.pki.certificates import Certificate
from voltroot.pki.chains import Evidence, Verdict
from voltroot.pki.judging.findings import name_of

AHEAD = timedelta(days=14)


class Use(StrEnum):
    """What a station does with its certificates."""

    OCPP_2 = "ocpp-2"
    OCPP_3 = "ocpp-3"
    TLS = "tls"
    PNC_2 = "pnc-2"
    PNC_20 = "pnc-20"
    INSTALLATION = "installation"


TITLES = {
    Use.OCPP_2: "OCPP security profile 2",
    Use.OCPP_3: "OCPP security profile 3",
    Use.TLS: "TLS to the car",
    Use.PNC_2: "Plug & Charge, ISO 15118-2",
    Use.PNC_20: "Plug & Charge, ISO 15118-20",
    Use.INSTALLATION: "Contract installation",
}


class Lack(NamedTuple):
    """Something that is missing or wrong, and what to do about it."""

    text: str
    remedy: str


class Prospect(NamedTuple):
    """One use: what it lacks now and later, when it ceases to work in between, and what is not as it should be."""

    use: Use
    now: tuple[Lack, ...]
    later: tuple[Lack, ...]
    ends: datetime | None
    hints: tuple[Lack, ...]


Check = Callable[[Station], Iterator[Lack]]


def prospects(station: Station, uses: Sequence[Use] = (*Use,)) -> list[Prospect]:
    """Return what can be expected of each use, now and later."""
    now = station.now()
    later = station.at(now + AHEAD)
    return [
        Prospect(
            use,
            _lacks(station, use),
            _lacks(later, use),
            _end(station, use, now, now + AHEAD),
            tuple(dict.fromkeys(hint for check in HINTS[use] for hint in check(station))),
        )
        for use in uses
    ]


def remarks(station: Station) -> list[Lack]:
    """Return what is wrong with the store whatever it is used for."""
    return [*dict.fromkeys((*_faults(station), *_clock(station)))]


def _faults(station: Station) -> Iterator[Lack]:
    owned = [station.store.leaves(kind) for kind in OWN]
    faults = [fault for kind in CaKind for fault in station.store.authorities(kind).faults]
    faults += [fault for leaves in owned for fault in leaves.faults]
    for fault in faults:
        yield Lack(f"{fault.path}: {fault.text}", "replace the file or take it away; all else is used")
    for fault in [fault for leaves in owned for fault in leaves.key_faults]:
        remedy = "give its password if it is encrypted (--key-password-file); else replace the file or take it away"
        yield Lack(f"{fault.path}: {fault.text}", remedy)
    for path in station.store.passed_over():
        yield Lack(f"{path}: by its name it is not looked at", "rename it to .pem, or to .der if that is what it holds")
    for leaves in owned:
        for key in leaves.keys:
            if key.exposed:
                yield Lack(f"{key.path}: others than its owner may read this private key", f"chmod 600 {key.path}")
        for leaf in leaves.leaves:
            if leaf.chain_file and not _in_order(leaf.chain):
                text = f"{leaf.chain_file}: a certificate in it is not followed by its issuer"
                yield Lack(text, "sort it, the leaf first and then each one's issuer: strict peers refuse it as it is")


def _clock(station: Station) -> Iterator[Lack]:
    now, found = station.now(), [*_all(station)]
    if found and all(each.not_before > now for each in found):
        yield Lack(f"no certificate here is valid yet: by the clock it is {_moment(now)}", "set the clock")


def _lacks(station: Station, use: Use) -> tuple[Lack, ...]:
    return tuple(dict.fromkeys(lack for check in NEEDS[use] for lack in check(station)))


def _end(station: Station, use: Use, now: datetime, later: datetime) -> datetime | None:
    """Return when something expires in between without which the use does not work any more."""
    if _lacks(station, use):
        return None
    ends = {each.not_after for each in _all(station) if now <= each.not_after <= later}
    return next((end for end in sorted(ends) if _lacks(station.at(end + timedelta(seconds=1)), use)), None)


def _all(station: Station) -> Iterator[Certificate]:
    for kind in CaKind:
        yield from station.store.authorities(kind).certificates
    for own in OWN:
        for leaf in station.store.leaves(own).leaves:
            yield from leaf.chain


def _root(kind: CaKind, listing: str) -> Check:
    def check(station: Station) -> Iterator[Lack]:
        if not station.is_ca_installed(kind):
            roots = station.roots(kind)
            found = "; ".join(f"{name_of(each)} {_dates(each, station.now())}" for each in roots)
            text = f"no {kind} root is valid: {found}" if roots else f"no {kind} root is installed"
            yield Lack(text, f"install one: by InstallCertificate ({listing}), or as a file")

    return check


def _leaf(kind: LeafKind, order: str, edition: str = "", *, only_2: bool = False) -> Check:
    """The certificate that the station shows has to be there, with its key, and as its profile wants it."""

    def check(station: Station) -> Iterator[Lack]:
        candidates = [
            each for each in station.candidates(Wish(kind)) if not (only_2 and is_of_20(each.leaf.certificate))
        ]
        wanted = f"certificate{edition} for {'the CSMS' if kind is LeafKind.CSMS else 'cars'}"
        asked = [each for each in candidates if each.fitness is not Fitness.OTHER]
        usable = [each for each in asked if each.fitness is Fitness.USABLE]
        if usable:
            if objection := _refused_by_peers(station, kind, usable[0]):
                text = f"{_called(usable[0])} would be used, and is not as it should be: {objection}"
                yield Lack(text, f"replace it: {order}")
        elif asked:
            for each in asked:
                keyless = each.fitness is Fitness.NO_KEY
                remedy = "give the password of its key, or replace it: " if keyless else "replace it: "
                yield Lack(f"{_called(each)} cannot be used: {each.text}", remedy + order)
        else:
            yield Lack(f"no {wanted} is installed", f"get one: {order}")

    return check


def _refused_by_peers(station: Station, kind: LeafKind, candidate: Candidate) -> str | None:
    """Return why a peer would refuse what nothing here stands against: the rules of ISO 15118, or a revocation."""
    path = candidate.path
    place = station.store.authorities(AUTHORITY_OF[kind])
    verified = admission.verify(path, place, station.now(), admission.INPUTS[kind])
    if verified.status not in (VerifyStatus.VALID, VerifyStatus.ISSUER_NOT_FOUND):
        return verified.reason
    kept = tuple(found for each in station.stapling.of(kind, path) if isinstance(found := _answer(each), Answer))
    judgement = chains.judge(path, path[-1:], station.now(), evidence=Evidence(answers=kept))
    return judgement.text if judgement.verdict is Verdict.REVOKED else None


def _contract_root(*, of_20: bool) -> Check:
    def check(station: Station) -> Iterator[Lack]:
        if not any(_valid_roots(station, kind, of_20=of_20) for kind in (CaKind.MO, CaKind.V2G)):
            edition = "ISO 15118-20" if of_20 else "ISO 15118-2"
            text = f"no root of {edition} is valid, neither for V2G nor for MO: no contract certificate can be checked"
            yield Lack(
                text, "install one: by the CSMS with InstallCertificate (V2GRootCertificate or MORootCertificate)"
            )

    return check


def _vehicle_root(station: Station) -> Iterator[Lack]:
    if not any(_valid_roots(station, kind, of_20=True) for kind in (CaKind.OEM, CaKind.V2G)):
        text = (
            "no OEM or V2G root of ISO 15118-20 is valid: no vehicle certificate can be checked, and TLS 1.3 needs that"
        )
        yield Lack(text, "install the OEMs' roots: by the CSMS with InstallCertificate (OEMRootCertificate, OCPP 2.1)")


def _mo_root(*, of_20: bool) -> Check:
    def check(station: Station) -> Iterator[Lack]:
        if not _valid_roots(station, CaKind.MO, of_20=of_20):
            text = "no MO root is valid: contracts that are not below a V2G root cannot be checked here"
            yield Lack(text, "install the MO roots, or let the CSMS check contracts (CentralContractValidationAllowed)")

    return check


def _complete(station: Station) -> Iterator[Lack]:
    candidates = station.candidates(Wish(LeafKind.V2G))
    for leaf, _, _, path in [each for each in candidates if each.fitness is Fitness.USABLE][:1]:
        if not is_root(top := path[-1]):
            text = f"{top.issuer}, which issued {name_of(top)}, is neither installed nor in the chain for cars"
            remedy = "install it if it is a V2G root; if it is a sub-CA, put it into the chain's file: cars need it"
            yield Lack(text, remedy)
        if unshown := [name_of(each) for each in path if each not in leaf.chain and not is_root(each)]:
            text = f"{leaf.files[0].name} has no chain with {' and '.join(unshown)} in it: cars are not shown them"
            yield Lack(text, "put them into one file, the leaf first and then each one's issuer")


def _stapled(station: Station) -> Iterator[Lack]:
    info = station.leaf(LeafKind.V2G, include_ocsp=True).info
    asked = {each.about for each in station.stapling.requests()}
    wanted = [each for each in info.ocsp if each.about in asked] if info else []
    whys = [_stale(_answer(each), station) for each in wanted]
    if found := [why for why in whys if why]:
        text = f"{len(found)} of {len(wanted)} certificates in the chain for cars have no OCSP answer ({found[0]})"
        yield Lack(
            f"{text}: cars that ask for one may go away", "let the station ask its CSMS with GetCertificateStatus"
        )


def _answer(kept: Stapled) -> Answer | str:
    """Return what is kept about a certificate, or why nothing can be made of it."""
    try:
        return answers.read(kept.answer.read_bytes()) if kept.answer else "none is kept"
    except OSError as error:
        return f"{kept.answer} cannot be read: {error.strerror}"
    except Failure as failure:
        return str(failure)


def _stale(answer: Answer | str, station: Station) -> str | None:
    if isinstance(answer, str):
        return answer
    until = [single.next_update for single in answer.singles]
    late = [each for each in until if each is not None and each < station.now()]
    return f"it ended on {_moment(late[0])}" if late else None


_ORDER_CSMS = "by the CSMS with TriggerMessage (SignChargingStationCertificate)"
_ORDER_V2G = "by the CSMS with TriggerMessage (SignV2GCertificate)"
_ORDER_V2G20 = "by the CSMS with TriggerMessage (SignV2G20Certificate, OCPP 2.1)"
_CSMS_ROOT = _root(CaKind.CSMS, "CSMSRootCertificate")
_FOR_CARS = _leaf(LeafKind.V2G, _ORDER_V2G)

NEEDS: dict[Use, tuple[Check, ...]] = {
    Use.OCPP_2: (_CSMS_ROOT,),
    Use.OCPP_3: (_CSMS_ROOT, _leaf(LeafKind.CSMS, _ORDER_CSMS)),
    Use.TLS: (_FOR_CARS,),
    Use.PNC_2: (
        _leaf(LeafKind.V2G, _ORDER_V2G, " of ISO 15118-2", only_2=True),
        _contract_root(of_20=False),
    ),
    Use.PNC_20: (
        _leaf(LeafKind.V2G20, _ORDER_V2G20, " of ISO 15118-20"),
        _vehicle_root,
        _contract_root(of_20=True),
    ),
    # The request travels from the car to the CSMS and the answer back: neither is read here.
    Use.INSTALLATION: (_FOR_CARS, _CSMS_ROOT),
}
HINTS: dict[Use, tuple[Check, ...]] = {
    Use.OCPP_2: (),
    Use.OCPP_3: (),
    Use.TLS: (_complete, _stapled),
    Use.PNC_2: (_mo_root(of_20=False),),
    Use.PNC_20: (_mo_root(of_20=True),),
    Use.INSTALLATION: (),
}


def _valid_roots(station: Station, kind: CaKind, *, of_20: bool) -> list[Certificate]:
    now = station.now()
    roots = station.store.authorities(kind).roots
    return [each for each in roots if each.not_before <= now <= each.not_after and is_of_20(each) is of_20]


def _in_order(chain: Sequence[Certificate]) -> bool:
    return all(own.issuer_der == issuer.subject_der for own, issuer in itertools.pairwise(chain))


def _called(candidate: Candidate) -> str:
    own, files = candidate.leaf.certificate, candidate.leaf.files
    return f"{own.subject.get('CN') or name_of(own)} in {files[0].name}"


def _dates(certificate: Certificate, now: datetime) -> str:
    if now > certificate.not_after:
        return f"expired on {_moment(certificate.not_after)}"
    return f"is valid from {_moment(certificate.not_before)} on"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
