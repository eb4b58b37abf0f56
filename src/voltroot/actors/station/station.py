"""The charging station: what it trusts, and what it shows to cars and to the CSMS."""

from __future__ import annotations

import binascii
import itertools
from base64 import b64decode
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives import hashes

from voltroot.actors.station import admission, inventory, removal
from voltroot.actors.station.choosing import Assessor, Wish, is_of_20
from voltroot.actors.station.outcomes import (
    Candidate,
    DeleteStatus,
    Deletion,
    Fitness,
    Installation,
    Installed,
    InstallStatus,
    LeafAnswer,
    LeafInfo,
    LeafStatus,
    Listing,
    Verification,
    VerifyStatus,
)
from voltroot.actors.station.ports import (
    AUTHORITY_OF,
    Authorities,
    CaKind,
    CertificateStore,
    LeafKind,
    Leaves,
    Removal,
    is_root,
)
from voltroot.actors.station.requesting import Requests
from voltroot.actors.station.stapling import Stapling
from voltroot.actors.station.upkeep import Rules, Upkeep
from voltroot.errors import Failure, Unavailable
from voltroot.pki import suites
from voltroot.pki.certificates import Certificate
from voltroot.pki.chains import Inputs, Purpose
from voltroot.pki.fingerprints import HashData
from voltroot.pki.ports import Clock, Keyring
from voltroot.pki.profiles import Profile
from voltroot.pki.suites import Suite


class Station:
    """The commands of EVerest's evse_security. Safe among threads; several may share a store.

    What is refused is a value with its reason; Unavailable says that the store cannot be read. ``stapling`` has what
    concerns OCSP, ``requests`` the keys, ``upkeep`` garbage and changes.
    """

    def __init__(
        self,
        store: CertificateStore,
        profiles: Mapping[str, Profile],
        now: Clock,
        *,
        rules: Rules | None = None,
        keyring: Keyring | None = None,
        reference: Callable[[str], str] = lambda label: "",
        upkeep: Upkeep | None = None,
    ) -> None:
        self.store = store
        self.now = now
        self.rules = rules or Rules()
        self.upkeep = upkeep or Upkeep(store, self.rules, keyring=keyring)
        # Of CAs that are trusted though they have not issued themselves.
        self.anchors: dict[CaKind, Callable[[], Collection[Certificate]]] = {}
        self.stapling = Stapling(store, now)
        self.requests = Requests(store, self.upkeep, profiles, keyring, reference)
        self._assessor = Assessor(self.rules.policy)

    def at(self, moment: datetime) -> Station:
        """Return the same station at another moment."""
        other = copy(self)
        other.now = lambda: moment
        return other

    # CAs

    def install_ca(self, text: str, kind: CaKind) -> Installation:
        """Install the CA certificate of a PEM text; one that is there already is accepted."""
        try:
            given = admission.read_certificates(text)
        except Failure as failure:
            return Installation(InstallStatus.INVALID_FORMAT, str(failure))
        if len(given) > 1:
            reason = f"there are {len(given)} certificates: give one CA at a time"
            return Installation(InstallStatus.INVALID_FORMAT, reason)
        place = self.store.authorities(kind)
        refused = admission.objection_to_ca(given[0], place, self.now())
        if refused is None and given[0] not in place.certificates:
            refused = self._full(1, len(text))
        return refused or self._installed(lambda: self.store.add_authority(kind, given[0]))

    def is_ca_installed(self, kind: CaKind) -> bool:
        """Whether there is a root of a kind that is valid now."""
        now = self.now()
        found = itertools.chain(self._anchors(kind), filter(is_root, self.store.each_authority(kind)))
        return any(each.not_before <= now <= each.not_after for each in found)

    def roots(self, kind: CaKind) -> tuple[Certificate, ...]:
        """Return the CAs of a kind that are trusted, whether they are valid now or not."""
        return (*self.store.authorities(kind).roots, *self._anchors(kind))

    def verify_location(self, kind: CaKind) -> Path | None:
        """Return the bundle, or the folder with its hash links, that OpenSSL verifies peers with."""
        return self.store.location(kind)

    def verify_file(self, kind: CaKind) -> Path | None:
        """Return a file with the CAs of a kind: the bundle, or of a folder the one of the first root that is valid."""
        location = self.store.location(kind)
        if location is None or location.is_file():
            return location
        now = self.now()
        valid = (each for each in self.store.authorities(kind).roots if each.not_before <= now <= each.not_after)
        return next((path for each in valid if (path := self.store.file_of(kind, each))), None)

    # The station's own certificates

    def update_leaf(self, text: str, kind: LeafKind) -> Installation:
        """Install a certificate of the station, leaf first and then those above it in any order; its key is here."""
        if kind in (LeafKind.MF, LeafKind.MO):
            return Installation(InstallStatus.WRITE_ERROR, f"a station has no certificate of its own for {kind}")
        try:
            given = admission.read_certificates(text)
        except Failure as failure:
            return Installation(InstallStatus.INVALID_FORMAT, str(failure))
        inputs = replace(admission.INPUTS[kind], strict=self.rules.strict)
        place, anchors = self.store.authorities(AUTHORITY_OF[kind]), self._anchors(AUTHORITY_OF[kind])
        if not place.roots and not anchors:
            reason = f"no root is installed for {AUTHORITY_OF[kind]}: install it first"
            return Installation(InstallStatus.NO_ROOT, reason)
        verification = admission.verify(given, place, self.now(), inputs, anchors)
        if verification.status is not VerifyStatus.VALID:
            return admission.to_installation(verification)
        if kind is LeafKind.V2G20 and not is_of_20(given[0]):
            return Installation(InstallStatus.INVALID_CHAIN, "its key is not of ISO 15118-20: P-521 or Ed448")
        standing = self.store.leaves(kind)
        if standing.key_of(given[0]) is None:
            reason = "no private key of it is here: the certificate answers no request that was made here"
            return Installation(InstallStatus.WRITE_ERROR, reason)
        path = admission.arrange(given, place)
        is_new = all(leaf.certificate != given[0] for leaf in standing.leaves)
        refused = self._full(len(path) + 1, len(text)) if is_new else None
        return refused or self._installed(lambda: self.store.add_leaf(kind, path))

    def leaf(
        self, kind: LeafKind, *, holder: str | None = None, suite: Suite | None = None, include_ocsp: bool = False
    ) -> LeafAnswer:
        """Return the certificate to be used now, with its key; of several EVSEs the one named by ``holder``."""
        if kind in (LeafKind.MF, LeafKind.MO):
            return LeafAnswer(LeafStatus.REJECTED, reason=f"a station has no certificate of its own for {kind}")
        wish = Wish(kind, holder, suite)
        best = self._assessor.best(wish, *self._own(kind), self.now())
        return self._accepted(kind, [best], include_ocsp) if best else self._refused(wish)

    def all_leaves(self, kind: LeafKind, *, include_ocsp: bool = False) -> LeafAnswer:
        """Return the certificates that can be used now: the best for each root, kind of key and name."""
        if kind in (LeafKind.MF, LeafKind.MO):
            return LeafAnswer(LeafStatus.REJECTED, reason=f"a station has no certificate of its own for {kind}")
        found = self._assessor.one_of_each(Wish(kind), *self._own(kind), self.now())
        return self._accepted(kind, found, include_ocsp) if found else self._refused(Wish(kind))

    def candidates(self, wish: Wish) -> list[Candidate]:
        """Return every certificate of a kind with what it is good for now, the best first."""
        return self._assessor.candidates(wish, *self._own(wish.kind), self.now())

    def der_file(self, kind: LeafKind, info: LeafInfo) -> Path:
        """Return the file of a certificate in DER."""
        return self.store.der_file(kind, info.leaf.certificate)

    def pem_file(self, kind: LeafKind, info: LeafInfo) -> Path:
        """Return a file of a certificate alone in PEM."""
        return self.store.pem_file(kind, info.leaf.certificate)

    def expiry_days(self, kind: LeafKind) -> int:
        """Return how many whole days the certificate in use is still valid; 0 where there is none."""
        info = self.leaf(kind).info
        return max(0, (info.leaf.certificate.not_after - self.now()).days) if info else 0

    def verify(self, text: str, kinds: Sequence[LeafKind], purpose: Purpose | None = None) -> Verification:
        """Judge a chain, leaf first, against all roots of some kinds; a leaf may begin later, except for a purpose."""
        try:
            given = admission.read_certificates(text)
        except Failure as failure:
            return Verification(VerifyStatus.UNKNOWN, str(failure))
        place = self._places({AUTHORITY_OF[kind] for kind in kinds})
        if not place.roots:
            return Verification(VerifyStatus.ISSUER_NOT_FOUND, "no root is installed for any of these kinds")
        if purpose is not None and self.now() < given[0].not_before:
            return Verification(VerifyStatus.INVALID_CHAIN, "it is not valid yet: is the clock right?")
        return admission.verify(given, place, self.now(), Inputs(purpose=purpose))

    def verify_file_signature(self, path: Path, text: str, signature: str) -> bool:
        """Tell whether a signature in base64 over a file holds under the key of a certificate in PEM, with SHA-256."""
        try:
            (signer,) = admission.read_certificates(text)
            key, octets = signer.public_key, b64decode(signature, validate=True)
            return suites.verify(key, octets, path.read_bytes(), hashes.SHA256())
        except (Failure, ValueError, binascii.Error, OSError):
            return False

    # What is installed, and taking it away

    def installed(self, listings: Sequence[Listing]) -> list[Installed]:
        """Return what is installed of some types, expired certificates as well: they can be deleted."""
        found: list[Installed] = []
        for listing in listings:
            if listing is Listing.V2G_CHAIN:
                place = self.store.authorities(CaKind.V2G)
                found += inventory.installed_chains(self.store.leaves(LeafKind.V2G), place)
            else:
                found += inventory.installed_roots(listing, self.store.authorities(inventory.LISTINGS[listing]))
        return found

    def count(self, listings: Sequence[Listing]) -> int:
        """Return how many certificates stand in the files of some types, as EVerest counts them."""
        places = (LeafKind.V2G if each is Listing.V2G_CHAIN else inventory.LISTINGS[each] for each in listings)
        return sum(map(self.store.count, places))

    def delete(self, given: HashData) -> Deletion:
        """Delete a CA with those below it, wherever it is installed; or else a leaf with its chain, key and OCSP."""
        authorities = removal.authorities_named(given, self.store)
        if authorities:
            return self._deleted(Removal(authorities=authorities), tuple(authorities))
        if removal.leaves_named(given, LeafKind.CSMS, self.store):
            reason = "the certificate that the CSMS knows the station by cannot be deleted (OCPP M04.FR.06)"
            return Deletion(DeleteStatus.FAILED, (LeafKind.CSMS,), reason)
        leaves = removal.leaves_named(given, LeafKind.V2G, self.store)
        if not leaves:
            return Deletion(DeleteStatus.NOT_FOUND, (), "no certificate here has these hashes and this serial number")
        return self._deleted(removal.of_leaves(leaves, self.store), (LeafKind.V2G,))

    # What they have in common

    def _anchors(self, kind: CaKind) -> Collection[Certificate]:
        return self.anchors[kind]() if kind in self.anchors else ()

    def _own(self, kind: LeafKind) -> tuple[Leaves, Authorities]:
        return self.store.leaves(kind), self.store.authorities(AUTHORITY_OF[kind])

    def _accepted(self, kind: LeafKind, chosen: Sequence[Candidate], include_ocsp: bool) -> LeafAnswer:
        return LeafAnswer(LeafStatus.ACCEPTED, tuple(self._info(kind, each, include_ocsp) for each in chosen))

    def _refused(self, wish: Wish) -> LeafAnswer:
        """Say which of the candidates comes nearest, and what is wrong with each."""
        candidates = tuple(self.candidates(wish))
        if not candidates:
            faults = "".join(f"; {path}: {text}" for path, text in self.store.leaves(wish.kind).faults)
            return LeafAnswer(LeafStatus.NOT_FOUND, reason=f"no certificate is installed{faults}")
        keyless = any(each.fitness is Fitness.NO_KEY for each in candidates)
        status = LeafStatus.PRIVATE_KEY_NOT_FOUND if keyless else LeafStatus.NOT_FOUND_VALID
        reason = "; ".join(f"{each.leaf.certificate.subject}: {each.text}" for each in candidates)
        return LeafAnswer(status, (), candidates, reason)

    def _info(self, kind: LeafKind, candidate: Candidate, include_ocsp: bool) -> LeafInfo:
        leaf, path = candidate.leaf, candidate.path
        assert leaf.key is not None, "without a key it was not chosen"
        return LeafInfo(
            key=leaf.key,
            single=leaf.single_file,
            chain=leaf.chain_file,
            certificate_count=len(leaf.chain),
            root=path[-1] if is_root(path[-1]) else None,
            ocsp=self.stapling.of(kind, path) if include_ocsp else (),
            leaf=leaf,
        )

    def _places(self, kinds: Collection[CaKind]) -> Authorities:
        """Return what several places hold as if it stood in one."""
        if len(kinds) == 1:
            return self.store.authorities(*kinds)
        found = (each for kind in CaKind if kind in kinds for each in self.store.authorities(kind).certificates)
        return Authorities(tuple(dict.fromkeys(found)))

    def _full(self, certificates: int, octets: int) -> Installation | None:
        if self.upkeep.make_room(certificates, octets, self.now()):
            return None
        rules = self.rules
        reason = f"the store is full: {rules.most_certificates} certificates or {rules.most_octets} octets; delete some"
        return Installation(InstallStatus.FULL, reason)

    def _installed(self, install: Callable[[], None]) -> Installation:
        try:
            install()
        except Unavailable as failure:
            return Installation(InstallStatus.WRITE_ERROR, str(failure))
        self.upkeep.notice()
        return Installation(InstallStatus.ACCEPTED)

    def _deleted(self, going: Removal, kinds: tuple[CaKind | LeafKind, ...]) -> Deletion:
        try:
            self.upkeep.remove(going)
        except Unavailable as failure:
            return Deletion(DeleteStatus.FAILED, kinds, str(failure))
        self.upkeep.notice()
        return Deletion(DeleteStatus.ACCEPTED, kinds)
