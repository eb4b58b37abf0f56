"""Where certificates say that their status and their issuer's certificate are published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from voltroot.pki.profiles import Edition

if TYPE_CHECKING:
    from voltroot.pki.drafts import Issuer


@dataclass(frozen=True, slots=True)
class Places:
    """Where an operator publishes the status of its own CAs: addresses with {ca} and {shard} in them, "" for ours.

    {ca} is the first word of the CA's common name: CA05003 for CN=CA05003 DEV.
    """

    crl: str = ""
    ocsp: str = ""
    ca: str = ""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where certificates say that their status is published.

    ``base`` is the public address without a trailing slash; CRLs of a CA come in ``shards`` parts. ``places`` has
    other addresses for the CAs of an edition.
    """

    base: str
    shards: int = 16
    places: Mapping[Edition, Places] = field(default_factory=dict)

    def ocsp(self, issuer: Issuer | None) -> str:
        """The responder: one for all CAs of ours, it knows them by the hashes in the request."""
        return self._fill(issuer, self._places(issuer).ocsp) or f"{self.base}/ocsp"

    def crl(self, issuer: Issuer, shard: int) -> str:
        """The part of a CA's CRL that a certificate belongs to."""
        return self._fill(issuer, self._places(issuer).crl, shard) or f"{self.base}/crl/{issuer.slug}/{shard}.crl"

    def certificate(self, issuer: Issuer) -> str:
        """The CA's own certificate."""
        return self._fill(issuer, self._places(issuer).ca) or f"{self.base}/ca/{issuer.slug}.cer"

    def shard(self, serial: int) -> int:
        """The number of the part, from the last octet of the serial number."""
        return serial % self.shards

    def _places(self, issuer: Issuer | None) -> Places:
        return self.places.get(issuer.profile.edition, _OURS) if issuer is not None else _OURS

    @staticmethod
    def _fill(issuer: Issuer | None, address: str, shard: int = 0) -> str:
        if not address or issuer is None:
            return ""
        ca = (issuer.certificate.subject.get("CN") or issuer.slug).split()[0]
        return address.replace("{ca}", ca).replace("{shard}", str(shard))


_OURS = Places()
