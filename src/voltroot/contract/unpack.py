"""The car's side of a contract: what came is checked step by step, opened, and held against its certificate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, cast

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from voltroot.contract import carried
from voltroot.contract.carried import Stopped
from voltroot.contract.seal import Sealed, additional_data, unseal
from voltroot.errors import Failure, Malformed, Refused, UnsupportedSuite
from voltroot.pki.certificates import Certificate
from voltroot.pki.chains import Evidence, Purpose
from voltroot.pki.drafts import short_key_identifier
from voltroot.pki.judging.inputs import NOTHING
from voltroot.pki.suites import Signer
from voltroot.terms import EMAID
from voltroot.v2g import iso2, iso20, xmldsig
from voltroot.v2g.exi import Decoded, Schema, decode, encode
from voltroot.v2g.schemas import ISO_2, ISO_20

Body = iso2.CertificateInstallationRes | iso2.CertificateUpdateRes | iso20.CertificateInstallationRes


class Check(NamedTuple):
    """One look at what came: at which part, by which clause, what was seen.

    ``fault`` names what is wrong, and ``remark`` what is unusual and allowed.
    """

    part: str
    clause: str
    text: str
    fault: str | None = None
    remark: str | None = None


@dataclass(frozen=True, slots=True)
class Car:
    """What a car brings along: which response it waits for, the request's SessionID, roots that it trusts, key, PCID.

    The key is that of the provisioning certificate, or for an update that of the old contract. ``evidence`` is what it
    knows of revocations, which on the road is nothing. ``libcbv2g`` accepts eMAID's digest in that codec's form.
    """

    response: type[Body]
    session: bytes | None
    roots: Sequence[Certificate]
    key: Signer = field(repr=False)
    pcid: str
    now: datetime
    evidence: Evidence = NOTHING
    libcbv2g: bool = False


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract that the car can use: the certificate first in its chain, and the key that was in the package."""

    emaid: str
    chain: tuple[Certificate, ...]
    key: Signer = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What came of a response: the checks as they were made, and the contract if none of them failed."""

    checks: tuple[Check, ...]
    contract: Contract | None = None
    retry: int | None = None
    remaining: int = 0

    @property
    def stopped(self) -> Check | None:
        """The check at which the car stopped."""
        return next((each for each in self.checks if each.fault is not None), None)


def unpack(octets: bytes, car: Car) -> Unpacked:
    """Check a CertificateInstallationRes or CertificateUpdateRes until something is wrong; never raises for octets."""
    case = _Case(car, octets)
    for step in STEPS:
        try:
            case.checks += step.look(case, step)
        except Stopped as stopped:
            check = Check(step.part, stopped.clause or step.clause, str(stopped), stopped.fault)
            return Unpacked((*case.checks, check), retry=case.retry)
    return Unpacked(tuple(case.checks), case.contract, case.retry, case.remaining)


class _Case:
    """What is known so far; each step may rely on those before it."""

    def __init__(self, car: Car, octets: bytes) -> None:
        self.car = car
        self.octets = octets
        self.checks: list[Check] = []
        self.decoded: Decoded
        self.body: Body
        self.cps: list[Certificate] = []
        self.chain: list[Certificate] = []
        self.key: Signer
        self.retry: int | None = None
        self.remaining = 0

    @property
    def is_2(self) -> bool:
        """Whether the car speaks ISO 15118-2."""
        return self.car.response is not iso20.CertificateInstallationRes

    @property
    def emaid(self) -> str:
        """The message's own; that of the certificate in -20, whose message has none."""
        body = self.body
        return carried.name(self.chain) if isinstance(body, iso20.CertificateInstallationRes) else body.eMAID.value

    @property
    def contract(self) -> Contract:
        """What all checks have left good."""
        return Contract(self.emaid, tuple(self.chain), self.key)


class Step(NamedTuple):
    """One thing that a car looks at: its name, the clause, and how."""

    part: str
    clause: str
    look: Callable[[_Case, Step], list[Check]]

    def seen(self, text: str) -> list[Check]:
        """One line: all is well."""
        return [Check(self.part, self.clause, text)]

    def unusual(self, name: str, text: str, clause: str) -> Check:
        """A line on what other implementations are known to trip over."""
        return Check(self.part, clause, text, remark=name)


def _message(case: _Case, step: Step) -> list[Check]:
    schema, wanted = ISO_2 if case.is_2 else ISO_20, case.car.response
    try:
        case.decoded = decode(case.octets, schema)
    except Malformed as error:
        raise Stopped("unreadable", f"it cannot be read: {error}") from error
    value = case.decoded.value
    body = value.Body.BodyElement if isinstance(value, iso2.V2G_Message) else value
    if not isinstance(body, wanted):
        raise Stopped("unexpected", f"it is a {type(body).__name__}, a {wanted.__name__} was asked for")
    case.body = body
    if isinstance(body, iso20.CertificateInstallationRes):
        case.remaining = body.RemainingContractCertificateChains
    if isinstance(body, iso2.CertificateUpdateRes):
        case.retry = body.RetryCounter
    seen = step.seen(f"{wanted.__name__} of {schema.title.split(' Common')[0]}, {len(case.octets):,} octets")
    if case.octets != _shortest(value, schema):
        text = "not the shortest stream: integers with superfluous groups, or strings told by the string table"
        seen.append(step.unusual("not_minimal", text, "EXI 1.0 7.1.6"))
    return seen


def _session(case: _Case, step: Step) -> list[Check]:
    found, own = case.decoded.value.Header.SessionID, case.car.session
    if own is None:
        return step.seen(f"{found.hex().upper()}; it answers no request of this car")
    if found != own:
        raise Stopped("session", f"it is {found.hex().upper()}, the request's was {own.hex().upper()}")
    return step.seen(f"{found.hex().upper()}, as in the request")


def _response(case: _Case, step: Step) -> list[Check]:
    code = case.body.ResponseCode
    if not code.startswith("OK"):
        retry = f"; RetryCounter {case.retry}" if case.retry is not None else ""
        raise Stopped("response_code", f"{code}{retry}")
    if isinstance(case.body, iso20.CertificateInstallationRes) and case.body.EVSEProcessing != "Finished":
        raise Stopped("ongoing", f"EVSEProcessing is {case.body.EVSEProcessing}: the station has no answer yet")
    return step.seen(code)


def _cps_chain(case: _Case, step: Step) -> list[Check]:
    body = case.body
    if isinstance(body, iso20.CertificateInstallationRes):
        case.cps = carried.read(body.CPSCertificateChain)
    else:
        case.cps = carried.read(body.SAProvisioningCertificateChain)
    judgement = carried.judged(case.cps, case.car.roots, Purpose.CPS, case.car.now, case.car.evidence)
    return step.seen(f"{carried.told(case.cps)} below {carried.name(judgement.path[-1:])}")


def _signature(case: _Case, step: Step) -> list[Check]:
    try:
        key = cast(xmldsig.PublicKey, case.cps[0].public_key)
        outcome = xmldsig.verify(case.decoded, key, libcbv2g=case.car.libcbv2g)
    except (UnsupportedSuite, Malformed) as error:
        raise Stopped("signature.algorithm", str(error)) from error
    seen = [Check(each.part, step.clause, _said(each)) for each in outcome.checks if each.fault is None]
    if outcome.faults:
        worst = outcome.faults[0]
        faults = "; ".join(f"{each.part}: {_said(each)}" for each in outcome.faults)
        case.checks += seen
        raise Stopped(f"signature.{worst.fault}", faults)
    order = [each.element for each in outcome.checks if each.part.startswith("Reference")]
    due = [part.element for part in xmldsig.parts(case.decoded.value)]
    if order != due:
        text = f"the References stand in the order {', '.join(map(str, order))}: they are found by their URIs"
        seen.append(step.unusual("references_reordered", text, "XMLDSig 4.4.3"))
    return seen


def _contract_chain(case: _Case, step: Step) -> list[Check]:
    body, car = case.body, case.car
    if isinstance(body, iso20.CertificateInstallationRes):
        case.chain = carried.read(body.SignedInstallationData.ContractCertificateChain)
    else:
        case.chain = carried.read(body.ContractSignatureCertChain)
    top = case.chain[-1]
    known = any(top.issuer_der == root.subject_der for root in car.roots)
    # The MO's root need not be known to a car: the CPS answers for the chain, which is judged as far as it goes.
    roots = car.roots if known or len(case.chain) == 1 else [top]
    judgement = carried.judged(case.chain, roots, Purpose.CONTRACT, car.now, car.evidence)
    below = f"below {carried.name(judgement.path[-1:])}" if known else "below a root that the car does not know"
    return step.seen(f"{carried.told(case.chain)} {below}, to {case.chain[0].not_after:%Y-%m-%d}")


def _emaid(case: _Case, step: Step) -> list[Check]:
    own = carried.name(case.chain)
    try:
        same = EMAID(case.emaid) == EMAID(own)
    except Failure as error:
        raise Stopped("emaid", str(error)) from error
    if not same:
        raise Stopped("emaid", f"the message says {case.emaid}, the certificate {own}")
    return step.seen(own)


def _opened(case: _Case, step: Step) -> list[Check]:
    body, forms = case.body, [b""]
    if isinstance(body, iso20.CertificateInstallationRes):
        data = body.SignedInstallationData
        if data.TPM_EncryptedPrivateKey is not None:
            raise Stopped("key.tpm", "the key is sealed to a TPM, which this car has not")
        sealed = Sealed(data.DHPublicKey, data.SECP521_EncryptedPrivateKey or data.X448_EncryptedPrivateKey or b"")
        # [V2G20-2492] speaks of 16 characters, which an SKI of 20 octets is not: such a one is tried in short as well.
        own = case.chain[0].subject_key_identifier or b"", short_key_identifier(case.chain[0].spki)
        forms = [additional_data(case.car.pcid, identifier) for identifier in dict.fromkeys(own)]
    else:
        sealed = Sealed(body.DHpublickey.value, body.ContractSignatureEncryptedPrivateKey.value)
    case.key = _unsealed(sealed, case.car.key, forms)
    return step.seen(f"{len(sealed.encrypted)} octets opened with the key agreed on")


def _unsealed(sealed: Sealed, key: Signer, forms: Sequence[bytes]) -> Signer:
    *others, last = forms
    for additional in others:
        with suppress(Refused):
            return unseal(sealed, key, additional)
    try:
        return unseal(sealed, key, last)
    except Refused as error:
        raise Stopped("key.unsealed", str(error)) from error


def _key(case: _Case, step: Step) -> list[Check]:
    spki = case.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if spki != case.chain[0].spki:
        raise Stopped("key.mismatch", "the key that was sealed is not the key of the contract certificate")
    seen = step.seen("the key is the one of the contract certificate")
    if (zeros := _leading_zeros(case.key)) > 0:
        text = f"its scalar begins with {zeros} zero octet{'s' if zeros > 1 else ''} after the spare bits of its field"
        seen.append(step.unusual("leading_zero", text, "V2G2-818, V2G20-2678"))
    return seen


STEPS = (
    Step("message", "V2G_CI_MsgDef, V2G_CI_CommonMessages", _message),
    Step("SessionID", "MessageHeaderType", _session),
    Step("ResponseCode", "responseCodeType", _response),
    Step("CPS chain", "V2G2-884, V2G2-885, V2G2-925", _cps_chain),
    Step("signature", "V2G2-767, V2G2-771, V2G2-909", _signature),
    Step("contract chain", "V2G2-884, V2G2-885, V2G2-925", _contract_chain),
    Step("eMAID", "V2G2-108", _emaid),
    Step("sealed key", "V2G2-815 to V2G2-822, V2G20-2489 to V2G20-2535", _opened),
    Step("contract key", "V2G2-823", _key),
)


def _shortest(value: Any, schema: Schema) -> bytes | None:
    try:
        return encode(value, schema, facets=False)
    except Malformed:
        return None


def _leading_zeros(key: Signer) -> int:
    """How many octets of an ECDSA key's scalar are zero where they could be something else."""
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        return 0
    return (key.curve.key_size - key.private_numbers().private_value.bit_length()) // 8


def _said(check: xmldsig.Check) -> str:
    named = check.element if check.element and check.part != check.element else ""
    where = f"{named} ({check.uri})" if named and check.uri else named or check.uri
    return f"{where}: {check.text}" if where else check.text
