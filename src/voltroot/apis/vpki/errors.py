"""How the vPKI API says what went wrong: one table of HTTP status and text."""

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

INTERNAL = "Internal Server Error"
ALREADY_REVOKED = "already revoked"
OTHER_REQUEST = "this Idempotency-Key was sent before with another request: use a new one"
IN_PROGRESS = "the request with this Idempotency-Key is being worked on: repeat it"

# {} is what the Failure says. A class that is not here is answered as the nearest one above it.
ANSWERS: dict[type[Failure], tuple[int, str]] = {
    Malformed: (400, "{}"),
    MissingField: (400, "{}"),
    KeyReused: (403, "Same key already used"),
    NameTaken: (403, "Valid certificate exists on this DN. Please reissue."),
    Forbidden: (403, ""),
    NotFound: (404, "{}"),
    Refused: (406, "{}"),
    SubjectMismatch: (406, "{}"),
    UnsupportedSuite: (406, "CSR Key Error: {}"),
    ProofFailed: (406, "CSR Signature Error: {}"),
    PolicyViolation: (406, "Policy Error: {}"),
    Untrusted: (406, "{}"),
    TooLarge: (413, "{}"),
    RateLimited: (429, "{}"),
    Unavailable: (500, INTERNAL),
    Failure: (500, INTERNAL),
}


def answer(failure: Failure) -> tuple[int, str]:
    """Return the HTTP status and the message of a Failure; without a message nothing at all is said."""
    status, text = next(ANSWERS[kind] for kind in type(failure).__mro__ if kind in ANSWERS)
    return status, text.replace("{}", str(failure))
