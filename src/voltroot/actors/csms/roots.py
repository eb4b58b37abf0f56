"""What may be sent to a station as a root, before it is (M05)."""

from __future__ import annotations

from datetime import datetime

from voltroot.actors.csms.stations import Station
from voltroot.errors import Forbidden, Malformed, Refused, TooLarge
from voltroot.pki.certificates import Certificate, read_pem
from voltroot.pki.profiles import CERTIFY

# Whoever can put one of these into a station decides whom it believes: not over a line that anybody may write on.
GUARDED = frozenset({"CSMSRootCertificate", "V2GRootCertificate"})


def require_root(text: str, moment: datetime, longest: int) -> Certificate:
    """Return the one root that a text in PEM holds, or raise a Failure: what is no root can never be removed again."""
    root = read_one(text)
    if len(text) > longest:
        raise TooLarge(f"the certificate has {len(text)} characters, OCPP carries {longest}")
    if not root.self_issued or not root.signed_by(root.public_key):
        raise Refused(f"{root.subject} is no root: another CA has signed it")
    if not root.is_ca or not (root.key_usage is None or root.key_usage & CERTIFY):
        raise Refused(f"{root.subject} is not a CA")
    if not root.not_before <= moment <= root.not_after:
        raise Refused(f"{root.subject} is valid from {root.not_before:%Y-%m-%d} to {root.not_after:%Y-%m-%d} only")
    return root


def read_one(text: str) -> Certificate:
    """Return the one certificate that a text in PEM holds."""
    blocks = [octets for label, octets in read_pem(text) if label == "CERTIFICATE"]
    if len(blocks) != 1:
        raise Malformed(f"the file holds {len(blocks)} certificates: give one at a time")
    return Certificate.read(blocks[0])


def require_place(station: Station, kind: str, installed: int, *, guarded: bool) -> None:
    """Raise a Failure where a station should not be sent a root at all; it has ``installed`` certificates."""
    if guarded and kind in GUARDED and station.profile == 1:
        raise Forbidden(f"{station.identity} has security profile 1: a {kind} is not sent without TLS")
    if station.most_certificates is not None and installed >= station.most_certificates:
        raise Refused(f"{station.identity} has {installed} certificates and takes no more: delete one first")
