"""How the Secondary Actor API says what went wrong: HTTP status and message."""

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

INTERNAL = "internal error: the service could not do its work, try again later"


def answer(failure: Failure) -> tuple[int, str]:
    """Return the HTTP status and the message of a Failure; 405 is the only error code that the manual names."""
    match failure:
        case TooLarge():
            return 413, str(failure)
        case MissingField() | Malformed():
            return 405, str(failure)
        case SubjectMismatch() | ProofFailed() | UnsupportedSuite() | KeyReused() | NameTaken() | PolicyViolation():
            return 200, str(failure)
        case Untrusted() | Forbidden() | RateLimited() | Refused() | NotFound():
            return 200, str(failure)
        case Unavailable():
            return 500, INTERNAL
    return 500, INTERNAL
