"""Where EVerest's evse_security looks for what, and how it names what it writes."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from voltroot.actors.station.ports import CaKind, LeafKind
from voltroot.errors import NotFound, Refused

CERTIFICATES, KEYS = (".pem", ".der"), (".key", ".tkey")
PASSED_OVER = (".crt", ".cer")  # certificates elsewhere, and not for EVerest
OCSP = "ocsp"
# EVerest tells its files apart by these beginnings in its logs only: it finds them by what they hold.
LEAF_NAMES = {LeafKind.CSMS: "CSMS_LEAF_", LeafKind.V2G: "SECC_LEAF_"}
_count = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of a store: each of ``authorities`` is a bundle file or a folder, the others are folders.

    Keys may live apart from certificates. ``state`` is our own: the lock, and what a crash may leave to be finished.
    """

    authorities: Mapping[CaKind, Path]
    certificates: Mapping[LeafKind, Path]
    keys: Mapping[LeafKind, Path]
    state: Path

    @classmethod
    def everest(
        cls,
        root: Path,
        *,
        folders: bool = False,
        keys: Path | None = None,
        elsewhere: Mapping[CaKind, Path] | None = None,
    ) -> Layout:
        """Return EVerest's own layout below its certs folder.

        With ``folders`` CAs are files in folders, without they are bundles, but for folders that hold CAs already.
        ``keys`` puts keys below a folder apart; ``elsewhere`` says where CAs are instead.
        """
        bundles = {kind: root / f"ca/{kind.lower()}/{kind}_ROOT_CA.pem" for kind in CaKind}
        authorities = {kind: path.parent if folders else _found(path) for kind, path in bundles.items()}
        return cls(
            authorities=authorities | dict(elsewhere or {}),
            certificates={LeafKind.CSMS: root / "client/csms", LeafKind.V2G: root / "client/cso"},
            keys={LeafKind.CSMS: (keys or root) / "client/csms", LeafKind.V2G: (keys or root) / "client/cso"},
            state=root / ".voltroot",
        )

    def __post_init__(self) -> None:
        folders = {*self.certificates.values(), *self.keys.values()}
        if shared := folders & {*self.authorities.values()}:
            raise Refused(f"{shared.pop()} cannot hold CAs and the station's own certificates at once")


def leaf_place(kind: LeafKind) -> LeafKind:
    """Return the kind whose folder a kind lives in; NotFound for kinds that a station has no certificates of."""
    if kind in (LeafKind.MF, LeafKind.MO):
        raise NotFound(f"a station has no certificates of its own for {kind}")
    return LeafKind.CSMS if kind is LeafKind.CSMS else LeafKind.V2G


def stamp(now: datetime) -> str:
    """Return what makes a file's name unique, as EVerest writes it."""
    return f"{now:M%m_D%d_Y%Y_H%H_M%M_S%S}_i{next(_count)}_r{secrets.randbelow(1 << 31)}"


def _found(bundle: Path) -> Path:
    """Return the folder of a bundle that is not there, if certificates stand in that folder."""
    others = () if bundle.exists() else bundle.parent.glob("*")
    return bundle.parent if any(path.suffix in CERTIFICATES for path in others) else bundle
