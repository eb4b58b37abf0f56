"""How many chains a second the judge gets through, beside what their signatures alone cost."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

from voltroot.app.backend import Backend
from voltroot.bench import machine
from voltroot.bench.ledgers import Stock
from voltroot.bench.materials import station_id
from voltroot.bench.options import Options, workshop
from voltroot.bench.report import Aim, Case, Figures, Labels, Progress, Report, find, measure, ratio
from voltroot.errors import Unavailable
from voltroot.pki import suites
from voltroot.pki.addresses import Addresses
from voltroot.pki.certificates import Certificate
from voltroot.pki.chains import Inputs, Purpose, Verdict, judge
from voltroot.pki.drafts import Drafter, Order
from voltroot.pki.names import Name
from voltroot.pki.profiles import Profile
from voltroot.pki.suites import Suite

BARE, PLAIN, FULL = "signatures alone", "judge: RFC 5280", "judge: RFC 5280 and ISO 15118"
MOST = 1.5
# More than the reader of certificates remembers: every leaf is met for the first time.
LEAVES = 1100
BATCH = 20

Once = Callable[[bytes], object]


def run(options: Options, progress: Progress) -> Report:
    """Measure, and return the report."""
    with workshop() as folder:
        facts = machine.facts(folder)
        cases = list(_cases(folder, progress))
    measure(cases, options.length(0.4, 2), options.rounds or 7, options.until, progress)
    aims = [
        Aim(f"{edition}, {suite}: CPU time of a judgement by that of its signatures", _times(cases, suite), MOST)
        for edition, suite in dict.fromkeys((case.labels["edition"], case.labels["suite"]) for case in cases)
    ]
    return Report("Judging chains of a leaf and two sub-CAs below one of all roots", facts, cases, aims, NOTES)


NOTES = (
    "Each leaf is read from its octets and met for the first time; the CAs have been met before, as on a server. The"
    " signatures alone are three calls of the library on what has been read. rate: chains a second of one process.",
)


def _times(cases: Sequence[Case], suite: str | int) -> float | None:
    full, bare = (find(cases, system=system, suite=suite) for system in (FULL, BARE))
    return ratio(full, bare, "cpu_us")


def _cases(folder: Path, progress: Progress) -> Iterator[Case]:
    progress("making a PKI")
    backend = Stock(folder).backend()
    backend.prepare()
    for profile in (backend.profiles["SECC_2"], backend.profiles["SECC_20"]):
        for suite in profile.suites:
            progress(f"making {LEAVES} leaves of {suite.name}")
            leaves = _leaves(backend, profile, suite)
            for system, once in _ways(backend, profile, suite, leaves):
                labels: Labels = {"edition": profile.edition.value, "suite": suite.name, "system": system}
                yield Case(labels, partial(_measured, once, itertools.cycle(leaves)))
    backend.close()


def _ways(backend: Backend, profile: Profile, suite: Suite, leaves: Sequence[bytes]) -> Iterator[tuple[str, Once]]:
    standing = backend.issuers.standing()
    *above, root = standing.chain(standing.for_profile(profile, suite).number)
    roots, at = standing.roots, backend.now()
    keys = [each.public_key for each in (*above, root)]
    read = {octets: Certificate.read(octets) for octets in leaves}

    def bare(octets: bytes) -> None:
        for own, key in zip((read[octets], *above), keys, strict=True):
            if not suites.verify(key, own.signature, own.tbs, suite.hash):
                raise Unavailable("a signature does not hold")

    def judged(inputs: Inputs, octets: bytes) -> None:
        judgement = judge([Certificate.read(octets), *above], roots, at, inputs=inputs)
        if judgement.verdict is not Verdict.OK:
            raise Unavailable(f"a good chain was refused: {judgement.text}")

    yield BARE, bare
    yield PLAIN, partial(judged, Inputs())
    yield FULL, partial(judged, Inputs(purpose=Purpose.SECC))


def _leaves(backend: Backend, profile: Profile, suite: Suite) -> list[bytes]:
    """Return leaves with names of their own and one key; the ledger does not hear of them."""
    issuer = backend.issuers.standing().for_profile(profile, suite)
    signer = backend.keyring.signer(str(issuer.key))
    drafter = Drafter(Addresses("http://127.0.0.1:15118"), timedelta(minutes=5))
    key = suites.generate(suite).public_key()
    made = []
    for number in range(LEAVES):
        pairs = [("C", "DE"), ("O", "Voltroot"), ("DC", str(profile.dc)), ("CN", station_id(number))]
        draft = drafter.draft(Order(profile, Name.of(pairs), key, "bench"), issuer, backend.now())
        made.append(draft.signed(suites.sign(signer, draft.tbs)))
    return made


def _measured(once: Once, leaves: Iterator[bytes], seconds: float) -> Figures:
    count, began, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() < began + seconds:
        for octets in itertools.islice(leaves, BATCH):
            once(octets)
        count += BATCH
    took = time.process_time() - cpu
    return {"rate": count / (time.perf_counter() - began), "cpu_us": 1_000_000 * took / count}
