"""How Josev is told what went wrong: there is one word for it."""

from __future__ import annotations

from voltroot.apis.josev.wire import Status
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


def status(failure: Failure) -> Status:
    """Return the status of a response to generate_csr."""
    match failure:
        case MissingField() | Malformed() | TooLarge():
            return Status.REJECTED
        case SubjectMismatch() | ProofFailed() | UnsupportedSuite() | KeyReused() | NameTaken() | PolicyViolation():
            return Status.REJECTED
        case Untrusted() | Forbidden() | RateLimited() | Refused() | NotFound():
            return Status.REJECTED
        case Unavailable():
            return Status.REJECTED
    return Status.REJECTED
