"""OCSP answers as files hold them: those that say something, and those that only say why they do not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from voltroot.cli.inspection.shapes import parts, reads, want
from voltroot.errors import Malformed
from voltroot.pki import answers, der
from voltroot.pki.answers import Answer


class OcspStatus(IntEnum):
    """How the responder fared (RFC 6960 4.2.1)."""

    SUCCESSFUL = 0
    MALFORMED_REQUEST = 1
    INTERNAL_ERROR = 2
    TRY_LATER = 3
    SIG_REQUIRED = 5
    UNAUTHORIZED = 6


@dataclass(frozen=True, slots=True)
class OcspAnswer:
    """An OCSP response; only a successful one has a body."""

    status: OcspStatus
    body: Answer | None


@reads("an OCSP answer")
def read_ocsp_answer(octets: bytes) -> OcspAnswer:
    """Read an OCSPResponse in DER, or raise Malformed."""
    fields = parts(der.read(octets))
    status = OcspStatus(der.read_integer(want(fields, der.ENUMERATED).content))
    if status is OcspStatus.SUCCESSFUL:
        return OcspAnswer(status, answers.read(octets))
    if fields:
        raise Malformed("it claims failure and holds an answer")
    return OcspAnswer(status, None)
