"""The contract certificate pool: it answers what cars ask, CertificateInstallationReq and CertificateUpdateReq.

What a car must hear is a ResponseCode; only what cannot be read is a Failure. The order of the checks: the car's
chain, its signature (a key has to be trusted before it proves anything, NOTE 3 of [V2G20-2709]), its contracts, and
whether it can anchor the CPS in a root that it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import Enum, auto
from functools import lru_cache
from typing import NamedTuple, cast

from voltroot.actors.cps import CPS, Provider
from voltroot.actors.mo import EDITIONS, MO, ContractPool, Kept, normal
from voltroot.actors.trust import Trust
from voltroot.contract import faults, package
from voltroot.contract.faults import NONE, Fault
from voltroot.errors import Failure, Malformed, Refused
from voltroot.pki.certificates import Certificate
from voltroot.pki.chains import Purpose, Verdict
from voltroot.pki.judging.codes import ISO15118_2, ISO15118_20, Codes
from voltroot.pki.names import Name
from voltroot.pki.ports import Clock, Entry, Reason, State
from voltroot.pki.profiles import Edition
from voltroot.pki.suites import Suite, suite_of
from voltroot.v2g import iso2, iso20, xmldsig
from voltroot.v2g.exi import Decoded, decode
from voltroot.v2g.schemas import ISO_2, ISO_20
from voltroot.v2g.signature import X509IssuerSerialType

_2, _20 = Edition.ISO15118_2, Edition.ISO15118_20
_USUAL = 512  # characters: hardly any name has more, and all cars list the same few
_V2G_MESSAGE = 0x98  # the second octet of every message of -2, but for its last bit
_EDITION_OF = {ISO_2.name: _2, ISO_20.name: _20}


class Lack(Enum):
    """Why a car whose certificate is good gets no contract."""

    SIGNATURE = auto()
    NONE = auto()
    NONE_LEFT = auto()
    CANCELED = auto()
    NO_ANCHOR = auto()


def _verdicts(codes: Codes) -> dict[Lack | Verdict, str]:
    return dict(codes.verdicts.items())


CODES: dict[Edition, dict[Lack | Verdict, str]] = {
    _2: {
        **_verdicts(ISO15118_2),
        Lack.SIGNATURE: "FAILED_SignatureError",
        Lack.NONE: "FAILED_NoCertificateAvailable",
        Lack.NONE_LEFT: "FAILED_NoCertificateAvailable",
        Lack.CANCELED: "FAILED_ContractCanceled",
        Lack.NO_ANCHOR: "FAILED_NoCertificateAvailable",
    },
    _20: {
        **_verdicts(ISO15118_20),
        Lack.SIGNATURE: "FAILED_SignatureError",
        Lack.NONE: "WARNING_NoContractMatchingPCIDFound",
        Lack.NONE_LEFT: "WARNING_NoCertificateAvailable",
        Lack.CANCELED: "WARNING_NoCertificateAvailable",
        Lack.NO_ANCHOR: "WARNING_NoCertificateAvailable",
    },
}


class Reply(NamedTuple):
    """What goes to the car: a V2G message in EXI, its ResponseCode, and for people why.

    ``remaining`` is how many more contracts the same request of -20 would get; None where another's answer does not
    say.
    """

    message: bytes
    code: str
    text: str = ""
    remaining: int | None = 0


class _Declined(Exception):
    """A car gets no contract, for a reason that has a ResponseCode."""

    def __init__(self, why: Lack | Verdict, text: str) -> None:
        super().__init__(text)
        self.why = why


class _Car(NamedTuple):
    """A car that asks, known by its certificate."""

    certificate: Certificate
    suite: Suite


class CCP:
    """Hands contracts out: only to the key that they are sealed to, as often as it asks.

    ``retry`` is the RetryCounter of a CertificateUpdateRes while no renewal is ready: days, or -1 for never.
    """

    def __init__(self, trust: Trust, pool: ContractPool, mo: MO, cps: CPS, now: Clock, retry: int = 1) -> None:
        self._trust = trust
        self._pool = pool
        self._mo = mo
        self._cps = cps
        self._now = now
        self._retry = retry

    def install(self, octets: bytes, fault: Fault = NONE) -> Reply:
        """Answer a CertificateInstallationReq of either edition; Refused where it cannot be read.

        ``fault`` is what the lab gets wrong in this answer, whatever the contract has.
        """
        message = _read(octets)
        match message.value:
            case iso2.V2G_Message(Body=iso2.BodyType(BodyElement=iso2.CertificateInstallationReq() as request)):
                return self._install_2(message, request, fault)
            case iso20.CertificateInstallationReq() as request:
                return self._install_20(message, request, fault)
        raise Refused(f"v2gMessage is {_title(message)}, not a CertificateInstallationReq")

    def update(self, octets: bytes, fault: Fault = NONE) -> Reply:
        """Answer a CertificateUpdateReq of -2; Refused where it cannot be read. In -20 there is none."""
        message = _read(octets)
        match message.value:
            case iso2.V2G_Message(Body=iso2.BodyType(BodyElement=iso2.CertificateUpdateReq() as request)):
                return self._update_2(message, request, fault)
        raise Refused(f"v2gMessage is {_title(message)}, not a CertificateUpdateReq")

    def _install_2(self, message: Decoded, request: iso2.CertificateInstallationReq, fault: Fault) -> Reply:
        session = message.value.Header.SessionID
        try:
            car = self._car(message, request.OEMProvisioningCert, (), Purpose.PROVISIONING)
            kept = self._offered(car)[0]
            provider = self._provider(car, request.ListOfRootCertificateIDs.RootCertificateID)
        except _Declined as declined:
            code = cast(iso2.responseCodeType, CODES[_2][declined.why])
            return Reply(package.encoded(package.refusal_installation_2(code, session)), code, str(declined))
        self._deliver(kept, session)
        return Reply(self._cps.install(provider, _2, self._contract(kept, fault), session), "OK")

    def _update_2(self, message: Decoded, request: iso2.CertificateUpdateReq, fault: Fault) -> Reply:
        session, chain = message.value.Header.SessionID, request.ContractSignatureCertChain
        try:
            between = chain.SubCertificates.Certificate if chain.SubCertificates else ()
            car = self._car(message, chain.Certificate, between, Purpose.CONTRACT)
            kept = self._offered(car)[0]
            if _folded(kept.emaid) != _folded(request.eMAID):
                raise _Declined(Lack.NONE, f"the certificate is one of {kept.emaid}, not of {request.eMAID}")
            provider = self._provider(car, request.ListOfRootCertificateIDs.RootCertificateID)
        except _Declined as declined:
            code = cast(iso2.responseCodeType, CODES[_2][declined.why])
            retry = self._retry if code == "FAILED_NoCertificateAvailable" else None
            return Reply(package.encoded(package.refusal_update_2(code, session, retry)), code, str(declined))
        self._deliver(kept, session)
        return Reply(self._cps.update(provider, self._contract(kept, fault), session), "OK")

    def _install_20(self, message: Decoded, request: iso20.CertificateInstallationReq, fault: Fault) -> Reply:
        session, chain = request.Header.SessionID, request.OEMProvisioningCertificateChain
        try:
            between = chain.SubCertificates.Certificate if chain.SubCertificates else ()
            car = self._car(message, chain.Certificate, between, Purpose.PROVISIONING)
            wanted = request.PrioritizedEMAIDs.EMAID if request.PrioritizedEMAIDs else ()
            offered = self._offered(car, wanted)[: request.MaximumContractCertificateChains]
            if not offered:
                raise _Declined(Lack.NONE_LEFT, "MaximumContractCertificateChains is 0")
            provider = self._provider(car, request.ListOfRootCertificateIDs.RootCertificateID)
        except _Declined as declined:
            code = cast(iso20.responseCodeType, CODES[_20][declined.why])
            return Reply(package.encoded(package.refusal_20(code, self._now(), session)), code, str(declined))
        # [V2G20-1579] While something remains, the car asks again with the very same message.
        waiting = [kept for kept in offered if kept.session != session]
        kept, *remaining = waiting or offered
        again = [each.entry.number for each in remaining] if not waiting else []
        self._deliver(kept, session, again, several=len(offered) > 1)
        answer = self._cps.install(provider, _20, self._contract(kept, fault), session, len(remaining))
        return Reply(answer, "OK", remaining=len(remaining))

    def _car(self, message: Decoded, leaf: bytes, between: Sequence[bytes], purpose: Purpose) -> _Car:
        """Return the car that asks, if its chain holds and its key has signed the message."""
        try:
            certificate, *others = map(Certificate.read, (leaf, *between))
            suite = suite_of(certificate.public_key)
        except Failure as failure:
            raise _Declined(Verdict.CHAIN_ERROR, f"the car's certificates: {failure}") from failure
        judgement = self._trust.search(certificate, self._record(certificate, purpose), purpose, others)
        if judgement.verdict is not Verdict.OK:
            raise _Declined(judgement.verdict, judgement.text)
        if EDITIONS[suite.name] is not _EDITION_OF[message.schema.name]:
            raise _Declined(Verdict.CHAIN_ERROR, f"a key of {suite.name} is of the other edition than its message")
        outcome = xmldsig.verify(message, cast(xmldsig.PublicKey, certificate.public_key))
        if not outcome.holds:
            check = outcome.faults[0]
            raise _Declined(Lack.SIGNATURE, f"{check.part}: {check.text}")
        return _Car(certificate, suite)

    def _record(self, certificate: Certificate, purpose: Purpose) -> Entry | None:
        """Return the entry of a car's certificate; one that its own renewal has superseded may still ask for that."""
        record = self._trust.record_of(certificate)
        superseded = record is not None and record.reason is Reason.SUPERSEDED and purpose is Purpose.CONTRACT
        return None if superseded and self._pool.sealed_to(certificate.key_hash) else record

    def _offered(self, car: _Car, wanted: Sequence[str] = ()) -> list[Kept]:
        """Return the contracts that a car may have, of each EMAID the newest: those wanted first, then the newest."""
        every = self._pool.sealed_to(car.certificate.key_hash)
        if not every:
            raise _Declined(Lack.NONE, "there is no contract for this key")
        now = self._now()
        valid = [kept for kept in every if _is_due(kept, now)]
        if not valid:
            ended = any(
                kept.entry.state is State.REVOKED and kept.entry.reason is not Reason.SUPERSEDED for kept in every
            )
            if ended:
                raise _Declined(Lack.CANCELED, f"the contract {every[0].emaid} was revoked")
            raise _Declined(Lack.NONE_LEFT, f"the contract {every[0].emaid} has expired or was renewed")
        newest: dict[str, Kept] = {}
        for kept in valid:
            newest.setdefault(_folded(kept.emaid), kept)
        places = {_folded(emaid): place for place, emaid in reversed(list(enumerate(wanted)))}
        return sorted(newest.values(), key=lambda kept: places.get(_folded(kept.emaid), len(wanted)))

    def _provider(self, car: _Car, roots: Sequence[X509IssuerSerialType]) -> Provider:
        """Return the CPS that the car can anchor in a root that it has."""
        listed = set(filter(None, map(_root_id, roots)))
        provider = self._cps.provider(
            EDITIONS[car.suite.name], car.suite, lambda root: (root.issuer.key(), root.serial) in listed
        )
        if provider is None:
            raise _Declined(Lack.NO_ANCHOR, "the CPS has no root that ListOfRootCertificateIDs names")
        return provider

    def _deliver(self, kept: Kept, session: bytes, again: Sequence[int] = (), *, several: bool = False) -> None:
        """Write down, before it is handed out, what follows from that: of several the next, of a renewal its place.

        Only then are the predecessors of a renewal revoked; most contracts are neither, and cost no commit.
        """
        if several or (kept.supersedes and not kept.delivered):
            self._pool.deliver(kept.entry.number, session, again)
        if kept.supersedes:
            self._mo.supersede()

    def _contract(self, kept: Kept, fault: Fault) -> package.Contract:
        return self._cps.contract(kept.emaid, kept.entry, kept.sealed, str(fault) or kept.fault)


def _is_due(kept: Kept, moment: datetime) -> bool:
    """Whether a contract may be handed out; what the lab made unfit on purpose is, until somebody else revokes it."""
    deviation = faults.read(kept.fault).deviation
    if deviation is not None:
        return kept.entry.state is State.VALID or deviation.revoked
    return kept.entry.not_before <= moment and kept.entry.is_valid(moment)


def _read(octets: bytes) -> Decoded:
    schema = ISO_2 if len(octets) > 1 and octets[1] & 0xFE == _V2G_MESSAGE else ISO_20
    try:
        return decode(octets, schema)
    except Malformed as error:
        raise Refused(f"v2gMessage cannot be read: {error}") from error


def _title(message: Decoded) -> str:
    body = message.value.Body.BodyElement if message.schema is ISO_2 else message.value
    return type(body).__name__ if body is not None else "empty"


def _folded(emaid: str) -> str:
    """Return an EMAID as it compares, also one that could be no contract's."""
    try:
        return normal(emaid)
    except Failure:
        return emaid


def _root_id(listed: X509IssuerSerialType) -> tuple[str, int] | None:
    """Return a name and serial number as they compare; None for a name that cannot be read: it is no root of ours."""
    name = listed.X509IssuerName
    try:
        return (_key if len(name) <= _USUAL else _key.__wrapped__)(name), listed.X509SerialNumber
    except Failure:
        return None


@lru_cache(maxsize=256)
def _key(name: str) -> str:
    # iso15118 0.31.2 sends what Python calls the name: <Name(CN=V2GRootCA,O=...)>.
    return Name.parse(name.removeprefix("<Name(").removesuffix(")>")).key()
