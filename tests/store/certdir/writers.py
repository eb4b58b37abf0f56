"""The writes of a store as the tests of crashes run them: in processes of their own, which are killed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from charging import Charger, pem, root, stapled
from everest_cases import (
    BRANCH,
    Direct,
    bundles,
    folders,
    in_folders,
    key_waits,
    named,
    shared_bundle,
    two_leaves,
)
from pathing import DAY, NOW
from voltroot.actors.station.applications import Application
from voltroot.actors.station.outcomes import DeleteStatus, InstallStatus, Listing, RequestStatus
from voltroot.actors.station.ports import CaKind, LeafKind
from voltroot.actors.station.requesting import KeyOrder
from voltroot.store.applications import ApplicationFile
from voltroot.store.certdir import Layout

SECOND = BRANCH.another("SecondLeaf")


class Writing(NamedTuple):
    """One kind of write: the places, what stands there before it, and the write itself: whether it was done."""

    layout: Callable[[Path], Layout]
    begin: Callable[[Path], Charger]
    write: Callable[[Charger], bool]


def _waiting(folder: Path) -> Charger:
    charger = shared_bundle(folder)
    key_waits(Direct(charger), SECOND)
    return charger


def _answered(folder: Path) -> Charger:
    charger = two_leaves(folder)
    charger.station.stapling.keep(named(SECOND, BRANCH.sub2), stapled(SECOND, BRANCH.sub2))
    return charger


def _littered(folder: Path) -> Charger:
    charger = shared_bundle(folder)
    for number in range(12):
        own = BRANCH.another(f"Old{number}", begin=NOW - 60 * DAY, end=NOW - DAY)
        charger.own(own, BRANCH.sub2, BRANCH.sub1, name=f"OLD{number}")
    return charger


def _applied(folder: Path) -> Charger:
    charger = shared_bundle(folder)
    book(charger).keep(APPLICATIONS[:1])
    return charger


def book(charger: Charger) -> ApplicationFile:
    return ApplicationFile(charger.places.state / "applications.json")


APPLICATIONS = [Application(str(number), "terms", LeafKind.V2G, f"/{number}.key", "request") for number in range(2)]
ROOT, ANSWER = root("NewRoot"), stapled(BRANCH.leaf, BRANCH.sub2)
CHAIN = pem(SECOND, BRANCH.sub2, BRANCH.sub1)
ORDER = KeyOrder(LeafKind.V2G, "DE", "Test", "DE*ABC*E001")


def _install(charger: Charger) -> bool:
    return charger.station.install_ca(pem(ROOT), CaKind.V2G).status is InstallStatus.ACCEPTED


def _update(charger: Charger) -> bool:
    return charger.station.update_leaf(CHAIN, LeafKind.V2G).status is InstallStatus.ACCEPTED


def _delete_leaf(charger: Charger) -> bool:
    return charger.station.delete(named(SECOND, BRANCH.sub2)).status is DeleteStatus.ACCEPTED


def _delete_root(charger: Charger) -> bool:
    return charger.station.delete(named(BRANCH.root, BRANCH.root)).status is DeleteStatus.ACCEPTED


def _staple(charger: Charger) -> bool:
    charger.station.stapling.keep(named(BRANCH.leaf, BRANCH.sub2), ANSWER)
    return True


def _request(charger: Charger) -> bool:
    return charger.station.requests.make(ORDER).status is RequestStatus.ACCEPTED


def _tidy(charger: Charger) -> bool:
    return len(charger.station.upkeep.collect(charger.clock()).leaves) == 3


def _apply(charger: Charger) -> bool:
    book(charger).keep(APPLICATIONS)
    return True


def _der(charger: Charger) -> bool:
    return charger.store.der_file(LeafKind.V2G, BRANCH.leaf.certificate).exists()


def _link(charger: Charger) -> bool:
    return charger.station.verify_location(CaKind.V2G) is not None


LINKING = "put the hash links of a folder in order"
WRITES = {
    "install a CA in a bundle": Writing(bundles, shared_bundle, _install),
    "install a CA in a folder": Writing(folders, in_folders, _install),
    "update a leaf": Writing(bundles, _waiting, _update),
    "delete a leaf": Writing(bundles, _answered, _delete_leaf),
    "delete a root in folders": Writing(folders, in_folders, _delete_root),
    "keep an OCSP answer": Writing(bundles, _answered, _staple),
    "make a key": Writing(bundles, shared_bundle, _request),
    "collect garbage": Writing(bundles, _littered, _tidy),
    "note an application down": Writing(bundles, _applied, _apply),
    "write a certificate in DER": Writing(bundles, shared_bundle, _der),
    LINKING: Writing(folders, in_folders, _link),
}


def warmed(charger: Charger) -> Charger:
    """Everything read, so that a write does little else than writing."""
    charger.station.count([*Listing])
    charger.station.installed([*Listing])
    return charger


def main() -> None:
    """Answer lines: ``make NAME FOLDER`` prepares a folder; ``write NAME FOLDER`` tells the process that will write
    there once it is let, and then how it ended."""
    for line in sys.stdin:
        verb, name, folder = line.rstrip("\n").split("\t")
        if verb == "make":
            WRITES[name].begin(Path(folder))
            print("made", flush=True)
        else:
            _write(WRITES[name], Path(folder))


def _write(writing: Writing, folder: Path) -> None:
    child = os.fork()
    if not child:
        charger = warmed(Charger(folder, writing.layout(folder), restat=60, opened=False))
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(not writing.write(charger))
    os.waitpid(child, os.WUNTRACED)
    print(child, flush=True)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
