"""How EVerest's API says what went wrong: by a status where the reply has one, or else by silence."""

from __future__ import annotations

from voltroot.actors.station.outcomes import LeafStatus
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


def status(failure: Failure) -> LeafStatus | None:
    """Return the status of a reply to get_leaf_certificate_info; None where nothing is said."""
    match failure:
        case MissingField() | Malformed() | TooLarge():
            return None
        case NotFound():
            return LeafStatus.NOT_FOUND
        case Untrusted():
            return LeafStatus.NOT_FOUND_VALID
        case SubjectMismatch() | ProofFailed() | UnsupportedSuite() | KeyReused() | NameTaken() | PolicyViolation():
            return LeafStatus.REJECTED
        case Unavailable() | Forbidden() | RateLimited() | Refused():
            return LeafStatus.REJECTED
    return None
