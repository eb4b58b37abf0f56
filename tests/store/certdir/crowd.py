"""Threads that read and write one store for a while, as one of several processes: ``python crowd.py FOLDER SECONDS``.

What they are given stands in FOLDER/given.json; what they saw goes to standard output.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from charging import Charger
from voltroot.actors.station.outcomes import DeleteStatus, InstallStatus, LeafStatus, Listing, RequestStatus
from voltroot.actors.station.ports import CaKind, LeafKind
from voltroot.actors.station.requesting import KeyOrder
from voltroot.pki.certificates import Certificate, read_pem
from voltroot.pki.fingerprints import hash_data

READERS = WRITERS = 4


class Member:
    """One thread's work; ``given`` is what it alone installs and deletes."""

    def __init__(self, charger: Charger, given: dict[str, str], until: float) -> None:
        self.charger = charger
        self.station = charger.station
        self.given = given
        self.until = until
        self.done: Counter[str] = Counter()
        self.wrong: list[str] = []

    def run(self, works: list[Callable[[], None]]) -> None:
        while time.monotonic() < self.until:
            work = random.choice(works)
            try:
                work()
            except Exception:
                self.wrong.append(traceback.format_exc())
                return
            self.done[work.__name__] += 1

    def read(self) -> None:
        self.run([self.chosen, self.whole, self.roots, self.stapled])

    def write(self) -> None:
        self.run([self.a_root, self.a_leaf, self.a_key])

    # Reading

    def chosen(self) -> None:
        answer = self.station.leaf(LeafKind.V2G)
        assert answer.status is LeafStatus.ACCEPTED, answer
        assert self.station.is_ca_installed(CaKind.V2G)
        assert self.station.verify_location(CaKind.V2G) is not None

    def whole(self) -> None:
        seen = self.charger.store.leaves(LeafKind.V2G)
        assert seen.leaves
        for leaf in seen.leaves:
            assert leaf.key is not None, f"torn: {leaf}"
            assert leaf.single_file is not None, f"torn: {leaf}"
            assert leaf.chain_file is not None, f"torn: {leaf}"
        assert (seen.faults, seen.key_faults) == ((), ())

    def roots(self) -> None:
        assert self.station.installed([Listing.V2G_ROOT])
        assert not self.charger.store.authorities(CaKind.V2G).faults

    def stapled(self) -> None:
        answers = {each.about: each.path for each in self.charger.store.answers(LeafKind.V2G)}
        assert len(answers) <= 1

    # Writing

    def a_root(self) -> None:
        root = read(self.given["root"])[0]
        assert self.station.install_ca(self.given["root"], CaKind.V2G).status is InstallStatus.ACCEPTED
        assert root in self.charger.store.authorities(CaKind.V2G).certificates
        assert self.station.delete(hash_data(root, root)).status is DeleteStatus.ACCEPTED
        assert root not in self.charger.store.authorities(CaKind.V2G).certificates

    def a_leaf(self) -> None:
        own, issuer, *_ = read(self.given["chain"])
        folder = self.charger.places.keys[LeafKind.V2G]
        new = folder / f".{os.getpid()}-{threading.get_ident()}"
        new.write_text(self.given["key"])
        new.chmod(0o600)
        new.rename(folder / f"{own.serial}.key")
        installed = self.station.update_leaf(self.given["chain"], LeafKind.V2G)
        assert installed.status is InstallStatus.ACCEPTED, installed
        assert own in [leaf.certificate for leaf in self.charger.store.leaves(LeafKind.V2G).leaves]
        deleted = self.station.delete(hash_data(own, issuer))
        assert deleted.status is DeleteStatus.ACCEPTED, deleted
        assert not [*folder.glob(f"{own.serial}.*")]

    def a_key(self) -> None:
        requested = self.station.requests.make(KeyOrder(LeafKind.V2G, "DE", "Test", "DE*ABC*E001"))
        assert requested.status is RequestStatus.ACCEPTED, requested
        assert requested.key is not None
        self.station.requests.discard(requested.key)


def read(text: str) -> list[Certificate]:
    return [Certificate.read(octets) for _, octets in read_pem(text)]


def main() -> None:
    folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
    given = json.loads((folder / "given.json").read_text())[int(sys.argv[3])]
    charger = Charger(folder / "certs", restat=1.0)
    begun = time.monotonic()
    until = begun + seconds
    members = [Member(charger, each, until) for each in given]
    threads = [threading.Thread(target=member.write) for member in members[:WRITERS]]
    threads += [threading.Thread(target=member.read) for member in members[WRITERS:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + 30)
    stuck = sum(thread.is_alive() for thread in threads)
    done = sum((member.done for member in members), Counter())
    wrong = [text for member in members for text in member.wrong]
    print(json.dumps({"done": done, "wrong": wrong, "stuck": stuck, "span": (begun, until)}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
