"""The store itself: consistent looks at the folders, and changes that happen as a whole."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from voltroot.actors.station.ports import OWN, Authorities, CaKind, KeptAnswer, Key, LeafKind, Leaves, Removal, Size
from voltroot.errors import Unavailable
from voltroot.pki import suites
from voltroot.pki.certificates import Certificate
from voltroot.pki.fingerprints import HashData
from voltroot.pki.ports import Clock
from voltroot.pki.suites import Signer, Suite
from voltroot.store.certdir import hashlinks, keyfiles, pem
from voltroot.store.certdir.changes import SECRET, Journal, Lock, Write, clear, make_folder
from voltroot.store.certdir.layout import CERTIFICATES, LEAF_NAMES, OCSP, PASSED_OVER, Layout, leaf_place, stamp
from voltroot.store.certdir.leaffolder import (
    CertificateFile,
    LeafFolder,
    certificates_in,
    faults_in,
    is_pem,
    read_certificates,
    write_hash,
)
from voltroot.store.certdir.watch import RESTAT, Found, Stamp, Watch

Place = Watch[CertificateFile]
LEAF = "leaf"  # where copies of the station's own certificates are, beside those of CAs


class CertificateFolder:
    """A ``CertificateStore`` in the layout of EVerest. ``password`` encrypts new keys and opens those that are."""

    def __init__(self, layout: Layout, now: Clock, *, password: bytes | None = None, restat: float = RESTAT) -> None:
        self.layout = layout
        self._now = now
        self._password = password
        self._lock = Lock(layout.state / "lock")
        self._journal = Journal(layout.state / "journal")
        self._places = {
            kind: Place(path.resolve(), CERTIFICATES, read_certificates, restat=restat)
            for kind, path in layout.authorities.items()
        }
        self._folders = {
            kind: LeafFolder(folder, layout.keys[kind], password, restat)
            for kind, folder in layout.certificates.items()
        }
        self._authorities: dict[CaKind, tuple[object, Authorities]] = {}
        self._links: dict[CaKind, tuple[object, Stamp | None]] = {}

    # Reading

    def authorities(self, kind: CaKind) -> Authorities:
        """Return the CA certificates of a kind."""
        (files,) = self._see(self._places[kind])
        known = self._authorities.get(kind)
        if known is None or known[0] is not files:
            found = {each: None for file in files for each in certificates_in(file)}
            known = self._authorities[kind] = files, Authorities(tuple(found), tuple(faults_in(files)))
        return known[1]

    def each_authority(self, kind: CaKind) -> Iterator[Certificate]:
        """Yield the CA certificates of a kind while they are read."""
        place = self._places[kind]
        if self._journal.is_there:
            self._see(place)
        for file in place.look():
            yield from certificates_in(file)

    def leaves(self, kind: LeafKind) -> Leaves:
        """Return the station's own certificates of a kind."""
        folder = self._folders[leaf_place(kind)]
        certificates, keys, _ = self._see(*folder.watches)
        return folder.leaves(certificates, keys)

    def answers(self, kind: LeafKind) -> tuple[KeptAnswer, ...]:
        """Return the OCSP answers that are kept for the leaves of a kind."""
        folder = self._folders[leaf_place(kind)]
        _, _, files = self._see(*folder.watches)
        found = ((file.value, file.path.with_suffix(".der")) for file in files)
        return tuple(KeptAnswer(about, path) for about, path in found if about is not None and path.exists())

    def count(self, place: CaKind | LeafKind) -> int:
        """Return how many certificates stand in the files of a place, those that stand in two of them twice."""
        watch = self._places[place] if isinstance(place, CaKind) else self._folders[leaf_place(place)].certificates
        return _count(*self._see(watch))

    def size(self) -> Size:
        """Return how much the store holds; places that share a file count it once."""
        held = {watch.place: watch for watch in self._places.values()}
        held |= {folder.certificates.place: folder.certificates for folder in self._folders.values()}
        others = [watch for folder in self._folders.values() for watch in folder.watches[1:]]
        seen = self._see(*held.values(), *others)
        octets = {file.name: file.stamp[1] for files in seen for file in files}
        return Size(sum(_count(files) for files in seen[: len(held)]), sum(octets.values()))

    def file_of(self, kind: CaKind, certificate: Certificate) -> Path | None:
        """Return a file in PEM in which a CA certificate stands."""
        (files,) = self._see(self._places[kind])
        holding = [file for file in files if certificate in certificates_in(file)]
        found = next((file.path for file in holding if is_pem(file)), None)
        return found if found or not holding else self._kept([self._copy(kind, certificate)])[0]

    def location(self, kind: CaKind) -> Path | None:
        """Return what OpenSSL takes as CAfile or CApath, its hash links in order."""
        place = self._places[kind]
        (files,) = self._see(place)
        if not any(True for file in files for _ in certificates_in(file)):
            return None
        if place.is_folder:
            if self._links.get(kind) != (files, place.stamp):
                self._link(kind, place)
        elif not is_pem(files[0]):
            return self._kept([self._copy(kind, *certificates_in(files[0]))])[0]
        return place.place

    def passed_over(self) -> tuple[Path, ...]:
        """Return files that may hold certificates and are not looked at, because of their names."""
        bundles = {watch.place for watch in self._places.values()}
        folders = bundles | {folder.certificates.place for folder in self._folders.values()}
        found = {path for folder in folders if folder.is_dir() for path in folder.glob("*") if path not in bundles}
        return tuple(sorted(path for path in found if path.suffix in PASSED_OVER))

    # Writing

    def open(self) -> None:
        """Make the folders, finish what a crash has left, and clear away what it had not come to."""
        with self._changing():
            for folder in {*self.layout.certificates.values(), *self.layout.keys.values()}:
                make_folder(folder)
            for path in self.layout.authorities.values():
                make_folder(path.parent if path.suffix in CERTIFICATES else path, 0o755)
            places = {path if path.is_dir() else path.parent for path in self.layout.authorities.values()}
            answers = {folder / OCSP for folder in self.layout.certificates.values()}
            own = {*self.layout.certificates.values(), *self.layout.keys.values()}
            state = self.layout.state
            for folder in {*places, *answers, *own, state, state / "der", *state.glob("pem/*")}:
                clear(folder)

    def add_authority(self, kind: CaKind, certificate: Certificate) -> None:
        """Install a CA certificate; one that is there stays as it is."""
        with self._changing():
            if certificate in self.authorities(kind).certificates:
                return
            place = self._places[kind]
            if place.is_folder:
                path = place.place / f"{kind}_ROOT_{stamp(self._now())}.pem"
                self._journal.commit([Write(path, certificate.pem.encode())])
            else:
                octets = place.place.read_bytes() if place.place.exists() else b""
                self._journal.commit([Write(place.place, pem.joined(octets, certificate))])

    def add_leaf(self, kind: LeafKind, chain: Sequence[Certificate]) -> None:
        """Install a certificate with those above it, in two files as EVerest does; the same again is no change."""
        place = leaf_place(kind)
        with self._changing():
            here = self.leaves(place)
            if here.key_of(chain[0]) is None:
                raise Unavailable("the private key of the certificate is not here any more")
            standing = next((each for each in here.leaves if each.certificate == chain[0]), None)
            name, mark = LEAF_NAMES[place], stamp(self._now())
            folder = self.layout.certificates[place]
            writes = []
            if standing is None or standing.single_file is None:
                writes.append(Write(folder / f"{name}{mark}.pem", chain[0].pem.encode()))
            if len(chain) > 1 and (standing is None or standing.chain != tuple(chain)):
                path = standing.chain_file if standing else None
                path = path or folder / f"CPO_CERT_{name}CHAIN_{mark}.pem"
                writes.append(Write(path, "".join(each.pem for each in chain).encode()))
            self._journal.commit(writes)

    def create_key(self, kind: LeafKind, suite: Suite) -> tuple[Key, Signer]:
        """Make a private key in a file of its own."""
        key = suites.generate(suite)
        octets = keyfiles.write(key, self._password)
        return self._add_key(kind, ".key", octets, keyfiles.spki_of(key.public_key())), key

    def refer_to_key(self, kind: LeafKind, label: str, spki: bytes, reference: str = "") -> Key:
        """Note that a key lives in a keyring under a label."""
        return self._add_key(kind, ".tkey", keyfiles.write_reference(label, spki, reference), spki)

    def remove(self, removal: Removal) -> None:
        """Take all of it away, or nothing."""
        with self._changing():
            writes: list[Write] = []
            gone: list[Path] = []
            for kind, certificates in removal.authorities.items():
                place = self._places[kind]
                gone += [self._copy(kind, each).path for each in certificates]
                for file in self._see(place)[0]:
                    unwanted = [block for block in file.value or () if block.certificate in certificates]
                    if not unwanted:
                        continue
                    rest = pem.without(file.path.read_bytes(), unwanted)
                    if place.is_folder and not any(block.end for block in pem.blocks(rest)):
                        gone.append(file.path)
                    else:
                        writes.append(Write(file.path, rest))
            for leaf in removal.leaves:
                copies = self._copy(LEAF, leaf.certificate), self._copy_in_der(leaf.certificate)
                gone += [*leaf.files, *(copy.path for copy in copies)]
            staying = [leaf for kind in OWN for leaf in self.leaves(kind).leaves if leaf not in removal.leaves]
            used = {leaf.certificate.key_hash for leaf in staying}
            gone += [key.path for key in removal.keys if key.key_hash not in used]
            for answer in removal.answers:
                gone += [answer.path, answer.path.with_suffix(".hash")]
            unique = {write.path: write for write in writes}
            standing = [path for path in dict.fromkeys(gone) if path.exists() and path not in unique]
            self._journal.commit([*unique.values()], standing)

    def keep_answer(self, kind: LeafKind, about: HashData, octets: bytes) -> None:
        """Keep an OCSP answer in place of an older one about the same certificate."""
        with self._changing():
            same = (each.path for each in self.answers(kind) if each.about == about)
            folder = self.layout.certificates[leaf_place(kind)] / OCSP
            path = next(same, folder / f"{stamp(self._now())}_ocsp.der")
            self._journal.commit([Write(path, octets), Write(path.with_suffix(".hash"), write_hash(about))])

    def der_file(self, kind: LeafKind, certificate: Certificate) -> Path:
        """Return a file that holds the certificate in DER, apart from where EVerest would take it for PEM."""
        return self._kept([self._copy_in_der(certificate)])[0]

    def pem_file(self, kind: LeafKind, certificate: Certificate) -> Path:
        """Return a file of our own that holds the certificate alone in PEM, for one that was given in DER."""
        return self._kept([self._copy(LEAF, certificate)])[0]

    # Both

    def _see(self, *watches: Watch[Any]) -> list[tuple[Found[Any], ...]]:
        """Return the files of several places as of one moment: between two changes, never within one."""
        seen = [watch.files() for watch in watches]
        fresh = not self._journal.is_there and all(watch.is_fresh for watch in watches)
        # What another thread has seen meanwhile belongs to another moment.
        if fresh and all(watch.files() is files for watch, files in zip(watches, seen, strict=True)):
            return seen
        with self._lock.held(to_write=False) as held:
            if held:
                self._journal.finish()
            seen = [watch.look() for watch in watches]
            for files in seen:
                for file in files:
                    _ = file.value
            return seen

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._lock.held():
            self._journal.finish()
            yield

    def _link(self, kind: CaKind, place: Place) -> None:
        """Put the hash links of a folder in order, as far as the folder is ours to write."""
        with self._lock.held(to_write=False):
            files = place.look()
            # OpenSSL reads the first certificate of a file that a link leads to, and no other; and it reads PEM.
            held = [(file, [*certificates_in(file)]) for file in files]
            alone = [(file.path.name, found[0]) for file, found in held if len(found) == 1 and is_pem(file)]
            linked = {each for _, each in alone}
            others = dict.fromkeys(each for _, found in held for each in found if each not in linked)
            paths: list[str] = []
            # Where nothing is ours to write, those that stand alone can be found all the same.
            with suppress(Unavailable):
                copies = self._kept([self._copy(kind, each) for each in others])
                paths = [os.path.relpath(path, place.place) for path in copies]
            try:
                hashlinks.refresh(place.place, hashlinks.wanted((*alone, *zip(paths, others, strict=False))))
            except OSError as error:
                raise Unavailable(f"{place.place} cannot be given its hash links: {error.strerror}") from error
            self._links[kind] = place.look(), place.stamp

    def _add_key(self, kind: LeafKind, suffix: str, octets: bytes, spki: bytes) -> Key:
        place = leaf_place(kind)
        path = self.layout.keys[place] / f"{LEAF_NAMES[place]}{stamp(self._now())}{suffix}"
        with self._changing():
            self._journal.commit([Write(path, octets, SECRET)])
        key = keyfiles.read(path, octets, self._password)
        if not isinstance(key, Key):
            raise Unavailable(f"a key that was just written cannot be read back: {key.text}")
        return key

    def _kept(self, copies: Sequence[Write]) -> list[Path]:
        """Write those files of our own that are not there yet."""
        missing = [each for each in copies if not each.path.exists()]
        if missing:
            with self._changing():
                self._journal.commit(missing)
        return [each.path for each in copies]

    def _copy(self, place: str, certificate: Certificate) -> Write:
        path = self.layout.state / "pem" / place.lower() / f"{certificate.fingerprint.hex()}.pem"
        return Write(path, certificate.pem.encode())

    def _copy_in_der(self, certificate: Certificate) -> Write:
        return Write(self.layout.state / "der" / f"{certificate.fingerprint.hex()}.der", certificate.der)


def _count(files: tuple[Found[CertificateFile], ...]) -> int:
    return sum(1 for file in files for _ in certificates_in(file))
