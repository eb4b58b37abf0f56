"""How OCPP says what went wrong: a status with a reason where the message has one, a CALLERROR where it has not."""

from __future__ import annotations

from voltroot.errors import (
    Failure,
    Forbidden,
    KeyReused,
    Malformed,
    MissingField,
    NameTaken,
    NotFound,
    PolicyViolation,
    ProofFailed,
    RateLimited,
    Refused,
    SubjectMismatch,
    TooLarge,
    Unavailable,
    UnsupportedSuite,
    Untrusted,
)
from voltroot.ocppj.frames import Code, Payload

LONGEST_REASON, LONGEST_INFO = 20, 512


def reason(failure: Failure, unusable: str) -> str:
    """Return the reasonCode of a Failure (OCPP 2.0.1 appendix 5; the list is open).

    ``unusable`` is that of what came and cannot be used.
    """
    match failure:
        case TooLarge():
            return "TooLargeElement"
        case MissingField():
            return "MissingParam"
        case Malformed() | ProofFailed() | UnsupportedSuite() | SubjectMismatch() | KeyReused() | PolicyViolation():
            return unusable
        case NameTaken() | Forbidden():
            return "NotEnabled"
        case RateLimited():
            return "Unspecified"
        case Untrusted():
            return "InvalidCertificate"
        case NotFound():
            return "NotFound"
        case Refused():
            return "InvalidValue"
        case Unavailable():
            return "InternalError"
    return "Unspecified"


def status_info(failure: Failure, unusable: str = "InvalidValue") -> Payload:
    """Return the statusInfo of a message that says no."""
    return {"reasonCode": reason(failure, unusable), "additionalInfo": str(failure)[:LONGEST_INFO]}


def code(failure: Failure) -> Code:
    """Return the code of a CALLERROR."""
    match failure:
        case MissingField():
            return Code.OCCURRENCE_CONSTRAINT_VIOLATION
        case Malformed():
            return Code.FORMAT_VIOLATION
        case Forbidden() | Untrusted() | ProofFailed():
            return Code.SECURITY_ERROR
        case NotFound():
            return Code.NOT_SUPPORTED
        case Unavailable():
            return Code.INTERNAL_ERROR
    return Code.GENERIC_ERROR
