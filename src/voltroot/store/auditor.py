"""Finding what was tampered with: rows of the ledger held against the Merkle log, the log against its signed roots."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Row, func, select

from voltroot.errors import NotFound
from voltroot.pki.merkle import Frontier, inclusion_proof, leaf_hash
from voltroot.pki.suites import PublicKey
from voltroot.store.auditlog import (
    CHECKPOINTS,
    LEAF_COLUMNS,
    LEAF_TABLES,
    LOGGED,
    NEWEST_CHECKPOINT,
    checkpoint_of,
    encode,
)
from voltroot.store.checkpoints import Checkpoint, Line
from voltroot.store.contradictions import Finding, contradictions
from voltroot.store.tables import audit, log_entries
from voltroot.store.transfer import snapshot

# Seconds that clocks of several machines may differ: so much may a row be older than one that was logged before it.
TOLERANCE = 60
# PostgreSQL commits out of order: a row that is so much older than the last checkpoint should have been in it.
GRACE = 10
# More entries than that in a row are named by the first and the last.
_ONE_BY_ONE = 100
_PART = 1000

_COLUMNS = [*LEAF_COLUMNS, log_entries.c.sequence, log_entries.c.audit.label("logged"), log_entries.c.leaf]
_ENTRIES = (
    select(*_COLUMNS)
    .select_from(log_entries.outerjoin(LEAF_TABLES, log_entries.c.audit == audit.c.number))
    .order_by(log_entries.c.sequence)
)


class Report(msgspec.Struct, frozen=True):
    """What an audit came to. Without findings the log is what was signed, and the ledger is what the log says.

    ``waiting`` counts the rows that no backend has logged yet; ``outside`` the checkpoints that were read from a file.
    """

    size: int
    root: str
    checkpoints: int
    outside: int
    waiting: int
    findings: list[Finding]


Progress = Callable[[int, int], None]


def inspect(engine: Engine, key: PublicKey, outside: Sequence[Line], progress: Progress) -> Report:
    """Recompute everything from one state of the database; ``progress`` hears how many entries more, of how many."""
    with snapshot(engine) as connection:
        walk = _Walk(connection, key, outside)
        walk.run(progress)
        unlogged = list(_unlogged(connection, walk))
        findings = [*walk.findings, *(each for each in unlogged if each), *contradictions(connection)]
        root = walk.frontier.root().hex()
        return Report(walk.index, root, len(walk.stored), len(outside), unlogged.count(None), findings)


def prove(engine: Engine, key_pem: str, number: int) -> dict[str, Any]:
    """Return the proof that an audit row is in the log, for a program that knows nothing but RFC 9162 and the key."""
    with snapshot(engine) as connection:
        row = connection.execute(_ENTRIES.where(log_entries.c.audit == number)).first()
        head = connection.execute(NEWEST_CHECKPOINT).first()
        if row is None or head is None or row.sequence >= head.size:
            raise NotFound(f"audit row {number} is not in the log: a running backend logs it within a second")
        signed = select(log_entries.c.leaf).where(log_entries.c.sequence < head.size).order_by(log_entries.c.sequence)
        leaves = connection.execute(signed).scalars().all()
    checkpoint = checkpoint_of(head)
    return {
        "leaf": encode(row).decode(),
        "index": row.sequence,
        "size": checkpoint.size,
        "path": [hash_.hex() for hash_ in inclusion_proof(leaves, row.sequence)],
        "root": checkpoint.root.hex(),
        "checkpoint": checkpoint.text,
        "signature": b64encode(checkpoint.signature).decode(),
        "key": key_pem,
    }


class _Walk:
    """One way through the log from its first entry to its last, past the checkpoints where they stand."""

    def __init__(self, connection: Connection, key: PublicKey, outside: Sequence[Line]) -> None:
        self.findings: list[Finding] = []
        self.index = 0
        self.frontier = Frontier()
        # The greatest number that was logged, and the latest moment.
        self.number = self.at = 0
        self._connection = connection
        self.stored = {checkpoint.size: checkpoint for checkpoint in self._read_stored(key)}
        self._by_size: dict[int, list[Checkpoint]] = {size: [stored] for size, stored in self.stored.items()}
        self._lines = {line.first: line for line in self._read_outside(key, outside)}
        self._line: Line | None = None
        # Entries since the last root that was right, and those among them that the file outside knows otherwise.
        self._since: list[tuple[int, int]] = []
        self._strange: list[tuple[int, int]] = []
        self._is_broken = False

    def run(self, progress: Progress) -> None:
        """Go all the way."""
        total = self._connection.execute(select(func.count()).select_from(log_entries)).scalar_one()
        for rows in self._connection.execute(_ENTRIES, execution_options={"yield_per": _PART}).partitions():
            for row in rows:
                self._step(row)
            progress(len(rows), total)
        self._end()

    def _read_stored(self, key: PublicKey) -> Iterator[Checkpoint]:
        for row in self._connection.execute(CHECKPOINTS):
            checkpoint = checkpoint_of(row)
            frontier = Frontier.decode(row.size, row.frontier)
            if not checkpoint.is_signed_by(key):
                self._find(f"the checkpoint of {row.size} entries is not signed with the audit key")
                continue
            if frontier is None or frontier.root() != row.root:
                self._find(f"the frontier of the checkpoint of {row.size} entries was changed")
            yield checkpoint

    def _read_outside(self, key: PublicKey, lines: Sequence[Line]) -> Iterator[Line]:
        for line in lines:
            size = line.checkpoint.size
            if not line.checkpoint.is_signed_by(key):
                self._find(f"outside, the checkpoint of {size} entries is not signed with the audit key")
                continue
            if self.stored.get(size) != line.checkpoint:
                self._by_size.setdefault(size, []).append(line.checkpoint)
            yield line

    def _step(self, row: Row[Any]) -> None:
        if row.sequence != self.index:
            self._find(f"log entries {self.index} to {row.sequence - 1} are missing: deleted", entry=self.index)
            self._is_broken, self.index = True, row.sequence
        self._judge(row)
        leaf = row.leaf if isinstance(row.leaf, bytes) else b""
        self._line = self._lines.get(self.index, self._line)
        head = self._line.head(self.index) if self._line else None
        self._since.append((self.index, row.logged))
        if head is not None and head != leaf[: len(head)]:
            self._strange.append((self.index, row.logged))
        self.frontier = self.frontier.extend([leaf])
        self.index += 1
        for checkpoint in self._by_size.get(self.index, ()):
            self._hold_against(checkpoint)

    def _judge(self, row: Row[Any]) -> None:
        """Hold an entry's leaf against the rows that it was made from."""
        marks = {"audit": row.logged, "certificate": row.certificate, "entry": row.sequence}
        self.number = max(self.number, row.logged)
        if row.number is None:
            self._find(f"audit row {row.logged} is missing: deleted, or its number was changed", **marks)
        elif leaf_hash(encode(row)) != row.leaf:
            what = "" if row.certificate is None else f", or certificate {row.certificate} of which it tells,"
            self._find(f"audit row {row.logged}{what} was changed after it was logged", **marks)
        elif row.at < self.at - TOLERANCE:
            self._find(f"audit row {row.logged} is older than rows that were logged before it: inserted", **marks)
        else:
            self.at = max(self.at, row.at)

    def _hold_against(self, checkpoint: Checkpoint) -> None:
        if self.stored.get(checkpoint.size) != checkpoint:
            self._find(f"the checkpoint of {checkpoint.size} entries was deleted from the database, or replaced")
        if self._is_broken:
            self._since = []
            return
        if self.frontier.root() != checkpoint.root:
            self._is_broken = True
            said = f"the checkpoint of {checkpoint.size} entries signed"
            self._name(self._strange or self._since, f"changed, moved, inserted or deleted: {said} another")
        elif self._strange:
            self._name(self._strange, "otherwise in the file outside, which was changed")
        self._since, self._strange = [], []

    def _end(self) -> None:
        self._name(self._strange, "not the entry that the file outside knows")
        if self._since and not self._is_broken:
            self._name(self._since, "behind the last checkpoint: no sequencer appended it")
        newest = max(self._by_size, default=0)
        if newest > self.index:
            moment = datetime.fromtimestamp(self._by_size[newest][0].at, UTC)
            lost = f"{newest - self.index} entries are cut off"
            self._find(
                f"the log ends at {self.index} entries, on {moment:%F %T} it had {newest}: {lost}", entry=self.index
            )

    def _name(self, entries: Sequence[tuple[int, int]], what: str) -> None:
        """Name entries, a long run of them by its first and last only."""
        for _, run in groupby(enumerate(entries), key=lambda pair: pair[1][0] - pair[0]):
            (first, number), *rest = (entry for _, entry in run)
            if len(rest) >= _ONE_BY_ONE:
                text = f"log entries {first} to {rest[-1][0]} (audit rows {number} to {rest[-1][1]}) are {what}"
                self._find(text, entry=first, audit=number)
                continue
            for place, logged in ((first, number), *rest):
                self._find(f"log entry {place} (audit row {logged}) is {what}", entry=place, audit=logged)

    def _find(self, text: str, **marks: int | None) -> None:
        self.findings.append(Finding(text, **marks))


def _unlogged(connection: Connection, walk: _Walk) -> Iterator[Finding | None]:
    """Yield what is wrong with each audit row that is not in the log, None for one that merely waits."""
    # One process at a time writes to SQLite, so numbers come in order. On PostgreSQL a smaller one may come late.
    overdue = math.inf
    if walk.stored and connection.dialect.name == "postgresql":
        overdue = walk.stored[max(walk.stored)].at - GRACE
    columns = (audit.c.number, audit.c.at, audit.c.event, audit.c.certificate)
    for number, at, event, certificate in connection.execute(select(*columns).where(~LOGGED).order_by(audit.c.number)):
        what = f"audit row {number} ({event} of certificate {certificate})"
        if number < walk.number and at < overdue:
            yield Finding(f"{what} is not in the log, but later ones are: inserted", number, certificate)
        elif at < walk.at - TOLERANCE:
            yield Finding(f"{what} is older than rows that are logged: inserted", number, certificate)
        else:
            yield None
