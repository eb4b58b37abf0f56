"""How the operators' API says what went wrong: problem details (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus

import msgspec

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

PROBLEM = "application/problem+json"
INTERNAL = "the service could not do its work: try again later"

# A class that is not here is answered as the nearest one above it.
STATUSES: dict[type[Failure], HTTPStatus] = {
    Malformed: HTTPStatus.BAD_REQUEST,
    MissingField: HTTPStatus.BAD_REQUEST,
    ProofFailed: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    NameTaken: HTTPStatus.CONFLICT,
    KeyReused: HTTPStatus.CONFLICT,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Refused: HTTPStatus.UNPROCESSABLE_ENTITY,
    SubjectMismatch: HTTPStatus.UNPROCESSABLE_ENTITY,
    UnsupportedSuite: HTTPStatus.UNPROCESSABLE_ENTITY,
    PolicyViolation: HTTPStatus.UNPROCESSABLE_ENTITY,
    Untrusted: HTTPStatus.UNPROCESSABLE_ENTITY,
    RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    Failure: HTTPStatus.INTERNAL_SERVER_ERROR,
}


def status(failure: Failure) -> HTTPStatus:
    """Return the HTTP status of a Failure."""
    return next(STATUSES[kind] for kind in type(failure).__mro__ if kind in STATUSES)


def problem(code: HTTPStatus, detail: str) -> bytes:
    """Return a problem's details; of what is our own fault nothing is told."""
    told = detail if code < HTTPStatus.INTERNAL_SERVER_ERROR else INTERNAL
    return msgspec.json.encode({"type": "about:blank", "title": code.phrase, "status": code.value, "detail": told})
