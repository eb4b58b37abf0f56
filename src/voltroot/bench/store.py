"""How fast a charging station's store answers: many roots, many leaves, read for the first time and again."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from voltroot.actors.station import admission
from voltroot.actors.station.outcomes import InstallStatus, LeafStatus, Listing, VerifyStatus
from voltroot.actors.station.ports import CaKind, LeafKind
from voltroot.actors.station.station import Station
from voltroot.actors.station.upkeep import Rules
from voltroot.bench import machine, replies
from voltroot.bench.ledgers import Stock
from voltroot.bench.materials import station_id
from voltroot.bench.options import Options, workshop
from voltroot.bench.report import Aim, Case, Figures, Labels, Progress, Report, measure
from voltroot.errors import Unavailable
from voltroot.pki import certificates, suites
from voltroot.pki.addresses import Addresses
from voltroot.pki.certificates import Certificate
from voltroot.pki.drafts import Drafter, Order
from voltroot.pki.issuers import Standing
from voltroot.pki.names import Name
from voltroot.pki.suites import Signer
from voltroot.store.certdir import CertificateFolder, Layout

COLD, WARM = "cold", "warm"
BUNDLE, FOLDER = "bundle", "folder"
MANY_ROOTS, MANY_LEAVES = 1000, 100

Question = Callable[[Station], bool]


def run(options: Options, progress: Progress) -> Report:
    """Measure, and return the report."""
    with workshop() as folder:
        facts = machine.facts(folder)
        cases = list(_cases(folder, progress, quick=options.quick))
        measure(cases, options.length(0.1, 1), options.rounds or 5, options.until, progress)
    return Report("A charging station's store", facts, cases, list(_aims(cases)), NOTES)


NOTES = (
    "ms: the least of all answers, median_ms: their median. cold: a station that has read nothing yet, its files in the"
    " system's memory; warm: the next answer of the same station. names: the stations that the leaves are for; of each"
    " name the newest is judged and returned. install and delete: one root, with all syncs to disk.",
    "replies_per_s: EVerest's API over a mosquitto on this machine; who asks is in the same process.",
)


def _aims(cases: Sequence[Case]) -> Iterator[Aim]:
    few, many = {"roots": MANY_ROOTS, "leaves": 1}, {"roots": 10, "leaves": MANY_LEAVES}
    wanted = (
        ("is_ca_certificate_installed", few, ((COLD, 5.0), (WARM, 0.1))),
        ("get_all_valid_certificates_info", many, ((COLD, 50.0), (WARM, 50.0))),
    )
    for command, amounts, limits in wanted:
        for kind in (BUNDLE, FOLDER):
            for state, limit in limits:
                for case in cases:
                    labels = {"command": command, "cas": kind, "state": state, **amounts}
                    if labels.items() <= case.labels.items():
                        counts = ", ".join(f"{case.labels[what]:,} {what}" for what in ("roots", "leaves", "names"))
                        yield Aim(f"{command}, {state}, {kind} of {counts}: ms", _least(case), limit)


def _least(case: Case) -> float | None:
    return min((run["ms"] for run in case.runs), default=None)


def _cases(folder: Path, progress: Progress, *, quick: bool) -> Iterator[Case]:
    progress("making a PKI")
    maker = _Maker(folder / "pki")
    for kind, roots, leaves, names in _sizes(quick=quick):
        progress(f"making a store of {roots} roots and {leaves} leaves, {kind}")
        place = folder / f"{kind}-{roots}-{leaves}-{names}"
        layout = maker.store(place, roots, leaves, names, folders=kind == FOLDER)
        station = maker.station(layout)
        amounts: Labels = {"cas": kind, "roots": roots, "leaves": leaves, "names": names}
        for command, question in _questions(maker):
            for state, once in ((COLD, _cold), (WARM, _warm)):
                labels = {"command": command} | amounts | {"state": state}
                yield Case(labels, partial(once, maker, layout, station, question))
        labels = {"command": "install and delete_certificate"} | amounts | {"state": WARM}
        yield Case(labels, partial(_written, maker, station, count()))
        if (kind, leaves, names) == (BUNDLE, MANY_LEAVES, 1):
            for callers in replies.CALLERS:
                labels = {"command": f"get_leaf_certificate_info, {callers} by MQTT"} | amounts | {"state": WARM}
                yield Case(labels, partial(replies.measure, station, callers))


def _sizes(*, quick: bool) -> Iterator[tuple[str, int, int, int]]:
    sizes = [(10, 1, 1), (100, 1, 1), (MANY_ROOTS, 1, 1), (10, 10, 1), (10, MANY_LEAVES, 1), (10, MANY_LEAVES, 100)]
    for kind in (BUNDLE, FOLDER):
        for size in sizes:
            if not quick or size[0] == MANY_ROOTS or size[1] == MANY_LEAVES:
                yield kind, *size


def _questions(maker: _Maker) -> Iterator[tuple[str, Question]]:
    chain = "".join(each.pem for each in maker.chain)
    yield "is_ca_certificate_installed", lambda station: station.is_ca_installed(CaKind.V2G)
    yield "get_verify_location", lambda station: station.verify_location(CaKind.V2G) is not None
    yield "get_leaf_certificate_info", lambda station: station.leaf(LeafKind.V2G).status is LeafStatus.ACCEPTED
    yield (
        "get_leaf_certificate_info, OCSP",
        lambda station: station.leaf(LeafKind.V2G, include_ocsp=True).status is LeafStatus.ACCEPTED,
    )
    yield "get_all_valid_certificates_info", lambda station: bool(station.all_leaves(LeafKind.V2G).infos)
    yield "get_installed_certificates, roots", lambda station: bool(station.installed([Listing.V2G_ROOT]))
    yield "get_installed_certificates, chains", lambda station: bool(station.installed([Listing.V2G_CHAIN]))
    yield "get_v2g_ocsp_request_data", lambda station: bool(station.stapling.requests())
    yield "verify_certificate", lambda station: station.verify(chain, [LeafKind.V2G]).status is VerifyStatus.VALID


def _cold(maker: _Maker, layout: Layout, _: Station, question: Question, seconds: float) -> Figures:
    def once() -> float:
        # What this process remembers of certificates; the station itself is a new one.
        certificates._read_again.cache_clear()
        admission.read_certificate.cache_clear()
        return _timed(question, maker.station(layout))

    return _median(once, seconds)


def _warm(_: _Maker, __: Layout, station: Station, question: Question, seconds: float) -> Figures:
    question(station)
    return _median(lambda: _timed(question, station), seconds)


def _written(maker: _Maker, station: Station, extra: Iterator[int], seconds: float) -> Figures:
    def once() -> float:
        root = maker.root(f"Extra {next(extra)}")
        began = time.perf_counter()
        done = station.install_ca(root.pem, CaKind.V2G).status is InstallStatus.ACCEPTED
        listed = next(each for each in station.installed([Listing.V2G_ROOT]) if each.about.serial_number == _hex(root))
        station.delete(listed.about)
        if not done:
            raise Unavailable("a root could not be installed")
        return time.perf_counter() - began

    return _median(once, seconds)


def _timed(question: Question, station: Station) -> float:
    began = time.perf_counter()
    if not question(station):
        raise Unavailable("the station's answer is wrong")
    return time.perf_counter() - began


def _median(once: Callable[[], float], seconds: float) -> Figures:
    taken: list[float] = []
    until = time.perf_counter() + seconds
    while not taken or time.perf_counter() < until:
        taken.append(once())
    return {"ms": 1000 * min(taken), "median_ms": 1000 * statistics.median(taken)}


def _hex(certificate: Certificate) -> str:
    return format(certificate.serial, "x")


class _Maker:
    """Makes stores full of certificates: the roots of one key, the leaves of another, so that it takes seconds."""

    def __init__(self, folder: Path) -> None:
        self._backend = Stock(folder).backend()
        self._backend.prepare()
        standing: Standing = self._backend.issuers.standing()
        self._issuer = standing.for_profile(self._backend.profiles["SECC_2"], suites.P256_SHA256)
        self._above = standing.chain(self._issuer.number)
        self._signer = self._backend.keyring.signer(str(self._issuer.key))
        self._drafter = Drafter(Addresses("http://127.0.0.1:15118"), timedelta(minutes=5))
        self._own_key = suites.generate(suites.P256_SHA256)
        self.chain = (self._leaf(0, self._own_key), *self._above[:-1])

    def station(self, layout: Layout) -> Station:
        """Return a station that has read nothing yet."""
        now = self._backend.now
        rules = Rules(most_certificates=10 * MANY_ROOTS)
        return Station(CertificateFolder(layout, now), self._backend.profiles, now, rules=rules)

    def root(self, name: str) -> Certificate:
        """Return a root that trusts nobody but itself."""
        profile = self._backend.profiles["V2G_ROOT_2"]
        order = Order(
            profile, Name.of([("CN", name), ("O", "Bench"), ("C", "DE")]), self._own_key.public_key(), "bench"
        )
        draft = self._drafter.draft(order, None, self._backend.now())
        return Certificate.read(draft.signed(suites.sign(self._own_key, draft.tbs)))

    def store(self, folder: Path, roots: int, leaves: int, names: int, *, folders: bool) -> Layout:
        """Fill a folder; the root of the leaves stands in the middle of the others."""
        layout = Layout.everest(folder, folders=folders)
        CertificateFolder(layout, self._backend.now).open()
        cas = [self.root(f"Root {number}") for number in range(roots - 1)]
        cas.insert(roots // 2, self._above[-1])
        place = layout.authorities[CaKind.V2G]
        if folders:
            for number, each in enumerate(cas):
                (place / f"{number}.pem").write_text(each.pem)
        else:
            place.write_text("".join(each.pem for each in cas))
        for number in range(leaves):
            key = suites.generate(suites.P256_SHA256)
            own = self._leaf(number % names, key)
            name = layout.certificates[LeafKind.V2G] / f"SECC_LEAF_{number}"
            name.with_suffix(".pem").write_text(own.pem)
            chain = name.with_name(f"CPO_CERT_SECC_LEAF_CHAIN_{number}.pem")
            chain.write_text("".join(each.pem for each in (own, *self._above[:-1])))
            name.with_suffix(".key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return layout

    def _leaf(self, number: int, key: Signer) -> Certificate:
        profile = self._backend.profiles["SECC_2"]
        pairs = [("C", "DE"), ("O", "Bench"), ("DC", str(profile.dc)), ("CN", station_id(number))]
        order = Order(profile, Name.of(pairs), key.public_key(), "bench")
        draft = self._drafter.draft(order, self._issuer, self._backend.now())
        return Certificate.read(draft.signed(suites.sign(self._signer, draft.tbs)))
