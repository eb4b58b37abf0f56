"""How the station's local door says what went wrong: an HTTP status."""

from __future__ import annotations

from voltroot.errors import Failure, Malformed, NotFound, Refused, TooLarge, Unavailable


def status(failure: Failure) -> int:
    """Return the status of a Failure."""
    match failure:
        case TooLarge():
            return 413
        case Malformed():
            return 400
        case NotFound():
            return 404
        case Unavailable():
            return 503
        case Refused():
            return 409
    return 500
