"""The links by which OpenSSL finds certificates in a folder, named by a hash of the subject as its rehash does."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from voltroot.pki import der
from voltroot.pki.certificates import Certificate
from voltroot.pki.der import Element

LINK = re.compile(r"[0-9a-f]{8}\.[0-9]+")
# OpenSSL turns these strings into UTF-8 in lower case with single spaces before it hashes (X509_NAME_hash).
_CODECS = {0x0C: "utf-8", 0x13: "ascii", 0x14: "latin-1", 0x16: "ascii", 0x1A: "ascii", 0x1C: "utf-32-be"}
_CODECS |= {0x1E: "utf-16-be"}
_UPPER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_SPACES = re.compile(r"[ \t\n\v\f\r]+")


def subject_hash(certificate: Certificate) -> str:
    """Return what ``openssl x509 -subject_hash`` prints."""
    rdns = der.children(der.read(certificate.subject_der).content)
    canonical = b"".join(der.set_of(*map(_pair, der.children(rdn.content))) for rdn in rdns)
    digest = hashlib.sha1(canonical, usedforsecurity=False).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}"


def wanted(files: Iterable[tuple[str, Certificate]]) -> dict[str, str]:
    """Return the links that a folder should have, each with its target, for files of one certificate."""
    links: dict[str, str] = {}
    counts: dict[str, int] = {}
    seen = set()
    for name, certificate in files:
        if certificate.der in seen:
            continue
        seen.add(certificate.der)
        hashed = subject_hash(certificate)
        number = counts[hashed] = counts.get(hashed, -1) + 1
        links[f"{hashed}.{number}"] = name
    return links


def refresh(folder: Path, links: dict[str, str]) -> None:
    """Make a folder's hash links the wanted ones; a link of the same name is replaced at once."""
    standing = {entry.name: entry for entry in os.scandir(folder) if LINK.fullmatch(entry.name) and entry.is_symlink()}
    for name, target in links.items():
        entry = standing.pop(name, None)
        if entry is None or os.readlink(entry.path) != target:  # noqa: PTH115 - the target as it is written
            new = folder / f".{name}.voltroot-new"
            new.unlink(missing_ok=True)
            new.symlink_to(target)
            new.replace(folder / name)
    for name in standing:
        (folder / name).unlink(missing_ok=True)


def _pair(pair: Element) -> bytes:
    kind, value = der.children(pair.content)
    try:
        text = value.content.decode(_CODECS[value.tag])
    except (KeyError, UnicodeDecodeError):
        return pair.whole
    text = _SPACES.sub(" ", text.strip(" \t\n\v\f\r")).translate(_UPPER)
    return der.sequence(kind.whole, der.tlv(der.UTF8_STRING, text.encode()))
