"""Everything that can go wrong on purpose: a raised Failure is an answer, not an accident."""

from __future__ import annotations


class Failure(Exception):
    """An answer that says no; its text is for the person who asked and says what to do."""


class Malformed(Failure):
    """The request cannot be read."""


class MissingField(Malformed):
    """A member of the request is absent, empty or of the wrong type."""

    def __init__(self, member: str, why: str) -> None:
        super().__init__(f"{member}: {why}")
        self.member = member


class Refused(Failure):
    """The request is readable, but the answer is no."""


class SubjectMismatch(Refused):
    """The subject asked for disagrees with what the request says elsewhere."""


class KeyReused(Refused):
    """The public key was certified before."""


class NameTaken(Refused):
    """A valid certificate holds the name."""


class ProofFailed(Refused):
    """The requester does not prove possession of the private key."""


class Untrusted(Refused):
    """A certificate or its chain is not trusted where that is a condition."""


class UnsupportedSuite(Refused):
    """The key or signature algorithm is not one that the profile allows."""


class PolicyViolation(Refused):
    """A draft breaks a rule of its profile; nothing was signed."""


class Forbidden(Refused):
    """The caller may not do this."""


class TooLarge(Refused):
    """The request exceeds a limit."""


class RateLimited(Refused):
    """The caller asks too often."""


class NotFound(Failure):
    """What was asked for is not on record."""


class Unavailable(Failure):
    """A key, a database or a peer does not answer."""
