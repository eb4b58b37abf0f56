"""The folders of one kind of leaf: putting certificates, chains, keys and OCSP answers together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from voltroot.actors.station.ports import Fault, Key, Leaf, Leaves
from voltroot.pki.certificates import Certificate
from voltroot.pki.fingerprints import HashAlgorithm, HashData
from voltroot.store.certdir import keyfiles, pem
from voltroot.store.certdir.layout import CERTIFICATES, KEYS, OCSP
from voltroot.store.certdir.pem import Block
from voltroot.store.certdir.watch import Found, Watch

CertificateFile = Iterable[Block]
CertificateFiles = tuple[Found[CertificateFile], ...]
KeyFiles = tuple[Found[Key | Fault], ...]


def read_certificates(path: Path, octets: bytes | OSError) -> CertificateFile:
    """Return the certificates of a file."""
    if isinstance(octets, OSError):
        return (Block(0, 0, None, f"it cannot be read: {octets.strerror}"),)
    return pem.Blocks(octets)


def faults_in(files: CertificateFiles) -> Iterator[Fault]:
    """Yield what cannot be used of files."""
    for file in files:
        for text in dict.fromkeys(block.fault for block in file.value or () if block.certificate is None):
            yield Fault(file.path, text)


def certificates_in(file: Found[CertificateFile]) -> Iterator[Certificate]:
    """Yield the certificates of a file that can be used."""
    return (block.certificate for block in file.value or () if block.certificate is not None)


def is_pem(file: Found[CertificateFile]) -> bool:
    """Whether OpenSSL and EVerest can read the certificates of a file."""
    return not (isinstance(file.value, pem.Blocks) and file.value.is_der)


class LeafFolder:
    """The certificates, keys and OCSP answers of one kind, read again where they have changed."""

    def __init__(self, certificates: Path, keys: Path, password: bytes | None, restat: float) -> None:
        self.certificates = Watch(certificates, CERTIFICATES, read_certificates, restat=restat)
        self.keys: Watch[Key | Fault] = Watch(
            keys, KEYS, lambda path, octets: keyfiles.read(path, octets, password), deep=True, restat=restat
        )
        self.answers = Watch(certificates / OCSP, (".hash",), _read_hash, restat=restat)
        self._made: tuple[object, object, Leaves] = (None, None, Leaves())

    @property
    def watches(self) -> tuple[Watch[CertificateFile], Watch[Key | Fault], Watch[HashData | None]]:
        """All that is looked at."""
        return self.certificates, self.keys, self.answers

    def leaves(self, files: CertificateFiles, keys: KeyFiles) -> Leaves:
        """Return what was seen, put together; the same value for as long as it is the same."""
        made = self._made
        if made[0] is not files or made[1] is not keys:
            made = self._made = files, keys, _assemble(files, keys)
        return made[2]


def _assemble(files: CertificateFiles, key_files: KeyFiles) -> Leaves:
    keys = [key for file in key_files if (key := file.value) is not None]
    usable = {key.key_hash: key for key in reversed(keys) if isinstance(key, Key)}
    faults = [*faults_in(files)]
    firsts: dict[Certificate, list[tuple[Found[CertificateFile], list[Certificate]]]] = {}
    others: dict[bytes, Certificate] = {}
    for file in files:
        found = [*certificates_in(file)]
        others |= {each.der: each for each in found if each.is_ca}
        if found and not found[0].is_ca:
            firsts.setdefault(found[0], []).append((file, found))
        elif any(not each.is_ca for each in found):
            text = "its first certificate is a CA's: the leaf has to come first, and then each one's issuer"
            faults.append(Fault(file.path, text))
    return Leaves(
        leaves=tuple(_leaf(first, places, usable.get(first.key_hash)) for first, places in firsts.items()),
        others=tuple(others.values()),
        keys=tuple(usable.values()),
        faults=tuple(faults),
        key_faults=tuple(key for key in keys if isinstance(key, Fault)),
    )


def _leaf(
    first: Certificate, places: Sequence[tuple[Found[CertificateFile], list[Certificate]]], key: Key | None
) -> Leaf:
    chains = [(file.path, found) for file, found in places if len(found) > 1]
    singles = [file.path for file, found in places if len(found) == 1 and is_pem(file)]
    return Leaf(
        certificate=first,
        chain=tuple(chains[0][1]) if chains else (first,),
        single_file=singles[0] if singles else None,
        chain_file=chains[0][0] if chains else None,
        key=key,
        files=tuple(file.path for file, _ in places),
    )


def _read_hash(path: Path, octets: bytes | OSError) -> HashData | None:
    if isinstance(octets, OSError):
        return None
    try:
        algorithm, name, key, serial = octets.decode("ascii").split()
        return HashData(HashAlgorithm(algorithm), name, key, serial)
    except ValueError:
        return None


def write_hash(about: HashData) -> bytes:
    """Return the four lines that say whom an OCSP answer is about."""
    lines = (about.algorithm.value, about.issuer_name_hash, about.issuer_key_hash, about.serial_number)
    return "".join(f"{line}\n" for line in lines).encode()
