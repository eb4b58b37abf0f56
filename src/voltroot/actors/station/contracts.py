"""A car's contract certificate at the station: what the CSMS is asked about it, and what is decided without (C07)."""

from __future__ import annotations

from typing import NamedTuple

from voltroot.actors.station import admission
from voltroot.actors.station.outcomes import OcspRequest, VerifyStatus
from voltroot.actors.station.ports import LeafKind
from voltroot.actors.station.state import Record
from voltroot.actors.station.station import Station
from voltroot.actors.station.variables import Variables
from voltroot.errors import Refused
from voltroot.pki.chains import Purpose

REMEMBERED = 256  # tokens whose last status is known
MOST_ASKED = 4  # certificates of a chain that OCPP asks about
ACCEPTED = "Accepted"
# What the CSMS would say of a chain that the station itself finds bad (C07.FR.15, 17).
_EXPIRED, _BROKEN, _NO_ROOT = "CertificateExpired", "CertChainError", "NoCertificateAvailable"


class Question(NamedTuple):
    """What to ask the CSMS: about the certificates one by one, or where ``chain`` is set about all of it in PEM."""

    emaid: str
    requests: tuple[OcspRequest, ...] = ()
    chain: str = ""


class Decision(NamedTuple):
    """Whether a car may charge. Statuses are AuthorizationStatus and AuthorizeCertificateStatus."""

    emaid: str
    status: str
    certificate: str | None = None
    online: bool = False
    why: str = ""

    @property
    def accepted(self) -> bool:
        """Whether it may."""
        return self.status == ACCEPTED and self.certificate in (None, ACCEPTED)


class Contracts:
    """Judges what can be judged here. ``known`` tokens may charge offline too."""

    def __init__(self, station: Station, record: Record, variables: Variables) -> None:
        self._station = station
        self._record = record
        self._variables = variables

    def look(self, text: str) -> Question | Decision:
        """Return what to ask about a chain in PEM, leaf first, or the decision where there is nothing to ask.

        Malformed or TooLarge where the text is no chain.
        """
        emaid = admission.read_certificates(text)[0].subject.get("CN") or ""

        def refuse(status: str | None, why: str, allowed: str = "Invalid") -> Decision:
            return Decision(emaid, allowed, status, False, why)

        if not emaid:
            return refuse(_BROKEN, "the certificate names no contract")
        if not self._variables.is_on("ISO15118Ctrlr.PnCEnabled"):
            return refuse(None, "PnCEnabled is off")
        verified = self._station.verify(text, (LeafKind.MO, LeafKind.V2G), Purpose.CONTRACT)
        central = self._variables.is_on("ISO15118Ctrlr.CentralContractValidationAllowed")
        match verified.status:
            case VerifyStatus.VALID:
                requests = self._requests(text)
                if 0 < len(requests) <= MOST_ASKED:
                    return Question(emaid, requests)
                why = "its certificates name no responder whose answer could be asked for"
            case VerifyStatus.ISSUER_NOT_FOUND:
                why = verified.reason
            case VerifyStatus.EXPIRED:
                return refuse(_EXPIRED, verified.reason, "Expired")
            case _:
                return refuse(_BROKEN, verified.reason)
        if central:
            # C07.FR.06
            return Question(emaid, chain=text)
        return refuse(_NO_ROOT, f"{why}; CentralContractValidationAllowed is off")

    def offline(self, text: str) -> Decision:
        """Decide without the CSMS (C07.FR.07 to 12)."""
        emaid = admission.read_certificates(text)[0].subject.get("CN") or ""
        if not self._variables.is_on("ISO15118Ctrlr.ContractValidationOffline"):
            return Decision(emaid, "Invalid", None, False, "the CSMS is away and ContractValidationOffline is off")
        verified = self._station.verify(text, (LeafKind.MO, LeafKind.V2G), Purpose.CONTRACT)
        if verified.status is not VerifyStatus.VALID:
            status = _EXPIRED if verified.status is VerifyStatus.EXPIRED else _BROKEN
            return Decision(emaid, "Invalid", status, False, verified.reason)
        known = self._record.state.tokens.get(_folded(emaid))
        if known is not None:
            return Decision(emaid, known, ACCEPTED if known == ACCEPTED else "ContractCancelled", False, "as last time")
        if self._variables.is_on("AuthCtrlr.OfflineTxForUnknownIdEnabled"):
            return Decision(emaid, ACCEPTED, ACCEPTED, False, "OfflineTxForUnknownIdEnabled is on")
        return Decision(emaid, "Unknown", ACCEPTED, False, "the CSMS is away and the contract was never here before")

    def told(self, decision: Decision) -> None:
        """Remember what the CSMS said."""
        name = _folded(decision.emaid)
        known = {token: status for token, status in self._record.state.tokens.items() if token != name}
        if len(known) >= REMEMBERED:
            del known[next(iter(known))]
        status = decision.status if decision.accepted or decision.status != ACCEPTED else "Invalid"
        self._record.change(tokens={**known, name: status})

    def forget(self) -> None:
        """Forget all of it (ClearCache)."""
        self._record.change(tokens={})

    def _requests(self, text: str) -> tuple[OcspRequest, ...]:
        try:
            return self._station.stapling.contract_requests(text)
        except Refused:
            return ()


def _folded(emaid: str) -> str:
    return emaid.replace("-", "").upper()
