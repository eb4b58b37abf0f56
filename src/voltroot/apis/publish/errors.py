"""How publishing says what went wrong: an HTTP status and a line of plain text."""

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

INTERNAL = "the service could not do its work, try again later"


def answer(failure: Failure) -> tuple[int, str]:
    """Return the HTTP status and the message of a Failure."""
    match failure:
        case MissingField() | Malformed():
            return 400, str(failure)
        case NotFound():
            return 404, str(failure)
        case TooLarge():
            return 413, str(failure)
        case RateLimited():
            return 429, str(failure)
        case Forbidden() | Untrusted() | ProofFailed():
            return 403, str(failure)
        case SubjectMismatch() | KeyReused() | NameTaken() | UnsupportedSuite() | PolicyViolation() | Refused():
            return 409, str(failure)
        case Unavailable():
            return 503, INTERNAL
    return 500, INTERNAL
