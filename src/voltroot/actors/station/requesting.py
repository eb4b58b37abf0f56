"""Keys of the station, and the requests by which a CA certifies them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from voltroot.actors.station.outcomes import Requested, RequestStatus
from voltroot.actors.station.ports import OWN, CertificateStore, Key, LeafKind, Removal
from voltroot.actors.station.upkeep import Upkeep
from voltroot.errors import Failure, Refused, Unavailable
from voltroot.pki import certificates, csrs
from voltroot.pki.names import Name
from voltroot.pki.ports import Keyring
from voltroot.pki.profiles import Profile, require_suite
from voltroot.pki.suites import Signer, Suite

PROFILES = {LeafKind.V2G: "SECC_2", LeafKind.V2G20: "SECC_20", LeafKind.CSMS: "CHARGING_STATION"}


@dataclass(frozen=True, slots=True)
class KeyOrder:
    """A key with its certification request, please. Without a suite the profile's first one is used.

    ``in_keyring`` makes the key in the station's keyring, which may be a TPM or an HSM, and not in a file.
    """

    kind: LeafKind
    country: str
    organization: str
    common_name: str
    suite: Suite | None = None
    alternative_names: tuple[str, ...] = ()
    in_keyring: bool = False


class Requests:
    """Makes keys with their requests. ``reference`` returns the PEM by which OpenSSL finds a key of the keyring."""

    def __init__(
        self,
        store: CertificateStore,
        upkeep: Upkeep,
        profiles: Mapping[str, Profile],
        keyring: Keyring | None,
        reference: Callable[[str], str],
    ) -> None:
        self._store = store
        self._upkeep = upkeep
        self._profiles = profiles
        self._keyring = keyring
        self._reference = reference

    def make(self, order: KeyOrder) -> Requested:
        """Make a key and a request for its certificate; the key waits here for that."""
        if order.kind not in PROFILES:
            reason = f"a station has no certificate of its own for {order.kind}"
            return Requested(RequestStatus.INVALID_TYPE, reason=reason)
        try:
            profile = self._profile(order)
            suite = order.suite or profile.suites[0]
            require_suite(profile, suite)
            values = {"C": order.country, "O": order.organization, "DC": profile.dc, "CN": order.common_name}
            subject = Name.of([(part, value) for part in profile.shape if (value := values.get(part)) is not None])
        except Failure as failure:
            return Requested(RequestStatus.GENERATION_ERROR, reason=str(failure))
        try:
            key, signer = self._key(order, suite)
        except Failure as failure:
            return Requested(RequestStatus.KEY_ERROR, reason=str(failure))
        try:
            octets = csrs.make(profile, subject, signer, order.alternative_names)
        except (Failure, ValueError) as error:
            self.discard(key)
            return Requested(RequestStatus.GENERATION_ERROR, reason=str(error))
        self._upkeep.awaits(key)
        return Requested(RequestStatus.ACCEPTED, certificates.pem("CERTIFICATE REQUEST", octets), key)

    def discard(self, key: Key) -> None:
        """Take away a key that no certificate uses, for ever, once its device is there; Refused for one in use."""
        used = {leaf.certificate.key_hash for kind in OWN for leaf in self._store.leaves(kind).leaves}
        if key.key_hash in used:
            raise Refused(f"the key {key.path} belongs to an installed certificate")
        self._upkeep.remove(Removal(keys=[key]))

    def _profile(self, order: KeyOrder) -> Profile:
        """A request for cars with a key of ISO 15118-20 is one for -20."""
        of_20 = order.kind is LeafKind.V2G and order.suite in self._profiles[PROFILES[LeafKind.V2G20]].suites
        return self._profiles[PROFILES[LeafKind.V2G20 if of_20 else order.kind]]

    def _key(self, order: KeyOrder, suite: Suite) -> tuple[Key, Signer]:
        if not order.in_keyring:
            return self._store.create_key(order.kind, suite)
        if self._keyring is None:
            raise Unavailable("no keyring is configured: keys are made in files only")
        label = f"{order.kind.lower()}-leaf-{secrets.token_hex(8)}"
        try:
            public = self._keyring.create(label, suite)
            self._upkeep.sweep()
            spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            signer = self._keyring.signer(label)
            return self._store.refer_to_key(order.kind, label, spki, self._reference(label)), signer
        except Failure:
            # A device that goes while it makes a key may have made it.
            self._upkeep.unwanted(label)
            raise
